//! The load: so many sagas in flight, one after the other on each of so many
//! connections.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request, Uri};

use crate::client::{BASE, Remote, encode, refusal};
use crate::exit::{Exit, fail};
use crate::template::Template;

/// When a host is given up that answers nothing: it was asked to answer after
/// 30 seconds at the latest.
const SILENT: Duration = Duration::from_secs(45);

/// What to start, and how.
pub(super) struct Load {
    pub(super) remote: Remote,
    pub(super) name: String,
    pub(super) input: Template,
    pub(super) in_flight: usize,
    /// Numbers the sagas, over all phases.
    pub(super) counter: AtomicU64,
}

/// What became of it.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// From start to completion of each saga, in microseconds, in order.
    pub(super) latencies: Vec<u32>,
    /// Those that completed before the time was up.
    pub(super) in_time: u64,
    /// Those that ended in another way.
    pub(super) failed: u64,
    /// How the first of those ended.
    pub(super) first_failure: Option<String>,
    /// From the first start to the last end.
    pub(super) took: Duration,
}

impl Outcome {
    /// All sagas that ended.
    pub(super) fn ended(&self) -> u64 {
        self.latencies.len() as u64 + self.failed
    }

    /// The latency that this share (0.0 to 1.0) of the sagas kept below.
    pub(super) fn percentile(&self, share: f64) -> Duration {
        let rank = (share * self.latencies.len() as f64).ceil() as usize;
        let micros = self.latencies.get(rank.saturating_sub(1)).copied().unwrap_or(0);
        Duration::from_micros(micros.into())
    }

    fn merge(&mut self, other: Outcome) {
        self.latencies.extend(other.latencies);
        self.in_time += other.in_time;
        self.failed += other.failed;
        self.first_failure = self.first_failure.take().or(other.first_failure);
    }
}

impl Load {
    /// Runs for so long, and then waits for those in flight.
    pub(super) async fn run(&self, duration: Duration) -> Result<Outcome> {
        let begun = Instant::now();
        let until = begun + duration;
        let workers = (0..self.in_flight).map(|_| self.worker(until));
        let mut outcome = Outcome::default();
        for worker in futures_util::future::join_all(workers).await {
            outcome.merge(worker?);
        }
        outcome.latencies.sort_unstable();
        outcome.took = begun.elapsed();
        Ok(outcome)
    }

    async fn worker(&self, until: Instant) -> Result<Outcome> {
        // Together, the two parameters make the host answer when the saga has
        // ended and not before.
        let path =
            format!("{BASE}/orchestrators/{}?timeout=30&pollingInterval=1", encode(&self.name));
        let unusable = |error: &dyn std::fmt::Display| fail(Exit::Usage, error.to_string());
        let uri: Uri = path.parse().map_err(|error| unusable(&error))?;
        let host =
            HeaderValue::from_str(&self.remote.authority()).map_err(|error| unusable(&error))?;
        let head = self.remote.request(Method::POST, &path, Bytes::new())?;
        let key = head.headers().get("x-functions-key").cloned();
        let mut sender = self.remote.connect().await?;
        let mut outcome = Outcome::default();
        while Instant::now() < until {
            let number = self.counter.fetch_add(1, Ordering::Relaxed);
            let mut request = Request::new(Full::new(Bytes::from(self.input.fill(number))));
            *request.method_mut() = Method::POST;
            *request.uri_mut() = uri.clone();
            let headers = request.headers_mut();
            headers.insert(HOST, host.clone());
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            if let Some(key) = &key {
                headers.insert("x-functions-key", key.clone());
            }
            let begun = Instant::now();
            let lost = |error: hyper::Error| {
                fail(
                    Exit::Unreachable,
                    format!("the host closed a connection while a saga ran: {error}"),
                )
            };
            let exchange = async {
                sender.ready().await?;
                let response = sender.send_request(request).await?;
                let status = response.status().as_u16();
                Ok((status, response.into_body().collect().await?.to_bytes()))
            };
            let answered = tokio::time::timeout(SILENT, exchange).await;
            let (status, body) = answered.map_err(|_| self.remote.silent(SILENT))?.map_err(lost)?;
            let ended = Instant::now();
            match problem(status, &body)? {
                None => {
                    let micros = (ended - begun).as_micros();
                    outcome.latencies.push(u32::try_from(micros).unwrap_or(u32::MAX));
                    outcome.in_time += u64::from(ended <= until);
                }
                Some(problem) => {
                    outcome.failed += 1;
                    outcome.first_failure.get_or_insert(problem);
                }
            }
        }
        Ok(outcome)
    }
}

/// How a saga ended, if it did not complete. A start that is refused is an
/// error: the next one would be refused as well.
fn problem(status: u16, body: &[u8]) -> Result<Option<String>> {
    let text = || String::from_utf8_lossy(&body[..body.len().min(400)]).into_owned();
    match status {
        // The bare output; the status payload if it failed or was terminated.
        200 if !is_status(body) => Ok(None),
        200 => Ok(Some(text())),
        202 => Ok(Some("it had not ended after 30 s".to_owned())),
        400..500 => Err(refusal(status, body)),
        _ => Ok(Some(format!("status {status}: {}", text()))),
    }
}

fn is_status(body: &[u8]) -> bool {
    const KEY: &[u8] = b"\"runtimeStatus\"";
    body.first() == Some(&b'{') && body.windows(KEY.len()).any(|part| part == KEY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles() {
        let outcome = Outcome { latencies: (1..=100).collect(), ..Outcome::default() };
        let micros = |share| outcome.percentile(share).as_micros();
        assert_eq!([micros(0.5), micros(0.9), micros(0.99), micros(1.0)], [50, 90, 99, 100]);
        assert_eq!(Outcome::default().percentile(0.5), Duration::ZERO);
    }

    #[test]
    fn a_failed_saga_is_not_taken_for_a_completed_one() {
        assert_eq!(problem(200, b"true").expect("ended"), None);
        let failed = br#"{"name":"A","runtimeStatus":"Failed"}"#;
        assert!(problem(200, failed).expect("ended").is_some());
        assert!(problem(202, b"{}").expect("ended").is_some());
        assert!(problem(400, b"{}").is_err());
    }
}
