//! Whether there is room for a start, and those who ask again too early.
//!
//! A refusal says when to come again. Who comes back on the same connection
//! before that, while there is still no room, is answered only when the time
//! has come, and let in if there is room by then: so thousands who do not wait
//! as they are told take little from what was accepted.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::request::Parts;
use sagahost_engine::StartError;
use tokio::time::Instant;

use crate::app::{Phase, Shared};
use crate::error::ApiError;

/// The longest that one waits who came too early. Where a refusal said more,
/// it was about one function only.
const LONGEST: Duration = Duration::from_secs(1);

/// Until when a connection was told to wait with its next start.
#[derive(Clone, Default)]
pub(crate) struct Told(Arc<Mutex<Option<Instant>>>);

impl Told {
    fn until(&self) -> Option<Instant> {
        let until = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        until.filter(|until| *until > Instant::now())
    }

    fn tell(&self, wait: Duration) {
        let until = Instant::now() + wait.min(LONGEST);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
    }
}

/// Says whether this request may start that orchestration; maybe later, if it
/// came too early.
pub(crate) async fn admit(app: &Shared, parts: &Parts, orchestrator: &str) -> Result<(), ApiError> {
    let told = parts.extensions.get::<Told>();
    if let Some(until) = told.and_then(Told::until)
        && !app.engine.has_room(orchestrator)
    {
        tokio::select! {
            () = tokio::time::sleep_until(until) => {}
            () = app.reached(Phase::Draining) => {}
        }
    }
    app.engine.admit(orchestrator).map_err(|refused| {
        if let (Some(told), StartError::Overloaded { retry_after, .. }) = (told, &refused) {
            told.tell(*retry_after);
        }
        refused.into()
    })
}
