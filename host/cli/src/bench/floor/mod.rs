//! What the parts allow: the store alone, wasm alone, and HTTP alone.

pub(super) mod bare;
mod chunk;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use anyhow::Result;
use sagahost_core::Json;
use sagahost_store::bench::{RawShape, raw_commits, raw_sagas};
use sagahost_wasm::{MakeInput, RawSaga, raw_saga_rate};
use serde::Serialize;

use self::bare::Bare;
pub(super) use self::chunk::chunk_bytes;
use super::load::Load;
use super::outcome::{Answer, Outcome, percentile};
use super::server::cpu_of;
use crate::exit::{Exit, fail};
use crate::local::{self, Local};
use crate::manifest::Loaded;
use crate::template::Template;

/// How long each part is measured, more or less: this share of the time that the
/// whole was, within these bounds.
const SHARE: f64 = 0.3;
const TIME: [f64; 2] = [1.0, 10.0];

/// The size of a chunk of a journal where nothing says how large it is.
const CHUNK_BYTES: usize = 1_024;

/// Raw commits that are timed.
const COMMITS: u64 = 1_000;

/// What is to be measured.
pub(super) struct Spec {
    pub(super) data: PathBuf,
    pub(super) functions: Option<PathBuf>,
    pub(super) name: String,
    pub(super) input: Template,
    pub(super) in_flight: usize,
    /// How long the whole was measured.
    pub(super) duration: Duration,
    pub(super) chunk_bytes: Option<usize>,
    /// Writes of each saga of the whole.
    pub(super) writes: Option<f64>,
    /// Writes of each commit of the whole.
    pub(super) batch: Option<f64>,
    /// What the host answers.
    pub(super) answer: Option<Answer>,
}

impl Spec {
    fn time(&self) -> Duration {
        Duration::from_secs_f64((self.duration.as_secs_f64() * SHARE).clamp(TIME[0], TIME[1]))
    }

    fn shape(&self) -> RawShape {
        RawShape {
            writes: self.writes.unwrap_or(2.0).max(1.0),
            batch: self.batch.unwrap_or(self.in_flight as f64).max(1.0),
            chunk_bytes: self.chunk_bytes.unwrap_or(CHUNK_BYTES),
        }
    }
}

/// What the parts allow.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Floor {
    pub(super) store_per_s: f64,
    pub(super) wasm_per_s: f64,
    pub(super) http_per_s: f64,
    /// All three, one after the other.
    pub(super) all_per_s: f64,
    /// CPU of each part for a saga, in microseconds.
    pub(super) store_cpu_us: Option<f64>,
    pub(super) wasm_cpu_us: Option<f64>,
    pub(super) http_cpu_us: Option<f64>,
    /// Their sum.
    pub(super) all_cpu_us: Option<f64>,
    pub(super) chunk_bytes: usize,
    /// Writes of a saga of the raw store, and of a commit.
    pub(super) writes_per_saga: f64,
    pub(super) writes_per_commit: f64,
    /// How long a commit of one write takes, in microseconds.
    pub(super) commit_p50_us: f64,
    pub(super) commit_p99_us: f64,
    /// Attempts of activities in each raw saga: where the whole makes others,
    /// it did other work, and the two must not be compared.
    pub(super) wasm_steps_per_saga: f64,
}

/// What one part does in a second, and the CPU of each in microseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    per_s: f64,
    cpu_us: Option<f64>,
}

impl Part {
    /// `None` where nothing was done.
    fn of(count: u64, elapsed: Duration, cpu: Option<Duration>) -> Option<Self> {
        (count > 0).then(|| Part {
            per_s: count as f64 / elapsed.as_secs_f64(),
            cpu_us: cpu.map(|cpu| cpu.as_secs_f64() * 1e6 / count as f64),
        })
    }
}

/// The rate of something that takes the time of all of these, one after the other.
fn one_after_the_other(rates: &[f64]) -> f64 {
    1.0 / rates.iter().map(|rate| 1.0 / rate).sum::<f64>()
}

