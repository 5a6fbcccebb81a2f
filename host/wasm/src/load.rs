//! Components in memory.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use wasmtime::component::{Component, ComponentExportIndex, InstancePre};

use crate::cache::{Cache, LoadError, is_digest};
use crate::engines::{Engines, Kind, Side};
use crate::error::{Refusal, WasmError};
use crate::guest::Guest;
use crate::inspect::{self, Exports};

/// A component in one engine, ready to be instantiated.
pub(crate) struct Prepared {
    /// The engine.
    pub(crate) kind: Kind,
    pub(crate) pre: InstancePre<Guest>,
    /// `run-activity` or `run-orchestrator`, whichever the engine is for.
    pub(crate) run: ComponentExportIndex,
}

/// A component that is in memory, for as long as somebody holds it.
pub(crate) struct Loaded {
    pub(crate) digest: String,
    pub(crate) orchestrators: OnceLock<Prepared>,
    pub(crate) activities: OnceLock<Prepared>,
    /// Held while it is brought into memory, so that what many wait for is
    /// done once.
    pub(crate) loading: tokio::sync::Mutex<()>,
}

/// Keeps a component in memory: while one of these exists, orchestrators can
/// be started on its digest. Cheap to clone.
#[derive(Clone)]
pub struct Pinned(pub(crate) Arc<Loaded>);

impl Pinned {
    /// The component's digest.
    pub fn digest(&self) -> &str {
        &self.0.digest
    }
}

impl std::fmt::Debug for Pinned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Pinned").field(&self.0.digest).finish()
    }
}

impl Loaded {
    pub(crate) fn new(digest: &str) -> Self {
        Loaded {
            digest: digest.to_owned(),
            orchestrators: OnceLock::new(),
            activities: OnceLock::new(),
            loading: tokio::sync::Mutex::new(()),
        }
    }

    pub(crate) fn on(&self, side: Side) -> &OnceLock<Prepared> {
        match side {
            Side::Orchestrators => &self.orchestrators,
            Side::Activities => &self.activities,
        }
    }

    /// Makes sure that it can run on this engine, if it exports what that
    /// runs. Compiles, where nothing compiled is on disk: not for a thread
    /// that has other things to do.
    pub(crate) fn prepare(
        &self,
        engines: &Engines,
        cache: &Cache,
        side: Side,
    ) -> Result<(), WasmError> {
        if self.on(side).get().is_some() {
            return Ok(());
        }
        if !is_digest(&self.digest) {
            return Err(WasmError::Unknown { digest: self.digest.clone() });
        }
        let damaged = |reason: String| WasmError::Damaged { digest: self.digest.clone(), reason };
        let (kind, component) =
            load(engines, cache, side, &self.digest, || cache.wasm_bytes(&self.digest)).map_err(
                |error| match error {
                    LoadError::Host(error) => error,
                    LoadError::Compile(error) => {
                        damaged(inspect::compile_refusal(&error).to_string())
                    }
                    LoadError::Room(error) => {
                        let digest = self.digest.clone();
                        WasmError::Room { digest, reason: format!("{error:#}") }
                    }
                },
            )?;
        let hosting = engines.of(kind);
        let pre = hosting.linker.instantiate_pre(&component).map_err(|error| {
            damaged(format!("{error:#}; deploy a component built for this version"))
        })?;
        self.set(kind, pre, &inspect::exports(&hosting.engine, &component));
        Ok(())
    }

    pub(crate) fn set(&self, kind: Kind, pre: InstancePre<Guest>, exports: &Exports) {
        let run = match kind.side() {
            Side::Orchestrators => &exports.run_orchestrator,
            Side::Activities => &exports.run_activity,
        };
        if let Some(run) = run {
            // Where two did it at the same time, either will do.
            let _ = self.on(kind.side()).set(Prepared { kind, pre, run: *run });
        }
    }
}

/// Brings a component into memory, on the engine that is for it: activities run
/// on the plain one where they can.
fn load(
    engines: &Engines,
    cache: &Cache,
    side: Side,
    digest: &str,
    wasm: impl Fn() -> Result<Bytes, WasmError>,
) -> Result<(Kind, Component), LoadError> {
    let on = |kind| Ok((kind, cache.load(engines.of(kind), digest, &wasm)?));
    if side == Side::Orchestrators {
        return on(Kind::Orchestrators);
    }
    let has = |kind| cache.has(engines.of(kind), digest);
    if has(Kind::Activities) {
        return on(Kind::Activities);
    }
    if has(Kind::Concurrent) || inspect::may_import_0_3(&wasm()?) {
        return on(Kind::Concurrent);
    }
    match on(Kind::Activities) {
        // One that is asynchronous and imports no WASI 0.3. Where that is not
        // why it does not compile, it does not compile there either.
        Err(LoadError::Compile(_)) => on(Kind::Concurrent),
        loaded => loaded,
    }
}

/// A component compiled and linked on one engine for the first time.
pub(crate) struct Trial {
    pub(crate) kind: Kind,
    pub(crate) pre: InstancePre<Guest>,
    pub(crate) exports: Exports,
    pub(crate) imports: Vec<String>,
}

/// Compiles a component that nobody has vouched for, and checks all that can
/// be checked without running it.
pub(crate) fn try_component(
    engines: &Engines,
    cache: &Cache,
    side: Side,
    digest: &str,
    bytes: &bytes::Bytes,
) -> Result<Trial, Refusal> {
    let (kind, component) =
        load(engines, cache, side, digest, || Ok(bytes.clone())).map_err(|error| match error {
            LoadError::Host(error) => Refusal::Host(error),
            LoadError::Compile(error) | LoadError::Room(error) => inspect::compile_refusal(&error),
        })?;
    let hosting = engines.of(kind);
    inspect::check_names(&hosting.engine, &component, side)?;
    let exports = inspect::exports(&hosting.engine, &component);
    if exports.describe.is_none() {
        return Err(Refusal::NotOurs);
    }
    let imports = inspect::imports(&hosting.engine, &component);
    let pre = hosting
        .linker
        .instantiate_pre(&component)
        .map_err(|error| inspect::link_refusal(&error, &imports))?;
    Ok(Trial { kind, pre, exports, imports })
}
