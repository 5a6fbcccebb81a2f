//! Figures for people, from what is counted for programs.

use std::sync::Arc;

use sagahost_wasm::FunctionKind;
use serde::Serialize;

use super::{FunctionMetrics, Outcome, SagaMetrics};
use crate::api::Engine;
use crate::recent::Latency;

/// How the attempts of a function went since the host's start; of an
/// orchestrator, its instances.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FunctionFigures {
    /// Those that have ended; attempts of undos with them.
    pub attempts: u64,
    /// Those that gave no result.
    pub failed: u64,
    /// Attempts that run now, or wait for a place. Of an orchestrator nothing
    /// is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub running: Option<u64>,
    /// How many ended in a second, lately.
    pub per_second: f64,
    /// What half of those of the last five minutes did not exceed, in
    /// milliseconds, about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p50_ms: Option<f64>,
    /// What 95 of 100 did not exceed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p95_ms: Option<f64>,
    /// What 99 of 100 did not exceed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p99_ms: Option<f64>,
}

impl FunctionFigures {
    fn new(attempts: u64, failed: u64, running: Option<u64>, recent: &Latency) -> Self {
        let [p50_ms, p95_ms, p99_ms] = match recent.percentiles([0.5, 0.95, 0.99]) {
            Some(found) => found.map(Some),
            None => [None; 3],
        };
        let per_second = recent.per_second();
        FunctionFigures { attempts, failed, running, per_second, p50_ms, p95_ms, p99_ms }
    }
}

impl FunctionMetrics {
    fn figures(&self) -> FunctionFigures {
        let all = || self.steps.by_outcome().chain(self.undos.by_outcome());
        let attempts: u64 = all().map(|(_, count)| count).sum();
        let completed = Outcome::NAMES[Outcome::Completed as usize];
        let completed: u64 =
            all().filter(|(outcome, _)| *outcome == completed).map(|(_, count)| count).sum();
        let failed = attempts.saturating_sub(completed);
        FunctionFigures::new(attempts, failed, Some(self.running.get()), &self.recent)
    }
}

impl SagaMetrics {
    fn figures(&self) -> FunctionFigures {
        let failed = self.failed.get() + self.canceled.get() + self.terminated.get();
        FunctionFigures::new(self.completed.get() + failed, failed, None, &self.recent)
    }
}

impl Engine {
    /// How the attempts of this function went.
    pub fn function_figures(&self, name: &str, kind: FunctionKind) -> FunctionFigures {
        let counters = &self.inner.counters;
        let of_function = |found: Option<Arc<FunctionMetrics>>| match found {
            Some(function) => function.figures(),
            None => FunctionMetrics::default().figures(),
        };
        match kind {
            FunctionKind::Activity => of_function(counters.functions.get(name)),
            FunctionKind::Entity => of_function(counters.entities.get(name)),
            FunctionKind::Orchestrator => match counters.sagas.get(name) {
                Some(sagas) => sagas.figures(),
                None => SagaMetrics::default().figures(),
            },
        }
    }

    /// How many writes wait for the writer.
    pub fn queue_depth(&self) -> u64 {
        self.inner.counters.queued.get()
    }
}
