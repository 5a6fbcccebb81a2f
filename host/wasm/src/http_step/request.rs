//! Reading the request of an HTTP step.
//!
//! No message here quotes a value: headers, queries and bodies may be secret.

use std::collections::BTreeMap;

use bytes::Bytes;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Uri};
use sagahost_core::Json;
use serde::de::DeserializeOwned;

const KEYS: [&str; 6] = ["method", "url", "headers", "body", "poll", "retryStatus"];

/// Headers that are the host's: of the step, of the connection, and the one
/// that would name another host than the one that was granted.
const OURS: [&str; 11] = [
    "idempotency-key",
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authorization",
    "te",
    "trailer",
    "upgrade",
];

/// A request that was found right.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) url: Uri,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<Bytes>,
    /// Of the body, where the headers do not say it.
    pub(super) content_type: &'static str,
    /// Whether an answer of 202 is followed.
    pub(super) poll: bool,
    pub(super) retry_status: Vec<u16>,
}

impl Request {
    /// Reads it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(json: &Json) -> Result<Self, String> {
        let mut given: BTreeMap<String, Json> = match json.as_str().starts_with('{') {
            true => serde_json::from_str(json.as_str()).map_err(|error| error.to_string())?,
            false => return Err("it is not an object".to_owned()),
        };
        if let Some(key) = given.keys().find(|key| !KEYS.contains(&key.as_str())) {
            return Err(format!("it has a key {key:?}, and there are {}", KEYS.join(", ")));
        }
        given.retain(|_, value| value.as_str() != "null");
        let url: String = read(&given, "url", "a string")?.ok_or("its `url` is missing")?;
        let method: Option<String> = read(&given, "method", "a string")?;
        let headers: Option<BTreeMap<String, String>> =
            read(&given, "headers", "an object of strings")?;
        let (body, content_type) = match given.get("body") {
            None => (None, ""),
            Some(text) if text.as_str().starts_with('"') => {
                let text: Option<String> = read(&given, "body", "a string that can be read")?;
                (text.map(Bytes::from), "text/plain; charset=utf-8")
            }
            Some(json) => {
                (Some(Bytes::copy_from_slice(json.as_str().as_bytes())), "application/json")
            }
        };
        let statuses = "a list of statuses from 100 to 599";
        let retry_status: Vec<u16> = read(&given, "retryStatus", statuses)?.unwrap_or_default();
        if !retry_status.iter().all(|status| (100..600).contains(status)) {
            return Err(format!("its `retryStatus` is not {statuses}"));
        }
        Ok(Request {
            method: self::method(method.as_deref().unwrap_or("GET"))?,
            url: self::url(&url)?,
            headers: self::headers(headers.unwrap_or_default())?,
            body,
            content_type,
            poll: read(&given, "poll", "true or false")?.unwrap_or(true),
            retry_status,
        })
    }

    /// Host and port as they stand in the URL.
    pub(super) fn authority(&self) -> &str {
        self.url.authority().map_or("", |authority| authority.as_str())
    }

    /// Scheme, host and port: all that is told of the URL, since the rest may
    /// be secret.
    pub(super) fn origin(&self) -> String {
        format!("{}://{}", self.url.scheme_str().unwrap_or("https"), self.authority())
    }
}

fn read<T: DeserializeOwned>(
    given: &BTreeMap<String, Json>,
    key: &str,
    what: &str,
) -> Result<Option<T>, String> {
    let value = given.get(key).map(|value| serde_json::from_str(value.as_str()));
    value.transpose().map_err(|_| format!("its `{key}` is not {what}"))
}

fn method(text: &str) -> Result<Method, String> {
    match Method::from_bytes(text.to_ascii_uppercase().as_bytes()) {
        Ok(Method::CONNECT) => Err("its `method` is CONNECT, which makes no request".to_owned()),
        Ok(method) => Ok(method),
        Err(_) => Err("its `method` is not an HTTP method".to_owned()),
    }
}

/// Reads a URL that can be asked for.
pub(super) fn url(text: &str) -> Result<Uri, String> {
    let wrong =
        |why: &str| format!("its `url` {why}; it is one such as https://stock.example/items?id=7");
    let url: Uri = text.parse().map_err(|_| {
        wrong("cannot be read (what is not ASCII, and what has a meaning of its own, is percent-encoded)")
    })?;
    if !matches!(url.scheme_str(), Some("http" | "https")) {
        return Err(wrong("begins with neither http:// nor https://"));
    }
    match url.authority() {
        Some(authority) if authority.as_str().contains('@') => {
            Err(wrong("has a user or a password in it: they go into a header `authorization`"))
        }
        Some(authority) if !authority.host().is_empty() => Ok(url),
        _ => Err(wrong("names no host")),
    }
}

