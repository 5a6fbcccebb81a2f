//! A turn: take what has arrived for an instance, let the core decide, run
//! the orchestrator until it waits again, store the events, and then do what
//! they call for.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use sagahost_core::{Command, Instance, Orchestration, Parcel, Started, Work};
use sagahost_store::NewInstance;

use crate::cell::{Ack, Begun, Body, Cell, Message, Replace, State, Unshown};
use crate::commit::Asked;
use crate::entity::{EntityMessage, is_entity};
use crate::entry::Young;
use crate::error::{CommandError, StartError};
use crate::guest::{self, Guest};
use crate::lifecycle::Inner;
use crate::load::NotLoaded;

/// How long a turn that the store did not take waits before it is made
/// again; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What the first turn of an instance needs; as in [`Message::Start`].
pub(crate) struct FirstTurn {
    pub(crate) new: Box<NewInstance>,
    pub(crate) started: Box<Started>,
    pub(crate) replace: Replace,
    pub(crate) until: Instant,
    pub(crate) waits: bool,
    pub(crate) young: Option<Arc<Young>>,
}

impl FirstTurn {
    fn again(self, ack: Ack<StartError>) -> Message {
        let FirstTurn { new, started, replace, until, waits, .. } = self;
        // By now it has had to wait.
        Message::Start { new, started, replace, until, waits, young: None, ack }
    }
}

/// What a turn leaves behind.
pub(crate) enum After {
    /// The instance, to stay in memory.
    Keep(Box<Body>),
    /// Nothing: it ended, or does not exist, or cannot be loaded.
    Drop,
    /// The store failed: these have to be done again, on what is stored.
    Again(Vec<Message>),
}

/// Works off a cell's inbox until it is empty.
async fn work(inner: Arc<Inner>, cell: Arc<Cell>, start: Option<Duration>) {
    if let Some(came) = start {
        inner.gate.turn_begins(came);
    }
    let mut pause = FIRST_PAUSE;
    let mut stood_back = false;
    loop {
        if !std::mem::take(&mut stood_back) && has_siblings(&cell.lock()) {
            // Those that run beside it may be about to end: one turn is for all
            // of them.
            stood_back = true;
            tokio::task::yield_now().await;
            continue;
        }
        let (batch, body) = {
            let mut state = cell.lock();
            cell.new_stamp();
            if state.inbox.is_empty() {
                settle(&inner, &cell, &mut state);
                break;
            }
            (next_batch(&mut state.inbox), state.body.take())
        };
        let began = Instant::now();
        let after = inner.turn(&cell, body, batch).await;
        inner.counters.recent.turn.record(began.elapsed());
        match after {
            After::Keep(body) => {
                cell.lock().body = Some(body);
                pause = FIRST_PAUSE;
            }
            After::Drop => pause = FIRST_PAUSE,
            After::Again(messages) => {
                tokio::time::sleep(pause).await;
                pause = (2 * pause).min(LONGEST_PAUSE);
                cell.lock().inbox.splice(0..0, messages);
            }
        }
    }
    if inner.working.fetch_sub(1, Ordering::SeqCst) == 1 {
        inner.quiet.notify_waiters();
    }
}

/// Whether all that has arrived are results, and more may follow at once.
fn has_siblings(state: &State) -> bool {
    !state.inbox.is_empty()
        && state.attempts.len() > state.inbox.len()
        && state.inbox.iter().all(|message| matches!(message, Message::Ended { .. }))
}

/// Whether it concerns an instance that has ended as well: it may have come
/// before that, or makes it begin again.
fn is_for_ended(message: &Message) -> bool {
    let is_named = |command: &Command| matches!(command, Command::RaiseEvent { from: Some(_), .. });
    match message {
        Message::Letter { .. } => true,
        Message::Asked { command, .. } if is_named(command) => true,
        message => is_rewind(message),
    }
}

/// Whether nobody asked for anything: its time has come, or the host has started.
fn is_woken(batch: &[Message]) -> bool {
    batch.iter().all(|message| matches!(message, Message::Wake))
}

