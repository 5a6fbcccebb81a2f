//! The state of an entity, which its journal makes.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::entity::event::{Delayed, EntityEvent, EntityRecord, Snapshot};
use crate::post::{Inbox, Outbox};
use crate::{Failure, Json, Millis, Parcel, TaskId};

/// Something that the entity is to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Operation {
    /// Which one, from 1; 0 as long as it is not in the queue.
    #[serde(default)]
    pub(crate) number: u64,
    /// Its name.
    pub(crate) operation: String,
    pub(crate) input: Json,
    /// Who wants it; empty for a client.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) from: String,
    /// In which execution.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) execution: Option<String>,
    /// The task that waits for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) task: Option<TaskId>,
}

/// What waits for its turn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all_fields = "camelCase")]
pub(crate) enum Queued {
    Operation(Operation),
    Lock(Holder),
    /// The holder lets go once its own operations that came before are done.
    Unlock {
        execution: String,
    },
}

/// Who has the entity for itself, or wants it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Holder {
    pub(crate) instance: String,
    pub(crate) execution: String,
    pub(crate) task: TaskId,
}

/// The operation whose turn it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Running {
    pub(crate) operation: Operation,
    /// When its turn came.
    pub(crate) since: Millis,
    /// The attempt that is out, or comes next, from 1.
    pub(crate) attempt: u32,
    /// When that begins, where it is another one after a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) retry_at: Option<Millis>,
    /// How many attempts were lost with their host.
    #[serde(default)]
    pub(crate) lost: u32,
}

/// An entity, as its journal tells it.
#[derive(Clone, Debug, PartialEq)]
pub struct EntityState {
    pub(crate) name: String,
    pub(crate) key: String,
    pub(crate) origin: String,
    pub(crate) created: Millis,
    pub(crate) updated: Millis,
    pub(crate) last_operation: Option<Millis>,
    pub(crate) state: Option<Json>,
    pub(crate) operations: u64,
    pub(crate) running: Option<Running>,
    pub(crate) queue: VecDeque<Queued>,
    pub(crate) holder: Option<Holder>,
    pub(crate) put_off: u64,
    /// What is to come later, by its time and then in the order of arrival.
    pub(crate) delayed: BTreeMap<(Millis, u64), Operation>,
    pub(crate) inbox: Inbox,
    pub(crate) outbox: Outbox,
    pub(crate) events: u64,
}

impl EntityState {
    pub(crate) fn new(at: Millis, name: String, key: String, origin: String) -> Self {
        EntityState {
            name,
            key,
            origin,
            created: at,
            updated: at,
            last_operation: None,
            state: None,
            operations: 0,
            running: None,
            queue: VecDeque::new(),
            holder: None,
            put_off: 0,
            delayed: BTreeMap::new(),
            inbox: Inbox::default(),
            outbox: Outbox::default(),
            events: 1,
        }
    }

    /// An entity whose journal begins with this event, if one can.
    pub(crate) fn begin(record: &EntityRecord) -> Option<Self> {
        let EntityRecord(at, event) = record;
        match event {
            EntityEvent::Created { name, key, origin } => {
                Some(Self::new(*at, name.clone(), key.clone(), origin.clone()))
            }
            EntityEvent::Snapshot(snapshot) => Some(Self::restored(*at, (**snapshot).clone())),
            _ => None,
        }
    }

    fn restored(at: Millis, snapshot: Snapshot) -> Self {
        let Snapshot { name, key, origin, created, last_operation, state, .. } = snapshot;
        let delayed = snapshot.delayed.into_iter();
        EntityState {
            name,
            key,
            origin,
            created,
            updated: at,
            last_operation,
            state,
            operations: snapshot.operations,
            running: snapshot.running,
            queue: snapshot.queue.into(),
            holder: snapshot.holder,
            put_off: snapshot.put_off,
            delayed: delayed
                .map(|Delayed { at, place, operation }| ((at, place), operation))
                .collect(),
            inbox: snapshot.inbox,
            outbox: Outbox::carried(snapshot.sent, &snapshot.outbox),
            events: 1,
        }
    }

