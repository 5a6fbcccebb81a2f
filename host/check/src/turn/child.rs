//! Orchestrations that begin, and how they end.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

use sagahost_core::{
    ChildStart, Command, End, Failure, FailureKind, Json, Orchestration, Parent, Started, TaskId,
};

use super::{MOST_MACHINES, Stepped, Stepper};
use crate::code::Code;
use crate::samples;
use crate::world::{Machine, World};

impl Stepper<'_> {
    pub(super) fn start_child(
        &mut self,
        stepped: &mut Stepped,
        machine: usize,
        child: ChildStart,
        queue: &mut VecDeque<(usize, Command)>,
    ) {
        let ChildStart { task, attempt, id, function, input, policy, .. } = child;
        let parent = Some((machine, task));
        if let Some(there) = stepped.world.machines.iter().position(|it| it.parent == parent) {
            queue.extend(stepped.world.report(there));
            return;
        }
        if stepped.world.machines.len() >= MOST_MACHINES {
            stepped.looped = Some(function);
            return;
        }
        let mut refuse = |message: String| {
            let outcome = Err(Failure::host(FailureKind::NotStarted, message));
            queue.push_back((machine, Command::ChildEnded { task, outcome, handed: vec![] }));
        };
        let Ok(found) = self.program.orchestrator(&function) else {
            return refuse(format!("no orchestrator '{function}' is deployed"));
        };
        if let Err(problem) = found.check_input(&input) {
            let message = format!("the input does not fit orchestrator '{function}': {problem}");
            return refuse(message);
        }
        let above = stepped.world.instance(machine).started();
        let mut hasher = DefaultHasher::new();
        id.hash(&mut hasher);
        let started = Started {
            name: function,
            input,
            execution: format!("{:032x}", hasher.finish()),
            digest: found.digest.clone(),
            version: policy.version.or_else(|| above.version.clone()),
            tags: policy.tags,
            parent: Some(Parent {
                id: stepped.world.machines[machine].id.to_string(),
                execution: above.execution.clone(),
                task,
                attempt,
            }),
            deadline: (policy.timeout_ms.or(found.timeout_ms))
                .map(|ms| stepped.world.now.saturating_add(ms)),
            ..Started::default()
        };
        self.start(stepped, started, id, parent, queue);
    }

    pub(super) fn start(
        &mut self,
        stepped: &mut Stepped,
        started: Started,
        id: String,
        parent: Option<(usize, TaskId)>,
        queue: &mut VecDeque<(usize, Command)>,
    ) {
        let known = self.codes.iter().position(|code| code.is(&started, &id));
        let code = known.unwrap_or_else(|| {
            self.codes.push(Code::new(started.clone(), id.clone(), self.last_output(&started)));
            self.codes.len() - 1
        });
        let name: Rc<str> = started.name.as_str().into();
        let orchestration = Orchestration::start(stepped.world.now, started);
        let machine = stepped.world.machines.len();
        let id = id.into();
        stepped.world.machines.push(Rc::new(Machine {
            orchestration,
            name,
            id,
            code,
            at: None,
            parent,
            again: None,
        }));
        self.go_on(stepped, machine, queue);
    }

    /// What an orchestration that continues as new is taken to end with some
    /// day, for its parent. Without one nobody is told.
    fn last_output(&self, started: &Started) -> Json {
        match &started.parent {
            None => Json::null(),
            Some(_) => self
                .program
                .runtime
                .function(&started.name)
                .map_or_else(Json::null, |it| samples::one(it.output_schema.as_ref())),
        }
    }
}

impl World {
    /// How a child ended, for its parent.
    pub(super) fn report(&self, machine: usize) -> Option<(usize, Command)> {
        let (parent, task) = self.machines[machine].parent?;
        let instance = self.instance(machine);
        let outcome = match instance.end()? {
            End::Completed(output) => Ok(output.clone()),
            End::Failed(failure) => Err(failure.clone()),
            End::Canceled(reason) => {
                Err(Failure::host(FailureKind::Cancelled, format!("it was cancelled: {reason}")))
            }
            End::Terminated(reason) => {
                Err(Failure::host(FailureKind::Terminated, format!("it was terminated: {reason}")))
            }
        };
        Some((parent, Command::ChildEnded { task, outcome, handed: instance.handed_over() }))
    }
}
