//! One attempt of an activity: a fresh instance, its limits, and what became
//! of it.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use sagahost_core::{Failure, FailureKind, Json, Logs, Millis, TaskId, UndoneStep};
use wasmtime::Store;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxBuilder};

use crate::bindings::{self, RunParams, RunResult};
use crate::capture::{self, Capture, Output, Sink, lock};
use crate::config::LOG_BUDGET;
use crate::engines::Hosting;
use crate::guest::{Guest, Role};
use crate::http::Outbound;
use crate::load::Prepared;
use crate::meter::{MemoryLimit, Meter, Metered};
use crate::rules::{Access, FunctionSettings};
use crate::traps::{self, End};

/// What an attempt is told.
#[derive(Clone, Debug)]
pub struct ActivityCall {
    /// The activity's name.
    pub function: String,
    /// Its input.
    pub input: Json,
    /// The orchestration that scheduled the step; for an undo, the one that
    /// scheduled the step it undoes, which may be a child of the one that
    /// undoes it.
    pub instance_id: String,
    /// The step's task id there.
    pub step: TaskId,
    /// Counted from 1.
    pub attempt: u32,
    /// The same for every attempt of the step.
    pub idempotency_key: String,
    /// The wall time it may take, in milliseconds.
    pub timeout_ms: u64,
    /// The W3C trace context.
    pub trace_parent: Option<String>,
    /// The step it undoes, where it is an undo.
    pub undone: Option<UndoneStep>,
    /// The component it runs on, deployed or not; what is deployed now, where
    /// there is none.
    pub digest: Option<String>,
}

/// What became of an attempt.
#[derive(Clone, Debug)]
pub struct ActivityReport {
    /// When it began: after it had waited for a slot, if it had to.
    pub started_at: Millis,
    /// Its result.
    pub outcome: Result<Json, Failure>,
    /// What it wrote.
    pub logs: Logs,
    /// How long it computed.
    pub cpu: Duration,
    /// The most memory it had, in bytes.
    pub peak_memory: u64,
}

impl ActivityReport {
    /// Of an attempt that did not begin.
    pub(crate) fn not_started(message: String) -> Self {
        Self::without_attempt(Failure::host(FailureKind::NotStarted, message))
    }

    /// The same, of a failure that says more.
    pub(crate) fn without_attempt(failure: Failure) -> Self {
        ActivityReport {
            started_at: now(),
            outcome: Err(failure),
            logs: Logs::default(),
            cpu: Duration::ZERO,
            peak_memory: 0,
        }
    }
}

