//! Bodies of requests: read within limits of size and time, and taken as
//! JSON.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use sagahost_core::Json;
use tokio::runtime::Handle;

use crate::error::ApiError;

/// How much of a body that is not wanted is read all the same, so that its
/// sender, who may not read before it has sent all, gets the answer.
const DISCARD_BYTES: u64 = 64 << 20;
const DISCARD_TIME: Duration = Duration::from_secs(10);

/// How large a body may be, and how long its sender may pause.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) bytes: usize,
    pub(crate) pause: Duration,
}

/// The whole body.
pub(crate) async fn read(mut body: Body, limits: Limits) -> Result<Bytes, ApiError> {
    let announced = body.size_hint().exact();
    if announced.is_some_and(|bytes| bytes > limits.bytes as u64) {
        return Err(too_large(limits.bytes));
    }
    let mut first: Option<Bytes> = None;
    let mut all: Vec<u8> = Vec::new();
    loop {
        if body.is_end_stream() {
            break;
        }
        let frame = tokio::time::timeout(limits.pause, body.frame()).await;
        let data = match frame {
            Ok(None) => break,
            Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
            Ok(Some(Err(_))) => return Err(broken()),
            Err(_) => {
                return Err(ApiError::new(
                    StatusCode::REQUEST_TIMEOUT,
                    "BodyTimeout",
                    format!("No more of the body came for {} s.", limits.pause.as_secs()),
                ));
            }
        };
        let so_far = all.len() + first.as_ref().map_or(0, Bytes::len);
        if so_far + data.len() > limits.bytes {
            return Err(too_large(limits.bytes));
        }
        // Most bodies are one frame, which is then not copied.
        if so_far == 0 {
            first = Some(data);
        } else {
            if let Some(first) = first.take() {
                // What is announced was checked against the limit above; it is
                // not believed further than that much memory may be given.
                let expected = announced.map_or(0, |bytes| bytes.min(1 << 20) as usize);
                all.reserve(expected.max(first.len() + data.len()));
                all.extend_from_slice(&first);
            }
            all.extend_from_slice(&data);
        }
    }
    Ok(first.unwrap_or_else(|| Bytes::from(all)))
}

fn too_large(limit: usize) -> ApiError {
    ApiError::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "BodyTooLarge",
        format!("The body is larger than this host accepts here: {limit} bytes."),
    )
}

fn broken() -> ApiError {
    ApiError::bad_request("BodyBroken", "The body ended before its end.")
}

/// A request's body. What nobody has read of it when it is dropped is read and
/// forgotten: else the connection would end with the answer, without a word, and
/// a client that sends its next request on it finds it closed.
pub(crate) struct Drained {
    /// None once it has been read to its end.
    body: Option<Incoming>,
}

impl Drained {
    pub(crate) fn new(body: Incoming) -> Self {
        Drained { body: (!body.is_end_stream()).then_some(body) }
    }
}

impl HttpBody for Drained {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(&mut *body).poll_frame(cx));
        if !matches!(frame, Some(Ok(_))) || body.is_end_stream() {
            self.body = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl Drop for Drained {
    fn drop(&mut self) {
        if let Some(body) = self.body.take()
            && body.size_hint().lower() <= DISCARD_BYTES
            && let Ok(tasks) = Handle::try_current()
        {
            tasks.spawn(tokio::time::timeout(DISCARD_TIME, discard(body)));
        }
    }
}

async fn discard(mut body: Incoming) {
    let mut left = DISCARD_BYTES;
    while let Some(Ok(frame)) = body.frame().await {
        let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
        match left.checked_sub(bytes) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

/// Whether the body calls itself JSON.
pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    let media_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .unwrap_or_default();
    media_type.trim().eq_ignore_ascii_case("application/json")
}

/// The input of a start or of an activity: a JSON document, or nothing, which
/// counts as `null`.
pub(crate) fn input(bytes: Bytes) -> Result<Json, ApiError> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(Json::null());
    }
    document(bytes)
}

