//! HTTP requests that the host makes for an orchestrator, as steps.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::FusedFuture;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::bindings::sagahost::saga::types::UndoChoice;
use crate::call::{Lazy, Step, lazy_future};
use crate::executor::Tasks;
use crate::time::millis;
use crate::{Compensation, Failure, RetryPolicy, RetryWith, Task, json};

/// An HTTP request that the host makes as a step of a saga: see
/// [`OrchestratorContext::http`](crate::OrchestratorContext::http).
///
/// ```
/// use sagahost::HttpRequest;
///
/// let request = HttpRequest::post("https://stock.example/reserve")
///     .header("x-shop", "7")
///     .json(&("book", 2))
///     .retry_status([429, 503]);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[must_use = "a request is made by `ctx.http(request)`"]
pub struct HttpRequest {
    #[serde(default = "get")]
    method: String,
    url: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body: Option<Value>,
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    poll: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    retry_status: Vec<u16>,
    /// Why it cannot be made.
    #[serde(skip)]
    refusal: Option<Failure>,
}

fn get() -> String {
    "GET".to_owned()
}

fn yes() -> bool {
    true
}

#[allow(clippy::trivially_copy_pass_by_ref)] // As serde wants it.
fn is_yes(yes: &bool) -> bool {
    *yes
}

impl HttpRequest {
    /// A request of this method.
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Self {
        Self {
            method: method.into(),
            url: url.into(),
            headers: BTreeMap::new(),
            body: None,
            poll: true,
            retry_status: Vec::new(),
            refusal: None,
        }
    }

    /// A GET request.
    pub fn get(url: impl Into<String>) -> Self {
        Self::new("GET", url)
    }

    /// A POST request.
    pub fn post(url: impl Into<String>) -> Self {
        Self::new("POST", url)
    }

    /// A PUT request.
    pub fn put(url: impl Into<String>) -> Self {
        Self::new("PUT", url)
    }

    /// A PATCH request.
    pub fn patch(url: impl Into<String>) -> Self {
        Self::new("PATCH", url)
    }

    /// A DELETE request.
    pub fn delete(url: impl Into<String>) -> Self {
        Self::new("DELETE", url)
    }

    /// A header; one of the same name is replaced.
    pub fn header(mut self, name: impl AsRef<str>, value: impl Into<String>) -> Self {
        self.headers.insert(name.as_ref().to_ascii_lowercase(), value.into());
        self
    }

    /// A body of JSON. If the value cannot be written as JSON, the call fails
    /// with the code `bad-input` and is not scheduled.
    pub fn json(mut self, body: &(impl Serialize + ?Sized)) -> Self {
        match serde_json::to_value(body) {
            // The host sends a text as it is, so this one has to be JSON here.
            Ok(value @ (Value::String(_) | Value::Null)) => {
                self.headers
                    .entry("content-type".to_owned())
                    .or_insert_with(|| "application/json".to_owned());
                self.body = Some(Value::String(value.to_string()));
            }
            Ok(value) => self.body = Some(value),
            Err(error) => {
                let message = format!("the body of the request cannot be written as JSON: {error}");
                self.refusal = Some(Failure::permanent("bad-input", message));
            }
        }
        self
    }

    /// A body of text, sent as it is. What kind of text it is, the header
    /// `content-type` says.
    pub fn text(mut self, body: impl Into<String>) -> Self {
        self.body = Some(Value::String(body.into()));
        self
    }

    /// Whether an answer of 202 with a `location` is followed until there is
    /// another answer. Without this it is.
    pub fn poll(self, poll: bool) -> Self {
        Self { poll, ..self }
    }

    /// Statuses that are failures, `http.503`, which another attempt may
    /// mend; all others are results. How often there is another attempt says
    /// the call's [`retry`](HttpCall::retry).
    pub fn retry_status(mut self, statuses: impl IntoIterator<Item = u16>) -> Self {
        self.retry_status = statuses.into_iter().collect();
        self
    }

