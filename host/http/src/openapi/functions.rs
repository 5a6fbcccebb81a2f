//! What is deployed, in the document: each orchestrator, each activity and each
//! entity has a path of its own, with the schemas it describes.

use sagahost_core::Json;
use sagahost_engine::{Function, FunctionKind};
use serde_json::{Map, Value, json};

use super::document::Fixed;
use super::schema;
use crate::trigger::Trigger;
use crate::urls::BASE;

/// Adds a function's path and schemas.
pub(super) fn add(document: &mut Fixed, function: &Function) {
    let path = match function.kind {
        FunctionKind::Orchestrator => "/api/orchestrators/{name}",
        FunctionKind::Activity => "/admin/functions/{name}",
        FunctionKind::Entity => return add_entity(document, function),
    };
    let Some(mut operation) = document.paths.get(path).and_then(|item| item.get("post")).cloned()
    else {
        return;
    };
    let mut known = |part, schema| component(document, function, part, schema);
    let input = known("input", function.input_schema.as_ref());
    let output = known("output", function.output_schema.as_ref());
    if let Some(operation) = operation.as_object_mut() {
        specialise(operation, function, input, output);
    }
    document.paths.insert(path.replace("{name}", &function.name), json!({ "post": operation }));
}

/// Gives a route of the manifest the schemas of the orchestrator that it starts:
/// those of the input where the body is the input as it is.
pub(super) fn give_to_route(document: &mut Fixed, trigger: &Trigger, function: &Function) {
    if function.kind != FunctionKind::Orchestrator {
        return;
    }
    let known = |part: &str| {
        let name = format!("{}.{part}", function.name);
        document.schemas.contains_key(&name).then(|| schema::of(&name))
    };
    let input = known("input").filter(|_| trigger.takes_body());
    let output = known("output");
    let method = trigger.method().to_ascii_lowercase();
    let route = document.paths.get_mut(trigger.path()).and_then(|item| item.get_mut(&method));
    let Some(route) = route.and_then(Value::as_object_mut) else { return };
    if let (Some(input), Some(body)) = (input, route.get_mut("requestBody")) {
        give_input(body, function, input);
    }
    // Only a route that waits answers with what came of it.
    let answer = route.get_mut("responses").and_then(|answers| answers.get_mut("200"));
    if let (Some(output), Some(answer)) = (output, answer) {
        answer["content"]["application/json"]["schema"] = output;
    }
}

fn give_input(body: &mut Value, function: &Function, input: Value) {
    body["content"]["application/json"]["schema"] = input;
    // No body counts as `null`.
    body["required"] = function.check_input(&Json::null()).is_err().into();
}

/// Makes a schema of the function's one of the document's, and refers to it.
fn component(
    document: &mut Fixed,
    function: &Function,
    part: &str,
    schema: Option<&Value>,
) -> Option<Value> {
    let name = format!("{}.{part}", function.name);
    document.schemas.insert(name.clone(), moved(schema?, &name));
    Some(schema::of(&name))
}

/// Adds an entity: its state, and what it can be told to do.
fn add_entity(document: &mut Fixed, function: &Function) {
    let path = format!("{BASE}/entities/{{name}}/{{key}}");
    let Some(mut item) = document.paths.get(&path).cloned() else { return };
    for method in ["get", "post"] {
        if let Some(operation) = item.get_mut(method).and_then(Value::as_object_mut) {
            name_it(operation, function, |parameter| parameter["name"] != "name");
        }
    }
    if let Some(state) = component(document, function, "state", function.state_schema.as_ref()) {
        item["get"]["responses"]["200"]["content"]["application/json"]["schema"] = state;
    }
    if !function.operations.is_empty() {
        let mut inputs: Vec<Value> = Vec::new();
        for (name, operation) in &function.operations {
            let part = format!("{name}.input");
            let input = component(document, function, &part, operation.input_schema.as_ref());
            // Where it takes none, it is given `null`.
            let input = input.unwrap_or_else(|| json!({ "type": "null" }));
            if !inputs.contains(&input) {
                inputs.push(input);
            }
        }
        let post = &mut item["post"];
        post["requestBody"]["content"]["application/json"]["schema"] = json!({ "anyOf": inputs });
        for parameter in post["parameters"].as_array_mut().into_iter().flatten() {
            if parameter["name"] == "op" {
                parameter["schema"] = schema::word(function.operations.keys().map(String::as_str));
                parameter["required"] = true.into();
            }
        }
    }
    document.paths.insert(path.replace("{name}", &function.name), item);
}

