//! HTTP steps, against a server on loopback.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{HeaderMap, HeaderValue};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use sagahost_core::{CallOptions, FailureKind, HTTP_ACCEPTED, Json, RetryPolicy};
use sagahost_wasm::{ActivityReport, HttpStep, Runtime};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::fixture::{config, failure, output, set_rules};

const HOUR: Duration = Duration::from_secs(3_600);

/// A request as the server got it.
#[derive(Clone, Debug)]
struct Got {
    method: String,
    target: String,
    headers: HeaderMap,
    body: String,
}

impl Got {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("text"))
    }
}

/// Answers as [`answer`] says, and keeps what it was asked.
struct Server {
    address: SocketAddr,
    got: Arc<Mutex<Vec<Got>>>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Server {
    async fn start() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let got = Arc::<Mutex<Vec<Got>>>::default();
        let seen = got.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let seen = seen.clone();
                let service =
                    hyper::service::service_fn(move |request| take(request, seen.clone()));
                let serving = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service);
                tokio::spawn(async move {
                    // A client that goes away, or one that is to be left.
                    let _ = serving.await;
                });
            }
        });
        Server { address, got, accepting }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn got(&self) -> Vec<Got> {
        self.got.lock().expect("no panic").clone()
    }
}

type Answer = Result<Response<Full<Bytes>>, std::io::Error>;

async fn take(request: Request<Incoming>, seen: Arc<Mutex<Vec<Got>>>) -> Answer {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
    let path = head.uri.path().to_owned();
    seen.lock().expect("no panic").push(Got {
        method: head.method.to_string(),
        target: head.uri.to_string(),
        headers: head.headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    });
    answer(&path).await
}

