//! Guests that do what they should not. Each gets its clear error, and
//! everybody else goes on unharmed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::support::*;

/// Runs sagas beside whatever the test does, until it is dropped.
struct Background {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicUsize>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Background {
    fn start(server: &Server) -> Self {
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let threads = (0..2)
            .map(|thread| {
                let (stop, done, client) = (stop.clone(), done.clone(), server.client());
                std::thread::spawn(move || {
                    for n in 0.. {
                        if stop.load(Ordering::SeqCst) {
                            return;
                        }
                        let status = client
                            .run("OrderSaga", &order(&format!("b{thread}-{n}"), "print", 1, 100));
                        assert_eq!(status["output"], true, "{status}");
                        done.fetch_add(1, Ordering::SeqCst);
                    }
                })
            })
            .collect();
        Background { stop, done, threads }
    }

    fn finish(self) {
        let before = self.done.load(Ordering::SeqCst);
        eventually("the background load still goes on", || {
            (self.done.load(Ordering::SeqCst) > before + 3).then_some(())
        });
        self.stop.store(true, Ordering::SeqCst);
        for thread in self.threads {
            thread.join().expect("every background saga went well");
        }
    }
}

fn site() -> Site {
    let site = Site::new(&["guest_activities", "guest_orchestrator", "test_guests"]);
    site.manifest(
        r#"
[[functions]]
names = ["Test*"]
memory = "32MiB"
cpu = "500ms"
timeout = "2s"
output = "64KiB"
logs = "4KiB"
"#,
    );
    site
}

#[test]
fn every_hostile_activity_ends_as_what_it_is_while_others_go_on() {
    let site = site();
    let server = site.serve();
    let client = server.client();
    let background = Background::start(&server);
    let cases = [
        ("TestTrap", Value::Null, "host.trap"),
        ("TestLoop", Value::Null, "host.cpu-limit"),
        ("TestHang", Value::Null, "host.timeout"),
        ("TestMemory", Value::Null, "host.memory-limit"),
        ("TestOutput", json!({ "bytes": 1_000_000 }), "host.output-limit"),
        ("TestLog", Value::Null, "host."),
        ("TestRecursion", Value::Null, "host.trap"),
        ("TestNoSuchActivity", Value::Null, "host.not-started"),
    ];
    let started: Vec<_> = cases
        .iter()
        .map(|(activity, input, code)| {
            let id = client.start("TestCatch", &json!({ "activity": activity, "input": input }));
            (activity, code, id)
        })
        .collect();
    for (activity, code, id) in started {
        let status = client.ended(&id);
        assert_eq!(status["runtimeStatus"], "Completed", "{activity}: {status}");
        let found = status["output"].to_string();
        assert!(found.contains(code), "{activity} ends with {found}, not {code}");
        let history = client.get(&format!(
            "/runtime/webhooks/durabletask/instances/{id}?showHistory=true&showHistoryOutput=true"
        ));
        assert!(history.body.to_string().len() < 100_000, "{activity}: what it wrote is bounded");
    }
    background.finish();
}

#[test]
fn a_hostile_orchestrator_fails_and_others_go_on() {
    let site = site();
    let server = site.serve();
    let client = server.client();
    let background = Background::start(&server);
    let cases = [
        ("TestOrchTrap", "host.trap"),
        ("TestSpin", "host.cpu-limit"),
        ("TestOrchMemory", "host.memory-limit"),
        ("TestOrchRecursion", "host.trap"),
    ];
    std::thread::scope(|scope| {
        for (name, code) in cases {
            let client = client.clone();
            scope.spawn(move || {
                // Its first turn never ends well, and the start says so by
                // being a saga that failed.
                let status = client.run(name, &Value::Null);
                assert_eq!(status["runtimeStatus"], "Failed", "{name}: {status}");
                assert!(status["output"].to_string().contains(code), "{name}: {status}");
            });
        }
    });
    background.finish();
}

#[test]
fn an_orchestrator_sees_no_clock_no_chance_and_no_world() {
    let mut site = Site::new(&["test_guests"]);
    // Room for one that waits: where two are under way, one is replayed.
    site.arguments = vec!["--memory-budget".into(), "64KiB".into()];
    let server = site.serve();
    let client = server.client();
    let ids: Vec<_> = std::thread::scope(|scope| {
        let start = || client.start("TestNondeterministic", &Value::Null);
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(start)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for id in &ids {
        let status = client.ended(id);
        assert_eq!(status["runtimeStatus"], "Completed", "{status}");
        let replay = client.get(&format!("/api/instances/{id}/replay"));
        assert_eq!(replay.status, 200, "{replay:?}");
    }
}

/// Answers every request with a greeting; gives its URL.
fn listen_and_greet() -> String {
    use std::io::{Read, Write};

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(
                b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello",
            );
        }
    });
    url
}

#[test]
fn what_the_manifest_does_not_grant_an_activity_does_not_have() {
    let site = Site::new(&["test_guests"]);
    let mut command = site.command();
    command.env("SAGAHOST_TEST_SECRET", "hush");
    let server = Server::start(command);
    let client = server.client();
    let run = |activity: &str, input: Value| {
        client.run("TestCatch", &json!({ "activity": activity, "input": input }))["output"].clone()
    };
    assert!(!run("TestEnv", Value::Null).to_string().contains("hush"));
    for path in ["/", "/etc", "/files", "."] {
        let listed = run("TestReadDir", json!({ "path": path }));
        assert!(!listed.to_string().contains("passwd"), "{path}: {listed}");
    }
    let url = format!("{}/healthz", server.url);
    let fetched = run("TestHttpGet", json!({ "url": url }));
    assert!(fetched.to_string().contains("code"), "it is a failure: {fetched}");
    drop(server);

    site.manifest(&format!(
        r#"
[[functions]]
names = ["TestEnv"]
env = {{ COLOUR = "blue" }}
env-from = ["SAGAHOST_TEST_SECRET"]
[[functions]]
names = ["TestReadDir"]
dirs = [{{ host = "files", guest = "/files", access = "read" }}]
[[functions]]
names = ["TestHttpGet"]
http = ["{}"]
"#,
        listen_and_greet()
    ));
    std::fs::write(site.path("files/note.txt"), "note").unwrap();
    let mut command = site.command();
    command.env("SAGAHOST_TEST_SECRET", "hush");
    let server = Server::start(command);
    let client = server.client();
    let run = |activity: &str, input: Value| {
        client.run("TestCatch", &json!({ "activity": activity, "input": input }))["output"]
            .to_string()
    };
    let environment = run("TestEnv", Value::Null);
    assert!(environment.contains("blue") && environment.contains("hush"), "{environment}");
    assert!(run("TestReadDir", json!({ "path": "/files" })).contains("note.txt"));
    let granted = std::fs::read_to_string(site.path("sagahost.toml")).unwrap();
    let url = granted.split('"').find(|part| part.starts_with("http://")).unwrap();
    let fetched = run("TestHttpGet", json!({ "url": format!("{url}/greeting") }));
    assert!(fetched.contains("200") && fetched.contains("hello"), "{fetched}");
    let elsewhere = run("TestHttpGet", json!({ "url": format!("{}/healthz", server.url) }));
    assert!(!elsewhere.contains("200"), "another port is another host: {elsewhere}");
    assert!(!server.output().contains("hush"), "a secret is in the log");
}
