//! The shapes of bodies, by name.

use sagahost_core::{RuntimeStatus, SagaState};
use serde_json::{Map, Value, json};

use super::schema::{any, list, object, of, positive, text, time, url, whole, word};
use super::{board, watching};

/// The schemas of the document's components.
pub(super) fn all() -> Map<String, Value> {
    let ids = [
        ("InstanceId", instance_id()),
        ("StepId", json!({ "type": "string", "pattern": "^[0-9]{1,9}(\\.[1-9][0-9]{0,8})?$" })),
    ];
    let bodies = [
        ("CancelBody", closed(&[], &[("reason", text())])),
        ("RetryBody", closed(&said(), &[("input", any())])),
        ("DoneBody", closed(&said(), &[("output", any())])),
        ("FailedBody", closed(&said(), &[])),
    ];
    let answers = [
        ("Error", error()),
        ("CheckStatus", check_status()),
        ("Status", status()),
        ("Entity", entity()),
        ("EntityId", record(&[("name", text()), ("key", text())], &[])),
        ("Stuck", stuck()),
        ("Blocked", blocked()),
        ("HistoryEvent", history_event()),
        ("Attempt", attempt()),
        ("Failure", failure()),
        ("Logs", record(&[], &[("stdout", text()), ("stderr", text()), ("truncated", bool())])),
        ("Undo", undo()),
        ("UndoStep", undo_step()),
        ("UndoneOf", undone_of()),
        ("Purged", record(&[("instancesDeleted", whole())], &[])),
        ("Replayed", record(&[("events", whole()), ("ended", bool())], &[])),
        ("JournalLine", journal_line()),
        ("JournalEnd", record(&[("runtimeStatus", runtime_status())], &[])),
        ("Function", function()),
        ("RetryPolicy", retry_policy()),
        ("Component", component()),
        ("Invoked", invoked()),
        ("Stats", stats()),
        ("LogLevels", record(&[("level", text())], &[])),
        ("Skipped", skipped()),
        ("Health", record(&[("status", text())], &[("reason", text())])),
    ];
    let named = |(name, schema): (&str, Value)| (name.to_owned(), schema);
    let watching = watching::all().into_iter().chain(board::all());
    ids.into_iter().chain(bodies).chain(answers).chain(watching).map(named).collect()
}

pub(super) type Field = (&'static str, Value);

/// An object. It may get more keys in later versions.
pub(super) fn record(always: &[Field], sometimes: &[Field]) -> Value {
    let properties: Map<String, Value> = always
        .iter()
        .chain(sometimes)
        .map(|(name, schema)| ((*name).to_owned(), schema.clone()))
        .collect();
    let required: Vec<&str> = always.iter().map(|(name, _)| *name).collect();
    if required.is_empty() {
        return json!({ "type": "object", "properties": properties });
    }
    json!({ "type": "object", "properties": properties, "required": required })
}

/// An object of a request, in which any other key is refused.
fn closed(always: &[Field], sometimes: &[Field]) -> Value {
    let mut schema = record(always, sometimes);
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("additionalProperties".to_owned(), false.into());
    }
    schema
}

pub(super) fn bool() -> Value {
    json!({ "type": "boolean" })
}

fn text_or_null() -> Value {
    json!({ "type": ["string", "null"] })
}

/// Milliseconds since 1970.
pub(super) fn millis() -> Value {
    whole()
}

fn runtime_status() -> Value {
    word(RuntimeStatus::ALL.map(RuntimeStatus::as_str))
}

fn saga_state() -> Value {
    word(SagaState::ALL.map(SagaState::as_str))
}

fn instance_id() -> Value {
    json!({
        "type": "string",
        "minLength": 1,
        "maxLength": 256,
        "pattern": r"^[^@/\\#?\x00-\x1f\x7f-\x9f][^/\\#?\x00-\x1f\x7f-\x9f]*$",
    })
}

fn said() -> [Field; 2] {
    // More than white space: U+0085 is not in `\s`, and is white space.
    let words =
        |most: u32| json!({ "type": "string", "pattern": r"[^\s\u0085]", "maxLength": most });
    [("note", words(1000)), ("by", words(200))]
}

