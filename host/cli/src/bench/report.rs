//! What was measured, for people and for programs.

mod print;

use serde::Serialize;
use serde_json::Value;

use super::BenchArgs;
use super::against::Against;
use super::floor::Floor;
use super::slice::Slice;

/// Everything that was measured.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    name: String,
    in_flight: usize,
    duration_s: f64,
    cores: usize,
    chain: Option<u64>,
    pub(super) whole: Option<Whole>,
    pub(super) against: Option<Against>,
    pub(super) floor: Option<Floor>,
    /// The whole as a share of what the floor allows.
    share_of_floor: Option<f64>,
    /// The same of the second host.
    other_share_of_floor: Option<f64>,
    /// CPU of the server for a saga beyond that of the parts, in microseconds.
    cpu_beyond_us: Option<f64>,
    alone: Option<Alone>,
}

/// What a saga by itself takes beyond its commits.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Alone {
    /// The commits it waits for.
    commits: u64,
    /// The median without as many raw commits, in microseconds.
    beyond_us: f64,
    /// The same for each step of a chain.
    step_beyond_us: Option<f64>,
}

/// The whole host under load.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Whole {
    pub(super) sagas: u64,
    pub(super) failed: u64,
    first_failure: Option<String>,
    /// Starts that were not taken.
    refused: u64,
    refused_per_s: f64,
    /// Of all starts.
    refused_share: f64,
    refused_without_retry_after: u64,
    pub(super) sagas_per_s: f64,
    steps_per_s: Option<f64>,
    /// Attempts the server counted.
    steps_per_saga: Option<f64>,
    latency_ms: Latency,
    pub(super) appends_per_saga: Option<f64>,
    commits_per_saga: Option<f64>,
    /// For a saga, in microseconds.
    server_cpu_us: Option<f64>,
    generator_cpu_us: Option<f64>,
    faults_per_saga: Option<f64>,
    server_peak_bytes: Option<u64>,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct Latency {
    p50: f64,
    p90: f64,
    p99: f64,
    max: f64,
}

impl Whole {
    pub(super) fn new(slice: &Slice, chain: Option<u64>) -> Self {
        let Slice { outcome, duration, counts, .. } = slice;
        let ended = outcome.ended().max(1) as f64;
        let micros = |used: std::time::Duration| used.as_secs_f64() * 1e6 / ended;
        let millis = |share| outcome.percentile(share).as_secs_f64() * 1e3;
        let attempts = counts.map(|counts| counts.attempts as f64);
        let sagas_per_s = slice.per_second();
        let steps_per_s = match chain {
            Some(steps) => Some(sagas_per_s * steps as f64),
            None => attempts.map(|steps| steps / outcome.took.as_secs_f64()),
        };
        Whole {
            sagas: outcome.latencies.len() as u64,
            failed: outcome.failed,
            first_failure: outcome.first_failure.clone(),
            refused: outcome.refused,
            refused_per_s: outcome.refused as f64 / duration.as_secs_f64(),
            refused_share: outcome.share_refused(),
            refused_without_retry_after: outcome.refused_without_when,
            sagas_per_s,
            steps_per_s,
            steps_per_saga: attempts.map(|steps| steps / ended),
            latency_ms: Latency {
                p50: millis(0.5),
                p90: millis(0.9),
                p99: millis(0.99),
                max: millis(1.0),
            },
            appends_per_saga: counts.map(|counts| counts.appends as f64 / ended),
            commits_per_saga: counts.map(|counts| counts.commits as f64 / ended),
            server_cpu_us: slice.cpu.map(micros),
            generator_cpu_us: slice.own_cpu.map(micros),
            faults_per_saga: slice.faults.map(|faults| faults as f64 / ended),
            server_peak_bytes: slice.peak,
        }
    }

    /// Writes that shared a commit.
    pub(super) fn appends_per_commit(&self) -> Option<f64> {
        let commits = self.commits_per_saga.filter(|commits| *commits > 0.0)?;
        Some(self.appends_per_saga? / commits)
    }

    /// Whether its sagas made as many steps as the raw ones, give or take a
    /// retry.
    fn same_work(&self, floor: &Floor) -> bool {
        let raw = floor.wasm_steps_per_saga;
        self.steps_per_saga.is_some_and(|steps| (steps - raw).abs() <= 0.02 * raw)
    }

    /// `None` where the two did other work.
    fn share_of(&self, floor: &Floor) -> Option<f64> {
        self.same_work(floor).then_some(self.sagas_per_s / floor.all_per_s)
    }

