//! The load: so many sagas in flight, one after the other on each of so many
//! connections.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use hyper::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderValue, RETRY_AFTER};
use hyper::{Method, Request, Uri};

use super::outcome::{Answer, Outcome};
use crate::client::{BASE, Remote, encode, refusal};
use crate::exit::{Exit, fail};
use crate::template::Template;

/// When a host is given up that answers nothing: it was asked to answer after
/// 300 seconds at the latest.
const SILENT: Duration = Duration::from_secs(330);

/// Connections that are being made at the same time. A host's queue of those it
/// has not taken yet is not endless.
const CONNECTING: usize = 64;

/// What to start, and how.
pub(super) struct Load {
    pub(super) remote: Remote,
    pub(super) name: String,
    pub(super) input: Template,
    pub(super) in_flight: usize,
    /// Whether the end of each saga is waited for, or only its start.
    pub(super) waits: bool,
    /// Numbers the sagas, over all phases.
    pub(super) counter: AtomicU64,
}

/// What stands in each request.
struct Head {
    uri: Uri,
    host: HeaderValue,
    key: Option<HeaderValue>,
}

impl Load {
    /// Runs for so long, or until so many were started, and then waits for those
    /// in flight. All connections are there before the time begins.
    pub(super) async fn run(&self, duration: Duration, most: Option<u64>) -> Result<Outcome> {
        let left = AtomicU64::new(most.unwrap_or(u64::MAX));
        let head = self.head()?;
        let connections: Vec<_> = stream::iter(0..self.in_flight)
            .map(|_| self.remote.connect())
            .buffer_unordered(CONNECTING)
            .try_collect()
            .await?;
        let begun = Instant::now();
        let until = begun + duration;
        let workers =
            connections.into_iter().map(|sender| self.worker(sender, &head, until, &left));
        let mut outcome = Outcome::default();
        for worker in futures_util::future::join_all(workers).await {
            outcome.merge(worker?);
        }
        outcome.latencies.sort_unstable();
        outcome.took = begun.elapsed();
        Ok(outcome)
    }

    fn head(&self) -> Result<Head> {
        // Together, the two parameters make the host answer when the saga has
        // ended and not before.
        let query = if self.waits { "?timeout=300&pollingInterval=1" } else { "" };
        let path = format!("{BASE}/orchestrators/{}{query}", encode(&self.name));
        let unusable = |error: &dyn std::fmt::Display| fail(Exit::Usage, error.to_string());
        let request = self.remote.request(Method::POST, &path, Bytes::new())?;
        Ok(Head {
            uri: path.parse().map_err(|error| unusable(&error))?,
            host: HeaderValue::from_str(&self.remote.authority())
                .map_err(|error| unusable(&error))?,
            key: request.headers().get("x-functions-key").cloned(),
        })
    }

    fn request(&self, head: &Head) -> Request<Full<Bytes>> {
        let number = self.counter.fetch_add(1, Ordering::Relaxed);
        let mut request = Request::new(Full::new(Bytes::from(self.input.fill(number))));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = head.uri.clone();
        let headers = request.headers_mut();
        headers.insert(HOST, head.host.clone());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(key) = &head.key {
            headers.insert("x-functions-key", key.clone());
        }
        request
    }

