//! Rewinding: what failed begins again, and what was completed and not undone
//! is kept.
//!
//! The code runs again from its beginning, and asks again. What it asks for
//! that was completed before is not done again, but *recalled*: the code is
//! told so once it waits, in the order and with the times of before. So it
//! sees what it saw up to where it failed, also where its steps have other
//! numbers by then.

mod memo;

use std::collections::{HashMap, HashSet, VecDeque};

use crate::command::{LoadError, Rejected};
use crate::instance::{End, Instance, Task, TaskKind, TaskState};
use crate::orchestration::Orchestration;
use crate::replay::Cursor;
use crate::undos::UndoState;
use crate::{Event, FailureKind, Json, Millis, Parent, Record, TaskId, UndoId};

pub(crate) use self::memo::Memo;
use self::memo::{Ask, ChildUndo, FailedChild, Kept, sendable};

impl Instance {
    /// How often it was rewound.
    pub(crate) fn generation(&self) -> u32 {
        self.memo.times
    }

    /// How long it may take, from its beginning or from its last rewind.
    pub(crate) fn allowed(&self) -> Option<Millis> {
        let from = self.begun_at.max(self.memo.since);
        self.started.deadline.map(|deadline| deadline.saturating_sub(from))
    }

    /// Begins again, with what it has done in mind.
    pub(crate) fn rewind(&mut self, at: Millis, digest: &str, by_parent: Option<u32>) {
        let mut memo = self.remember();
        memo.since = at;
        // What came in and was not waited for comes after all that.
        let mut raised: Vec<_> = std::mem::take(&mut self.raised).into_iter().collect();
        raised.sort_unstable_by(|(name, _), (other, _)| name.cmp(other));
        for (name, inputs) in raised {
            inputs.into_iter().for_each(|input| memo.keep(Kept::event(&name, input, at)));
        }
        memo.by_parent = by_parent.unwrap_or(self.memo.by_parent);
        let mut started = self.started.clone();
        started.digest = digest.to_owned();
        started.deadline = self.allowed().map(|allowed| at.saturating_add(allowed));
        let new = Instance::new(at, started);
        *self = Instance {
            started_at: self.started_at,
            begun_at: if self.pending { new.begun_at } else { self.begun_at },
            updated: self.updated,
            custom_status: self.custom_status.take(),
            raised: HashMap::new(),
            events: self.events,
            outbox: std::mem::take(&mut self.outbox),
            inbox: std::mem::take(&mut self.inbox),
            memo,
            ..new
        };
    }

    fn remember(&self) -> Memo {
        let before = &self.memo;
        let done = self.undos.iter().filter(|(_, undo)| undo.state == UndoState::Done);
        let undone: HashSet<TaskId> = done.map(|(id, _)| id.task).collect();
        let mut memo =
            Memo { times: before.times + 1, used: before.used.clone(), ..Memo::default() };
        for (task, at) in self.completions.iter().filter(|(task, _)| !undone.contains(task)) {
            if let Some(kept) = self.kept(*task, *at) {
                memo.keep(kept);
            }
        }
        before.kept.values().for_each(|kept| memo.keep(kept.clone()));
        for (to, parcel) in &self.sent {
            memo.sent.entry(to.clone()).or_default().push_back(sendable(parcel));
        }
        for (to, sent) in &before.sent {
            memo.sent.entry(to.clone()).or_default().extend(sent.iter().cloned());
        }
        for (task, found) in self.tasks.iter().enumerate() {
            let task = task as TaskId;
            if let (TaskKind::Child { id, .. }, false) = (&found.kind, found.was_kept()) {
                let used = memo.used.entry(id.clone()).or_default();
                *used = found.attempts.max(*used);
            }
            let over = match &found.state {
                TaskState::Done(outcome) => outcome.is_ok(),
                state => matches!(state, TaskState::Kept | TaskState::Cancelled),
            };
            if over || undone.contains(&task) {
                continue;
            }
            if let Some(ask @ (Ask::Activity { .. } | Ask::Child { .. })) = self.ask_of(task) {
                memo.failed.entry(ask).or_default().push_back(self.idempotency_key(task));
            }
            if let Some(child) = failed_child(found) {
                memo.children.insert(task, child);
            }
        }
        for (ask, keys) in &before.failed {
            memo.failed.entry(ask.clone()).or_default().extend(keys.iter().cloned());
        }
        for (task, child) in &before.children {
            memo.children.entry(*task).or_insert_with(|| child.clone());
        }
        memo
    }

