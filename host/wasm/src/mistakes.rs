//! What is wrong with an input, said for the person who wrote it.

use std::cell::Cell;

use jsonschema::error::ValidationErrorKind as Kind;
use jsonschema::{ValidationError, Validator};
use serde_json::Value;

use crate::capture::shorten;

/// How many mistakes of one input are named.
const MISTAKES: usize = 3;

/// How much of a value or of a shape is shown, in characters.
const VALUE: usize = 60;
const SHAPE: usize = 240;

/// How deep a shape is shown, how many parts each level may have, and how many
/// there may be in all: schemas are the guests', and may be huge or hold
/// themselves.
const DEPTH: u32 = 8;
const PARTS: usize = 12;
const ALL_PARTS: u32 = 60;

/// Where this input does not fit the schema and what would do, if it does not.
pub(crate) fn find(schema: &Value, validator: &Validator, input: &Value) -> Option<String> {
    let mut said = Vec::new();
    for error in validator.iter_errors(input) {
        mistake(schema, &error, &mut said);
        if said.len() > MISTAKES {
            break;
        }
    }
    if said.len() > MISTAKES {
        said.truncate(MISTAKES);
        said.push("and more".to_owned());
    }
    (!said.is_empty()).then(|| said.join("; "))
}

fn mistake(root: &Value, error: &ValidationError<'_>, said: &mut Vec<String>) {
    if said.len() > MISTAKES {
        return;
    }
    let (Kind::AnyOf { context } | Kind::OneOfNotValid { context }) = error.kind() else {
        // A long value would hide what is said about it.
        let short = error.instance().to_string().chars().count() <= VALUE;
        let what = if short { error.to_string() } else { error.masked().to_string() };
        said.push(with_place(error, &shorten(&what, SHAPE)));
        return;
    };
    // If there is one alternative that is meant, what is wrong is in there.
    let mut meant = context.iter().filter(|branch| is_meant(branch, error));
    if let (Some(branch), None) = (meant.next(), meant.next()) {
        branch.iter().for_each(|error| mistake(root, error, said));
        return;
    }
    let value = shorten(&error.instance().to_string(), VALUE);
    let shapes = root.pointer(error.schema_path().as_str()).and_then(Value::as_array);
    let what = match shapes {
        Some(shapes) => format!("{value}, where {} would do", alternatives(shapes, root)),
        None => error.to_string(),
    };
    said.push(with_place(error, &shorten(&what, VALUE + SHAPE)));
}

/// Whether the value is of this alternative's type, and has the constants by
/// which alternatives are told apart.
fn is_meant(branch: &[ValidationError<'_>], whole: &ValidationError<'_>) -> bool {
    !branch.iter().any(|error| match error.kind() {
        Kind::Constant { .. } => true,
        Kind::Type { .. } | Kind::Enum { .. } => error.instance_path() == whole.instance_path(),
        _ => false,
    })
}

fn with_place(error: &ValidationError<'_>, what: &str) -> String {
    match error.instance_path().as_str() {
        // The input as a whole, of which callers have spoken.
        "" => what.to_owned(),
        place => format!("{place}: {what}"),
    }
}

fn alternatives(shapes: &[Value], root: &Value) -> String {
    let left = Cell::new(ALL_PARTS);
    let mut shapes = some(shapes.iter().map(|it| shape(it, root, DEPTH, &left)));
    let last = shapes.pop().unwrap_or_default();
    match shapes.is_empty() {
        true => last,
        false => format!("{} or {last}", shapes.join(", ")),
    }
}

/// The first of these, and `…` where there are more.
fn some(all: impl Iterator<Item = String>) -> Vec<String> {
    let mut some: Vec<String> = all.take(PARTS + 1).collect();
    if some.len() > PARTS {
        some[PARTS] = "…".to_owned();
    }
    some
}

/// What a schema accepts, in short: `{"id": string, "note"?: string}`.
fn shape(schema: &Value, root: &Value, depth: u32, left: &Cell<u32>) -> String {
    if depth == 0 || left.get() == 0 {
        return "…".to_owned();
    }
    left.set(left.get() - 1);
    let inner = |schema: &Value| shape(schema, root, depth - 1, left);
    if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
        let pointed = target.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
        return pointed.map_or_else(|| "…".to_owned(), inner);
    }
    if let Some(value) = schema.get("const") {
        return value.to_string();
    }
    let list = |key: &str| schema.get(key).and_then(Value::as_array);
    if let Some(values) = list("enum") {
        return some(values.iter().map(Value::to_string)).join(" | ");
    }
    if let Some(shapes) = ["anyOf", "oneOf"].iter().find_map(|key| list(key)) {
        return some(shapes.iter().map(inner)).join(" | ");
    }
    match schema.get("type") {
        Some(Value::String(kind)) if kind == "array" => match schema.get("items") {
            Some(items) => format!("[{}, …]", inner(items)),
            None => "[…]".to_owned(),
        },
        Some(Value::String(kind)) if kind == "object" => object(schema, inner),
        Some(Value::String(kind)) => kind.clone(),
        Some(Value::Array(kinds)) => {
            let kinds: Vec<&str> = kinds.iter().filter_map(Value::as_str).collect();
            kinds.join(" | ")
        }
        _ if schema.get("properties").is_some() => object(schema, inner),
        _ => "…".to_owned(),
    }
}

