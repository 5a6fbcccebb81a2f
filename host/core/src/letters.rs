//! An orchestration's mail: what it sends to others and what they send to it,
//! calls of entities, and locks.

use crate::command::{Command, Rejected};
use crate::instance::{Asked, Instance, TaskKind, TaskState};
use crate::orchestration::Orchestration;
use crate::post::Parcel;
use crate::{EntityId, Event, Failure, FailureKind, Json, Letter, Millis, Post, TaskId};

/// The entities that an orchestration has for itself, or wants to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Locks {
    /// The task that is complete when it has all of them.
    task: TaskId,
    /// In the order in which they are asked for, one after the other: the same
    /// for everybody, so that no two wait for each other.
    entities: Vec<EntityId>,
    /// How many of them it has.
    granted: usize,
}

impl Instance {
    /// What names it as a sender of letters, in all its executions.
    pub fn origin(&self) -> &str {
        let carried = self.started.carried.as_ref();
        let first = carried.and_then(|carried| carried.origin.as_deref());
        first.unwrap_or(&self.started.execution)
    }

    /// What tells entities this run of it from all others: its execution, and
    /// how often that was rewound.
    pub fn run_id(&self) -> String {
        let execution = &self.started.execution;
        match self.generation() {
            0 => execution.clone(),
            times => format!("{execution}-r{times}"),
        }
    }

    /// The entities that it has locked.
    pub fn locked(&self) -> &[EntityId] {
        self.locks.as_ref().map_or(&[], |locks| &locks.entities[..locks.granted])
    }

    /// The entity that it waits to have for itself, and the task that waits.
    pub fn wanted_lock(&self) -> Option<(TaskId, &EntityId)> {
        let locks = self.locks.as_ref()?;
        locks.entities.get(locks.granted).map(|entity| (locks.task, entity))
    }

    pub(crate) fn apply_mail(&mut self, at: Millis, event: &Event) {
        match event {
            Event::Sent(letter) => {
                self.ask(Asked::Sent(self.sent.len() as u32));
                self.sent.push((letter.to.clone(), letter.parcel.clone()));
                match letter.number {
                    0 => self.memo.take_sent(&letter.to, &letter.parcel),
                    _ => self.outbox.put(letter.to.clone(), letter.parcel.clone()),
                }
            }
            Event::EntityCalled { task, entity, operation, input, refused } => {
                let (entity, operation, input) = (entity.clone(), operation.clone(), input.clone());
                let to = entity.instance_id();
                let execution = self.run_id();
                let parcel = Parcel::Call {
                    operation: operation.clone(),
                    input: input.clone(),
                    task: *task,
                    execution,
                };
                let kind = TaskKind::Call { entity, operation, input };
                self.add_task(*task, at, kind, TaskState::Waiting, (0, false));
                match refused {
                    Some(failure) => self.complete(*task, at, Err(failure.clone())),
                    None if self.ask_again(*task) => {}
                    None => self.outbox.put(to, parcel),
                }
            }
            Event::EntityAnswered { task, outcome } => self.complete(*task, at, outcome.clone()),
            Event::LocksRequested { task, entities, refused } => {
                let kind = TaskKind::Lock { entities: entities.clone() };
                self.add_task(*task, at, kind, TaskState::Waiting, (0, false));
                match refused {
                    Some(failure) => self.complete(*task, at, Err(failure.clone())),
                    None => {
                        let entities = entities.clone();
                        self.locks = Some(Locks { task: *task, entities, granted: 0 });
                        self.lock_next(at);
                    }
                }
            }
            Event::LockGranted { task, .. } => {
                if let Some(locks) = self.locks.as_mut().filter(|locks| locks.task == *task) {
                    locks.granted = (locks.granted + 1).min(locks.entities.len());
                    self.lock_next(at);
                }
            }
            Event::LocksReleased => {
                self.ask(Asked::Unlock);
                if let Some(task) = self.release_locks() {
                    let message = "the locks were let go before all of them were had";
                    let failure = Failure::host(FailureKind::Cancelled, message);
                    self.complete(task, at, Err(failure));
                }
            }
            Event::Delivered { letter, .. } => drop(self.outbox.delivered(*letter)),
            _ => {}
        }
    }

