//! One operation of an entity: an attempt of its function, whose input and
//! result are the objects that the contract shows at `run-activity`.

use std::time::Duration;

use sagahost_core::{EntityId, Failure, FailureKind, Json, Logs, Millis};
use serde::{Deserialize, Serialize};

use crate::activity::{ActivityCall, ActivityReport};
use crate::function::FunctionKind;
use crate::runtime::Runtime;

/// What an attempt of an operation is told.
#[derive(Clone, Debug)]
pub struct OperationCall {
    /// The entity.
    pub entity: EntityId,
    /// What it is to do.
    pub operation: String,
    /// The operation's input.
    pub input: Json,
    /// The entity's state, if it has one.
    pub state: Option<Json>,
    /// Which operation of the entity it is, counted up.
    pub number: u64,
    /// Counted from 1.
    pub attempt: u32,
    /// The same for every attempt of the operation.
    pub idempotency_key: String,
    /// The wall time it may take, in milliseconds.
    pub timeout_ms: u64,
    /// The W3C trace context.
    pub trace_parent: Option<String>,
}

/// What an operation came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperationDone {
    /// Its result; `null` where it gave none.
    pub result: Json,
    /// What becomes of the state.
    pub state: StateChange,
    /// Operations it asks of entities.
    pub signals: Vec<Signal>,
    /// Events it raises.
    pub events: Vec<EventOut>,
    /// Orchestrations it starts.
    pub starts: Vec<StartOut>,
}

/// What an operation does to its entity's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateChange {
    /// It stays as it was.
    Keep,
    /// It is this from now on.
    Set(Json),
    /// There is none any more.
    Remove,
}

/// An operation that an operation asks of an entity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signal {
    /// The entity.
    pub entity: EntityId,
    /// What it is to do.
    pub operation: String,
    /// The input of that.
    pub input: Json,
    /// When; at once where there is nothing.
    pub at: Option<Millis>,
}

/// An event that an operation raises.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventOut {
    /// The orchestration it is for.
    pub instance: String,
    /// Its name.
    pub name: String,
    /// Its value.
    pub input: Json,
}

/// An orchestration that an operation starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartOut {
    /// The orchestrator.
    pub name: String,
    /// Its input.
    pub input: Json,
    /// The instance id; derived where there is none.
    pub id: Option<String>,
}

/// What became of an attempt of an operation.
#[derive(Clone, Debug)]
pub struct OperationReport {
    /// When it began: after it had waited for a slot, if it had to.
    pub started_at: Millis,
    /// What it came to.
    pub outcome: Result<OperationDone, Failure>,
    /// What it wrote.
    pub logs: Logs,
    /// How long it computed.
    pub cpu: Duration,
    /// The most memory it had, in bytes.
    pub peak_memory: u64,
}

impl Runtime {
    /// Runs one attempt of an operation on the entity that is deployed now,
    /// with the capabilities and the limits of its function. State and sent
    /// messages are part of its result, and count for the limit of that.
    /// Dropping the future ends the attempt.
    pub async fn run_operation(&self, call: OperationCall) -> OperationReport {
        let ActivityReport { started_at, outcome, logs, cpu, peak_memory } =
            self.attempt_operation(&call).await;
        let outcome = outcome.and_then(|result| {
            done(&result).map_err(|reason| {
                let message = format!(
                    "the result of the operation `{}` of entity `{}` is wrong: {reason}",
                    call.operation, call.entity.name
                );
                Failure::host(FailureKind::BadOutput, message)
            })
        });
        OperationReport { started_at, outcome, logs, cpu, peak_memory }
    }

    async fn attempt_operation(&self, call: &OperationCall) -> ActivityReport {
        let loaded = match self.deployed(&call.entity.name, FunctionKind::Entity) {
            Ok(loaded) => loaded,
            Err(failure) => return ActivityReport::without_attempt(failure),
        };
        let envelope = Envelope {
            key: &call.entity.key,
            operation: &call.operation,
            input: &call.input,
            state: call.state.as_ref(),
        };
        let input = match Json::of(&envelope) {
            Ok(input) => input,
            Err(error) => return ActivityReport::not_started(error.to_string()),
        };
        let attempt = ActivityCall {
            function: call.entity.name.clone(),
            input,
            instance_id: call.entity.instance_id(),
            step: u32::try_from(call.number).unwrap_or(u32::MAX),
            attempt: call.attempt,
            idempotency_key: call.idempotency_key.clone(),
            timeout_ms: call.timeout_ms,
            trace_parent: call.trace_parent.clone(),
            undone: None,
            digest: None,
        };
        self.attempt(&loaded, attempt).await
    }
}

