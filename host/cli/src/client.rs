//! Talks to a running host over HTTP.

use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST, HeaderMap};
use hyper::{Method, Request, Response, Uri};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::exit::{Exit, fail};

/// Where the Durable Functions management API is.
pub(crate) const BASE: &str = "/runtime/webhooks/durabletask";

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(10);

/// How long a whole answer may take. A component is compiled before its
/// deployment is answered, which takes longest.
const ANSWER: Duration = Duration::from_secs(300);

/// Which host, and the key for it.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct RemoteArgs {
    /// Where the host is [default: $SAGAHOST_URL, else http://127.0.0.1:7071]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// An API key, where the host asks for one [default: $SAGAHOST_KEY]
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Print JSON, for programs
    #[arg(long)]
    pub(crate) json: bool,
}

/// A host, as the commands see it.
#[derive(Clone)]
pub(crate) struct Remote {
    host: String,
    port: u16,
    key: Option<String>,
}

/// A whole answer.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

fn env(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

impl RemoteArgs {
    /// The host these arguments name.
    pub(crate) fn remote(&self) -> Result<Remote> {
        let url = self.url.clone().or_else(|| env("SAGAHOST_URL"));
        let key = self.key.clone().or_else(|| env("SAGAHOST_KEY"));
        Remote::new(url.as_deref().unwrap_or("http://127.0.0.1:7071"), key)
    }
}

impl Remote {
    pub(crate) fn new(url: &str, key: Option<String>) -> Result<Self> {
        let wrong = |why: &str| {
            fail(Exit::Usage, format!("the URL {url:?} {why}; write it like http://127.0.0.1:7071"))
        };
        let with_scheme =
            if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        let uri: Uri = with_scheme.parse().map_err(|_| wrong("cannot be read"))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => {
                return Err(wrong("asks for TLS, which this client does not speak: use a tunnel"));
            }
            _ => return Err(wrong("is not one of HTTP")),
        }
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(wrong("has a path; only scheme, host and port are wanted"));
        }
        let host =
            uri.host().filter(|host| !host.is_empty()).ok_or_else(|| wrong("names no host"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Remote { host, port: uri.port_u16().unwrap_or(80), key })
    }

    /// Host and port, as they stand in URLs.
    pub(crate) fn authority(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }

    /// Whether it runs on this machine, so that `/proc` tells about it.
    pub(crate) fn is_local(&self) -> bool {
        matches!(self.host.as_str(), "localhost" | "::1") || self.host.starts_with("127.")
    }

    /// A connection that stays open for one request after the other.
    pub(crate) async fn connect(&self) -> Result<SendRequest<Full<Bytes>>> {
        let cannot = |why: String| {
            let url = self.authority();
            fail(
                Exit::Unreachable,
                format!(
                    "cannot reach the host at http://{url}: {why}; is it running (`sagahost dev` or `sagahost serve`), and is --url right?"
                ),
            )
        };
        let connecting = TcpStream::connect((self.host.as_str(), self.port));
        let stream = tokio::time::timeout(CONNECT, connecting)
            .await
            .map_err(|_| cannot("it does not answer".into()))?
            .map_err(|error| cannot(error.to_string()))?;
        stream.set_nodelay(true).map_err(|error| cannot(error.to_string()))?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| cannot(error.to_string()))?;
        // What goes wrong with the connection is told to whoever waits for
        // an answer on it.
        tokio::spawn(connection);
        Ok(sender)
    }

    /// A request to this host, with its key.
    pub(crate) fn request(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Request<Full<Bytes>>> {
        let mut request =
            Request::builder().method(method).uri(path).header(HOST, self.authority());
        if let Some(key) = &self.key {
            request = request.header("x-functions-key", key);
        }
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        request
            .body(Full::new(body))
            .map_err(|error| fail(Exit::Usage, format!("this cannot be asked over HTTP: {error}")))
    }

    /// Sends a request and gives the answer as soon as its head is there.
    pub(crate) async fn open(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>> {
        let mut sender = self.connect().await?;
        sender.send_request(request).await.map_err(|error| self.lost(&error))
    }

    fn lost(&self, error: &hyper::Error) -> anyhow::Error {
        let url = self.authority();
        fail(Exit::Unreachable, format!("the host at http://{url} did not answer: {error}"))
    }

    /// Sends a request and gives the whole answer, whatever its status.
    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Result<Reply> {
        let whole = async {
            let response = self.open(request).await?;
            let (head, body) = response.into_parts();
            let body = body.collect().await.map_err(|error| self.lost(&error))?.to_bytes();
            Ok(Reply { status: head.status.as_u16(), headers: head.headers, body })
        };
        tokio::time::timeout(ANSWER, whole).await.unwrap_or_else(|_| Err(self.silent(ANSWER)))
    }

    /// The error for a host that takes connections and answers nothing.
    pub(crate) fn silent(&self, waited: Duration) -> anyhow::Error {
        let url = self.authority();
        fail(
            Exit::Unreachable,
            format!(
                "the host at http://{url} took the request and did not answer within {waited:?}"
            ),
        )
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Reply> {
        self.send(self.request(Method::GET, path, Bytes::new())?).await
    }

    pub(crate) async fn post(&self, path: &str, body: impl Into<Bytes>) -> Result<Reply> {
        self.send(self.request(Method::POST, path, body.into())?).await
    }
}

impl Reply {
    /// This answer, unless it is a refusal.
    pub(crate) fn ok(self) -> Result<Reply> {
        match self.status {
            200..300 => Ok(self),
            status => Err(refusal(status, &self.body)),
        }
    }

    /// The body as JSON.
    pub(crate) fn value(&self) -> Result<Value> {
        serde_json::from_slice(&self.body)
            .context("the host answered with something that is not JSON; is it a sagahost?")
    }
}

/// The error for an answer of this status.
pub(crate) fn refusal(status: u16, body: &[u8]) -> anyhow::Error {
    let exit = match status {
        400 | 413 | 415 | 422 => Exit::Usage,
        401 | 403 => Exit::NotAllowed,
        404 => Exit::NotFound,
        409 | 410 | 412 => Exit::Conflict,
        _ => Exit::Failed,
    };
    let hint = match status {
        401 => " Give a key with --key or SAGAHOST_KEY.",
        _ => "",
    };
    let said = serde_json::from_slice::<Value>(body).ok();
    let said = said.as_ref().and_then(|body| {
        ["ExceptionMessage", "Message", "message"].iter().find_map(|key| body.get(key)?.as_str())
    });
    match said {
        Some(message) => fail(exit, format!("{message}{hint}")),
        None => fail(exit, format!("the host answered with status {status}.{hint}")),
    }
}

/// A part of a path or query, with everything encoded that is not plain.
pub(crate) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(byte.into())
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// A path with a query of those parameters that have a value.
pub(crate) fn with_query(path: &str, parameters: &[(&str, Option<String>)]) -> String {
    let mut out = path.to_owned();
    let mut mark = '?';
    for (name, value) in parameters {
        if let Some(value) = value {
            out.push(mark);
            out.push_str(name);
            out.push('=');
            out.push_str(&encode(value));
            mark = '&';
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        for (url, authority) in [
            ("http://127.0.0.1:7071", "127.0.0.1:7071"),
            ("http://example.org/", "example.org:80"),
            ("localhost:1234", "localhost:1234"),
            ("http://[::1]:7071", "[::1]:7071"),
        ] {
            let remote = Remote::new(url, None).expect(url);
            assert_eq!(remote.authority(), authority);
        }
        for url in ["https://example.org", "ftp://x", "http://", "http://x/path", "not a url"] {
            assert!(Remote::new(url, None).is_err(), "{url}");
        }
    }

    #[test]
    fn queries_are_encoded_and_what_is_missing_is_left_out() {
        let path =
            with_query("/x", &[("a", Some("1 & ä".into())), ("b", None), ("c", Some("d".into()))]);
        assert_eq!(path, "/x?a=1%20%26%20%C3%A4&c=d");
    }

    #[test]
    fn a_refusal_says_what_the_host_said() {
        let error = refusal(404, br#"{"Message":"There is no instance with the id 'x'."}"#);
        assert_eq!(error.to_string(), "There is no instance with the id 'x'.");
        assert_eq!(refusal(500, b"<html>").to_string(), "the host answered with status 500.");
    }
}
