//! Sagas whose steps, undos and what becomes of them are files, each saga's in
//! a folder of its own: they say what was done, whatever became of the host.

use std::path::PathBuf;

use serde_json::{Map, Value, json};

use crate::support::*;

/// A saga of several steps: `s0`, `s1` and so on, which are its tasks 0, 1 and
/// so on.
pub struct Saga {
    pub id: String,
    pub steps: Vec<Value>,
    folder: PathBuf,
    input: Map<String, Value>,
}

impl Saga {
    /// One of so many steps, with an empty folder.
    pub fn new(site: &Site, id: &str, steps: usize) -> Self {
        let folder = site.path("files").join(id);
        std::fs::create_dir_all(&folder).expect("a folder");
        let steps = (0..steps).map(|step| step_of(id, &format!("s{step}"))).collect();
        Saga { id: id.to_owned(), steps, folder, input: Map::new() }
    }

    /// Adds to the input of one step.
    pub fn step(mut self, step: usize, more: &Value) -> Self {
        merge(&mut self.steps[step], more);
        self
    }

    /// Adds to the input of the orchestrator.
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.input.insert(key.to_owned(), value.into());
        self
    }

    /// What StepsSaga is given.
    pub fn input(&self) -> Value {
        let mut input = json!({ "steps": self.steps });
        merge(&mut input, &Value::Object(self.input.clone()));
        input
    }

    pub fn start(self, client: &Client) -> Self {
        client.start_as("StepsSaga", &self.id, &self.input());
        self
    }

    /// The lines of its log, in the order in which they were written.
    pub fn log(&self) -> Vec<String> {
        let log = std::fs::read_to_string(self.folder.join("log.txt")).unwrap_or_default();
        log.lines().map(Into::into).collect()
    }

    /// How many lines of its log begin like this.
    pub fn logged(&self, beginning: &str) -> usize {
        self.log().iter().filter(|line| line.starts_with(beginning)).count()
    }

    /// A file of its folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The effects in place.
    pub fn effects(&self) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(&self.folder)
            .expect("its folder")
            .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
            .filter(|name| name != "log.txt" && !name.starts_with('.'))
            .collect();
        names.sort();
        names
    }

    /// The steps that were undone, in order.
    pub fn undone(&self) -> Vec<String> {
        let log = self.log();
        log.iter().filter_map(|line| line.strip_prefix("undone ")).map(Into::into).collect()
    }

    /// Waits until nothing of it runs but this step, and all it did besides is
    /// stored.
    pub fn only_runs(&self, client: &Client, step: usize, steps: usize) {
        let step = step.to_string();
        eventually(&format!("only step {step} of {} runs", self.id), || {
            let undo = client.undo(&self.id)["undo"].as_array()?.clone();
            let runs: Vec<_> =
                undo.iter().filter(|undo| undo["of"]["outcome"] == "running").collect();
            (undo.len() == steps && runs.len() == 1 && runs[0]["step"] == *step).then_some(())
        });
    }

    /// It did all, and all is there.
    pub fn is_committed(&self, client: &Client) {
        let status = client.ended(&self.id);
        assert_eq!(
            (&status["runtimeStatus"], &status["sagaState"]),
            (&json!("Completed"), &json!("committed")),
            "{status}"
        );
        let names: Vec<_> = (0..self.steps.len()).map(|step| format!("s{step}")).collect();
        assert_eq!(self.effects(), names, "{}", self.id);
        assert_eq!(self.logged("undo "), 0, "{}: {:?}", self.id, self.log());
        self.replays(client);
    }

    /// It ended so, all is gone, and these steps were undone in this order,
    /// each once, with what had become of each. Its code would do the same
    /// again.
    pub fn is_gone(&self, client: &Client, status: &str, undone: &[(usize, &str)]) {
        self.is_undone(client, status, undone);
        self.replays(client);
    }

    /// The same, where there need be no code any more.
    pub fn is_undone(&self, client: &Client, status: &str, undone: &[(usize, &str)]) {
        let found = client.ended(&self.id);
        assert_eq!(
            (&found["runtimeStatus"], &found["sagaState"]),
            (&json!(status), &json!("compensated")),
            "{found}"
        );
        let id = &self.id;
        assert!(self.effects().is_empty(), "{id}: {:?}", self.effects());
        let names: Vec<_> = undone.iter().map(|(step, _)| format!("s{step}")).collect();
        assert_eq!(self.undone(), names, "{id}: {:?}", self.log());
        let history = client.history(id);
        let completed: Vec<_> = history
            .iter()
            .filter(|event| event["EventType"] == "UndoCompleted")
            .map(|event| event["Step"].clone())
            .collect();
        let steps: Vec<_> = undone.iter().map(|(step, _)| json!(step.to_string())).collect();
        assert_eq!(completed, steps, "{id}");
        for (step, outcome) in undone {
            let told = self.logged(&format!("undo s{step} outcome={outcome} "));
            let all = self.logged(&format!("undo s{step} "));
            assert!(told > 0 && told == all, "{id}: step {step}: {:?}", self.log());
        }
        self.undo_is_a_fence();
    }

    /// No attempt of a step began after an undo of it did.
    pub fn undo_is_a_fence(&self) {
        let log = self.log();
        let first = |beginning: &str| log.iter().position(|line| line.starts_with(beginning));
        let last = |beginning: &str| log.iter().rposition(|line| line.starts_with(beginning));
        for step in &self.steps {
            let step = step["id"].as_str().expect("a name");
            let (done, undone) = (last(&format!("do {step} ")), first(&format!("undo {step} ")));
            if let (Some(done), Some(undone)) = (done, undone) {
                assert!(done < undone, "{}: {log:?}", self.id);
            }
        }
    }

    pub fn replays(&self, client: &Client) {
        let replay = client.get(&format!("/api/instances/{}/replay", self.id));
        assert_eq!(replay.status, 200, "{}: {replay:?}", self.id);
    }
}

/// The input of a step whose files are in a saga's folder.
pub fn step_of(saga: &str, name: &str) -> Value {
    json!({ "dir": format!("/files/{saga}"), "id": name })
}

/// Puts the keys of `more` into `object`.
pub fn merge(object: &mut Value, more: &Value) {
    for (key, value) in more.as_object().expect("an object") {
        object[key] = value.clone();
    }
}

/// Waits until so many attempts are open.
pub fn attempts_open(client: &Client, count: usize) {
    eventually(&format!("{count} attempts are open"), || {
        (client.stats()["attemptsOpen"] == count).then_some(())
    });
}

/// How each attempt of a step (`Task`) or of its undo (`Undo`) went, as a
/// history tells it: `Completed`, `Lost`, or `Failed` with the kind of failure.
pub fn attempts(history: &[Value], of: &str, step: usize) -> Vec<String> {
    let step = json!(step.to_string());
    let ended = |event: &&Value| {
        let event_type = event["EventType"].as_str().unwrap_or_default();
        event["Step"] == step && event_type.starts_with(of)
    };
    let told = |attempt: &Value| match attempt["Failure"]["kind"].as_str() {
        Some(kind) => format!("Failed: {kind}"),
        None => attempt["Outcome"].as_str().unwrap_or_default().to_owned(),
    };
    let of_event = |event: &Value| match event["Attempts"].as_array() {
        Some(attempts) => attempts.iter().map(told).collect(),
        // One that just worked is not told.
        None if event["EventType"] == format!("{of}Completed") => vec!["Completed".to_owned()],
        None => Vec::new(),
    };
    history.iter().filter(ended).flat_map(of_event).collect()
}