fn error() -> Value {
    record(
        &[
            ("Message", text()),
            ("ExceptionMessage", text()),
            ("ExceptionType", text()),
            ("StackTrace", text_or_null()),
        ],
        &[],
    )
}

fn check_status() -> Value {
    // These two have a place to be filled in, and are no addresses before.
    let template = text;
    record(
        &[
            ("id", of("InstanceId")),
            ("statusQueryGetUri", url()),
            ("sendEventPostUri", template()),
            ("terminatePostUri", template()),
            ("purgeHistoryDeleteUri", url()),
            ("restartPostUri", url()),
            ("suspendPostUri", template()),
            ("resumePostUri", template()),
            ("rewindPostUri", template()),
        ],
        &[],
    )
}

fn status() -> Value {
    record(
        &[
            ("name", text()),
            ("instanceId", text()),
            ("runtimeStatus", runtime_status()),
            ("input", any()),
            ("customStatus", any()),
            ("output", any()),
            ("createdTime", time()),
            ("lastUpdatedTime", time()),
            ("sagaState", saga_state()),
        ],
        &[
            ("historyEvents", list(of("HistoryEvent"))),
            ("history", list(of("HistoryEvent"))),
            ("tags", json!({ "type": "object", "additionalProperties": text() })),
            ("stuck", list(of("Stuck"))),
            ("isBlocked", bool()),
            ("blocked", of("Blocked")),
        ],
    )
}

fn entity() -> Value {
    record(&[("entityId", of("EntityId")), ("lastOperationTime", time()), ("state", any())], &[])
}

fn stuck() -> Value {
    record(
        &[
            ("step", text_or_null()),
            ("forward", bool()),
            ("function", text()),
            ("attempts", whole()),
            ("failure", of("Failure")),
            ("since", time()),
        ],
        &[],
    )
}

fn blocked() -> Value {
    record(
        &[("reason", word(["mismatch", "unavailable", "pastPivot"]))],
        &[
            ("position", whole()),
            ("journal", text()),
            ("code", text()),
            ("message", text()),
            ("failure", of("Failure")),
        ],
    )
}

fn failure() -> Value {
    let kinds = [
        "returned",
        "trap",
        "timeout",
        "memoryLimit",
        "cpuLimit",
        "outputLimit",
        "badOutput",
        "hostLost",
        "notStarted",
        "cancelled",
        "deadline",
        "codeLost",
        "stepsOpen",
        "terminated",
    ];
    record(
        &[("kind", word(kinds)), ("code", text()), ("message", text()), ("retryable", bool())],
        &[("details", any()), ("retryAfterMs", millis())],
    )
}

fn history_event() -> Value {
    record(
        &[("EventType", text()), ("Timestamp", time())],
        &[
            ("FunctionName", text()),
            ("Name", text()),
            ("InstanceId", text()),
            ("Entity", of("EntityId")),
            ("LockSet", list(of("EntityId"))),
            ("Step", of("StepId")),
            ("Undo", text()),
            ("Pivot", bool()),
            ("Scope", whole()),
            ("Outcome", text()),
            ("Cause", text()),
            ("Repair", text()),
            ("By", text()),
            ("OrchestrationStatus", runtime_status()),
            ("Input", any()),
            ("Result", any()),
            ("Reason", text()),
            ("Details", text()),
            ("Failure", of("Failure")),
            ("FireAt", time()),
            ("Recalled", time()),
            ("ScheduledTime", time()),
            ("Attempts", list(of("Attempt"))),
        ],
    )
}

fn attempt() -> Value {
    record(
        &[
            ("Attempt", positive()),
            ("Outcome", word(["Completed", "Failed", "Lost"])),
            ("Ended", time()),
        ],
        &[
            ("Started", time()),
            ("Failure", of("Failure")),
            ("RetryAt", time()),
            ("Logs", of("Logs")),
        ],
    )
}

