//! How far each undo has come, and what is left to undo.

use std::collections::BTreeSet;

use crate::instance::{Attempt, End, Instance, TaskKind, TaskState, Wake};
use crate::{
    BlockedReason, Cause, Compensation, Failure, HandedUndo, Json, Millis, Repair, SagaState,
    StepOutcome, TaskId, UndoId, UndoneStep, Work,
};

/// How far an undo has come.
#[derive(Clone, Debug, PartialEq)]
pub enum UndoState {
    /// It would be done if the saga, or its scope, were undone.
    Armed,
    /// An attempt is out.
    #[allow(missing_docs)]
    Running { attempt: u32 },
    /// It waits for its next attempt.
    #[allow(missing_docs)]
    Retrying { attempt: u32, at: Millis },
    /// It cannot be done, and needs a person.
    #[allow(missing_docs)]
    Stuck { attempt: u32, failure: Failure },
    /// It is done.
    Done,
    /// It is not needed: there is nothing to undo, or the saga has passed its
    /// pivot.
    Dropped,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Undo {
    pub(crate) compensation: Compensation,
    /// What it undoes, and its stage, where a child handed it over.
    handed: Option<(UndoneStep, u32)>,
    pub(crate) state: UndoState,
    /// When its first attempt was scheduled, or it was last mended.
    pub(crate) since: Millis,
    /// Attempts that no retry policy counts.
    pub(crate) uncounted: u32,
    pub(crate) lost: u32,
    /// The input that a repair gave it.
    mended: Option<Json>,
}

impl Undo {
    /// The key of the step that it undoes, and its stage, where a child handed
    /// it over.
    pub(crate) fn handed_as(&self) -> Option<(&str, u32)> {
        self.handed.as_ref().map(|(undone, stage)| (undone.key.as_str(), *stage))
    }

    /// As a child handed it over, if one did.
    pub(crate) fn as_handed(&self) -> Option<HandedUndo> {
        let (undone, stage) = self.handed.clone()?;
        Some(HandedUndo { compensation: self.compensation.clone(), undone, stage })
    }
}

/// Counts of undos, so that a status costs nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Tally {
    registered: u32,
    pub(crate) armed: u32,
    done: u32,
    /// Those that run or wait for their next attempt.
    pub(crate) active: BTreeSet<UndoId>,
}

/// An undo as people and tools see it.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedUndo {
    /// Names it.
    pub id: UndoId,
    /// The activity that does it.
    pub function: String,
    /// What that is given.
    pub input: Json,
    /// What it undoes.
    pub undone: UndoneStep,
    /// Whether the step still runs, so that its outcome is not known yet.
    pub runs: bool,
    /// How far it has come.
    pub state: UndoState,
    /// When, among those that are left: the lowest first, and all of one stage
    /// at the same time.
    pub stage: u32,
}

/// Something that needs a person.
#[derive(Clone, Debug, PartialEq)]
pub struct Stuck {
    /// The step; `None` where the code itself failed past the pivot.
    pub step: Option<UndoId>,
    /// Whether it is the step itself that is stuck, and not its undo.
    pub forward: bool,
    /// The activity or orchestrator.
    pub function: String,
    /// How often it was attempted.
    pub attempts: u32,
    /// How it last failed.
    pub failure: Failure,
    /// Since when.
    pub since: Millis,
}

impl Instance {
    /// Registers how a step is undone. A step whose undo is deployed nowhere
    /// is not begun, and there is nothing to undo, also where it is always to
    /// be undone: the saga would wait for that undo for ever.
    pub(crate) fn arm(&mut self, task: TaskId, undo: Option<&Compensation>, at: Millis) {
        if let Some(compensation) = undo.filter(|undo| undo.digest.is_some()) {
            self.register(task.into(), compensation.clone(), None, at);
        }
    }

    fn register(
        &mut self,
        id: UndoId,
        compensation: Compensation,
        handed: Option<(UndoneStep, u32)>,
        at: Millis,
    ) {
        if self.past_pivot {
            return;
        }
        let undo = Undo {
            compensation,
            handed,
            state: UndoState::Armed,
            since: at,
            uncounted: 0,
            lost: 0,
            mended: None,
        };
        if self.undos.insert(id, undo).is_none() {
            self.tally.registered += 1;
            self.tally.armed += 1;
        }
    }