/// A JSON document. This is the one place where what a client sent becomes
/// JSON.
pub(crate) fn document(bytes: Bytes) -> Result<Json, ApiError> {
    let text = String::from_utf8(Vec::from(bytes)).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        not_json(format!("it is not UTF-8 after the first {good} bytes"))
    })?;
    // Some Windows tools begin every file with a byte order mark.
    let text = match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    };
    Json::parse(text).map_err(|error| not_json(error.to_string()))
}

/// What a client of Durable Functions sent, as it meant it. The one for Python
/// encodes every value twice: what arrives is a JSON string that holds JSON.
/// Nothing but its name tells that apart from a string that somebody means.
pub(crate) fn meant(headers: &HeaderMap, sent: Json) -> Json {
    match content(&sent) {
        Some(content) if encodes_twice(headers) => content,
        _ => sent,
    }
}

/// The same for the input of a start or an operation, where also `fits` tells:
/// what the orchestrator or the entity takes. A string that it would refuse is taken for its content
/// if that is what it takes. An empty one, which the client for JavaScript
/// sends where it is given no input, has the content `null`.
pub(crate) fn meant_input(headers: &HeaderMap, sent: Json, fits: impl Fn(&Json) -> bool) -> Json {
    let sent = meant(headers, sent);
    let content = || match sent.as_str().trim() {
        "\"\"" => Some(Json::null()),
        _ => content(&sent),
    };
    // Only where there are two ways to take it: the engine looks at it again.
    match content() {
        Some(content) if !fits(&sent) && fits(&content) => content,
        _ => sent,
    }
}

/// The JSON that a JSON string holds.
fn content(json: &Json) -> Option<Json> {
    if !json.as_str().trim_start().starts_with('"') {
        return None;
    }
    let text: String = serde_json::from_str(json.as_str()).ok()?;
    Json::parse(text).ok()
}

/// Whether this is sent with the library of the client for Python, which names
/// itself `Python/3.11 aiohttp/3.14.5`.
fn encodes_twice(headers: &HeaderMap) -> bool {
    let agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
    agent.is_some_and(|agent| agent.starts_with("Python/") && agent.contains(" aiohttp/"))
}