fn undo() -> Value {
    let cause = record(
        &[("kind", word(["failed", "deadline", "canceled", "terminated", "parent"]))],
        &[("failure", of("Failure")), ("reason", text())],
    );
    record(
        &[
            ("instanceId", text()),
            ("runtimeStatus", runtime_status()),
            ("sagaState", saga_state()),
            ("undo", list(of("UndoStep"))),
            ("undone", list(of("UndoStep"))),
            ("stuck", list(of("Stuck"))),
            ("children", list(text())),
        ],
        &[("cause", cause)],
    )
}

fn undo_step() -> Value {
    record(
        &[
            ("step", of("StepId")),
            ("function", text()),
            ("input", any()),
            ("state", word(["armed", "running", "retrying", "stuck", "done", "dropped"])),
            ("of", of("UndoneOf")),
        ],
        &[
            ("stage", whole()),
            ("attempt", whole()),
            ("retryAt", time()),
            ("failure", of("Failure")),
        ],
    )
}

fn undone_of() -> Value {
    record(
        &[
            ("step", whole()),
            ("function", text()),
            ("outcome", word(["completed", "failed", "unknown", "running"])),
            ("input", any()),
            ("idempotencyKey", text()),
        ],
        &[("instanceId", text()), ("output", any())],
    )
}

fn journal_line() -> Value {
    // Which kinds of events there are is said where they are journaled; an
    // event is its kind's name, or an object of that one key.
    let event = json!({
        "anyOf": [
            { "type": "string" },
            { "type": "object", "minProperties": 1, "maxProperties": 1 },
        ]
    });
    record(&[("index", whole()), ("time", millis()), ("event", event)], &[])
}

/// A JSON schema may be `true` or `false`, too.
fn schema_itself() -> Value {
    json!({ "type": ["object", "boolean"] })
}

fn function() -> Value {
    let (always, sometimes) = function_fields();
    record(&always, &sometimes)
}

/// What is always said of a function, and what only where it is known.
pub(super) fn function_fields() -> (Vec<Field>, Vec<Field>) {
    (
        vec![
            ("name", text()),
            ("kind", word(["activity", "orchestrator", "entity"])),
            ("component", text()),
            ("digest", text()),
        ],
        vec![
            ("description", text()),
            ("inputSchema", schema_itself()),
            ("outputSchema", schema_itself()),
            ("operations", object()),
            ("stateSchema", schema_itself()),
            ("retry", of("RetryPolicy")),
            ("timeoutMs", millis()),
            ("undo", text()),
            ("undoes", text()),
        ],
    )
}

fn retry_policy() -> Value {
    let number = || json!({ "type": "number" });
    record(
        &[
            ("maxAttempts", whole()),
            ("firstIntervalMs", millis()),
            ("backoff", number()),
            ("maxIntervalMs", millis()),
            ("jitter", number()),
        ],
        &[("totalTimeMs", millis()), ("doNotRetry", list(text()))],
    )
}

fn component() -> Value {
    record(
        &[
            ("component", text()),
            ("digest", text()),
            ("functions", list(of("Function"))),
            ("imports", list(text())),
        ],
        &[],
    )
}

fn invoked() -> Value {
    record(
        &[
            ("function", text()),
            ("started", time()),
            ("logs", of("Logs")),
            ("cpuMs", json!({ "type": "number", "minimum": 0 })),
            ("peakMemoryBytes", whole()),
        ],
        &[("output", any()), ("failure", of("Failure"))],
    )
}

fn skipped() -> Value {
    let what = word(["timer", "retry", "deadline", "wake", "schedule"]);
    let to = record(&[("what", what), ("name", text())], &[("instanceId", text())]);
    record(&[("from", time()), ("now", time())], &[("to", to)])
}

fn stats() -> Value {
    let counters = [
        "pid",
        "started",
        "completed",
        "failed",
        "canceled",
        "terminated",
        "turns",
        "appends",
        "commits",
        "attempts",
        "ahead",
        "attemptsOpen",
        "attemptsWaiting",
        "startsRefused",
        "stuck",
        "replays",
        "evictions",
        "residents",
        "purged",
        "storeFailures",
    ];
    record(&counters.map(|name| (name, whole())), &[])
}
