//! A request that comes to a route of the manifest.

use std::sync::Arc;

use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use sagahost_core::{Json, RuntimeStatus};
use sagahost_engine::{FunctionKind, StartRequest};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::{IdFrom, Trigger, TriggerInput};
use crate::app::Shared;
use crate::error::{ApiError, json_text};
use crate::query::Query;
use crate::start::{check_status, launch, trace_parent};
use crate::{body, early};

/// The API key is not for the orchestrator, whose journal keeps what it gets.
fn is_key(parameter: &str) -> bool {
    parameter.eq_ignore_ascii_case("code")
}

pub(super) async fn start(
    app: Shared,
    trigger: Arc<Trigger>,
    path: Vec<(String, String)>,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let function = app.engine.runtime().function(&trigger.orchestrator);
    if function.is_none_or(|function| function.kind != FunctionKind::Orchestrator) {
        // Whoever asks cannot know what this route starts.
        let message =
            format!("The orchestrator '{}' is not deployed on this host.", trigger.orchestrator);
        return Err(ApiError::unavailable("NotDeployed", message));
    }
    early::admit(&app, &parts, &trigger.orchestrator).await?;
    let body = body::input(body::read(body, app.body()).await?)?;
    let id = trigger.id.as_ref().map(|from| id(from, &path, &parts, &body)).transpose()?;
    let input = match trigger.input {
        TriggerInput::Body => body,
        TriggerInput::Request => whole(&path, &Query::parse(parts.uri.query()), &body)?,
    };
    let request = StartRequest {
        name: trigger.orchestrator.clone(),
        id,
        input,
        version: None,
        trace_parent: trace_parent(&parts.headers),
        deadline: None,
        tags: Default::default(),
        start_at: None,
    };
    let (id, ended) = launch(&app, request, trigger.wait).await?;
    match ended {
        Some(ended) if ended.status == RuntimeStatus::Completed => Ok(match ended.output {
            Some(output) => json_text(StatusCode::OK, output.as_str().to_owned()),
            None => json_text(StatusCode::OK, "null"),
        }),
        _ => Ok(check_status(&app.origin(&parts), &id)),
    }
}

/// The id of the instance, as the request has it.
fn id(
    from: &IdFrom,
    path: &[(String, String)],
    parts: &Parts,
    body: &Json,
) -> Result<String, ApiError> {
    let missing = |place: String| {
        ApiError::bad_request(
            "InstanceIdMissing",
            format!("This route takes the id of the new instance from {place}, and there is none."),
        )
    };
    let found = match from {
        IdFrom::Path(name) => {
            let part = path.iter().find(|(known, _)| known == name);
            part.map(|(_, value)| value.clone()).ok_or_else(|| missing(format!("{{{name}}}")))?
        }
        IdFrom::Header(name) => {
            let value = parts.headers.get(name).and_then(|value| value.to_str().ok());
            let value = value.map(str::trim).filter(|value| !value.is_empty());
            value.map(str::to_owned).ok_or_else(|| missing(format!("the header {name}")))?
        }
        IdFrom::Body(pointer) => {
            let place =
                || missing(format!("its body, at {pointer}, as a string or a whole number"));
            let body: Value = serde_json::from_str(body.as_str()).map_err(|_| place())?;
            match body.pointer(pointer) {
                Some(Value::String(text)) if !text.is_empty() => text.clone(),
                Some(Value::Number(number)) if number.is_u64() || number.is_i64() => {
                    number.to_string()
                }
                _ => return Err(place()),
            }
        }
    };
    Ok(found)
}

/// `{"body": …, "path": {…}, "query": {…}}`. The body stays the text it is.
fn whole(path: &[(String, String)], query: &Query<'_>, body: &Json) -> Result<Json, ApiError> {
    #[derive(serde::Serialize)]
    struct Whole<'a> {
        body: &'a RawValue,
        path: Map<String, Value>,
        query: Map<String, Value>,
    }
    let text = |(name, value): (&str, &str)| (name.to_owned(), Value::from(value));
    let internal = |_| ApiError::internal();
    let body = RawValue::from_string(body.as_str().to_owned()).map_err(internal)?;
    let whole = Whole {
        body: &body,
        path: path.iter().map(|(name, value)| text((name, value))).collect(),
        query: query.pairs().filter(|(name, _)| !is_key(name)).map(text).collect(),
    };
    Json::of(&whole).map_err(internal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_request_has_the_body_as_it_came_and_no_key() {
        let path = [("orderId".to_owned(), "a b".to_owned())];
        let query = Query::parse(Some("x=1&Code=s3cr3t&y=%C3%A4"));
        let body = Json::parse("{\"b\": 1.0, \"a\":[ ]}".to_owned()).expect("JSON");
        let whole = whole(&path, &query, &body).expect("is put together");
        assert_eq!(
            whole.as_str(),
            r#"{"body":{"b": 1.0, "a":[ ]},"path":{"orderId":"a b"},"query":{"x":"1","y":"ä"}}"#
        );
    }

    #[test]
    fn an_id_is_found_where_it_is_said_to_be_or_said_to_be_missing() {
        let (parts, ()) = axum::http::Request::builder()
            .header("x-order", " o-1 ")
            .header("x-empty", "")
            .body(())
            .expect("a request")
            .into_parts();
        let path = [("orderId".to_owned(), "o-2".to_owned())];
        let body = r#"{"order": {"id": "o-3", "number": 4, "part": 1.5, "none": null}}"#;
        let body = Json::parse(body.to_owned()).expect("JSON");
        let id = |from: &str| {
            let from: IdFrom = from.parse().expect("a place");
            id(&from, &path, &parts, &body).map_err(|error| format!("{error:?}"))
        };
        assert_eq!(id("header:X-Order").as_deref(), Ok("o-1"));
        assert_eq!(id("path:orderId").as_deref(), Ok("o-2"));
        assert_eq!(id("body:/order/id").as_deref(), Ok("o-3"));
        assert_eq!(id("body:/order/number").as_deref(), Ok("4"));
        for nothing in [
            "header:x-empty",
            "header:x-other",
            "body:/order/part",
            "body:/order/none",
            "body:/id",
            "body:/order",
        ] {
            let said = id(nothing).expect_err("there is none");
            assert!(said.contains("InstanceIdMissing"), "{said}");
        }
    }
}
