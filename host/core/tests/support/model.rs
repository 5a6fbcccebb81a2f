//! What the rules of undo say, worked out a second time and in another way:
//! from the events alone, and by comparing undos two by two.
//!
//! Beside it stands what is true in the world: which effects are in place.
//! The core is told of them only by how attempts end. An effect that may have
//! been applied stands for both, so that one story is two.

use std::cmp::Ordering;
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

    /// What became of a step, by the definition.
    pub fn outcome(&self, id: UndoId) -> StepOutcome {
        if let Some(outcome) = self.undos.get(&id).and_then(|undo| undo.handed) {
            return outcome;
        }
        let step = &self.steps[&id.task];
        match step.state {
            Forward::Done(true) => StepOutcome::Completed,
            Forward::Done(false) if !step.unknown => StepOutcome::Failed,
            _ => StepOutcome::Unknown,
        }
    }

    /// Whether there is something left to undo.
    pub fn is_left(&self, id: UndoId) -> bool {
        let undo = &self.undos[&id];
        undo.state != Backward::Done && !undo.dropped
    }

    pub fn left(&self) -> Vec<UndoId> {
        self.undos.keys().copied().filter(|id| self.is_left(*id)).collect()
    }

    fn is_active(&self, id: UndoId) -> bool {
        matches!(self.undos[&id].state, Backward::Out | Backward::Retrying)
    }

    pub fn is_in(&self, (below, scope): (TaskId, ScopeId), task: TaskId) -> bool {
        task < below && self.steps[&task].path.iter().any(|(at, _)| *at == scope)
    }

    /// Which of two undos comes first: `Less` for the first of them, `Equal`
    /// where they have no order.
    pub fn order_of(&self, one: UndoId, other: UndoId) -> Ordering {
        if one.task == other.task {
            return self.undos[&one].stage.cmp(&self.undos[&other].stage);
        }
        let (left, right) = (&self.steps[&one.task].path, &self.steps[&other.task].path);
        for ((scope, left), (_, right)) in left.iter().zip(right) {
            if left != right {
                let parallel = self.scopes[*scope as usize].2;
                return if parallel { Ordering::Equal } else { right.cmp(left) };
            }
        }
        Ordering::Equal
    }

    /// The parts of the saga that are being undone.
    pub fn regions(&self) -> Vec<(TaskId, ScopeId)> {
        let held = self.steps.values().any(is_open_pivot);
        match self.unwinding {
            _ if self.past_pivot => Vec::new(),
            Some("parent") if !held => Vec::new(),
            Some(_) if !held => vec![(TaskId::MAX, 0)],
            _ => self.open.clone(),
        }
    }

    fn is_settled(&self, region: (TaskId, ScopeId)) -> bool {
        let mut steps = self.steps.iter().filter(|(task, _)| self.is_in(region, **task));
        steps.all(|(_, step)| matches!(step.state, Forward::Done(_)))
    }

    /// What can be undone now in a part of the saga, whether begun or not.
    pub fn eligible(&self, region: (TaskId, ScopeId)) -> Vec<UndoId> {
        let left: Vec<_> =
            self.left().into_iter().filter(|id| self.is_in(region, id.task)).collect();
        let first =
            |id: &&UndoId| left.iter().all(|other| self.order_of(*other, **id) != Ordering::Less);
        left.iter().filter(first).copied().collect()
    }

    /// Undos that another part began out of this part's order.
    fn is_disturbed(&self, region: (TaskId, ScopeId), eligible: &[UndoId]) -> bool {
        let mut left = self.left().into_iter().filter(|id| self.is_in(region, id.task));
        left.any(|id| self.is_active(id) && !eligible.contains(&id))
    }

    /// Whether the undo may begin at this very moment.
    fn may_begin(&self, id: UndoId) -> bool {
        self.regions().into_iter().any(|region| {
            let eligible = self.eligible(region);
            self.is_in(region, id.task)
                && self.is_settled(region)
                && eligible.contains(&id)
                && !self.is_disturbed(region, &eligible)
        })
    }

    /// Checks that nothing that could go on waits for nothing.
    pub fn check_progress(&self, stopping: &dyn Fn(TaskId) -> bool) {
        if self.ended.is_some() {
            return;
        }
        for region in self.regions() {
            for (task, step) in &self.steps {
                if self.is_in(region, *task) && !step.pivot {
                    let ending = step.state == Forward::Out && stopping(*task);
                    assert!(
                        ending || matches!(step.state, Forward::Done(_)),
                        "step {task} goes on, and is to be undone"
                    );
                }
            }
            let eligible = self.eligible(region);
            if self.is_settled(region) && !self.is_disturbed(region, &eligible) {
                assert_ne!(eligible, [], "{region:?} is undone, and nobody says so");
                for id in eligible {
                    let state = self.undos[&id].state;
                    assert_ne!(state, Backward::Armed, "undo {id} could begin");
                }
            }
        }
    }

    /// The state of the saga that the rules ask for.
    pub fn saga_state(&self) -> SagaState {
        let undos = || self.undos.values();
        let stuck = undos().any(|undo| undo.state == Backward::Stuck)
            || self.steps.values().any(|step| step.state == Forward::Stuck);
        let active = self.undos.keys().any(|id| self.is_active(*id));
        let armed = undos().any(|undo| undo.state == Backward::Armed && !undo.dropped);
        let done = undos().any(|undo| undo.state == Backward::Done);
        let registered = !self.undos.is_empty();
        match self.ended {
            None if stuck || self.blocked => SagaState::Stuck,
            None if self.unwinding.is_some() || !self.open.is_empty() || active => {
                SagaState::Compensating
            }
            None | Some("terminated") if self.past_pivot => SagaState::PastPivot,
            Some("completed") if armed && self.is_child => SagaState::Armed,
            Some("completed") if armed || self.past_pivot => SagaState::Committed,
            _ if armed => SagaState::Armed,
            _ if done => SagaState::Compensated,
            Some("completed") if registered => SagaState::Committed,
            Some(_) if registered => SagaState::Compensated,
            _ => SagaState::None,
        }
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
                if let Some(undo) = undo {
                    self.arm((*task).into(), undo.when, None);
                }
            }
            Event::ChildScheduled { task, undo, by_hand, scope, pivot, .. } => {
                self.add(*task, *scope, *pivot, true, *by_hand);
                if let Some(undo) = undo {
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
        if self.unwinding.is_some() && !self.steps.values().any(is_open_pivot) {
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
        let unknown = failure.kind.outcome_unknown();
        step.unknown |= unknown;
        step.counted += 1;
        if matches!(failure.kind, FailureKind::Cancelled | FailureKind::HostLost) {
            step.given_up = Some(attempt);
        }
        if again {
            assert!(!unwound || step.pivot, "step {task} is attempted again, and to be undone");
            step.state = Forward::Retrying;
        } else if past_pivot || (step.pivot && unknown) {
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

fn is_open_pivot(step: &StepModel) -> bool {
    step.pivot && !matches!(step.state, Forward::Done(_))
}
