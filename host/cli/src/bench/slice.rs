//! A measurement: the load, and what the server and this program did in that time.

use std::time::Duration;

use anyhow::Result;

use super::load::Load;
use super::outcome::Outcome;
use super::server::{self, Sample, Stats};

/// What was measured in one stretch of time, or in several.
#[derive(Debug, Default)]
pub(super) struct Slice {
    pub(super) outcome: Outcome,
    /// For how long sagas were started.
    pub(super) duration: Duration,
    /// What the server counted meanwhile, where it tells.
    pub(super) counts: Option<Counts>,
    /// CPU time of the server.
    pub(super) cpu: Option<Duration>,
    /// Page faults of the server.
    pub(super) faults: Option<u64>,
    /// The most memory the server has had.
    pub(super) peak: Option<u64>,
    /// CPU time of this program.
    pub(super) own_cpu: Option<Duration>,
}

/// What the server counted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) appends: u64,
    pub(super) commits: u64,
    pub(super) attempts: u64,
}

impl Counts {
    fn between(before: Stats, after: Stats) -> Self {
        Counts {
            appends: after.appends.saturating_sub(before.appends),
            commits: after.commits.saturating_sub(before.commits),
            attempts: after.attempts.saturating_sub(before.attempts),
        }
    }

    fn and(self, other: Counts) -> Self {
        Counts {
            appends: self.appends + other.appends,
            commits: self.commits + other.commits,
            attempts: self.attempts + other.attempts,
        }
    }
}

/// Both, where both are known.
fn both<T>(one: Option<T>, other: Option<T>, join: impl FnOnce(T, T) -> T) -> Option<T> {
    Some(join(one?, other?))
}

impl Slice {
    /// Loads the server for so long, or with so many sagas.
    pub(super) async fn measure(
        load: &Load,
        duration: Duration,
        most: Option<u64>,
    ) -> Result<Self> {
        let own = std::process::id();
        let (before, own_before) = (Sample::take(&load.remote).await, server::cpu_of(own));
        let outcome = load.run(duration, most).await?;
        let (after, own_after) = (Sample::take(&load.remote).await, server::cpu_of(own));
        Ok(Slice {
            // Those that are counted may be done before the time is up.
            duration: most.map_or(duration, |_| outcome.took.min(duration)),
            outcome,
            counts: before.stats.zip(after.stats).map(|(one, two)| Counts::between(one, two)),
            cpu: both(after.cpu, before.cpu, Duration::saturating_sub),
            faults: both(after.faults, before.faults, u64::saturating_sub),
            peak: after.peak,
            own_cpu: both(own_after, own_before, Duration::saturating_sub),
        })
    }

    /// Sagas that completed in the time, a second.
    pub(super) fn per_second(&self) -> f64 {
        self.outcome.in_time as f64 / self.duration.as_secs_f64()
    }

    /// Several stretches as one.
    pub(super) fn join(slices: impl IntoIterator<Item = Slice>) -> Self {
        let mut slices = slices.into_iter();
        let mut all = slices.next().unwrap_or_default();
        for slice in slices {
            all.outcome.merge(slice.outcome);
            all.duration += slice.duration;
            all.counts = both(all.counts, slice.counts, Counts::and);
            all.cpu = both(all.cpu, slice.cpu, |one, two| one + two);
            all.faults = both(all.faults, slice.faults, |one, two| one + two);
            all.peak = all.peak.max(slice.peak);
            all.own_cpu = both(all.own_cpu, slice.own_cpu, |one, two| one + two);
        }
        all.outcome.latencies.sort_unstable();
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_stretches_are_as_one() {
        let slice = |latency, cpu| Slice {
            outcome: Outcome {
                latencies: vec![latency],
                in_time: 1,
                took: Duration::from_secs(2),
                ..Outcome::default()
            },
            duration: Duration::from_secs(1),
            counts: Some(Counts { appends: 2, commits: 1, attempts: 3 }),
            cpu,
            ..Slice::default()
        };
        let ms = |ms| Some(Duration::from_millis(ms));
        let all = Slice::join([slice(9, ms(1)), slice(3, ms(2))]);
        assert_eq!(all.outcome.latencies, [3, 9]);
        assert_eq!((all.per_second(), all.outcome.took), (1.0, Duration::from_secs(4)));
        assert_eq!(all.counts.expect("both told").attempts, 6);
        assert_eq!(all.cpu, ms(3));
        // One that is not known leaves no sum.
        assert_eq!(Slice::join([slice(9, ms(1)), slice(3, None)]).cpu, None);
    }
}