    fn alone(&self, floor: &Floor, chain: Option<u64>) -> Option<Alone> {
        let commits = self.commits_per_saga?.round();
        let beyond_us = self.latency_ms.p50 * 1e3 - commits * floor.commit_p50_us;
        Some(Alone {
            commits: commits as u64,
            beyond_us,
            step_beyond_us: chain.filter(|steps| *steps > 0).map(|steps| beyond_us / steps as f64),
        })
    }
}

impl Report {
    pub(super) fn new(args: &BenchArgs, name: &str) -> Self {
        Report {
            name: name.to_owned(),
            in_flight: args.in_flight,
            duration_s: args.duration.as_secs_f64(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            chain: args.chain,
            whole: None,
            against: None,
            floor: None,
            share_of_floor: None,
            other_share_of_floor: None,
            cpu_beyond_us: None,
            alone: None,
        }
    }

    /// Sagas that did not complete, of all hosts.
    pub(super) fn failed(&self) -> u64 {
        let other = self.against.as_ref().map(|against| &against.other);
        self.whole.iter().chain(other).map(|whole| whole.failed).sum()
    }

    /// What follows from the parts and the whole, where both were measured.
    pub(super) fn compare(&mut self) {
        let Some((whole, floor)) = self.whole.as_ref().zip(self.floor.as_ref()) else { return };
        let other = self.against.as_ref().map(|against| &against.other);
        self.share_of_floor = whole.share_of(floor);
        self.other_share_of_floor = other.and_then(|other| other.share_of(floor));
        self.cpu_beyond_us =
            whole.server_cpu_us.zip(floor.all_cpu_us).map(|(whole, parts)| whole - parts);
        if self.in_flight == 1 {
            self.alone = whole.alone(floor, self.chain);
        }
    }

    pub(super) fn json(&self) -> Value {
        // Numbers and texts only: this cannot fail.
        serde_json::to_value(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::outcome::Outcome;
    use super::super::slice::Counts;
    use super::*;

    fn whole(steps: u64, commits: u64) -> Whole {
        let slice = Slice {
            outcome: Outcome {
                latencies: vec![2_000; 100],
                in_time: 100,
                refused: 25,
                took: Duration::from_secs(1),
                ..Outcome::default()
            },
            duration: Duration::from_secs(1),
            counts: Some(Counts { appends: 200, commits, attempts: steps * 100 }),
            cpu: Some(Duration::from_millis(40)),
            ..Slice::default()
        };
        Whole::new(&slice, None)
    }

    fn floor() -> Floor {
        Floor {
            store_per_s: 500.0,
            wasm_per_s: 500.0,
            http_per_s: 1e9,
            all_per_s: 200.0,
            store_cpu_us: Some(100.0),
            wasm_cpu_us: Some(150.0),
            http_cpu_us: Some(50.0),
            all_cpu_us: Some(300.0),
            chunk_bytes: 1_000,
            writes_per_saga: 2.0,
            writes_per_commit: 1.0,
            commit_p50_us: 700.0,
            commit_p99_us: 900.0,
            wasm_steps_per_saga: 2.0,
        }
    }

    #[test]
    fn a_saga_is_told_by_the_server_s_counts() {
        let whole = whole(2, 50);
        assert_eq!((whole.sagas_per_s, whole.steps_per_saga), (100.0, Some(2.0)));
        assert_eq!((whole.appends_per_saga, whole.commits_per_saga), (Some(2.0), Some(0.5)));
        assert_eq!((whole.appends_per_commit(), whole.server_cpu_us), (Some(4.0), Some(400.0)));
        assert_eq!((whole.refused_per_s, whole.refused_share), (25.0, 0.2));
    }

    #[test]
    fn only_the_same_work_is_compared() {
        assert_eq!(whole(2, 50).share_of(&floor()), Some(0.5));
        assert_eq!(whole(3, 50).share_of(&floor()), None);
        let none = Floor { wasm_steps_per_saga: 0.0, ..floor() };
        assert_eq!(whole(0, 50).share_of(&none), Some(0.5));
    }

    #[test]
    fn a_saga_alone_is_compared_with_its_commits() {
        let alone = whole(2, 200).alone(&floor(), None).expect("is known");
        assert_eq!((alone.commits, alone.step_beyond_us), (2, None));
        assert!((alone.beyond_us - 600.0).abs() < 1e-6, "{alone:?}");
        let chain = whole(2, 103).alone(&floor(), Some(100)).expect("is known");
        assert_eq!(chain.commits, 1);
        assert!((chain.step_beyond_us.unwrap_or_default() - 13.0).abs() < 1e-6, "{chain:?}");
    }
}