fn not_json(problem: String) -> ApiError {
    ApiError::bad_request("BodyNotJson", format!("The body is not JSON: {problem}."))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn limits(bytes: usize) -> Limits {
        Limits { bytes, pause: Duration::from_millis(50) }
    }

    fn chunked(chunks: &[&'static str]) -> Body {
        let chunks: Vec<Result<Bytes, std::io::Error>> =
            chunks.iter().map(|chunk| Ok(Bytes::from_static(chunk.as_bytes()))).collect();
        Body::from_stream(futures_util::stream::iter(chunks))
    }

    #[tokio::test]
    async fn bodies_are_read_whole_up_to_the_limit() {
        let whole = read(Body::from("12345"), limits(5)).await.expect("fits");
        assert_eq!(whole, "12345");
        let whole = read(chunked(&["12", "", "34", "5"]), limits(5)).await.expect("fits");
        assert_eq!(whole, "12345");
        assert_eq!(read(Body::empty(), limits(0)).await.expect("nothing"), "");
        for body in [Body::from("123456"), chunked(&["123", "456"])] {
            let refused = read(body, limits(5)).await.expect_err("too large");
            assert_eq!(refused.status(), 413);
        }
    }

    #[tokio::test]
    async fn a_sender_that_stalls_or_breaks_is_given_up() {
        let stalled =
            Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
        assert_eq!(read(stalled, limits(5)).await.expect_err("late").status(), 408);
        let gone = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        let gone = Body::from_stream(futures_util::stream::iter([Err::<Bytes, _>(gone)]));
        assert_eq!(read(gone, limits(5)).await.expect_err("broken").status(), 400);
    }

    #[test]
    fn inputs_are_json_or_nothing() {
        let text = |bytes: &'static [u8]| {
            input(Bytes::from_static(bytes)).map(|json| json.as_str().to_owned())
        };
        assert_eq!(text(b"").expect("nothing"), "null");
        assert_eq!(text(b" \r\n").expect("nothing"), "null");
        assert_eq!(text(b" {\"a\": 1.0}\n").expect("JSON").trim(), "{\"a\": 1.0}");
        assert_eq!(text(b"\xef\xbb\xbf[1]").expect("JSON"), "[1]");
        let refused = format!("{:?}", text(b"{\n  \"a\": nope}").expect_err("no JSON"));
        assert!(refused.contains("line 2 column"), "{refused}");
        let refused = format!("{:?}", text(b"\"a\xff\"").expect_err("no UTF-8"));
        assert!(refused.contains("first 2 bytes"), "{refused}");
        assert!(text(b"1 2").is_err());
        assert!(document(Bytes::new()).is_err());
    }

    fn agent(name: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::USER_AGENT, HeaderValue::from_static(name))])
    }

    fn json(text: &str) -> Json {
        Json::parse(text).expect("JSON")
    }

    #[test]
    fn what_the_python_client_encodes_twice_is_taken_apart() {
        let python = agent("Python/3.11 aiohttp/3.14.5");
        for (sent, expected) in [
            (r#""{\"a\": 1}""#, r#"{"a": 1}"#),
            (r#"" [1]""#, " [1]"),
            (r#""7""#, "7"),
            (r#""null""#, "null"),
            (r#""\"text\"""#, r#""text""#),
            // What it does not send stays as it is.
            (r#""text""#, r#""text""#),
            (r#""""#, r#""""#),
            (r#"{"a": "1"}"#, r#"{"a": "1"}"#),
        ] {
            assert_eq!(meant(&python, json(sent)), json(expected), "{sent}");
        }
        for other in ["axios/1.21.1", "python-requests/2.34.2", "curl/8.0", "x Python/3 aiohttp/3"]
        {
            let sent = json(r#""{\"a\": 1}""#);
            assert_eq!(meant(&agent(other), sent.clone()), sent, "{other}");
        }
        let sent = json(r#""7""#);
        assert_eq!(meant(&HeaderMap::new(), sent.clone()), sent);
    }

    #[test]
    fn a_string_is_taken_apart_where_the_orchestrator_takes_none() {
        let kind = |first: &'static [char]| move |json: &Json| json.as_str().starts_with(first);
        let input = |sent: &str, fits: &dyn Fn(&Json) -> bool| {
            meant_input(&HeaderMap::new(), json(sent), fits).as_str().to_owned()
        };
        let (object, string, null) = (kind(&['{']), kind(&['"']), kind(&['n']));
        assert_eq!(input(r#""{\"a\": 1}""#, &object), r#"{"a": 1}"#);
        assert_eq!(input(r#""{\"a\": 1}""#, &string), r#""{\"a\": 1}""#);
        assert_eq!(input(r#""{\"a\": 1}""#, &|_| true), r#""{\"a\": 1}""#);
        assert_eq!(input(r#""""#, &null), "null");
        assert_eq!(input(r#""""#, &string), r#""""#);
        // What fits neither way is refused as it was sent.
        assert_eq!(input(r#""""#, &object), r#""""#);
        assert_eq!(input(r#""7""#, &object), r#""7""#);
        assert_eq!(input("7", &object), "7");
    }

    proptest! {
        #[test]
        fn whatever_python_encodes_twice_arrives(text in any::<String>(), number in any::<i64>()) {
            let python = agent("Python/3.12 aiohttp/3.9.0");
            for value in [serde_json::json!(text), serde_json::json!({ "a": [number, text] })] {
                let once = value.to_string();
                let twice = Json::of(&once).expect("JSON");
                let taken = meant(&python, twice);
                prop_assert_eq!(taken.as_str(), once);
            }
        }

        #[test]
        fn any_bytes_are_json_or_refused(bytes in any::<Vec<u8>>()) {
            let is_json = serde_json::from_slice::<serde_json::Value>(&bytes).is_ok();
            let taken = document(Bytes::from(bytes)).is_ok();
            prop_assert!(taken || !is_json);
        }
    }
}
