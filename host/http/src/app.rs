//! What every handler is given.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use sagahost_engine::Engine;
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use crate::body::Limits;
use crate::error::ApiError;
use crate::live::Hub;
use crate::metrics::Metrics;
use crate::server::ServerConfig;
use crate::urls;

/// The host, as the handlers see it.
pub(crate) struct App {
    pub(crate) engine: Engine,
    pub(crate) config: ServerConfig,
    pub(crate) metrics: Metrics,
    pub(crate) local: SocketAddr,
    pub(crate) phase: watch::Receiver<Phase>,
    pub(crate) live: Arc<Hub>,
}

/// How far the server is on its way down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Serving,
    /// No new connections; requests under way end.
    Draining,
    /// The grace period is over; what is left is cut.
    Cut,
}

pub(crate) type Shared = Arc<App>;

impl App {
    /// The limits of an ordinary body.
    pub(crate) fn body(&self) -> Limits {
        Limits { bytes: self.config.max_body, pause: self.config.body_timeout }
    }

    /// The limits of a component.
    pub(crate) fn component(&self) -> Limits {
        Limits { bytes: self.config.max_component, pause: self.config.body_timeout }
    }

    /// Scheme, host and port for the URLs of an answer.
    pub(crate) fn origin(&self, parts: &Parts) -> String {
        urls::origin(&parts.headers, &parts.uri, self.local, self.config.trust_forwarded)
    }

    /// Scheme, host and port for URLs that go to somebody who did not ask.
    /// Behind a proxy, or on all addresses, nobody knows what this host is
    /// called from there.
    pub(crate) fn known_origin(&self) -> Option<String> {
        let known = !self.config.trust_forwarded && !self.local.ip().is_unspecified();
        known.then(|| format!("http://{}", self.local))
    }

    /// Returns when the server has come so far.
    pub(crate) async fn reached(&self, phase: Phase) {
        // An error means that the server is gone already.
        let _ = self.phase.clone().wait_for(|now| *now >= phase).await;
    }
}

/// The names and ids in a path, percent-decoded.
pub(crate) struct Params<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(params)) => Ok(Params(params)),
            Err(_) => Err(ApiError::bad_argument(
                "The path is not UTF-8 once its percent-encoding is undone.",
            )),
        }
    }
}
