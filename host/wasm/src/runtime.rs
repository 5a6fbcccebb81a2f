//! The way in.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use bytes::Bytes;
use sagahost_core::{Failure, FailureKind, Json};
use tokio::sync::{Semaphore, SemaphorePermit, watch};

use crate::activity::{self, ActivityCall, ActivityReport, Spare};
use crate::ask;
use crate::cache::{self, Cache};
use crate::capture::lock;
use crate::config::{MAX_OUTBOUND, WasmConfig};
use crate::describe;
use crate::engines::{Engines, Kind, Side};
use crate::error::{Refusal, WasmError};
use crate::fiber::{Fiber, Waiting};
use crate::function::{Function, FunctionKind};
use crate::guest::Orchestrator;
use crate::http_step::{self, HttpStep};
use crate::inspect;
use crate::load::{Loaded, Pinned, Trial, try_component};
use crate::metrics::Instantiations;
use crate::orchestration::OrchestrationHost;
use crate::orchestrator;
use crate::registry::{Candidate, Deployment, Registry, Table};
use crate::reuse::Kept;
use crate::rules::{FunctionSettings, Rules};

/// Engines, registry, rules. Cheap to clone: all clones are one.
#[derive(Clone)]
pub struct Runtime(Arc<Inner>);

struct Inner {
    config: WasmConfig,
    engines: Engines,
    cache: Cache,
    registry: Registry,
    ruling: RwLock<Arc<Ruling>>,
    /// Counts how often there were other rules.
    rulings: watch::Sender<u64>,
    activities: Semaphore,
    /// How many instances may wait for another attempt.
    idle: Arc<Semaphore>,
    outbound: Semaphore,
    orchestrators: Arc<Semaphore>,
}

/// The rules, and what they say about each function that was asked for.
struct Ruling {
    rules: Rules,
    functions: Mutex<HashMap<String, Arc<Governed>>>,
}

/// A function's settings, and the queue in front of it.
struct Governed {
    settings: Arc<FunctionSettings>,
    /// Its idle instances.
    kept: Arc<Kept>,
    concurrency: Option<Semaphore>,
}

impl Governed {
    /// Waits for the function's turn, if it has to take turns. The semaphore
    /// is never closed.
    async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.concurrency.as_ref()?.acquire().await.ok()
    }
}

/// An attempt of this function may run before its step is durable: nothing was
/// granted to it, so nothing but its result leaves its sandbox. It runs by the
/// rules of the moment at which that was decided.
pub struct Ahead(Arc<Governed>);

impl Ruling {
    fn new(rules: Rules) -> Self {
        Ruling { rules, functions: Mutex::new(HashMap::new()) }
    }

    fn of(&self, function: &str) -> Arc<Governed> {
        let mut functions = lock(&self.functions);
        if let Some(governed) = functions.get(function) {
            return governed.clone();
        }
        let settings = self.rules.settings(function);
        let governed = Arc::new(Governed {
            concurrency: settings.concurrency.map(|count| Semaphore::new(count as usize)),
            settings: Arc::new(settings),
            kept: Arc::default(),
        });
        functions.insert(function.to_owned(), governed.clone());
        governed
    }
}

impl Runtime {
    /// Starts the engines, and the thread that interrupts guests. That one
    /// ends with the last clone.
    ///
    /// # Errors
    /// When the system does not give what the configuration asks for, or the
    /// folder for components cannot be used.
    pub fn new(config: WasmConfig) -> Result<Self, WasmError> {
        let cache = Cache::new(&config.cache_dir)?;
        let engines = Engines::new(&config)?;
        Ok(Runtime(Arc::new(Inner {
            activities: Semaphore::new(config.max_activities as usize),
            idle: Arc::new(Semaphore::new(config.max_idle() as usize)),
            outbound: Semaphore::new(MAX_OUTBOUND),
            orchestrators: Arc::new(Semaphore::new(engines.max_orchestrators as usize)),
            cache,
            engines,
            registry: Registry::default(),
            ruling: RwLock::new(Arc::new(Ruling::new(Rules::default()))),
            rulings: watch::Sender::new(0),
            config,
        })))
    }

    /// How many orchestrators there is room for.
    pub fn max_orchestrators(&self) -> u32 {
        self.0.engines.max_orchestrators
    }

    /// How long guests took to come into memory since the start.
    pub fn instantiations(&self) -> Instantiations {
        let of = |kind| self.0.engines.of(kind).instantiation.clone();
        Instantiations { orchestrators: of(Kind::Orchestrators), activities: of(Kind::Activities) }
    }

    /// How many orchestrators are in memory.
    pub fn live_orchestrators(&self) -> u32 {
        let free = self.0.orchestrators.available_permits();
        self.max_orchestrators().saturating_sub(free as u32)
    }

