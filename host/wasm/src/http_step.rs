//! HTTP steps: requests that an orchestrator makes durably, and the host for
//! it. One attempt is one request; the polling of an answer that is still to
//! come is a matter of the core, which is told when to ask, and what.

mod answer;
mod request;

use std::convert::Infallible;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::header::{HOST, HeaderValue};
use sagahost_core::{Failure, FailureKind, Json, Logs};
use wasmtime_wasi_http::{Error, RequestOptions};

use crate::activity::{ActivityReport, now};
use crate::config::HTTP_CONNECT;
use crate::rules::FunctionSettings;

use answer::Answer;
use request::Request;

/// What an attempt of an HTTP step is told.
#[derive(Clone, Debug)]
pub struct HttpStep {
    /// The orchestrator that asks for it; the request may go where the rules
    /// let this one go.
    pub orchestrator: String,
    /// The request, as the contract shows it at `call-http`.
    pub request: Json,
    /// The same for every attempt of the step.
    pub idempotency_key: String,
    /// Counted from 1.
    pub attempt: u32,
    /// The wall time it may take, in milliseconds.
    pub timeout_ms: u64,
    /// The W3C trace context.
    pub trace_parent: Option<String>,
}

/// Makes the request once.
pub(crate) async fn run(settings: &FunctionSettings, step: HttpStep) -> ActivityReport {
    ActivityReport {
        started_at: now(),
        outcome: attempt(settings, &step).await,
        logs: Logs::default(),
        cpu: Duration::ZERO,
        peak_memory: 0,
    }
}

async fn attempt(settings: &FunctionSettings, step: &HttpStep) -> Result<Json, Failure> {
    let request = Request::parse(&step.request).map_err(|reason| {
        let message = format!("the HTTP request of `{}` is wrong: {reason}", step.orchestrator);
        refused("host.http-bad-request", message)
    })?;
    let origin = request.origin();
    let granted = settings.http.iter().any(|it| it.allows(&request.method, &request.url));
    if !granted {
        let (method, orchestrator) = (&request.method, &step.orchestrator);
        let message = format!(
            "the manifest does not grant {method} {origin} to the orchestrator `{orchestrator}`; \
             what would: [[functions]] names = [\"{orchestrator}\"], http = [\"{origin}\"]"
        );
        return Err(refused("host.http-denied", message));
    }
    let message = message(&request, step).map_err(|error| {
        let message = format!("the HTTP request cannot be made: {error}");
        refused("host.http-bad-request", message)
    })?;
    let limit = settings.output;
    let timeout = Duration::from_millis(step.timeout_ms);
    let answer = match tokio::time::timeout(timeout, exchange(message, limit)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(trouble)) => return Err(trouble.failure(&origin, limit)),
        Err(_) => {
            let message = format!("{origin} did not answer within {timeout:?}");
            return Err(Failure::host(FailureKind::Timeout, message));
        }
    };
    answer.settle(&request, limit, SystemTime::now())
}

/// A failure of a request that was not sent, and never will be as it is.
fn refused(code: &str, message: String) -> Failure {
    Failure {
        code: code.to_owned(),
        retryable: false,
        ..Failure::host(FailureKind::NotStarted, message)
    }
}

type Message = hyper::Request<http_body_util::combinators::UnsyncBoxBody<Bytes, Error>>;

/// The request with what the host adds to it.
fn message(request: &Request, step: &HttpStep) -> Result<Message, hyper::http::Error> {
    let body = Full::new(request.body.clone().unwrap_or_default());
    let body = body.map_err(|never: Infallible| match never {}).boxed_unsync();
    let mut message = hyper::Request::builder()
        .method(request.method.clone())
        .uri(request.url.clone())
        .header("idempotency-key", &step.idempotency_key)
        .header(HOST, request.authority())
        .body(body)?;
    let headers = message.headers_mut();
    for (name, value) in &request.headers {
        headers.append(name, value.clone());
    }
    let mut default = |name: &'static str, value: HeaderValue| {
        headers.entry(name).or_insert(value);
    };
    default(
        "user-agent",
        HeaderValue::from_static(concat!("sagahost/", env!("CARGO_PKG_VERSION"))),
    );
    if request.body.is_some() {
        default("content-type", HeaderValue::from_static(request.content_type));
    }
    if let Some(Ok(trace)) = step.trace_parent.as_deref().map(HeaderValue::from_str) {
        default("traceparent", trace);
    }
    Ok(message)
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    /// Nothing of the request was sent.
    #[error("{0}")]
    Unreachable(Error),
    /// Nobody knows what was made of it.
    #[error("{0}")]
    Broken(String),
    /// Its body is too large.
    #[error("it is too large")]
    TooLarge,
}

impl Trouble {
    fn failure(self, origin: &str, limit: u64) -> Failure {
        match self {
            Trouble::Unreachable(error) => Failure {
                code: "http.unreachable".to_owned(),
                retryable: true,
                ..Failure::host(
                    FailureKind::Returned,
                    format!("{origin} cannot be reached: {error}; nothing was sent"),
                )
            },
            Trouble::Broken(reason) => Failure {
                code: "http.broken".to_owned(),
                ..Failure::host(
                    FailureKind::Trap,
                    format!(
                        "the connection to {origin} broke before its answer was there: {reason}"
                    ),
                )
            },
            Trouble::TooLarge => answer::too_large(origin, limit),
        }
    }
}

async fn exchange(message: Message, limit: u64) -> Result<Answer, Trouble> {
    let options = RequestOptions { connect_timeout: Some(HTTP_CONNECT), ..Default::default() };
    let sent = wasmtime_wasi_http::default_send_request(message, Some(options)).await;
    let (response, connection) = sent.map_err(|error| match error {
        Error::Connect(_)
        | Error::Tls(_)
        | Error::ConnectionTimeout
        | Error::InvalidDnsNameError(_) => Trouble::Unreachable(error),
        other => Trouble::Broken(other.to_string()),
    })?;
    let (head, body) = response.into_parts();
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    // It may end with the body, or with an error that the body is told.
    let driving = async {
        let _ = connection.await;
        std::future::pending::<Infallible>().await
    };
    let body = tokio::select! {
        biased;
        body = Limited::new(body, limit).collect() => body,
        never = driving => match never {},
    };
    let body = body.map_err(|error| match error.is::<LengthLimitError>() {
        true => Trouble::TooLarge,
        false => Trouble::Broken(error.to_string()),
    })?;
    Ok(Answer { status: head.status.as_u16(), headers: head.headers, body: body.to_bytes() })
}
