//! What becomes of the answer to an HTTP step.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use fluent_uri::{Uri as Base, UriRef};
use hyper::header::{CONTENT_TYPE, HeaderMap, LOCATION, RETRY_AFTER};
use sagahost_core::{Failure, FailureKind, HTTP_ACCEPTED, Json};
use serde::Serialize;

use super::request::{self, Request};
use crate::config::{HTTP_LONGEST_WAIT, HTTP_POLL, HTTP_SHORTEST_POLL};

/// Headers that may go to another host than the one they were meant for.
const FOR_ANY_HOST: [&str; 3] = ["accept", "accept-language", "user-agent"];

pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// The answer as the orchestrator is given it.
#[derive(Serialize)]
struct Document {
    status: u16,
    headers: BTreeMap<String, String>,
    body: Json,
}

/// The request that asks again.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Next<'a> {
    method: &'static str,
    url: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<String, String>,
    poll: bool,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    retry_status: &'a [u16],
}

impl Answer {
    /// The result of the attempt: the answer, or why another request is
    /// needed, and when.
    pub(super) fn settle(
        self,
        request: &Request,
        limit: u64,
        now: SystemTime,
    ) -> Result<Json, Failure> {
        let (origin, status) = (request.origin(), self.status);
        let wait = retry_after(&self.headers, now);
        let retry = request.retry_status.contains(&status);
        if status == 202
            && !retry
            && request.poll
            && let Some(next) = self.next(request)
        {
            let wait = wait.unwrap_or(HTTP_POLL).max(HTTP_SHORTEST_POLL);
            return Err(Failure {
                code: HTTP_ACCEPTED.to_owned(),
                details: Some(document(&next)?),
                retryable: true,
                retry_after_ms: Some(millis(wait)),
                ..Failure::host(
                    FailureKind::Returned,
                    format!("{origin} has accepted the request and is asked for the answer later"),
                )
            });
        }
        let answer = Document { status, headers: joined(&self.headers), body: self.body()? };
        let answer = document(&answer)?;
        if answer.as_str().len() as u64 > limit {
            return Err(too_large(&origin, limit));
        }
        if !retry {
            return Ok(answer);
        }
        Err(Failure {
            code: format!("http.{status}"),
            details: Some(answer),
            retryable: true,
            retry_after_ms: wait.map(millis),
            ..Failure::host(
                FailureKind::Returned,
                format!("{origin} answered with status {status}, which is to be tried again"),
            )
        })
    }

    /// The request that asks for the answer to one that was accepted; nothing
    /// where the answer does not say where to ask.
    fn next<'a>(&self, request: &'a Request) -> Option<Next<'a>> {
        let location = std::str::from_utf8(self.headers.get(LOCATION)?.as_bytes()).ok()?;
        let asked = request.url.to_string();
        let url = UriRef::parse(location).ok()?;
        let url = url.resolve_against(&Base::parse(asked.as_str()).ok()?).ok()?;
        let url = request::url(url.as_str()).ok()?;
        let same = url.scheme() == request.url.scheme()
            && url.port_u16() == request.url.port_u16()
            && url.host().zip(request.url.host()).is_some_and(|(a, b)| a.eq_ignore_ascii_case(b));
        let mut headers = joined(&request.headers);
        headers.retain(|name, _| match same {
            true => !name.starts_with("content-"),
            // The others may be the keys to this one.
            false => FOR_ANY_HOST.contains(&name.as_str()),
        });
        Some(Next {
            method: "GET",
            url: url.to_string(),
            headers,
            poll: true,
            retry_status: &request.retry_status,
        })
    }

    /// The body as JSON, if it says that it is, and is; else as text.
    fn body(&self) -> Result<Json, Failure> {
        let kind = self.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default();
        let kind = kind.trim().to_ascii_lowercase();
        let text = String::from_utf8_lossy(&self.body);
        if (kind == "application/json" || kind.ends_with("+json"))
            && let Ok(json) = Json::parse(&*text)
        {
            return Ok(json);
        }
        document(&*text)
    }
}

pub(super) fn too_large(origin: &str, limit: u64) -> Failure {
    let message = format!(
        "the answer of {origin} is larger than the limit of {limit} bytes, which is the \
         orchestrator's `output` in the manifest"
    );
    Failure::host(FailureKind::OutputLimit, message)
}

fn document<T: Serialize + ?Sized>(value: &T) -> Result<Json, Failure> {
    Json::of(value).map_err(|error| {
        Failure::host(FailureKind::BadOutput, format!("the answer cannot be written: {error}"))
    })
}

/// The headers by their names in lower case; the values of one name joined.
fn joined(headers: &HeaderMap) -> BTreeMap<String, String> {
    let mut joined = BTreeMap::<String, String>::new();
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        joined
            .entry(name.as_str().to_owned())
            .and_modify(|all| {
                all.push_str(", ");
                all.push_str(&value);
            })
            .or_insert_with(|| value.into_owned());
    }
    joined
}

/// For how long the answer asks to be left alone: so many seconds, or until a
/// date.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit are more than the longest wait.
        Duration::from_secs(text.parse().unwrap_or(u64::MAX))
    } else {
        let date = httpdate::parse_http_date(text).ok()?;
        date.duration_since(now).unwrap_or_default()
    };
    Some(wait.min(HTTP_LONGEST_WAIT))
}

