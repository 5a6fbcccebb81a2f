//! The steps and their sagas on the SDK's host in memory: what the host's own
//! tests take for granted.

use std::path::{Path, PathBuf};

use sagahost::Failure;
use sagahost::testing::TestHost;
use serde_json::{Value, json};

use crate::steps::{step_do, step_undo};

/// A host with both activities, and their folder.
struct Site {
    host: TestHost,
    dir: PathBuf,
}

impl Site {
    fn new(test: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("sagahost-{}-{test}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a folder");
        let host = TestHost::new();
        let inner = host.clone();
        host.activity("StepDo", move |step| inner.run_activity(|ctx| step_do(ctx, step)));
        let inner = host.clone();
        host.activity("StepUndo", move |step| inner.run_activity(|ctx| step_undo(ctx, step)));
        Site { host, dir }
    }

    fn step(&self, id: &str) -> Value {
        json!({ "dir": self.dir, "id": id })
    }

    fn steps(&self, ids: &[&str]) -> Vec<Value> {
        ids.iter().map(|id| self.step(id)).collect()
    }

    fn run(&self, saga: &str, input: &Value) -> Result<Value, Failure> {
        let output = self.host.run_by_name(saga, &input.to_string())?;
        Ok(serde_json::from_str(&output)?)
    }

    /// The log's lines, as far as their first two words.
    fn log(&self) -> Vec<String> {
        let log = std::fs::read_to_string(self.dir.join("log.txt")).unwrap_or_default();
        let line = |line: &str| line.split(' ').take(2).collect::<Vec<_>>().join(" ");
        log.lines().map(line).collect()
    }

    fn effect(&self, id: &str) -> Option<Value> {
        let text = std::fs::read_to_string(Path::new(&self.dir).join(id)).ok()?;
        serde_json::from_str(&text).ok()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

#[test]
fn steps_that_stay() {
    let site = Site::new("stay");
    let steps = site.steps(&["a", "b"]);
    assert_eq!(site.run("StepsSaga", &json!({ "steps": steps })), Ok(json!("ok")));
    assert_eq!(site.log(), ["do a", "done a", "do b", "done b"]);
    assert_eq!(site.effect("b"), Some(json!({ "key": "test/1", "attempts": 1 })));
}

#[test]
fn steps_that_are_undone() {
    let site = Site::new("undone");
    let steps = site.steps(&["a", "b"]);
    let failure = site.run("StepsSaga", &json!({ "steps": steps, "end": "fail" }));
    assert_eq!(failure.map_err(|failure| failure.code), Err("ended".to_owned()));
    assert_eq!(site.log()[4..], ["undo b", "undone b", "undo a", "undone a"]);
    assert_eq!((site.effect("a"), site.effect("b")), (None, None));
    let log = std::fs::read_to_string(site.dir.join("log.txt")).expect("a log");
    let told = "undo a outcome=completed key=test/0-undo forward=test/0 output={\"attempt\":1,\"id\":\"a\"}\n";
    assert!(log.contains(told), "{log}");
}

#[test]
fn what_their_calls_say() {
    for (said, undone) in [("declared", 1), ("by-hand", 0), ("always", 2)] {
        let site = Site::new(&format!("said-{said}"));
        let mut steps = site.steps(&["a", "b"]);
        steps[1]["fault"] = json!("fail");
        let input = json!({ "steps": steps, "parallel": true, "undo": said });
        assert!(site.run("StepsSaga", &input).is_err());
        assert_eq!(site.host.undone().len(), undone, "{said}");
    }
    let site = Site::new("compensate");
    let input = json!({ "steps": site.steps(&["a"]), "compensate": true });
    assert_eq!(site.run("StepsSaga", &input), Ok(json!("compensated")));
    assert_eq!(site.effect("a"), None);
    let site = Site::new("pivot");
    let input = json!({ "steps": site.steps(&["a", "b"]), "pivot": 1, "compensate": true });
    assert_eq!(site.run("StepsSaga", &input), Ok(json!("compensated")));
    assert!(site.effect("a").is_some() && site.host.undone().is_empty());
}

#[test]
fn a_family() {
    let site = Site::new("family");
    let input = json!({
        "before": site.step("a"),
        "children": [{ "steps": site.steps(&["b", "c"]) }, { "steps": site.steps(&["d"]) }],
        "after": site.step("e"),
        "end": "fail",
    });
    assert!(site.run("ParentSaga", &input).is_err());
    let undone: Vec<_> = site.host.undone().iter().map(|undo| undo.input["id"].clone()).collect();
    assert_eq!(undone, ["e", "d", "c", "b", "a"]);
}

#[test]
fn a_scope() {
    let site = Site::new("scope");
    let input = json!({
        "a": site.step("a"), "b": site.step("b"), "c": site.step("c"), "d": site.step("d"),
    });
    assert_eq!(site.run("ScopedSaga", &input), Ok(Value::Null));
    let effects: Vec<_> = ["a", "b", "c", "d"].map(|id| site.effect(id).is_some()).into();
    assert_eq!(effects, [true, false, false, true]);
}
