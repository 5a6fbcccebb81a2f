//! Reading what `describe` returned.

use std::collections::BTreeMap;

use jsonschema::Validator;
use sagahost_core::RetryPolicy;
use serde_json::{Map, Value};

use crate::error::Refusal;
use crate::function::{Function, FunctionKind, Operation};

/// The longest name of an operation, in characters.
const MAX_OPERATION: usize = 128;

/// The functions of a component, from its description.
pub(crate) fn parse(text: &str, component: &str, digest: &str) -> Result<Vec<Function>, Refusal> {
    let wrong =
        |place: &str, reason: String| Refusal::Description { place: place.to_owned(), reason };
    let description: Value = serde_json::from_str(text)
        .map_err(|error| wrong("the top", format!("it is not JSON: {error}")))?;
    let functions = description.get("functions").and_then(Value::as_array).ok_or_else(|| {
        wrong("the top", "it must be an object with a list `functions`".to_owned())
    })?;
    if functions.is_empty() {
        return Err(wrong(
            "functions",
            "the list is empty: the component has nothing to run".to_owned(),
        ));
    }
    let mut parsed: Vec<Function> = Vec::with_capacity(functions.len());
    for (index, entry) in functions.iter().enumerate() {
        let place = format!("functions[{index}]");
        let function = function(entry, component, digest)
            .map_err(|(key, reason)| wrong(&format!("{place}{key}"), reason))?;
        if parsed.iter().any(|other| other.name == function.name) {
            return Err(wrong(
                &place,
                format!("there are two functions named `{}`: rename one", function.name),
            ));
        }
        parsed.push(function);
    }
    for (index, function) in parsed.iter().enumerate() {
        for (key, named) in [("undo", &function.undo), ("undoes", &function.undoes)] {
            let found = parsed.iter().find(|other| Some(&other.name) == named.as_ref());
            if let Some(found) = found
                && found.kind != FunctionKind::Activity
            {
                return Err(wrong(
                    &format!("functions[{index}].{key}"),
                    format!("`{}` is an {}, and it must be an activity", found.name, found.kind),
                ));
            }
        }
    }
    Ok(parsed)
}

/// The key, below the function, and what is wrong with it.
type Wrong = (String, String);

/// What is wrong at this key.
fn at(key: impl Into<String>) -> impl FnOnce(String) -> Wrong {
    let key = key.into();
    move |reason| (key, reason)
}

fn function(entry: &Value, component: &str, digest: &str) -> Result<Function, Wrong> {
    let Value::Object(entry) = entry else {
        return Err(at("")("a function is described by an object".to_owned()));
    };
    let name = text(entry, "name")
        .map_err(at(".name"))?
        .ok_or_else(|| at(".name")("it is missing; every function has a name".to_owned()))?;
    if !is_name(&name) {
        return Err(at(".name")(no_name(&name)));
    }
    let kind = kind(entry).map_err(at(".kind"))?;
    let entity = kind == FunctionKind::Entity;
    for key in ["input", "output"] {
        if entity && present(entry, key).is_some() {
            let reason = format!("an entity has no `{key}`: give that of each of its `operations`");
            return Err(at(format!(".{key}"))(reason));
        }
    }
    let (input_schema, input) = schema(entry, "input").map_err(at(".input"))?;
    let retry = present(entry, "retry").map(retry).transpose();
    let timeout_ms = present(entry, "timeoutMs").map(|value| {
        let given = value.as_u64().filter(|millis| *millis > 0);
        given.ok_or_else(|| format!("{value} is not a number of milliseconds above 0"))
    });
    let undo = activity(entry, kind, "undo").map_err(at(".undo"))?;
    let undoes = activity(entry, kind, "undoes").map_err(at(".undoes"))?;
    // What only an entity has is unknown, and ignored, where there is none.
    let (operations, state_schema) = match entity {
        true => (operations(entry)?, schema(entry, "state").map_err(at(".state"))?.0),
        false => Default::default(),
    };
    Ok(Function {
        name,
        kind,
        description: text(entry, "description").map_err(at(".description"))?,
        output_schema: present(entry, "output").cloned(),
        input_schema,
        operations,
        state_schema,
        retry: retry.map_err(at(".retry"))?,
        timeout_ms: timeout_ms.transpose().map_err(at(".timeoutMs"))?,
        undo,
        undoes,
        component: component.to_owned(),
        digest: digest.to_owned(),
        input,
    })
}

