//! Traces: a collector on a real socket is told of sagas, whatever became of
//! the host meanwhile.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::steps::*;
use crate::support::*;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

/// What takes OTLP, and any other request.
struct Collector {
    url: String,
    /// Whether it answers that it cannot now.
    down: Arc<AtomicBool>,
    refused: Arc<Mutex<usize>>,
    spans: Arc<Mutex<HashMap<String, Value>>>,
    /// The heads of the other requests.
    others: Arc<Mutex<Vec<String>>>,
}

impl Collector {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let collector = Collector {
            url,
            down: Arc::default(),
            refused: Arc::default(),
            spans: Arc::default(),
            others: Arc::default(),
        };
        let (down, refused) = (collector.down.clone(), collector.refused.clone());
        let (spans, others) = (collector.spans.clone(), collector.others.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = BufReader::new(stream.unwrap());
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") && stream.read_line(&mut head).unwrap_or(0) > 0 {}
                let head = head.to_ascii_lowercase();
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
                stream.read_exact(&mut body).unwrap();
                let mut status = "200 OK";
                if !head.starts_with("post /otel/v1/traces ") {
                    others.lock().unwrap().push(head);
                } else if down.load(Ordering::SeqCst) {
                    *refused.lock().unwrap() += 1;
                    status = "503 Service Unavailable";
                } else {
                    assert!(head.contains("x-team: the ops\r\n"), "{head}");
                    assert!(head.contains("content-type: application/json\r\n"), "{head}");
                    take(&mut spans.lock().unwrap(), &serde_json::from_slice(&body).unwrap());
                }
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\n{{}}");
                let _ = stream.get_mut().write_all(answer.as_bytes());
            }
        });
        collector
    }

    fn serve(&self, site: &Site) -> Server {
        let mut command = site.command();
        command.args(["--otlp-endpoint", &format!("{}/otel/", self.url)]);
        command.env("OTEL_EXPORTER_OTLP_HEADERS", "x-team=the%20ops");
        Server::start(command)
    }

    /// The spans, once the saga of this instance is among them.
    fn trace_of(&self, instance: &str) -> Trace {
        eventually(&format!("the trace of {instance}"), || {
            let all = Trace(self.spans.lock().unwrap().clone());
            all.saga(instance).is_some().then_some(all)
        })
    }
}

/// Takes in a message. A span that was there already has to be the same.
fn take(spans: &mut HashMap<String, Value>, message: &Value) {
    let [resource] = &message["resourceSpans"].as_array().unwrap()[..] else { panic!("one") };
    assert_eq!(attribute(&resource["resource"], "service.name"), "sagahost");
    for span in resource["scopeSpans"][0]["spans"].as_array().unwrap() {
        let id = span["spanId"].as_str().unwrap().to_owned();
        assert!(id.len() == 16 && span["traceId"].as_str().unwrap().len() == 32, "{span}");
        let [start, end] = ["startTimeUnixNano", "endTimeUnixNano"]
            .map(|key| span[key].as_str().unwrap().parse::<u64>().unwrap());
        assert!(start <= end, "{span}");
        if let Some(before) = spans.insert(id, span.clone()) {
            assert_eq!(&before, span, "a span that is told again is the same");
        }
    }
}

/// The text of an attribute.
fn attribute(of: &Value, name: &str) -> String {
    let all = of["attributes"].as_array().unwrap();
    let found = all.iter().find(|attribute| attribute["key"] == name);
    found.map_or_else(String::new, |it| it["value"]["stringValue"].as_str().unwrap().to_owned())
}

struct Trace(HashMap<String, Value>);

impl Trace {
    fn saga(&self, instance: &str) -> Option<&Value> {
        let named = |span: &&Value| attribute(span, "sagahost.instance.id") == instance;
        self.0.values().find(named)
    }

    fn below<'a>(&'a self, span: &Value) -> Vec<&'a Value> {
        self.0.values().filter(|below| below["parentSpanId"] == span["spanId"]).collect()
    }

    /// The spans of one saga without those of its children: how often each kind
    /// is there.
    fn counts(&self, instance: &str) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        let mut left = self.below(self.saga(instance).expect("it is there"));
        while let Some(span) = left.pop() {
            if !attribute(span, "sagahost.instance.id").is_empty() {
                continue;
            }
            let has = |key: &str| {
                span["attributes"].as_array().unwrap().iter().any(|it| it["key"] == key)
            };
            let kind = match (has("sagahost.attempt"), has("sagahost.undo.of")) {
                (true, _) => "attempts",
                (false, true) => "undos",
                (false, false) => "steps",
            };
            *counts.entry(kind).or_default() += 1;
            left.extend(self.below(span));
        }
        counts
    }
}