    /// All of it, without the senders that were last heard of before this
    /// time.
    pub(crate) fn snapshot(&self, forget_before: Millis) -> Snapshot {
        let delayed = self.delayed.iter().map(|(&(at, place), operation)| Delayed {
            at,
            place,
            operation: operation.clone(),
        });
        Snapshot {
            name: self.name.clone(),
            key: self.key.clone(),
            origin: self.origin.clone(),
            created: self.created,
            last_operation: self.last_operation,
            state: self.state.clone(),
            operations: self.operations,
            running: self.running.clone(),
            queue: self.queue.iter().cloned().collect(),
            holder: self.holder.clone(),
            put_off: self.put_off,
            delayed: delayed.collect(),
            inbox: self.inbox.since(forget_before),
            sent: self.outbox.count(),
            outbox: self.outbox.letters().cloned().collect(),
        }
    }

    /// What a snapshot of it has to repeat, beside the state itself.
    pub(crate) fn entries(&self) -> u64 {
        let letters = self.outbox.letters().count();
        (self.queue.len() + self.delayed.len() + self.inbox.len() + letters) as u64
    }

    pub(crate) fn apply(&mut self, record: &EntityRecord) {
        let EntityRecord(at, event) = record;
        let at = *at;
        self.updated = self.updated.max(at);
        self.events += 1;
        match event {
            EntityEvent::Created { .. } => {}
            EntityEvent::Received { post, from, parcel } => {
                if let Some(post) = post {
                    self.inbox.note(post, at);
                }
                self.received(at, from, parcel);
            }
            EntityEvent::Due => {
                while let Some(first) = self.delayed.first_entry() {
                    if first.key().0 > at {
                        break;
                    }
                    let operation = first.remove();
                    self.enqueue(operation);
                }
            }
            EntityEvent::OperationDone { number, result, state, sends, .. } => {
                let Some(running) = self.take_running(*number) else { return };
                if let Some(state) = state {
                    self.state = Some(state.clone()).filter(|state| state.as_str() != "null");
                }
                for letter in sends {
                    self.outbox.put(letter.to.clone(), letter.parcel.clone());
                }
                self.ended(at, running, Ok(result.clone()));
            }
            EntityEvent::OperationFailed { number, failure, retry_at: None, .. } => {
                let Some(running) = self.take_running(*number) else { return };
                self.ended(at, running, Err(failure.clone()));
            }
            EntityEvent::OperationFailed { attempt, retry_at, .. } => {
                if let Some(running) = &mut self.running {
                    running.attempt = attempt + 1;
                    running.retry_at = *retry_at;
                }
            }
            EntityEvent::AttemptLost { attempt, .. } => {
                if let Some(running) = &mut self.running {
                    running.attempt = attempt + 1;
                    running.retry_at = None;
                    running.lost += 1;
                }
            }
            EntityEvent::Delivered { letter, problem } => {
                let letter = self.outbox.delivered(*letter).map(|letter| letter.parcel);
                if let (Some(Parcel::Granted { task, execution }), Some(_)) = (letter, problem) {
                    // Nobody is there to hold it.
                    let gone = |h: &mut Holder| h.task == task && h.execution == execution;
                    self.holder.take_if(gone);
                }
            }
            EntityEvent::Snapshot(snapshot) => *self = Self::restored(at, (**snapshot).clone()),
        }
        self.advance(at);
    }

    fn received(&mut self, now: Millis, from: &str, parcel: &Parcel) {
        let wanted = |operation: &String, input: &Json, execution: Option<&String>, task| {
            let (operation, input) = (operation.clone(), input.clone());
            let (from, execution) = (from.to_owned(), execution.cloned());
            Operation { number: 0, operation, input, from, execution, task }
        };
        match parcel {
            Parcel::Signal { operation, input, at, execution } => {
                let operation = wanted(operation, input, execution.as_ref(), None);
                match at {
                    Some(at) if *at > now => {
                        self.put_off += 1;
                        self.delayed.insert((*at, self.put_off), operation);
                    }
                    _ => self.enqueue(operation),
                }
            }
            Parcel::Call { operation, input, task, execution } => {
                self.enqueue(wanted(operation, input, Some(execution), Some(*task)));
            }
            Parcel::Lock { task, execution } => {
                let (instance, execution, task) = (from.to_owned(), execution.clone(), *task);
                self.queue.push_back(Queued::Lock(Holder { instance, execution, task }));
            }
            Parcel::Unlock { execution } => {
                self.queue.retain(
                    |queued| !matches!(queued, Queued::Lock(lock) if lock.execution == *execution),
                );
                if self.is_held_by(execution) {
                    self.queue.push_back(Queued::Unlock { execution: execution.clone() });
                }
            }
            Parcel::Event { .. }
            | Parcel::Start { .. }
            | Parcel::Answer { .. }
            | Parcel::Granted { .. } => {}
        }
    }

