//! What is counted and measured. An event costs some atomic additions, and one
//! look at a table where the name of a function says which.

mod collect;
mod figures;
mod names;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use sagahost_core::{
    End, Event, Failure, FailureKind, HTTP_ACCEPTED, HTTP_FUNCTION, Instance, Record, SagaState,
    Work,
};
use sagahost_wasm::{FunctionKind, Histogram, TIMES};

pub use self::collect::Collector;
pub use self::figures::FunctionFigures;
use self::names::Names;
use crate::going::Going;
use crate::lifecycle::Inner;
use crate::log::Source;
use crate::recent::{Latency, Recent};
use crate::stats::Stats;

/// For counts: of events, of writes.
const COUNTS: &[u64] = &[1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096, 16_384, 65_536];

/// For how long a saga takes, in nanoseconds: from 10 ms to a week.
const SAGA_TIMES: &[u64] = &[
    10_000_000,
    50_000_000,
    100_000_000,
    500_000_000,
    1_000_000_000,
    5_000_000_000,
    10_000_000_000,
    60_000_000_000,
    300_000_000_000,
    900_000_000_000,
    3_600_000_000_000,
    21_600_000_000_000,
    86_400_000_000_000,
    604_800_000_000_000,
];

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

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Completed,
    /// It says that it did nothing.
    Failed,
    /// It may have had its effect.
    Unknown,
    /// The host ended it.
    Canceled,
    /// The host ended while it ran.
    Lost,
}

impl Outcome {
    const NAMES: [&str; 5] = ["completed", "failed", "unknown", "canceled", "lost"];

    fn of<T>(outcome: &Result<T, Failure>) -> Self {
        match outcome {
            Ok(_) => Outcome::Completed,
            // The server has taken the request, and is asked again later.
            Err(failure) if failure.code == HTTP_ACCEPTED => Outcome::Completed,
            Err(failure) if failure.kind == FailureKind::Cancelled => Outcome::Canceled,
            Err(failure) if failure.kind == FailureKind::HostLost => Outcome::Lost,
            Err(failure) if failure.kind.outcome_unknown() => Outcome::Unknown,
            Err(_) => Outcome::Failed,
        }
    }
}

/// Attempts that have ended, by outcome.
#[derive(Debug, Default)]
pub(crate) struct Attempts([Counter; 5]);

impl Attempts {
    pub(crate) fn ended(&self, outcome: Outcome) {
        if let Some(counter) = self.0.get(outcome as usize) {
            counter.add(1);
        }
    }

    fn by_outcome(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Outcome::NAMES.into_iter().zip(self.0.iter().map(Counter::get))
    }
}

/// Of one activity or entity.
#[derive(Debug)]
pub(crate) struct FunctionMetrics {
    /// Attempts of steps; of an entity, of operations.
    pub(crate) steps: Attempts,
    pub(crate) undos: Attempts,
    /// Of steps that failed and are attempted again; of undos.
    retries: [Counter; 2],
    pub(crate) running: Counter,
    pub(crate) time: Histogram,
    /// The same, for people.
    recent: Latency,
}

impl FunctionMetrics {
    pub(crate) fn of(&self, work: Work) -> &Attempts {
        match work {
            Work::Step(_) => &self.steps,
            Work::Undo(_) => &self.undos,
        }
    }
}

impl Default for FunctionMetrics {
    fn default() -> Self {
        FunctionMetrics {
            steps: Attempts::default(),
            undos: Attempts::default(),
            retries: Default::default(),
            running: Counter::default(),
            time: Histogram::new(TIMES),
            recent: Latency::default(),
        }
    }
}

impl FunctionMetrics {
    /// An attempt took so long.
    pub(crate) fn took(&self, time: Duration) {
        self.time.observe_time(time);
        self.recent.record(time);
    }
}

/// Of one orchestrator.
#[derive(Debug)]
pub(crate) struct SagaMetrics {
    pub(crate) started: Counter,
    completed: Counter,
    failed: Counter,
    canceled: Counter,
    terminated: Counter,
    compensated: Counter,
    time: Histogram,
    recent: Latency,
}

impl Default for SagaMetrics {
    fn default() -> Self {
        SagaMetrics {
            started: Counter::default(),
            completed: Counter::default(),
            failed: Counter::default(),
            canceled: Counter::default(),
            terminated: Counter::default(),
            compensated: Counter::default(),
            time: Histogram::new(SAGA_TIMES),
            recent: Latency::default(),
        }
    }
}

