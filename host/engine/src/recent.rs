//! How long things took lately, and what happened each second: small
//! structures of a fixed size, for people who look at a host.

mod latency;

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use self::latency::rounded;
use crate::stats::Stats;

pub(crate) use self::latency::Latency;
pub use self::latency::Percentiles;

/// The samples that are kept, one each second: five minutes of them.
const SAMPLES: usize = 300;

/// Over how many samples a rate is taken.
const RATE_OVER: usize = 10;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Everything of the recent past.
#[derive(Debug)]
pub(crate) struct Recent {
    pub(crate) began: Instant,
    /// Transactions of the store.
    pub(crate) commit: Latency,
    /// Turns, from their beginning until they are durable and followed.
    pub(crate) turn: Latency,
    /// Sagas, from their acceptance to their end, by the journal's clock.
    pub(crate) saga: Latency,
    samples: Mutex<VecDeque<Sample>>,
}

/// The counters at one moment.
#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Duration,
    started: u64,
    ended: u64,
    failed: u64,
    attempts: u64,
    commits: u64,
    /// What the commits took so far, in µs.
    commit_micros: u64,
}

/// How much happened a second, over the last ten seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rates {
    /// Orchestrations that began.
    pub started_per_second: f64,
    /// Orchestrations that ended.
    pub ended_per_second: f64,
    /// Attempts that began.
    pub attempts_per_second: f64,
    /// Transactions.
    pub commits_per_second: f64,
}

/// One second of the last five minutes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Second {
    /// When it ended, in milliseconds since 1970-01-01T00:00:00Z.
    pub at: u64,
    /// Orchestrations that began.
    pub started: u64,
    /// Orchestrations that ended.
    pub ended: u64,
    /// Those of them that did not complete.
    pub failed: u64,
    /// What a commit took on the average, in ms; `None` where there was none.
    pub commit_ms: Option<f64>,
}

impl Default for Recent {
    fn default() -> Self {
        Recent {
            began: Instant::now(),
            commit: Latency::default(),
            turn: Latency::default(),
            saga: Latency::default(),
            samples: Mutex::default(),
        }
    }
}

impl Recent {
    /// Notes how the counters stand.
    pub(crate) fn sample(&self, stats: &Stats) {
        let failed = stats.failed + stats.canceled + stats.terminated;
        let (commits, commit_micros) = self.commit.total();
        let mut samples = lock(&self.samples);
        samples.push_back(Sample {
            at: self.began.elapsed(),
            started: stats.started,
            ended: stats.completed + failed,
            failed,
            attempts: stats.attempts,
            commits,
            commit_micros,
        });
        if samples.len() > SAMPLES {
            samples.pop_front();
        }
    }

    pub(crate) fn rates(&self) -> Rates {
        let samples = lock(&self.samples);
        let Some(last) = samples.back() else { return Rates::default() };
        let first = samples.get(samples.len().saturating_sub(RATE_OVER + 1)).unwrap_or(last);
        let seconds = last.at.saturating_sub(first.at).as_secs_f64().max(1.0);
        let rate = |of: fn(&Sample) -> u64| rounded((of(last) - of(first)) as f64 / seconds);
        Rates {
            started_per_second: rate(|sample| sample.started),
            ended_per_second: rate(|sample| sample.ended),
            attempts_per_second: rate(|sample| sample.attempts),
            commits_per_second: rate(|sample| sample.commits),
        }
    }

    /// The seconds of the last five minutes, where the host began at `start`,
    /// in milliseconds since 1970.
    pub(crate) fn series(&self, start: u64) -> Vec<Second> {
        let samples = lock(&self.samples);
        let pairs = samples.iter().zip(samples.iter().skip(1));
        pairs
            .map(|(before, after)| {
                let commits = after.commits - before.commits;
                let micros = after.commit_micros - before.commit_micros;
                Second {
                    at: start + u64::try_from(after.at.as_millis()).unwrap_or(u64::MAX),
                    started: after.started - before.started,
                    ended: after.ended - before.ended,
                    failed: after.failed - before.failed,
                    commit_ms: (commits > 0).then(|| rounded(micros as f64 / commits as f64 / 1e3)),
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_make_a_series_and_rates() {
        let (recent, mut stats) = (Recent::default(), Stats::default());
        assert!(recent.series(0).is_empty());
        for _ in 0..SAMPLES + 5 {
            stats.started += 3;
            stats.completed += 1;
            stats.canceled += 1;
            recent.commit.record(Duration::from_millis(2));
            recent.sample(&stats);
        }
        let series = recent.series(1000);
        assert_eq!(series.len(), SAMPLES - 1);
        let last = series.last().expect("a second");
        assert_eq!((last.started, last.ended, last.failed), (3, 2, 1));
        assert!(last.at >= 1000 && last.commit_ms == Some(2.0));
        // The samples came at once; a rate is over a second at least.
        assert!(recent.rates().started_per_second >= 3.0);
    }
}
