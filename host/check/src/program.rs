//! The components that are checked, loaded.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sagahost_core::Json;
use sagahost_wasm::{Function, FunctionKind, Pinned, Rules, Runtime, WasmConfig};

use crate::error::CheckError;
use crate::samples;

/// How long an orchestrator may compute between two waits: what takes longer
/// is taken to be a loop without end.
const TURN_CPU: std::time::Duration = std::time::Duration::from_secs(5);

/// Orchestrators that are kept in memory to go on from where they wait.
const FIBERS: u32 = 256;

/// Components, compiled and asked what they have. Nothing of an activity's
/// code is ever run.
pub struct Program {
    pub(crate) runtime: Runtime,
    pub(crate) executor: tokio::runtime::Runtime,
    /// Whether the manifest says what functions are granted.
    pub(crate) has_rules: bool,
    /// Keeps the orchestrators' components in memory.
    _pins: Vec<Pinned>,
    /// Deleted when the program is dropped.
    _cache: Option<tempfile::TempDir>,
}

impl Program {
    /// Loads components. With rules, an activity that they grant nothing is
    /// known to have no effect. Machine code is kept in `cache`, if there is
    /// one, for the next time.
    ///
    /// Not to be called from asynchronous code: it waits.
    ///
    /// # Errors
    /// When a file cannot be read, or is no component of Sagahost's.
    pub fn load(
        components: &[PathBuf],
        rules: Option<Rules>,
        cache: Option<&Path>,
    ) -> Result<Self, CheckError> {
        let temporary = match cache {
            Some(_) => None,
            None => Some(tempfile::tempdir().map_err(CheckError::Setup)?),
        };
        let folder = cache.or(temporary.as_ref().map(tempfile::TempDir::path));
        let config = WasmConfig {
            cache_dir: folder.map(Path::to_owned).unwrap_or_default(),
            max_activities: 1,
            max_orchestrators: FIBERS + 8,
            turn_cpu: TURN_CPU,
            ..WasmConfig::default()
        };
        let executor = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(CheckError::Setup)?;
        let has_rules = rules.is_some();
        let runtime = Runtime::new(config)?;
        runtime.set_rules(rules.unwrap_or_default());
        for path in components {
            let read = |source| CheckError::Read { path: path.clone(), source };
            let bytes = std::fs::read(path).map_err(read)?;
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let refused =
                |refusal| CheckError::Refused { path: path.clone(), refusal: Box::new(refusal) };
            let candidate = executor.block_on(runtime.check(&name, bytes.into()));
            runtime.activate(candidate.map_err(refused)?).map_err(refused)?;
        }
        let mut pins = Vec::new();
        for deployment in runtime.deployments() {
            let mut functions = deployment.functions.iter();
            if functions.any(|function| function.kind == FunctionKind::Orchestrator) {
                pins.push(executor.block_on(runtime.pin(&deployment.digest))?);
            }
        }
        Ok(Program { runtime, executor, has_rules, _pins: pins, _cache: temporary })
    }

    /// All functions, by name.
    pub fn functions(&self) -> Vec<Arc<Function>> {
        self.runtime.functions()
    }

    /// The names of the orchestrators.
    pub fn orchestrators(&self) -> Vec<String> {
        let functions = self.functions().into_iter();
        let found = functions.filter(|function| function.kind == FunctionKind::Orchestrator);
        found.map(|function| function.name.clone()).collect()
    }

    /// The orchestrator of this name.
    ///
    /// # Errors
    /// When there is none.
    pub fn orchestrator(&self, name: &str) -> Result<Arc<Function>, CheckError> {
        let found = self.runtime.function(name);
        found.filter(|function| function.kind == FunctionKind::Orchestrator).ok_or_else(|| {
            let known = self.orchestrators().join(", ");
            CheckError::NoOrchestrator { name: name.to_owned(), known }
        })
    }

    /// An input made from the orchestrator's schema, for want of a better one.
    ///
    /// # Errors
    /// When there is no such orchestrator.
    pub fn made_input(&self, orchestrator: &str) -> Result<Json, CheckError> {
        let function = self.orchestrator(orchestrator)?;
        Ok(samples::one(function.input_schema.as_ref()))
    }

    /// Whether the manifest's rules show that an activity can have no effect
    /// outside: it was granted no directory, no network and no variable.
    pub(crate) fn is_granted_nothing(&self, activity: &str) -> bool {
        self.has_rules && self.runtime.settings(activity).grants_nothing()
    }

    /// How many orchestrators may wait in memory.
    pub(crate) fn fibers() -> usize {
        FIBERS as usize
    }
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Program").field("orchestrators", &self.orchestrators()).finish()
    }
}