    fn ask_of(&self, task: TaskId) -> Option<Ask> {
        Some(match &self.tasks.get(task as usize)?.kind {
            TaskKind::Activity { function, input, .. } => {
                Ask::Activity { function: function.clone(), input: input.clone() }
            }
            TaskKind::Child { function, input, by_hand, .. } => Ask::Child {
                function: function.clone(),
                input: input.clone(),
                undo: (*by_hand, self.undos.contains_key(&task.into())),
            },
            TaskKind::Timer { fire_at } => Ask::Timer(*fire_at),
            TaskKind::Event { name } => Ask::Event(name.clone()),
            TaskKind::Call { entity, operation, input } => Ask::Operation {
                entity: entity.clone(),
                operation: operation.clone(),
                input: input.clone(),
            },
            // What it undid is done again, and undone again; locks are asked for
            // again.
            TaskKind::Compensation { .. } | TaskKind::Lock { .. } => return None,
        })
    }

    fn kept(&self, task: TaskId, at: Millis) -> Option<Kept> {
        let found = self.tasks.get(task as usize)?;
        let TaskState::Done(Ok(output)) = &found.state else { return None };
        let ask = self.ask_of(task)?;
        let is_step = matches!(ask, Ask::Activity { .. } | Ask::Child { .. });
        let parts = UndoId { task, part: 1 }..=UndoId { task, part: u32::MAX };
        let handed = self.undos.range(parts).rev().filter_map(|(_, undo)| undo.as_handed());
        Some(Kept {
            ask,
            at,
            output: output.clone(),
            key: is_step.then(|| self.idempotency_key(task)),
            mended: found.mended.clone(),
            child: match &found.kind {
                TaskKind::Child { id, .. } => id.clone(),
                _ => String::new(),
            },
            handed: handed.collect(),
        })
    }

    /// The instance id of a child that is given none.
    pub(crate) fn derived_child_id(
        &self,
        task: TaskId,
        function: &str,
        input: &Json,
        undo: ChildUndo,
    ) -> String {
        let execution = &self.started.execution;
        if self.memo.times == 0 {
            return format!("{execution}:{task:04x}");
        }
        let same = |child: &&FailedChild| (&*child.function, &child.input) == (function, input);
        if let Some(child) = self.memo.children.get(&task).filter(same) {
            return child.id.clone();
        }
        let ask = Ask::Child { function: function.to_owned(), input: input.clone(), undo };
        match self.memo.first(&ask) {
            Some(kept) => kept.child.clone(),
            None => format!("{execution}-r{}:{task:04x}", self.memo.times),
        }
    }

    /// The code asked for something: was it complete before the rewind? A step
    /// that has to be done is given its key, and a child its attempt.
    pub(crate) fn ask_again(&mut self, task: TaskId) -> bool {
        if self.memo.times == 0 {
            return false;
        }
        let key = format!("{}-r{}-{task}", self.started.execution, self.memo.times);
        let Some(ask) = self.ask_of(task) else { return false };
        let Some(found) = self.tasks.get_mut(task as usize) else { return false };
        let memo = &mut self.memo;
        let failed = |memo: &mut Memo| memo.failed.get_mut(&ask).and_then(VecDeque::pop_front);
        if let TaskKind::Child { function, input, id, .. } = &found.kind {
            let same = |child: &&FailedChild| {
                (&child.function, &child.input, &child.id) == (function, input, id)
            };
            if let Some(child) = memo.children.get(&task).filter(same) {
                let attempt = child.attempt;
                memo.children.remove(&task);
                memo.rewinding.insert(task, attempt);
                found.begin_with(attempt);
                found.key = failed(memo).or(Some(key));
                return false;
            }
        }
        if let Some(kept) = memo.claim(&ask, task) {
            found.state = TaskState::Kept;
            found.key = kept.key.clone();
            found.mended = kept.mended.clone();
            return true;
        }
        if let TaskKind::Child { id, .. } = &found.kind
            && let Some(used) = memo.used.get(id)
        {
            found.begin_with(used + 1);
        }
        if matches!(ask, Ask::Activity { .. } | Ask::Child { .. }) {
            found.key = failed(memo).or(Some(key));
        }
        false
    }

    /// Whether it was completed before the rewind, and waits for its turn.
    pub(crate) fn is_kept(&self, task: TaskId) -> bool {
        self.tasks.get(task as usize).is_some_and(|task| task.state == TaskState::Kept)
    }

    /// What was completed before the rewind is complete now.
    pub(crate) fn recall(&mut self, task: TaskId, at: Millis) {
        let Some(place) = self.memo.place_of(task) else { return };
        self.memo.claimed.remove(&place);
        let Some(kept) = self.memo.kept.remove(&place) else { return };
        self.take_over(task, &kept.handed, true, at);
        self.complete(task, at, Ok(kept.output));
    }