    /// A child ended: what undoes it is its own compensation, if it completed
    /// and has one, and else what it hands over.
    pub(crate) fn take_over(
        &mut self,
        task: TaskId,
        handed: &[HandedUndo],
        completed: bool,
        at: Millis,
    ) {
        let Some(TaskKind::Child { by_hand, .. }) =
            self.tasks.get(task as usize).map(|task| &task.kind)
        else {
            return;
        };
        let (child, by_hand) = (self.child_id(task), *by_hand);
        let own = UndoId::from(task);
        if by_hand || (completed && self.undos.contains_key(&own)) {
            return;
        }
        for (place, undo) in handed.iter().enumerate() {
            let part = (handed.len() - place) as u32;
            let mut undone = undo.undone.clone();
            undone.instance.get_or_insert_with(|| child.clone());
            let handed = Some((undone, undo.stage));
            self.register(UndoId { task, part }, undo.compensation.clone(), handed, at);
        }
    }

    /// A step is complete: whether it would be undone is known now.
    pub(crate) fn settle_undo(&mut self, task: TaskId, at: Millis) {
        let id = UndoId::from(task);
        let Some(undo) = self.undos.get(&id) else { return };
        if undo.state == UndoState::Armed && !undo.compensation.when.includes(self.outcome(task)) {
            self.set_undo(id, UndoState::Dropped, at);
        }
    }

    pub(crate) fn drop_armed(&mut self) {
        for undo in self.undos.values_mut().filter(|undo| undo.state == UndoState::Armed) {
            undo.state = UndoState::Dropped;
        }
        self.tally.armed = 0;
    }

    pub(crate) fn set_undo(&mut self, id: UndoId, state: UndoState, at: Millis) {
        let Some(undo) = self.undos.get_mut(&id) else { return };
        match &undo.state {
            UndoState::Armed => {
                self.tally.armed -= 1;
                undo.since = at;
            }
            UndoState::Running { .. } => {
                self.tally.active.remove(&id);
            }
            UndoState::Retrying { at, .. } => {
                self.tally.active.remove(&id);
                self.wakes.remove(&(*at, Wake::Undo(id)));
            }
            UndoState::Stuck { .. } => {
                self.stuck.remove(&Work::Undo(id));
            }
            UndoState::Done | UndoState::Dropped => return,
        }
        match &state {
            UndoState::Running { .. } => {
                self.tally.active.insert(id);
            }
            UndoState::Retrying { at, .. } => {
                self.tally.active.insert(id);
                self.wakes.insert((*at, Wake::Undo(id)));
            }
            UndoState::Stuck { .. } => {
                self.stuck.insert(Work::Undo(id), at);
            }
            UndoState::Done => self.tally.done += 1,
            UndoState::Armed | UndoState::Dropped => {}
        }
        undo.state = state;
    }

    pub(crate) fn repair_undo(&mut self, id: UndoId, repair: &Repair, at: Millis) {
        let Some(undo) = self.undos.get_mut(&id) else { return };
        let UndoState::Stuck { attempt, .. } = undo.state else { return };
        match repair {
            Repair::Done(_) => return self.set_undo(id, UndoState::Done, at),
            Repair::Failed => return,
            Repair::Retry => {}
            Repair::RetryWith(input) => undo.mended = Some(input.clone()),
        }
        undo.uncounted = attempt;
        undo.lost = 0;
        undo.since = at;
        self.set_undo(id, UndoState::Running { attempt: attempt + 1 }, at);
    }

    /// What became of a step, as far as that is known.
    pub(crate) fn outcome(&self, task: TaskId) -> StepOutcome {
        let Some(found) = self.tasks.get(task as usize) else { return StepOutcome::Unknown };
        match &found.state {
            TaskState::Done(Ok(_)) => StepOutcome::Completed,
            // A child that failed has undone what it did, or handed it over.
            TaskState::Done(Err(_)) if matches!(found.kind, TaskKind::Child { .. }) => {
                StepOutcome::Failed
            }
            TaskState::Done(Err(_)) if !found.unknown => StepOutcome::Failed,
            _ => StepOutcome::Unknown,
        }
    }

