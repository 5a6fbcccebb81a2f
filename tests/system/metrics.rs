//! Metrics: that they say exactly what happened, in words that Prometheus
//! reads, with labels that nobody can multiply.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};

use crate::clients::{python, run_within};
use crate::entities::{signal, state};
use crate::steps::*;
use crate::support::*;

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const BASE: &str = "/runtime/webhooks/durabletask/instances";

/// What is served: each family with its type, and each sample with its value.
#[derive(Debug, serde::Deserialize)]
pub struct Metrics {
    pub families: BTreeMap<String, String>,
    samples: BTreeMap<String, f64>,
}

impl Metrics {
    pub fn of(client: &Client) -> Self {
        let (status, kind, text) = client.get_text("/metrics", &[]);
        assert_eq!((status, kind.as_str()), (200, OPENMETRICS));
        assert!(text.ends_with("# EOF\n"));
        let (mut families, mut samples) = (BTreeMap::new(), BTreeMap::new());
        for line in text.lines() {
            if let Some(family) = line.strip_prefix("# TYPE ") {
                let (name, kind) = family.split_once(' ').unwrap();
                assert!(families.insert(name.to_owned(), kind.to_owned()).is_none(), "{line}");
            } else if !line.starts_with('#') {
                let (sample, value) = line.rsplit_once(' ').unwrap();
                let value = value.parse().unwrap_or_else(|_| panic!("{line}"));
                assert!(samples.insert(sample.to_owned(), value).is_none(), "twice: {line}");
            }
        }
        Metrics { families, samples }
    }

    /// The samples of these names that are not 0.
    fn counted(&self, names: &[&str]) -> BTreeMap<String, f64> {
        let of = |sample: &str| names.contains(&sample.split('{').next().unwrap_or_default());
        let counted = self.samples.iter().filter(|(sample, value)| **value != 0.0 && of(sample));
        counted.map(|(sample, value)| (sample.clone(), *value)).collect()
    }

    fn sum(&self, name: &str) -> f64 {
        self.counted(&[name]).values().sum()
    }

    /// Each sample's name with its labels and their values.
    pub fn labels(&self) -> BTreeMap<String, BTreeMap<String, BTreeSet<String>>> {
        let mut found: BTreeMap<String, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
        for sample in self.samples.keys() {
            let (name, labels) = sample.split_once('{').unwrap_or((sample, ""));
            let of = found.entry(name.to_owned()).or_default();
            let labels = labels.trim_end_matches("\"}").split("\",");
            for (label, value) in labels.filter_map(|label| label.split_once("=\"")) {
                of.entry(label.to_owned()).or_default().insert(value.to_owned());
            }
        }
        found
    }
}

/// Everything that the load of the test counts.
const COUNTED: [&str; 15] = [
    "sagahost_sagas_started_total",
    "sagahost_sagas_ended_total",
    "sagahost_sagas_compensated_total",
    "sagahost_sagas_stuck",
    "sagahost_saga_duration_seconds_count",
    "sagahost_step_attempts_total",
    "sagahost_undo_attempts_total",
    "sagahost_step_retries_total",
    "sagahost_undo_retries_total",
    "sagahost_attempt_duration_seconds_count",
    "sagahost_entity_operations_total",
    "sagahost_limits_hit_total",
    "sagahost_timers_set_total",
    "sagahost_letters_undeliverable_total",
    "sagahost_instances_purged_total",
];

fn site() -> Site {
    let site = Site::new(&["guest_activities", "guest_orchestrator", "test_guests"]);
    site.manifest(
        "[[functions]]\nnames = [\"Test*\"]\nmemory = \"32MiB\"\ncpu = \"500ms\"\n\
         timeout = \"60s\"\noutput = \"64KiB\"\n",
    );
    site
}

fn expected(rows: &[(&str, u32)]) -> BTreeMap<String, f64> {
    rows.iter().map(|(row, count)| (format!("sagahost_{row}"), f64::from(*count))).collect()
}