impl SagaMetrics {
    /// An orchestration has ended.
    pub(crate) fn ended(&self, instance: &Instance) {
        match instance.end() {
            Some(End::Completed(_)) => self.completed.add(1),
            Some(End::Canceled(_)) => self.canceled.add(1),
            Some(End::Terminated(_)) => self.terminated.add(1),
            _ => self.failed.add(1),
        }
        if instance.saga_state() == SagaState::Compensated {
            self.compensated.add(1);
        }
        let millis = instance.updated().saturating_sub(instance.started_at());
        self.time.observe(millis.saturating_mul(1_000_000));
        self.recent.record(Duration::from_millis(millis));
    }
}

/// Limits that ended something.
#[derive(Debug, Default)]
struct Limits {
    memory: Counter,
    cpu: Counter,
    timeout: Counter,
    output: Counter,
}

/// Everything that is counted.
#[derive(Debug)]
pub(crate) struct Counters {
    sagas: Names<SagaMetrics>,
    functions: Names<FunctionMetrics>,
    entities: Names<FunctionMetrics>,
    /// Sagas that need a person now, by the orchestrator's name.
    stuck: Mutex<BTreeMap<String, u64>>,
    limits: Limits,
    pub(crate) recent: Recent,
    pub(crate) going: Going,
    started_at: SystemTime,
    pub(crate) turns: Counter,
    pub(crate) turn_time: Histogram,
    /// The events of each journal that an orchestrator was rebuilt from.
    pub(crate) replayed: Histogram,
    pub(crate) appends: Counter,
    pub(crate) commits: Counter,
    pub(crate) commit_time: Histogram,
    /// The writes of each transaction.
    pub(crate) commit_writes: Histogram,
    pub(crate) queued: Counter,
    /// Starts that were refused because the host had too much to do.
    pub(crate) refused: Counter,
    pub(crate) store_failures: Counter,
    pub(crate) attempts: Counter,
    pub(crate) ahead: Counter,
    pub(crate) attempts_open: Counter,
    pub(crate) replays: Counter,
    pub(crate) evictions: Counter,
    /// Removed because they were kept as long as the manifest says.
    pub(crate) purged: Counter,
    /// Removed, for whatever reason.
    pub(crate) removed: Counter,
    pub(crate) timers: Counter,
    pub(crate) letters: Counter,
    pub(crate) undeliverable: Counter,
}

impl Default for Counters {
    fn default() -> Self {
        Counters {
            sagas: Names::default(),
            functions: Names::default(),
            entities: Names::default(),
            stuck: Mutex::default(),
            limits: Limits::default(),
            recent: Recent::default(),
            going: Going::default(),
            started_at: SystemTime::now(),
            turns: Counter::default(),
            turn_time: Histogram::new(TIMES),
            replayed: Histogram::new(COUNTS),
            appends: Counter::default(),
            commits: Counter::default(),
            commit_time: Histogram::new(TIMES),
            commit_writes: Histogram::new(COUNTS),
            queued: Counter::default(),
            refused: Counter::default(),
            store_failures: Counter::default(),
            attempts: Counter::default(),
            ahead: Counter::default(),
            attempts_open: Counter::default(),
            replays: Counter::default(),
            evictions: Counter::default(),
            purged: Counter::default(),
            removed: Counter::default(),
            timers: Counter::default(),
            letters: Counter::default(),
            undeliverable: Counter::default(),
        }
    }
}

impl Counters {
    /// A saga of this orchestrator needs a person from now on.
    pub(crate) fn stuck(&self, orchestrator: &str) {
        let mut stuck = self.stuck.lock().unwrap_or_else(PoisonError::into_inner);
        *stuck.entry(orchestrator.to_owned()).or_default() += 1;
    }

    /// One needs it no more.
    pub(crate) fn mended(&self, orchestrator: &str) {
        let mut stuck = self.stuck.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = stuck.get_mut(orchestrator) {
            *count -= 1;
            if *count == 0 {
                stuck.remove(orchestrator);
            }
        }
    }

    /// What ended a guest, where that was a limit.
    pub(crate) fn limit(&self, kind: FailureKind) {
        match kind {
            FailureKind::MemoryLimit => self.limits.memory.add(1),
            FailureKind::CpuLimit => self.limits.cpu.add(1),
            FailureKind::Timeout => self.limits.timeout.add(1),
            FailureKind::OutputLimit => self.limits.output.add(1),
            _ => {}
        }
    }

