//! The engines, and what makes them tick.

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use sha2::{Digest, Sha256};
use wasmtime::component::Linker;
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::config::{MAX_ACTIVITY_MEMORY, SPARE_SLOTS, TICK, WasmConfig};
use crate::error::WasmError;
use crate::guest::Guest;
use crate::linkers;
use crate::meter::TABLE_ELEMENTS;
use crate::metrics::{Histogram, TIMES};

/// The stack of a guest, and what its fiber has beside that for the host's
/// functions, which run on it too.
const ORCHESTRATOR_STACK: usize = 512 << 10;
const ACTIVITY_STACK: usize = 1 << 20;
const HOST_STACK: usize = 512 << 10;

/// Mappings a live orchestrator takes: its memory's image, what lies before
/// and behind that, what is not accessible, its stack, and that one's guard
/// page.
const MAPPINGS_PER_ORCHESTRATOR: u32 = 6;
/// A slot in each of the two engines activities run on, used before.
const MAPPINGS_PER_ACTIVITY: u32 = 16;
/// Mappings that the rest of the process may take.
const MAPPINGS_FOR_OTHERS: u32 = 8_000;

/// What a component is in memory for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Orchestrators,
    Activities,
}

/// Which of the engines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Orchestrators,
    Activities,
    /// Activities of components that import WASI 0.3 or are asynchronous
    /// themselves. What wasmtime does for these at each call, whether the guest
    /// makes use of it or not, the others need not pay for.
    Concurrent,
}

impl Kind {
    pub(crate) fn side(self) -> Side {
        match self {
            Kind::Orchestrators => Side::Orchestrators,
            Kind::Activities | Kind::Concurrent => Side::Activities,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Kind::Orchestrators => "orchestrators",
            Kind::Activities => "activities",
            Kind::Concurrent => "concurrent activities",
        }
    }
}

/// One engine, with everything guests may import already in its linker.
pub(crate) struct Hosting {
    pub(crate) engine: Engine,
    pub(crate) linker: Linker<Guest>,
    /// Names what machine code this engine can run: another version or
    /// another configuration of wasmtime has another tag.
    pub(crate) tag: String,
    /// How long guests took to come into memory.
    pub(crate) instantiation: Histogram,
}

pub(crate) struct Engines {
    orchestrators: Hosting,
    activities: Hosting,
    concurrent: Hosting,
    /// How many orchestrators there is room for.
    pub(crate) max_orchestrators: u32,
    _ticker: Ticker,
}

impl Engines {
    pub(crate) fn new(config: &WasmConfig) -> Result<Self, WasmError> {
        let max_orchestrators = room(config);
        let of = |kind| hosting(kind, config, max_orchestrators);
        let orchestrators = of(Kind::Orchestrators)?;
        let activities = of(Kind::Activities)?;
        let mut concurrent = of(Kind::Concurrent)?;
        // One figure for all activities.
        concurrent.instantiation = activities.instantiation.clone();
        let engines = [&orchestrators, &activities, &concurrent];
        let ticker =
            Ticker::start(engines.map(|hosting| hosting.engine.clone())).map_err(|error| {
                WasmError::Engine {
                    engine: "orchestrators",
                    reason: format!("the thread that interrupts guests does not start: {error}"),
                }
            })?;
        Ok(Engines { orchestrators, activities, concurrent, max_orchestrators, _ticker: ticker })
    }

    pub(crate) fn of(&self, kind: Kind) -> &Hosting {
        match kind {
            Kind::Orchestrators => &self.orchestrators,
            Kind::Activities => &self.activities,
            Kind::Concurrent => &self.concurrent,
        }
    }
}

/// How many orchestrators the kernel's limit on mappings has room for.
fn room(config: &WasmConfig) -> u32 {
    let allowed = std::fs::read_to_string("/proc/sys/vm/max_map_count")
        .ok()
        .and_then(|text| text.trim().parse::<u32>().ok());
    let Some(allowed) = allowed else {
        // No such limit on this system.
        return config.max_orchestrators;
    };
    let taken = MAPPINGS_FOR_OTHERS
        .saturating_add(config.activity_slots().saturating_mul(MAPPINGS_PER_ACTIVITY));
    let room = (allowed.saturating_sub(taken) / MAPPINGS_PER_ORCHESTRATOR).max(16);
    if room < config.max_orchestrators {
        tracing::warn!(
            "room for {room} orchestrators in memory, not {}: the kernel allows a process \
             {allowed} mappings; raise vm.max_map_count to have more",
            config.max_orchestrators
        );
    }
    config.max_orchestrators.min(room)
}

