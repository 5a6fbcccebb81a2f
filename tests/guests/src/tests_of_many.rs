//! Children, rounds and entities on the SDK's host in memory: what the host's
//! own tests take for granted.

use sagahost::testing::{Request, TestHost};
use sagahost::{Failure, HttpResponse};
use serde_json::{Value, json};

fn run(host: &TestHost, name: &str, input: &Value) -> Result<Value, String> {
    let output = host.run_by_name(name, &input.to_string()).map_err(|failure| failure.code)?;
    serde_json::from_str(&output).map_err(|error| error.to_string())
}

/// A host whose file activities keep their lines in memory, and whether there
/// is the file that RequireFile wants.
fn host(there: bool) -> TestHost {
    let host = TestHost::new();
    let mut lines = 0;
    host.activity("AppendLines", move |input: Value| {
        lines += input["lines"].as_array().map_or(0, Vec::len);
        Ok(lines)
    });
    let mut runs = 0;
    host.activity("CountRuns", move |_: Value| {
        runs += 1;
        Ok(runs)
    });
    host.activity("RequireFile", move |_: Value| match there {
        true => Ok(()),
        false => Err(Failure::permanent("not-there", "no")),
    });
    host
}

#[test]
fn rounds_of_events() {
    let collect = |numbers: &[i64]| {
        let host = host(true);
        for number in numbers {
            host.raise("E", number);
        }
        let input = json!({"rounds": 3, "perRound": 2, "file": "f"});
        let end = run(&host, "CollectEvents", &input);
        let again = |it: &&Request| matches!(it, Request::ContinueAsNew { keep_events: true, .. });
        assert_eq!(host.requests().iter().filter(again).count(), 2);
        end
    };
    let end = |in_order| Ok(json!({"count": 6, "last": 6, "inOrder": in_order}));
    assert_eq!(collect(&[1, 2, 3, 4, 5, 6]), end(true));
    assert_eq!(collect(&[1, 2, 4, 3, 5, 6]), end(false));
    assert_eq!(collect(&[1, 2, 3, 3, 5, 6]), end(false));
    for input in [json!({"left": 100}), json!({"left": 3, "timerMs": 0})] {
        assert_eq!(run(&TestHost::new(), "Eternal", &input), Ok(json!("done")));
    }
}

#[test]
fn families() {
    let host = TestHost::new();
    assert_eq!(run(&host, "Chain", &json!({"depth": 5})), Ok(json!(5)));
    assert_eq!(run(&host, "Parent", &json!({"children": 4})), Ok(json!(4)));
    host.raise("go", &());
    host.raise("go", &());
    let input = json!({"children": 2, "wait": true, "ids": "leaf"});
    assert_eq!(run(&host, "Parent", &input), Ok(json!(2)));
    let ids = host.requests().into_iter().filter_map(|request| match request {
        Request::Orchestrator { id, .. } => id,
        _ => None,
    });
    assert_eq!(ids.collect::<Vec<_>>(), ["leaf-0", "leaf-1"]);
}

#[test]
fn a_child_that_is_to_be_retried() {
    let host = host(true);
    let input = json!({"file": "f", "failures": 2, "id": "child"});
    // This host attempts it once.
    assert_eq!(run(&host, "RetryChild", &input), Err("not-yet".to_owned()));
    let requests = host.requests();
    let Request::Orchestrator { id, max_attempts, .. } = &requests[0] else {
        panic!("{requests:?}")
    };
    assert_eq!((id.as_deref(), *max_attempts), (Some("child"), Some(3)));
    for _ in 0..2 {
        let _ = run(&host, "RetryChild", &input);
    }
    assert_eq!(run(&host, "RetryChild", &input), Ok(json!(4)));
}

#[test]
fn starts_and_what_they_are_told() {
    let host = TestHost::new();
    host.set_version("2");
    host.set_tag("a", "1");
    assert_eq!(
        run(&host, "Versioned", &json!(null)),
        Ok(json!({"version": "2", "tags": {"a": "1"}}))
    );
    let input = json!({
        "id": "leaf-1", "input": {"number": 7}, "startAfterMs": 10,
        "event": {"instance": "other", "name": "go", "value": 1},
    });
    assert_eq!(run(&host, "Detacher", &input), Ok(json!("leaf-1")));
    let (instance, name, input) = ("other".to_owned(), "go".to_owned(), json!(1));
    assert_eq!(host.requests().last(), Some(&Request::SendEvent { instance, name, input }));
}