    fn enqueue(&mut self, operation: Operation) {
        self.operations += 1;
        let number = self.operations;
        self.queue.push_back(Queued::Operation(Operation { number, ..operation }));
    }

    fn take_running(&mut self, number: u64) -> Option<Running> {
        self.running.take_if(|running| running.operation.number == number)
    }

    fn ended(&mut self, at: Millis, running: Running, outcome: Result<Json, Failure>) {
        self.last_operation = Some(at);
        let Operation { from, execution, task, .. } = running.operation;
        if let (Some(task), Some(execution)) = (task, execution) {
            self.outbox.put(from, Parcel::Answer { task, execution, outcome });
        }
    }

    /// Finds what comes next, if nothing has its turn.
    fn advance(&mut self, at: Millis) {
        while self.running.is_none() {
            let next = match &self.holder {
                None => 0,
                Some(holder) => {
                    let own = |queued: &Queued| match queued {
                        Queued::Operation(operation) => {
                            operation.execution.as_ref() == Some(&holder.execution)
                        }
                        Queued::Unlock { execution } => *execution == holder.execution,
                        Queued::Lock(_) => false,
                    };
                    let Some(next) = self.queue.iter().position(own) else { return };
                    next
                }
            };
            match self.queue.remove(next) {
                None => return,
                Some(Queued::Operation(operation)) => {
                    let (attempt, retry_at, lost) = (1, None, 0);
                    self.running = Some(Running { operation, since: at, attempt, retry_at, lost });
                }
                Some(Queued::Lock(lock)) => {
                    let (task, execution) = (lock.task, lock.execution.clone());
                    self.outbox.put(lock.instance.clone(), Parcel::Granted { task, execution });
                    self.holder = Some(lock);
                }
                Some(Queued::Unlock { execution }) => {
                    self.holder.take_if(|holder| holder.execution == execution);
                }
            }
        }
    }

    fn is_held_by(&self, execution: &str) -> bool {
        self.holder.as_ref().is_some_and(|holder| holder.execution == execution)
    }

    /// The function of kind `entity` that it is one of.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Which one it is.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What names it as a sender of letters.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// When somebody spoke of it for the first time.
    pub fn created(&self) -> Millis {
        self.created
    }

    /// What it keeps, if anything.
    pub fn state(&self) -> Option<&Json> {
        self.state.as_ref()
    }

    /// The instance id of the orchestration that has it for itself.
    pub fn holder(&self) -> Option<&str> {
        self.holder.as_ref().map(|holder| holder.instance.as_str())
    }

    /// How many operations and wishes to lock it wait for their turn.
    pub fn queued(&self) -> usize {
        self.queue.iter().filter(|queued| !matches!(queued, Queued::Unlock { .. })).count()
    }

    /// When an operation last ended.
    pub fn last_operation(&self) -> Option<Millis> {
        self.last_operation
    }

    /// How many operations there were so far, those that wait included.
    pub fn operations(&self) -> u64 {
        self.operations
    }

    /// Whether it has to go on after a restart: an operation has its turn, or
    /// what it sent is not known to be taken in.
    pub fn is_busy(&self) -> bool {
        self.running.is_some() || !self.outbox.is_empty()
    }

    /// When it has to be looked at next: a signal comes, or an attempt begins.
    pub fn wake_at(&self) -> Option<Millis> {
        let delayed = self.delayed.keys().next().map(|(at, _)| *at);
        let retry = self.running.as_ref().and_then(|running| running.retry_at);
        [delayed, retry].into_iter().flatten().min()
    }

    /// How many events its journal has.
    pub fn events(&self) -> u64 {
        self.events
    }
}