fn hosting(kind: Kind, config: &WasmConfig, max_orchestrators: u32) -> Result<Hosting, WasmError> {
    let fail = |error: wasmtime::Error| WasmError::Engine {
        engine: kind.name(),
        reason: format!(
            "{error:#}; fewer instances (max-orchestrators, max-activities) need less address space"
        ),
    };
    let settings = match kind {
        Kind::Orchestrators => for_orchestrators(config, max_orchestrators),
        Kind::Activities => for_activities(config, false),
        Kind::Concurrent => for_activities(config, true),
    };
    let engine = Engine::new(&settings).map_err(fail)?;
    let linker = match kind {
        Kind::Orchestrators => linkers::for_orchestrators(&engine),
        Kind::Activities => linkers::for_activities(&engine),
        Kind::Concurrent => linkers::for_concurrent_activities(&engine),
    }
    .map_err(fail)?;
    let tag = format!("{}-{}", kind.name().replace(' ', "-"), compatibility(&engine));
    Ok(Hosting { engine, linker, tag, instantiation: Histogram::new(TIMES) })
}

fn common() -> Config {
    let mut config = Config::new();
    config.wasm_component_model(true).epoch_interruption(true).memory_init_cow(true);
    config
}

fn for_orchestrators(config: &WasmConfig, count: u32) -> Config {
    let slots = count.saturating_add(SPARE_SLOTS);
    let memory = config.orchestrator_memory.max(1 << 20);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(slots)
        .total_core_instances(slots.saturating_mul(20))
        .total_memories(slots.saturating_add(slots / 4))
        .total_tables(slots.saturating_mul(4))
        .total_stacks(slots)
        .max_memory_size(usize::try_from(memory).unwrap_or(usize::MAX))
        .max_memories_per_module(4)
        .max_tables_per_module(8)
        .table_elements(50_000)
        // Most orchestrators that end make room for one of the same component:
        // what a small one touched is overwritten rather than given back, which
        // would take a page fault for each page of the next one, and an
        // interrupt of the other cores.
        .linear_memory_keep_resident(128 << 10)
        .table_keep_resident(16 << 10)
        .pagemap_scan(Enabled::Auto);
    let mut config = common();
    config
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        // An orchestrator's concurrency is its tasks; the machinery for
        // asynchronous components would only cost memory here.
        .concurrency_support(false)
        .max_wasm_stack(ORCHESTRATOR_STACK)
        .async_stack_size(ORCHESTRATOR_STACK + HOST_STACK)
        // Small and close together: thousands of these are in memory, and
        // page tables cost memory as well. The bounds checks that this takes
        // are nothing to code which decides and waits.
        .memory_reservation(memory)
        .memory_guard_size(64 << 10)
        .memory_may_move(false)
        .guard_before_linear_memory(false)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}

fn for_activities(config: &WasmConfig, concurrent: bool) -> Config {
    let slots = config.activity_slots();
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(slots)
        .total_core_instances(slots.saturating_mul(20))
        .total_memories(slots.saturating_mul(2))
        .total_tables(slots.saturating_mul(4))
        .total_stacks(slots.saturating_mul(2))
        .max_memory_size(usize::try_from(MAX_ACTIVITY_MEMORY).unwrap_or(usize::MAX))
        .max_memories_per_module(4)
        .max_tables_per_module(8)
        .table_elements(TABLE_ELEMENTS)
        // Slots are used again at once, thousands of times a second: what a
        // small guest touches is overwritten rather than given back.
        .linear_memory_keep_resident(256 << 10)
        .table_keep_resident(64 << 10)
        .pagemap_scan(Enabled::Auto);
    let mut config = common();
    config
        // For the WASI 0.3 interfaces.
        .wasm_component_model_async(concurrent)
        .concurrency_support(concurrent)
        .max_wasm_stack(ACTIVITY_STACK)
        .async_stack_size(ACTIVITY_STACK + HOST_STACK)
        .memory_reservation(MAX_ACTIVITY_MEMORY)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}

/// Feeds a `Hash` to SHA-256: unlike the standard library's hashers it gives
/// the same in every version.
struct Stable(Sha256);

impl Hasher for Stable {
    fn finish(&self) -> u64 {
        let digest = self.0.clone().finalize();
        digest.iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte))
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
}

fn compatibility(engine: &Engine) -> String {
    let mut hasher = Stable(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// Advances the epoch of the engines, until it is dropped.
struct Ticker {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    fn start(engines: [Engine; 3]) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread =
            std::thread::Builder::new().name("sagahost-epoch".to_owned()).spawn(move || {
                while !stopped.load(Ordering::Relaxed) {
                    std::thread::park_timeout(TICK);
                    engines.iter().for_each(Engine::increment_epoch);
                }
            })?;
        Ok(Ticker { stop, thread: Some(thread) })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It does nothing that could fail.
            let _ = thread.join();
        }
    }
}
