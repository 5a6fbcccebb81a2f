//! What a [`Runtime`](crate::Runtime) is given, and the limits that are not
//! a matter of the manifest. All of them stand here.

use std::path::PathBuf;
use std::time::Duration;

/// How often the epoch advances: the longest a guest computes before it lets
/// another one on, and the grain of CPU limits.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// The largest component that is accepted, in bytes.
pub(crate) const MAX_COMPONENT: usize = 128 << 20;

/// The largest text `describe` may return, in bytes.
pub(crate) const MAX_DESCRIPTION: usize = 4 << 20;

/// How long `describe` may compute, and how long it may take in all.
pub(crate) const DESCRIBE_CPU: Duration = Duration::from_secs(5);
pub(crate) const DESCRIBE_TIME: Duration = Duration::from_secs(30);

/// The largest memory a rule may give to an activity. What the engine for
/// activities reserves for each: enough to spare every bounds check.
pub(crate) const MAX_ACTIVITY_MEMORY: u64 = 4 << 30;

/// What an orchestrator may log between two calls of `await-any`, in bytes.
/// Counted from one call to the next, and not by time, so that a replay
/// drops the same lines.
pub(crate) const LOG_BUDGET: usize = 16 << 10;

/// HTTP steps that are under way at the same time: each is a socket and the
/// answer that has come so far, and no guest.
pub const MAX_OUTBOUND: usize = 256;

/// How long an HTTP step may take where its call does not say it: as long as
/// clients of other hosts wait.
pub(crate) const HTTP_TIMEOUT_MS: u64 = 100_000;

/// How long an HTTP step waits for a connection.
pub(crate) const HTTP_CONNECT: Duration = Duration::from_secs(30);

/// How long after an answer of 202 the host asks again where that does not say
/// it, and how long at least: each time is an entry in the journal.
pub(crate) const HTTP_POLL: Duration = Duration::from_secs(5);
pub(crate) const HTTP_SHORTEST_POLL: Duration = Duration::from_secs(1);

/// The longest wait that an answer may ask for.
pub(crate) const HTTP_LONGEST_WAIT: Duration = Duration::from_secs(31 * 24 * 60 * 60);

/// Slots beside those that were asked for: `describe` runs in one.
pub(crate) const SPARE_SLOTS: u32 = 8;

/// Where things are, and how much of everything there may be.
#[derive(Clone, Debug)]
pub struct WasmConfig {
    /// Where components are kept: `<digest>.wasm` as deployed, and beside
    /// each the machine code made of it. Machine code found here is executed:
    /// **nobody but the host's own user may be able to write to this folder.**
    /// A damaged or foreign file is compiled anew, but a forged one is
    /// believed.
    pub cache_dir: PathBuf,
    /// Attempts of activities that run at the same time.
    pub max_activities: u32,
    /// How long an instance of an activity waits for another attempt, where its
    /// rule says that it may serve several. It keeps its memory while it waits.
    pub longest_idle: Duration,
    /// Orchestrators that are in memory at the same time. Each takes about
    /// six of the mappings the kernel allows a process
    /// (`vm.max_map_count`); where those do not suffice, fewer are allowed
    /// ([`Runtime::max_orchestrators`](crate::Runtime::max_orchestrators)).
    pub max_orchestrators: u32,
    /// The memory one orchestrator may have, in bytes. Whole MiB.
    pub orchestrator_memory: u64,
    /// How long an orchestrator may compute between two waits.
    pub turn_cpu: Duration,
    /// The largest output of an orchestrator, in bytes.
    pub orchestrator_output: usize,
}

impl WasmConfig {
    /// Instances of activities that wait for another attempt, at most.
    pub(crate) fn max_idle(&self) -> u32 {
        self.max_activities.div_ceil(4)
    }

    /// Instances of activities that exist at the same time, at most.
    pub(crate) fn activity_slots(&self) -> u32 {
        self.max_activities.saturating_add(self.max_idle()).saturating_add(SPARE_SLOTS)
    }
}

impl Default for WasmConfig {
    fn default() -> Self {
        WasmConfig {
            cache_dir: PathBuf::from("components"),
            max_activities: 256,
            longest_idle: Duration::from_secs(10),
            max_orchestrators: 9_000,
            orchestrator_memory: 64 << 20,
            turn_cpu: Duration::from_secs(10),
            orchestrator_output: 4 << 20,
        }
    }
}
