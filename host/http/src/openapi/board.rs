//! The shapes of what a dashboard lists.

use sagahost_core::{RuntimeStatus, SagaState};
use serde_json::{Value, json};

use super::schema::{any, list, of, text, whole, word};
use super::schemas::{bool, millis, record};

/// These schemas, by name.
pub(super) fn all() -> [(&'static str, Value); 3] {
    [
        ("InstanceList", parts(&[("instances", list(of("ListedInstance")))])),
        ("ListedInstance", listed()),
        ("Histogram", histogram()),
    ]
}

/// An answer of which there may be more parts.
fn parts(fields: &[(&'static str, Value)]) -> Value {
    let mut fields = fields.to_vec();
    fields.push(("next", json!({ "type": ["string", "null"] })));
    fields.push(("complete", bool()));
    record(&fields, &[])
}

fn listed() -> Value {
    record(
        &[
            ("id", text()),
            ("name", text()),
            ("runtimeStatus", word(RuntimeStatus::ALL.map(RuntimeStatus::as_str))),
            ("sagaState", word(SagaState::ALL.map(SagaState::as_str))),
            ("created", millis()),
            ("updated", millis()),
            ("tags", json!({ "type": "object", "additionalProperties": text() })),
            ("events", whole()),
        ],
        &[("customStatus", any()), ("stuck", bool()), ("blocked", bool())],
    )
}

fn histogram() -> Value {
    let names = word(RuntimeStatus::ALL.map(RuntimeStatus::as_str));
    let counts =
        json!({ "type": "object", "propertyNames": names, "additionalProperties": whole() });
    let bucket = record(&[("at", millis()), ("counts", counts)], &[]);
    parts(&[("from", millis()), ("to", millis()), ("widthMs", whole()), ("buckets", list(bucket))])
}