#[test]
fn what_can_be_rewound() {
    let host = host(false);
    let input = json!({"dir": "d", "undo": true});
    assert_eq!(run(&host, "Rewindable", &input), Err("not-there".to_owned()));
    let undone = host.undone();
    assert_eq!((undone.len(), &*undone[0].name), (1, "AppendLines"));
    let host = self::host(true);
    assert_eq!(run(&host, "Rewindable", &json!({"dir": "d"})), Ok(json!({"a": 1, "c": 2})));
    let answer = json!({"p": 3, "child": {"a": 4, "c": 5}});
    assert_eq!(run(&host, "RewindableParent", &json!({"dir": "d"})), Ok(answer));
}

#[test]
fn requests() {
    let host = TestHost::new();
    host.http(|request| match request.url() {
        "http://a.example" => Ok(HttpResponse::new(200, json!({"n": 1}))),
        _ => Ok(HttpResponse::new(503, "busy")),
    });
    let input = json!({"request": {"url": "http://a.example"}, "timeoutMs": 100});
    let answer = json!({"status": 200, "headers": {}, "body": {"n": 1}});
    assert_eq!(run(&host, "HttpCaller", &input), Ok(answer));
    let input = json!({"request": {"url": "http://b.example", "retryStatus": [503]}});
    assert_eq!(run(&host, "HttpCaller", &input), Err("http.503".to_owned()));
}

#[test]
fn accounts() {
    let host = TestHost::new();
    host.set_entity_state("Account", "a", &json!({"balance": 10, "log": []}));
    let order = json!({"from": "a", "to": "b", "amount": 3, "ms": 5});
    assert_eq!(run(&host, "Transfer", &order), Ok(json!([7, 3])));
    let b: Option<Value> = host.entity_state("Account", "b");
    assert_eq!(b, Some(json!({"balance": 3, "log": ["set 3"]})));
    let failing = json!({"from": "a", "to": "b", "amount": 3, "fail": true});
    assert_eq!(run(&host, "Transfer", &failing), Err("ended".to_owned()));
    let same = json!({"from": "a", "to": "a", "amount": 3});
    assert_eq!(run(&host, "Transfer", &same), Err("bad-input".to_owned()));
    let pair = json!({"held": "a", "other": "b"});
    assert_eq!(run(&host, "CallsUnlocked", &pair), Ok(json!("host.locks-held")));
}

/// The lines are there once, whatever became of the attempts before.
#[test]
fn lines_in_files() {
    let name = format!("sagahost-lines-{}", std::process::id());
    let path = std::env::temp_dir().join(name);
    let file = path.to_string_lossy().into_owned();
    let host = TestHost::new();
    let append = |lines: &[&str]| run(&host, "AppendLines", &json!({"file": file, "lines": lines}));
    assert_eq!(append(&["1", "2"]), Ok(json!(2)));
    std::fs::write(&path, "other/1 0\ntest/0 1\ntest/0").expect("a file");
    assert_eq!(append(&["1", "2"]), Ok(json!(3)));
    assert_eq!(append(&["1", "2"]), Ok(json!(3)));
    let text = std::fs::read_to_string(&path).expect("a file");
    assert_eq!(text, "other/1 0\ntest/0 1\ntest/0 2\n");
    let count = |once| run(&host, "CountRuns", &json!({"file": file, "once": once}));
    assert_eq!(
        [count(true), count(true), count(false)],
        [Ok(json!(4)), Ok(json!(4)), Ok(json!(5))]
    );
    let there = json!({ "file": file });
    assert_eq!(run(&host, "RequireFile", &there), Ok(json!(null)));
    std::fs::remove_file(&path).expect("the file");
    assert_eq!(run(&host, "RequireFile", &there), Err("not-there".to_owned()));
}
