//! The small schemas that definitions of routes are put together from.

use serde_json::{Value, json};

/// A schema of the document's components, by its name.
pub(crate) fn of(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// A list.
pub(crate) fn list(items: Value) -> Value {
    json!({ "type": "array", "items": items })
}

/// Any JSON document.
pub(crate) fn any() -> Value {
    json!({})
}

/// A key that a client makes up, so that what it sends twice counts once.
pub(crate) fn idempotency_key() -> Value {
    json!({ "type": "string", "pattern": "^[!-~]{1,256}$" })
}

/// What the log is to have: `info,guest=debug`.
pub(crate) fn log_levels() -> Value {
    let level = "(off|error|warn|info|debug|trace)";
    let part = "[A-Za-z_][A-Za-z0-9_]{0,30}";
    let pattern = format!("^{level}(,{part}={level}){{0,20}}$");
    json!({
        "type": "object",
        "properties": { "level": { "type": "string", "pattern": pattern } },
        "required": ["level"],
        "additionalProperties": false,
    })
}

/// Any text.
pub(crate) fn text() -> Value {
    json!({ "type": "string" })
}

/// True or false.
pub(crate) fn flag(default: bool) -> Value {
    json!({ "type": "boolean", "default": default })
}

/// A whole number, 0 or more.
pub(crate) fn whole() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

/// More seconds than anybody waits: 30 years.
const LONGEST: u32 = 1_000_000_000;

/// A number of seconds, fractions allowed.
pub(crate) fn seconds() -> Value {
    json!({ "type": "number", "minimum": 0, "maximum": LONGEST })
}

/// A number of seconds that is not 0, fractions allowed.
pub(crate) fn more_seconds() -> Value {
    json!({ "type": "number", "minimum": 0.001, "maximum": LONGEST })
}

/// A time in ISO 8601 form.
pub(crate) fn time() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

/// An address.
pub(crate) fn url() -> Value {
    json!({ "type": "string", "format": "uri" })
}

/// One of these words.
pub(crate) fn word<'a>(words: impl IntoIterator<Item = &'a str>) -> Value {
    json!({ "type": "string", "enum": words.into_iter().collect::<Vec<_>>() })
}

/// A tag: a word and its value.
pub(crate) fn tag() -> Value {
    json!({ "type": "string", "pattern": "^[A-Za-z0-9_.-]{1,64}:[A-Za-z0-9_.-]{0,64}$" })
}

/// The name of a function or a component.
pub(crate) fn name() -> Value {
    json!({ "type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$" })
}

/// The id of an instance.
pub(crate) fn instance_id() -> Value {
    of("InstanceId")
}

/// One of several of the document's components.
pub(crate) fn either<const N: usize>(names: [&str; N]) -> Value {
    json!({ "anyOf": names.map(of).to_vec() })
}

/// Any object.
pub(crate) fn object() -> Value {
    json!({ "type": "object" })
}

/// A whole number, 1 or more.
pub(crate) fn positive() -> Value {
    json!({ "type": "integer", "minimum": 1 })
}

/// A whole number of a request. Larger ones are no numbers in JavaScript, and
/// not all of them are read.
pub(crate) fn count(least: u8) -> Value {
    json!({ "type": "integer", "minimum": least, "maximum": (1u64 << 53) - 1 })
}

/// Text that is one part of a path.
pub(crate) fn segment() -> Value {
    json!({ "type": "string", "minLength": 1 })
}
