//! One instance's journal as server-sent events: what is there, then what
//! comes, until the instance ends.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use sagahost_core::{Event, Millis, Record, RuntimeStatus};
use sagahost_engine::Committed;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::app::{Params, Phase, Shared};
use crate::error::ApiError;
use crate::query::Query;

/// How often a silent stream says that it is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How much is put together before it is handed to the connection.
const CHUNK_BYTES: usize = 16 << 10;

/// The data of one server-sent event of `GET /api/instances/{id}/events`. Its
/// id is the index.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JournalLine {
    /// The event's place in the journal, from 0.
    pub index: u64,
    /// When it was journaled, in milliseconds since 1970-01-01T00:00:00Z.
    pub time: Millis,
    /// The event.
    pub event: Event,
}

/// The data of the last server-sent event of a stream, which is named `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JournalEnd {
    /// How the instance ended.
    pub runtime_status: RuntimeStatus,
}

pub(crate) async fn follow(
    State(app): State<Shared>,
    Params(id): Params<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let after = Query::parse(request.uri().query()).number("after")?.unwrap_or(0);
    // A client that lost its connection says what it saw last.
    let seen = request
        .headers()
        .get("last-event-id")
        .and_then(|value| seen_of(value.to_str().ok()?.trim()));
    let next = seen.map_or(after, |(seen, _)| seen.saturating_add(1));
    let round = seen.map(|(_, round)| round);

    // Subscribed before the journal is read, so that nothing falls between.
    let live = app.engine.subscribe();
    let mut stream = Stream { app, id, live, progress: Progress { round, ..Progress::new(next) } };
    if !stream.read().await? {
        return Err(ApiError::no_instance(&stream.id));
    }
    let chunks = futures_util::stream::unfold(stream, async |mut stream| {
        let chunk = stream.chunk().await?;
        Some((Ok::<_, Infallible>(Bytes::from(chunk)), stream))
    });
    Ok(response(Body::from_stream(chunks)))
}

