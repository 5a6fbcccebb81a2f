//! Running the host as a service.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::*;

#[test]
fn a_second_host_on_the_same_data_refuses_to_start() {
    let site = Site::new(&[]);
    let _server = site.serve();
    let second = site.command().output().unwrap();
    assert!(!second.status.success());
    let said = text(&second.stderr);
    assert!(said.contains("in use") && said.contains("data"), "{said}");
}

#[test]
fn sigterm_lets_what_runs_come_to_its_end() {
    let site = Site::new(&["test_guests"]);
    let server = site.serve();
    let client = server.client();
    let call = |ms: u64| json!({ "activity": "TestSleep", "input": { "ms": ms } });
    let short = client.start("TestCallOne", &call(300));
    eventually("it runs", || (client.stats()["attemptsOpen"].as_u64() > Some(0)).then_some(()));
    assert_eq!(server.terminate(), Some(0));
    let server = site.serve();
    let status = server.client().status(&short);
    assert_eq!(status["runtimeStatus"], "Completed", "it came to its end before: {status}");
}

#[test]
fn sigterm_hands_back_what_takes_longer_than_the_grace_period() {
    let mut site = Site::new(&["test_guests"]);
    site.arguments = vec!["--grace".into(), "200ms".into()];
    let server = site.serve();
    let client = server.client();
    let input = json!({ "activity": "TestUniqueEffect", "input": { "dir": "/files", "id": "x", "sleepMs": 1500 } });
    let id = client.start("TestCallOne", &input);
    eventually("it runs", || std::fs::read_dir(site.path("files")).unwrap().next().map(|_| ()));
    assert_eq!(server.terminate(), Some(0));
    let server = site.serve();
    let status = server.client().ended(&id);
    assert_eq!(status["output"], json!({ "created": false, "attempts": 2 }), "{status}");
}

#[test]
fn durable_timers_and_retries_survive_a_kill() {
    let site = Site::new(&["test_guests", "guest_activities", "guest_orchestrator"]);
    let server = site.serve();
    let client = server.client();
    let timer = client.start("Reminder", &json!({ "seconds": 1.0, "message": "tea" }));
    let retry = json!({ "maxAttempts": 3, "firstIntervalMs": 600, "backoff": 1.0 });
    let flaky = json!({ "activity": "TestFlaky", "input": { "failures": 2 }, "retry": retry });
    let flaky = client.start("TestCallOne", &flaky);
    eventually("the first attempt has failed", || {
        let history = Value::from(client.history(&flaky)).to_string();
        history.contains("Attempts").then_some(())
    });
    server.kill();
    let server = site.serve();
    let client = server.client();
    assert_eq!(client.ended(&timer)["runtimeStatus"], "Completed");
    let status = client.ended(&flaky);
    assert_eq!(
        (&status["runtimeStatus"], &status["output"]),
        (&json!("Completed"), &json!(3)),
        "{status}"
    );
}

#[test]
fn another_address_than_loopback_wants_keys_and_a_key_opens_only_what_it_may() {
    let mut site = Site::new(&["guest_activities", "guest_orchestrator"]);
    site.listen = "0.0.0.0:0";
    let refused = site.command().output().unwrap();
    assert!(!refused.status.success());
    assert!(text(&refused.stderr).contains("key create"), "{}", text(&refused.stderr));

    let (manage, only_use) = (site.key("manage"), site.key("use"));
    let stored = std::fs::read_to_string(site.path("data/keys.json")).unwrap();
    assert!(!stored.contains(&manage) && !stored.contains(&only_use), "keys are kept hashed");

    site.listen = "127.0.0.1:0";
    let server = site.serve();
    let client = server.client();
    let send = |method: &str, path: &str, key: Option<&str>| {
        let headers: Vec<_> = key.map(|key| ("x-functions-key", key)).into_iter().collect();
        client.try_send(method, path, &headers, (method != "GET").then_some(&b"[1]"[..])).unwrap()
    };
    let start = "/api/orchestrators/FanOut";
    assert_eq!(send("POST", start, None).status, 401);
    assert_eq!(send("POST", start, Some("wrong")).status, 401);
    assert_eq!(send("POST", start, Some(&only_use)).status, 202);
    assert_eq!(send("POST", &format!("{start}?code={manage}"), None).status, 202);
    assert_eq!(send("GET", "/admin/functions", Some(&manage)).status, 200);
    assert_eq!(send("PUT", "/admin/components/x", Some(&only_use)).status, 403);
    assert_eq!(send("GET", "/healthz", None).status, 200);
    let output = server.output();
    assert!(!output.contains(&manage) && !output.contains(&only_use), "a key is in the log");
}

