//! Traces: each saga that ended is told to an OpenTelemetry collector, as one
//! trace, by OTLP over HTTP in JSON
//! (<https://opentelemetry.io/docs/specs/otlp/>).
//!
//! The spans are made of the journal when the saga has ended, so a crash in the
//! middle loses none of them. What could not be told before the host ended is
//! told by the next one: a note in the store says up to when all is told. A span
//! that is told twice has the same id, and is the same.

mod message;

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use sagahost_core::{Millis, Record, RuntimeStatus, spans};
use sagahost_engine::{Committed, Engine, ListQuery};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc};
use tokio::time::Instant;

use crate::webhook::{Patience, Target, WebhookError};

/// The note that says up to when all sagas that ended are told.
const NOTE: &str = "traces";

/// How long sagas are gathered before they are told.
const GATHER: Duration = Duration::from_millis(500);

/// How many sagas, and about how many bytes, are told at once.
const MOST_AT_ONCE: usize = 256;
const MOST_BYTES: usize = 2 << 20;

/// How many sagas wait to be told. What is more is found again in the store.
const MOST_WAITING: usize = 20_000;

/// How far the note stays behind: what ended then has been heard of.
const BEHIND: Millis = 10_000;

/// The pauses after a try that failed.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Where traces go. Shown without the path and the query of the URL, and
/// without the headers, which may have secrets in them.
#[derive(Clone)]
pub struct Traces {
    target: Arc<Target>,
    headers: HeaderMap,
    service: String,
}

/// Why traces cannot go where they are to.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    /// The URL is not one that can be posted to.
    #[error("the OTLP endpoint: {0}")]
    Endpoint(#[from] WebhookError),
    /// The headers are not `name=value,name=value`. They are in no message.
    #[error("the OTLP headers are not written as name=value,name=value, percent-encoded")]
    Headers,
}

impl std::fmt::Debug for Traces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Traces({})", self.target)
    }
}

impl Traces {
    /// Traces for the collector at this endpoint, to which `/v1/traces` is
    /// added, as OpenTelemetry has it for `OTEL_EXPORTER_OTLP_ENDPOINT`.
    /// `headers` are as in `OTEL_EXPORTER_OTLP_HEADERS`.
    ///
    /// # Errors
    /// When the endpoint or the headers cannot be used.
    pub fn new(endpoint: &str, headers: Option<&str>, service: &str) -> Result<Self, TracesError> {
        let url = format!("{}/v1/traces", endpoint.trim().trim_end_matches('/'));
        let target = Arc::new(Target::new(&url)?);
        let headers = read_headers(headers.unwrap_or_default()).ok_or(TracesError::Headers)?;
        Ok(Traces { target, headers, service: service.to_owned() })
    }

    /// Tells of sagas as they end, without end.
    pub(crate) async fn tell(self, engine: Engine) {
        let teller = Teller {
            live: engine.subscribe(),
            rounds: engine.watch_rounds(),
            engine,
            traces: self,
            waiting: VecDeque::new(),
            known: HashSet::new(),
            told: Vec::new(),
            behind: true,
        };
        teller.run().await;
    }
}

fn read_headers(text: &str) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=')?;
        let value = percent_encoding::percent_decode_str(value.trim()).decode_utf8().ok()?;
        let name = HeaderName::try_from(name.trim()).ok()?;
        let mut value = HeaderValue::try_from(value.as_ref()).ok()?;
        value.set_sensitive(true);
        headers.append(name, value);
    }
    Some(headers)
}

struct Teller {
    engine: Engine,
    traces: Traces,
    live: broadcast::Receiver<Arc<Committed>>,
    /// Executions that ended because their instance continued as new.
    rounds: mpsc::Receiver<(String, Vec<Record>)>,
    waiting: VecDeque<String>,
    known: HashSet<String>,
    /// Spans that are to be sent.
    told: Vec<(String, Vec<Record>)>,
    /// Whether some that ended may not be among those that wait.
    behind: bool,
}

impl Teller {
    async fn run(mut self) {
        let mut pause = FIRST_PAUSE;
        loop {
            if self.behind && self.waiting.is_empty() && !self.catch_up().await {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
                continue;
            }
            if !self.gather().await {
                return;
            }
            while !self.waiting.is_empty() || !self.told.is_empty() {
                match self.send().await {
                    Ok(()) => pause = FIRST_PAUSE,
                    Err(error) => {
                        tracing::warn!(collector = %self.traces.target, %error, again_in = ?pause, "traces could not be sent");
                        self.listen_for(pause).await;
                        pause = (pause * 2).min(LONGEST_PAUSE);
                    }
                }
            }
            if !self.behind {
                self.note().await;
            }
        }
    }