pub(crate) fn now() -> Millis {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.map_or(0, |now| u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
}

/// The attempt a guest is.
pub(crate) struct Attempt {
    pub(crate) call: ActivityCall,
    pub(crate) deadline: Millis,
    pub(crate) stderr: Arc<Mutex<Capture>>,
}

impl Attempt {
    pub(crate) fn log_line(&self, word: &str, message: &str) {
        // A line is taken whole, and then the next: bounded, so that a
        // message of megabytes is not copied to be thrown away.
        let message = &message[..message.floor_char_boundary(LOG_BUDGET)];
        let mut stderr = lock(&self.stderr);
        stderr.write(format!("{word}: {message}\n").as_bytes());
    }
}

/// Runs the attempt to its end, whatever that is.
pub(crate) async fn run(
    hosting: &Hosting,
    prepared: &Prepared,
    settings: &FunctionSettings,
    call: ActivityCall,
) -> ActivityReport {
    let logs = usize::try_from(settings.logs).unwrap_or(usize::MAX);
    let stdout = Arc::new(Mutex::new(Capture::new(logs)));
    let stderr = Arc::new(Mutex::new(Capture::new(logs)));
    let wasi = match wasi(settings, &stdout, &stderr) {
        Ok(wasi) => wasi,
        Err(message) => return ActivityReport::not_started(message),
    };
    let started_at = now();
    let timeout = Duration::from_millis(call.timeout_ms);
    let meter = Arc::new(Meter::new(settings.cpu));
    let (name, input) = (call.function.clone(), call.input.clone());
    let guest = Guest {
        wasi,
        http: Default::default(),
        outbound: Outbound {
            granted: settings.http.clone().into(),
            trace_parent: call.trace_parent.as_deref().and_then(|text| text.parse().ok()),
            notes: Some(stderr.clone()),
        },
        table: ResourceTable::new(),
        memory: MemoryLimit::new(settings.memory),
        meter: meter.clone(),
        role: Role::Activity(Box::new(Attempt {
            deadline: started_at.saturating_add(call.timeout_ms),
            call,
            stderr: stderr.clone(),
        })),
    };
    let mut store = guest.store(&hosting.engine);
    let ended = {
        let call = std::pin::pin!(enter(hosting, &mut store, prepared, &name, input.as_str()));
        let metered = Metered { meter: &meter, inner: call };
        tokio::time::timeout(timeout, metered).await
    };
    let memory = &store.data().memory;
    let outcome = match ended {
        Err(_) => {
            Err(Failure::host(FailureKind::Timeout, format!("it took longer than its {timeout:?}")))
        }
        Ok(Err(error)) => match traps::classify(&error, memory, lock(&stderr).last_words()) {
            End::Failed(failure) => Err(failure),
            // Only orchestrators have a host that stops them.
            End::Stopped(reason) => Err(Failure::host(FailureKind::Trap, reason)),
        },
        Ok(Ok(result)) => accept(result, settings.output),
    };
    ActivityReport {
        started_at,
        outcome,
        logs: capture::logs(&stdout, &stderr),
        cpu: meter.spent(),
        peak_memory: memory.peak as u64,
    }
}

async fn enter(
    hosting: &Hosting,
    store: &mut Store<Guest>,
    prepared: &Prepared,
    name: &str,
    input: &str,
) -> wasmtime::Result<Result<String, bindings::types::Failure>> {
    let begun = Instant::now();
    let instance = prepared.pre.instantiate_async(&mut *store).await?;
    hosting.instantiation.observe_time(begun.elapsed());
    let run = instance.get_typed_func::<RunParams<'_>, RunResult>(&mut *store, &prepared.run)?;
    let (result,) = run.call_async(store, (name, input)).await?;
    Ok(result)
}

/// Checks what a guest returned: not too large, and JSON.
pub(crate) fn accept(
    result: Result<String, bindings::types::Failure>,
    limit: u64,
) -> Result<Json, Failure> {
    let size = match &result {
        Ok(output) => output.len(),
        Err(failure) => {
            failure.code.len()
                + failure.message.len()
                + failure.details.as_ref().map_or(0, String::len)
        }
    };
    if size as u64 > limit {
        let what = if result.is_ok() { "result" } else { "failure" };
        return Err(Failure::host(
            FailureKind::OutputLimit,
            format!("its {what} has {size} bytes, and its limit is {limit}"),
        ));
    }
    match result {
        Ok(output) => Json::parse(output).map_err(|error| {
            Failure::host(FailureKind::BadOutput, format!("its result is not JSON: {error}"))
        }),
        Err(failure) => Err(bindings::failure_from_guest(failure)),
    }
}

/// The world as the attempt sees it.
fn wasi(
    settings: &FunctionSettings,
    stdout: &Arc<Mutex<Capture>>,
    stderr: &Arc<Mutex<Capture>>,
) -> Result<WasiCtx, String> {
    let mut wasi = sealed();
    wasi.stdout(Output(stdout.clone()));
    wasi.stderr(Output(stderr.clone()));
    for (name, value) in &settings.env {
        wasi.env(name, value.reveal());
    }
    // File operations run where the guest runs. Handing each to another
    // thread would cost several times what most of them take.
    wasi.allow_blocking_current_thread(true);
    for dir in &settings.dirs {
        let perms = match dir.access {
            Access::Read => FsPerms::ReadOnly,
            Access::Write => FsPerms::ReadWrite,
        };
        if dir.access == Access::Write && !dir.host.exists() {
            // The error that matters is the one of opening it.
            let _ = std::fs::create_dir_all(&dir.host);
        }
        wasi.preopened_dir(&dir.host, &dir.guest, perms).map_err(|error| {
            format!(
                "the directory {} that the manifest grants as {} cannot be opened: {}",
                dir.host.display(),
                dir.guest,
                error.root_cause()
            )
        })?;
    }
    Ok(wasi.build())
}

/// A world in which there is nothing.
pub(crate) fn sealed() -> WasiCtxBuilder {
    let mut wasi = WasiCtx::builder();
    wasi.allow_tcp(false).allow_udp(false).allow_ip_name_lookup(false);
    wasi
}
