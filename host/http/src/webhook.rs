//! Telling somebody that a saga is stuck: a POST to a URL that the operator
//! named.
//!
//! At least once: what is not answered with 2xx is sent again, after growing
//! pauses, for a day; and what was not delivered when the host ends is told
//! again by the next one, if it is still stuck. All there is in memory is
//! limited, and what would pass the limit is in the log and in the listing.

mod courier;
mod target;

pub(crate) use self::target::{Target, Undelivered};

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, header};
use sagahost_core::Json;
use sagahost_engine::StuckNotice;
use serde::Serialize;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::stuck;
use crate::time::to_ticks;
use crate::urls::instance_url;

/// How long is tried, and how often.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// The pause after the first try; each is twice as long as the one before.
    first_pause: Duration,
    longest_pause: Duration,
    /// After this it is given up.
    in_all: Duration,
    /// How long a connection may take, with its TLS handshake.
    connect: Duration,
    /// How long a whole try may take.
    answer: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Patience {
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(60),
            in_all: Duration::from_secs(24 * 60 * 60),
            connect: Duration::from_secs(10),
            answer: Duration::from_secs(30),
        }
    }
}

/// Where it is told that a saga is stuck. Shown without the path and the query
/// of the URL, which may have a secret in them, and without the token.
#[derive(Clone)]
pub struct Webhook {
    target: Arc<Target>,
    /// Its token, where it has one.
    headers: HeaderMap,
    patience: Patience,
}

/// Why a webhook cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// The URL is not one that can be posted to.
    #[error("a webhook's URL is like https://alerts.example.com/hook; this one {0}")]
    Url(&'static str),
    /// The token cannot stand in a header.
    #[error("the webhook's token is empty, or has characters that cannot stand in a header")]
    Token,
    /// TLS cannot be set up.
    #[error("cannot set up TLS for the webhook: {0}")]
    Tls(String),
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Webhook({})", self.target)
    }
}

/// What is posted.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Payload<'a> {
    event: &'static str,
    instance_id: &'a str,
    name: &'a str,
    since: String,
    stuck: &'a Json,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_url: Option<String>,
}

impl Webhook {
    /// A webhook at this URL, which is http or https. With a token it is sent
    /// along as `Authorization: Bearer`.
    ///
    /// # Errors
    /// When the URL or the token cannot be used.
    pub fn new(url: &str, token: Option<&str>) -> Result<Self, WebhookError> {
        let target = Target::new(url)?;
        let mut headers = HeaderMap::new();
        if let Some(token) = token.map(str::trim) {
            let mut value = HeaderValue::try_from(format!("Bearer {token}"))
                .ok()
                .filter(|_| !token.is_empty())
                .ok_or(WebhookError::Token)?;
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
        }
        Ok(Webhook { target: Arc::new(target), headers, patience: Patience::default() })
    }

    /// Checks a URL, without setting anything up.
    ///
    /// # Errors
    /// When it cannot be used.
    pub fn check(url: &str) -> Result<(), WebhookError> {
        target::parse(url).map(drop)
    }

    /// Delivers what comes, until no more can come. `origin` is where this
    /// host can be reached, if that is known.
    pub(crate) async fn deliver(
        self,
        notices: UnboundedReceiver<StuckNotice>,
        origin: Option<String>,
    ) {
        courier::Courier::new(self, origin).run(notices).await;
    }
}

fn payload(notice: &StuckNotice, origin: Option<&str>) -> Result<Vec<u8>, serde_json::Error> {
    let stuck = stuck::shown(&notice.stuck);
    serde_json::to_vec(&Payload {
        event: "saga.stuck",
        instance_id: &notice.id,
        name: &notice.name,
        since: to_ticks(notice.since),
        stuck: &stuck,
        status_url: origin.map(|origin| instance_url(origin, &notice.id)),
    })
}

#[cfg(test)]
mod tests;