fn kind(entry: &Map<String, Value>) -> Result<FunctionKind, String> {
    match text(entry, "kind")?.as_deref() {
        Some("activity") => Ok(FunctionKind::Activity),
        Some("orchestrator") => Ok(FunctionKind::Orchestrator),
        Some("entity") => Ok(FunctionKind::Entity),
        Some(other) => {
            Err(format!("{other:?} is not a kind: `activity`, `orchestrator` and `entity` are"))
        }
        None => Err("it is missing: `activity`, `orchestrator` or `entity`".to_owned()),
    }
}

/// What an entity can do.
fn operations(entry: &Map<String, Value>) -> Result<BTreeMap<String, Operation>, Wrong> {
    let place = ".operations";
    let operations = match present(entry, "operations") {
        None => return Ok(BTreeMap::new()),
        Some(Value::Object(operations)) if !operations.is_empty() => operations,
        Some(Value::Object(_)) => {
            let reason = "it is empty: name what the entity can do, or leave the key out if it \
                          takes every operation";
            return Err(at(place)(reason.to_owned()));
        }
        Some(_) => {
            let reason = "it must be an object that has an object for the name of each operation";
            return Err(at(place)(reason.to_owned()));
        }
    };
    let mut parsed = BTreeMap::new();
    for (name, operation) in operations {
        if !(1..=MAX_OPERATION).contains(&name.chars().count())
            || name.chars().any(char::is_control)
        {
            let reason = format!(
                "{name:?} cannot be the name of an operation: use 1 to {MAX_OPERATION} \
                 characters, none of them a control character"
            );
            return Err(at(place)(reason));
        }
        let place = format!("{place}.{name}");
        let Value::Object(operation) = operation else {
            return Err(at(place)("an operation is described by an object".to_owned()));
        };
        let within = |key: &str| at(format!("{place}.{key}"));
        let (input_schema, input) = schema(operation, "input").map_err(within("input"))?;
        let described = Operation {
            description: text(operation, "description").map_err(within("description"))?,
            output_schema: schema(operation, "output").map_err(within("output"))?.0,
            input_schema,
            input,
        };
        parsed.insert(name.clone(), described);
    }
    Ok(parsed)
}

/// A JSON schema, if there is one, and what checks values against it.
fn schema(
    entry: &Map<String, Value>,
    key: &str,
) -> Result<(Option<Value>, Option<Validator>), String> {
    let schema = present(entry, key).cloned();
    let validator = schema.as_ref().map(jsonschema::validator_for).transpose();
    let validator = validator.map_err(|error| format!("it is not a JSON schema: {error}"))?;
    Ok((schema, validator))
}

/// The name of another activity, which only an activity has.
fn activity(
    entry: &Map<String, Value>,
    kind: FunctionKind,
    key: &str,
) -> Result<Option<String>, String> {
    let Some(name) = text(entry, key)? else {
        return Ok(None);
    };
    let instead = match kind {
        FunctionKind::Activity if is_name(&name) => return Ok(Some(name)),
        FunctionKind::Activity => return Err(no_name(&name)),
        FunctionKind::Orchestrator => {
            "what an orchestrator has called is undone step by step, or by what its caller says"
        }
        FunctionKind::Entity => "what an operation did is undone by calling another one",
    };
    Err(format!("an {kind} has no `{key}`, only an activity does: {instead}"))
}

fn retry(value: &Value) -> Result<RetryPolicy, String> {
    let policy: RetryPolicy =
        serde_json::from_value(value.clone()).map_err(|error| error.to_string())?;
    if !(1.0..=1000.0).contains(&policy.backoff) {
        return Err(format!("backoff is {}, and must be 1.0 to 1000.0", policy.backoff));
    }
    if !(0.0..=1.0).contains(&policy.jitter) {
        return Err(format!("jitter is {}, and must be 0.0 to 1.0", policy.jitter));
    }
    Ok(policy)
}

/// A key that is there, and is not null.
fn present<'a>(entry: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    entry.get(key).filter(|value| !value.is_null())
}

fn text(entry: &Map<String, Value>, key: &str) -> Result<Option<String>, String> {
    match present(entry, key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(other) => Err(format!("{other} is not a string")),
    }
}

fn no_name(text: &str) -> String {
    format!(
        "{text:?} cannot be a name: use 1 to 128 letters, digits, '-', '_' and '.', beginning \
         with a letter or a digit"
    )
}

