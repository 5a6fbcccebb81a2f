//! What of an orchestration is to be undone, and how.

use std::collections::BTreeMap;

use super::state::Instance;
use crate::Failure;
use crate::bindings::sagahost::saga::types::{self, Compensation, StepOptions, UndoChoice};
use crate::executor::Outcome;

/// The undo state of one orchestration.
#[derive(Default)]
pub(super) struct Saga {
    /// What is in the whole saga, and then in each scope from scope 1 on:
    /// steps as they were scheduled, scopes as they were opened.
    entries: Vec<Vec<Entry>>,
    /// The parent of each scope, from scope 1 on.
    parents: Vec<u32>,
    /// What would be undone, by task.
    armed: BTreeMap<u32, How>,
    past_pivot: bool,
}

#[derive(Clone, Copy)]
enum Entry {
    Step(u32),
    Scope(u32),
}

/// How a step is undone.
enum How {
    /// By this, if it ends so.
    With(Box<Ready>),
    /// As the child will say when it completes.
    AsHanded,
    /// What a child handed over, in its own order.
    Handed(Vec<Ready>),
}

/// An undo of which all is known.
pub(super) struct Ready {
    pub(super) compensation: Compensation,
    pub(super) undone: types::UndoneStep,
    /// The orchestration that called what is undone.
    pub(super) instance: String,
}

impl Saga {
    pub(super) fn open(&mut self, parent: u32) -> u32 {
        self.parents.push(parent);
        let scope = u32::try_from(self.parents.len()).unwrap_or(u32::MAX);
        self.add(parent, Entry::Scope(scope));
        scope
    }

    fn add(&mut self, scope: u32, entry: Entry) {
        let scope = scope as usize;
        if scope >= self.entries.len() {
            self.entries.resize_with(scope + 1, Vec::new);
        }
        self.entries[scope].push(entry);
    }

    /// The steps of a scope in the order in which they are undone. A scope
    /// within it is undone where it was opened.
    fn order(&self, scope: u32, steps: &mut Vec<u32>) {
        for entry in self.entries.get(scope as usize).into_iter().flatten().rev() {
            match *entry {
                Entry::Step(task) => steps.push(task),
                Entry::Scope(inner) => self.order(inner, steps),
            }
        }
    }

    /// Whether the first scope is the second one, or within it.
    pub(super) fn within(&self, mut scope: u32, outer: u32) -> bool {
        loop {
            match (scope == outer, scope) {
                (true, _) => return true,
                (_, 0) => return false,
                _ => scope = self.parents.get(scope as usize - 1).copied().unwrap_or(0),
            }
        }
    }

    pub(super) fn past_pivot(&self) -> bool {
        self.past_pivot
    }
}

impl How {
    /// What is to be undone of the step as it ended.
    fn ready(self) -> Vec<Ready> {
        let undo = match self {
            How::AsHanded => return Vec::new(),
            How::Handed(handed) => return handed,
            How::With(undo) => *undo,
        };
        let included = match (undo.compensation.when, undo.undone.outcome) {
            (types::UndoWhen::Always, _) | (_, types::StepOutcome::Completed) => true,
            (types::UndoWhen::CompletedOrUnknown, types::StepOutcome::Unknown) => true,
            (types::UndoWhen::CompletedOrUnknown | types::UndoWhen::Completed, _) => false,
        };
        included.then_some(undo).into_iter().collect()
    }
}

impl Instance {
    /// Notes how a step that is scheduled now is to be undone. `Err` is why it
    /// does not begin.
    pub(super) fn arm(
        &self,
        task: u32,
        child: bool,
        name: &str,
        input: &str,
        options: &StepOptions,
    ) -> Result<(), Failure> {
        let compensation = match &options.undo {
            UndoChoice::ByHand => None,
            UndoChoice::CompensateWith(compensation) => Some(compensation.clone()),
            UndoChoice::Declared if child => None,
            UndoChoice::Declared => self.world.declared_undo(name).map(declared),
        };
        let handed = child && matches!(options.undo, UndoChoice::Declared);
        if let Some(Compensation { function, .. }) = &compensation
            && !self.world.activities.borrow().contains_key(function)
        {
            let message = format!("the test has no activity {function:?}, which is to undo {name}");
            return Err(Failure::permanent("host.not-started", message));
        }
        let mut saga = self.saga.borrow_mut();
        if saga.past_pivot {
            return Ok(());
        }
        let how = match compensation {
            Some(compensation) => {
                let undone = types::UndoneStep {
                    step: task,
                    function: name.to_owned(),
                    input: input.to_owned(),
                    output: None,
                    // Until something else is known.
                    outcome: types::StepOutcome::Unknown,
                    idempotency_key: self.key(task),
                };
                How::With(Box::new(Ready { compensation, undone, instance: self.id.clone() }))
            }
            None if handed => How::AsHanded,
            None => return Ok(()),
        };
        saga.add(options.scope, Entry::Step(task));
        saga.armed.insert(task, how);
        Ok(())
    }

