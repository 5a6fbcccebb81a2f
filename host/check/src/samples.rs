//! Values made from a JSON schema, where the check file gives none.

use sagahost_core::Json;
use serde_json::{Map, Value, json};

/// The most values that are made of one schema.
const MOST: usize = 8;

/// How deep a schema is followed; one that contains itself ends there.
const DEEPEST: usize = 12;

/// One value that fits the schema, as far as a simple mind can tell.
pub(crate) fn one(schema: Option<&Value>) -> Json {
    all(schema).into_iter().next().unwrap_or_else(Json::null)
}

/// All values that make a difference: both booleans, each name of an
/// enumeration, each alternative; of anything else one. At most eight, the
/// first ones.
pub(crate) fn all(schema: Option<&Value>) -> Vec<Json> {
    let values = match schema {
        None => vec![Value::Null],
        Some(schema) => values(schema, schema, 0),
    };
    let texts = values.iter().filter_map(|value| Json::of(value).ok());
    texts.take(MOST).collect()
}

fn values(schema: &Value, root: &Value, depth: usize) -> Vec<Value> {
    let Some(fields) = schema.as_object() else { return vec![Value::Null] };
    if depth > DEEPEST {
        return vec![Value::Null];
    }
    if let Some(value) = fields.get("const") {
        return vec![value.clone()];
    }
    if let Some(names) = fields.get("enum").and_then(Value::as_array) {
        return names.iter().take(MOST).cloned().collect();
    }
    if let Some(path) = fields.get("$ref").and_then(Value::as_str) {
        let target = path.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
        return target.map_or(vec![Value::Null], |target| values(target, root, depth + 1));
    }
    for key in ["oneOf", "anyOf"] {
        if let Some(alternatives) = fields.get(key).and_then(Value::as_array) {
            let mut found: Vec<Value> = Vec::new();
            for value in alternatives.iter().flat_map(|one| values(one, root, depth + 1)) {
                if !found.contains(&value) && found.len() < MOST {
                    found.push(value);
                }
            }
            return found;
        }
    }
    if let Some(parts) = fields.get("allOf").and_then(Value::as_array) {
        let mut merged = fields.clone();
        merged.remove("allOf");
        for part in parts.iter().filter_map(Value::as_object) {
            merged.extend(part.clone());
        }
        return values(&Value::Object(merged), root, depth + 1);
    }
    let kinds: Vec<&str> = match fields.get("type") {
        Some(Value::String(kind)) => vec![kind],
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
        _ if fields.contains_key("properties") => vec!["object"],
        _ => vec!["null"],
    };
    let found = kinds.iter().flat_map(|kind| of_kind(kind, fields, root, depth));
    found.take(MOST).collect()
}

fn of_kind(kind: &str, fields: &Map<String, Value>, root: &Value, depth: usize) -> Vec<Value> {
    match kind {
        "boolean" => vec![json!(true), json!(false)],
        "integer" | "number" => {
            let least = fields.get("minimum").cloned();
            let above = fields.get("exclusiveMinimum").and_then(Value::as_i64);
            vec![least.unwrap_or_else(|| json!(above.map_or(1, |above| above + 1)))]
        }
        "string" => vec![text(fields)],
        "array" => {
            let least = fields.get("minItems").and_then(Value::as_u64).unwrap_or(0);
            let item = fields.get("items").map(|items| values(items, root, depth + 1));
            let item = item.and_then(|items| items.into_iter().next()).unwrap_or(Value::Null);
            vec![Value::Array(vec![item; least.clamp(1, 16) as usize])]
        }
        "object" => objects(fields, root, depth),
        _ => vec![Value::Null],
    }
}

fn text(fields: &Map<String, Value>) -> Value {
    let of_format = match fields.get("format").and_then(Value::as_str) {
        Some("date-time") => "2030-01-01T00:00:00Z",
        Some("date") => "2030-01-01",
        Some("uuid") => "00000000-0000-4000-8000-000000000000",
        Some("email") => "ada@example.com",
        Some("uri") => "https://example.com",
        _ => "text",
    };
    let least = fields.get("minLength").and_then(Value::as_u64).unwrap_or(0).min(256) as usize;
    json!(format!("{of_format:x<least$}"))
}

/// Each combination of the values of the required fields, the first ones.
fn objects(fields: &Map<String, Value>, root: &Value, depth: usize) -> Vec<Value> {
    let mut made = vec![Map::new()];
    let required = fields.get("required").and_then(Value::as_array);
    for name in required.into_iter().flatten().filter_map(Value::as_str) {
        let schema = fields.get("properties").and_then(|properties| properties.get(name));
        let choices = schema.map_or(vec![Value::Null], |schema| values(schema, root, depth + 1));
        let mut more = Vec::new();
        for object in &made {
            for choice in &choices {
                if more.len() < MOST {
                    let mut object: Map<String, Value> = object.clone();
                    object.insert(name.to_owned(), choice.clone());
                    more.push(object);
                }
            }
        }
        made = more;
    }
    made.into_iter().map(Value::Object).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(schema: Value) -> Vec<String> {
        all(Some(&schema)).iter().map(|json| json.as_str().to_owned()).collect()
    }

    #[test]
    fn what_makes_a_difference_is_made_in_full() {
        assert_eq!(made(json!({"type": "boolean"})), ["true", "false"]);
        assert_eq!(made(json!({"enum": ["a", "b"]})), [r#""a""#, r#""b""#]);
        assert_eq!(made(json!({"type": ["string", "null"]})), [r#""text""#, "null"]);
        assert_eq!(made(json!({"oneOf": [{"const": 1}, {"const": 2}, {"const": 1}]})), ["1", "2"]);
        assert_eq!(made(json!({"type": "integer", "minimum": 3})), ["3"]);
        assert_eq!(made(json!({"type": "integer", "exclusiveMinimum": 3})), ["4"]);
        assert_eq!(all(None).iter().map(Json::as_str).collect::<Vec<_>>(), ["null"]);
    }

    #[test]
    fn objects_have_what_is_required() {
        let schema = json!({
            "type": "object", "required": ["ok", "who"],
            "properties": {
                "ok": {"type": "boolean"},
                "who": {"$ref": "#/$defs/Name"},
                "more": {"type": "string"},
            },
            "$defs": {"Name": {"type": "string", "minLength": 6}},
        });
        assert_eq!(
            made(schema),
            [r#"{"ok":true,"who":"textxx"}"#, r#"{"ok":false,"who":"textxx"}"#]
        );
    }

    #[test]
    fn no_schema_makes_too_many_or_goes_too_deep() {
        let many: Vec<u32> = (0..100).collect();
        assert_eq!(made(json!({"enum": many})).len(), MOST);
        let properties = json!({"a": {"type": "boolean"}, "b": {"type": "boolean"},
            "c": {"type": "boolean"}, "d": {"type": "boolean"}});
        let wide = json!({"properties": properties, "required": ["a", "b", "c", "d"]});
        assert_eq!(made(wide).len(), MOST);
        let endless = json!({"type": "object", "required": ["next"],
            "properties": {"next": {"$ref": "#"}}});
        assert_eq!(made(endless).len(), 1);
    }
}