/// CPU time that this process used for something.
fn own_cpu(before: Option<Duration>) -> Option<Duration> {
    cpu_of(std::process::id())?.checked_sub(before?)
}

/// What a bare HTTP server does, under the load that the host had.
pub(super) async fn http(spec: &Spec) -> Result<Part> {
    let bare = Bare::start(&spec.answer.clone().unwrap_or_default())?;
    let load = Load {
        remote: bare.remote.clone(),
        name: spec.name.clone(),
        input: spec.input.clone(),
        in_flight: spec.in_flight,
        waits: true,
        counter: AtomicU64::new(1),
    };
    load.run(spec.time() / 10, None).await?;
    let before = cpu_of(bare.pid());
    let Outcome { latencies, took, .. } = load.run(spec.time(), None).await?;
    let cpu = cpu_of(bare.pid()).zip(before).map(|(after, before)| after.saturating_sub(before));
    Part::of(latencies.len() as u64, took, cpu)
        .ok_or_else(|| fail(Exit::Failed, "the bare HTTP server answered nothing"))
}

/// The other parts, and what all of them come to.
pub(super) async fn measure(spec: Spec, http: Part, loaded: &Loaded) -> Result<Floor> {
    let shape = spec.shape();
    let (store, commits) = store(&spec, shape).await?;
    let (wasm, wasm_steps_per_saga) = wasm(&spec, loaded).await?;
    let cpu = [store.cpu_us, wasm.cpu_us, http.cpu_us];
    let micros = |share| percentile(&commits, share).as_secs_f64() * 1e6;
    Ok(Floor {
        store_per_s: store.per_s,
        wasm_per_s: wasm.per_s,
        http_per_s: http.per_s,
        all_per_s: one_after_the_other(&[store.per_s, wasm.per_s, http.per_s]),
        store_cpu_us: store.cpu_us,
        wasm_cpu_us: wasm.cpu_us,
        http_cpu_us: http.cpu_us,
        all_cpu_us: cpu.into_iter().sum(),
        chunk_bytes: shape.chunk_bytes,
        writes_per_saga: shape.writes,
        writes_per_commit: shape.batch,
        commit_p50_us: micros(0.5),
        commit_p99_us: micros(0.99),
        wasm_steps_per_saga,
    })
}

/// What the store does alone; and how long each of many single commits takes, in
/// microseconds, in order.
async fn store(spec: &Spec, shape: RawShape) -> Result<(Part, Vec<u32>)> {
    let dir = spec.data.join("raw-store");
    if dir.exists() {
        // Only what an earlier run left under this very name.
        std::fs::remove_dir_all(&dir).map_err(|error| {
            fail(Exit::Failed, format!("cannot empty {}: {error}", dir.display()))
        })?;
    }
    std::fs::create_dir_all(&dir)
        .map_err(|error| fail(Exit::Failed, format!("cannot make {}: {error}", dir.display())))?;
    let (place, time) = (dir.clone(), spec.time());
    let measured = tokio::task::spawn_blocking(move || store_in(&place, shape, time)).await?;
    // The numbers are had; what is left is only in the way.
    let _ = std::fs::remove_dir_all(&dir);
    measured
}

fn store_in(dir: &Path, shape: RawShape, time: Duration) -> Result<(Part, Vec<u32>)> {
    // A short run says how many it takes to fill the time.
    let probe = (shape.batch * 20.0) as u64;
    let (sagas, elapsed) = raw_sagas(&dir.join("probe"), probe, shape)?;
    let sagas = sagas as f64 / elapsed.as_secs_f64() * time.as_secs_f64();
    let before = cpu_of(std::process::id());
    let (sagas, elapsed) = raw_sagas(&dir.join("run"), sagas.clamp(20.0, 2e6) as u64, shape)?;
    let cpu = own_cpu(before);
    let commits = raw_commits(&dir.join("commits"), COMMITS, shape.writes, shape.chunk_bytes)?;
    let mut commits: Vec<u32> =
        commits.iter().map(|took| u32::try_from(took.as_micros()).unwrap_or(u32::MAX)).collect();
    commits.sort_unstable();
    let part = Part::of(sagas, elapsed, cpu)
        .ok_or_else(|| fail(Exit::Failed, "the raw store wrote nothing"))?;
    Ok((part, commits))
}