    /// Notes what became of a step.
    pub(super) fn ended(
        &self,
        task: u32,
        outcome: &Outcome,
        became: types::StepOutcome,
        handed: Vec<Ready>,
    ) {
        match self.saga.borrow_mut().armed.get_mut(&task) {
            Some(How::With(undo)) => {
                undo.undone.output = outcome.as_ref().ok().cloned();
                undo.undone.outcome = became;
            }
            Some(how) => *how = How::Handed(handed),
            None => {}
        }
    }

    /// From here on it only goes forward.
    pub(super) fn pass_pivot(&self) {
        let mut saga = self.saga.borrow_mut();
        saga.past_pivot = true;
        saga.armed.clear();
    }

    /// Takes out what is to be undone of a scope, in order: of those steps
    /// that were scheduled before the task `below`.
    pub(super) fn take_undos(&self, scope: u32, below: u32) -> Vec<Ready> {
        let mut saga = self.saga.borrow_mut();
        let mut steps = Vec::new();
        saga.order(scope, &mut steps);
        let taken = steps.into_iter().filter(|task| *task < below);
        let taken: Vec<How> = taken.filter_map(|task| saga.armed.remove(&task)).collect();
        taken.into_iter().flat_map(How::ready).collect()
    }

    /// Ends the orchestration: undoes what it did if it failed. Gives what a
    /// parent gets to undo, and the host's own failure if there is one.
    ///
    /// # Panics
    ///
    /// If it failed past its pivot.
    pub(super) fn end(&self, went_well: bool) -> (Vec<Ready>, Option<Failure>) {
        self.deliver();
        // The locks last until all is undone; in a test nobody else wants them.
        self.locked.take();
        let open = self.left_open().filter(|_| went_well);
        if went_well && open.is_none() {
            self.clear();
            let undos = self.take_undos(0, u32::MAX);
            self.saga.take();
            return (undos, None);
        }
        let past_pivot = || self.saga.borrow().past_pivot;
        if !past_pivot() {
            self.stop(0);
            // What is left is a pivot, which is not ended, or an undo.
            while self.run_next().is_some() {}
        }
        assert!(
            !past_pivot(),
            "the saga is stuck: the orchestrator {} although it can only go forward; a host waits here until a \
             person sees to it",
            open.as_deref().unwrap_or("failed"),
        );
        self.clear();
        self.world.undo(self.take_undos(0, u32::MAX));
        self.saga.take();
        let failure = open.map(|open| {
            let message = format!("the orchestrator {open}: wait for it before you return");
            Failure::permanent("host.steps-open", message)
        });
        (Vec::new(), failure)
    }

    /// Whether a step would be undone if the saga were.
    pub(super) fn is_armed(&self, task: u32) -> bool {
        self.saga.borrow().armed.contains_key(&task)
    }
}

/// The undo that an activity's own description names.
fn declared(function: String) -> Compensation {
    Compensation {
        function,
        input: None,
        options: types::CallOptions { retry: None, timeout_ms: None },
        when: types::UndoWhen::CompletedOrUnknown,
    }
}

/// What became of an activity that ended so. The host's own failures leave
/// open what it did, but for those from before it began.
pub(super) fn became(outcome: &Outcome) -> types::StepOutcome {
    match outcome.as_ref().map_err(|failure| &*failure.code) {
        Ok(_) => types::StepOutcome::Completed,
        Err("host.not-started" | "host.not-found") => types::StepOutcome::Failed,
        Err(code) if code.starts_with("host.") => types::StepOutcome::Unknown,
        Err(_) => types::StepOutcome::Failed,
    }
}
