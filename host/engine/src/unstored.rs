//! What the store did not take: whoever asked for it is told, and what ran
//! ahead of it is forgotten.

use std::sync::Arc;

use sagahost_core::{Event, Record};
use sagahost_store::{NewInstance, WriteError};

use crate::cell::{Ack, Begun, Body, Cell, Message, Stopped};
use crate::error::{CommandError, StartError};
use crate::lifecycle::Inner;
use crate::turn::{After, FirstTurn};
use crate::writer::WriteFailure;

impl Inner {
    /// Ends the attempts whose steps were not stored, and forgets them.
    pub(crate) fn roll_back(self: &Arc<Self>, cell: &Cell) {
        let mut stops = Vec::new();
        cell.lock().attempts.retain(|_, out| {
            if let (true, Some(stop)) = (out.ahead, out.stop.take()) {
                stops.push((out.token, stop));
            }
            !out.ahead
        });
        for (token, stop) in stops {
            self.end_attempt(token, stop, Stopped::Over);
        }
    }

    /// The store did not take what the turn made.
    pub(crate) fn not_stored(
        self: &Arc<Self>,
        cell: &Arc<Cell>,
        mut body: Box<Body>,
        failure: WriteFailure,
        acks: Vec<Ack<CommandError>>,
        mut again: Vec<Message>,
    ) -> After {
        let id = || cell.id.to_string();
        let refused = matches!(
            &failure,
            WriteFailure::Write(
                WriteError::InstanceExists { .. } | WriteError::InstanceBusy { .. }
            )
        );
        for ack in acks {
            let _ = ack.send(Err(match &failure {
                WriteFailure::Write(WriteError::InstanceExists { .. }) => {
                    CommandError::NotTerminal { id: id() }
                }
                WriteFailure::Write(WriteError::InstanceBusy { .. }) => {
                    CommandError::Undelivered { id: id() }
                }
                failure => CommandError::Store(failure.to_string()),
            }));
        }
        if let Some(begun) = body.begun.take() {
            self.not_begun(cell, &body, begun, &failure);
        }
        if refused {
            return After::Drop;
        }
        if body.key.is_none() {
            tracing::error!(instance = %cell.id, error = %failure, "a start was not stored");
            return After::Drop;
        }
        tracing::error!(instance = %cell.id, error = %failure, "a turn was not stored; it is made again");
        // What was held is lost as well, perhaps without anything else to come
        // that would begin it again.
        again.push(Message::Wake);
        After::Again(again)
    }

    /// Tells whoever started it that it did not begin, or tries again.
    fn not_begun(
        self: &Arc<Self>,
        cell: &Arc<Cell>,
        body: &Body,
        begun: Begun,
        failure: &WriteFailure,
    ) {
        let Begun { replace, until, waits, ack } = begun;
        let error = match (failure, body.held.first()) {
            (WriteFailure::Write(WriteError::InstanceExists { .. }), _) => {
                StartError::Exists { id: cell.id.to_string() }
            }
            (
                WriteFailure::Write(WriteError::InstanceBusy { .. }),
                Some(Record(created, Event::Started(started))),
            ) => {
                // Whoever has it sends what is left.
                self.deliver(&cell.id, Message::Wake);
                let new = Box::new(NewInstance {
                    id: cell.id.to_string(),
                    name: started.name.clone(),
                    input: started.input.clone(),
                    created: *created,
                    tags: started.tags.clone(),
                });
                let started = Box::new(started.clone());
                let start = FirstTurn { new, started, replace, until, waits, young: None };
                return self.start_later(&cell.id, start, ack);
            }
            _ => StartError::Store(failure.to_string()),
        };
        let _ = ack.send(Err(error));
    }
}
