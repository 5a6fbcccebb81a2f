//! How the host does, for people who look at it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sagahost_core::Millis;
use sagahost_store as store;
use serde::Serialize;

use crate::api::Engine;
use crate::error::CommandError;
use crate::lifecycle::Inner;
use crate::recent::{Percentiles, Rates, Second};
use crate::residents::memory;

/// How old the counts of the store may be. Where there are a million open
/// instances, to count them takes a while.
const COUNTS_AGE: Duration = Duration::from_secs(2);

/// Between two samples.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);

/// How the host does. Times are in milliseconds since 1970-01-01T00:00:00Z, by
/// the machine's clock.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Overview {
    /// Now, by the clock of the journals.
    pub time: Millis,
    /// For how long the host has run.
    pub uptime_ms: u64,
    /// The memory that is resident; nothing where the system does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// How many instances there are.
    pub instances: InstanceCounts,
    /// Instances that are being undone.
    pub compensating: u64,
    /// Open instances that have nothing under way and need nobody: they wait
    /// for an event, a timer, or another that is to answer. Nothing for a
    /// moment after the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<u64>,
    /// Attempts that run, or wait for a place.
    pub running: u64,
    /// Writes that wait to be committed.
    pub queue_depth: u64,
    /// What happened lately.
    pub rates: Rates,
    /// How long it took lately.
    pub latency: Latencies,
    /// Orchestrators in memory.
    pub residents: u64,
    /// The last five minutes, a second each.
    pub series: Vec<Second>,
}

/// How many instances there are of those that are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct InstanceCounts {
    /// Those that have not ended.
    pub open: u64,
    /// Those that failed, or were cancelled or terminated.
    pub unsuccessful: u64,
    /// Those that need a person.
    pub stuck: u64,
}

/// How long things took in the last five minutes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Latencies {
    /// A transaction.
    pub commit_ms: Percentiles,
    /// A turn, until what it made is durable.
    pub turn_ms: Percentiles,
    /// A saga, from its acceptance to its end.
    pub saga_ms: Percentiles,
}

/// What the store counted last, and when.
#[derive(Debug, Default)]
pub(crate) struct Counted(tokio::sync::Mutex<Option<(Instant, Counts)>>);

/// What the store counted, and how many of the open instances wait.
type Counts = (store::Stats, Option<u64>);

impl Engine {
    /// Whether attempts that nothing was granted to may begin before their
    /// steps are stored.
    pub fn runs_ahead(&self) -> bool {
        self.inner.config.run_ahead
    }

    /// How the host does.
    ///
    /// # Errors
    /// When the store failed.
    pub async fn overview(&self) -> Result<Overview, CommandError> {
        let (counts, waiting) = self.counts().await?;
        let (inner, stats) = (&self.inner, self.stats());
        let recent = &inner.counters.recent;
        let uptime = recent.began.elapsed();
        let uptime_ms = u64::try_from(uptime.as_millis()).unwrap_or(u64::MAX);
        Ok(Overview {
            time: inner.clock().now(),
            uptime_ms,
            memory_bytes: memory("VmRSS:"),
            instances: InstanceCounts {
                open: counts.open,
                unsuccessful: counts.unsuccessful,
                stuck: counts.stuck,
            },
            compensating: counts.compensating,
            waiting,
            running: stats.attempts_open,
            queue_depth: self.queue_depth(),
            rates: recent.rates(),
            latency: Latencies {
                commit_ms: recent.commit.shown(),
                turn_ms: recent.turn.shown(),
                saga_ms: recent.saga.shown(),
            },
            residents: stats.residents,
            series: recent.series(machine_time().saturating_sub(uptime_ms)),
        })
    }

    async fn counts(&self) -> Result<Counts, CommandError> {
        // Whoever comes meanwhile waits for the same answer.
        let mut counted = self.inner.counted.0.lock().await;
        if let Some((at, counts)) = &*counted
            && at.elapsed() < COUNTS_AGE
        {
            return Ok(*counts);
        }
        let stats = self.read(|store| store.stats()).await?;
        let going = self.inner.counters.going.count();
        let counts = (stats, going.map(|going| stats.open.saturating_sub(going)));
        *counted = Some((Instant::now(), counts));
        Ok(counts)
    }
}

/// Notes each second how the counters stand.
pub(crate) async fn sample(inner: Arc<Inner>) {
    let engine = Engine { inner };
    let mut ticks = tokio::time::interval(SAMPLE_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        engine.inner.counters.recent.sample(&engine.stats());
    }
}

fn machine_time() -> Millis {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
