//! One attempt of an activity: a fresh instance, its limits, and what became
//! of it.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use sagahost_core::{Failure, FailureKind, Json, Logs, Millis, TaskId, UndoneStep};
use tokio::sync::Semaphore;
use wasmtime::Store;
use wasmtime::component::{Instance, ResourceTable};
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxBuilder};

use crate::bindings::{self, RunParams, RunResult};
use crate::capture::{self, Capture, Output, Sink, lock};
use crate::config::LOG_BUDGET;
use crate::engines::Hosting;
use crate::guest::{Guest, Role};
use crate::http::Outbound;
use crate::load::{Loaded, Prepared};
use crate::meter::{MemoryLimit, Meter, Metered};
use crate::reuse::Kept;
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

/// A guest and what it has been given, for one attempt; for several, one after
/// the other, where its rule says `reuse`.
pub(crate) struct Sandbox {
    store: Store<Guest>,
    /// None before its first attempt.
    instance: Option<Instance>,
    stdout: Arc<Mutex<Capture>>,
    stderr: Arc<Mutex<Capture>>,
    /// How many attempts it has served.
    served: u32,
}

impl Sandbox {
    fn new(hosting: &Hosting, settings: &FunctionSettings) -> Result<Self, String> {
        let stdout = Arc::new(Mutex::new(Capture::new(0)));
        let stderr = Arc::new(Mutex::new(Capture::new(0)));
        let guest = Guest {
            wasi: wasi(settings, &stdout, &stderr)?,
            http: Default::default(),
            outbound: Outbound::default(),
            table: ResourceTable::new(),
            memory: MemoryLimit::new(settings.memory),
            meter: Arc::new(Meter::new(settings.cpu)),
            role: Role::Idle,
        };
        let store = guest.store(&hosting.engine);
        Ok(Sandbox { store, instance: None, stdout, stderr, served: 0 })
    }

    /// Makes it the sandbox of this attempt.
    fn begin(&mut self, settings: &FunctionSettings, call: ActivityCall, deadline: Millis) {
        let logs = usize::try_from(settings.logs).unwrap_or(usize::MAX);
        *lock(&self.stdout) = Capture::new(logs);
        *lock(&self.stderr) = Capture::new(logs);
        self.served += 1;
        if self.served > 1 {
            // The epoch went on without it.
            self.store.set_epoch_deadline(1);
        }
        let guest = self.store.data_mut();
        guest.meter = Arc::new(Meter::new(settings.cpu));
        guest.outbound = Outbound {
            granted: settings.http.clone().into(),
            trace_parent: call.trace_parent.as_deref().and_then(|text| text.parse().ok()),
            notes: Some(self.stderr.clone()),
        };
        let stderr = self.stderr.clone();
        guest.role = Role::Activity(Box::new(Attempt { deadline, call, stderr }));
    }

    async fn enter(
        &mut self,
        hosting: &Hosting,
        prepared: &Prepared,
        name: &str,
        input: &str,
    ) -> wasmtime::Result<Result<String, bindings::types::Failure>> {
        let store = &mut self.store;
        let instance = match self.instance {
            Some(instance) => instance,
            None => {
                let begun = Instant::now();
                let instance = prepared.pre.instantiate_async(&mut *store).await?;
                hosting.instantiation.observe_time(begun.elapsed());
                *self.instance.insert(instance)
            }
        };
        let run =
            instance.get_typed_func::<RunParams<'_>, RunResult>(&mut *store, &prepared.run)?;
        let (result,) = run.call_async(store, (name, input)).await?;
        Ok(result)
    }
}

/// Where idle instances of the function wait.
pub(crate) struct Spare<'a> {
    pub(crate) kept: &'a Arc<Kept>,
    /// How many may wait, of all functions together.
    pub(crate) room: &'a Arc<Semaphore>,
    /// How long one may wait.
    pub(crate) longest: Duration,
}

/// Runs the attempt to its end, whatever that is.
pub(crate) async fn run(
    hosting: &Hosting,
    loaded: &Arc<Loaded>,
    prepared: &Prepared,
    settings: &FunctionSettings,
    spare: Spare<'_>,
    call: ActivityCall,
) -> ActivityReport {
    let kept = settings.reuse.and_then(|_| spare.kept.take(loaded));
    let mut sandbox = match kept.map_or_else(|| Sandbox::new(hosting, settings), Ok) {
        Ok(sandbox) => sandbox,
        Err(message) => return ActivityReport::not_started(message),
    };
    let started_at = now();
    let deadline = started_at.saturating_add(call.timeout_ms);
    let timeout = Duration::from_millis(call.timeout_ms);
    let (name, input) = (call.function.clone(), call.input.clone());
    sandbox.begin(settings, call, deadline);
    let meter = sandbox.store.data().meter.clone();
    let ended = {
        let call = std::pin::pin!(sandbox.enter(hosting, prepared, &name, input.as_str()));
        let metered = Metered { meter: &meter, inner: call };
        tokio::time::timeout(timeout, metered).await
    };
    let memory = &sandbox.store.data().memory;
    let answered = matches!(ended, Ok(Ok(_)));
    let outcome = match ended {
        Err(_) => {
            Err(Failure::host(FailureKind::Timeout, format!("it took longer than its {timeout:?}")))
        }
        Ok(Err(error)) => {
            match traps::classify(&error, memory, lock(&sandbox.stderr).last_words()) {
                End::Failed(failure) => Err(failure),
                // Only orchestrators have a host that stops them.
                End::Stopped(reason) => Err(Failure::host(FailureKind::Trap, reason)),
            }
        }
        Ok(Ok(result)) => accept(result, settings.output),
    };
    let report = ActivityReport {
        started_at,
        outcome,
        logs: capture::logs(&sandbox.stdout, &sandbox.stderr),
        cpu: meter.spent(),
        peak_memory: memory.peak as u64,
    };
    // One that trapped, or was left while it ran, is never entered again.
    if answered && settings.reuse.is_some_and(|most| sandbox.served < most.get()) {
        sandbox.store.data_mut().role = Role::Idle;
        spare.kept.put(&spare, loaded, sandbox);
    }
    report
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
        let mut opened = wasi.preopened_dir(&dir.host, &dir.guest, perms).map(drop);
        if opened.is_err() && dir.access == Access::Write && !dir.host.exists() {
            // The error that matters is the one of opening it.
            let _ = std::fs::create_dir_all(&dir.host);
            opened = wasi.preopened_dir(&dir.host, &dir.guest, perms).map(drop);
        }
        opened.map_err(|error| {
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
