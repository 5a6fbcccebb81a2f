//! Asking a component what it has, in a world in which there is nothing.

use std::pin::pin;
use std::sync::{Arc, Mutex};

use sagahost_core::Failure;
use wasmtime::{Engine, Store};

use crate::bindings::{RunParams, RunResult};
use crate::capture::lock;
use crate::config::{DESCRIBE_CPU, DESCRIBE_TIME, MAX_DESCRIPTION};
use crate::error::Refusal;
use crate::fiber::Waiting;
use crate::guest::{Guest, Orchestrator};
use crate::load::Trial;
use crate::meter::Metered;
use crate::orchestration::NoOrchestration;
use crate::orchestrator::{self, Limits};
use crate::traps::{self, End};

/// Calls `describe`, and checks that what else there is has its type.
pub(crate) async fn describe(
    engine: &Engine,
    limits: Limits,
    trial: &Trial,
) -> Result<String, Refusal> {
    let refuse = |reason: String| Refusal::Describe { reason };
    let waiting = Arc::new(Waiting::new(DESCRIBE_CPU));
    let orchestrator =
        Orchestrator { host: Arc::new(Mutex::new(NoOrchestration)), waiting: waiting.clone() };
    let (mut store, stderr) = orchestrator::store(engine, limits, orchestrator);
    let called = {
        let call = pin!(call_describe(&mut store, trial));
        let metered = Metered { meter: &waiting.meter, inner: call };
        tokio::time::timeout(DESCRIBE_TIME, metered).await
    };
    let text = match called {
        Err(_) => return Err(refuse(format!("it took longer than {DESCRIBE_TIME:?}"))),
        Ok(Ok(text)) => text,
        Ok(Err(CallError::Shape(reason))) => return Err(Refusal::Mismatch { reason }),
        Ok(Err(CallError::Ended(error))) => {
            let memory = &store.data().memory;
            let words = lock(&stderr).last_words();
            let (End::Stopped(reason) | End::Failed(Failure { message: reason, .. })) =
                traps::classify(&error, memory, words);
            return Err(refuse(reason));
        }
    };
    if text.len() > MAX_DESCRIPTION {
        let size = text.len();
        return Err(refuse(format!(
            "its description has {size} bytes, and at most {MAX_DESCRIPTION} are accepted"
        )));
    }
    Ok(text)
}

/// Why a call gave nothing.
enum CallError {
    /// The export has another type than the contract says.
    Shape(String),
    /// The guest did not return.
    Ended(wasmtime::Error),
}

async fn call_describe(store: &mut Store<Guest>, trial: &Trial) -> Result<String, CallError> {
    let shape = |error: wasmtime::Error| CallError::Shape(format!("{error:#}"));
    let instance = trial.pre.instantiate_async(&mut *store).await;
    let instance = instance.map_err(CallError::Ended)?;
    // The other exports are not called here, and are to have their types.
    let runs = [&trial.exports.run_activity, &trial.exports.run_orchestrator];
    for run in runs.into_iter().flatten() {
        let run = instance.get_typed_func::<RunParams<'_>, RunResult>(&mut *store, run);
        run.map_err(shape)?;
    }
    let describe = trial.exports.describe.as_ref();
    let describe = describe.ok_or_else(|| CallError::Shape("there is no `describe`".to_owned()))?;
    let describe = instance.get_typed_func::<(), (String,)>(&mut *store, describe);
    let (text,) = describe.map_err(shape)?.call_async(store, ()).await.map_err(CallError::Ended)?;
    Ok(text)
}
