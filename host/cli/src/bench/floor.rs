//! What the parts allow: the store alone, and wasm alone.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use http_body_util::BodyExt;
use sagahost_core::Json;
use sagahost_wasm::{MakeInput, RawSaga, raw_saga_rate};
use serde::Serialize;
use serde_json::Value;

use crate::client::{BASE, Remote, encode};
use crate::exit::{Exit, fail};
use crate::local::{self, Local};
use crate::manifest::Loaded;
use crate::sse::Parser;
use crate::template::Template;

/// How long each part is measured, more or less.
const TIME: Duration = Duration::from_secs(3);

/// The size of a chunk of a journal where nothing says how large it is.
const CHUNK_BYTES: usize = 1_024;

/// What is to be measured.
pub(super) struct Spec {
    pub(super) data: PathBuf,
    pub(super) functions: Option<PathBuf>,
    pub(super) name: String,
    pub(super) input: Template,
    pub(super) in_flight: usize,
    pub(super) chunk_bytes: Option<usize>,
}

/// What the parts allow.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Floor {
    pub(super) store_per_s: f64,
    pub(super) wasm_per_s: f64,
    pub(super) both_per_s: f64,
    pub(super) chunk_bytes: usize,
    /// Sagas in a commit of the raw store.
    batch: usize,
    /// Attempts of activities in each raw saga: where the whole makes others,
    /// it did other work, and the two must not be compared.
    pub(super) wasm_steps_per_saga: f64,
}

/// What came of raw wasm.
struct Wasm {
    per_s: f64,
    steps_per_saga: f64,
}

pub(super) async fn measure(spec: Spec, loaded: &Loaded) -> Result<Floor> {
    let chunk_bytes = spec.chunk_bytes.unwrap_or(CHUNK_BYTES);
    let store_per_s = store(&spec, chunk_bytes).await?;
    let wasm = wasm(&spec, loaded).await?;
    let wasm_per_s = wasm.per_s;
    Ok(Floor {
        store_per_s,
        wasm_per_s,
        both_per_s: 1.0 / (1.0 / store_per_s + 1.0 / wasm_per_s),
        chunk_bytes,
        batch: spec.in_flight,
        wasm_steps_per_saga: wasm.steps_per_saga,
    })
}

async fn store(spec: &Spec, chunk_bytes: usize) -> Result<f64> {
    let dir = spec.data.join("raw-store");
    if dir.exists() {
        // Only what an earlier run left under this very name.
        std::fs::remove_dir_all(&dir).map_err(|error| {
            fail(Exit::Failed, format!("cannot empty {}: {error}", dir.display()))
        })?;
    }
    std::fs::create_dir_all(&dir)
        .map_err(|error| fail(Exit::Failed, format!("cannot make {}: {error}", dir.display())))?;
    let (batch, place) = (spec.in_flight, dir.clone());
    let rate = tokio::task::spawn_blocking(move || {
        // A short run says how many it takes to fill the time.
        let probe = sagahost_store::bench::raw_rate(
            &place.join("probe"),
            batch as u64 * 20,
            batch,
            chunk_bytes,
        )?;
        let sagas = (probe.per_second() * TIME.as_secs_f64()).clamp(1_000.0, 2e6) as u64;
        sagahost_store::bench::raw_rate(&place.join("run"), sagas, batch, chunk_bytes)
    })
    .await??;
    // The numbers are had; what is left is only in the way.
    let _ = std::fs::remove_dir_all(&dir);
    Ok(rate.per_second())
}

async fn wasm(spec: &Spec, loaded: &Loaded) -> Result<Wasm> {
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
        duration: TIME,
    };
    let rate = tokio::spawn(async move { raw_saga_rate(&runtime, &saga).await }).await??;
    if rate.sagas == 0 {
        return Err(fail(
            Exit::Failed,
            format!("raw wasm: none of {} runs of {} returned", rate.failed, spec.name),
        ));
    }
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
    Ok(Wasm {
        per_s: rate.per_second(),
        steps_per_saga: rate.activities as f64 / rate.sagas as f64,
    })
}

/// The input of each raw saga.
fn inputs(template: &Template) -> Result<MakeInput> {
    // What one of them is, all of them are: JSON or not.
    Json::parse(template.fill(0))?;
    let template = template.clone();
    Ok(Arc::new(move |number| Json::parse(template.fill(number)).unwrap_or_else(|_| Json::null())))
}

/// How large a chunk of the journal of such a saga is: what the events of one
/// take, divided by how often something was appended. `None` where the host
/// does not tell.
pub(super) async fn chunk_bytes(
    remote: &Remote,
    name: &str,
    appends: Option<f64>,
) -> Option<usize> {
    let path = format!("{BASE}/instances?runtimeStatus=Completed&top=100&showInput=false");
    let list = remote.get(&path).await.ok()?.ok().ok()?.value().ok()?;
    let of_this_name = |row: &&Value| row["name"].as_str() == Some(name);
    let id = list.as_array()?.iter().find(of_this_name)?["instanceId"].as_str()?.to_owned();
    let path = format!("/api/instances/{}/events", encode(&id));
    let request = remote.request(hyper::Method::GET, &path, bytes::Bytes::new()).ok()?;
    let response = remote.open(request).await.ok().filter(|response| response.status() == 200)?;
    let stream = response.into_body().collect().await.ok()?.to_bytes();
    // As the journal has it, an event stands in `[time,event],`.
    let bytes: usize = Parser::default()
        .push(&stream)
        .iter()
        .filter_map(|event| {
            let line: sagahost_http::JournalLine = serde_json::from_str(&event.data).ok()?;
            serde_json::to_vec(&sagahost_core::Record(line.time, line.event)).ok()
        })
        .map(|record| record.len() + 1)
        .sum();
    Some((bytes as f64 / appends.unwrap_or(2.0).max(1.0)) as usize)
}