/// What wasm does alone, and the activities of a saga.
async fn wasm(spec: &Spec, loaded: &Loaded) -> Result<(Part, f64)> {
    let Local { runtime, .. } = local::open(loaded, spec.functions.as_deref()).await?;
    if runtime.function(&spec.name).is_none() {
        return Err(fail(
            Exit::NotFound,
            format!(
                "--floor needs the component with {}: give --functions DIR, or build it first (`sagahost build`)",
                spec.name
            ),
        ));
    }
    let saga = RawSaga {
        orchestrator: spec.name.clone(),
        input: inputs(&spec.input)?,
        in_flight: spec.in_flight,
        duration: spec.time(),
    };
    let before = cpu_of(std::process::id());
    let rate = tokio::spawn(async move { raw_saga_rate(&runtime, &saga).await }).await??;
    let cpu = own_cpu(before);
    let Some(part) = Part::of(rate.sagas, rate.elapsed, cpu) else {
        return Err(fail(
            Exit::Failed,
            format!("raw wasm: none of {} runs of {} returned", rate.failed, spec.name),
        ));
    };
    if rate.failed > 0 {
        return Err(fail(
            Exit::Failed,
            format!(
                "raw wasm: {} of {} runs of {} did not return",
                rate.failed,
                rate.failed + rate.sagas,
                spec.name
            ),
        ));
    }
    Ok((part, rate.activities as f64 / rate.sagas as f64))
}

/// The input of each raw saga.
fn inputs(template: &Template) -> Result<MakeInput> {
    // What one of them is, all of them are: JSON or not.
    Json::parse(template.fill(0))?;
    let template = template.clone();
    Ok(Arc::new(move |number| Json::parse(template.fill(number)).unwrap_or_else(|_| Json::null())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_add_up_as_the_time_of_each_does() {
        // 1 ms, 2 ms and 1 ms.
        assert_eq!(one_after_the_other(&[1_000.0, 500.0, 1_000.0]), 250.0);
        assert_eq!(one_after_the_other(&[40.0]), 40.0);
    }

    #[test]
    fn a_part_is_told_by_the_saga() {
        let second = Duration::from_secs(1);
        let part = Part::of(500, second, Some(Duration::from_millis(50))).expect("was done");
        assert_eq!((part.per_s, part.cpu_us), (500.0, Some(100.0)));
        assert!(Part::of(0, second, None).is_none());
    }

    fn spec(duration: u64) -> Spec {
        Spec {
            data: PathBuf::new(),
            functions: None,
            name: "OrderSaga".to_owned(),
            input: Template::new("null"),
            in_flight: 64,
            duration: Duration::from_secs(duration),
            chunk_bytes: None,
            writes: None,
            batch: None,
            answer: None,
        }
    }

    #[test]
    fn the_raw_store_writes_what_the_whole_did() {
        let shape = spec(10).shape();
        assert_eq!((shape.writes, shape.batch, shape.chunk_bytes), (2.0, 64.0, CHUNK_BYTES));
        let measured =
            Spec { writes: Some(1.0), batch: Some(5.5), chunk_bytes: Some(700), ..spec(10) };
        let shape = measured.shape();
        assert_eq!((shape.writes, shape.batch, shape.chunk_bytes), (1.0, 5.5, 700));
    }

    #[test]
    fn parts_are_measured_for_a_part_of_the_time() {
        assert_eq!([1, 10, 600].map(|whole| spec(whole).time().as_secs()), [1, 3, 10]);
    }
}