#[test]
fn nobody_else_can_look_into_a_data_directory_that_is_made() {
    use std::os::unix::fs::PermissionsExt as _;

    let site = Site::new(&[]);
    let private = |dir: &str| {
        let mode = std::fs::metadata(site.path(dir)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{dir}");
    };
    let sagahost = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sagahost"));
        command.current_dir(site.path("")).args(arguments);
        command
    };
    let serve = ["serve", "--listen", "127.0.0.1:0", "--data", "served"];
    assert_eq!(Server::start(sagahost(&serve)).terminate(), Some(0));
    private("served");

    let ran = |arguments: &[&str]| {
        let output = sagahost(arguments).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
    };
    ran(&["key", "create", "--data", "keyed", "--kind", "manage", "--name", "admin"]);
    private("keyed");

    site.manifest("[dev]\nbuild = [[\"true\"]]\ncomponents = [\"sagahost.toml\"]");
    ran(&["build"]);
    assert!(site.path(".sagahost/functions/sagahost.toml").exists());
    private(".sagahost");
}

#[test]
fn a_client_that_goes_away_harms_nothing() {
    use std::io::Write;

    let site = Site::new(&["guest_activities", "guest_orchestrator"]);
    let server = site.serve();
    let address = server.url.trim_start_matches("http://").to_owned();
    let body = order("gone", "print", 1, 100).to_string();
    for end in [10, 60, 200, usize::MAX] {
        let request = format!(
            "POST /api/orchestrators/OrderSaga/gone-{end} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = std::net::TcpStream::connect(&address).unwrap();
        stream.write_all(&request.as_bytes()[..end.min(request.len())]).unwrap();
        drop(stream);
    }
    let client = server.client();
    assert_eq!(client.run("OrderSaga", &order("stayed", "print", 1, 100))["output"], true);
    // Of those that went away, the one whose request was whole may have been
    // started before that was noticed; then it runs to its end.
    for end in [10, 60, 200, usize::MAX] {
        let path = format!("/runtime/webhooks/durabletask/instances/gone-{end}");
        if client.get(&path).status != 404 {
            assert_eq!(client.ended(&format!("gone-{end}"))["output"], true);
        }
    }
    assert_eq!(server.terminate(), Some(0));
}

#[test]
fn on_a_full_disk_nothing_is_acknowledged_that_is_not_stored() {
    let site = Site::new(&["test_guests"]);
    // Compiles the components, so that only the store has to grow later.
    assert_eq!(site.serve().terminate(), Some(0));
    let serve = site.command();
    let mut limited = Command::new("bash");
    // A file of the host may have 3 MiB and no more; writing past that is an
    // error, as on a full disk, instead of a signal.
    limited.args(["-c", "trap '' XFSZ; ulimit -f 3072; exec \"$@\"", "serve"]);
    limited.arg(serve.get_program()).args(serve.get_args());
    let server = Server::start(limited);
    let client = server.client();
    let input = json!({ "names": ["Go"], "padding": "x".repeat(100_000) });
    let mut acknowledged = Vec::new();
    let refused = (0..2_000).find_map(|n| {
        let answer = client.post(&format!("/api/orchestrators/TestWaitEvents/full-{n}"), &input);
        match answer.status {
            202 => {
                acknowledged.push(format!("full-{n}"));
                None
            }
            _ => Some(answer),
        }
    });
    let refused = refused.expect("the disk is full at some time");
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(refused.header("retry-after").is_some(), "{refused:?}");
    assert!(!acknowledged.is_empty());
    server.kill();

    let server = site.serve();
    let client = server.client();
    for id in &acknowledged {
        assert_eq!(client.raise(id, "Go", &json!(1)).status, 202);
        assert_eq!(client.ended(id)["output"], json!([1]));
    }
}
