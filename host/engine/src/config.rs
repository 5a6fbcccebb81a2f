use std::path::PathBuf;
use std::time::Duration;

use crate::clock::Clock;

/// How the engine is set up.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Where the components of the deployed functions are: every `*.wasm` in
    /// it is one. A deployment over the network writes its file there.
    pub functions_dir: PathBuf,
    /// How much memory waiting orchestrators may hold, in bytes. Past it the
    /// least recently used are dropped, and rebuilt by replay when something
    /// arrives for them.
    pub memory_budget: u64,
    /// How many orchestrators may be in memory whatever the budget allows;
    /// not more than the runtime has room for.
    pub max_orchestrators: u32,
    /// The longest that a completion which nothing depends on yet may wait
    /// for the next one, so that both are stored in one append.
    pub hold: Duration,
    /// Whether attempts that nothing was granted to begin before their steps
    /// are stored, and steps of such attempts are stored together.
    pub run_ahead: bool,
    /// How long a start may wait for its first turn, and a write for the
    /// store, before new starts are refused. Zero is for ever.
    pub max_delay: Duration,
    /// How long attempts may wait for their place before new starts of the
    /// orchestrators that make them are refused. Zero is for ever.
    pub max_queue: Duration,
    /// The time that the journals have.
    pub clock: Clock,
}

impl EngineConfig {
    /// What one waiting orchestrator is taken to need until enough are in
    /// memory to measure it: its stack and its touched memory, for a small
    /// guest in Rust.
    pub const ORCHESTRATOR_BYTES: u64 = 64 * 1024;

    /// How many orchestrators may stay in memory, before that is measured.
    pub fn residents(&self) -> usize {
        let fit = (self.memory_budget / Self::ORCHESTRATOR_BYTES).max(1);
        usize::try_from(fit.min(u64::from(self.max_orchestrators.max(1)))).unwrap_or(usize::MAX)
    }
}

impl Default for EngineConfig {
    fn default() -> Self {
        EngineConfig {
            functions_dir: PathBuf::from("functions"),
            memory_budget: 256 * 1024 * 1024,
            max_orchestrators: 4096,
            hold: Duration::from_millis(100),
            run_ahead: true,
            max_delay: Duration::from_secs(1),
            max_queue: Duration::from_secs(10),
            clock: Clock::real(),
        }
    }
}
