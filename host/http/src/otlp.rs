//! Traces: each saga that ended is told to an OpenTelemetry collector, as one
//! trace, by OTLP over HTTP in JSON
//! (<https://opentelemetry.io/docs/specs/otlp/>).
//!
//! The spans are made of the journal when the saga has ended, so a crash in the
//! middle loses none of them. What could not be told before the host ended is
//! told by the next one: a note in the store says up to when all is told. A span
//! that is told twice has the same id, and is the same.

mod exporter;
mod message;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use sagahost_core::Record;
use sagahost_engine::{Change, Engine, Observer};
use tokio::sync::mpsc;

use self::exporter::Exporter;
use crate::text::percent_decode;
use crate::webhook::{Target, WebhookError};

/// How many sagas that have ended wait to be told. What is more is found again
/// in the store.
const MOST_HEARD: usize = 20_000;

/// Where traces go. Shown without the path and the query of the URL, and
/// without the headers, which may have secrets in them.
#[derive(Clone)]
pub struct Traces {
    target: Arc<Target>,
    headers: HeaderMap,
    service: String,
}

/// Why traces cannot go where they are to.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    /// The URL is not one that can be posted to.
    #[error("the OTLP endpoint is like http://localhost:4318; this one {0}")]
    Endpoint(&'static str),
    /// TLS cannot be set up.
    #[error("cannot set up TLS for the OTLP endpoint: {0}")]
    Tls(String),
    /// The headers are not `name=value,name=value`. They are in no message.
    #[error("the OTLP headers are not written as name=value,name=value, percent-encoded")]
    Headers,
}

impl From<WebhookError> for TracesError {
    fn from(error: WebhookError) -> Self {
        match error {
            WebhookError::Url(problem) => TracesError::Endpoint(problem),
            WebhookError::Tls(problem) => TracesError::Tls(problem),
            WebhookError::Token => TracesError::Headers,
        }
    }
}

impl std::fmt::Debug for Traces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Traces({})", self.target)
    }
}

impl Traces {
    /// Traces for the collector at this endpoint, to which `/v1/traces` is
    /// added, as OpenTelemetry has it for `OTEL_EXPORTER_OTLP_ENDPOINT`.
    /// `headers` are as in `OTEL_EXPORTER_OTLP_HEADERS`.
    ///
    /// # Errors
    /// When the endpoint or the headers cannot be used.
    pub fn new(endpoint: &str, headers: Option<&str>, service: &str) -> Result<Self, TracesError> {
        let url = format!("{}/v1/traces", endpoint.trim().trim_end_matches('/'));
        let target = Arc::new(Target::new(&url)?);
        let headers = read_headers(headers.unwrap_or_default()).ok_or(TracesError::Headers)?;
        Ok(Traces { target, headers, service: service.to_owned() })
    }

    /// Checks an endpoint, without setting anything up.
    ///
    /// # Errors
    /// When it cannot be used.
    pub fn check(endpoint: &str) -> Result<(), TracesError> {
        Ok(crate::webhook::Webhook::check(endpoint)?)
    }

    /// Listens from now on. What comes of it is to be run, and tells of sagas
    /// without end.
    pub(crate) fn listen(self, engine: &Engine) -> impl Future<Output = ()> + Send + use<> {
        let (said, heard) = mpsc::channel(MOST_HEARD);
        // What ended before this host began is looked for.
        let listener = Arc::new(Listener { said, missed: AtomicBool::new(true) });
        engine.observe(listener.clone());
        Exporter::new(self, engine.clone(), listener, heard).run()
    }
}

fn read_headers(text: &str) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=')?;
        let value = percent_decode(value.trim());
        let name = HeaderName::try_from(name.trim()).ok()?;
        let mut value = HeaderValue::try_from(value.as_ref()).ok()?;
        value.set_sensitive(true);
        headers.append(name, value);
    }
    Some(headers)
}

/// What is heard of.
enum Heard {
    /// An instance that ended.
    Ended(String),
    /// The journal of an execution that ended because its instance continues
    /// as new.
    Round(String, Vec<Record>),
}

/// Hears what ends, in the middle of the work that ends it.
struct Listener {
    said: mpsc::Sender<Heard>,
    /// Whether there was no room for something that can be found in the store.
    missed: AtomicBool,
}

impl Observer for Listener {
    fn wants(&self) -> bool {
        true
    }

    fn changed(&self, change: Change<'_>) {
        if change.ended && self.said.try_send(Heard::Ended(change.id.to_owned())).is_err() {
            self.missed.store(true, Ordering::SeqCst);
        }
    }

    fn wants_rounds(&self) -> bool {
        self.said.capacity() > 0
    }

    fn round_ended(&self, id: &str, journal: &[Record]) {
        if self.said.try_send(Heard::Round(id.to_owned(), journal.to_vec())).is_err() {
            tracing::warn!(
                instance = id,
                "there is no room for the trace of a round: the collector is slower than the sagas"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_as_opentelemetry_writes_them() {
        let headers = read_headers("api-key=abc%20d, x-team = ops ,").expect("they are good");
        assert_eq!(headers["api-key"], "abc d");
        assert_eq!(headers["x-team"], "ops");
        assert!(headers["api-key"].is_sensitive());
        assert!(read_headers("").expect("none is good").is_empty());
        assert!(read_headers("no value").is_none() && read_headers("a b=c").is_none());
    }

    #[test]
    fn what_is_wrong_with_an_endpoint_is_said_without_its_secrets() {
        let wrong = |endpoint| Traces::new(endpoint, None, "it").expect_err("wrong").to_string();
        assert!(wrong("localhost:4318").contains("http://localhost:4318"));
        assert!(!wrong("http://user:s3cr3t@h").contains("s3cr3t"));
        let traces = Traces::new("http://h:4318/s3cr3t/", Some("k=s3cr3t"), "it").expect("good");
        assert_eq!(format!("{traces:?}"), "Traces(http://h:4318)");
    }
}