    /// Finds what ended and was not told. `false` where that cannot be read.
    async fn catch_up(&mut self) -> bool {
        let note = match self.engine.note(NOTE).await {
            Ok(note) => note.and_then(|note| note.parse::<Millis>().ok()),
            Err(error) => {
                tracing::error!(%error, "cannot read up to when traces were sent; trying again");
                return false;
            }
        };
        // Where traces were never told, they are from now on.
        let Some(since) = note else {
            self.behind = false;
            self.note().await;
            return true;
        };
        let statuses = RuntimeStatus::ALL.into_iter().filter(|status| status.is_terminal());
        let mut query = ListQuery {
            updated_from: Some(since),
            statuses: statuses.collect(),
            ..ListQuery::default()
        };
        loop {
            match self.engine.list(query.clone()).await {
                Ok(page) => {
                    page.rows.into_iter().for_each(|row| self.wait_for_turn(row.id));
                    match page.next {
                        Some(_) if self.waiting.len() >= MOST_WAITING => return true,
                        Some(next) => query.after = Some(next),
                        None => break,
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "cannot read which sagas ended; trying again");
                    return false;
                }
            }
        }
        self.behind = false;
        true
    }

    fn wait_for_turn(&mut self, id: String) {
        if self.known.insert(id.clone()) {
            self.waiting.push_back(id);
        }
    }

    fn heard(&mut self, heard: Result<Arc<Committed>, RecvError>) -> bool {
        match heard {
            Ok(committed) if committed.ended => {
                if self.waiting.len() < MOST_WAITING {
                    self.wait_for_turn(committed.id.clone());
                } else {
                    self.behind = true;
                }
            }
            Ok(_) => {}
            Err(RecvError::Lagged(_)) => self.behind = true,
            Err(RecvError::Closed) => return false,
        }
        true
    }

    /// Waits until something ended, and a little for what ends right after it.
    /// `false` where nothing can any more.
    async fn gather(&mut self) -> bool {
        while self.waiting.is_empty() && self.told.is_empty() && !self.behind {
            tokio::select! {
                heard = self.live.recv() => if !self.heard(heard) { return false },
                Some(round) = self.rounds.recv() => self.told.push(round),
            }
        }
        self.listen_for(GATHER).await;
        true
    }

    async fn listen_for(&mut self, time: Duration) {
        let until = Instant::now() + time;
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(until) => return,
                heard = self.live.recv() => if !self.heard(heard) {
                    return tokio::time::sleep_until(until).await;
                },
                Some(round) = self.rounds.recv(), if self.told.len() < MOST_AT_ONCE => {
                    self.told.push(round);
                }
            }
        }
    }

    /// Sends some of what waits.
    async fn send(&mut self) -> Result<(), String> {
        let mut message = message::Message::new(&self.traces.service);
        let mut taken = Vec::new();
        for (id, records) in &self.told {
            if let Some(trace) = spans(id, records) {
                message.add(&trace);
            }
        }
        while taken.len() < MOST_AT_ONCE
            && message.size() < MOST_BYTES
            && let Some(id) = self.waiting.pop_front()
        {
            // One that was purged, or begun again, is gone.
            match self.engine.history(&id).await {
                Ok(Some((row, records))) if row.summary.status.is_terminal() => {
                    if let Some(trace) = spans(&id, &records) {
                        message.add(&trace);
                    }
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::error!(instance = id, %error, "the trace of a saga cannot be made");
                }
            }
            taken.push(id);
        }
        let sent = match message.finish() {
            None => Ok(()),
            Some(Err(error)) => Err(error.to_string()),
            Some(Ok(body)) => {
                let patience = Patience::default();
                let post = self.traces.target.post(Bytes::from(body), &self.traces.headers, patience);
                post.await.map_err(|error| error.to_string())
            }
        };
        match &sent {
            Ok(()) => {
                self.told.clear();
                taken.iter().for_each(|id| drop(self.known.remove(id)));
            }
            Err(_) => taken.into_iter().rev().for_each(|id| self.waiting.push_front(id)),
        }
        sent
    }

    async fn note(&self) {
        let told = self.engine.now().saturating_sub(BEHIND);
        if let Err(error) = self.engine.set_note(NOTE, told.to_string()).await {
            tracing::warn!(%error, "it cannot be noted up to when traces were sent");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_as_opentelemetry_writes_them() {
        let headers = read_headers("api-key=abc%20d, x-team = ops ,").expect("they are good");
        assert_eq!(headers["api-key"], "abc d");
        assert_eq!(headers["x-team"], "ops");
        assert!(headers["api-key"].is_sensitive());
        assert!(read_headers("").expect("none is good").is_empty());
        assert!(read_headers("no value").is_none() && read_headers("a b=c").is_none());
    }
}
