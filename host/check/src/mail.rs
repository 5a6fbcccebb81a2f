//! What a saga's orchestrations send, calls of entities, and locks.
//!
//! Nothing of an entity is run: a call of it is answered with any of the
//! operation's outputs, or with a failure. It is no step, so it has no effect
//! that would have to be undone.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use sagahost_core::{Command, EntityId, Failure, FailureKind, Json, Letter, Parcel, Post, TaskId};
use sagahost_wasm::FunctionKind;

use crate::choice::{Choice, Reply};
use crate::model::Model;
use crate::program::Program;
use crate::turn::Stepper;
use crate::world::World;

/// What a search came to and did not look into.
#[derive(Debug, Default)]
pub(crate) struct Passed {
    /// Orchestrators that continue as new; of a child, what it is taken to end
    /// with.
    rounds: BTreeMap<String, Option<Json>>,
    /// Operations of entities that were called.
    operations: BTreeSet<String>,
    /// Orchestrators that were started and not waited for.
    starts: BTreeSet<String>,
}

impl Passed {
    pub(crate) fn round(&mut self, world: &World, machine: usize) {
        let name = &world.machines[machine].name;
        let output = match world.instance(machine).end() {
            Some(sagahost_core::End::Completed(output)) if machine > 0 => Some(output.clone()),
            _ => None,
        };
        if !self.rounds.contains_key(&**name) {
            self.rounds.insert(name.to_string(), output);
        }
    }

    pub(crate) fn operation(&mut self, entity: &EntityId, operation: &str) {
        self.operations.insert(name_of(entity, operation));
    }

    /// What was taken to be so, in sentences.
    pub(crate) fn notes(&self, program: &Program) -> Vec<String> {
        let mut notes = Vec::new();
        for (name, output) in &self.rounds {
            notes.push(match output {
                None => format!(
                    "{name} continues as new: a path ends with its round, which counts as \
                     completed; the rounds that follow are looked at where the check file has \
                     their inputs"
                ),
                Some(output) => format!(
                    "the child {name} continues as new: its later rounds are not looked at, and \
                     it is taken to end with {}",
                    output.as_str()
                ),
            });
        }
        if !self.operations.is_empty() {
            let names: Vec<&str> = self.operations.iter().map(String::as_str).collect();
            notes.push(format!(
                "what entities do is not looked at, and nothing undoes it; called are {}",
                names.join(", ")
            ));
        }
        for name in &self.starts {
            notes.push(match program.orchestrator(name) {
                Ok(_) => format!("it starts {name}, which is no part of this saga: check it too"),
                Err(_) => format!("it starts {name}, which is not deployed, and so never begins"),
            });
        }
        notes
    }
}

/// How an operation is spoken of.
fn name_of(entity: &EntityId, operation: &str) -> String {
    format!("{}.{operation}", entity.name)
}

impl Stepper<'_> {
    /// A letter leaves. One for an orchestration of the same saga is there at
    /// once; what becomes of the others makes no difference to the saga.
    pub(crate) fn letter(
        &mut self,
        world: &World,
        machine: usize,
        letter: Letter,
        queue: &mut VecDeque<(usize, Command)>,
    ) {
        let Letter { number, to, parcel } = letter;
        let instance = world.instance(machine);
        let post = Post { origin: instance.origin().to_owned(), number };
        match parcel {
            Parcel::Event { name, input } => {
                let receiver = world.machines.iter().rposition(|it| *it.id == *to);
                let from = Some(post.clone());
                let event = Command::RaiseEvent { name, input, from };
                queue.extend(receiver.map(|receiver| (receiver, event)));
            }
            Parcel::Start { name, .. } => {
                self.passed.starts.insert(name);
            }
            Parcel::Call { operation, input, task, .. } => {
                let entity = EntityId::from_instance_id(&to);
                let problem = entity.and_then(|it| self.not_to_be_asked(&it, &operation, &input));
                if let Some(message) = problem {
                    let failure = Failure {
                        retryable: false,
                        ..Failure::host(FailureKind::NotStarted, message)
                    };
                    queue.extend(world.answer(machine, task, Err(failure)).map(|it| (machine, it)));
                }
            }
            _ => {}
        }
        queue.push_back((machine, Command::Delivered { post, problem: None }));
    }

    /// Why an operation cannot be asked of an entity, if it cannot.
    fn not_to_be_asked(&self, entity: &EntityId, operation: &str, input: &Json) -> Option<String> {
        let function = self.program.runtime.function(&entity.name);
        let Some(function) = function.filter(|it| it.kind == FunctionKind::Entity) else {
            return Some(format!("no entity '{}' is deployed", entity.name));
        };
        let problem = function.check_operation(operation, input).err()?;
        let name = &entity.name;
        Some(format!("the operation `{operation}` cannot be asked of entity `{name}`: {problem}"))
    }
}