/// What is to be shown of an attempt that ran ahead; nothing where there is
/// nothing to tell.
fn unshown(instance: &Instance, command: &Command) -> Option<Unshown> {
    let Command::AttemptEnded { work: work @ Work::Step(step), attempt, outcome, logs, .. } =
        command
    else {
        return None;
    };
    let failure = outcome.as_ref().err().cloned();
    if failure.is_none() && logs.is_empty() {
        return None;
    }
    let function = instance.function_of(*work).unwrap_or_default().to_owned();
    Some(Unshown { function, step: *step, attempt: *attempt, failure, logs: logs.clone() })
}

fn is_rewind(message: &Message) -> bool {
    matches!(
        message,
        Message::Asked { command: Command::Rewind { .. }, .. }
            | Message::Told { command: Command::Rewind { .. } }
    )
}

/// One that is rewound goes on with the newest component.
fn on_newest(command: Command, newest: Option<&String>) -> Command {
    match command {
        Command::Rewind { reason, parent, .. } => {
            Command::Rewind { reason, digest: newest.cloned(), parent }
        }
        command => command,
    }
}

/// A start is a turn of its own; everything else that has arrived is one.
fn next_batch(inbox: &mut Vec<Message>) -> Vec<Message> {
    let is_start = |message: &Message| matches!(message, Message::Start { .. });
    let end = match inbox.iter().position(is_start) {
        Some(0) => 1,
        Some(start) => start,
        None => return std::mem::take(inbox),
    };
    inbox.drain(..end).collect()
}

/// Nothing more to do for now: the body waits in memory, or leaves.
fn settle(inner: &Inner, cell: &Arc<Cell>, state: &mut State) {
    state.working = false;
    let stays = match &mut state.body {
        None => false,
        Some(body) => {
            if state.attempts.is_empty() {
                body.young = None;
            }
            body.resident.is_some()
                || !body.held.is_empty()
                || body.has_mail
                || !state.attempts.is_empty()
        }
    };
    if !stays {
        state.body = None;
        inner.cells.remove(cell, state);
    } else if state.body.as_ref().is_some_and(|body| body.resident.is_some()) {
        inner.residents.park(cell.clone());
    }
}

impl Inner {
    /// Puts a message into an instance's inbox, and sees to it that somebody
    /// works it off.
    pub(crate) fn deliver(self: &Arc<Self>, id: &str, message: Message) {
        if is_entity(id) {
            return match message {
                Message::Wake => self.deliver_to_entity(id, EntityMessage::Wake),
                Message::Asked { ack, .. } => {
                    let _ = ack.send(Err(CommandError::NotFound { id: id.to_owned() }));
                }
                // Nothing else is sent to an entity as if it were an instance.
                _ => {}
            };
        }
        let is_start = matches!(message, Message::Start { .. });
        if let Some(cell) = self.cells.deliver(id, message) {
            self.set_to_work(cell, is_start.then(|| self.gate.turn_queued()));
        }
    }

    /// Stores what this instance holds back, if it still does.
    pub(crate) fn flush(self: &Arc<Self>, cell: Arc<Cell>) {
        let mut state = cell.lock();
        if state.gone || state.working {
            // A turn is being made; what it ends with is looked at again.
            if !state.gone {
                state.inbox.push(Message::Flush);
            }
            return;
        }
        if state.body.as_ref().is_some_and(|body| !body.held.is_empty()) {
            state.inbox.push(Message::Flush);
            state.working = true;
            drop(state);
            self.set_to_work(cell, None);
        }
    }

    /// `start` is when a start came that waits for it.
    fn set_to_work(self: &Arc<Self>, cell: Arc<Cell>, start: Option<Duration>) {
        // Counted before the task runs, so that a shutdown waits for it.
        self.working.fetch_add(1, Ordering::SeqCst);
        // In a box: tokio moves a task several times, and this one is large.
        tokio::spawn(Box::pin(work(self.clone(), cell, start)));
    }

