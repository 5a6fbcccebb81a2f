//! Whether the host lives, and whether it can take work.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use crate::app::Shared;
use crate::error::json;

/// The process answers: that is all there is to say.
pub(crate) async fn alive() -> Response {
    json(StatusCode::OK, &json!({"status": "alive"}))
}

pub(crate) async fn ready(State(app): State<Shared>) -> Response {
    let engine = app.engine.clone();
    // It asks the disk, which may be what is not ready.
    let asked = tokio::task::spawn_blocking(move || engine.ready());
    let reason = match asked.await {
        Ok(Ok(())) => return json(StatusCode::OK, &json!({"status": "ready"})),
        Ok(Err(reason)) => reason,
        Err(_) => "the check itself failed".to_owned(),
    };
    json(StatusCode::SERVICE_UNAVAILABLE, &json!({"status": "not ready", "reason": reason}))
}