/// What the function is given.
#[derive(Serialize)]
struct Envelope<'a> {
    key: &'a str,
    operation: &'a str,
    input: &'a Json,
    state: Option<&'a Json>,
}

/// What the function returns. A key that is `null` is as one that is missing,
/// but for `state`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Returned {
    result: Option<Json>,
    #[serde(deserialize_with = "given")]
    state: Option<Json>,
    signals: Option<Vec<Json>>,
    events: Option<Vec<Json>>,
    starts: Option<Vec<Json>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SignalReturned {
    name: String,
    key: String,
    operation: String,
    input: Option<Json>,
    at_ms: Option<Millis>,
}

#[derive(Deserialize)]
struct EventReturned {
    instance: String,
    name: String,
    input: Option<Json>,
}

#[derive(Deserialize)]
struct StartReturned {
    name: String,
    input: Option<Json>,
    id: Option<String>,
}

/// A key that may be missing. One that is `null` is not.
fn given<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Json>, D::Error> {
    Json::deserialize(deserializer).map(Some)
}

/// Takes a result apart. What is JSON in it stays the text it is.
fn done(result: &Json) -> Result<OperationDone, String> {
    let Returned { result, state, signals, events, starts } = object(result).map_err(|reason| {
        format!("{reason}; it is an object with `result`, `state`, `signals`, `events`, `starts`")
    })?;
    Ok(OperationDone {
        result: result.unwrap_or_else(Json::null),
        state: match state {
            None => StateChange::Keep,
            Some(state) if state.as_str() == "null" => StateChange::Remove,
            Some(state) => StateChange::Set(state),
        },
        signals: each("signals", signals, signal)?,
        events: each("events", events, |EventReturned { instance, name, input }| {
            let instance = filled("instance", instance)?;
            let input = input.unwrap_or_else(Json::null);
            Ok(EventOut { instance, name: filled("name", name)?, input })
        })?,
        starts: each("starts", starts, |StartReturned { name, input, id }| {
            let id = id.map(|id| filled("id", id)).transpose()?;
            let input = input.unwrap_or_else(Json::null);
            Ok(StartOut { name: filled("name", name)?, input, id })
        })?,
    })
}

fn signal(signal: SignalReturned) -> Result<Signal, String> {
    let entity = EntityId::new(signal.name, signal.key).map_err(|error| error.to_string())?;
    Ok(Signal {
        entity,
        operation: filled("operation", signal.operation)?,
        input: signal.input.unwrap_or_else(Json::null),
        at: signal.at_ms,
    })
}

/// Reads each entry of a list, and says which one is wrong.
fn each<T: for<'de> Deserialize<'de>, U>(
    list: &str,
    entries: Option<Vec<Json>>,
    read: impl Fn(T) -> Result<U, String>,
) -> Result<Vec<U>, String> {
    let entries = entries.unwrap_or_default();
    let read = |(index, entry)| {
        object(entry).and_then(&read).map_err(|reason| format!("{list}[{index}]: {reason}"))
    };
    entries.iter().enumerate().map(read).collect()
}

/// Reads an object. Of a list, serde would take the entries for its values.
fn object<T: for<'de> Deserialize<'de>>(json: &Json) -> Result<T, String> {
    if !json.as_str().starts_with('{') {
        return Err("it is not an object".to_owned());
    }
    serde_json::from_str(json.as_str()).map_err(|error| error.to_string())
}

