//! What was measured, for people and for programs.

use std::io;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::BenchArgs;
use super::floor::Floor;
use super::load::Outcome;
use super::server::Sample;
use crate::output::{self, Paint};
use crate::units::{size, took};

/// Everything that was measured.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    name: String,
    in_flight: usize,
    duration_s: f64,
    cores: usize,
    pub(super) whole: Option<Whole>,
    pub(super) floor: Option<Floor>,
    /// The whole as a share of what the floor allows.
    share_of_floor: Option<f64>,
}

/// The whole host under load.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Whole {
    pub(super) sagas: u64,
    pub(super) failed: u64,
    first_failure: Option<String>,
    pub(super) sagas_per_s: f64,
    steps_per_s: Option<f64>,
    /// Attempts the server counted.
    steps_per_saga: Option<f64>,
    latency_ms: Latency,
    pub(super) appends_per_saga: Option<f64>,
    commits_per_saga: Option<f64>,
    /// Per thousand sagas, in seconds.
    server_cpu_s: Option<f64>,
    generator_cpu_s: Option<f64>,
    server_peak_bytes: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Latency {
    p50: f64,
    p90: f64,
    p99: f64,
    max: f64,
}

type Moment = (Sample, Option<Duration>);

impl Whole {
    pub(super) fn new(
        outcome: &Outcome,
        duration: Duration,
        chain: Option<u64>,
        (before, own_before): Moment,
        (after, own_after): Moment,
    ) -> Self {
        let ended = outcome.ended().max(1) as f64;
        let stats = before.stats.zip(after.stats);
        let counted = |count: fn(&super::server::Stats) -> u64| {
            stats.map(|(before, after)| count(&after).saturating_sub(count(&before)) as f64)
        };
        let per_thousand = |before: Option<Duration>, after: Option<Duration>| {
            let used = after?.checked_sub(before?)?;
            Some(used.as_secs_f64() * 1_000.0 / ended)
        };
        let millis = |share| outcome.percentile(share).as_secs_f64() * 1e3;
        let sagas_per_s = outcome.in_time as f64 / duration.as_secs_f64();
        let steps_per_s = match chain {
            Some(steps) => Some(sagas_per_s * steps as f64),
            None => counted(|stats| stats.attempts).map(|steps| steps / outcome.took.as_secs_f64()),
        };
        Whole {
            sagas: outcome.latencies.len() as u64,
            failed: outcome.failed,
            first_failure: outcome.first_failure.clone(),
            sagas_per_s,
            steps_per_s,
            steps_per_saga: counted(|stats| stats.attempts).map(|steps| steps / ended),
            latency_ms: Latency {
                p50: millis(0.5),
                p90: millis(0.9),
                p99: millis(0.99),
                max: millis(1.0),
            },
            appends_per_saga: counted(|stats| stats.appends).map(|appends| appends / ended),
            commits_per_saga: counted(|stats| stats.commits).map(|commits| commits / ended),
            server_cpu_s: per_thousand(before.cpu, after.cpu),
            generator_cpu_s: per_thousand(own_before, own_after),
            server_peak_bytes: after.peak,
        }
    }
}

impl Report {
    pub(super) fn new(args: &BenchArgs, name: &str) -> Self {
        Report {
            name: name.to_owned(),
            in_flight: args.in_flight,
            duration_s: args.duration.as_secs_f64(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            whole: None,
            floor: None,
            share_of_floor: None,
        }
    }

    /// `None` where there is nothing to compare, or the two did other work.
    fn share(&self) -> Option<f64> {
        let (whole, floor) = (self.whole.as_ref()?, self.floor.as_ref()?);
        whole.same_work(floor).then_some(whole.sagas_per_s / floor.both_per_s)
    }

    pub(super) fn json(mut self: Report) -> Value {
        self.share_of_floor = self.share();
        // Numbers and texts only: this cannot fail.
        serde_json::to_value(&self).unwrap_or_default()
    }

    pub(super) fn print(&self, paint: Paint) -> io::Result<()> {
        let line = |label: &str, value: String| output::line(&format!("  {label:22} {value}"));
        output::line(&format!(
            "{}, {} in flight, {} cores",
            paint.bold(&self.name),
            self.in_flight,
            self.cores
        ))?;
        if let Some(whole) = &self.whole {
            whole.print(paint, line)?;
        }
        let Some(floor) = &self.floor else { return Ok(()) };
        let chunk = size(floor.chunk_bytes as u64);
        line(
            "raw store",
            format!("{:.0} sagas/s (2 appends a saga, {chunk} each)", floor.store_per_s),
        )?;
        line("raw wasm", format!("{:.0} sagas/s", floor.wasm_per_s))?;
        line("both would allow", format!("{:.0} sagas/s", floor.both_per_s))?;
        let appends = self.whole.as_ref().and_then(|whole| whole.appends_per_saga);
        if let Some(appends) = appends.filter(|appends| (appends / 2.0 - 1.0).abs() > 0.05) {
            line(
                "note",
                paint.yellow(&format!(
                    "the whole made {appends:.2} appends a saga, the raw store 2"
                )),
            )?;
        }
        match (self.share(), &self.whole) {
            (Some(share), _) => {
                line("the whole is", paint.bold(&format!("{:.0} % of that", share * 100.0)))
            }
            (None, Some(whole)) => {
                let there = whole
                    .steps_per_saga
                    .map_or("an unknown number of".to_owned(), |steps| format!("{steps:.2}"));
                let raw = floor.wasm_steps_per_saga;
                line(
                    "not comparable",
                    paint.red(&format!("raw wasm made {raw:.2} steps a saga, the whole {there}")),
                )
            }
            (None, None) => line("steps a raw saga", format!("{:.2}", floor.wasm_steps_per_saga)),
        }
    }
}

impl Whole {
    /// Whether its sagas made as many steps as the raw ones, give or take a
    /// retry.
    fn same_work(&self, floor: &Floor) -> bool {
        self.steps_per_saga
            .is_some_and(|steps| (steps / floor.wasm_steps_per_saga - 1.0).abs() < 0.02)
    }

    fn print(&self, paint: Paint, line: impl Fn(&str, String) -> io::Result<()>) -> io::Result<()> {
        let of = |millis: f64| took(Duration::from_secs_f64(millis / 1e3));
        line("sagas", format!("{} completed, {} did not", self.sagas, self.failed))?;
        if let Some(failure) = &self.first_failure {
            line("", paint.red(&format!("the first of those: {failure}")))?;
        }
        line("rate", paint.bold(&format!("{:.0} sagas/s", self.sagas_per_s)))?;
        if let Some(steps) = self.steps_per_s {
            line("steps", format!("{steps:.0} steps/s"))?;
        }
        let Latency { p50, p90, p99, max } = self.latency_ms;
        line(
            "start to completion",
            format!("p50 {}  p90 {}  p99 {}  max {}", of(p50), of(p90), of(p99), of(max)),
        )?;
        if let Some((appends, commits)) = self.appends_per_saga.zip(self.commits_per_saga) {
            line("per saga", format!("{appends:.2} durable appends, in {commits:.2} commits"))?;
        }
        if let Some(cpu) = self.server_cpu_s {
            line("server CPU", format!("{cpu:.2} s per thousand sagas"))?;
        }
        if let Some(cpu) = self.generator_cpu_s {
            line("this program's CPU", format!("{cpu:.2} s per thousand sagas"))?;
        }
        if let Some(peak) = self.server_peak_bytes {
            line("server memory, peak", size(peak))?;
        }
        Ok(())
    }
}
