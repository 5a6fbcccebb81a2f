//! What comes in from outside becomes events.

use crate::command::{ChildStart, Command, Rejected};
use crate::instance::{Attempt, TaskKind, TaskState, Wake};
use crate::orchestration::Orchestration;
use crate::replay::Cursor;
use crate::retry::{Attempted, next_attempt, next_attempt_always};
use crate::undos::UndoState;
use crate::{
    Cause, Event, Failure, FailureKind, HTTP_ACCEPTED, HTTP_FUNCTION, HandedUndo, Json, Logs,
    Millis, Parcel, Repair, RetryPolicy, TaskId, UndoId, Work,
};

/// A step whose attempts were lost this often with their host is taken to be
/// what brings the host down, and fails with [`FailureKind::HostLost`].
pub const MAX_LOST_ATTEMPTS: u32 = 100;

/// How an attempt ended.
struct Ended {
    attempt: u32,
    started_at: Millis,
    outcome: Result<Json, Failure>,
    logs: Logs,
}

impl Orchestration {
    /// Takes in what came from outside. What is late or already known changes
    /// nothing, and is no error.
    ///
    /// # Errors
    /// When somebody asked for something that cannot be done any more.
    pub fn handle(&mut self, command: Command) -> Result<(), Rejected> {
        if let Command::Rewind { reason, digest, parent } = command {
            return self.rewind(reason, digest, parent);
        }
        if self.instance.end.is_some() {
            return match command {
                Command::Letter { post, .. } | Command::RaiseEvent { from: Some(post), .. }
                    if !self.instance.inbox.is_new(&post) =>
                {
                    Ok(())
                }
                Command::RaiseEvent { .. }
                | Command::Terminate { .. }
                | Command::Suspend { .. }
                | Command::Resume { .. }
                | Command::Cancel { .. }
                | Command::Repair { .. }
                | Command::Letter { parcel: Parcel::Event { .. }, .. } => {
                    Err(Rejected::Ended(self.instance.status()))
                }
                // What it has sent is to arrive all the same.
                Command::Delivered { post, problem } => {
                    self.delivered(&post, problem);
                    Ok(())
                }
                Command::HostLost { .. } => {
                    self.turn.letters = self.instance.outbox.again();
                    Ok(())
                }
                _ => Ok(()),
            };
        }
        match command {
            Command::RaiseEvent { name, input, from } => {
                if from.as_ref().is_none_or(|post| self.instance.inbox.is_new(post)) {
                    self.record(Event::EventRaised { name, input, from });
                }
            }
            Command::Letter { post, from, parcel } => return self.letter(post, &from, parcel),
            Command::Delivered { post, problem } => self.delivered(&post, problem),
            Command::Terminate { reason, compensate: true } => {
                self.unwind_from_outside(Cause::Terminated(reason))?;
            }
            Command::Terminate { reason, compensate: false } => self.terminate(reason)?,
            Command::Suspend { reason } if !self.instance.suspended => {
                self.record(Event::Suspended { reason });
            }
            Command::Resume { reason } if self.instance.suspended => {
                self.record(Event::Resumed { reason });
            }
            // It is so already.
            Command::Suspend { .. } | Command::Resume { .. } => {}
            Command::Cancel { reason } => self.unwind_from_outside(Cause::Canceled(reason))?,
            // A child past its pivot goes on to its end, and its parent waits.
            Command::HandOver { reason } => {
                let _ = self.unwind_from_outside(Cause::Parent(reason));
            }
            Command::Repair { step, repair, note, by } => self.repair(step, repair, note, by)?,
            Command::AttemptEnded { work, attempt, started_at, outcome, logs } => {
                let ended = Ended { attempt, started_at, outcome, logs };
                match work {
                    Work::Step(task) => self.attempt_ended(task, ended),
                    Work::Undo(undo) => self.undo_attempt_ended(undo, ended),
                }
            }
            Command::ChildEnded { task, outcome, handed } => {
                self.child_ended(task, outcome, handed);
            }
            Command::Tick => self.tick(),
            Command::Rewind { .. } => {}
            Command::HostLost { alive, since } => self.host_lost(&alive, since),
        }
        self.advance();
        Ok(())
    }