fn filled(key: &str, text: String) -> Result<String, String> {
    if text.is_empty() { Err(format!("`{key}` is empty")) } else { Ok(text) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<OperationDone, String> {
        done(&Json::parse(text).unwrap())
    }

    fn json(text: &str) -> Json {
        Json::parse(text).unwrap()
    }

    #[test]
    fn an_empty_result_changes_nothing() {
        let nothing = OperationDone {
            result: Json::null(),
            state: StateChange::Keep,
            signals: Vec::new(),
            events: Vec::new(),
            starts: Vec::new(),
        };
        assert_eq!(read("{}").unwrap(), nothing);
        let nulls = r#"{"result": null, "signals": null, "events": null, "starts": null, "x": 1}"#;
        assert_eq!(read(nulls).unwrap(), nothing);
        let removed = OperationDone { state: StateChange::Remove, ..nothing };
        assert_eq!(read(r#"{"state": null}"#).unwrap(), removed);
    }

    #[test]
    fn what_is_json_stays_the_text_it_is() {
        let done = read(
            r#"{"result": 1.50, "state": { "n" : 1e3 },
                "signals": [{"name": "Audit", "key": "a b", "operation": "add",
                             "input": [1.0 ], "atMs": 7},
                            {"name": "Audit", "key": "k", "operation": "add", "atMs": null}],
                "events": [{"instance": "order-7", "name": "Taken", "input": 2.0}],
                "starts": [{"name": "Refill", "input": "b", "id": null, "later": 1},
                           {"name": "Refill", "id": "r-1"}]}"#,
        )
        .unwrap();
        assert_eq!(done.result, json("1.50"));
        assert_eq!(done.state, StateChange::Set(json(r#"{ "n" : 1e3 }"#)));
        let audit = |key: &str| EntityId::new("Audit", key).unwrap();
        let operation = || "add".to_owned();
        assert_eq!(
            done.signals,
            [
                Signal {
                    entity: audit("a b"),
                    operation: operation(),
                    input: json("[1.0 ]"),
                    at: Some(7),
                },
                Signal {
                    entity: audit("k"),
                    operation: operation(),
                    input: Json::null(),
                    at: None,
                },
            ]
        );
        let [event] = &done.events[..] else { panic!("{:?}", done.events) };
        assert_eq!((event.instance.as_str(), event.name.as_str()), ("order-7", "Taken"));
        assert_eq!(event.input, json("2.0"));
        let refill = |input: Json, id: Option<&str>| StartOut {
            name: "Refill".to_owned(),
            input,
            id: id.map(str::to_owned),
        };
        assert_eq!(done.starts, [refill(json(r#""b""#), None), refill(Json::null(), Some("r-1"))]);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        for (text, words) in [
            ("null", "it is not an object; it is an object with `result`"),
            ("[1]", "it is not an object"),
            (r#"{"state": 1, "state": 2}"#, "duplicate field `state`"),
            (r#"{"signals": {}}"#, "expected a sequence"),
            (r#"{"signals": [{}]}"#, "signals[0]: missing field `name`"),
            (r#"{"signals": [["A", "k", "o", 1, null]]}"#, "signals[0]: it is not an object"),
            (
                r#"{"signals": [{"name": "A", "key": "", "operation": "o"}]}"#,
                "signals[0]: an entity has a name and a key",
            ),
            (
                r#"{"signals": [{"name": "A", "key": "a/b", "operation": "o"}]}"#,
                "signals[0]: the name and the key",
            ),
            (
                r#"{"signals": [{"name": "A", "key": "k", "operation": ""}]}"#,
                "signals[0]: `operation` is empty",
            ),
            (
                r#"{"signals": [{"name": "A", "key": "k", "operation": "o", "atMs": -1}]}"#,
                "signals[0]: invalid value: integer `-1`",
            ),
            (r#"{"events": [{"instance": "i", "name": 5}]}"#, "events[0]: invalid type"),
            (r#"{"events": [{"instance": "", "name": "n"}]}"#, "events[0]: `instance` is empty"),
            (
                r#"{"starts": [{"name": "A"}, {"name": "A", "id": 5}]}"#,
                "starts[1]: invalid type: integer `5`",
            ),
            (r#"{"starts": [{"name": "A", "id": ""}]}"#, "starts[0]: `id` is empty"),
            (r#"{"starts": [{"id": "A"}]}"#, "starts[0]: missing field `name`"),
        ] {
            let reason = read(text).expect_err(text);
            assert!(reason.contains(words), "{text}: {reason}");
        }
    }
}
