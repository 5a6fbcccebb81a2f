//! The metrics as OpenMetrics has them: name, unit, type, labels. What each of
//! them means for a person is in `docs/monitoring.md`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::PoisonError;
use std::time::SystemTime;

use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;
use sagahost_wasm::{FunctionKind, SECOND, Snapshot};

use super::names::OTHER;
use super::{Attempts, Counter, FunctionMetrics, SagaMetrics};
use crate::api::Engine;
use crate::residents::memory;

/// Hands the engine's metrics to a registry, as they are when it is read.
pub struct Collector(Engine);

impl Engine {
    /// The engine's metrics, for a registry.
    pub fn collector(&self) -> Collector {
        Collector(self.clone())
    }
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Collector")
    }
}

/// What a metric counts in.
#[derive(Clone, Copy)]
enum In {
    Nothing,
    Seconds,
    Bytes,
}

/// Writes the metrics, one family after the other.
struct Families<'a>(DescriptorEncoder<'a>);

impl Families<'_> {
    fn family<'s>(
        &'s mut self,
        name: &'s str,
        help: &str,
        unit: In,
        kind: MetricType,
    ) -> Result<MetricEncoder<'s>, fmt::Error> {
        static SECONDS: Unit = Unit::Seconds;
        static BYTES: Unit = Unit::Bytes;
        let unit = match unit {
            In::Nothing => None,
            In::Seconds => Some(&SECONDS),
            In::Bytes => Some(&BYTES),
        };
        self.0.encode_descriptor(name, help, unit, kind)
    }

    fn counter(&mut self, name: &str, help: &str, value: &Counter) -> fmt::Result {
        let mut family = self.family(name, help, In::Nothing, MetricType::Counter)?;
        family.encode_counter::<NoLabelSet, u64, u64>(&value.get(), None)
    }

    fn counters<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        labels: [&str; N],
        rows: impl IntoIterator<Item = ([String; N], u64)>,
    ) -> fmt::Result {
        let mut family = self.family(name, help, In::Nothing, MetricType::Counter)?;
        for (values, count) in rows {
            family
                .encode_family(&pairs(labels, &values))?
                .encode_counter::<NoLabelSet, u64, u64>(&count, None)?;
        }
        Ok(())
    }

    fn gauge(&mut self, name: &str, help: &str, unit: In, value: f64) -> fmt::Result {
        self.family(name, help, unit, MetricType::Gauge)?.encode_gauge(&value)
    }

    fn gauges(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        rows: impl IntoIterator<Item = (String, u64)>,
    ) -> fmt::Result {
        let mut family = self.family(name, help, In::Nothing, MetricType::Gauge)?;
        for (value, now) in rows {
            family.encode_family(&[(label, value.as_str())])?.encode_gauge(&now)?;
        }
        Ok(())
    }

    fn histogram(&mut self, name: &str, help: &str, unit: In, it: &Snapshot) -> fmt::Result {
        let mut family = self.family(name, help, unit, MetricType::Histogram)?;
        write(&mut family, unit, it)
    }

    fn histograms(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        rows: impl IntoIterator<Item = (String, Snapshot)>,
    ) -> fmt::Result {
        let mut family = self.family(name, help, In::Seconds, MetricType::Histogram)?;
        for (value, snapshot) in rows {
            let labels = [(label, value.as_str())];
            write(&mut family.encode_family(&labels)?, In::Seconds, &snapshot)?;
        }
        Ok(())
    }
}

fn write(encoder: &mut MetricEncoder<'_>, unit: In, it: &Snapshot) -> fmt::Result {
    let scale = if matches!(unit, In::Seconds) { SECOND } else { 1.0 };
    let sum = it.sum() as f64 / scale;
    encoder.encode_histogram::<NoLabelSet>(sum, it.count(), &it.buckets(scale), None)
}

fn pairs<'a, const N: usize>(
    labels: [&'a str; N],
    values: &'a [String; N],
) -> Vec<(&'a str, &'a str)> {
    labels.into_iter().zip(values.iter().map(String::as_str)).collect()
}

impl prometheus_client::collector::Collector for Collector {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut families = Families(encoder);
        self.sagas(&mut families)?;
        self.attempts(&mut families)?;
        self.work(&mut families)?;
        self.process(&mut families)
    }
}