    fn attempt_ended(&mut self, task: TaskId, ended: Ended) {
        let Some(found) = self.instance.tasks.get(task as usize) else {
            return;
        };
        let Ended { attempt, started_at, outcome, logs } = ended;
        if found.state != (TaskState::Running { attempt }) {
            if found.given_up == Some(attempt) {
                let (output, failure) = match outcome {
                    Ok(output) => (Some(output), None),
                    Err(failure) => (None, Some(failure)),
                };
                self.record(Event::LateResult { task, attempt, output, failure, logs });
            }
            return;
        }
        let TaskKind::Activity { policy, .. } = &found.kind else {
            return;
        };
        let failure = match outcome {
            Ok(output) => {
                return self.record(Event::TaskCompleted {
                    task,
                    attempt,
                    started_at,
                    output,
                    logs,
                });
            }
            Err(failure) => failure,
        };
        let attempted = Attempted {
            counted: attempt - found.uncounted.min(attempt - 1),
            scheduled_at: found.scheduled_at,
            ended_at: self.now,
            chance: self.cursor.chance(task, attempt),
        };
        // A request that was accepted is asked for its answer, however often
        // that takes.
        let answer_at = (failure.code == HTTP_ACCEPTED && is_http(&found.kind))
            .then(|| self.now.saturating_add(failure.retry_after_ms.unwrap_or(0)));
        let may_be_passed = found.pivot && (found.unknown || failure.kind.outcome_unknown());
        let retry_at = if self.instance.is_unwound(task) && !found.pivot {
            None
        } else if answer_at.is_some() {
            answer_at
        } else if self.instance.past_pivot || may_be_passed {
            attempt_for_ever(&policy.retry, &failure, attempted)
        } else {
            next_attempt(&policy.retry, &failure, attempted)
        };
        self.record(Event::AttemptFailed { task, attempt, started_at, failure, retry_at, logs });
    }

    fn undo_attempt_ended(&mut self, undo: UndoId, ended: Ended) {
        let Some(found) = self.instance.undos.get(&undo) else {
            return;
        };
        let Ended { attempt, started_at, outcome, logs } = ended;
        if found.state != (UndoState::Running { attempt }) {
            return;
        }
        let failure = match outcome {
            Ok(output) => {
                return self.record(Event::UndoCompleted {
                    undo,
                    attempt,
                    started_at,
                    output,
                    logs,
                });
            }
            Err(failure) => failure,
        };
        let attempted = Attempted {
            counted: attempt - found.uncounted.min(attempt - 1),
            scheduled_at: found.since,
            ended_at: self.now,
            chance: self.cursor.chance(!undo.task, attempt),
        };
        let retry_at = next_attempt(&found.compensation.policy.retry, &failure, attempted);
        let event = Event::UndoAttemptFailed { undo, attempt, started_at, failure, retry_at, logs };
        self.record(event);
    }

    fn child_ended(
        &mut self,
        task: TaskId,
        outcome: Result<Json, Failure>,
        handed: Vec<HandedUndo>,
    ) {
        let Some(found) = self.instance.tasks.get(task as usize) else {
            return;
        };
        if !matches!(
            (&found.kind, &found.state),
            (TaskKind::Child { .. }, TaskState::Running { .. })
        ) {
            return;
        }
        let TaskState::Running { attempt } = found.state else { return };
        let retry_at = match (&found.kind, &outcome) {
            (TaskKind::Child { policy, .. }, Err(failure)) if !self.instance.is_unwound(task) => {
                // Whether one of its steps may be retried says nothing of it
                // as a whole.
                let failure = Failure { retryable: true, ..failure.clone() };
                let attempted = Attempted {
                    counted: attempt - found.uncounted.min(attempt - 1),
                    scheduled_at: found.scheduled_at,
                    ended_at: self.now,
                    chance: self.cursor.chance(task, attempt),
                };
                // What it hands over would be undone for the attempt that
                // follows, too.
                let retry = policy.retry.as_ref().filter(|_| handed.is_empty());
                retry.and_then(|retry| next_attempt(retry, &failure, attempted))
            }
            _ => None,
        };
        self.record(match outcome {
            Ok(output) => Event::ChildCompleted { task, output, handed },
            Err(failure) => Event::ChildFailed { task, failure, retry_at, handed },
        });
    }

    fn repair(
        &mut self,
        step: UndoId,
        repair: Repair,
        note: String,
        by: String,
    ) -> Result<(), Rejected> {
        let forward = Work::Step(step.task);
        let work = match self.instance.stuck.contains_key(&forward) && step.part == 0 {
            true => forward,
            false => Work::Undo(step),
        };
        if !self.instance.stuck.contains_key(&work) {
            let known = self.instance.undos.contains_key(&step)
                || (step.part == 0 && (step.task as usize) < self.instance.tasks.len());
            return Err(match known {
                true => Rejected::NotStuck(step),
                false => Rejected::NoSuchStep(step),
            });
        }
        if repair == Repair::Failed && work != forward {
            return Err(Rejected::UndoFailed(step));
        }
        self.record(Event::Repaired { step, repair, note, by });
        self.attempt(work);
        Ok(())
    }

