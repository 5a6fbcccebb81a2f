//! What the rules of undo say, worked out a second time and in another way:
//! from the events alone, and by comparing undos two by two.
//!
//! Beside it stands what is true in the world: which effects are in place.
//! The core is told of them only by how attempts end. An effect that may have
//! been applied stands for both, so that one story is two.

use std::collections::BTreeMap;

use sagahost_core::*;

/// Whether what a step does is in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Effect {
    None,
    /// In one world it is, in another it is not.
    Maybe,
    Applied,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Forward {
    Out,
    Retrying,
    Stuck,
    Done(bool),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Backward {
    Armed,
    Out,
    Retrying,
    Stuck,
    Done,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StepModel {
    /// Scopes and places in them, from the whole saga inwards.
    pub path: Vec<(ScopeId, usize)>,
    pub pivot: bool,
    pub child: bool,
    pub by_hand: bool,
    pub state: Forward,
    pub attempt: u32,
    /// Attempts that count for the retry policy.
    pub counted: u32,
    /// Whether nobody knows what some attempt did.
    pub unknown: bool,
    /// Whether an attempt was ever made.
    pub begun: bool,
    /// The attempt whose result would be late.
    pub given_up: Option<u32>,
    pub mended: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UndoModel {
    pub stage: u32,
    pub when: UndoWhen,
    pub state: Backward,
    pub attempt: u32,
    pub counted: u32,
    pub mended: bool,
    /// What became of the step, where a child handed it over.
    pub handed: Option<StepOutcome>,
    /// Dropped for good.
    pub dropped: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Model {
    pub steps: BTreeMap<TaskId, StepModel>,
    pub undos: BTreeMap<UndoId, UndoModel>,
    /// Parent, place in it, whether it is parallel, entries so far.
    pub scopes: Vec<(ScopeId, usize, bool, usize)>,
    pub effects: BTreeMap<UndoId, Effect>,
    /// What the code wants undone, and is not yet.
    pub open: Vec<(TaskId, ScopeId)>,
    /// All that it ever wanted undone.
    pub wanted: Vec<(TaskId, ScopeId)>,
    pub unwinding: Option<&'static str>,
    pub past_pivot: bool,
    pub blocked: bool,
    pub ended: Option<&'static str>,
    /// In which order tasks completed; of no consequence once the code does
    /// not run any more.
    pub order: Vec<TaskId>,
    /// Whether it is a child, and so keeps what is armed for its parent.
    pub is_child: bool,
}

impl Model {
    pub fn new(is_child: bool) -> Self {
        Model { scopes: vec![(0, 0, false, 0)], is_child, ..Model::default() }
    }

    fn path(&self, scope: ScopeId, place: usize) -> Vec<(ScopeId, usize)> {
        let (parent, at, ..) = self.scopes[scope as usize];
        let mut path = if scope == 0 { Vec::new() } else { self.path(parent, at) };
        path.push((scope, place));
        path
    }

    fn add(&mut self, task: TaskId, scope: ScopeId, pivot: bool, child: bool, by_hand: bool) {
        let place = self.scopes[scope as usize].3;
        self.scopes[scope as usize].3 += 1;
        let step = StepModel {
            path: self.path(scope, place),
            pivot,
            child,
            by_hand,
            state: Forward::Out,
            attempt: 1,
            counted: 0,
            unknown: false,
            begun: false,
            given_up: None,
            mended: false,
        };
        assert_eq!(self.steps.insert(task, step), None, "task {task} is scheduled twice");
    }

    fn arm(&mut self, id: UndoId, when: UndoWhen, handed: Option<(StepOutcome, u32)>) {
        if self.past_pivot {
            return;
        }
        let undo = UndoModel {
            stage: handed.map_or(0, |(_, stage)| stage),
            when,
            state: Backward::Armed,
            attempt: 0,
            counted: 0,
            mended: false,
            handed: handed.map(|(outcome, _)| outcome),
            dropped: false,
        };
        self.undos.insert(id, undo);
    }

    /// What is true in the world: an attempt did, or may have done, its work.
    pub fn affect(&mut self, id: UndoId, effect: Effect) {
        let known = self.effects.entry(id).or_insert(Effect::None);
        *known = (*known).max(effect);
    }

    fn complete(&mut self, task: TaskId, ok: bool) {
        let step = self.steps.get_mut(&task).expect("it was scheduled");
        assert!(!matches!(step.state, Forward::Done(_)), "task {task} completes twice");
        step.state = Forward::Done(ok);
        let pivot = step.pivot;
        self.order.push(task);
        if ok && pivot {
            self.past_pivot = true;
            for undo in self.undos.values_mut().filter(|undo| undo.state == Backward::Armed) {
                undo.dropped = true;
            }
            if self.unwinding.take() == Some("failed") {
                self.blocked = true;
            }
        }
        let outcome = self.outcome(task.into());
        if let Some(undo) = self.undos.get_mut(&UndoId::from(task)) {
            undo.dropped |= undo.state == Backward::Armed && !undo.when.includes(outcome);
        }
    }

    fn undo(&mut self, id: UndoId) -> &mut UndoModel {
        self.undos.get_mut(&id).expect("it was registered")
    }

    fn hand(&mut self, task: TaskId, handed: &[HandedUndo], completed: bool) {
        let replaced = completed && self.undos.contains_key(&task.into());
        if self.steps[&task].by_hand || replaced {
            return;
        }
        for (place, undo) in handed.iter().enumerate() {
            let id = UndoId { task, part: (handed.len() - place) as u32 };
            let outcome = undo.undone.outcome;
            self.arm(id, undo.compensation.when, Some((outcome, undo.stage)));
        }
    }

    /// Takes in an event, after checking that the rules allow it.
    pub fn apply(&mut self, event: &Event) {
        assert_eq!(self.ended, None, "it has ended, and then {event:?}");
        match event {
            Event::Scheduled { task, undo, scope, pivot, .. } => {
                self.add(*task, *scope, *pivot, false, false);
                if let Some(undo) = undo.as_ref().filter(|undo| undo.digest.is_some()) {
                    self.arm((*task).into(), undo.when, None);
                }
            }
            Event::ChildScheduled { task, undo, by_hand, scope, pivot, .. } => {
                self.add(*task, *scope, *pivot, true, *by_hand);
                if let Some(undo) = undo.as_ref().filter(|undo| undo.digest.is_some()) {
                    self.arm((*task).into(), undo.when, None);
                }
            }
            Event::ChildCompleted { task, handed, .. } => {
                self.hand(*task, handed, true);
                self.complete(*task, true);
            }
            Event::ChildFailed { task, handed, .. } => {
                self.hand(*task, handed, false);
                self.complete(*task, false);
            }
            Event::ScopeOpened { scope, parent } => {
                assert_eq!(*scope as usize, self.scopes.len());
                let place = self.scopes[*parent as usize].3;
                self.scopes[*parent as usize].3 += 1;
                self.scopes.push((*parent, place, false, 0));
            }
            Event::ParallelUndo { scope } => self.scopes[*scope as usize].2 = true,
            Event::CompensationRequested { task, scope } => {
                self.open.push((*task, *scope));
                self.wanted.push((*task, *scope));
            }
            Event::CompensationDone { task } => {
                let at = self.open.iter().position(|(open, _)| open == task);
                let region = self.open.remove(at.expect("it was asked for"));
                let rest = self.left().into_iter().find(|id| {
                    self.is_in(region, id.task)
                        && (!self.past_pivot || self.undos[id].state != Backward::Armed)
                });
                assert_eq!(rest, None, "{region:?} is not undone");
                self.order.push(*task);
            }
            Event::Unwinding { cause } => {
                assert!(!self.past_pivot, "it can only go forward");
                assert_eq!(self.unwinding, None, "it is being undone already");
                self.unwinding = Some(match cause {
                    Cause::Failed(_) => "failed",
                    Cause::Parent(_) => "parent",
                    _ => "outside",
                });
            }
            Event::RetriesEnded { task } => {
                assert_eq!(self.steps[task].state, Forward::Retrying);
                self.complete(*task, false);
            }
            Event::TaskCompleted { task, attempt, .. } => {
                self.running(*task, *attempt);
                self.complete(*task, true);
            }
            Event::AttemptFailed { task, attempt, failure, retry_at, .. } => {
                self.attempt_failed(*task, *attempt, failure, retry_at.is_some());
            }
            Event::AttemptLost { task, attempt } => {
                self.running(*task, *attempt);
                let step = self.steps.get_mut(task).expect("checked");
                (step.unknown, step.given_up) = (true, Some(*attempt));
                step.attempt = attempt + 1;
            }
            Event::UndoScheduled { undo, outcome, .. } => self.undo_scheduled(*undo, *outcome),
            Event::UndoCompleted { undo, attempt, .. } => {
                self.undoing(*undo, *attempt).state = Backward::Done;
            }
            Event::UndoAttemptFailed { undo, attempt, retry_at, .. } => {
                let undo = self.undoing(*undo, *attempt);
                undo.counted += 1;
                undo.state = match retry_at {
                    Some(_) => Backward::Retrying,
                    None => Backward::Stuck,
                };
            }
            Event::UndoAttemptLost { undo, attempt } => {
                self.undoing(*undo, *attempt).attempt += 1;
            }
            Event::Repaired { step, repair, .. } => self.repaired(*step, repair),
            Event::LateResult { task, attempt, .. } => {
                let step = self.steps.get_mut(task).expect("it was scheduled");
                assert_eq!(step.given_up.take(), Some(*attempt), "it is not late");
            }
            Event::Blocked(BlockedReason::PastPivot { .. }) => {
                assert!(self.past_pivot);
                self.blocked = true;
            }
            Event::Completed { .. } => self.ended = Some("completed"),
            Event::Failed { .. } => self.ended = Some("failed"),
            Event::Canceled { .. } => self.ended = Some("canceled"),
            Event::Terminated { .. } => self.ended = Some("terminated"),
            _ => {}
        }
        if self.unwinding.is_some() && !self.holds() {
            // The code does not run any more.
            self.order.clear();
        }
    }

    /// An attempt is out. One that was waited for begins without an event.
    fn running(&mut self, task: TaskId, attempt: u32) {
        let step = self.steps.get_mut(&task).expect("it was scheduled");
        if step.state == Forward::Retrying {
            (step.state, step.attempt) = (Forward::Out, step.attempt + 1);
        }
        assert_eq!((step.state, step.attempt), (Forward::Out, attempt), "step {task}");
    }

    fn undoing(&mut self, id: UndoId, attempt: u32) -> &mut UndoModel {
        let undo = self.undo(id);
        if undo.state == Backward::Retrying {
            (undo.state, undo.attempt) = (Backward::Out, undo.attempt + 1);
        }
        assert_eq!((undo.state, undo.attempt), (Backward::Out, attempt), "undo {id}");
        undo
    }

    fn attempt_failed(&mut self, task: TaskId, attempt: u32, failure: &Failure, again: bool) {
        self.running(task, attempt);
        let past_pivot = self.past_pivot;
        let unwound = self.regions().into_iter().any(|region| self.is_in(region, task));
        let step = self.steps.get_mut(&task).expect("checked");
        step.unknown |= failure.kind.outcome_unknown();
        step.counted += 1;
        if matches!(failure.kind, FailureKind::Cancelled | FailureKind::HostLost) {
            step.given_up = Some(attempt);
        }
        if again {
            assert!(!unwound || step.pivot, "step {task} is attempted again, and to be undone");
            step.state = Forward::Retrying;
        } else if past_pivot || (step.pivot && step.unknown) {
            step.state = Forward::Stuck;
        } else {
            self.complete(task, false);
        }
    }

    fn undo_scheduled(&mut self, id: UndoId, outcome: StepOutcome) {
        assert!(!self.past_pivot, "undo {id} begins past the pivot");
        assert_eq!(outcome, self.outcome(id), "the outcome of {id}");
        let undo = &self.undos[&id];
        assert!(!undo.dropped, "undo {id} is not needed");
        assert_eq!(undo.state, Backward::Armed, "undo {id} begins twice");
        if undo.handed.is_none() {
            assert!(undo.when.includes(outcome), "{:?} excludes {outcome:?}", undo.when);
        }
        assert!(self.may_begin(id), "it is not the turn of undo {id}: {self:#?}");
        let undo = self.undo(id);
        (undo.state, undo.attempt) = (Backward::Out, 1);
    }

    fn repaired(&mut self, id: UndoId, repair: &Repair) {
        let forward = id.part == 0
            && self.steps.get(&id.task).is_some_and(|step| step.state == Forward::Stuck);
        match (forward, repair) {
            (true, Repair::Done(_)) => {
                self.affect(id, Effect::Applied);
                self.complete(id.task, true);
            }
            (true, _) => {
                let step = self.steps.get_mut(&id.task).expect("checked");
                (step.state, step.attempt, step.counted) = (Forward::Out, step.attempt + 1, 0);
                step.mended |= matches!(repair, Repair::RetryWith(_));
            }
            (false, repair) => {
                let undo = self.undo(id);
                assert_eq!(undo.state, Backward::Stuck, "undo {id} is not stuck");
                if let Repair::Done(_) = repair {
                    undo.state = Backward::Done;
                    self.effects.insert(id, Effect::None);
                } else {
                    (undo.state, undo.attempt, undo.counted) = (Backward::Out, undo.attempt + 1, 0);
                    undo.mended |= matches!(repair, Repair::RetryWith(_));
                }
            }
        }
    }

    /// An attempt begins.
    pub fn begin(&mut self, attempt: &Attempt) {
        match attempt.work {
            Work::Step(task) => {
                let undone = self.undos.get(&task.into()).map(|undo| undo.state);
                let began = undone.is_some_and(|state| state != Backward::Armed);
                assert!(!began, "step {task} begins, and its undo has begun");
                let unwound = self.regions().into_iter().any(|region| self.is_in(region, task));
                let step = self.steps.get_mut(&task).expect("it was scheduled");
                assert!(!unwound || step.pivot, "step {task} begins, and is to be undone");
                if step.state == Forward::Retrying {
                    (step.state, step.attempt) = (Forward::Out, step.attempt + 1);
                }
                assert_eq!((step.state, step.attempt), (Forward::Out, attempt.attempt));
                step.begun = true;
            }
            Work::Undo(id) => {
                let undo = self.undo(id);
                if undo.state == Backward::Retrying {
                    (undo.state, undo.attempt) = (Backward::Out, undo.attempt + 1);
                }
                assert_eq!((undo.state, undo.attempt), (Backward::Out, attempt.attempt));
            }
        }
    }
}
