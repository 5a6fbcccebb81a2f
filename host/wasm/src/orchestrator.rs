//! One orchestrator, from its beginning to its end.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use sagahost_core::{FailureKind, Json, LogLevel};
use wasmtime::component::ResourceTable;
use wasmtime::{Engine, Store};

use crate::activity;
use crate::bindings::{self, RunParams, RunResult};
use crate::capture::{LogLines, Output, lock};
use crate::config::WasmConfig;
use crate::fiber::FiberEnd;
use crate::guest::{Guest, Orchestrator, Role};
use crate::http::Outbound;
use crate::load::Loaded;
use crate::meter::MemoryLimit;
use crate::metrics::Histogram;
use crate::traps::{self, End};

/// What an orchestrator may take; its time is counted by its meter.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    memory: u64,
    output: u64,
}

impl Limits {
    pub(crate) fn of(config: &WasmConfig) -> Self {
        Limits { memory: config.orchestrator_memory, output: config.orchestrator_output as u64 }
    }
}

/// The store of an orchestrator, in which there is nothing but its host; and
/// where its stderr goes.
pub(crate) fn store(
    engine: &Engine,
    limits: Limits,
    orchestrator: Orchestrator,
) -> (Store<Guest>, Arc<Mutex<LogLines>>) {
    let lines = |level| {
        let (host, logs) = (&orchestrator.host, &orchestrator.waiting.logs);
        Arc::new(Mutex::new(LogLines::new(host.clone(), logs.clone(), level)))
    };
    let stderr = lines(LogLevel::Warn);
    let mut wasi = activity::sealed();
    wasi.stdout(Output(lines(LogLevel::Info)));
    wasi.stderr(Output(stderr.clone()));
    let guest = Guest {
        wasi: wasi.build(),
        http: Default::default(),
        outbound: Outbound::default(),
        table: ResourceTable::new(),
        memory: MemoryLimit::new(limits.memory),
        meter: orchestrator.waiting.meter.clone(),
        role: Role::Orchestrator(orchestrator),
    };
    (guest.store(engine), stderr)
}

/// An orchestrator from its beginning to its end.
pub(crate) async fn run(
    engine: Engine,
    instantiation: Histogram,
    limits: Limits,
    loaded: Arc<Loaded>,
    orchestrator: Orchestrator,
    name: String,
    input: Json,
) -> FiberEnd {
    let (mut store, stderr) = store(&engine, limits, orchestrator);
    let called = async {
        let Some(prepared) = loaded.orchestrators.get() else {
            // Looked at before the fiber was made, and never taken back.
            return Err(wasmtime::Error::msg("its component was not loaded"));
        };
        let begun = Instant::now();
        let instance = prepared.pre.instantiate_async(&mut store).await?;
        instantiation.observe_time(begun.elapsed());
        let run = instance.get_typed_func::<RunParams<'_>, RunResult>(&mut store, &prepared.run)?;
        let (result,) = run.call_async(&mut store, (name.as_str(), input.as_str())).await?;
        Ok::<Result<String, bindings::types::Failure>, _>(result)
    }
    .await;
    match called {
        Ok(result) => match activity::accept(result, limits.output) {
            Err(failure) if failure.kind != FailureKind::Returned => FiberEnd::Trapped(failure),
            returned => FiberEnd::Returned(returned),
        },
        Err(error) => {
            let words = lock(&stderr).last_words();
            match traps::classify(&error, &store.data().memory, words) {
                End::Stopped(reason) => FiberEnd::Stopped(reason),
                End::Failed(failure) => FiberEnd::Trapped(failure),
            }
        }
    }
}
