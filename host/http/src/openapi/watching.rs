//! The shapes of what the pages show.

use serde_json::{Value, json};

use super::schema::{list, of, text, whole, word};
use super::schemas::{bool, function_fields, millis, record};

/// These schemas, by name.
pub(super) fn all() -> [(&'static str, Value); 6] {
    [
        ("Session", session()),
        ("Overview", overview()),
        ("Percentiles", record(&[("p50", number_or_null()), ("p99", number_or_null())], &[])),
        ("KnownFunction", known_function()),
        ("Capabilities", capabilities()),
        ("FunctionFigures", figures()),
    ]
}

fn number() -> Value {
    json!({ "type": "number", "minimum": 0 })
}

fn number_or_null() -> Value {
    json!({ "type": ["number", "null"], "minimum": 0 })
}

fn session() -> Value {
    record(
        &[
            ("version", text()),
            ("readOnly", bool()),
            ("mayUse", bool()),
            ("mayManage", bool()),
            ("keysConfigured", bool()),
        ],
        &[],
    )
}

fn overview() -> Value {
    let counts = ["open", "unsuccessful", "stuck"].map(|name| (name, whole()));
    let rates = ["startedPerSecond", "endedPerSecond", "attemptsPerSecond", "commitsPerSecond"]
        .map(|name| (name, number()));
    let latency = ["commitMs", "turnMs", "sagaMs"].map(|name| (name, of("Percentiles")));
    let second = record(
        &[
            ("at", millis()),
            ("started", whole()),
            ("ended", whole()),
            ("failed", whole()),
            ("commitMs", number_or_null()),
        ],
        &[],
    );
    record(
        &[
            ("time", millis()),
            ("uptimeMs", millis()),
            ("instances", record(&counts, &[])),
            ("compensating", whole()),
            ("running", whole()),
            ("queueDepth", whole()),
            ("rates", record(&rates, &[])),
            ("latency", record(&latency, &[])),
            ("residents", whole()),
            ("series", list(second)),
        ],
        &[("memoryBytes", whole()), ("waiting", whole())],
    )
}

fn known_function() -> Value {
    let (mut always, mut sometimes) = function_fields();
    always.extend([
        ("imports", list(text())),
        ("capabilities", of("Capabilities")),
        ("stats", of("FunctionFigures")),
    ]);
    sometimes.extend([
        ("deployedAt", millis()),
        ("deployedBy", text()),
        ("runsAhead", json!({ "type": "boolean" })),
    ]);
    always.push(("deployedVia", word(["api", "folder"])));
    record(&always, &sometimes)
}

fn capabilities() -> Value {
    let directory =
        record(&[("guest", text()), ("access", word(["read", "write"]))], &[("host", text())]);
    let limits = record(
        &[
            ("memoryBytes", whole()),
            ("cpuMs", whole()),
            ("outputBytes", whole()),
            ("logsBytes", whole()),
        ],
        &[("timeoutMs", whole()), ("concurrency", whole()), ("rate", text()), ("reuse", whole())],
    );
    record(
        &[
            ("http", list(text())),
            ("files", list(directory)),
            ("env", list(text())),
            ("limits", limits),
        ],
        &[],
    )
}

fn figures() -> Value {
    record(
        &[("attempts", whole()), ("failed", whole()), ("perSecond", number())],
        &[("running", whole()), ("p50Ms", number()), ("p95Ms", number()), ("p99Ms", number())],
    )
}
