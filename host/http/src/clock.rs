//! The emulator's clock.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use sagahost_engine::{SkipError, Waiting};
use serde::Serialize;

use crate::app::Shared;
use crate::error::{ApiError, json, sentence};
use crate::query::Query;
use crate::time::to_ticks;

/// A clock that has gone further ahead never comes back.
const LONGEST: Duration = Duration::from_secs(36_525 * 86_400);

/// How the clock was skipped.
#[derive(Serialize)]
struct Answer<'a> {
    from: String,
    now: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<To<'a>>,
}

/// What it was skipped to.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct To<'a> {
    what: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance_id: Option<&'a str>,
    name: &'a str,
}

/// To the next time that something waits for, or ahead by some seconds.
pub(crate) async fn skip(
    State(app): State<Shared>,
    request: Request,
) -> Result<Response, ApiError> {
    let by = Query::parse(request.uri().query()).positive_seconds("by")?;
    if by.is_some_and(|by| by > LONGEST) {
        return Err(ApiError::bad_argument(
            "'by' is a number of seconds, and the clock is skipped by 100 years at most.",
        ));
    }
    let skipped = match by {
        Some(by) => app.engine.skip_by(by).await?,
        None => app.engine.skip_to_next().await?,
    };
    let to = skipped.to.as_ref().map(|waiting| match waiting {
        Waiting::Instance { id, name, what } => To { what, instance_id: Some(id), name },
        Waiting::Schedule { name } => To { what: "schedule", instance_id: None, name },
    });
    let answer = Answer { from: to_ticks(skipped.from), now: to_ticks(skipped.now), to };
    Ok(json(StatusCode::OK, &answer))
}

impl From<SkipError> for ApiError {
    fn from(error: SkipError) -> Self {
        let message = sentence(&error);
        match error {
            SkipError::Real => Self::new(StatusCode::CONFLICT, "ClockIsReal", message),
            SkipError::Nothing => Self::new(StatusCode::NOT_FOUND, "NothingWaits", message),
            SkipError::Command(error) => error.into(),
        }
    }
}
