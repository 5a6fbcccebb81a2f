//! The host's log: lines that programs can read, of which each names the
//! instance and the step it is about, with what guests write, at levels that
//! can be changed while the host runs.

use serde_json::{Value, json};

use crate::support::*;

fn site() -> Site {
    let mut site = Site::new(&["guest_activities", "guest_orchestrator", "test_guests"]);
    site.arguments = vec!["--log-format".into(), "json".into()];
    site
}

/// The lines of the log so far.
fn lines(server: &Server) -> Vec<Value> {
    let output = server.output();
    let lines = output.lines().filter(|line| line.starts_with('{'));
    lines.map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect()
}

/// The lines about this instance, once one of them has this message.
fn about(server: &Server, id: &str, message: &str) -> Vec<Value> {
    eventually(&format!("`{message}` is logged of {id}"), || {
        let mut lines = lines(server);
        lines.retain(|line| line["instance"] == id);
        lines.iter().any(|line| line["message"] == message).then_some(lines)
    })
}

fn set(client: &Client, level: &str) -> Answer {
    let body = json!({ "level": level }).to_string();
    let headers = [("content-type", "application/json")];
    client.try_send("PUT", "/admin/log", &headers, Some(body.as_bytes())).unwrap()
}

#[test]
fn every_line_names_its_instance_and_its_step() {
    let site = site();
    let server = site.serve();
    let client = server.client();
    let run = |id: &str, activity: &str| {
        let call = json!({ "activity": activity, "retry": { "maxAttempts": 1 } });
        client.start_as("TestCatch", id, &call);
        client.ended(id);
    };
    run("quiet", "TestTrap");
    let found = about(&server, "quiet", "an attempt gave no result");
    let line = found.iter().find(|line| line["message"] == "an attempt gave no result").unwrap();
    for (key, value) in [
        ("level", json!("INFO")),
        ("step", json!(0)),
        ("attempt", json!(1)),
        ("function", json!("TestTrap")),
        ("code", json!("host.trap")),
    ] {
        assert_eq!(line[key], value, "{line}");
    }
    // What it wrote when it panicked is a guest's.
    let guests = found.iter().filter(|line| line["target"] == "guest").collect::<Vec<_>>();
    assert!(!guests.is_empty(), "{found:?}");
    assert!(guests.iter().all(|line| line["step"] == 0 && line["level"] == "WARN"), "{guests:?}");

    client.start_as("TestVersioned", "other", &Value::Null);
    eventually("its first step is done", || {
        let history = client.history("other");
        history.iter().any(|event| event["EventType"] == "TaskCompleted").then_some(())
    });
    assert_eq!(server.terminate(), Some(0));
    site.rewrite_journals("TestEcho", "TestOther");
    let server = site.serve();
    assert_eq!(server.client().raise("other", "Go", &Value::Null).status, 202);
    let found = about(&server, "other", "an orchestration is blocked");
    assert!(found.iter().any(|line| line["level"] == "ERROR"), "{found:?}");
}

#[test]
fn levels_are_changed_while_the_host_runs() {
    let site = site();
    let manage = site.key("manage");
    let only_use = site.key("use");
    let server = site.serve();
    let client = server.client();
    let send = |method: &str, key: &str, level: Option<&str>| {
        let body = level.map(|level| json!({ "level": level }).to_string());
        let headers = [("x-functions-key", key), ("content-type", "application/json")];
        client.try_send(method, "/admin/log", &headers, body.as_deref().map(str::as_bytes)).unwrap()
    };
    assert_eq!(send("PUT", &only_use, Some("debug")).status, 403);
    assert_eq!(send("GET", &only_use, None).status, 403);
    let before = send("GET", &manage, None);
    assert_eq!((before.status, &before.body), (200, &json!({ "level": "guest=warn,info" })));
    let requests = || lines(&server).iter().filter(|line| line["message"] == "request").count();
    assert_eq!(requests(), 0);

    let changed = send("PUT", &manage, Some("info,sagahost_http=debug"));
    assert_eq!(changed.status, 200, "{changed:?}");
    assert_eq!(send("GET", &manage, None).body, changed.body);
    let secret = format!("/healthz?code={manage}");
    assert_eq!(client.get(&secret).status, 200);
    eventually("requests are logged", || (requests() >= 2).then_some(()));
    for wrong in ["", "loud", "info,", "info,guest=loud", "3"] {
        let answer = send("PUT", &manage, Some(wrong));
        assert_eq!(answer.status, 400, "{wrong:?}: {answer:?}");
    }
    assert_eq!(send("GET", &manage, None).body, changed.body, "what is wrong changes nothing");
    assert_eq!(send("PUT", &manage, Some("off")).status, 200);
    let before = server.output().len();
    client.get("/healthz");
    assert_eq!(send("PUT", &manage, Some("trace")).status, 200);
    client.get(&secret);
    eventually("all is logged", || (server.output().len() > before).then_some(()));
    let output = server.output();
    assert!(!output.contains(&manage) && !output.contains(&only_use), "a key is in the log");
}

#[test]
fn what_guests_write_is_logged_as_much_as_is_wanted() {
    let site = site();
    let server = site.serve();
    let client = server.client();
    let run = |id: &str| {
        client.start_as("TestStatusAndLog", id, &Value::Null);
        client.ended(id);
    };
    let written = |id: &str| {
        let mut lines = lines(&server);
        lines.retain(|line| line["target"] == "guest" && line["instance"] == id);
        let told = |line: &Value| {
            assert_eq!(line["function"], "TestStatusAndLog", "{line}");
            assert!(line["step"].is_null(), "an orchestrator is no step: {line}");
            let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
            (text("level"), text("message"))
        };
        lines.iter().map(told).collect::<Vec<_>>()
    };
    let wanted = |levels: &[&str]| {
        let mut wanted = Vec::new();
        for step in 0..3 {
            for level in ["Debug", "Info", "Warn", "Error"] {
                wanted.push((level.to_uppercase(), format!("step {step} at {level}")));
            }
            wanted.push(("INFO".to_owned(), format!("stdout of step {step}")));
        }
        wanted.retain(|(level, _)| levels.contains(&&**level));
        wanted
    };
    run("default");
    assert_eq!(set(&client, "info,guest=off").status, 200);
    run("off");
    assert_eq!(set(&client, "info,guest=debug").status, 200);
    run("debug");
    let all = wanted(&["DEBUG", "INFO", "WARN", "ERROR"]);
    eventually("all of it is logged", || (written("debug").len() >= all.len()).then_some(()));
    assert_eq!(written("debug"), all);
    assert_eq!(written("default"), wanted(&["WARN", "ERROR"]));
    assert_eq!(written("off"), []);
}
