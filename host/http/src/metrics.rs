//! `GET /metrics`: what the engine counts, and the requests, as OpenMetrics, or
//! as Prometheus has it without that.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use sagahost_engine::Engine;

use crate::app::Shared;
use crate::error::ApiError;
use crate::openapi::operation::Operation;

/// How the answer is written.
pub(crate) const MEDIA_TYPE: &str = "application/openmetrics-text";
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// How it is written for those who take this and do not take OpenMetrics.
pub(crate) const PLAIN: &str = "text/plain";
const PLAIN_CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What requests that came to no operation are counted as.
const NO_OPERATION: &str = "none";

const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// Answers of one operation, by the class of their status.
type Answers = [AtomicU64; CLASSES.len()];

/// Everything that is served.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: Arc<Requests>,
}

impl Metrics {
    pub(crate) fn new(engine: &Engine, operations: &[Operation]) -> Self {
        let requests = Arc::new(Requests::of(operations));
        let mut registry = Registry::default();
        registry.register_collector(Box::new(engine.collector()));
        registry.register_collector(Box::new(requests.clone()));
        let version = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("sagahost_build", "The program", version);
        Metrics { registry, requests }
    }
}

/// How many answers there were, by operation.
#[derive(Debug)]
struct Requests {
    by_path: HashMap<String, Vec<(Method, Arc<Answers>)>>,
    /// All of them by name, and those that came to none.
    named: Vec<(String, Arc<Answers>)>,
    none: Arc<Answers>,
}

impl Requests {
    fn of(operations: &[Operation]) -> Self {
        let mut by_path: HashMap<String, Vec<_>> = HashMap::new();
        let none = Arc::<Answers>::default();
        let mut named = vec![(NO_OPERATION.to_owned(), none.clone())];
        for operation in operations {
            let answers = Arc::<Answers>::default();
            named.push((operation.id.to_string(), answers.clone()));
            let methods = by_path.entry(operation.path.clone()).or_default();
            methods.push((operation.method.clone(), answers));
        }
        named.sort_by(|(a, _), (b, _)| a.cmp(b));
        Requests { by_path, named, none }
    }

