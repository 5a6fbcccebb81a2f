//! What `sagahost dev` shows of the orchestrations as they go on.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sagahost_engine::Committed;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::output::{self, Paint, shorten};
use crate::steps::{Steps, clock};

/// How many lines a second are shown. Nobody reads more, and a load test
/// should not measure the terminal.
const LINES_A_SECOND: usize = 200;

/// How many orchestrations are remembered, to tell their steps by name.
const REMEMBERED: usize = 10_000;

/// Shows what is committed, until the engine ends.
pub(crate) async fn show(mut committed: Receiver<Arc<Committed>>, paint: Paint) {
    let mut board = Board::new(paint);
    loop {
        let shown = match committed.recv().await {
            Ok(turn) => board.turn(&turn),
            Err(RecvError::Lagged(missed)) => {
                board.skipped += missed;
                Ok(())
            }
            Err(RecvError::Closed) => return,
        };
        if shown.is_err() {
            // Nobody looks at it any more; the host goes on.
            return;
        }
    }
}

struct Board {
    paint: Paint,
    steps: HashMap<String, Steps>,
    second: Instant,
    lines: usize,
    skipped: u64,
}

impl Board {
    fn new(paint: Paint) -> Self {
        Board { paint, steps: HashMap::new(), second: Instant::now(), lines: 0, skipped: 0 }
    }

    fn turn(&mut self, turn: &Committed) -> io::Result<()> {
        for text in self.lines(turn) {
            output::line(&text)?;
        }
        Ok(())
    }

    fn lines(&mut self, turn: &Committed) -> Vec<String> {
        let mut shown = Vec::new();
        if self.second.elapsed() >= Duration::from_secs(1) {
            self.second = Instant::now();
            self.lines = 0;
            if self.skipped > 0 {
                let text = format!("… and {} turns more, too many to show", self.skipped);
                shown.push(self.paint.dim(&text));
                self.skipped = 0;
            }
        }
        if self.steps.len() > REMEMBERED {
            self.steps.clear();
        }
        let mut steps = self.steps.remove(&turn.id).unwrap_or_default();
        if self.lines < LINES_A_SECOND {
            let label = self.label(turn);
            for record in &turn.records {
                let at = self.paint.dim(&clock(record.0));
                for (number, text) in steps.lines(record, self.paint).iter().enumerate() {
                    // Under what it belongs to, without time and label again.
                    let margin =
                        if number == 0 { format!("{at}  {label}") } else { " ".repeat(14) };
                    shown.push(format!("{margin} {text}"));
                }
            }
            self.lines += shown.len();
        } else {
            self.skipped += 1;
            turn.records.iter().for_each(|record| steps.note(record));
        }
        if !turn.ended {
            self.steps.insert(turn.id.clone(), steps);
        }
        shown
    }

    fn label(&self, turn: &Committed) -> String {
        // Ids made by the host are long; their first part tells them apart.
        let id = if turn.id.len() == 32 { turn.id[..8].to_owned() } else { shorten(&turn.id, 24) };
        format!("{} {}", turn.name, self.paint.by_hash(&id))
    }
}

#[cfg(test)]
mod tests {
    use sagahost_core::{CallPolicy, Event, Json, Logs, Record};

    use super::*;

    fn committed(id: &str, event: Event) -> Committed {
        let ended = matches!(event, Event::Completed { .. });
        Committed {
            id: id.into(),
            name: "Saga".into(),
            first: 0,
            records: vec![Record(0, event)],
            ended,
        }
    }

    fn scheduled() -> Event {
        Event::Scheduled {
            task: 0,
            function: "Act".into(),
            input: Json::null(),
            policy: CallPolicy::default(),
            undo: None,
            scope: 0,
            pivot: false,
        }
    }

    #[test]
    fn too_many_lines_are_counted_and_their_steps_still_known() {
        let mut board = Board::new(Paint::plain());
        for n in 0..LINES_A_SECOND + 5 {
            board.lines(&committed(&n.to_string(), scheduled()));
        }
        assert_eq!(board.skipped, 5);
        board.second = Instant::now() - Duration::from_secs(2);
        let done = Event::TaskCompleted {
            task: 0,
            attempt: 1,
            started_at: 0,
            output: Json::null(),
            logs: Logs::default(),
        };
        let lines = board.lines(&committed(&(LINES_A_SECOND + 4).to_string(), done));
        assert_eq!(lines[0], "… and 5 turns more, too many to show");
        assert!(lines[1].contains("✓ Act null"), "{lines:?}");
    }
}