fn millis(wait: Duration) -> u64 {
    u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn request(more: &str) -> Request {
        let text = format!(
            r#"{{"method": "POST", "url": "https://a.example/jobs/new?now=1", "body": {{}},
                "headers": {{"Authorization": "k3y", "Accept": "text/plain",
                             "Content-Type": "text/x"}}{more}}}"#
        );
        Request::parse(&Json::parse(text).unwrap()).unwrap()
    }

    fn answer(status: u16, headers: &[(&'static str, &str)], body: &'static [u8]) -> Answer {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        Answer { status, headers: map, body: Bytes::from_static(body) }
    }

    fn wait(text: &str) -> Option<u64> {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        let headers = answer(503, &[("retry-after", text)], b"").headers;
        retry_after(&headers, now).map(millis)
    }

    #[test]
    fn a_wait_is_seconds_or_a_date() {
        assert_eq!(wait("0"), Some(0));
        assert_eq!(wait(" 120 "), Some(120_000));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:40 GMT"), Some(3_000));
        assert_eq!(wait("Sunday, 06-Nov-94 08:49:40 GMT"), Some(3_000));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:30 GMT"), Some(0));
        for long in ["99999999999", "99999999999999999999999", "Fri, 31 Dec 9999 23:59:59 GMT"] {
            assert_eq!(wait(long), Some(millis(HTTP_LONGEST_WAIT)), "{long}");
        }
        for wrong in ["", "-1", "1.5", "soon", "12 s"] {
            assert_eq!(wait(wrong), None, "{wrong:?}");
        }
    }

    fn next(location: &str) -> Option<Value> {
        let answer = answer(202, &[("location", location)], b"");
        let failure = answer.settle(&request(""), 1 << 20, SystemTime::now()).err()?;
        assert_eq!((failure.code.as_str(), failure.retryable), (HTTP_ACCEPTED, true));
        assert_eq!(failure.retry_after_ms, Some(millis(HTTP_POLL)));
        Some(failure.details.unwrap().to_value())
    }

    #[test]
    fn an_accepted_request_is_asked_for_where_the_answer_says() {
        for (location, url) in [
            ("https://a.example/jobs/7", "https://a.example/jobs/7"),
            ("https://A.example/jobs/7", "https://A.example/jobs/7"),
            ("//a.example/x", "https://a.example/x"),
            ("/jobs/7?a=b#c", "https://a.example/jobs/7?a=b"),
            ("7", "https://a.example/jobs/7"),
            ("../up/./7", "https://a.example/up/7"),
            ("?id=7", "https://a.example/jobs/new?id=7"),
        ] {
            let headers = json!({"accept": "text/plain", "authorization": "k3y"});
            let next = next(location).unwrap();
            assert_eq!(
                next,
                json!({"method": "GET", "url": url, "headers": headers, "poll": true}),
                "{location}"
            );
            Request::parse(&Json::of(&next).unwrap()).unwrap();
        }
        // What is no place to ask leaves the answer as it is.
        for location in ["", "http://", "mailto:a@a.example", "a b", "https://u@a.example/"] {
            let asked = next(location);
            // An empty reference is the URL itself.
            assert_eq!(asked.is_some(), location.is_empty(), "{location:?}: {asked:?}");
        }
    }

    #[test]
    fn what_was_meant_for_one_host_goes_to_no_other() {
        for location in
            ["https://b.example/", "http://a.example/", "https://a.example:444/", "//c.a.example/"]
        {
            let next = next(location).unwrap();
            assert_eq!(next["headers"], json!({"accept": "text/plain"}), "{location}");
        }
    }

    #[test]
    fn a_server_that_is_asked_too_often_is_not() {
        let soon = answer(202, &[("location", "/x"), ("retry-after", "0")], b"");
        let request = request(r#", "retryStatus": [503]"#);
        let failure = soon.settle(&request, 1 << 20, SystemTime::now()).unwrap_err();
        assert_eq!(failure.retry_after_ms, Some(millis(HTTP_SHORTEST_POLL)));
        assert_eq!(failure.details.unwrap().to_value()["retryStatus"], json!([503]));
    }

    #[test]
    fn a_status_to_retry_is_no_answer_even_if_it_is_202() {
        let accepted = answer(202, &[("location", "/x")], b"later");
        let request = request(r#", "retryStatus": [202]"#);
        let failure = accepted.settle(&request, 1 << 20, SystemTime::now()).unwrap_err();
        assert_eq!((failure.code.as_str(), failure.retry_after_ms), ("http.202", None));
    }

    #[test]
    fn a_body_is_json_where_it_says_so_and_is() {
        let body = |kind: &str, body: &'static [u8]| {
            answer(200, &[("content-type", kind)], body).body().unwrap()
        };
        assert_eq!(body("application/json", b" {\"n\": 1.50} ").as_str(), r#"{"n": 1.50}"#);
        assert_eq!(body("Application/Problem+JSON; charset=utf-8", b"[1]").as_str(), "[1]");
        for (kind, bytes, text) in [
            ("text/plain", &b"1"[..], "1"),
            ("application/json", b"", ""),
            ("application/json", b"{oops", "{oops"),
            ("text/plain", b"a\xff", "a\u{fffd}"),
        ] {
            assert_eq!(body(kind, bytes).to_value(), json!(text), "{kind}");
        }
    }
}
