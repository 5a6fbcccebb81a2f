//! What gathers sagas that ended, and sends their traces.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::StatusCode;
use sagahost_core::{Millis, Record, RuntimeStatus, spans};
use sagahost_engine::{Engine, ListQuery};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::message::Messages;
use super::{Heard, Listener, MOST_HEARD, Traces};
use crate::webhook::{Patience, Undelivered};

/// The note that says up to when all sagas that ended are told.
const NOTE: &str = "traces";

/// How long sagas are gathered before they are told.
const GATHER: Duration = Duration::from_millis(500);

/// How many sagas are told at once.
const MOST_AT_ONCE: usize = 256;

/// How far the note stays behind: what ended then has been heard of.
const BEHIND: Millis = 10_000;

/// How often it is noted up to when all is told.
const NOTED_EVERY: Duration = Duration::from_secs(5);

/// The pauses after a try that failed.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

pub(super) struct Exporter {
    engine: Engine,
    traces: Traces,
    listener: Arc<Listener>,
    heard: mpsc::Receiver<Heard>,
    /// Sagas that are to be told.
    waiting: VecDeque<String>,
    known: HashSet<String>,
    /// Executions that are to be told and are in no store any more.
    rounds: Vec<(String, Vec<Record>)>,
    /// When it was last noted up to when all is told.
    noted: Option<Instant>,
}

impl Exporter {
    pub(super) fn new(
        traces: Traces,
        engine: Engine,
        listener: Arc<Listener>,
        heard: mpsc::Receiver<Heard>,
    ) -> Self {
        Exporter {
            engine,
            traces,
            listener,
            heard,
            waiting: VecDeque::new(),
            known: HashSet::new(),
            rounds: Vec::new(),
            noted: None,
        }
    }

    pub(super) async fn run(mut self) {
        let mut pause = FIRST_PAUSE;
        loop {
            if self.listener.missed.swap(false, Ordering::SeqCst)
                && let Err(error) = self.catch_up().await
            {
                self.listener.missed.store(true, Ordering::SeqCst);
                tracing::error!(%error, "cannot read which sagas ended; trying again");
            }
            self.listen().await;
            while !self.waiting.is_empty() || !self.rounds.is_empty() {
                match self.send().await {
                    Ok(()) => pause = FIRST_PAUSE,
                    Err(error) => {
                        tracing::warn!(collector = %self.traces.target, %error, again_in = ?pause, "traces could not be sent");
                        tokio::time::sleep(pause).await;
                        pause = (pause * 2).min(LONGEST_PAUSE);
                    }
                }
            }
            self.note().await;
        }
    }

    /// Finds what ended and may not have been told.
    async fn catch_up(&mut self) -> Result<(), sagahost_engine::CommandError> {
        let note = self.engine.note(NOTE).await?.and_then(|note| note.parse::<Millis>().ok());
        // Where traces were never told, they are from now on.
        let Some(since) = note else {
            self.note().await;
            return Ok(());
        };
        let statuses = RuntimeStatus::ALL.into_iter().filter(|status| status.is_terminal());
        let mut query = ListQuery {
            updated_from: Some(since),
            statuses: statuses.collect(),
            ..ListQuery::default()
        };
        loop {
            let page = self.engine.list(query.clone()).await?;
            for row in page.rows {
                self.wait_for_turn(row.id);
            }
            match page.next {
                Some(next) => query.after = Some(next),
                None => return Ok(()),
            }
        }
    }

    fn wait_for_turn(&mut self, id: String) {
        if self.known.insert(id.clone()) {
            self.waiting.push_back(id);
        }
    }

    fn take(&mut self, heard: Heard) {
        match heard {
            Heard::Ended(id) => self.wait_for_turn(id),
            Heard::Round(id, journal) => self.rounds.push((id, journal)),
        }
    }

    /// Waits until something ended, and a little for what ends right after it;
    /// a while at most, so that what was missed is looked for.
    async fn listen(&mut self) {
        let until = Instant::now() + NOTED_EVERY;
        if self.waiting.is_empty() && self.rounds.is_empty() {
            tokio::select! {
                // The engine keeps the listener, so this does not end.
                Some(heard) = self.heard.recv() => self.take(heard),
                () = tokio::time::sleep_until(until) => return,
            }
        }
        let until = Instant::now() + GATHER;
        while self.rounds.len() < MOST_AT_ONCE && self.waiting.len() < MOST_HEARD {
            tokio::select! {
                Some(heard) = self.heard.recv() => self.take(heard),
                () = tokio::time::sleep_until(until) => return,
            }
        }
    }

    /// Sends some of what waits.
    async fn send(&mut self) -> Result<(), String> {
        let mut messages = Messages::new(&self.traces.service);
        for (id, records) in &self.rounds {
            if let Some((trace, spans)) = spans(id, records) {
                messages.add(&trace, &spans);
            }
        }
        let taken: Vec<_> = self.waiting.drain(..self.waiting.len().min(MOST_AT_ONCE)).collect();
        for id in &taken {
            match self.engine.history(id).await {
                // One that was begun again, or rewound, is told when it ends.
                Ok(Some((row, records))) if row.summary.status.is_terminal() => {
                    if let Some((trace, spans)) = spans(id, &records) {
                        messages.add(&trace, &spans);
                    }
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::error!(instance = id, %error, "the trace of a saga cannot be made");
                }
            }
        }
        for body in messages.finish().map_err(|error| error.to_string())? {
            if let Err(error) = self.post(body).await {
                taken.into_iter().rev().for_each(|id| self.waiting.push_front(id));
                return Err(error.to_string());
            }
        }
        self.rounds.clear();
        for id in &taken {
            self.known.remove(id);
        }
        Ok(())
    }

    async fn post(&self, body: Vec<u8>) -> Result<(), Undelivered> {
        let Traces { target, headers, .. } = &self.traces;
        match target.post(Bytes::from(body), headers, Patience::default()).await {
            // It says that it will never take this; the next may be better.
            Err(Undelivered::Refused(
                status @ (StatusCode::BAD_REQUEST
                | StatusCode::PAYLOAD_TOO_LARGE
                | StatusCode::UNPROCESSABLE_ENTITY),
            )) => {
                let status = status.as_u16();
                tracing::error!(collector = %target, status, "traces were refused, and are dropped");
                Ok(())
            }
            sent => sent,
        }
    }

    /// Notes that all is told that ended some time ago.
    async fn note(&mut self) {
        let recently = self.noted.is_some_and(|noted| noted.elapsed() < NOTED_EVERY);
        if recently || self.listener.missed.load(Ordering::SeqCst) {
            return;
        }
        self.noted = Some(Instant::now());
        let told = self.engine.clock().now().saturating_sub(BEHIND);
        if let Err(error) = self.engine.set_note(NOTE, told.to_string()).await {
            tracing::warn!(%error, "it cannot be noted up to when traces were sent");
        }
    }
}