    /// Its method.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.method
    }

    /// Where it goes.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its headers, as far as the orchestrator gave them.
    #[must_use]
    pub fn headers(&self) -> &BTreeMap<String, String> {
        &self.headers
    }

    /// Its body: a string is sent as it is, any other as JSON.
    #[must_use]
    pub fn body(&self) -> Option<&Value> {
        self.body.as_ref()
    }

    /// As the host gets it.
    fn into_json(self) -> Result<String, Failure> {
        match &self.refusal {
            Some(failure) => Err(failure.clone()),
            None => json::encode(&self, "bad-input", "the request"),
        }
    }

    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn is_retried(&self, status: u16) -> bool {
        self.retry_status.contains(&status)
    }
}

impl From<&str> for HttpRequest {
    /// A GET request.
    fn from(url: &str) -> Self {
        Self::get(url)
    }
}

impl From<String> for HttpRequest {
    /// A GET request.
    fn from(url: String) -> Self {
        Self::get(url)
    }
}

/// What came back: any status but those that were to be retried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct HttpResponse {
    /// Its status: 200.
    pub status: u16,
    /// Its headers; their names are in lower case.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Its body: JSON if its content type says so, else a string.
    #[serde(default)]
    pub body: Value,
}

impl HttpResponse {
    /// A response without headers: for tests, which answer with it.
    #[must_use]
    pub fn new(status: u16, body: impl Into<Value>) -> Self {
        Self { status, headers: BTreeMap::new(), body: body.into() }
    }

    /// This response with a header.
    #[must_use]
    pub fn with_header(mut self, name: impl AsRef<str>, value: impl Into<String>) -> Self {
        self.headers.insert(name.as_ref().to_ascii_lowercase(), value.into());
        self
    }

    /// The header of this name, in whatever case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(&name.to_ascii_lowercase()).map(String::as_str)
    }

    /// Whether the status is one of 200 to 299.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// This response, if its status is one of 200 to 299.
    ///
    /// # Errors
    ///
    /// Else a failure with the status in its code, `http.404`, and the body in
    /// its details.
    pub fn error_for_status(self) -> Result<Self, Failure> {
        if self.is_success() {
            return Ok(self);
        }
        let status = self.status;
        let failure =
            Failure::permanent(format!("http.{status}"), format!("the answer was {status}"));
        Err(failure.with_details(&self.body))
    }

    /// The body as a `T`.
    ///
    /// # Errors
    ///
    /// `bad-output`, if it is none: also where it is text because the answer
    /// did not say that it is JSON.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        json::decode(&self.body.to_string()).map_err(|error| {
            let wanted = std::any::type_name::<T>();
            let message = format!("the body of the answer is not a {wanted}: {error}");
            Failure::permanent("bad-output", message)
        })
    }

    /// The body as text: as it came if it is a string, else as JSON.
    #[must_use]
    pub fn text(&self) -> String {
        match &self.body {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            value => value.to_string(),
        }
    }
}

/// An HTTP request that is not made yet, from
/// [`OrchestratorContext::http`](crate::OrchestratorContext::http). Like an
/// [`ActivityCall`](crate::ActivityCall) it is scheduled when it is first
/// awaited, or by [`start`](Self::start), and is a step of the saga.
#[must_use = "a request is not made until it is awaited or started"]
pub struct HttpCall {
    call: Lazy<Step, HttpResponse>,
}

impl HttpCall {
    pub(crate) fn new(tasks: &Rc<Tasks>, request: HttpRequest) -> Self {
        let input = request.into_json();
        Self { call: Lazy::new(Step::with_json(tasks, "host:http", input, Step::call_http)) }
    }

    pub(crate) fn in_scope(mut self, scope: u32) -> Self {
        self.call.change(|step| step.more().scope = scope);
        self
    }