impl World {
    /// What entities may say next to one of the orchestrations. Each of them
    /// takes what it is asked in the order in which that was sent.
    pub(crate) fn replies(&self, model: &Model, machine: usize, faulty: bool) -> Vec<Choice> {
        let mut choices = Vec::new();
        if !self.machines[machine].orchestration.code_may_go_on() {
            return choices;
        }
        let instance = self.instance(machine);
        let wanted = instance.wanted_lock();
        let mut busy: Vec<&EntityId> = Vec::new();
        let mut says = |task, reply| choices.push(Choice::Reply { machine, task, reply });
        for call in instance.open_calls() {
            let before_lock = wanted.is_none_or(|(lock, _)| call.task < lock);
            let ready = before_lock || instance.locked().contains(call.entity);
            if busy.contains(&call.entity) || !ready || self.holder(machine, call.entity).is_some()
            {
                continue;
            }
            busy.push(call.entity);
            let operation = model.operation(call.entity, call.operation);
            (0..operation.outputs.len()).for_each(|number| says(call.task, Reply::Answer(number)));
            if faulty {
                let failures = 0..operation.failures.len();
                failures.for_each(|number| says(call.task, Reply::Refused(number)));
            }
        }
        if let Some((task, entity)) = wanted
            && !busy.contains(&entity)
            && self.holder(machine, entity).is_none()
        {
            says(task, Reply::Locked);
        }
        choices
    }

    /// Who else of the saga has locked an entity.
    fn holder(&self, machine: usize, entity: &EntityId) -> Option<usize> {
        (0..self.machines.len())
            .find(|other| *other != machine && self.instance(*other).locked().contains(entity))
    }

    /// That the saga waits for an entity which its own orchestrations have
    /// locked, if it does.
    pub(crate) fn waits_for_locked(&self) -> Option<String> {
        (0..self.machines.len()).find_map(|machine| {
            let instance = self.instance(machine);
            let calls = instance.open_calls().into_iter().map(|call| call.entity);
            let mut wanted = calls.chain(instance.wanted_lock().map(|(_, entity)| entity));
            let (entity, holder) =
                wanted.find_map(|entity| Some((entity, self.holder(machine, entity)?)))?;
            let (name, holder) = (&self.machines[machine].name, &self.machines[holder].name);
            Some(format!("{name} waits for {entity}, which {holder} has locked"))
        })
    }

    /// The operation that a task waits for; `None` where it waits for a lock.
    pub(crate) fn operation(&self, machine: usize, task: TaskId) -> Option<String> {
        let calls = self.instance(machine).open_calls();
        let call = calls.into_iter().find(|call| call.task == task)?;
        Some(name_of(call.entity, call.operation))
    }

    /// The entity that a task waits for, and of a call its operation.
    pub(crate) fn asked_of(
        &self,
        machine: usize,
        task: TaskId,
    ) -> Option<(EntityId, Option<&str>)> {
        let instance = self.instance(machine);
        let calls = instance.open_calls().into_iter();
        let mut calls = calls.filter(|call| call.task == task);
        if let Some(call) = calls.next() {
            return Some((call.entity.clone(), Some(call.operation)));
        }
        let (lock, entity) = instance.wanted_lock()?;
        (lock == task).then(|| (entity.clone(), None))
    }

    /// What an entity says, for the one that it says it to.
    pub(crate) fn reply(
        &self,
        model: &Model,
        machine: usize,
        task: TaskId,
        reply: Reply,
    ) -> Option<(usize, Command)> {
        let (entity, operation) = self.asked_of(machine, task)?;
        let known = operation.map(|operation| model.operation(&entity, operation));
        let command = match reply {
            Reply::Answer(number) => {
                let output = known.and_then(|known| known.outputs.get(number).cloned());
                self.answer(machine, task, Ok(output.unwrap_or_else(Json::null)))?
            }
            Reply::Refused(number) => {
                let code = known.and_then(|known| known.failures.get(number).cloned());
                let failure = Failure {
                    kind: FailureKind::Returned,
                    code: code.unwrap_or_else(|| "failed".to_owned()),
                    message: "it changed nothing".to_owned(),
                    details: None,
                    retryable: false,
                    retry_after_ms: None,
                };
                self.answer(machine, task, Err(failure))?
            }
            Reply::Locked => {
                let execution = self.instance(machine).started().execution.clone();
                letter_from(&entity, Parcel::Granted { task, execution })
            }
        };
        Some((machine, command))
    }

    fn answer(
        &self,
        machine: usize,
        task: TaskId,
        outcome: Result<Json, Failure>,
    ) -> Option<Command> {
        let (entity, _) = self.asked_of(machine, task)?;
        let execution = self.instance(machine).started().execution.clone();
        Some(letter_from(&entity, Parcel::Answer { task, execution, outcome }))
    }

    /// How the saga stands, as its status is shown.
    pub(crate) fn status(&self) -> String {
        match &self.root().again {
            Some(_) => sagahost_core::RuntimeStatus::ContinuedAsNew.to_string(),
            None => self.instance(0).status().to_string(),
        }
    }
}

fn letter_from(entity: &EntityId, parcel: Parcel) -> Command {
    let from = entity.instance_id();
    // Each entity says one thing to a task, once.
    let post = Post { origin: from.clone(), number: 1 };
    Command::Letter { post, from, parcel }
}
