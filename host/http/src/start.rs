//! Starting orchestrations.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use sagahost_core::{Json, RuntimeStatus, TraceContext};
use sagahost_engine::{Ended, StartRequest};

use crate::app::{Params, Phase, Shared};
use crate::error::{ApiError, json, json_text};
use crate::query::Query;
use crate::urls::{CheckStatus, instance_url, is_managed};
use crate::{body, early, instances};

/// How long a client should wait before it asks for the status.
const RETRY_AFTER_SECONDS: &str = "10";

pub(crate) async fn start(
    State(app): State<Shared>,
    Params(name): Params<String>,
    request: Request,
) -> Result<Response, ApiError> {
    begin(app, name, None, request).await
}

pub(crate) async fn start_with_id(
    State(app): State<Shared>,
    Params((name, id)): Params<(String, String)>,
    request: Request,
) -> Result<Response, ApiError> {
    begin(app, name, Some(id), request).await
}

async fn begin(
    app: Shared,
    name: String,
    id: Option<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    early::admit(&app, &parts, &name).await?;
    let input = body::input(body::read(body, app.body()).await?)?;
    let input = if is_managed(parts.uri.path()) {
        let function = app.engine.runtime().function(&name);
        // Where there is no such function the start says so.
        let fits = |input: &Json| {
            function.as_ref().is_none_or(|function| function.check_input(input).is_ok())
        };
        body::meant_input(&parts.headers, input, fits)
    } else {
        input
    };
    let query = Query::parse(parts.uri.query());
    let request = StartRequest {
        name,
        id,
        input,
        version: query.get("version").filter(|v| !v.is_empty()).map(str::to_owned),
        trace_parent: trace_parent(&parts.headers),
        deadline: query.positive_seconds("deadline")?,
        tags: query.tags()?.into_iter().collect(),
        start_at: query.time("startAt")?,
    };
    let origin = app.origin(&parts);
    // Both, as in the reference, although nothing here polls.
    let (timeout, polling) = (query.seconds("timeout")?, query.seconds("pollingInterval")?);
    let wait = polling.and(timeout);
    let (id, ended) = launch(&app, request, wait).await?;
    if wait.is_none() {
        return Ok(check_status(&origin, &id));
    }
    match ended {
        None => Ok(check_status(&origin, &id)),
        Some(ended) if ended.status == RuntimeStatus::Completed => Ok(match ended.output {
            Some(output) => json_text(StatusCode::OK, output.as_str().to_owned()),
            None => json_text(StatusCode::OK, "null"),
        }),
        Some(_) => instances::status_of(&app, &origin, &id, parts.uri.query()).await,
    }
}

/// Starts an orchestration, and waits for its end so long, where it is to be
/// waited for. Says its id, and how it ended if it did.
pub(crate) async fn launch(
    app: &Shared,
    request: StartRequest,
    wait: Option<Duration>,
) -> Result<(String, Option<Ended>), ApiError> {
    let Some(longest) = wait else {
        return Ok((app.engine.start_instance(request).await?, None));
    };
    // Made here, so that it is known also when the wait is cut short.
    let id = request.id.clone().unwrap_or_else(|| uuid::Uuid::now_v7().simple().to_string());
    let request = StartRequest { id: Some(id.clone()), ..request };
    let ended = tokio::select! {
        outcome = app.engine.start_and_wait(request, longest) => outcome?.1,
        () = app.reached(Phase::Draining) => {
            // Where it is there, its start is durable after this; else there is
            // none.
            let _ = app.engine.settle(&id).await;
            if app.engine.status(&id).await?.is_none() {
                return Err(ApiError::unavailable(
                    "ShuttingDown",
                    "The host is shutting down; the orchestration was not started.",
                ));
            }
            None
        }
    };
    Ok((id, ended))
}

/// 202, and where to go from there.
pub(crate) fn check_status(origin: &str, id: &str) -> Response {
    let url = instance_url(origin, id);
    let mut response = json(StatusCode::ACCEPTED, &CheckStatus::new(id, &url));
    let headers = response.headers_mut();
    // The URL has only visible characters: its parts are checked or encoded.
    if let Ok(url) = HeaderValue::try_from(url) {
        headers.insert(header::LOCATION, url);
    }
    headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
    response
}

/// The trace the start belongs to. One that is not as W3C Trace Context wants
/// it is ignored, as that asks for.
pub(crate) fn trace_parent(headers: &HeaderMap) -> Option<String> {
    let text = headers.get("traceparent")?.to_str().ok()?;
    TraceContext::parse(text).map(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_good_trace_context_is_taken() {
        let taken = |text: &'static str| {
            let headers = HeaderMap::from_iter([(
                axum::http::HeaderName::from_static("traceparent"),
                HeaderValue::from_static(text),
            )]);
            trace_parent(&headers).is_some()
        };
        assert!(taken("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
        for bad in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        ] {
            assert!(!taken(bad), "{bad}");
        }
        assert_eq!(trace_parent(&HeaderMap::new()), None);
    }

    #[test]
    fn a_start_says_where_to_go_from_there() {
        let response = check_status("http://h:1", "a b");
        assert_eq!(response.status(), 202);
        assert_eq!(response.headers()["retry-after"], "10");
        assert_eq!(
            response.headers()["location"],
            "http://h:1/runtime/webhooks/durabletask/instances/a%20b"
        );
    }
}