    fn answered(&self, method: &Method, path: Option<&str>, status: StatusCode) {
        let method = if method == Method::HEAD { &Method::GET } else { method };
        let methods = path.and_then(|path| self.by_path.get(path));
        let found = methods.and_then(|known| known.iter().find(|(known, _)| known == method));
        let answers = found.map_or(&self.none, |(_, answers)| answers);
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        if let Some(count) = answers.get(class) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Collector for Requests {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Requests that were answered";
        let mut family =
            encoder.encode_descriptor("sagahost_http_requests", help, None, MetricType::Counter)?;
        for (operation, answers) in &self.named {
            for (class, count) in CLASSES.iter().zip(&**answers) {
                let count = count.load(Ordering::Relaxed);
                // There are many of these, and few of them ever happen.
                if count > 0 {
                    family
                        .encode_family(&[("operation", operation.as_str()), ("status", class)])?
                        .encode_counter::<NoLabelSet, u64, u64>(&count, None)?;
                }
            }
        }
        Ok(())
    }
}

/// Counts a request when it is answered; a stream, when it begins.
pub(crate) async fn count(State(app): State<Shared>, request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let path = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    let path = path.as_ref().map(MatchedPath::as_str);
    app.metrics.requests.answered(&method, path, response.status());
    response
}

pub(crate) async fn serve(State(app): State<Shared>, headers: HeaderMap) -> Response {
    let mut written = String::new();
    if let Err(error) = text::encode(&mut written, &app.metrics.registry) {
        tracing::error!(%error, "the metrics could not be written");
        return ApiError::internal().into_response();
    }
    let (written, kind) = match wants_plain(&headers) {
        true => (plain(&written), PLAIN_CONTENT_TYPE),
        false => (written, CONTENT_TYPE),
    };
    let mut response = Response::new(written.into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    response
}

fn wants_plain(headers: &HeaderMap) -> bool {
    let accept = headers.get_all(header::ACCEPT);
    let taken: Vec<&str> = accept.iter().filter_map(|value| value.to_str().ok()).collect();
    let takes = |kind: &str| taken.iter().any(|value| value.contains(kind));
    takes(PLAIN) && !takes(MEDIA_TYPE)
}

/// OpenMetrics as the text format that was before it: there a family has the
/// name of its samples, nothing has a unit, and a text has no end.
fn plain(metrics: &str) -> String {
    let mut written = String::with_capacity(metrics.len());
    let mut add = |line: &[&str]| {
        line.iter().for_each(|part| written.push_str(part));
        written.push('\n');
    };
    let mut help = "";
    for line in metrics.lines() {
        if let Some(of) = line.strip_prefix("# HELP ") {
            help = of.split_once(' ').map_or("", |(_, help)| help);
        } else if let Some((name, kind)) =
            line.strip_prefix("# TYPE ").and_then(|of| of.split_once(' '))
        {
            let (suffix, kind) = match kind {
                "counter" => ("_total", kind),
                "info" => ("_info", "gauge"),
                _ => ("", kind),
            };
            add(&["# HELP ", name, suffix, " ", help]);
            add(&["# TYPE ", name, suffix, " ", kind]);
        } else if !line.starts_with('#') {
            add(&[line]);
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes;

    #[test]
    fn the_text_format_is_for_those_who_ask_for_it_only() {
        let wants = |values: &[&'static str]| {
            let accept =
                values.iter().map(|value| (header::ACCEPT, HeaderValue::from_static(value)));
            wants_plain(&accept.collect())
        };
        assert!(!wants(&[]) && !wants(&["*/*"]) && !wants(&["text/html,*/*;q=0.8"]));
        assert!(wants(&["text/plain"]) && wants(&["text/plain;version=0.0.4;q=0.5,*/*;q=0.1"]));
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;q=0.5";
        assert!(!wants(&[prometheus]) && !wants(&["text/plain", "application/openmetrics-text"]));

        let metrics = "# HELP a What it is.\n# TYPE a counter\na_total{b=\"c\"} 1\n\
                       # HELP d_seconds Time.\n# TYPE d_seconds gauge\n# UNIT d_seconds seconds\n\
                       d_seconds 0.5\n# HELP e E.\n# TYPE e info\ne_info{v=\"1\"} 1\n# EOF\n";
        let expected = "# HELP a_total What it is.\n# TYPE a_total counter\na_total{b=\"c\"} 1\n\
                        # HELP d_seconds Time.\n# TYPE d_seconds gauge\nd_seconds 0.5\n\
                        # HELP e_info E.\n# TYPE e_info gauge\ne_info{v=\"1\"} 1\n";
        assert_eq!(plain(metrics), expected);
    }

    #[test]
    fn requests_are_counted_by_operation_and_odd_paths_are_one() {
        let requests = Arc::new(Requests::of(&routes::operations()));
        let ok = StatusCode::OK;
        requests.answered(&Method::GET, Some("/healthz"), ok);
        requests.answered(&Method::HEAD, Some("/healthz"), ok);
        requests.answered(&Method::POST, Some("/healthz"), StatusCode::NOT_FOUND);
        (0..100).for_each(|_| requests.answered(&Method::GET, None, StatusCode::UNAUTHORIZED));
        let mut registry = Registry::default();
        registry.register_collector(Box::new(requests));
        let mut written = String::new();
        text::encode(&mut written, &registry).expect("it is written");
        let rows: Vec<&str> = written.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            rows,
            [
                r#"sagahost_http_requests_total{operation="alive",status="2xx"} 2"#,
                r#"sagahost_http_requests_total{operation="none",status="4xx"} 101"#,
            ]
        );
    }
}