/// What of a journal has to be in its trace.
fn journaled(client: &Client, instance: &str) -> BTreeMap<&'static str, usize> {
    let path = format!("/api/instances/{instance}/events");
    let (status, _, text) = client.get_text(&path, &[]);
    assert_eq!(status, 200);
    let mut counts = BTreeMap::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("data: ")) {
        let line: Value = serde_json::from_str(line).unwrap();
        let Some(kind) = line["event"].as_object().and_then(|event| event.keys().next()) else {
            continue;
        };
        let kind = match kind.as_str() {
            "Scheduled" | "ChildScheduled" => "steps",
            "UndoScheduled" => "undos",
            "TaskCompleted" | "AttemptFailed" | "AttemptLost" | "LateResult" | "UndoCompleted"
            | "UndoAttemptFailed" | "UndoAttemptLost" => "attempts",
            _ => continue,
        };
        *counts.entry(kind).or_default() += 1;
    }
    counts
}

fn start(client: &Client, name: &str, id: &str, input: &Value) {
    let parent = format!("00-{TRACE}-{CALLER}-01");
    let headers = [("content-type", "application/json"), ("traceparent", &parent)];
    let (path, body) = (format!("/api/orchestrators/{name}/{id}"), input.to_string());
    let answer = client.try_send("POST", &path, &headers, Some(body.as_bytes())).unwrap();
    assert_eq!(answer.status, 202, "{answer:?}");
}

#[test]
fn a_saga_that_survived_crashes_is_one_trace() {
    let collector = Collector::start();
    let site = Site::new(&["test_guests"]);
    let server = collector.serve(&site);
    let hangs = json!({ "fault": "hang-once", "timeoutMs": 60_000, "attempts": 3 });
    let flaky = json!({ "fault": "flaky", "attempts": 3, "undoFault": "fail-once" });
    let one = Saga::new(&site, "one", 2).step(0, &flaky).step(1, &hangs);
    let two = Saga::new(&site, "two", 1).step(0, &json!({ "undoFault": "hang-once" }));
    let children = [one.input(), two.input()];
    start(
        &server.client(),
        "ParentSaga",
        "family",
        &json!({ "children": children, "end": "fail" }),
    );

    eventually("a step hangs", || (one.logged("do s1 ") == 1).then_some(()));
    server.kill();
    let server = collector.serve(&site);
    eventually("an undo hangs", || (two.logged("undo s0 ") == 1).then_some(()));
    collector.down.store(true, Ordering::SeqCst);
    server.kill();
    let server = collector.serve(&site);
    let status = server.client().ended("family");
    assert_eq!(status["sagaState"], "compensated", "{status}");
    eventually("the collector was down", || (*collector.refused.lock().unwrap() > 0).then_some(()));
    server.kill();
    collector.down.store(false, Ordering::SeqCst);
    let server = collector.serve(&site);
    let client = server.client();

    let trace = collector.trace_of("family");
    let family = trace.saga("family").unwrap();
    assert_eq!(family["parentSpanId"], CALLER, "it is a part of what the client does");
    assert_eq!(family["status"]["code"], 2, "{family}");
    let known = |id: &Value| trace.0.contains_key(id.as_str().unwrap());
    for span in trace.0.values() {
        assert_eq!(span["traceId"], TRACE, "{span}");
        assert!(span["spanId"] == family["spanId"] || known(&span["parentSpanId"]), "{span}");
    }
    let calls: Vec<_> = trace.below(family).into_iter().filter(|span| span["kind"] == 3).collect();
    let mut all = 1;
    let instances: Vec<_> = calls.iter().map(|call| attribute(call, "sagahost.child.id")).collect();
    assert_eq!(instances.len(), 2, "{instances:?}");
    for (call, child) in calls.iter().zip(&instances) {
        let child = trace.saga(child).expect("it has a span");
        assert_eq!(child["parentSpanId"], call["spanId"], "a child is below what called it");
        all += 1;
    }
    for instance in instances.iter().map(String::as_str).chain(["family"]) {
        let counts = journaled(&client, instance);
        assert_eq!(trace.counts(instance), counts, "{instance}");
        all += counts.values().sum::<usize>();
    }
    assert_eq!(trace.0.len(), all, "there is nothing else");
    let lost = |span: &&Value| span["status"]["message"] == "the host ended while it ran";
    assert_eq!(trace.0.values().filter(lost).count(), 2, "an attempt, and one of an undo");
    let retried = |span: &&Value| span["name"] == "StepDo attempt 2" && span["status"]["code"] == 1;
    assert_eq!(trace.0.values().filter(retried).count(), 2);
}

