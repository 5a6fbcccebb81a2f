use std::sync::atomic::{AtomicU64, Ordering};

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
    /// Attempts running or waiting for a place now.
    pub attempts_open: u64,
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

/// The counters behind [`Stats`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) started: Counter,
    pub(crate) completed: Counter,
    pub(crate) failed: Counter,
    pub(crate) canceled: Counter,
    pub(crate) terminated: Counter,
    pub(crate) turns: Counter,
    pub(crate) appends: Counter,
    pub(crate) commits: Counter,
    pub(crate) attempts: Counter,
    pub(crate) attempts_open: Counter,
    pub(crate) stuck: Counter,
    pub(crate) replays: Counter,
    pub(crate) evictions: Counter,
    pub(crate) purged: Counter,
    pub(crate) store_failures: Counter,
}

#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub(crate) fn take(&self, n: u64) {
        self.0.fetch_sub(n, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Counters {
    pub(crate) fn stats(&self, residents: u64) -> Stats {
        Stats {
            pid: std::process::id(),
            started: self.started.get(),
            completed: self.completed.get(),
            failed: self.failed.get(),
            canceled: self.canceled.get(),
            terminated: self.terminated.get(),
            turns: self.turns.get(),
            appends: self.appends.get(),
            commits: self.commits.get(),
            attempts: self.attempts.get(),
            attempts_open: self.attempts_open.get(),
            stuck: self.stuck.get(),
            replays: self.replays.get(),
            evictions: self.evictions.get(),
            residents,
            purged: self.purged.get(),
            store_failures: self.store_failures.get(),
        }
    }
}