impl Collector {
    fn sagas(&self, families: &mut Families<'_>) -> fmt::Result {
        families.counter(
            "sagahost_starts_refused",
            "Starts refused because the host had too much to do",
            &self.0.inner.counters.refused,
        )?;
        let all = self.0.inner.counters.sagas.all();
        let each = |of: fn(&SagaMetrics) -> &Counter| {
            all.iter().map(move |(name, saga)| ([name.to_string()], of(saga).get()))
        };
        families.counters(
            "sagahost_sagas_started",
            "Orchestrations started",
            ["orchestrator"],
            each(|saga| &saga.started),
        )?;
        let ended = all.iter().flat_map(|(name, saga)| {
            [
                ("completed", &saga.completed),
                ("failed", &saga.failed),
                ("canceled", &saga.canceled),
                ("terminated", &saga.terminated),
            ]
            .map(|(status, count)| ([name.to_string(), status.to_owned()], count.get()))
        });
        families.counters(
            "sagahost_sagas_ended",
            "Orchestrations that have ended",
            ["orchestrator", "status"],
            ended,
        )?;
        families.counters(
            "sagahost_sagas_compensated",
            "Orchestrations that have ended after what they did was undone",
            ["orchestrator"],
            each(|saga| &saga.compensated),
        )?;
        families.gauges(
            "sagahost_sagas_stuck",
            "Sagas that need a person now",
            "orchestrator",
            self.stuck(all.iter().map(|(name, _)| name.to_string())),
        )?;
        let times = all.iter().map(|(name, saga)| (name.to_string(), saga.time.snapshot()));
        families.histograms(
            "sagahost_saga_duration",
            "From the start of an orchestration to its end",
            "orchestrator",
            times,
        )
    }

    /// The stuck sagas, by names that are labels.
    fn stuck(&self, labels: impl Iterator<Item = String>) -> BTreeMap<String, u64> {
        let inner = &self.0.inner;
        let mut rows: BTreeMap<String, u64> = labels.map(|name| (name, 0)).collect();
        let stuck = inner.counters.stuck.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (name, count) in stuck {
            // One that was stuck when the host started may have no metrics yet.
            let known = inner.runtime.function(&name);
            if known.is_some_and(|function| function.kind == FunctionKind::Orchestrator) {
                inner.saga_metrics(&name);
            }
            let known = inner.counters.sagas.get(&name).is_some();
            let label = if known { name } else { OTHER.to_owned() };
            *rows.entry(label).or_default() += count;
        }
        rows
    }

    fn attempts(&self, families: &mut Families<'_>) -> fmt::Result {
        let counters = &self.0.inner.counters;
        let (functions, entities) = (counters.functions.all(), counters.entities.all());
        type All = [(std::sync::Arc<str>, std::sync::Arc<FunctionMetrics>)];
        let outcomes = |all: &All, of: fn(&FunctionMetrics) -> &Attempts| {
            let rows = all.iter().flat_map(|(name, function)| {
                let by_outcome = of(function).by_outcome();
                by_outcome.map(|(outcome, count)| ([name.to_string(), outcome.to_owned()], count))
            });
            rows.collect::<Vec<_>>()
        };
        let times = |all: &All| {
            let rows = all.iter().map(|(name, it)| (name.to_string(), it.time.snapshot()));
            rows.collect::<Vec<_>>()
        };
        families.counters(
            "sagahost_step_attempts",
            "Attempts of steps that have ended",
            ["function", "outcome"],
            outcomes(&functions, |it| &it.steps),
        )?;
        families.counters(
            "sagahost_undo_attempts",
            "Attempts of undos that have ended",
            ["function", "outcome"],
            outcomes(&functions, |it| &it.undos),
        )?;
        let retries = |of: usize| {
            let count = move |it: &FunctionMetrics| it.retries.get(of).map_or(0, Counter::get);
            functions.iter().map(move |(name, it)| ([name.to_string()], count(it)))
        };
        families.counters(
            "sagahost_step_retries",
            "Steps that failed and are attempted again",
            ["function"],
            retries(0),
        )?;
        families.counters(
            "sagahost_undo_retries",
            "Undos that failed and are attempted again",
            ["function"],
            retries(1),
        )?;
        families.gauges(
            "sagahost_attempts_running",
            "Attempts of steps and undos that run now, or wait for a place",
            "function",
            functions.iter().map(|(name, it)| (name.to_string(), it.running.get())),
        )?;
        families.gauge(
            "sagahost_attempts_waiting",
            "Attempts that wait for a place now",
            In::Nothing,
            self.0.inner.places.waiting() as f64,
        )?;
        families.histograms(
            "sagahost_attempt_duration",
            "How long attempts of steps and undos took, with the wait for a place",
            "function",
            times(&functions),
        )?;
        families.counters(
            "sagahost_entity_operations",
            "Attempts of operations of entities that have ended",
            ["entity", "outcome"],
            outcomes(&entities, |it| &it.steps),
        )?;
        families.histograms(
            "sagahost_entity_operation_duration",
            "How long attempts of operations took, with the wait for a place",
            "entity",
            times(&entities),
        )?;
        let limits = &counters.limits;
        let limits = [
            ("memory", &limits.memory),
            ("cpu", &limits.cpu),
            ("timeout", &limits.timeout),
            ("output", &limits.output),
        ];
        families.counters(
            "sagahost_limits_hit",
            "Guests that were ended because they reached a limit",
            ["limit"],
            limits.map(|(limit, count)| ([limit.to_owned()], count.get())),
        )
    }