fn object(schema: &Value, inner: impl Fn(&Value) -> String) -> String {
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .map(|names| names.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return "{…}".to_owned();
    };
    let fields = properties.iter().map(|(name, property)| {
        let mark = if required.contains(&name.as_str()) { "" } else { "?" };
        format!("{}{mark}: {}", Value::from(name.as_str()), inner(property))
    });
    format!("{{{}}}", some(fields).join(", "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn wrong(schema: &Value, input: Value) -> String {
        let validator = jsonschema::validator_for(schema).expect("a schema");
        find(schema, &validator, &input).unwrap_or_default()
    }

    #[test]
    fn the_shapes_that_would_do_are_shown() {
        let numbers = json!({"anyOf": [
            {"type": "array", "items": {"type": "integer"}},
            {"type": "object", "required": ["count"],
             "properties": {"count": {"type": "integer", "minimum": 0}}},
        ]});
        assert_eq!(
            wrong(&numbers, json!(7)),
            r#"7, where [integer, …] or {"count": integer} would do"#
        );
        // One is meant.
        assert_eq!(
            wrong(&numbers, json!({"count": -1})),
            "/count: -1 is less than the minimum of 0"
        );
        assert_eq!(wrong(&numbers, json!([1, "2"])), r#"/1: "2" is not of type "integer""#);
        assert_eq!(wrong(&numbers, json!([1, 2])), "");
    }

    #[test]
    fn what_is_optional_or_defined_elsewhere_is_looked_into() {
        let order = json!({
            "type": "object", "required": ["id"],
            "properties": {
                "id": {"type": "string"},
                "fault": {"anyOf": [{"$ref": "#/$defs/Faults"}, {"type": "null"}]},
            },
            "$defs": {
                "Faults": {"type": "object", "properties": {
                    "payment": {"anyOf": [{"$ref": "#/$defs/Fault"}, {"type": "null"}]},
                }},
                "Fault": {"oneOf": [{"const": "fail"}, {"const": "trap"}]},
            },
        });
        let fault = |fault: Value| wrong(&order, json!({"id": "1", "fault": fault}));
        assert_eq!(
            fault(json!({"payment": "no"})),
            r#"/fault/payment: "no", where "fail" or "trap" would do"#
        );
        assert_eq!(
            fault(json!(1)),
            r#"/fault: 1, where {"payment"?: "fail" | "trap" | null} or null would do"#
        );
        assert_eq!(wrong(&order, json!({})), r#""id" is a required property"#);
        assert_eq!(
            wrong(&order, json!({"id": vec!["x"; 100]})),
            r#"/id: value is not of type "string""#
        );
    }

    #[test]
    fn not_all_mistakes_are_named() {
        let schema = json!({"items": {"type": "string"}});
        let said = wrong(&schema, json!([1, 2, 3, 4, 5]));
        assert!(said.ends_with("; and more") && said.matches("not of type").count() == 3, "{said}");
    }
}