    async fn worker(
        &self,
        mut sender: SendRequest<Full<Bytes>>,
        head: &Head,
        until: Instant,
        left: &AtomicU64,
    ) -> Result<Outcome> {
        let mut outcome = Outcome::default();
        while Instant::now() < until && take_one(left) {
            if sender.is_closed() {
                // A host that refuses may close the connection as well.
                sender = self.remote.connect().await?;
            }
            let request = self.request(head);
            let begun = Instant::now();
            let exchange = async {
                sender.ready().await?;
                let (head, body) = sender.send_request(request).await?.into_parts();
                Ok((head, body.collect().await?.to_bytes()))
            };
            let lost = |error: hyper::Error| {
                fail(
                    Exit::Unreachable,
                    format!("the host closed a connection while a saga ran: {error}"),
                )
            };
            let answered = tokio::time::timeout(SILENT, exchange).await;
            let (head, body) = answered.map_err(|_| self.remote.silent(SILENT))?.map_err(lost)?;
            let ended = Instant::now();
            match Verdict::of(self.waits, head.status.as_u16(), &head.headers, &body)? {
                Verdict::Completed => {
                    outcome.completed(ended - begun, ended <= until);
                    if outcome.answer.is_none() {
                        outcome.answer = Some(Answer::of(&head, &body));
                    }
                }
                Verdict::Refused { says_when } => {
                    outcome.refused(says_when);
                    // It was not started, and one of those that may be is left.
                    left.fetch_add(1, Ordering::Relaxed);
                }
                Verdict::Failed(why) => outcome.failed(why),
            }
        }
        Ok(outcome)
    }
}

/// What an answer says.
#[derive(Debug, PartialEq)]
enum Verdict {
    Completed,
    /// The host has enough to do, and nothing was started.
    Refused {
        /// Whether it said when to come again.
        says_when: bool,
    },
    Failed(String),
}

impl Verdict {
    /// A start that is wrong is an error: the next one would be as well.
    fn of(waits: bool, status: u16, headers: &HeaderMap, body: &[u8]) -> Result<Self> {
        let text = || String::from_utf8_lossy(&body[..body.len().min(400)]).into_owned();
        Ok(match status {
            202 if !waits => Verdict::Completed,
            // The bare output; the status payload if it failed or was terminated.
            200 if !is_status(body) => Verdict::Completed,
            200 => Verdict::Failed(text()),
            202 => Verdict::Failed("it had not ended after 300 s".to_owned()),
            429 | 503 => {
                let when = headers.get(RETRY_AFTER).and_then(|when| when.to_str().ok());
                let says_when = when.is_some_and(|when| when.parse::<u32>().is_ok());
                Verdict::Refused { says_when }
            }
            400..500 => return Err(refusal(status, body)),
            _ => Verdict::Failed(format!("status {status}: {}", text())),
        })
    }
}

/// Whether there was one left.
fn take_one(left: &AtomicU64) -> bool {
    let less = |left: u64| left.checked_sub(1);
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
}

fn is_status(body: &[u8]) -> bool {
    const KEY: &[u8] = b"\"runtimeStatus\"";
    body.first() == Some(&b'{') && body.windows(KEY.len()).any(|part| part == KEY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_saga_is_not_taken_for_a_completed_one() {
        let none = HeaderMap::new();
        let verdict = |status, body| Verdict::of(true, status, &none, body);
        assert_eq!(verdict(200, b"true").expect("ended"), Verdict::Completed);
        let failed = br#"{"name":"A","runtimeStatus":"Failed"}"#;
        for (status, body) in [(200, &failed[..]), (202, b"{}"), (500, b"oh")] {
            assert!(matches!(verdict(status, body).expect("ended"), Verdict::Failed(_)));
        }
        assert!(verdict(400, b"{}").is_err());
        let started = Verdict::of(false, 202, &none, b"{}").expect("started");
        assert_eq!(started, Verdict::Completed);
    }

    #[test]
    fn no_more_are_started_than_there_may_be() {
        let left = AtomicU64::new(2);
        assert_eq!([(); 4].map(|()| take_one(&left)), [true, true, false, false]);
    }

    #[test]
    fn a_refusal_is_no_failure_and_should_say_when_to_come_again() {
        for (status, when, says_when) in [
            (503, Some("5"), true),
            (429, Some("0"), true),
            (503, None, false),
            (503, Some("soon"), false),
            (503, Some("-1"), false),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(when) = when {
                headers.insert(RETRY_AFTER, HeaderValue::from_static(when));
            }
            let verdict = Verdict::of(true, status, &headers, b"{}").expect("no error");
            assert_eq!(verdict, Verdict::Refused { says_when }, "{when:?}");
        }
    }
}