/// The answer whose body is such a stream.
pub(crate) fn response(body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // Proxies that would wait for more before they pass it on.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// It is asked for the next chunk only when the connection takes one: a slow
/// reader delays nobody, but falls behind and is given the journal again from
/// where it is.
struct Stream {
    app: Shared,
    id: String,
    live: broadcast::Receiver<Arc<Committed>>,
    progress: Progress,
}

impl Stream {
    /// Reads the journal. `false` where there is no such instance.
    async fn read(&mut self) -> Result<bool, ApiError> {
        let Some((row, records)) = self.app.engine.history(&self.id).await? else {
            return Ok(false);
        };
        self.progress.read(records, row.summary.status);
        Ok(true)
    }

    async fn chunk(&mut self) -> Option<String> {
        loop {
            if let Some(chunk) = self.progress.chunk() {
                return Some(chunk);
            }
            if self.progress.done {
                return None;
            }
            let committed = tokio::select! {
                committed = self.live.recv() => committed,
                () = tokio::time::sleep(KEEP_ALIVE) => return Some(": still here\n\n".to_owned()),
                () = self.app.reached(Phase::Draining) => return None,
            };
            let complete = match committed {
                Ok(committed) if committed.id == self.id => {
                    self.progress.committed(committed.first, &committed.records, committed.ended)
                }
                Ok(_) => true,
                Err(RecvError::Lagged(_)) => false,
                Err(RecvError::Closed) => return None,
            };
            // Where the journal is gone or cannot be read, the stream ends
            // without its `end`, and the client asks again.
            if !complete && !matches!(self.read().await, Ok(true)) {
                return None;
            }
        }
    }
}

/// How far one stream is.
struct Progress {
    /// The place in the journal of what is sent next.
    next: u64,
    /// How often the instance had continued as new when that journal began, if
    /// that is known: the one that it has by now may be another one.
    round: Option<u64>,
    /// What is to be sent, from `next` on.
    pending: VecDeque<Record>,
    ended: Option<RuntimeStatus>,
    begun: bool,
    done: bool,
}

impl Progress {
    fn new(next: u64) -> Self {
        let (pending, ended) = (VecDeque::new(), None);
        Progress { next, round: None, pending, ended, begun: false, done: false }
    }

    /// Takes the journal as it is now, in place of what was pending.
    fn read(&mut self, mut records: Vec<Record>, status: RuntimeStatus) {
        let round = round_of(&records);
        if self.round.is_some_and(|known| Some(known) != round) {
            self.next = 0;
        }
        self.round = round;
        let seen = usize::try_from(self.next).unwrap_or(usize::MAX).min(records.len());
        records.drain(..seen);
        self.pending = records.into();
        self.ended = status.is_terminal().then_some(status);
    }

    /// Takes what was committed; `false` where something before it is missing.
    /// Only when nothing is pending.
    fn committed(&mut self, first: u64, records: &[Record], ended: bool) -> bool {
        // It continued as new: another journal begins.
        let anew = first == 0 && matches!(records.first(), Some(Record(_, Event::Started(_))));
        if anew && self.begun {
            self.next = 0;
            self.round = round_of(records);
        }
        let Some(seen) = self.next.checked_sub(first) else {
            return false;
        };
        let seen = usize::try_from(seen).unwrap_or(usize::MAX).min(records.len());
        self.pending = records.iter().skip(seen).cloned().collect();
        if ended {
            self.ended = records.iter().rev().find_map(|Record(_, event)| end_of(event));
            return self.ended.is_some();
        }
        true
    }

    /// The next text of the stream, if there is any for now.
    fn chunk(&mut self) -> Option<String> {
        let mut chunk = String::new();
        if !self.begun {
            self.begun = true;
            chunk.push_str("retry: 1000\n\n");
        }
        while chunk.len() < CHUNK_BYTES {
            let Some(Record(time, event)) = self.pending.pop_front() else {
                if let (Some(runtime_status), false) = (self.ended, self.done) {
                    self.done = true;
                    chunk.push_str("event: end\n");
                    data(&mut chunk, &JournalEnd { runtime_status });
                }
                break;
            };
            let index = self.next;
            self.next += 1;
            // Writing to a string cannot fail.
            let _ = match self.round {
                None | Some(0) => writeln!(chunk, "id: {index}"),
                Some(round) => writeln!(chunk, "id: {index}.{round}"),
            };
            data(&mut chunk, &JournalLine { index, time, event });
        }
        (!chunk.is_empty()).then_some(chunk)
    }
}

/// How often the instance of this journal had continued as new when it began.
fn round_of(records: &[Record]) -> Option<u64> {
    match records.first() {
        Some(Record(_, Event::Started(started))) => {
            Some(started.carried.as_ref().map_or(0, |carried| carried.rounds))
        }
        _ => None,
    }
}

/// The event that a reader saw last: its place, and the round.
fn seen_of(id: &str) -> Option<(u64, u64)> {
    let (place, round) = id.split_once('.').unwrap_or((id, "0"));
    Some((place.parse().ok()?, round.parse().ok()?))
}

fn end_of(event: &Event) -> Option<RuntimeStatus> {
    match event {
        Event::Completed { .. } => Some(RuntimeStatus::Completed),
        Event::Failed { .. } => Some(RuntimeStatus::Failed),
        Event::Canceled { .. } => Some(RuntimeStatus::Canceled),
        Event::Terminated { .. } => Some(RuntimeStatus::Terminated),
        _ => None,
    }
}

/// Appends the data of an event. JSON that clients sent may have line breaks
/// between its parts; each line is a field of its own, and the reader puts
/// them together again.
fn data(out: &mut String, value: &impl Serialize) {
    match serde_json::to_string(value) {
        Ok(json) => {
            for line in json.split(['\n', '\r']) {
                out.push_str("data: ");
                out.push_str(line);
                out.push('\n');
            }
        }
        Err(error) => tracing::error!(%error, "a journaled event cannot be written as JSON"),
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use sagahost_core::{Carried, Json, Started};

    use super::*;

    fn raised(name: &str) -> Record {
        let input = Json::parse("{\n\"a\":\r\n1}").expect("JSON");
        Record(5, Event::EventRaised { name: name.into(), input, from: None })
    }

    fn completed() -> Record {
        Record(6, Event::Completed { output: Json::null() })
    }

    /// The names of raised events, or how it ended, as a reader sees them.
    fn seen(text: &str) -> Vec<String> {
        text.split("\n\n")
            .filter_map(|block| {
                let lines: Vec<_> =
                    block.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
                let data = lines.join("\n");
                if block.contains("event: end") {
                    let end: JournalEnd = serde_json::from_str(&data).expect("an end");
                    return Some(end.runtime_status.to_string());
                }
                let id = block.lines().find_map(|line| line.strip_prefix("id: "))?;
                let line: JournalLine = serde_json::from_str(&data).expect("an event");
                assert_eq!(line.index.to_string(), id);
                Some(match line.event {
                    Event::EventRaised { name, .. } => format!("{id}{name}"),
                    _ => format!("{id}."),
                })
            })
            .collect()
    }

    #[test]
    fn what_is_there_then_what_comes_then_the_end() {
        let mut progress = Progress::new(1);
        progress.read(vec![raised("a"), raised("b")], RuntimeStatus::Running);
        let text = progress.chunk().expect("the rest of the journal");
        assert!(text.starts_with("retry: "));
        assert_eq!(seen(&text), ["1b"]);
        assert_eq!(progress.chunk(), None);

        assert!(progress.committed(1, &[raised("b"), raised("c")], false));
        assert_eq!(seen(&progress.chunk().expect("the new one")), ["2c"]);
        assert!(progress.committed(3, &[completed()], true));
        assert_eq!(seen(&progress.chunk().expect("the end")), ["3.", "Completed"]);
        assert!(progress.done && progress.chunk().is_none());
    }

    #[test]
    fn a_reader_that_saw_an_earlier_round_is_given_the_whole_of_this_one() {
        let began = |rounds: u64| {
            let carried = serde_json::json!({ "rounds": rounds });
            let carried: Carried = serde_json::from_value(carried).expect("all else has a default");
            let carried = Some(Box::new(carried));
            Record(1, Event::Started(Started { carried, ..Started::default() }))
        };
        let ids = |text: &str| -> Vec<_> {
            text.lines().filter_map(|line| line.strip_prefix("id: ")).map(str::to_owned).collect()
        };
        let journal = || vec![began(3), raised("a")];
        for (last, expected) in
            [("7.2", &["0.3", "1.3"][..]), ("0.3", &["1.3"]), ("1", &["0.3", "1.3"])]
        {
            let (seen, round) = seen_of(last).expect("an id");
            let mut progress = Progress { round: Some(round), ..Progress::new(seen + 1) };
            progress.read(journal(), RuntimeStatus::Running);
            let text = progress.chunk().expect("what is left");
            assert_eq!(ids(&text), expected, "after {last}");
        }
        assert_eq!(seen_of("x"), None);
        assert_eq!(seen_of("1.x"), None);
    }

    #[test]
    fn a_gap_is_filled_from_the_journal() {
        let mut progress = Progress::new(0);
        progress.read(vec![raised("a")], RuntimeStatus::Running);
        progress.chunk();
        assert!(!progress.committed(2, &[completed()], true));
        progress.read(vec![raised("a"), raised("b"), completed()], RuntimeStatus::Completed);
        assert_eq!(seen(&progress.chunk().expect("both")), ["1b", "2.", "Completed"]);
    }

    #[test]
    fn an_end_that_was_read_already_still_ends_the_stream() {
        let mut progress = Progress::new(0);
        progress.read(vec![completed()], RuntimeStatus::Running);
        assert_eq!(seen(&progress.chunk().expect("one")), ["0."]);
        assert!(progress.committed(0, &[completed()], true));
        assert_eq!(seen(&progress.chunk().expect("the end")), ["Completed"]);
    }

    #[test]
    fn every_way_to_end_ends_the_stream() {
        let failure = sagahost_core::Failure::host(sagahost_core::FailureKind::Trap, "m");
        let reason = "r".to_owned();
        for (event, status) in [
            (Event::Completed { output: Json::null() }, RuntimeStatus::Completed),
            (Event::Failed { failure }, RuntimeStatus::Failed),
            (Event::Canceled { reason: reason.clone() }, RuntimeStatus::Canceled),
            (Event::Terminated { reason }, RuntimeStatus::Terminated),
        ] {
            let mut progress = Progress::new(0);
            assert!(progress.committed(0, &[Record(1, event)], true));
            let text = progress.chunk().expect("the end");
            assert_eq!(seen(&text).last(), Some(&status.to_string()));
        }
    }

    #[test]
    fn a_reader_may_ask_from_beyond_the_end() {
        let mut progress = Progress::new(u64::MAX);
        progress.read(vec![completed()], RuntimeStatus::Completed);
        assert_eq!(seen(&progress.chunk().expect("the end")), ["Completed"]);
    }

    #[test]
    fn a_long_journal_comes_in_pieces() {
        let mut progress = Progress::new(0);
        progress.read(vec![raised("a"); 1000], RuntimeStatus::Running);
        let mut all = 0;
        while let Some(chunk) = progress.chunk() {
            assert!(chunk.len() < CHUNK_BYTES + 1024);
            all += seen(&chunk).len();
        }
        assert_eq!(all, 1000);
    }
}