    pub(crate) fn undone(&self, id: UndoId, undo: &Undo) -> Option<UndoneStep> {
        if let Some((undone, _)) = &undo.handed {
            return Some(undone.clone());
        }
        let found = self.tasks.get(id.task as usize)?;
        let (TaskKind::Activity { function, input, .. } | TaskKind::Child { function, input, .. }) =
            &found.kind
        else {
            return None;
        };
        Some(UndoneStep {
            instance: None,
            task: id.task,
            function: function.clone(),
            input: found.mended.as_ref().unwrap_or(input).clone(),
            output: match &found.state {
                TaskState::Done(Ok(output)) => Some(output.clone()),
                _ => None,
            },
            outcome: self.outcome(id.task),
            key: self.idempotency_key(id.task),
        })
    }

    fn undo_input(undo: &Undo, undone: &UndoneStep) -> Json {
        let input = undo.mended.as_ref().or(undo.compensation.input.as_ref());
        input.unwrap_or(&undone.input).clone()
    }

    pub(crate) fn attempt_of_undo(&self, id: UndoId) -> Option<Attempt> {
        let undo = self.undos.get(&id)?;
        let UndoState::Running { attempt } = undo.state else { return None };
        let undone = self.undone(id, undo)?;
        Some(Attempt {
            work: Work::Undo(id),
            attempt,
            function: undo.compensation.function.clone(),
            digest: undo.compensation.digest.clone(),
            input: Self::undo_input(undo, &undone),
            timeout_ms: undo.compensation.policy.timeout_ms,
            key: format!("{}-undo", undone.key),
            undone: Some(undone),
        })
    }

    /// What is left to undo of a step, with the stage of each.
    pub(crate) fn left_of(&self, task: TaskId) -> Vec<(u32, UndoId)> {
        let parts = UndoId { task, part: 0 }..=UndoId { task, part: u32::MAX };
        let left = self
            .undos
            .range(parts)
            .rev()
            .filter(|(_, undo)| !matches!(undo.state, UndoState::Done | UndoState::Dropped));
        let mut left: Vec<_> = left
            .map(|(id, undo)| (undo.handed.as_ref().map_or(0, |(_, stage)| *stage), *id))
            .collect();
        // Stages without a gap, so that what is left begins with 0.
        let mut stages: Vec<u32> = left.iter().map(|(stage, _)| *stage).collect();
        stages.sort_unstable();
        stages.dedup();
        for (stage, _) in &mut left {
            *stage = stages.partition_point(|other| other < stage) as u32;
        }
        left
    }

    /// The last step of which something is left to undo.
    pub(crate) fn last_left(&self) -> Option<TaskId> {
        let mut undos = self.undos.iter().rev();
        undos
            .find(|(_, undo)| !matches!(undo.state, UndoState::Done | UndoState::Dropped))
            .map(|(id, _)| id.task)
    }

    /// What would be undone now, in order. Of a step that still runs it is not
    /// known yet; it is taken to need its undo.
    pub fn undo_plan(&self) -> Vec<PlannedUndo> {
        if matches!(self.end, Some(End::Completed(_))) && self.started.parent.is_none() {
            return Vec::new();
        }
        let plan = self.scopes.plan(0, TaskId::MAX, &|task| self.left_of(task));
        plan.into_iter().filter_map(|(stage, id)| self.planned(id, stage)).collect()
    }

    /// The undos that are done, by step.
    pub fn undone_steps(&self) -> Vec<PlannedUndo> {
        let done = self.undos.iter().filter(|(_, undo)| undo.state == UndoState::Done);
        done.filter_map(|(id, _)| self.planned(*id, 0)).collect()
    }

    fn planned(&self, id: UndoId, stage: u32) -> Option<PlannedUndo> {
        let undo = self.undos.get(&id)?;
        let undone = self.undone(id, undo)?;
        let runs = undo.handed.is_none()
            && self.tasks.get(id.task as usize).is_some_and(|task| {
                matches!(task.state, TaskState::Running { .. } | TaskState::Retrying { .. })
            });
        Some(PlannedUndo {
            id,
            function: undo.compensation.function.clone(),
            input: Self::undo_input(undo, &undone),
            undone,
            runs,
            state: undo.state.clone(),
            stage,
        })
    }