    /// Compiles a component, checks it, and asks it what it has. Nothing
    /// takes effect before [`Self::activate`].
    ///
    /// # Errors
    /// Why it cannot be deployed.
    pub async fn check(&self, component: &str, bytes: Bytes) -> Result<Candidate, Refusal> {
        if !describe::is_name(component) {
            return Err(Refusal::Name { name: component.to_owned() });
        }
        inspect::check_header(&bytes)?;
        let (side, digest, trial) = {
            let (inner, bytes) = (self.0.clone(), bytes.clone());
            blocking(move || {
                let side = inspect::likely_side(&bytes);
                let digest = cache::digest(&bytes);
                let trial = try_component(&inner.engines, &inner.cache, side, &digest, &bytes)?;
                Ok::<_, Refusal>((side, digest, trial))
            })
            .await?
        };
        let hosting = self.0.engines.of(trial.kind);
        let limits = orchestrator::Limits::of(&self.0.config);
        let text = ask::describe(&hosting.engine, limits, &trial).await?;
        let functions = describe::parse(&text, component, &digest)?;
        let sides = needed_sides(&functions, &trial)?;
        let deployment = Deployment {
            component: component.to_owned(),
            digest: digest.clone(),
            functions: functions.into_iter().map(Arc::new).collect(),
            imports: trial.imports.clone(),
        };
        self.0.registry.check_clash(&deployment)?;
        let loaded = self.0.registry.place(&digest);
        if sides.contains(&side) {
            loaded.set(trial.kind, trial.pre, &trial.exports);
        }
        let (inner, target) = (self.0.clone(), loaded.clone());
        blocking(move || {
            inner.cache.keep(&target.digest, &bytes)?;
            for other in sides {
                if target.on(other).get().is_none() {
                    let digest = &target.digest;
                    let trial = try_component(&inner.engines, &inner.cache, other, digest, &bytes)?;
                    target.set(trial.kind, trial.pre, &trial.exports);
                }
            }
            Ok::<_, Refusal>(())
        })
        .await?;
        Ok(Candidate { deployment, loaded })
    }

    /// Deploys a component that was checked, in the place of the one of the
    /// same name, if there is one. Calls that run go on with what they began
    /// with.
    ///
    /// # Errors
    /// When another component has got a function of the same name meanwhile.
    /// The old one stays.
    pub fn activate(&self, candidate: Candidate) -> Result<Deployment, Refusal> {
        self.0.registry.activate(candidate)
    }

    /// Takes a component away; whether it was there. Its file stays in the
    /// store, so that orchestrations which began on it can go on.
    pub fn remove(&self, component: &str) -> bool {
        self.0.registry.remove(component)
    }

    /// What is deployed, by name.
    pub fn deployments(&self) -> Vec<Deployment> {
        let table = self.table();
        let components = table.components.values();
        components.map(|candidate| candidate.deployment.clone()).collect()
    }

    /// All functions, by name.
    pub fn functions(&self) -> Vec<Arc<Function>> {
        let table = self.table();
        let entries = table.functions.values();
        let mut functions: Vec<_> = entries.map(|entry| entry.function.clone()).collect();
        functions.sort_by(|a, b| a.name.cmp(&b.name));
        functions
    }

    /// The function of this name.
    pub fn function(&self, name: &str) -> Option<Arc<Function>> {
        let table = self.table();
        table.functions.get(name).map(|entry| entry.function.clone())
    }

    /// The file of a component that was deployed here once.
    ///
    /// # Errors
    /// When it is not in the store, or damaged.
    pub async fn stored(&self, digest: &str) -> Result<Bytes, WasmError> {
        let (inner, digest) = (self.0.clone(), digest.to_owned());
        blocking(move || inner.cache.wasm_bytes(&digest)).await
    }

    /// Puts the manifest's rules in force, for attempts that begin from now.
    pub fn set_rules(&self, rules: Rules) {
        let ruling = Arc::new(Ruling::new(rules));
        *self.0.ruling.write().unwrap_or_else(PoisonError::into_inner) = ruling;
        self.0.rulings.send_modify(|count| *count += 1);
    }

    /// Tells when there are other rules.
    pub fn rule_changes(&self) -> watch::Receiver<u64> {
        self.0.rulings.subscribe()
    }

    /// How many attempts of activities and entities run at the same time.
    pub fn max_activities(&self) -> usize {
        self.0.config.max_activities as usize
    }

    pub(crate) fn table(&self) -> Arc<Table> {
        self.0.registry.table()
    }