    /// How often, and when, the request is made again: if nothing came back, or
    /// a status of [`HttpRequest::retry_status`], and then not before its
    /// `retry-after`.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.call.change(|step| step.options.retry = Some((&policy).into()));
        self
    }

    /// Lets the orchestrator's own code say whether, and after how long, the
    /// request is made again; see [`RetryWith`]. It is told of failures only:
    /// of a status if it is one of [`HttpRequest::retry_status`].
    pub fn retry_with<F>(self, again: F) -> RetryWith<HttpResponse, F>
    where
        F: FnMut(&Failure, u32) -> Option<Duration>,
    {
        RetryWith::new(self.call, again)
    }

    /// The wall time one attempt may take.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.call.change(|step| step.options.timeout_ms = Some(millis(timeout)));
        self
    }

    /// The activity that undoes what the request did. Without an input of its
    /// own it gets the request.
    pub fn compensate_with(mut self, compensation: impl Into<Compensation>) -> Self {
        let undo = compensation.into().choice();
        self.call.change(|step| step.more().undo = undo);
        self
    }

    /// Leaves the undo to the orchestrator. A request is not undone where
    /// nothing is said, either; this says it aloud.
    pub fn undo_by_hand(mut self) -> Self {
        self.call.change(|step| step.more().undo = Ok(UndoChoice::ByHand));
        self
    }

    /// Lets the saga only go forward once there is an answer; see
    /// [`ActivityCall::pivot`](crate::ActivityCall::pivot).
    pub fn pivot(mut self) -> Self {
        self.call.change(|step| step.more().pivot = true);
        self
    }

    /// Makes the request now, while the orchestrator goes on.
    pub fn start(self) -> Task<HttpResponse> {
        self.call.start()
    }
}

lazy_future! {
    HttpCall<> => HttpResponse;
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sent(request: HttpRequest) -> Value {
        serde_json::from_str(&request.into_json().unwrap()).unwrap()
    }

    #[test]
    fn as_the_host_gets_it() {
        let plain = json!({"method": "GET", "url": "http://a.example"});
        assert_eq!(sent("http://a.example".into()), plain);
        let full = HttpRequest::post("http://a.example")
            .header("X-Shop", "7")
            .json(&json!({"sku": "book"}))
            .poll(false)
            .retry_status([429, 503]);
        let expected = json!({
            "method": "POST", "url": "http://a.example", "headers": {"x-shop": "7"},
            "body": {"sku": "book"}, "poll": false, "retryStatus": [429, 503],
        });
        assert_eq!(sent(full), expected);
    }

    #[test]
    fn bodies() {
        let body = |request: HttpRequest| sent(request)["body"].clone();
        let put = || HttpRequest::put("http://a.example");
        assert_eq!(body(put().text("plain")), json!("plain"));
        assert_eq!(body(put().json(&[1, 2])), json!([1, 2]));
        // As JSON these are texts with quotes, or a word.
        assert_eq!(body(put().json("plain")), json!("\"plain\""));
        assert_eq!(body(put().json(&())), json!("null"));
        assert_eq!(sent(put().json("plain"))["headers"]["content-type"], "application/json");
        let no_json = std::collections::HashMap::from([((1, 2), 3)]);
        assert_eq!(put().json(&no_json).into_json().unwrap_err().code, "bad-input");
    }

    #[test]
    fn responses() {
        let answer: HttpResponse = serde_json::from_value(json!({
            "status": 200, "headers": {"content-type": "application/json"}, "body": {"left": 3},
        }))
        .unwrap();
        assert_eq!(answer.header("Content-Type"), Some("application/json"));
        assert_eq!(answer.json::<BTreeMap<String, u32>>().unwrap()["left"], 3);
        assert_eq!(answer.json::<u32>().unwrap_err().code, "bad-output");
        assert_eq!(answer.text(), r#"{"left":3}"#);
        assert_eq!(answer.clone().error_for_status(), Ok(answer));
        let missing = HttpResponse::new(404, "no such thing");
        assert_eq!(missing.text(), "no such thing");
        let failure = missing.error_for_status().unwrap_err();
        assert_eq!((failure.code.as_str(), failure.retryable), ("http.404", false));
        assert_eq!(HttpResponse::new(204, Value::Null).text(), "");
    }
}