    /// A wait is given up whose event was about to be recalled: that goes to
    /// the next wait, and the event of that one to the one after it. (A timer
    /// had fired before it was given up.)
    pub(crate) fn give_back(&mut self, task: TaskId) {
        let Some(found) = self.tasks.get_mut(task as usize) else { return };
        let TaskKind::Event { name } = &found.kind else { return };
        if found.state != TaskState::Kept {
            return;
        }
        found.state = TaskState::Waiting;
        let Some(mut place) = self.memo.place_of(task) else { return };
        let ask = Ask::Event(name.clone());
        self.memo.claimed.remove(&place);
        let later: Vec<(u32, TaskId)> =
            self.memo.claimed.range(place..).map(|(place, task)| (*place, *task)).collect();
        for (next, task) in later {
            if self.memo.kept.get(&next).is_some_and(|kept| kept.ask == ask) {
                self.memo.claimed.remove(&next);
                self.memo.claimed.insert(place, task);
                place = next;
            }
        }
        match self.waits.get_mut(name).and_then(VecDeque::pop_front) {
            Some(waiting) => {
                self.memo.claimed.insert(place, waiting);
                if let Some(found) = self.tasks.get_mut(waiting as usize) {
                    found.state = TaskState::Kept;
                }
            }
            None => {
                self.memo.free.entry(ask).or_default().insert(place);
            }
        }
    }

    /// By which rewind this attempt of a child is one to be rewound, if it is.
    pub(crate) fn rewinds_child(&self, task: TaskId, attempt: u32) -> Option<u32> {
        (self.memo.rewinding.get(&task) == Some(&attempt)).then_some(self.memo.times)
    }
}

impl Task {
    /// Whether it was recalled, and nothing of it ran since.
    fn was_kept(&self) -> bool {
        self.attempts == 0
    }

    fn begin_with(&mut self, attempt: u32) {
        self.state = TaskState::Running { attempt };
        self.uncounted = attempt - 1;
    }
}

/// The child that this task was, where it failed and undid what it did. One
/// that was ended otherwise has handed that over, and cannot be rewound.
fn failed_child(found: &Task) -> Option<FailedChild> {
    let TaskKind::Child { function, input, id, .. } = &found.kind else { return None };
    let TaskState::Done(Err(failure)) = &found.state else { return None };
    let ended = matches!(failure.kind, FailureKind::Cancelled | FailureKind::Terminated);
    (!ended).then(|| FailedChild {
        function: function.clone(),
        input: input.clone(),
        id: id.clone(),
        attempt: found.attempts.max(1),
    })
}

impl Orchestration {
    /// Begins again after a failure, with the code yet to be run from its
    /// beginning.
    pub(crate) fn rewind(
        &mut self,
        reason: String,
        digest: Option<String>,
        parent: Option<(Parent, u32)>,
    ) -> Result<(), Rejected> {
        let instance = &self.instance;
        let has_failed = matches!(instance.end, Some(End::Failed(_)));
        let by_parent = match parent {
            None if has_failed => None,
            None => return Err(Rejected::NotFailed(instance.status())),
            Some((parent, times)) => {
                let is_meant = instance.started.parent.as_ref() == Some(&parent);
                if !has_failed || !is_meant || instance.memo.by_parent >= times {
                    return Ok(());
                }
                Some(times)
            }
        };
        let digest = digest.unwrap_or_else(|| instance.started.digest.clone());
        self.record(Event::Rewound { reason, digest, by_parent });
        self.turn.ended = false;
        self.told.clear();
        self.cursor = Cursor::new(&self.instance, false);
        Ok(())
    }

    /// Tells the code of the next thing that it asked for and that was complete
    /// before the rewind.
    pub(crate) fn recall_next(&mut self) -> bool {
        let memo = &self.instance.memo;
        let next = memo.claimed.first_key_value();
        let Some((task, at)) =
            next.and_then(|(place, task)| Some((*task, memo.kept.get(place)?.at)))
        else {
            return false;
        };
        self.record(Event::Recalled { task, at });
        true
    }

    /// The same of all of them: what is decided now depends on what is
    /// complete.
    pub(crate) fn recall_all(&mut self) {
        while self.instance.end.is_none() && self.recall_next() {}
    }
}

/// What each [`Event::Recalled`] of a journal recalls, in order.
///
/// # Errors
/// When it recalls something, and is damaged.
pub fn recalled(records: &[Record]) -> Result<Vec<Json>, LoadError> {
    let mut recalled = Vec::new();
    if !records.iter().any(|Record(_, event)| matches!(event, Event::Recalled { .. })) {
        return Ok(recalled);
    }
    let Some((Record(at, Event::Started(started)), rest)) = records.split_first() else {
        return Err(LoadError::NoStart);
    };
    let mut instance = Instance::new(*at, started.clone());
    for record in rest {
        instance.take(record)?;
        if let Record(_, Event::Recalled { task, .. }) = record {
            let state = instance.tasks.get(*task as usize).map(|task| &task.state);
            recalled.push(match state {
                Some(TaskState::Done(Ok(output))) => output.clone(),
                _ => Json::null(),
            });
        }
    }
    Ok(recalled)
}
