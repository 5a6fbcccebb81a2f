//! An input that fits a JSON schema, for a line to paste.

use serde_json::{Map, Value, json};

/// How deep an example goes; a schema may hold itself.
const DEPTH: u32 = 8;

/// A value that most likely fits the schema.
pub(crate) fn of(schema: &Value) -> Value {
    Examples { root: schema }.of(schema, "", DEPTH)
}

struct Examples<'a> {
    root: &'a Value,
}

impl Examples<'_> {
    fn of(&self, schema: &Value, name: &str, depth: u32) -> Value {
        let given = ["const", "default"].iter().find_map(|key| schema.get(key)).cloned();
        let first = |key: &str| schema.get(key)?.as_array()?.iter().find(|it| !is_null(it));
        if let Some(given) =
            given.or_else(|| first("examples").cloned()).or_else(|| first("enum").cloned())
        {
            return given;
        }
        if depth == 0 {
            return Value::Null;
        }
        if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
            let pointed = target.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
            return pointed.map_or(Value::Null, |schema| self.of(schema, name, depth - 1));
        }
        if let Some(schema) = ["anyOf", "oneOf", "allOf"].iter().find_map(|key| first(key)) {
            return self.of(schema, name, depth - 1);
        }
        match kind(schema) {
            "object" => self.object(schema, depth),
            "array" => {
                let item = schema.get("items").filter(|items| items.is_object());
                json!([item.map_or(json!(1), |items| self.of(items, name, depth - 1))])
            }
            // At least 1: a quantity of 0 fits most schemas and few purposes.
            "integer" => json!(schema.get("minimum").and_then(Value::as_i64).unwrap_or(1).max(1)),
            "number" => json!(1.0),
            "boolean" => json!(true),
            "string" if name.is_empty() => json!("text"),
            "string" => json!(name),
            _ => Value::Null,
        }
    }

    fn object(&self, schema: &Value, depth: u32) -> Value {
        let mut object = Map::new();
        let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
        for name in required.filter_map(Value::as_str) {
            let property = schema.get("properties").and_then(|properties| properties.get(name));
            let value = property.map_or(Value::Null, |property| self.of(property, name, depth - 1));
            object.insert(name.to_owned(), value);
        }
        Value::Object(object)
    }
}

fn is_null(schema: &Value) -> bool {
    schema.is_null() || schema.get("type").is_some_and(|kind| kind == "null")
}

/// The type a schema is for, or looks like.
fn kind(schema: &Value) -> &str {
    match schema.get("type") {
        Some(Value::String(kind)) => kind,
        Some(Value::Array(kinds)) => {
            kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null").unwrap_or("null")
        }
        _ if schema.get("properties").is_some() => "object",
        _ => "any",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_example_has_what_is_required() {
        let schema = json!({
            "type": "object",
            "required": ["id", "items", "mode"],
            "properties": {
                "id": {"type": "string"},
                "items": {"type": "array", "items": {"$ref": "#/$defs/Item"}},
                "mode": {"oneOf": [{"type": "null"}, {"const": "fast"}]},
                "note": {"type": ["string", "null"]}
            },
            "$defs": {"Item": {
                "type": "object",
                "required": ["quantity", "self"],
                "properties": {
                    "quantity": {"type": "integer", "minimum": 0},
                    "self": {"$ref": "#/$defs/Item"}
                }
            }}
        });
        let example = of(&schema);
        assert_eq!(example["id"], "id");
        assert_eq!(example["mode"], "fast");
        assert_eq!(example["items"][0]["quantity"], 1);
        assert_eq!(example.get("note"), None);
    }

    #[test]
    fn simple_schemas() {
        assert_eq!(of(&json!({"type": "string"})), json!("text"));
        assert_eq!(of(&json!({"type": "array", "items": {"type": "string"}})), json!(["text"]));
        assert_eq!(of(&json!({"type": ["integer", "null"]})), json!(1));
        assert_eq!(of(&json!(true)), Value::Null);
    }
}