fn headers(given: BTreeMap<String, String>) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        let known = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| format!("{name:?} in its `headers` cannot be the name of a header"))?;
        if OURS.contains(&known.as_str()) {
            return Err(format!(
                "its `headers` have `{known}`, which Sagahost sets itself: leave it out"
            ));
        }
        let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| {
            format!("the value of `{known}` in its `headers` has a character that cannot be in one")
        })?;
        headers.try_append(known, value).map_err(|_| "its `headers` are too many".to_owned())?;
    }
    Ok(headers)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Request, String> {
        Request::parse(&Json::parse(text).unwrap())
    }

    #[test]
    fn only_the_url_is_required() {
        let request = parse(r#"{"url": "https://a.example"}"#).unwrap();
        assert_eq!((request.method.as_str(), request.url.path()), ("GET", "/"));
        assert!(request.poll && request.body.is_none() && request.headers.is_empty());
        let nulls = r#"{"url": "http://a.example:8080/x?y#z", "method": null, "headers": null,
                        "body": null, "poll": null, "retryStatus": null}"#;
        let request = parse(nulls).unwrap();
        assert!(request.poll && request.body.is_none() && request.retry_status.is_empty());
        assert_eq!(request.url, "http://a.example:8080/x?y");
        assert_eq!(request.origin(), "http://a.example:8080");
    }

    #[test]
    fn a_string_is_sent_as_it_is_and_the_rest_as_json() {
        let body = |text: &str| {
            let request =
                parse(&format!(r#"{{"url": "https://a.example", "body": {text}}}"#)).unwrap();
            let body = request.body.unwrap();
            (String::from_utf8(body.to_vec()).unwrap(), request.content_type)
        };
        assert_eq!(body(r#""a\n\u00e9""#), ("a\né".to_owned(), "text/plain; charset=utf-8"));
        assert_eq!(body(r#"{"n": 1.0}"#), (r#"{"n": 1.0}"#.to_owned(), "application/json"));
        assert_eq!(body("0"), ("0".to_owned(), "application/json"));
    }

    #[test]
    fn what_is_wrong_is_named_and_no_value_is_told() {
        for (text, words) in [
            ("[]", "it is not an object"),
            ("{}", "its `url` is missing"),
            (r#"{"url": 5}"#, "its `url` is not a string"),
            (r#"{"url": "/s3cret"}"#, "begins with neither"),
            (r#"{"url": "s3cret"}"#, "begins with neither"),
            (r#"{"url": "ftp://a.example/s3cret"}"#, "begins with neither"),
            (r#"{"url": "https://a.example/s3cret é"}"#, "percent-encoded"),
            (r#"{"url": "https://u:s3cret@a.example/"}"#, "user or a password"),
            (r#"{"url": "https://:80/"}"#, "its `url`"),
            (r#"{"url": "https://a", "uri": 1}"#, "a key \"uri\", and there are method, url"),
            (r#"{"url": "https://a", "method": "a b"}"#, "its `method` is not an HTTP method"),
            (r#"{"url": "https://a", "method": "connect"}"#, "CONNECT"),
            (r#"{"url": "https://a", "headers": ["s3cret"]}"#, "`headers` is not an object"),
            (r#"{"url": "https://a", "headers": {"a": 5}}"#, "`headers` is not an object"),
            (r#"{"url": "https://a", "headers": {"a b": ""}}"#, "\"a b\" in its `headers`"),
            (r#"{"url": "https://a", "headers": {"a": "s3cret\n"}}"#, "the value of `a`"),
            (r#"{"url": "https://a", "headers": {"Host": "s3cret"}}"#, "have `host`"),
            (
                r#"{"url": "https://a", "headers": {"Idempotency-Key": "s3cret"}}"#,
                "have `idempotency-key`",
            ),
            (r#"{"url": "https://a", "poll": "s3cret"}"#, "its `poll` is not true or false"),
            (r#"{"url": "https://a", "retryStatus": 503}"#, "`retryStatus` is not a list"),
            (r#"{"url": "https://a", "retryStatus": [503, 5]}"#, "`retryStatus` is not a list"),
            (r#"{"url": "https://a", "retryStatus": [70000]}"#, "`retryStatus` is not a list"),
        ] {
            let reason = parse(text).expect_err(text);
            assert!(reason.contains(words), "{text}: {reason}");
            assert!(!reason.contains("s3cret"), "{text}: {reason}");
        }
    }
}
