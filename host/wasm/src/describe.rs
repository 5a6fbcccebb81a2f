//! Reading what `describe` returned.

use sagahost_core::RetryPolicy;
use serde_json::{Map, Value};

use crate::error::Refusal;
use crate::function::{Function, FunctionKind};

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
                    format!("`{}` is an orchestrator, and it must be an activity", found.name),
                ));
            }
        }
    }
    Ok(parsed)
}

type Wrong = (&'static str, String);

fn function(entry: &Value, component: &str, digest: &str) -> Result<Function, Wrong> {
    let Value::Object(entry) = entry else {
        return Err(("", "a function is described by an object".to_owned()));
    };
    let name = text(entry, "name")
        .map_err(|reason| (".name", reason))?
        .ok_or_else(|| (".name", "it is missing; every function has a name".to_owned()))?;
    if !is_name(&name) {
        return Err((".name", no_name(&name)));
    }
    let kind = match text(entry, "kind").map_err(|reason| (".kind", reason))?.as_deref() {
        Some("activity") => FunctionKind::Activity,
        Some("orchestrator") => FunctionKind::Orchestrator,
        Some(other) => {
            let reason = format!("{other:?} is not a kind: `activity` and `orchestrator` are");
            return Err((".kind", reason));
        }
        None => {
            let reason = "it is missing: `activity` or `orchestrator`".to_owned();
            return Err((".kind", reason));
        }
    };
    let input_schema = present(entry, "input").cloned();
    let input = input_schema
        .as_ref()
        .map(jsonschema::validator_for)
        .transpose()
        .map_err(|error| (".input", format!("it is not a JSON schema: {error}")))?;
    let retry = present(entry, "retry").map(retry).transpose();
    let timeout_ms = present(entry, "timeoutMs").map(|value| {
        let given = value.as_u64().filter(|millis| *millis > 0);
        given.ok_or_else(|| format!("{value} is not a number of milliseconds above 0"))
    });
    let undo = activity(entry, kind, "undo").map_err(|reason| (".undo", reason))?;
    let undoes = activity(entry, kind, "undoes").map_err(|reason| (".undoes", reason))?;
    Ok(Function {
        name,
        kind,
        description: text(entry, "description").map_err(|reason| (".description", reason))?,
        output_schema: present(entry, "output").cloned(),
        input_schema,
        retry: retry.map_err(|reason| (".retry", reason))?,
        timeout_ms: timeout_ms.transpose().map_err(|reason| (".timeoutMs", reason))?,
        undo,
        undoes,
        component: component.to_owned(),
        digest: digest.to_owned(),
        input,
    })
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
    if kind != FunctionKind::Activity {
        return Err(format!(
            "an orchestrator has no `{key}`, only an activity does: what an orchestrator has \
             called is undone step by step, or by what its caller says"
        ));
    }
    match is_name(&name) {
        true => Ok(Some(name)),
        false => Err(no_name(&name)),
    }
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
            (r#"{"functions": [{"name": "A", "kind": "entity"}]}"#, "\"entity\" is not a kind"),
            (r#"{"functions": [{"name": "a/b", "kind": "activity"}]}"#, "\"a/b\" cannot be a name"),
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
        ] {
            let refusal = refusal(text);
            assert!(refusal.contains(words), "{text}: {refusal}");
        }
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