    async fn turn(
        self: &Arc<Self>,
        cell: &Arc<Cell>,
        body: Option<Box<Body>>,
        batch: Vec<Message>,
    ) -> After {
        self.counters.turns.add(1);
        let begun = Instant::now();
        let mut batch = batch;
        if let [Message::Start { .. }] = &batch[..]
            && let Some(Message::Start { new, started, replace, until, waits, young, ack }) =
                batch.pop()
        {
            let start = FirstTurn { new, started, replace, until, waits, young };
            return self.first_turn(cell, body, start, ack).await;
        }
        let mut body = match body {
            Some(body) => body,
            // What was held back has been stored, or lost with its body.
            None if batch.iter().all(|message| matches!(message, Message::Flush)) => {
                return After::Drop;
            }
            None => match self.load(cell, batch.iter().any(is_for_ended), is_woken(&batch)).await {
                Ok(body) => body,
                Err(NotLoaded::Unavailable(error)) => {
                    return self.store_failed(&cell.id, batch, &error);
                }
                Err(not) => {
                    for message in batch {
                        self.not_here(&cell.id, &not, message);
                    }
                    return After::Drop;
                }
            },
        };
        let mut asked = Asked::default();
        let Asked { acks, letters, finished, again, flush } = &mut asked;
        let rewound = {
            let mut guest = guest::lock(&body.guest);
            let newest = batch.iter().any(is_rewind).then(|| self.newest(&guest));
            let orchestration = &mut guest.orchestration;
            orchestration.at(self.clock().now());
            for message in batch {
                match message {
                    Message::Asked { command, ack } => {
                        match orchestration.handle(on_newest(command, newest.as_ref())) {
                            Ok(()) => acks.push(ack),
                            Err(rejected) => {
                                let _ = ack.send(Err(CommandError::rejected(&cell.id, rejected)));
                            }
                        }
                    }
                    Message::Ended { execution, token, command } => {
                        if execution != body.execution {
                            continue;
                        }
                        if let (Command::AttemptEnded { work, .. }, Some(token)) = (&command, token)
                        {
                            // A turn began it that was never stored.
                            if !cell.awaits(*work, token) {
                                continue;
                            }
                            finished.push((*work, token));
                            if token.is_ahead {
                                body.unshown.extend(unshown(orchestration.instance(), &command));
                            }
                        }
                        again.push(Message::Ended { execution, token, command: command.clone() });
                        // Only what somebody asked for is ever rejected.
                        let _ = orchestration.handle(command);
                    }
                    Message::Told { command } => {
                        let command = on_newest(command, newest.as_ref());
                        again.push(Message::Told { command: command.clone() });
                        // Only what somebody asked for is ever rejected.
                        let _ = orchestration.handle(command);
                    }
                    Message::Letter { post, from, parcel } => {
                        let (id, sender) = (post.clone(), from.clone());
                        let command = Command::Letter {
                            post: post.clone(),
                            from: from.clone(),
                            parcel: parcel.clone(),
                        };
                        match orchestration.handle(command) {
                            Ok(()) => {
                                letters.push((sender, id));
                                again.push(Message::Letter { post, from, parcel });
                            }
                            Err(why) => self.posted(&sender, id, Some(why.to_string())),
                        }
                    }
                    Message::Posted { post, problem } => {
                        // Its sender says so again where it is not stored.
                        let _ = orchestration.handle(Command::Delivered { post, problem });
                    }
                    Message::Wake => {
                        body.armed = None;
                        let _ = orchestration.handle(Command::Tick);
                    }
                    Message::Flush => *flush = true,
                    Message::Start { .. } => {}
                }
            }
            orchestration.is_at_its_beginning()
        };
        if rewound {
            // What of its code was in memory had come to its end.
            body.resident = None;
        }
        self.run(&mut body).await;
        self.counters.turn_time.observe_time(begun.elapsed());
        self.commit(cell, body, asked).await
    }

