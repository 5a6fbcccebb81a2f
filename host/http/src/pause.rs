//! Suspending, resuming, rewinding and restarting instances.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use sagahost_core::Json;
use sagahost_engine::StartRequest;

use crate::app::{Params, Shared};
use crate::body;
use crate::error::{ApiError, empty};
use crate::query::Query;
use crate::start::check_status;

/// Reads what stands before the body, and the body, in which nothing counts:
/// one that is left unread would cost the client its connection.
async fn head(app: &Shared, request: Request) -> Result<axum::http::request::Parts, ApiError> {
    let (parts, body) = request.into_parts();
    body::read(body, app.body()).await?;
    Ok(parts)
}

pub(crate) async fn suspend(
    State(app): State<Shared>,
    Params(id): Params<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let parts = head(&app, request).await?;
    let query = Query::parse(parts.uri.query());
    app.engine.suspend(&id, query.get("reason").unwrap_or_default()).await?;
    Ok(empty(StatusCode::ACCEPTED))
}

pub(crate) async fn resume(
    State(app): State<Shared>,
    Params(id): Params<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let parts = head(&app, request).await?;
    let query = Query::parse(parts.uri.query());
    app.engine.resume(&id, query.get("reason").unwrap_or_default()).await?;
    Ok(empty(StatusCode::ACCEPTED))
}

pub(crate) async fn rewind(
    State(app): State<Shared>,
    Params(id): Params<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let parts = head(&app, request).await?;
    let query = Query::parse(parts.uri.query());
    app.engine.rewind(&id, query.get("reason").unwrap_or_default()).await?;
    Ok(empty(StatusCode::ACCEPTED))
}

/// Starts the same orchestrator with the same input, on what is deployed now.
/// An unknown instance is 400 here, as in the reference.
pub(crate) async fn restart(
    State(app): State<Shared>,
    Params(id): Params<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let parts = head(&app, request).await?;
    let query = Query::parse(parts.uri.query());
    let anew = query.flag("restartWithNewInstanceId", true)?;
    // An entity is kept as an instance is, and has no code that begins.
    let row = app.engine.status(&id).await?.filter(|row| !row.id.starts_with('@'));
    let Some(row) = row else {
        return Err(ApiError::bad_argument(format!(
            "There is no instance with id '{id}' that could be restarted."
        )));
    };
    let request = StartRequest {
        name: row.name,
        id: (!anew).then_some(id),
        input: row.input.unwrap_or_else(Json::null),
        version: None,
        trace_parent: None,
        deadline: None,
        tags: row.tags,
        start_at: None,
    };
    let id = app.engine.start_instance(request).await?;
    Ok(check_status(&app.origin(&parts), &id))
}
