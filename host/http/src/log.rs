//! What is logged: how much, changed while the host runs.

use std::fmt;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};

use crate::app::Shared;
use crate::body;
use crate::error::{ApiError, json};

/// The log of the program that the server is in.
pub trait LogLevels: fmt::Debug + Send + Sync {
    /// What is logged now, as `--log` has it.
    fn get(&self) -> String;

    /// Logs this from now on.
    ///
    /// # Errors
    /// Why that cannot be read.
    fn set(&self, level: &str) -> Result<(), String>;
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Levels {
    level: String,
}

fn levels(app: &Shared) -> Result<&dyn LogLevels, ApiError> {
    app.config.log.as_deref().ok_or_else(|| {
        ApiError::new(
            StatusCode::CONFLICT,
            "NoLevels",
            "The log of this host is not its own; its levels cannot be changed here.",
        )
    })
}

pub(crate) async fn get(State(app): State<Shared>) -> Result<Response, ApiError> {
    Ok(json(StatusCode::OK, &Levels { level: levels(&app)?.get() }))
}

pub(crate) async fn set(State(app): State<Shared>, request: Request) -> Result<Response, ApiError> {
    let bytes = body::read(request.into_body(), app.body()).await?;
    let log = levels(&app)?;
    let asked: Levels = serde_json::from_slice(&bytes).map_err(|error| {
        ApiError::bad_argument(format!(
            "The body is to be {{\"level\": \"info,guest=debug\"}}: {error}."
        ))
    })?;
    let before = log.get();
    log.set(&asked.level).map_err(|problem| {
        ApiError::bad_argument(format!("'level' cannot be {:?}: {problem}.", asked.level))
    })?;
    let level = log.get();
    tracing::info!(before, level, "what is logged was changed");
    Ok(json(StatusCode::OK, &Levels { level }))
}
