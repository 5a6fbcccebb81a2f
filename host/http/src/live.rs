//! All instances as one stream of server-sent events: what changes, as it
//! changes.

mod hub;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use sagahost_core::RuntimeStatus;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::app::{Phase, Shared};
use crate::error::ApiError;
use crate::events;
use crate::query::Query;

pub(crate) use self::hub::Hub;
use self::hub::{Entry, Found};

/// How often a silent stream says that it is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

pub(crate) async fn follow(
    State(app): State<Shared>,
    request: Request,
) -> Result<Response, ApiError> {
    let filter = Filter::of(&Query::parse(request.uri().query()))?;
    let seen = request.headers().get("last-event-id").and_then(|value| value.to_str().ok());
    let follower = Follower::new(app.live.clone(), filter, seen.map(str::trim));
    let chunks = futures_util::stream::unfold((follower, app), async |(mut follower, app)| {
        let chunk = tokio::select! {
            chunk = follower.chunk() => chunk,
            () = app.reached(Phase::Draining) => return None,
        };
        Some((Ok::<_, Infallible>(chunk), (follower, app)))
    });
    Ok(events::response(Body::from_stream(chunks)))
}

/// Which changes a follower wants. What is empty is no condition.
#[derive(Debug, Default)]
struct Filter {
    name: Option<String>,
    prefix: String,
    statuses: Vec<RuntimeStatus>,
}

impl Filter {
    fn of(query: &Query<'_>) -> Result<Self, ApiError> {
        let text = |name| query.get(name).filter(|value| !value.is_empty()).map(str::to_owned);
        Ok(Filter {
            name: text("name"),
            prefix: text("idPrefix").unwrap_or_default(),
            statuses: query.statuses_in("status")?,
        })
    }

    fn is_empty(&self) -> bool {
        self.name.is_none() && self.prefix.is_empty() && self.statuses.is_empty()
    }

    fn wants(&self, entry: &Entry) -> bool {
        self.name.as_deref().is_none_or(|name| *entry.name == *name)
            && entry.id.starts_with(&self.prefix)
            && (self.statuses.is_empty() || self.statuses.contains(&entry.status))
    }
}

/// One reader. It is asked for the next chunk only when its connection takes
/// one.
struct Follower {
    hub: Arc<Hub>,
    filter: Filter,
    closed: watch::Receiver<u64>,
    /// The number of the change that it is to see next.
    next: u64,
    /// Whether it has missed something, and is not told yet.
    missed: bool,
    /// Whether it is still to be told where it begins.
    begins: bool,
}

impl Follower {
    fn new(hub: Arc<Hub>, filter: Filter, seen: Option<&str>) -> Self {
        let closed = hub.watch();
        let (next, missed) = hub.enter(seen);
        Follower { hub, filter, closed, next, missed, begins: true }
    }

    /// What is to be sent next; waits until there is something.
    async fn chunk(&mut self) -> Bytes {
        let keep_alive = Instant::now() + KEEP_ALIVE;
        loop {
            if let Some(chunk) = self.ready() {
                return chunk;
            }
            tokio::select! {
                // The hub, which has the sender, is held by this one.
                _ = self.closed.changed() => {}
                () = tokio::time::sleep_until(keep_alive) => {
                    // With its place: where nothing is for it, it would fall
                    // behind without a reason.
                    let id = self.hub.id_before(self.next);
                    return format!("id: {id}\n: still here\n\n").into();
                }
            }
        }
    }

    /// What is there to be sent.
    fn ready(&mut self) -> Option<Bytes> {
        if std::mem::take(&mut self.begins) && !self.missed {
            // A reader that loses its connection before anything happens can
            // go on from here.
            let id = self.hub.id_before(self.next);
            return Some(format!("retry: 1000\nid: {id}\n: from here\n\n").into());
        }
        self.closed.mark_unchanged();
        while !std::mem::take(&mut self.missed) {
            match self.hub.at(self.next) {
                Found::Nothing => return None,
                Found::Gone(next) => (self.next, self.missed) = (next, true),
                Found::Batch(batch) => {
                    let wants = |entry: &Entry| self.filter.wants(entry);
                    let filter: Option<&dyn Fn(&Entry) -> bool> =
                        if self.filter.is_empty() { None } else { Some(&wants) };
                    let text = batch.text(self.next, filter);
                    self.next = batch.next();
                    if !text.is_empty() {
                        return Some(text);
                    }
                }
            }
        }
        let id = self.hub.id_before(self.next);
        Some(format!("retry: 1000\nid: {id}\nevent: reset\ndata: {{}}\n\n").into())
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.hub.leave();
    }
}