    pub(crate) fn stats(&self, residents: u64, attempts_waiting: u64) -> Stats {
        let sagas = self.sagas.all();
        let sum = |of: fn(&SagaMetrics) -> &Counter| sagas.iter().map(|(_, it)| of(it).get()).sum();
        let stuck = self.stuck.lock().unwrap_or_else(PoisonError::into_inner);
        Stats {
            pid: std::process::id(),
            started: sum(|saga| &saga.started),
            completed: sum(|saga| &saga.completed),
            failed: sum(|saga| &saga.failed),
            canceled: sum(|saga| &saga.canceled),
            terminated: sum(|saga| &saga.terminated),
            turns: self.turns.get(),
            appends: self.appends.get(),
            commits: self.commits.get(),
            attempts: self.attempts.get(),
            attempts_open: self.attempts_open.get(),
            attempts_waiting,
            starts_refused: self.refused.get(),
            ahead: self.ahead.get(),
            stuck: stuck.values().sum(),
            replays: self.replays.get(),
            evictions: self.evictions.get(),
            residents,
            purged: self.purged.get(),
            store_failures: self.store_failures.get(),
        }
    }
}

impl Inner {
    /// The metrics of an orchestrator.
    pub(crate) fn saga_metrics(&self, name: &str) -> Arc<SagaMetrics> {
        self.counters.sagas.of(name, || self.is(name, FunctionKind::Orchestrator))
    }

    /// The metrics of an activity.
    pub(crate) fn function_metrics(&self, name: &str) -> Arc<FunctionMetrics> {
        self.counters
            .functions
            .of(name, || name == HTTP_FUNCTION || self.is(name, FunctionKind::Activity))
    }

    /// The metrics of an entity.
    pub(crate) fn entity_metrics(&self, name: &str) -> Arc<FunctionMetrics> {
        self.counters.entities.of(name, || self.is(name, FunctionKind::Entity))
    }

    fn is(&self, name: &str, kind: FunctionKind) -> bool {
        self.runtime.function(name).is_some_and(|function| function.kind == kind)
    }

    /// Notes how an attempt ended.
    pub(crate) fn attempt_ended<T>(&self, attempts: &Attempts, outcome: &Result<T, Failure>) {
        attempts.ended(Outcome::of(outcome));
        if let Err(failure) = outcome {
            self.counters.limit(failure.kind);
        }
    }

    /// These events have just become durable.
    pub(crate) fn note_events(&self, id: &str, instance: &Instance, records: &[Record]) {
        self.counters.going.note(id, instance);
        for Record(_, event) in records {
            match event {
                Event::TimerCreated { .. } => self.counters.timers.add(1),
                Event::Logged { level, message } => {
                    let function = &instance.started().name;
                    let source = Source { instance: id, function, step: None, attempt: None };
                    source.line(*level, message);
                }
                // The server has taken a request, and is asked for its answer.
                Event::AttemptFailed { failure, .. } if failure.code == HTTP_ACCEPTED => {}
                Event::AttemptFailed { task, retry_at: Some(_), .. } => {
                    self.is_retried(instance, Work::Step(*task));
                }
                Event::UndoAttemptFailed { undo, retry_at: Some(_), .. } => {
                    self.is_retried(instance, Work::Undo(*undo));
                }
                Event::AttemptLost { task, .. } => {
                    self.attempt_lost(instance, Work::Step(*task));
                }
                Event::UndoAttemptLost { undo, .. } => {
                    self.attempt_lost(instance, Work::Undo(*undo));
                }
                _ => {}
            }
        }
    }

    fn is_retried(&self, instance: &Instance, work: Work) {
        let function = self.function_metrics(instance.function_of(work).unwrap_or_default());
        let [steps, undos] = &function.retries;
        match work {
            Work::Step(_) => steps.add(1),
            Work::Undo(_) => undos.add(1),
        }
    }

    fn attempt_lost(&self, instance: &Instance, work: Work) {
        // It runs again, so that it is known of what it is; unless the saga has
        // taken another way in the same turn.
        let attempt = instance.attempt_of(work);
        let function = self.function_metrics(attempt.as_ref().map_or("", |it| &it.function));
        function.of(work).ended(Outcome::Lost);
    }
}