    async fn first_turn(
        self: &Arc<Self>,
        cell: &Arc<Cell>,
        body: Option<Box<Body>>,
        start: FirstTurn,
        ack: Ack<StartError>,
    ) -> After {
        if let Some(body) = body {
            if body.key.is_none() {
                // Nobody is told of what is not stored yet: that is first.
                let flush = Asked { flush: true, ..Asked::default() };
                let after = self.commit(cell, body, flush).await;
                self.deliver(&cell.id, start.again(ack));
                return after;
            }
            let over = guest::lock(&body.guest).orchestration.instance().end().is_some();
            if over && start.replace == Replace::Ended {
                self.start_later(&cell.id, start, ack);
                return After::Keep(body);
            }
            let _ = ack.send(Err(StartError::Exists { id: cell.id.to_string() }));
            return After::Keep(body);
        }
        let FirstTurn { new, started, replace, until, waits, young } = start;
        // The id of a child belongs to its parent's step, and that of a firing
        // to its schedule. Where it is there already, in whatever state, it is
        // not begun again.
        if replace == Replace::Nothing {
            match self.read_row(&cell.id).await {
                Ok(None) => {}
                Ok(Some(_)) => {
                    let _ = ack.send(Err(StartError::Exists { id: cell.id.to_string() }));
                    return After::Drop;
                }
                Err(error) => {
                    let _ = ack.send(Err(StartError::Store(error)));
                    return After::Drop;
                }
            }
        }
        let execution: Arc<str> = started.execution.as_str().into();
        let orchestration = Orchestration::start(new.created, *started);
        let mut body = Box::new(Body {
            key: None,
            new: Some(new),
            guest: Guest::new(cell.id.clone(), self.runtime.clone(), orchestration),
            resident: None,
            chunks: 0,
            stored: 0,
            held: Vec::new(),
            held_bytes: 0,
            runs_ahead: false,
            unshown: Vec::new(),
            begun: Some(Begun { replace, until, waits, ack }),
            cautious: false,
            execution,
            armed: None,
            stuck: false,
            has_mail: false,
            young,
        });
        let begun = Instant::now();
        self.run(&mut body).await;
        self.counters.turn_time.observe_time(begun.elapsed());
        self.commit(cell, body, Asked::default()).await
    }

    /// The instance of this id has ended, but has still something to send: the
    /// start is tried again.
    pub(crate) fn start_later(
        self: &Arc<Self>,
        id: &Arc<str>,
        start: FirstTurn,
        ack: Ack<StartError>,
    ) {
        if Instant::now() > start.until {
            let error = CommandError::Undelivered { id: id.to_string() };
            let _ = ack.send(Err(StartError::Store(error.to_string())));
            return;
        }
        let (inner, id) = (self.clone(), id.clone());
        tokio::spawn(async move {
            tokio::time::sleep(FIRST_PAUSE).await;
            inner.deliver(&id, start.again(ack));
        });
    }

    /// A message came for an instance that cannot be had.
    fn not_here(self: &Arc<Self>, id: &str, not: &NotLoaded, message: Message) {
        match message {
            Message::Asked { ack, .. } => {
                let _ = ack.send(Err(not.error(id)));
            }
            // Of a damaged one the sender hears nothing, and keeps it.
            Message::Letter { post, from, parcel } if !matches!(not, NotLoaded::Damaged(_)) => {
                let wants_to_know = matches!(parcel, Parcel::Event { .. });
                let problem = wants_to_know.then(|| not.error(id).to_string());
                self.posted(&from, post, problem);
            }
            _ => {}
        }
    }

    fn store_failed(&self, id: &str, batch: Vec<Message>, error: &str) -> After {
        tracing::error!(
            instance = id,
            error,
            "an instance could not be read from the store; it is tried again"
        );
        let mut again = Vec::new();
        for message in batch {
            match message {
                Message::Asked { ack, .. } => {
                    let _ = ack.send(Err(CommandError::Store(error.to_owned())));
                }
                Message::Start { ack, .. } => {
                    let _ = ack.send(Err(StartError::Store(error.to_owned())));
                }
                inner => again.push(inner),
            }
        }
        After::Again(again)
    }
}