    /// What would undo this orchestration, for its parent.
    pub fn handed_over(&self) -> Vec<HandedUndo> {
        let plan = self.scopes.plan(0, TaskId::MAX, &|task| self.left_of(task));
        let handed = plan.into_iter().filter_map(|(stage, id)| {
            let undo = self.undos.get(&id)?;
            let undone = self.undone(id, undo)?;
            let mut compensation = undo.compensation.clone();
            compensation.input = Some(Self::undo_input(undo, &undone));
            Some(HandedUndo { compensation, undone, stage })
        });
        let mut handed: Vec<HandedUndo> = handed.collect();
        // What earlier executions did is undone after that.
        let after = handed.iter().map(|undo| undo.stage + 1).max().unwrap_or(0);
        let carried = self.started.carried.iter().flat_map(|carried| &carried.handed);
        handed.extend(carried.map(|undo| {
            let stage = undo.stage + after;
            HandedUndo { stage, ..undo.clone() }
        }));
        handed
    }

    /// What needs a person.
    pub fn stuck(&self) -> Vec<Stuck> {
        let mut stuck: Vec<Stuck> = self
            .stuck
            .iter()
            .filter_map(|(work, since)| match work {
                Work::Step(task) => {
                    let found = self.tasks.get(*task as usize)?;
                    let (
                        TaskKind::Activity { function, .. },
                        TaskState::Stuck { attempt, failure },
                    ) = (&found.kind, &found.state)
                    else {
                        return None;
                    };
                    let (attempts, step) = (*attempt, Some((*task).into()));
                    let (function, failure) = (function.clone(), failure.clone());
                    Some(Stuck { step, forward: true, function, attempts, failure, since: *since })
                }
                Work::Undo(id) => {
                    let undo = self.undos.get(id)?;
                    let UndoState::Stuck { attempt, failure } = &undo.state else { return None };
                    let function = undo.compensation.function.clone();
                    let (attempts, failure) = (*attempt, failure.clone());
                    let step = Some(*id);
                    Some(Stuck { step, forward: false, function, attempts, failure, since: *since })
                }
            })
            .collect();
        if let Some(BlockedReason::PastPivot { failure }) = &self.blocked {
            stuck.push(Stuck {
                step: None,
                forward: true,
                function: self.started.name.clone(),
                attempts: 1,
                failure: failure.clone(),
                since: self.updated,
            });
        }
        stuck
    }

    /// How much needs a person.
    pub(crate) fn needs(&self) -> usize {
        let code = matches!(self.blocked, Some(BlockedReason::PastPivot { .. }));
        self.stuck.len() + usize::from(code)
    }

    /// The failure with which the code ended, if it did.
    pub fn code_failure(&self) -> Option<&Failure> {
        match (&self.code_failed, &self.end) {
            (Some(failure), _) => Some(failure),
            (None, Some(End::Failed(failure))) if !self.was_cut_off() => Some(failure),
            _ => None,
        }
    }

    /// How far the saga has come with what it did.
    pub fn saga_state(&self) -> SagaState {
        let Tally { registered, armed, done, active } = &self.tally;
        let blocked = matches!(self.blocked, Some(BlockedReason::PastPivot { .. }));
        match &self.end {
            None if blocked || !self.stuck.is_empty() => SagaState::Stuck,
            None if self.unwinding.is_some() || !self.unwinds.is_empty() || !active.is_empty() => {
                SagaState::Compensating
            }
            None | Some(End::Terminated(_)) if self.past_pivot => SagaState::PastPivot,
            None if *armed > 0 => SagaState::Armed,
            // What was done is left to the parent, or as it is.
            Some(End::Completed(_)) if *armed > 0 && self.started.parent.is_some() => {
                SagaState::Armed
            }
            Some(End::Completed(_)) if self.past_pivot || *armed > 0 => SagaState::Committed,
            Some(_) if *armed > 0 => SagaState::Armed,
            _ if *done > 0 => SagaState::Compensated,
            Some(End::Completed(_)) if *registered > 0 => SagaState::Committed,
            Some(_) if *registered > 0 => SagaState::Compensated,
            _ => SagaState::None,
        }
    }

    /// Whether it hands over what would undo it, instead of undoing it.
    pub(crate) fn hands_over(&self) -> bool {
        matches!(self.unwinding, Some(Cause::Parent(_)))
    }
}
