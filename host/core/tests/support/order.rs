//! The order of undo, and how far a saga has come, worked out by comparing
//! undos two by two.

use std::cmp::Ordering;

use sagahost_core::*;

use super::model::{Backward, Forward, Model};

impl Model {
    /// Whether a pivot is open, for which an undo of the whole saga waits.
    pub fn holds(&self) -> bool {
        let mut steps = self.steps.values();
        steps.any(|step| step.pivot && !matches!(step.state, Forward::Done(_)))
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
        let held = self.holds();
        match self.unwinding {
            _ if self.past_pivot => Vec::new(),
            Some("parent") if !held => Vec::new(),
            Some(_) if !held => vec![(TaskId::MAX, 0)],
            _ => self.open.clone(),
        }
    }

    /// Whether a step that runs may be told to end.
    pub fn may_be_stopped(&self, task: TaskId) -> bool {
        let hands_over = self.unwinding == Some("parent") && !self.holds();
        let unwound = self.regions().into_iter().any(|region| self.is_in(region, task));
        self.ended == Some("terminated") || (!self.steps[&task].pivot && (hands_over || unwound))
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
    pub fn may_begin(&self, id: UndoId) -> bool {
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
}