/// Makes the operation on any function of a kind that on this one, which leaves
/// it with these parameters.
fn name_it(operation: &mut Map<String, Value>, function: &Function, keep: impl Fn(&Value) -> bool) {
    if let Some(id) = operation.get("operationId").and_then(Value::as_str) {
        let id = format!("{id}.{}", function.name);
        operation.insert("operationId".to_owned(), id.into());
    }
    if let Some(description) = &function.description {
        operation.insert("description".to_owned(), description.as_str().into());
    }
    if let Some(Value::Array(parameters)) = operation.get_mut("parameters") {
        parameters.retain(keep);
        if parameters.is_empty() {
            operation.remove("parameters");
        }
    }
}

/// Makes the operation on any function of a kind that on this one, with what
/// it takes and gives.
fn specialise(
    operation: &mut Map<String, Value>,
    function: &Function,
    input: Option<Value>,
    output: Option<Value>,
) {
    name_it(operation, function, |parameter| parameter["in"] != "path");
    if let (Some(input), Some(body)) = (input, operation.get_mut("requestBody")) {
        give_input(body, function, input);
    }
    let Some(output) = output else { return };
    let answer = &mut operation["responses"]["200"]["content"]["application/json"]["schema"];
    *answer = match function.kind {
        FunctionKind::Orchestrator => json!({ "anyOf": [output, schema::of("Status")] }),
        _ => json!({ "allOf": [answer.take(), { "properties": { "output": output } }] }),
    };
}

/// A schema that was a document of its own, as one of the components: what it
/// refers to within itself is now further down.
fn moved(schema: &Value, name: &str) -> Value {
    let mut moved = schema.clone();
    // Where it says what it is called, its references are to that.
    if moved.get("$id").is_none() {
        refer(&mut moved, &format!("#/components/schemas/{name}"));
        if let Some(object) = moved.as_object_mut() {
            // The dialect of the whole document: what the host checks inputs by.
            object.remove("$schema");
        }
    }
    moved
}

fn refer(schema: &mut Value, place: &str) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(|item| refer(item, place)),
        Value::Object(object) => {
            for (key, value) in object {
                match (key.as_str(), value) {
                    ("$ref", Value::String(to)) => {
                        if let Some(rest) = to.strip_prefix('#')
                            && (rest.is_empty() || rest.starts_with('/'))
                        {
                            *to = format!("{place}{rest}");
                        }
                    }
                    // What stands there is data, and no schema.
                    ("const" | "enum" | "default" | "examples", _) => {}
                    (_, value) => refer(value, place),
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_go_along() {
        let schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$defs": { "Item": { "type": "object", "properties": { "next": { "$ref": "#/$defs/Item" } } } },
            "properties": {
                "item": { "$ref": "#/$defs/Item" },
                "self": { "$ref": "#" },
                "other": { "$ref": "#anchor" },
                "far": { "$ref": "https://example.org/x" },
            },
            "default": { "$ref": "#/$defs/Item" },
        });
        assert_eq!(
            moved(&schema, "A.input"),
            json!({
                "$defs": { "Item": { "type": "object", "properties": {
                    "next": { "$ref": "#/components/schemas/A.input/$defs/Item" } } } },
                "properties": {
                    "item": { "$ref": "#/components/schemas/A.input/$defs/Item" },
                    "self": { "$ref": "#/components/schemas/A.input" },
                    "other": { "$ref": "#anchor" },
                    "far": { "$ref": "https://example.org/x" },
                },
                "default": { "$ref": "#/$defs/Item" },
            })
        );
        let named = json!({ "$id": "urn:x", "$ref": "#/$defs/Item" });
        assert_eq!(moved(&named, "A.input"), named);
        assert_eq!(moved(&json!(true), "A.input"), true);
    }
}