    fn tick(&mut self) {
        while let Some(&(at, wake)) = self.instance.wakes.first() {
            if at > self.now {
                break;
            }
            self.instance.wakes.remove(&(at, wake));
            match wake {
                Wake::Begin => {
                    self.record(Event::Begun);
                    self.cursor = Cursor::new(&self.instance, false);
                }
                Wake::Deadline => self.deadline_passed(),
                // Nothing to journal where a retry begins: that follows from
                // the failure that was journaled with its time.
                Wake::Task(task) if self.instance.begin_retry(Work::Step(task)) => {
                    self.attempt(Work::Step(task));
                }
                Wake::Task(task) => {
                    let found = self.instance.tasks.get(task as usize);
                    if found.is_some_and(|found| found.state == TaskState::Waiting) {
                        self.record(Event::TimerFired { task });
                    }
                }
                Wake::Undo(undo) => {
                    if self.instance.begin_retry(Work::Undo(undo)) {
                        self.attempt(Work::Undo(undo));
                    }
                }
            }
        }
    }

    fn deadline_passed(&mut self) {
        let message = "the deadline of the saga passed before it ended".to_owned();
        let failure = Failure::host(FailureKind::Deadline, message);
        // Where it is being undone already, or can only go forward, the
        // deadline is of no consequence.
        let _ = self.unwind_from_outside(Cause::Deadline(failure));
    }

    fn host_lost(&mut self, alive: &[Work], since: Millis) {
        self.turn.letters = self.instance.outbox.again();
        self.resume_retries(alive, since);
        for out in self.instance.running() {
            let Attempt { work, attempt, .. } = out;
            if !alive.contains(&work) {
                match work {
                    Work::Step(task) => self.step_lost(task, attempt),
                    Work::Undo(undo) => self.undo_lost(undo, attempt),
                }
            }
        }
        for task in 0..self.instance.tasks.len() as TaskId {
            self.start_child(task, true);
        }
    }

    /// Has the child started that this task is, if it is one that runs.
    pub(crate) fn start_child(&mut self, task: TaskId, again: bool) {
        let found = &self.instance.tasks[task as usize];
        let (TaskKind::Child { function, input, policy, .. }, TaskState::Running { attempt }) =
            (&found.kind, &found.state)
        else {
            return;
        };
        let start = ChildStart {
            task,
            attempt: *attempt,
            id: self.instance.child_id(task),
            function: function.clone(),
            input: input.clone(),
            policy: (**policy).clone(),
            again,
            rewind: self.instance.rewinds_child(task, *attempt),
        };
        self.turn.children.push(start);
    }

    /// That a retry begins is not journaled. One that is out in this host has
    /// begun, and one that was due in the host that is gone may have.
    fn resume_retries(&mut self, alive: &[Work], since: Millis) {
        for (at, wake) in self.instance.wakes.clone() {
            let work = match wake {
                Wake::Begin | Wake::Deadline => continue,
                Wake::Task(task) => Work::Step(task),
                Wake::Undo(undo) => Work::Undo(undo),
            };
            if at < since || alive.contains(&work) {
                self.instance.begin_retry(work);
            }
        }
    }

    fn step_lost(&mut self, task: TaskId, attempt: u32) {
        let found = &self.instance.tasks[task as usize];
        let message = if self.instance.is_unwound(task) && !found.pivot {
            "the host ended while this step ran; it is to be undone, and is not attempted again"
                .to_owned()
        } else if found.lost >= MAX_LOST_ATTEMPTS {
            let lost = found.lost;
            format!("the host ended {lost} times while this step ran; it is not attempted again")
        } else {
            self.record(Event::AttemptLost { task, attempt });
            return self.attempt(Work::Step(task));
        };
        self.record(Event::AttemptFailed {
            task,
            attempt,
            started_at: self.now,
            failure: Failure::host(FailureKind::HostLost, message),
            retry_at: None,
            logs: Logs::default(),
        });
    }

    fn undo_lost(&mut self, undo: UndoId, attempt: u32) {
        let lost = self.instance.undos.get(&undo).map_or(0, |undo| undo.lost);
        if lost < MAX_LOST_ATTEMPTS {
            self.record(Event::UndoAttemptLost { undo, attempt });
            return self.attempt(Work::Undo(undo));
        }
        let message =
            format!("the host ended {lost} times while this undo ran; a person has to look at it");
        self.record(Event::UndoAttemptFailed {
            undo,
            attempt,
            started_at: self.now,
            failure: Failure::host(FailureKind::HostLost, message),
            retry_at: None,
            logs: Logs::default(),
        });
    }
}

/// When the next attempt of something begins that has to be done, or `None`
/// where another one would be as bad.
fn attempt_for_ever(
    policy: &RetryPolicy,
    failure: &Failure,
    attempted: Attempted,
) -> Option<Millis> {
    let again = failure.retryable && !policy.do_not_retry.contains(&failure.code);
    again.then(|| next_attempt_always(policy, attempted))
}

fn is_http(kind: &TaskKind) -> bool {
    matches!(kind, TaskKind::Activity { function, .. } if function == HTTP_FUNCTION)
}