    fn ruling(&self) -> Arc<Ruling> {
        let ruling = self.0.ruling.read();
        ruling.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What the rules say about a function.
    pub fn settings(&self, function: &str) -> Arc<FunctionSettings> {
        let ruling = self.ruling();
        if self.table().functions.contains_key(function) {
            return ruling.of(function).settings.clone();
        }
        // Orchestrators may make up as many names as they like: these are not
        // remembered.
        Arc::new(ruling.rules.settings(function))
    }

    /// The names in the rules that match no function.
    pub fn unused_rules(&self) -> Vec<String> {
        let table = self.table();
        let names: Vec<&str> = table.functions.keys().map(String::as_str).collect();
        let ruling = self.ruling();
        let unused = ruling.rules.unused(&names);
        unused.into_iter().map(str::to_owned).collect()
    }

    /// Runs one attempt of an activity, on what is deployed now or on the
    /// component the call names: waits for a slot, and reports what became of
    /// it. Rules go by the function's name, whichever component it is in.
    /// Dropping the future ends the attempt.
    pub async fn run_activity(&self, call: ActivityCall) -> ActivityReport {
        let loaded = match &call.digest {
            None => self.deployed(&call.function, FunctionKind::Activity),
            Some(digest) => self.pinned_activity(&call.function, digest).await,
        };
        match loaded {
            Ok(loaded) => self.attempt(&loaded, call).await,
            Err(failure) => ActivityReport::without_attempt(failure),
        }
    }

    /// Whether attempts of this activity may run before their steps are
    /// durable.
    pub fn may_run_ahead(&self, function: &str) -> Option<Ahead> {
        let activity =
            self.table().functions.get(function)?.function.kind == FunctionKind::Activity;
        let governed = activity.then(|| self.ruling().of(function))?;
        governed.settings.may_run_ahead().then_some(Ahead(governed))
    }

    /// As [`Self::run_activity`], on what is deployed now, before the step is
    /// durable.
    pub async fn run_ahead(&self, ahead: Ahead, call: ActivityCall) -> ActivityReport {
        match self.deployed(&call.function, FunctionKind::Activity) {
            Ok(loaded) => self.governed_attempt(&loaded, &ahead.0, call).await,
            Err(failure) => ActivityReport::without_attempt(failure),
        }
    }

    /// Runs one attempt in this component.
    pub(crate) async fn attempt(&self, loaded: &Arc<Loaded>, call: ActivityCall) -> ActivityReport {
        let governed = self.ruling().of(&call.function);
        self.governed_attempt(loaded, &governed, call).await
    }

    async fn governed_attempt(
        &self,
        loaded: &Arc<Loaded>,
        governed: &Governed,
        call: ActivityCall,
    ) -> ActivityReport {
        let Some(prepared) = loaded.activities.get() else {
            // `check` does not let such a component through.
            let message = format!("`{}` was not loaded", call.function);
            return ActivityReport::not_started(message);
        };
        // The function's own queue first, so that it fills no slot of others
        // while it waits. Neither semaphore is ever closed.
        let _turn = governed.turn().await;
        let _slot = self.0.activities.acquire().await.ok();
        let hosting = self.0.engines.of(prepared.kind);
        let spare =
            Spare { kept: &governed.kept, room: &self.0.idle, longest: self.0.config.longest_idle };
        activity::run(hosting, loaded, prepared, &governed.settings, spare, call).await
    }

    /// Makes the request of an HTTP step once, where the rules of its
    /// orchestrator let it go: waits for a slot, and reports what became of
    /// it. Dropping the future ends the attempt.
    pub async fn call_http(&self, step: HttpStep) -> ActivityReport {
        let governed = self.ruling().of(&step.orchestrator);
        let _turn = governed.turn().await;
        let _slot = self.0.outbound.acquire().await.ok();
        http_step::run(&governed.settings, step).await
    }

    /// The component in which a function of this kind is deployed.
    pub(crate) fn deployed(&self, name: &str, kind: FunctionKind) -> Result<Arc<Loaded>, Failure> {
        let table = self.table();
        let message = match table.functions.get(name) {
            Some(entry) if entry.function.kind == kind => return Ok(entry.loaded.clone()),
            Some(entry) => format!("`{name}` is an {}, not an {kind}", entry.function.kind),
            None => format!("no {kind} named `{name}` is deployed"),
        };
        Err(Failure::host(FailureKind::NotStarted, message))
    }

    /// The component of this digest, for an activity of this name. Of one that
    /// is deployed it is known whether it has the activity; another one says
    /// it when it is called.
    async fn pinned_activity(&self, name: &str, digest: &str) -> Result<Arc<Loaded>, Failure> {
        let not_started = |reason: String, retryable: bool| Failure {
            retryable,
            ..Failure::host(FailureKind::NotStarted, format!("`{name}` cannot start: {reason}"))
        };
        let deployed = {
            let table = self.table();
            let mut components = table.components.values();
            components.find(|it| it.deployment.digest == digest).cloned()
        };
        if let Some(Candidate { deployment, loaded }) = deployed {
            let mut functions = deployment.functions.iter();
            return match functions.any(|it| it.name == name && it.kind == FunctionKind::Activity) {
                true => Ok(loaded),
                false => {
                    let reason = format!("component {digest} has no activity of this name");
                    Err(not_started(reason, false))
                }
            };
        }
        let loaded = self.load(digest, Side::Activities).await;
        let loaded = loaded.map_err(|error| not_started(error.to_string(), !error.is_lost()))?;
        self.0.registry.used(&loaded);
        Ok(loaded)
    }

    /// Keeps the component of this digest in memory, as long as what is
    /// returned lives. Loads it from the store if need be.
    ///
    /// # Errors
    /// When it is not in the store, or cannot be loaded, or has no
    /// orchestrators. [`WasmError::is_lost`] tells what stays so from what may
    /// pass.
    pub async fn pin(&self, digest: &str) -> Result<Pinned, WasmError> {
        self.load(digest, Side::Orchestrators).await.map(Pinned)
    }

    /// The component of this digest, ready to run on this engine.
    async fn load(&self, digest: &str, side: Side) -> Result<Arc<Loaded>, WasmError> {
        let loaded = self.0.registry.place(digest);
        if loaded.on(side).get().is_none() {
            let _loading = loaded.loading.lock().await;
            let (inner, target) = (self.0.clone(), loaded.clone());
            blocking(move || target.prepare(&inner.engines, &inner.cache, side)).await?;
        }
        if loaded.on(side).get().is_none() {
            let digest = digest.to_owned();
            return Err(match side {
                Side::Orchestrators => WasmError::NoOrchestrators { digest },
                Side::Activities => WasmError::NoActivities { digest },
            });
        }
        Ok(loaded)
    }

    /// Starts an orchestrator; nothing of it runs before the first
    /// [`Fiber::resume`].
    ///
    /// # Errors
    /// When its component is not in memory ([`Self::pin`]), or there is no
    /// room for another orchestrator.
    pub fn start_orchestrator(
        &self,
        digest: &str,
        name: &str,
        input: Json,
        host: Arc<Mutex<dyn OrchestrationHost>>,
    ) -> Result<Fiber, WasmError> {
        // In memory for its activities alone is not loaded.
        let loaded = self.0.registry.in_memory(digest);
        let loaded = loaded
            .filter(|loaded| loaded.orchestrators.get().is_some())
            .ok_or_else(|| WasmError::NotLoaded { digest: digest.to_owned() })?;
        let slot = self.0.orchestrators.clone().try_acquire_owned();
        let permit =
            slot.map_err(|_| WasmError::TooManyOrchestrators { limit: self.max_orchestrators() })?;
        let waiting = Arc::new(Waiting::new(self.0.config.turn_cpu));
        let orchestrator = Orchestrator { host, waiting: waiting.clone() };
        let hosting = self.0.engines.of(Kind::Orchestrators);
        let (engine, taken) = (hosting.engine.clone(), hosting.instantiation.clone());
        let (limits, name) = (orchestrator::Limits::of(&self.0.config), name.to_owned());
        let guest = orchestrator::run(engine, taken, limits, loaded, orchestrator, name, input);
        let turn_cpu = self.0.config.turn_cpu;
        Ok(Fiber::new(Box::pin(guest), permit, waiting, turn_cpu))
    }
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runtime").field("config", &self.0.config).finish_non_exhaustive()
    }
}

/// Does what takes long on a thread that has nothing else to do.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The executor is going down, and this future with it.
            Err(_) => std::future::pending().await,
        },
    }
}

/// The engines a component has to be on, by the functions it describes.
fn needed_sides(functions: &[Function], trial: &Trial) -> Result<Vec<Side>, Refusal> {
    let mut sides = Vec::new();
    for function in functions {
        let (side, export, interface) = match function.kind {
            FunctionKind::Activity | FunctionKind::Entity => {
                (Side::Activities, &trial.exports.run_activity, "activities")
            }
            FunctionKind::Orchestrator => {
                (Side::Orchestrators, &trial.exports.run_orchestrator, "orchestrators")
            }
        };
        if export.is_none() {
            return Err(Refusal::MissingExport {
                function: function.name.clone(),
                kind: function.kind.as_str(),
                interface,
            });
        }
        if !sides.contains(&side) {
            sides.push(side);
        }
    }
    Ok(sides)
}