    /// Asks for the next entity that it wants; where it has all, the task is
    /// complete.
    fn lock_next(&mut self, at: Millis) {
        let Some(Locks { task, entities, granted }) = &self.locks else { return };
        let (task, execution) = (*task, self.run_id());
        match entities.get(*granted) {
            Some(entity) => self.outbox.put(entity.instance_id(), Parcel::Lock { task, execution }),
            None => self.complete(task, at, Ok(Json::null())),
        }
    }

    /// Lets go of all entities that it has or has asked for. Returns the task
    /// that waits for them.
    pub(crate) fn release_locks(&mut self) -> Option<TaskId> {
        let Locks { task, entities, granted } = self.locks.take()?;
        for entity in entities.iter().take(granted + 1) {
            let execution = self.run_id();
            self.outbox.put(entity.instance_id(), Parcel::Unlock { execution });
        }
        Some(task)
    }

    /// What the code must not do while it has locks, or waits for them: it
    /// could wait for ever.
    pub(crate) fn locks_held(&self, what: &str) -> Option<Failure> {
        let locks = self.locks.as_ref()?;
        let list: Vec<_> = locks.entities.iter().map(EntityId::to_string).collect();
        let message = format!(
            "the orchestration has locked {}, and {what} could wait for ever: unlock first",
            list.join(", ")
        );
        Some(Failure {
            code: "host.locks-held".to_owned(),
            retryable: false,
            ..Failure::host(FailureKind::NotStarted, message)
        })
    }

    fn has_locked(&self, entity: &EntityId) -> bool {
        self.locks.as_ref().is_some_and(|locks| locks.entities.contains(entity))
    }
}

impl Orchestration {
    /// How many things the code has sent: the number of the next one.
    pub fn sent(&self) -> usize {
        self.cursor.sent()
    }

    pub(crate) fn send(&mut self, to: String, parcel: Parcel) -> u32 {
        let place = self.instance.sent.len() as u32;
        // What was sent before a rewind is not sent again.
        let again = self.instance.memo.has_sent(&to, &parcel);
        let number = if again { 0 } else { self.instance.outbox.count() + 1 };
        self.record(Event::Sent(Letter { number, to, parcel }));
        place
    }

    pub(crate) fn call_entity(
        &mut self,
        task: TaskId,
        entity: EntityId,
        operation: String,
        input: Json,
    ) {
        let refused = match self.instance.has_locked(&entity) {
            true => None,
            false => self.instance.locks_held("a call of an entity that it has not locked"),
        };
        self.record(Event::EntityCalled { task, entity, operation, input, refused });
    }

    pub(crate) fn lock(&mut self, task: TaskId, entities: Vec<EntityId>) {
        let refused = self.instance.locks_held("a second lock");
        self.record(Event::LocksRequested { task, entities, refused });
    }

    /// A letter came. What is known already changes nothing.
    pub(crate) fn letter(
        &mut self,
        post: Post,
        from: &str,
        parcel: Parcel,
    ) -> Result<(), Rejected> {
        let instance = &self.instance;
        match parcel {
            Parcel::Event { name, input } => {
                let from = Some(post);
                return self.handle(Command::RaiseEvent { name, input, from });
            }
            Parcel::Answer { task, execution, outcome } => {
                let found = instance.tasks.get(task as usize);
                let waits = found.is_some_and(|found| {
                    matches!(found.kind, TaskKind::Call { .. }) && found.state == TaskState::Waiting
                });
                if waits && instance.end.is_none() && execution == instance.run_id() {
                    self.record(Event::EntityAnswered { task, outcome });
                }
            }
            Parcel::Granted { task, execution } => {
                let next = instance.locks.as_ref().filter(|locks| locks.task == task);
                let entity = next.and_then(|locks| locks.entities.get(locks.granted)).cloned();
                if let Some(entity) = entity
                    && entity.instance_id() == from
                    && execution == instance.run_id()
                {
                    self.record(Event::LockGranted { task, entity });
                }
            }
            // The engine starts orchestrations, and entities get the others.
            _ => {}
        }
        Ok(())
    }

    /// A letter of this one was taken in, or never will be.
    pub(crate) fn delivered(&mut self, post: &Post, problem: Option<String>) {
        if post.origin == self.instance.origin() && self.instance.outbox.has(post.number) {
            self.record(Event::Delivered { letter: post.number, problem });
        }
    }
}
