//! Nothing is there that was not granted.

use std::io::{Read, Write};
use std::net::TcpListener;

use crate::fixture::{self, failure, output, run, set_rules};

#[tokio::test]
async fn by_default_there_is_nothing() {
    let runtime = fixture::runtime().await;
    assert_eq!(output(&run(&runtime, "TestEnv", "null").await), serde_json::json!({}));
    for path in ["/", ".", "/etc", "/tmp"] {
        let report = run(&runtime, "TestReadDir", &format!(r#"{{"path": "{path}"}}"#)).await;
        failure(&report);
    }
    failure(&run(&runtime, "TestReadFile", r#"{"path": "/etc/passwd"}"#).await);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    failure(&run(&runtime, "TestTcpConnect", &format!(r#"{{"url": "{address}"}}"#)).await);
    let report = run(&runtime, "TestHttpGet", &format!(r#"{{"url": "http://{address}/"}}"#)).await;
    failure(&report);
    assert!(
        report.logs.stderr.contains(&format!("denied GET http://{address}")),
        "{}",
        report.logs.stderr
    );
}

#[tokio::test]
async fn directories_are_granted_for_reading_or_writing() {
    let runtime = fixture::runtime().await;
    let folder = tempfile::tempdir().expect("a folder");
    let read = folder.path().join("read");
    std::fs::create_dir(&read).expect("a folder");
    std::fs::write(read.join("a.txt"), "content").expect("a file");
    set_rules(
        &runtime,
        folder.path(),
        r#"
        [[function]]
        names = ["TestRead*", "TestWriteFile"]
        dirs = [
            { host = "read", guest = "/read" },
            { host = "made/for/it", guest = "/write", access = "write" },
        ]
        "#,
    );
    let report = run(&runtime, "TestReadDir", r#"{"path": "/read"}"#).await;
    assert_eq!(output(&report), serde_json::json!(["a.txt"]));
    let report = run(&runtime, "TestReadFile", r#"{"path": "/read/a.txt"}"#).await;
    assert_eq!(output(&report), "content");
    let report =
        run(&runtime, "TestWriteFile", r#"{"path": "/write/b.txt", "content": "new"}"#).await;
    output(&report);
    let written = std::fs::read_to_string(folder.path().join("made/for/it/b.txt"));
    assert_eq!(written.expect("the file"), "new");
    for path in ["/read/a.txt", "/read/c.txt", "/write/../read/a.txt", "/write/../../x"] {
        let input = format!(r#"{{"path": "{path}", "content": "changed"}}"#);
        failure(&run(&runtime, "TestWriteFile", &input).await);
    }
    failure(&run(&runtime, "TestReadFile", r#"{"path": "/write/../../read/a.txt"}"#).await);
    assert_eq!(std::fs::read_to_string(read.join("a.txt")).expect("the file"), "content");
}

#[tokio::test]
async fn a_granted_directory_that_is_missing_is_named() {
    let runtime = fixture::runtime().await;
    let rule = "[[function]]\nnames = [\"*\"]\ndirs = [{ host = \"missing\", guest = \"/m\" }]\n";
    set_rules(&runtime, "/nowhere".as_ref(), rule);
    let report = run(&runtime, "TestEcho", "1").await;
    let message = &failure(&report).message;
    assert!(message.contains("/nowhere/missing"), "{message}");
}

#[tokio::test]
async fn the_environment_is_what_was_granted() {
    let runtime = fixture::runtime().await;
    let rule =
        "[[function]]\nnames = [\"TestEnv\"]\nenv = { A = \"1\" }\nenv-from = [\"HOST_TOKEN\"]\n";
    set_rules(&runtime, ".".as_ref(), rule);
    let report = run(&runtime, "TestEnv", "null").await;
    assert_eq!(output(&report), serde_json::json!({"A": "1", "HOST_TOKEN": "t0ken"}));
}

/// Answers each connection with `200` and a word.
fn serve() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            let _ = stream.write_all(
                b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello",
            );
        }
    });
    address
}

#[tokio::test]
async fn http_goes_where_it_was_granted() {
    let runtime = fixture::runtime().await;
    let (granted, other) = (serve(), serve());
    let rule = format!(
        "[[function]]\nnames = [\"TestHttpGet\"]\nhttp = [{{ to = \"http://{granted}\", methods = [\"GET\"] }}]\n"
    );
    set_rules(&runtime, ".".as_ref(), &rule);
    let get = |address| format!(r#"{{"url": "http://{address}/x"}}"#);
    let report = run(&runtime, "TestHttpGet", &get(granted)).await;
    assert_eq!(output(&report), serde_json::json!({"status": 200, "body": "hello"}));
    let report = run(&runtime, "TestHttpGet", &get(other)).await;
    failure(&report);
    assert!(report.logs.stderr.contains("does not grant it"), "{}", report.logs.stderr);
    let post = format!(r#"{{"url": "http://{granted}/x", "method": "POST", "body": "b"}}"#);
    let report = run(&runtime, "TestHttpGet", &post).await;
    failure(&report);
    assert!(report.logs.stderr.contains("denied POST"), "{}", report.logs.stderr);
}

#[tokio::test]
async fn clocks_and_random_of_activities_are_real() {
    let runtime = fixture::runtime().await;
    let first = output(&run(&runtime, "TestRandom", "null").await);
    let second = output(&run(&runtime, "TestRandom", "null").await);
    assert_ne!(first, second);
    let report = run(&runtime, "TestClock", "null").await;
    let now = output(&report)["unixMs"].as_u64().expect("a number");
    assert!(now >= report.started_at);
}