#[test]
fn the_counts_are_exactly_what_happened() {
    let site = site();
    let server = site.serve();
    let client = server.client();
    assert!(Metrics::of(&client).counted(&COUNTED).is_empty(), "nothing has happened");

    for n in 0..5 {
        client.run("TestOrchEcho", &json!(n));
    }
    Saga::new(&site, "goes-well", 2).start(&client).is_committed(&client);
    let flaky = Saga::new(&site, "flaky", 1).step(0, &json!({ "fault": "flaky", "attempts": 2 }));
    flaky.start(&client).is_committed(&client);
    let fails = Saga::new(&site, "fails", 3).step(2, &json!({ "undoFault": "fail-once" }));
    let fails = fails.with("end", "fail").start(&client);
    fails.is_gone(&client, "Failed", &[(2, "completed"), (1, "completed"), (0, "completed")]);
    let stuck = Saga::new(&site, "stuck", 3).step(1, &json!({ "undoFault": "fail" }));
    stuck.with("end", "fail").start(&client);
    eventually("it is stuck", || (client.stats()["stuck"] == 1).then_some(()));

    let catch = |activity: &str, input: Value, timeout: u64| {
        let call = json!({
            "activity": activity, "input": input, "retry": { "maxAttempts": 1 },
            "timeoutMs": timeout,
        });
        let status = client.run("TestCatch", &call);
        assert_eq!(status["runtimeStatus"], "Completed", "{status}");
    };
    catch("TestEcho", json!(1), 60_000);
    catch("TestTrap", Value::Null, 60_000);
    catch("TestHang", Value::Null, 300);
    catch("TestLoop", Value::Null, 60_000);
    catch("TestMemory", Value::Null, 60_000);
    catch("TestOutput", json!({ "bytes": 1_000_000 }), 60_000);

    for id in ["cancelled", "terminated"] {
        client.start_as("Reminder", id, &json!({ "seconds": 1000, "message": "" }));
    }
    assert_eq!(client.cancel("cancelled").status, 202);
    client.ended("cancelled");
    let path = format!("{BASE}/terminated/terminate?reason=no");
    assert_eq!(client.try_send("POST", &path, &[], None).unwrap().status, 202);
    client.ended("terminated");
    assert_eq!(client.delete(&format!("{BASE}/terminated")).status, 200);

    for _ in 0..3 {
        signal(&client, "Account/a", "add", &json!(1));
    }
    signal(&client, "Account/a", "fail", &Value::Null);
    signal(&client, "Account/a", "add", &json!(1));
    eventually("all is added", || {
        state(&client, "Account/a").filter(|account| account["balance"] == 4).map(drop)
    });
    let told = client.run("Detacher", &json!({ "input": { "number": 7 } }));
    let started = told["output"].as_str().unwrap();
    eventually("it has begun", || {
        (client.get(&format!("{BASE}/{started}")).status != 404).then_some(())
    });
    client.ended(started);
    client.run("Detacher", &json!({ "name": "Nobody", "input": {} }));
    let undeliverable = "sagahost_letters_undeliverable_total";
    eventually("it is known that it cannot be", || {
        (Metrics::of(&client).sum(undeliverable) == 1.0).then_some(())
    });

    let wanted = expected(&[
        (r#"sagas_started_total{orchestrator="Detacher"}"#, 2),
        (r#"sagas_started_total{orchestrator="Leaf"}"#, 1),
        (r#"sagas_started_total{orchestrator="Reminder"}"#, 2),
        (r#"sagas_started_total{orchestrator="StepsSaga"}"#, 4),
        (r#"sagas_started_total{orchestrator="TestCatch"}"#, 6),
        (r#"sagas_started_total{orchestrator="TestOrchEcho"}"#, 5),
        (r#"sagas_ended_total{orchestrator="Detacher",status="completed"}"#, 2),
        (r#"sagas_ended_total{orchestrator="Leaf",status="completed"}"#, 1),
        (r#"sagas_ended_total{orchestrator="Reminder",status="canceled"}"#, 1),
        (r#"sagas_ended_total{orchestrator="Reminder",status="terminated"}"#, 1),
        (r#"sagas_ended_total{orchestrator="StepsSaga",status="completed"}"#, 2),
        (r#"sagas_ended_total{orchestrator="StepsSaga",status="failed"}"#, 1),
        (r#"sagas_ended_total{orchestrator="TestCatch",status="completed"}"#, 6),
        (r#"sagas_ended_total{orchestrator="TestOrchEcho",status="completed"}"#, 5),
        (r#"sagas_compensated_total{orchestrator="StepsSaga"}"#, 1),
        (r#"sagas_stuck{orchestrator="StepsSaga"}"#, 1),
        (r#"saga_duration_seconds_count{orchestrator="Detacher"}"#, 2),
        (r#"saga_duration_seconds_count{orchestrator="Leaf"}"#, 1),
        (r#"saga_duration_seconds_count{orchestrator="Reminder"}"#, 2),
        (r#"saga_duration_seconds_count{orchestrator="StepsSaga"}"#, 3),
        (r#"saga_duration_seconds_count{orchestrator="TestCatch"}"#, 6),
        (r#"saga_duration_seconds_count{orchestrator="TestOrchEcho"}"#, 5),
        (r#"step_attempts_total{function="StepDo",outcome="completed"}"#, 9),
        (r#"step_attempts_total{function="StepDo",outcome="failed"}"#, 1),
        (r#"step_attempts_total{function="TestEcho",outcome="completed"}"#, 1),
        (r#"step_attempts_total{function="TestHang",outcome="unknown"}"#, 1),
        (r#"step_attempts_total{function="TestLoop",outcome="unknown"}"#, 1),
        (r#"step_attempts_total{function="TestMemory",outcome="unknown"}"#, 1),
        (r#"step_attempts_total{function="TestOutput",outcome="unknown"}"#, 1),
        (r#"step_attempts_total{function="TestTrap",outcome="unknown"}"#, 1),
        (r#"undo_attempts_total{function="StepUndo",outcome="completed"}"#, 4),
        (r#"undo_attempts_total{function="StepUndo",outcome="failed"}"#, 2),
        (r#"step_retries_total{function="StepDo"}"#, 1),
        (r#"undo_retries_total{function="StepUndo"}"#, 1),
        (r#"attempt_duration_seconds_count{function="StepDo"}"#, 10),
        (r#"attempt_duration_seconds_count{function="StepUndo"}"#, 6),
        (r#"attempt_duration_seconds_count{function="TestEcho"}"#, 1),
        (r#"attempt_duration_seconds_count{function="TestHang"}"#, 1),
        (r#"attempt_duration_seconds_count{function="TestLoop"}"#, 1),
        (r#"attempt_duration_seconds_count{function="TestMemory"}"#, 1),
        (r#"attempt_duration_seconds_count{function="TestOutput"}"#, 1),
        (r#"attempt_duration_seconds_count{function="TestTrap"}"#, 1),
        (r#"entity_operations_total{entity="Account",outcome="completed"}"#, 4),
        (r#"entity_operations_total{entity="Account",outcome="failed"}"#, 1),
        (r#"limits_hit_total{limit="cpu"}"#, 1),
        (r#"limits_hit_total{limit="memory"}"#, 1),
        (r#"limits_hit_total{limit="output"}"#, 1),
        (r#"limits_hit_total{limit="timeout"}"#, 1),
        ("timers_set_total", 2),
        ("letters_undeliverable_total", 1),
        ("instances_purged_total", 1),
    ]);
    let metrics = Metrics::of(&client);
    assert_eq!(metrics.counted(&COUNTED), wanted);
    assert_eq!(metrics.sum("sagahost_attempts_running"), 0.0);
    assert_eq!(metrics.sum("sagahost_writer_queue"), 0.0);
    agrees(&client);
    agree_with_the_journals(&site, &metrics);
    parsers_agree(&server, &metrics.families, &wanted);

    // What is stuck stays so, and what was cut off is known to be lost.
    let cut = Saga::new(&site, "cut", 1).step(0, &json!({ "fault": "hang" }));
    let cut = cut.start(&client);
    eventually("its step runs", || (cut.logged("do s0 ") == 1).then_some(()));
    server.kill();
    let server = site.serve();
    let client = server.client();
    eventually("its step runs again", || (cut.logged("do s0 ") == 2).then_some(()));
    let attempts = [
        "sagahost_sagas_stuck",
        "sagahost_step_attempts_total",
        "sagahost_attempts_running",
        "sagahost_sagas_started_total",
    ];
    let wanted = expected(&[
        (r#"sagas_stuck{orchestrator="StepsSaga"}"#, 1),
        (r#"step_attempts_total{function="StepDo",outcome="lost"}"#, 1),
        (r#"attempts_running{function="StepDo"}"#, 1),
    ]);
    assert_eq!(Metrics::of(&client).counted(&attempts), wanted);
    let mended = json!({ "note": "done by hand", "by": "Ada" });
    assert_eq!(client.post("/api/instances/stuck/undo/1/done", &mended).status, 202);
    client.ended("stuck");
    assert_eq!(Metrics::of(&client).sum("sagahost_sagas_stuck"), 0.0);
}

/// The counters of `/admin/stats` say the same.
fn agrees(client: &Client) {
    let (stats, metrics) = (client.stats(), Metrics::of(client));
    let ended = |status: &str| {
        let rows = metrics.counted(&["sagahost_sagas_ended_total"]).into_iter();
        rows.filter(|(row, _)| row.contains(&format!("status=\"{status}\"")))
            .map(|(_, count)| count)
            .sum::<f64>()
    };
    for (key, value) in [
        ("started", metrics.sum("sagahost_sagas_started_total")),
        ("completed", ended("completed")),
        ("failed", ended("failed")),
        ("canceled", ended("canceled")),
        ("terminated", ended("terminated")),
        ("stuck", metrics.sum("sagahost_sagas_stuck")),
        ("storeFailures", metrics.sum("sagahost_store_failures_total")),
        ("commits", metrics.sum("sagahost_commit_duration_seconds_count")),
        ("commits", metrics.sum("sagahost_commit_writes_count")),
        ("replays", metrics.sum("sagahost_replay_events_count")),
        ("evictions", metrics.sum("sagahost_evictions_total")),
        (
            "attempts",
            metrics.sum("sagahost_attempt_duration_seconds_count")
                + metrics.sum("sagahost_entity_operation_duration_seconds_count"),
        ),
    ] {
        assert_eq!(stats[key].as_f64(), Some(value), "{key}: {stats}");
    }
}

/// The parsers of Prometheus's own client read the same out of it, also the one
/// that refuses what OpenMetrics does not allow.
fn parsers_agree(
    server: &Server,
    families: &BTreeMap<String, String>,
    wanted: &BTreeMap<String, f64>,
) {
    let mut script = python("metrics.py");
    script.arg(&server.url);
    let (status, printed) = run_within(script, Duration::from_secs(120)).unwrap();
    assert!(status.success(), "{printed}");
    let mut read: BTreeMap<String, Metrics> =
        serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}"));
    for (format, metrics) in &read {
        assert_eq!(metrics.counted(&COUNTED), *wanted, "{format}");
    }
    assert_eq!(read["openMetrics"].families, *families);
    // There the type for what is only told is not known, and nothing else differs.
    let mut plain = read.remove("plain").unwrap().families;
    assert_eq!(plain.remove("sagahost_build_info").as_deref(), Some("gauge"));
    plain.insert("sagahost_build".to_owned(), "info".to_owned());
    assert_eq!(plain, *families);
}

/// What the journals say of the sagas is what was counted.
fn agree_with_the_journals(site: &Site, metrics: &Metrics) {
    let database = rusqlite::Connection::open(site.path("data/sagahost.db")).unwrap();
    let chunks = "SELECT chunk FROM journal";
    let mut chunks = database.prepare(chunks).unwrap();
    let chunks = chunks.query_map([], |row| row.get::<_, Vec<u8>>(0)).unwrap();
    let mut events: BTreeMap<String, f64> = BTreeMap::new();
    for chunk in chunks {
        let chunk: Value = serde_json::from_slice(&chunk.unwrap()).unwrap();
        for record in chunk.as_array().unwrap() {
            let event = record[1].as_object().and_then(|event| event.keys().next());
            *events.entry(event.map_or(String::new(), String::clone)).or_default() += 1.0;
        }
    }
    let undone =
        metrics.samples[r#"sagahost_undo_attempts_total{function="StepUndo",outcome="completed"}"#];
    assert_eq!(events["UndoCompleted"], undone);
    let started = metrics.sum("sagahost_sagas_started_total");
    assert_eq!(events["Started"], started - 1.0, "one is purged");
}

#[test]
fn odd_names_and_paths_make_no_series() {
    let site = site();
    let server = site.serve();
    let client = server.client();
    let odd = |n: usize| {
        let name = format!("Odd{n}");
        let answer = client.post(&format!("/api/orchestrators/{name}"), &Value::Null);
        assert_eq!(answer.status, 400, "{answer:?}");
        assert_eq!(client.get(&format!("/odd/{n}")).status, 404);
        assert_eq!(client.get(&format!("{BASE}/{name}")).status, 404);
        let call = json!({ "activity": name, "retry": { "maxAttempts": 1 } });
        let status = client.run("TestCatch", &call);
        assert_eq!(status["runtimeStatus"], "Completed", "{status}");
    };
    odd(0);
    // The first look has a series of its own from then on.
    Metrics::of(&client);
    let before = Metrics::of(&client);
    (1..40).for_each(odd);
    let after = Metrics::of(&client);
    let series = |metrics: &Metrics| metrics.samples.keys().cloned().collect::<Vec<_>>();
    assert_eq!(series(&before), series(&after));
    assert!(!series(&after).iter().any(|sample| sample.contains("Odd")));
    let rows = after.counted(&["sagahost_step_attempts_total"]);
    let wanted = expected(&[(r#"step_attempts_total{function="other",outcome="failed"}"#, 40)]);
    assert_eq!(rows, wanted);
    let none = r#"sagahost_http_requests_total{operation="none",status="4xx"}"#;
    assert_eq!(after.samples[none], 40.0);
}

#[test]
fn a_key_that_may_manage_is_needed_where_there_are_keys() {
    let site = Site::new(&[]);
    let (manage, only_use) = (site.key("manage"), site.key("use"));
    let server = site.serve();
    let client = server.client();
    let status = |headers: &[(&str, &str)]| client.get_text("/metrics", headers).0;
    assert_eq!(status(&[]), 401);
    assert_eq!(status(&[("x-functions-key", &only_use)]), 403);
    assert_eq!(status(&[("x-functions-key", &manage)]), 200);
    assert_eq!(client.get_text(&format!("/metrics?code={manage}"), &[]).0, 200);
}
