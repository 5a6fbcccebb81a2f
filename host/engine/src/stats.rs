use serde::Serialize;

/// Counters since the start, and a few sizes of now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    /// The host's process id.
    pub pid: u32,
    /// Orchestrations started.
    pub started: u64,
    /// Orchestrations that completed.
    pub completed: u64,
    /// Orchestrations that failed.
    pub failed: u64,
    /// Orchestrations that were cancelled.
    pub canceled: u64,
    /// Orchestrations that were terminated.
    pub terminated: u64,
    /// Turns made.
    pub turns: u64,
    /// Chunks appended to journals: the durable commits a saga takes part in.
    pub appends: u64,
    /// Transactions committed, each with its flush to disk.
    pub commits: u64,
    /// Attempts of activities begun.
    pub attempts: u64,
    /// Those of them that began before their steps were stored.
    pub ahead: u64,
    /// Attempts running or waiting for a place now.
    pub attempts_open: u64,
    /// Those of them that wait for a place.
    pub attempts_waiting: u64,
    /// Starts that were refused because the host had too much to do.
    pub starts_refused: u64,
    /// Sagas that need a person now.
    pub stuck: u64,
    /// Orchestrators rebuilt from their journals.
    pub replays: u64,
    /// Orchestrators dropped from memory while they waited.
    pub evictions: u64,
    /// Orchestrators in memory now.
    pub residents: u64,
    /// Instances removed because they were kept as long as the manifest says.
    pub purged: u64,
    /// Turns whose events the store did not take.
    pub store_failures: u64,
}