#[test]
fn activities_and_what_they_ask_for_are_told_which_span_they_are() {
    let collector = Collector::start();
    let site = Site::new(&["test_guests"]);
    let granted = &collector.url;
    site.manifest(&format!("[[functions]]\nnames = [\"TestHttpGet\"]\nhttp = [\"{granted}\"]\n"));
    let server = collector.serve(&site);
    let client = server.client();
    start(&client, "TestCallOne", "told", &json!({ "activity": "TestContext" }));
    let status = client.ended("told");
    let told = status["output"]["traceParent"].as_str().expect("it is told").to_owned();
    let url = format!("{}/page", collector.url);
    let call = json!({ "activity": "TestHttpGet", "input": { "url": url } });
    start(&client, "TestCallOne", "asks", &call);
    let status = client.ended("asks");
    assert_eq!(status["output"]["status"], 200, "{status}");
    let head = collector.others.lock().unwrap().concat();
    let asked = head.lines().find_map(|line| line.strip_prefix("traceparent: ")).expect("sent");

    collector.trace_of("told");
    let trace = collector.trace_of("asks");
    for (instance, name, told) in
        [("told", "TestContext attempt 1", &*told), ("asks", "TestHttpGet attempt 1", asked)]
    {
        let [step] = trace.below(trace.saga(instance).unwrap())[..] else { panic!("one step") };
        let [attempt] = trace.below(step)[..] else { panic!("one attempt") };
        assert_eq!(attempt["name"], name);
        assert_eq!(told, format!("00-{TRACE}-{}-01", attempt["spanId"].as_str().unwrap()));
    }
}

#[test]
fn rounds_rewinds_and_detached_starts_stay_in_their_trace() {
    let collector = Collector::start();
    let site = Site::new(&["test_guests"]);
    let server = collector.serve(&site);
    let client = server.client();
    client.start_as("CollectEvents", "rounds", &json!({ "rounds": 3, "perRound": 1 }));
    for n in 0..3 {
        assert_eq!(client.raise("rounds", "E", &json!(n)).status, 202);
    }
    client.ended("rounds");
    client.start_as("Detacher", "detacher", &json!({ "id": "detached", "input": { "n": 1 } }));
    client.ended("detacher");
    client.ended("detached");
    let folder = site.path("files/rewound");
    std::fs::create_dir(&folder).unwrap();
    client.start_as("Rewindable", "rewound", &json!({ "dir": "/files/rewound" }));
    assert_eq!(client.ended("rewound")["runtimeStatus"], "Failed");
    std::fs::write(folder.join("b"), "").unwrap();
    let path = "/runtime/webhooks/durabletask/instances/rewound/rewind?reason=there";
    assert_eq!(client.post(path, &Value::Null).status, 202);
    assert_eq!(client.ended("rewound")["runtimeStatus"], "Completed");

    let all = eventually("all is told", || {
        let all = Trace(collector.spans.lock().unwrap().clone());
        let sagas = |name: &str| all.0.values().filter(|span| span["name"] == name).count();
        let told = sagas("CollectEvents") == 3 && sagas("Rewindable rewound") == 1;
        (told && all.saga("detached").is_some()).then_some(all)
    });
    let rounds: Vec<_> = all.0.values().filter(|span| span["name"] == "CollectEvents").collect();
    let first = rounds.iter().find(|span| span["parentSpanId"] == "").expect("the first");
    for round in &rounds {
        assert_eq!(round["traceId"], first["traceId"]);
        assert!(round == first || round["parentSpanId"] == first["spanId"], "{round}");
        assert_eq!(all.below(round).iter().filter(|it| it["name"] == "event E").count(), 1);
    }
    let (from, detached) = (all.saga("detacher").unwrap(), all.saga("detached").unwrap());
    assert_eq!(
        (&detached["traceId"], &detached["parentSpanId"]),
        (&from["traceId"], &from["spanId"])
    );
    let named = |name: &'static str| move |span: &&&Value| span["name"] == name;
    let failed = all.saga("rewound").unwrap();
    let below = all.below(failed);
    let again = below.iter().find(named("Rewindable rewound")).expect("it goes on below");
    assert_eq!((&failed["status"]["code"], &again["status"]["code"]), (&json!(2), &json!(1)));
    let attempts =
        |of: &Value| -> usize { all.below(of).iter().map(|step| all.below(step).len()).sum() };
    let journal = journaled(&client, "rewound");
    let all_attempts = all.below(failed).into_iter().map(|step| match step == *again {
        true => attempts(step),
        false => all.below(step).len(),
    });
    assert_eq!(all_attempts.sum::<usize>(), journal["attempts"], "each is told once");
}