    fn work(&self, families: &mut Families<'_>) -> fmt::Result {
        let inner = &self.0.inner;
        let it = &inner.counters;
        families.histogram(
            "sagahost_turn_duration",
            "How long turns of orchestrations took, without their commit",
            In::Seconds,
            &it.turn_time.snapshot(),
        )?;
        families.histogram(
            "sagahost_replay_events",
            "Events of the journals that orchestrators were rebuilt from",
            In::Nothing,
            &it.replayed.snapshot(),
        )?;
        families.histogram(
            "sagahost_commit_duration",
            "How long transactions of the store took, with the flush to disk",
            In::Seconds,
            &it.commit_time.snapshot(),
        )?;
        families.histogram(
            "sagahost_commit_writes",
            "Writes in a transaction",
            In::Nothing,
            &it.commit_writes.snapshot(),
        )?;
        families.gauge(
            "sagahost_writer_queue",
            "Writes that wait for the writer now",
            In::Nothing,
            it.queued.get() as f64,
        )?;
        families.counter(
            "sagahost_store_failures",
            "Transactions that the store did not take",
            &it.store_failures,
        )?;
        families.counter(
            "sagahost_timers_set",
            "Timers that orchestrations have set",
            &it.timers,
        )?;
        families.counter(
            "sagahost_letters_sent",
            "Messages between instances and entities that were sent",
            &it.letters,
        )?;
        families.counter(
            "sagahost_letters_undeliverable",
            "Messages between instances and entities that will never be delivered",
            &it.undeliverable,
        )?;
        families.counter("sagahost_instances_purged", "Instances removed", &it.removed)?;
        families.gauge(
            "sagahost_instances_resident",
            "Orchestrators that are in memory now",
            In::Nothing,
            inner.residents.count() as f64,
        )?;
        families.counter(
            "sagahost_evictions",
            "Orchestrators dropped from memory while they waited",
            &it.evictions,
        )?;
        let taken = inner.runtime.instantiations();
        families.histograms(
            "sagahost_instantiation_duration",
            "How long guests took to come into memory",
            "engine",
            [
                ("activities".to_owned(), taken.activities.snapshot()),
                ("orchestrators".to_owned(), taken.orchestrators.snapshot()),
            ],
        )
    }

    fn process(&self, families: &mut Families<'_>) -> fmt::Result {
        if let Some(bytes) = memory("VmRSS:") {
            families.gauge(
                "process_resident_memory",
                "Memory of the process",
                In::Bytes,
                bytes as f64,
            )?;
        }
        let started = self.0.inner.counters.started_at.duration_since(SystemTime::UNIX_EPOCH);
        families.gauge(
            "process_start_time",
            "When the process started, since 1970",
            In::Seconds,
            started.unwrap_or_default().as_secs_f64(),
        )
    }
}