/// Names stand in URLs, in file names, in logs.
pub(crate) fn is_name(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

#[cfg(test)]
mod tests {
    use sagahost_core::Json;

    use super::*;

    fn refusal(text: &str) -> String {
        parse(text, "c", "d").expect_err(text).to_string()
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        for (text, words) in [
            ("nonsense", "is not JSON"),
            ("[]", "`functions`"),
            (r#"{"functions": []}"#, "nothing to run"),
            (r#"{"functions": [{"kind": "activity"}]}"#, "functions[0].name"),
            (r#"{"functions": [{"name": "A"}]}"#, "functions[0].kind"),
            (r#"{"functions": [{"name": "A", "kind": "thing"}]}"#, "\"thing\" is not a kind"),
            (r#"{"functions": [{"name": "a/b", "kind": "activity"}]}"#, "\"a/b\" cannot be a name"),
            (
                r#"{"functions": [{"name": "host:http", "kind": "activity"}]}"#,
                "\"host:http\" cannot be a name",
            ),
            (
                r#"{"functions": [{"name": "A", "kind": "activity", "input": {"type": 7}}]}"#,
                "functions[0].input",
            ),
            (
                r#"{"functions": [{"name": "A", "kind": "activity", "retry": {"backoff": 0}}]}"#,
                "functions[0].retry",
            ),
            (
                r#"{"functions": [{"name": "A", "kind": "activity", "timeoutMs": -5}]}"#,
                "functions[0].timeoutMs",
            ),
            (
                r#"{"functions": [{"name": "A", "kind": "activity"}, {"name": "A", "kind": "orchestrator"}]}"#,
                "two functions named `A`",
            ),
            (
                r#"{"functions": [{"name": "A", "kind": "activity", "undo": 5}]}"#,
                "functions[0].undo: 5 is not a string",
            ),
            (
                r#"{"functions": [{"name": "A", "kind": "activity", "undo": "a/b"}]}"#,
                "functions[0].undo: \"a/b\" cannot be a name",
            ),
            (
                r#"{"functions": [{"name": "A", "kind": "activity", "undoes": ""}]}"#,
                "functions[0].undoes: \"\" cannot be a name",
            ),
            (
                r#"{"functions": [{"name": "A", "kind": "orchestrator", "undo": "B"}]}"#,
                "functions[0].undo: an orchestrator has no `undo`",
            ),
            (
                r#"{"functions": [{"name": "A", "kind": "orchestrator", "undoes": "B"}]}"#,
                "functions[0].undoes: an orchestrator has no `undoes`",
            ),
            (
                r#"{"functions": [{"name": "O", "kind": "orchestrator"}, {"name": "A", "kind": "activity", "undo": "O"}]}"#,
                "functions[1].undo: `O` is an orchestrator",
            ),
            (
                r#"{"functions": [{"name": "E", "kind": "entity"}, {"name": "A", "kind": "activity", "undo": "E"}]}"#,
                "functions[1].undo: `E` is an entity",
            ),
        ] {
            let refusal = refusal(text);
            assert!(refusal.contains(words), "{text}: {refusal}");
        }
    }

    #[test]
    fn what_is_wrong_with_an_entity_is_named() {
        for (keys, words) in [
            (r#""undo": "B""#, "functions[0].undo: an entity has no `undo`"),
            (r#""undoes": "B""#, "functions[0].undoes: an entity has no `undoes`"),
            (r#""input": {}"#, "functions[0].input: an entity has no `input`: give that of each"),
            (r#""output": {}"#, "functions[0].output: an entity has no `output`"),
            (r#""state": {"type": 7}"#, "functions[0].state: it is not a JSON schema"),
            (r#""operations": ["add"]"#, "functions[0].operations: it must be an object"),
            (r#""operations": {}"#, "functions[0].operations: it is empty"),
            (r#""operations": {"": {}}"#, "functions[0].operations: \"\" cannot be the name"),
            (r#""operations": {"a\nb": {}}"#, "\"a\\nb\" cannot be the name"),
            (r#""operations": {"add": 5}"#, "functions[0].operations.add: an operation is"),
            (
                r#""operations": {"add": {"description": 5}}"#,
                "functions[0].operations.add.description: 5 is not a string",
            ),
            (
                r#""operations": {"add": {"input": {"type": 7}}}"#,
                "functions[0].operations.add.input: it is not a JSON schema",
            ),
            (
                r#""operations": {"add": {"output": 5}}"#,
                "functions[0].operations.add.output: it is not a JSON schema",
            ),
            (r#""timeoutMs": 0"#, "functions[0].timeoutMs"),
        ] {
            let text = format!(r#"{{"functions": [{{"name": "E", "kind": "entity", {keys}}}]}}"#);
            let refusal = refusal(&text);
            assert!(refusal.contains(words), "{text}: {refusal}");
        }
    }

    #[test]
    fn an_entity_says_what_it_can_do() {
        let functions = parse(
            r#"{"functions": [
                {"name": "Counter", "kind": "entity", "description": "Counts.", "later": 1,
                 "operations": {
                    "add": {"description": "Adds.", "input": {"type": "integer"},
                            "output": {"type": "integer"}, "later": 1},
                    "get": {"input": null}},
                 "state": {"type": "integer"}, "retry": {"maxAttempts": 2}, "timeoutMs": 500},
                {"name": "Open", "kind": "entity", "operations": null},
                {"name": "A", "kind": "activity", "operations": 5, "state": 5}]}"#,
            "c",
            "d",
        )
        .expect("this description is right");
        let (counter, open) = (&functions[0], &functions[1]);
        assert_eq!((counter.kind, counter.timeout_ms), (FunctionKind::Entity, Some(500)));
        assert_eq!(counter.retry.as_ref().map(|retry| retry.max_attempts), Some(2));
        let number = Json::parse("1").expect("JSON");
        assert_eq!(counter.check_operation("add", &number), Ok(()));
        assert_eq!(counter.check_operation("get", &number), Ok(()));
        assert_eq!(open.check_operation("whatever", &number), Ok(()));
        let error = counter.check_operation("take", &number).expect_err("there is none");
        assert_eq!(error.to_string(), "the entity has no such operation; it has: add, get");
        let error = counter.check_operation("add", &Json::null()).expect_err("not a number");
        assert_eq!(error.to_string(), r#"null is not of type "integer""#);
        let shown = serde_json::to_value(counter).expect("JSON");
        assert_eq!(shown["kind"], "entity");
        assert_eq!(shown["stateSchema"]["type"], "integer");
        assert_eq!(shown["operations"]["add"]["inputSchema"]["type"], "integer");
        assert_eq!(shown["operations"]["add"]["description"], "Adds.");
        assert_eq!(shown["operations"]["get"], serde_json::json!({}));
        let shown = serde_json::to_value(&functions[2]).expect("JSON");
        assert!(shown.get("operations").is_none() && shown.get("stateSchema").is_none());
    }

    #[test]
    fn undos_are_named() {
        let functions = parse(
            r#"{"functions": [
                {"name": "A", "kind": "activity", "undo": "U", "undoes": null},
                {"name": "U", "kind": "activity", "undo": null, "undoes": "A"},
                {"name": "Far", "kind": "activity", "undo": "InAnotherComponent"},
                {"name": "O", "kind": "orchestrator", "undo": null, "timeoutMs": 5}]}"#,
            "c",
            "d",
        )
        .expect("this description is right");
        let named: Vec<_> = functions
            .iter()
            .map(|function| (function.undo.as_deref(), function.undoes.as_deref()))
            .collect();
        let far = (Some("InAnotherComponent"), None);
        assert_eq!(named, [(Some("U"), None), (None, Some("A")), far, (None, None)]);
        assert_eq!(functions[3].timeout_ms, Some(5));
        let shown = serde_json::to_value(&functions[1]).expect("JSON");
        assert_eq!(shown["undoes"], "A");
        assert!(shown.get("undo").is_none());
    }

    #[test]
    fn unknown_keys_are_ignored_and_inputs_are_checked() {
        let functions = parse(
            r#"{"later": 1, "functions": [{"name": "A", "kind": "activity", "later": {},
                "input": {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}},
                "retry": {"maxAttempts": 3, "totalTimeMs": null}}]}"#,
            "c",
            "d",
        )
        .expect("this description is right");
        let function = &functions[0];
        assert_eq!(function.retry.as_ref().map(|retry| retry.max_attempts), Some(3));
        let check = |text: &str| function.check_input(&Json::parse(text).expect("JSON"));
        assert_eq!(check(r#"{"id": "1"}"#), Ok(()));
        let error = check(r#"{"id": 5}"#).expect_err("5 is not a string");
        assert!(error.contains("/id") && error.contains("string"), "{error}");
        let error = check("{}").expect_err("id is required");
        assert!(error.contains("id"), "{error}");
    }
}