/// What is answered at each path.
async fn answer(path: &str) -> Answer {
    let (status, headers, body): (u16, Vec<(&'static str, &str)>, &str) = match path {
        "/json" => {
            let kind = ("content-type", "application/json; charset=utf-8");
            (200, vec![kind, ("x-a", "1"), ("x-a", "2")], r#"{"n": 1.50}"#)
        }
        "/text" => (404, vec![("content-type", "text/plain")], "no such thing"),
        "/moved" => (302, vec![("location", "/json")], ""),
        "/accepted" => (202, vec![("location", "jobs/7"), ("retry-after", "2")], "{}"),
        "/accepted-nowhere" => (202, vec![], ""),
        "/busy" => (503, vec![("retry-after", "7")], "busy"),
        "/busy-until" => (429, vec![("retry-after", "date")], ""),
        "/large" => return Ok(Response::new(Full::from("x".repeat(100_000)))),
        "/silent" => std::future::pending().await,
        "/broken" => return Err(std::io::Error::other("it is to be broken off")),
        _ => (200, vec![], ""),
    };
    let mut response = Response::new(Full::from(body.to_owned()));
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    for (name, value) in headers {
        let value = match value {
            "date" => httpdate::fmt_http_date(SystemTime::now() + HOUR),
            value => value.to_owned(),
        };
        let value = HeaderValue::try_from(value).expect("a value");
        response.headers_mut().append(name, value);
    }
    Ok(response)
}

/// A runtime in which `Saga` may ask this server.
fn runtime(server: &Server, more: &str) -> Runtime {
    let runtime = Runtime::new(config()).expect("the engines start");
    let origin = server.url("");
    let rule = format!("[[function]]\nnames = [\"Saga\"]\nhttp = [\"{origin}\"]\n{more}\n");
    set_rules(&runtime, ".".as_ref(), &rule);
    runtime
}

fn step(request: Value) -> HttpStep {
    HttpStep {
        orchestrator: "Saga".to_owned(),
        request: Json::of(&request).expect("JSON"),
        idempotency_key: "instance-7".to_owned(),
        attempt: 1,
        timeout_ms: 30_000,
        trace_parent: Some("00-aa-bb-01".to_owned()),
    }
}

async fn call(runtime: &Runtime, request: Value) -> ActivityReport {
    runtime.call_http(step(request)).await
}

#[tokio::test]
async fn a_request_is_sent_and_its_answer_is_the_result() {
    let server = Server::start().await;
    let runtime = runtime(&server, "");
    let report = call(
        &runtime,
        json!({"method": "post", "url": server.url("/json?a=b#c"), "body": {"sku": "book"},
               "headers": {"X-Shop": "7"}}),
    )
    .await;
    assert!(report.started_at > 0);
    let answer = output(&report);
    assert_eq!(answer["status"], 200);
    assert_eq!(answer["body"], json!({"n": 1.5}));
    assert_eq!(answer["headers"]["x-a"], "1, 2");
    assert_eq!(answer["headers"]["content-length"], "11");
    // As text, the number is still what it was.
    assert!(report.outcome.expect("it went well").as_str().contains(r#"{"n": 1.50}"#));
    let [got] = &server.got()[..] else { panic!("{:?}", server.got()) };
    assert_eq!((got.method.as_str(), got.target.as_str()), ("POST", "/json?a=b"));
    assert_eq!(got.body, r#"{"sku":"book"}"#);
    for (name, value) in [
        ("x-shop", "7"),
        ("idempotency-key", "instance-7"),
        ("content-type", "application/json"),
        ("traceparent", "00-aa-bb-01"),
        ("host", &server.address.to_string()),
    ] {
        assert_eq!(got.header(name), Some(value), "{name}");
    }
}

#[tokio::test]
async fn what_the_request_says_itself_is_not_replaced() {
    let server = Server::start().await;
    let runtime = runtime(&server, "");
    let headers =
        json!({"content-type": "text/csv", "user-agent": "shop", "traceparent": "00-cc-dd-00"});
    let request =
        json!({"method": "PUT", "url": server.url("/"), "body": "a,b\n", "headers": headers});
    output(&call(&runtime, request).await);
    output(&call(&runtime, json!({"url": server.url("?a=b")})).await);
    let [put, get] = &server.got()[..] else { panic!("{:?}", server.got()) };
    assert_eq!(put.body, "a,b\n");
    for name in ["content-type", "user-agent", "traceparent"] {
        assert_eq!(put.header(name), headers[name].as_str(), "{name}");
        assert_eq!(put.headers.get_all(name).iter().count(), 1, "{name}");
    }
    assert_eq!((get.method.as_str(), get.target.as_str()), ("GET", "/?a=b"));
    assert_eq!((get.header("content-type"), get.header("content-length")), (None, None));
    assert!(get.header("user-agent").is_some_and(|agent| agent.starts_with("sagahost/")));
}

#[tokio::test]
async fn every_status_is_a_result_and_redirects_are_not_followed() {
    let server = Server::start().await;
    let runtime = runtime(&server, "");
    let answer = output(&call(&runtime, json!({"url": server.url("/text")})).await);
    assert_eq!((&answer["status"], &answer["body"]), (&json!(404), &json!("no such thing")));
    let answer = output(&call(&runtime, json!({"url": server.url("/moved")})).await);
    assert_eq!((&answer["status"], &answer["headers"]["location"]), (&json!(302), &json!("/json")));
    let answer = output(&call(&runtime, json!({"url": server.url("/busy")})).await);
    assert_eq!((&answer["status"], &answer["body"]), (&json!(503), &json!("busy")));
    assert_eq!(server.got().len(), 3);
}

#[tokio::test]
async fn a_request_goes_nowhere_where_it_was_not_granted() {
    let server = Server::start().await;
    let origin = server.url("");
    let runtime = runtime(&server, "");
    let secret = json!({"authorization": "s3cret"});
    let url = server.url("/?key=s3cret");
    let denied = |report: &ActivityReport| {
        let failure = failure(report);
        assert_eq!(failure.code, "host.http-denied");
        assert_eq!((failure.kind, failure.retryable), (FailureKind::NotStarted, false));
        assert!(!failure.message.contains("s3cret"), "{failure}");
        failure.message.clone()
    };
    let other = HttpStep {
        orchestrator: "Other".to_owned(),
        ..step(json!({"url": url, "headers": secret}))
    };
    let message = denied(&runtime.call_http(other).await);
    let line = format!("[[functions]] names = [\"Other\"], http = [\"{origin}\"]");
    assert!(message.contains(&line), "{message}");
    // Another port, another scheme, another method.
    let local = json!({"url": "http://127.0.0.1:9/s3cret", "headers": secret});
    denied(&call(&runtime, local).await);
    denied(&call(&runtime, json!({"url": url.replacen("http", "https", 1)})).await);
    let rule = format!(
        "[[function]]\nnames = [\"Saga\"]\nhttp = [{{ to = \"{origin}\", methods = [\"GET\"] }}]\n"
    );
    set_rules(&runtime, ".".as_ref(), &rule);
    let message = denied(&call(&runtime, json!({"url": url, "method": "DELETE"})).await);
    assert!(message.contains("does not grant DELETE"), "{message}");
    assert!(server.got().is_empty());
    output(&call(&runtime, json!({"url": url})).await);
    assert_eq!(server.got().len(), 1);
}

#[tokio::test]
async fn a_wrong_request_is_not_sent() {
    let server = Server::start().await;
    let runtime = runtime(&server, "");
    for request in [
        json!(5),
        json!({}),
        json!({"url": server.url("/"), "headers": {"host": "other.example"}}),
        json!({"url": server.url("/"), "headers": {"idempotency-key": "mine"}}),
    ] {
        let report = call(&runtime, request.clone()).await;
        let failure = failure(&report);
        assert_eq!(failure.code, "host.http-bad-request", "{request}");
        assert_eq!((failure.kind, failure.retryable), (FailureKind::NotStarted, false));
        assert!(failure.message.contains("the HTTP request of `Saga` is wrong: "), "{failure}");
    }
    assert!(server.got().is_empty());
}

#[tokio::test]
async fn an_accepted_request_is_to_be_asked_for() {
    let server = Server::start().await;
    let runtime = runtime(&server, "");
    let url = server.url("/accepted");
    let request = json!({"method": "POST", "url": url, "body": 1, "retryStatus": [503],
                         "headers": {"x-key": "k", "content-language": "en"}});
    let report = call(&runtime, request).await;
    let accepted = failure(&report);
    assert_eq!((accepted.code.as_str(), accepted.kind), (HTTP_ACCEPTED, FailureKind::Returned));
    assert_eq!((accepted.retryable, accepted.retry_after_ms), (true, Some(2_000)));
    let next = accepted.details.as_ref().expect("the next request").to_value();
    assert_eq!(
        next,
        json!({"method": "GET", "url": server.url("/jobs/7"), "headers": {"x-key": "k"},
               "poll": true, "retryStatus": [503]})
    );
    let answer = output(&call(&runtime, next).await);
    assert_eq!(answer["status"], 200);
    let got = server.got();
    assert_eq!((got[1].method.as_str(), got[1].header("x-key")), ("GET", Some("k")));
    // Where it is not to be followed, or says nothing to follow.
    let answer = output(&call(&runtime, json!({"url": url, "poll": false})).await);
    assert_eq!(
        (&answer["status"], &answer["headers"]["location"]),
        (&json!(202), &json!("jobs/7"))
    );
    let answer = output(&call(&runtime, json!({"url": server.url("/accepted-nowhere")})).await);
    assert_eq!(answer["status"], 202);
}

#[tokio::test]
async fn a_status_to_retry_is_a_failure_that_says_when() {
    let server = Server::start().await;
    let runtime = runtime(&server, "");
    let retried = json!([429, 503]);
    let report = call(&runtime, json!({"url": server.url("/busy"), "retryStatus": retried})).await;
    let busy = failure(&report);
    assert_eq!((busy.code.as_str(), busy.kind), ("http.503", FailureKind::Returned));
    assert_eq!((busy.retryable, busy.retry_after_ms), (true, Some(7_000)));
    let details = busy.details.as_ref().expect("the answer").to_value();
    assert_eq!((&details["status"], &details["body"]), (&json!(503), &json!("busy")));
    assert_eq!(details["headers"]["retry-after"], "7");
    let report =
        call(&runtime, json!({"url": server.url("/busy-until"), "retryStatus": retried})).await;
    let busy = failure(&report);
    assert_eq!(busy.code, "http.429");
    // An hour from when the answer was made; dates are of whole seconds.
    assert!(busy.retry_after_ms.is_some_and(|wait| wait > 0 && wait <= 3_600_000), "{busy:?}");
    let other = call(&runtime, json!({"url": server.url("/text"), "retryStatus": retried})).await;
    assert_eq!(output(&other)["status"], 404);
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_not_taken() {
    let server = Server::start().await;
    let runtime = runtime(&server, "output = \"64KiB\"");
    let report = call(&runtime, json!({"url": server.url("/large")})).await;
    let failure = failure(&report);
    assert_eq!(failure.kind, FailureKind::OutputLimit);
    assert!(failure.message.contains("limit of 65536 bytes"), "{failure}");
    // Also where it is the rest of the answer that makes it so.
    set_rules(
        &runtime,
        ".".as_ref(),
        &format!(
            "[[function]]\nnames = [\"Saga\"]\nhttp = [\"{}\"]\noutput = \"40B\"\n",
            server.url("")
        ),
    );
    let report = call(&runtime, json!({"url": server.url("/json")})).await;
    assert_eq!(crate::fixture::failure(&report).kind, FailureKind::OutputLimit);
}

#[tokio::test]
async fn no_answer_in_time_leaves_it_open_what_was_done() {
    let server = Server::start().await;
    let runtime = runtime(&server, "");
    let silent = HttpStep { timeout_ms: 200, ..step(json!({"url": server.url("/silent")})) };
    let report = runtime.call_http(silent).await;
    let timeout = failure(&report);
    assert_eq!((timeout.kind, timeout.retryable), (FailureKind::Timeout, true));
    assert!(timeout.message.contains(&format!("{} did not answer within", server.url(""))));
    let report = call(&runtime, json!({"url": server.url("/broken?s3cret")})).await;
    let broken = failure(&report);
    assert_eq!((broken.code.as_str(), broken.retryable), ("http.broken", true));
    assert!(broken.kind.outcome_unknown() && !broken.message.contains("s3cret"), "{broken}");
    assert_eq!(server.got().len(), 2);
}

#[tokio::test]
async fn what_cannot_be_reached_was_sent_nothing() {
    let server = Server::start().await;
    // Nobody listens there any more.
    let gone = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = gone.local_addr().expect("its address");
    drop(gone);
    let runtime = runtime(&server, "");
    let rule = "[[function]]\nnames = [\"Saga\"]\nhttp = [\"*\", \"http://*\", \
                \"http://127.0.0.1:PORT\", \"https://127.0.0.1:SERVER\"]\n";
    let rule = rule.replace("PORT", &address.port().to_string());
    let rule = rule.replace("SERVER", &server.address.port().to_string());
    set_rules(&runtime, ".".as_ref(), &rule);
    for url in [
        format!("http://{address}/"),
        // No name below `invalid` is ever known.
        "http://nowhere.invalid/".to_owned(),
        // A server that does not speak TLS.
        server.url("/").replacen("http", "https", 1),
    ] {
        let report = call(&runtime, json!({"url": url})).await;
        let failure = failure(&report);
        assert_eq!(failure.code, "http.unreachable", "{url}: {failure}");
        assert_eq!((failure.kind, failure.retryable), (FailureKind::Returned, true));
    }
    assert!(server.got().is_empty());
}

#[tokio::test]
async fn steps_take_turns_where_the_rules_say_so() {
    let server = Server::start().await;
    let runtime = runtime(&server, "concurrency = 1");
    let silent = {
        let (runtime, url) = (runtime.clone(), server.url("/silent"));
        tokio::spawn(async move { call(&runtime, json!({"url": url})).await })
    };
    let bound = tokio::time::Instant::now() + Duration::from_secs(20);
    while server.got().is_empty() {
        assert!(tokio::time::Instant::now() < bound, "the first is not sent");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let second = call(&runtime, json!({"url": server.url("/json")}));
    let second = tokio::time::timeout(Duration::from_millis(100), second).await;
    assert!(second.is_err(), "it was sent beside the first");
    assert_eq!(server.got().len(), 1);
    // A dropped one gives its place back.
    silent.abort();
    let _ = silent.await;
    assert_eq!(output(&call(&runtime, json!({"url": server.url("/json")})).await)["status"], 200);
}

#[test]
fn a_step_is_made_once_and_may_take_long() {
    let runtime = Runtime::new(config()).expect("the engines start");
    let policy = runtime.http_policy(CallOptions::default());
    assert_eq!((policy.timeout_ms, policy.retry), (100_000, RetryPolicy::default()));
    let retry = RetryPolicy { max_attempts: 4, ..RetryPolicy::default() };
    let options = CallOptions { retry: Some(retry.clone()), timeout_ms: Some(7) };
    let policy = runtime.http_policy(options);
    assert_eq!((policy.timeout_ms, policy.retry), (7, retry));
}
