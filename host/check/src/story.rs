//! Tells in words how a saga came to where it is.

use std::fmt::Write as _;

use sagahost_core::{
    Cause, EntityId, Event, FailureKind, Json, Letter, Parcel, Record, StepOutcome, TaskId, UndoId,
    Work,
};

use crate::bounds::Bounds;
use crate::checkfile::Spec;
use crate::choice::{Choice, How, Reply};
use crate::error::CheckError;
use crate::model::Model;
use crate::program::Program;
use crate::turn::{Stepped, Stepper};
use crate::world::{Presence, World};

/// A story, told.
#[derive(Clone, Debug, Default)]
pub struct Story {
    /// What happened, one thing after the other.
    pub lines: Vec<String>,
    /// What is in place where the story ends, and what is wrong with it.
    pub end: Vec<String>,
    /// What was journaled.
    pub journal: Vec<Journaled>,
}

/// An event in the journal of one of a saga's orchestrations.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Journaled {
    /// The orchestrator.
    pub orchestrator: String,
    /// Its instance id.
    pub instance: String,
    /// The event.
    pub record: Record,
}

/// Tells a story as a report gives it.
///
/// # Errors
/// When it is not one of this saga.
pub fn tell(
    program: &Program,
    orchestrator: &str,
    input: &Json,
    spec: &Spec,
    bounds: &Bounds,
    story: &str,
) -> Result<Story, CheckError> {
    let model = Model::new(program, spec);
    let mut stepper = Stepper::new(program, &model, bounds);
    let mut told = Story::default();
    let stepped = stepper.begin(orchestrator, input)?;
    let line = format!("{orchestrator} begins, with the input {}", short(input));
    let mut world = told.add(line, stepped);
    for word in story.split_whitespace() {
        let no_choice = || {
            let (choices, _) = world.choices(&model, bounds);
            let known: Vec<String> = choices.iter().map(Choice::to_string).collect();
            let known = match known.as_slice() {
                [] => "nothing can happen any more".to_owned(),
                known => format!("what can happen is {}", known.join(" ")),
            };
            CheckError::Story(format!("`{word}` cannot happen there; {known}"))
        };
        let choice: Choice = word.parse().map_err(|_| no_choice())?;
        if !is_possible(&world, &choice) {
            return Err(no_choice());
        }
        let line = in_words(&world, &model, &choice);
        let stepped = stepper.step(&world, &choice);
        if let Some(error) = stepper.error.take() {
            return Err(error);
        }
        world = told.add(line, stepped);
    }
    for fault in stepper.replays(&world) {
        told.end.push(format!("{}: {}", fault.rule.name(), fault.detail));
    }
    told.finish(&world, &model);
    Ok(told)
}

/// Whether what is spoken of is there. How it ends is not looked at: a story
/// may go on where the bounds end.
fn is_possible(world: &World, choice: &Choice) -> bool {
    let there = |machine: &usize| *machine < world.machines.len();
    match choice {
        Choice::Ends { machine, work, .. } => {
            there(machine) && world.instance(*machine).attempt_of(*work).is_some()
        }
        Choice::Event { machine, name, .. } => {
            there(machine) && world.instance(*machine).awaited_events().contains(&name.as_str())
        }
        Choice::Reply { machine, task, reply } => {
            let asked = there(machine).then(|| world.asked_of(*machine, *task)).flatten();
            asked.is_some_and(|(_, call)| call.is_none() == (*reply == Reply::Locked))
        }
        Choice::Time => {
            world.machines.iter().any(|it| it.orchestration.instance().wake_at().is_some())
        }
        Choice::Cancel => !world.has_ended(),
        Choice::Crash { applied } => applied.iter().all(|(machine, work)| {
            there(machine) && world.instance(*machine).attempt_of(*work).is_some()
        }),
        Choice::Mend { machine, step, forward } | Choice::Done { machine, step, forward } => {
            there(machine) && {
                let stuck = world.instance(*machine).stuck();
                stuck.iter().any(|it| (it.step, it.forward) == (Some(*step), *forward))
            }
        }
    }
}

impl Story {
    /// Adds what happened, and what followed from it.
    fn add(&mut self, line: String, stepped: Stepped) -> World {
        self.lines.push(line);
        let Stepped { world, faults, records, .. } = stepped;
        for (machine, record) in records {
            let it = &world.machines[machine];
            self.lines.extend(event_in_words(&world, machine, &record.1));
            let (orchestrator, instance) = (it.name.to_string(), it.id.to_string());
            self.journal.push(Journaled { orchestrator, instance, record });
        }
        for fault in faults {
            self.lines.push(format!("{}: {}", fault.rule.name(), fault.detail));
        }
        world
    }

    fn finish(&mut self, world: &World, model: &Model) {
        let in_place = world.effects.iter().filter(|it| it.presence == Presence::InPlace);
        let names: Vec<String> = in_place
            .map(|effect| format!("{} ({})", effect.function, step(effect.machine, effect.task)))
            .collect();
        self.end.push(match names.as_slice() {
            [] => "nothing that was done is in place".to_owned(),
            names => format!("in place: {}", names.join(", ")),
        });
        let faults = match world.has_ended() {
            true => world.judge(model),
            false => world.invariants(model, false),
        };
        for fault in faults {
            self.end.push(format!("{}: {}", fault.rule.name(), fault.detail));
        }
    }

    /// The story as text, with a number before each line.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (number, line) in self.lines.iter().enumerate() {
            let _ = writeln!(text, "{:>3}. {line}", number + 1);
        }
        for line in &self.end {
            let _ = writeln!(text, "     {line}");
        }
        text
    }
}

fn step(machine: usize, task: TaskId) -> String {
    match machine {
        0 => format!("step {task}"),
        machine => format!("step {task} of child {machine}"),
    }
}

fn attempted(world: &World, machine: usize, work: Work) -> String {
    match work {
        Work::Step(task) => {
            let name = world.instance(machine).task_name(task);
            format!("{name} ({})", step(machine, task))
        }
        Work::Undo(undo) => undo_in_words(world, machine, undo),
    }
}

fn undo_in_words(world: &World, machine: usize, undo: UndoId) -> String {
    match world.instance(machine).undo_as_attempt(undo) {
        Some(attempt) => {
            let undone = attempt.undone.map(|undone| undone.function).unwrap_or_default();
            let step = step(machine, undo.task);
            format!("{}, which undoes {undone} ({step}),", attempt.function)
        }
        None => format!("the undo of {}", step(machine, undo.task)),
    }
}

fn in_words(world: &World, model: &Model, choice: &Choice) -> String {
    match choice {
        Choice::Ends { machine, work, how } => {
            let name = attempted(world, *machine, *work);
            let attempt = world.instance(*machine).attempt_of(*work);
            let known = attempt.map(|attempt| model.of(&attempt.function).clone());
            let yes = |applied: bool| if applied { "it was" } else { "it was not" };
            match how {
                How::Ok(number) => {
                    let sample = known.and_then(|known| known.outputs.get(*number).cloned());
                    match (work, sample) {
                        (Work::Step(_), Some(sample)) if sample.applied => {
                            format!("{name} answers {}", short(&sample.value))
                        }
                        (Work::Step(_), Some(sample)) => {
                            format!("{name} answers {}, and does nothing", short(&sample.value))
                        }
                        _ => format!("{name} is done"),
                    }
                }
                How::Fail(number) => {
                    let code = known.and_then(|known| known.failures.get(*number).cloned());
                    let code = code.unwrap_or_default();
                    format!("{name} fails: {code}; it did nothing")
                }
                How::Unknown { applied } => format!(
                    "{name} does not answer in time; whether it was done is not known ({})",
                    yes(*applied)
                ),
                How::Again => format!("{name} fails, and is to be attempted again"),
                How::AgainUnknown { applied } => format!(
                    "{name} does not answer in time, and is to be attempted again; whether it was \
                     done is not known ({})",
                    yes(*applied)
                ),
                How::Stopped { applied } => format!(
                    "{name} is ended by the host; whether it was done is not known ({})",
                    yes(*applied)
                ),
            }
        }
        Choice::Reply { machine, task, reply } => {
            let asked = world.asked_of(*machine, *task);
            reply_in_words(model, asked, *reply, &step(*machine, *task))
        }
        Choice::Event { name, value, .. } => {
            let value = model.event(name).values.get(*value).map(short).unwrap_or_default();
            format!("somebody raises {name}, with {value}")
        }
        Choice::Time => "time passes".to_owned(),
        Choice::Cancel => "somebody cancels the saga".to_owned(),
        Choice::Crash { applied } => {
            let done: Vec<String> =
                applied.iter().map(|(machine, work)| attempted(world, *machine, *work)).collect();
            match done.as_slice() {
                [] => "the host crashes and comes back; what ran had not been done yet".to_owned(),
                done => format!(
                    "the host crashes and comes back; of what ran, {} had been done",
                    done.join(" and ").trim_end_matches(',')
                ),
            }
        }
        Choice::Mend { machine, step, forward } => {
            let name = attempted(world, *machine, stuck_work(*step, *forward));
            format!("a person has {} attempted again", name.trim_end_matches(','))
        }
        Choice::Done { machine, step, forward } => {
            let name = attempted(world, *machine, stuck_work(*step, *forward));
            format!("a person does {} by hand, and says so", name.trim_end_matches(','))
        }
    }
}

fn reply_in_words(
    model: &Model,
    asked: Option<(EntityId, Option<&str>)>,
    reply: Reply,
    step: &str,
) -> String {
    let Some((entity, operation)) = asked else { return String::new() };
    let operation = operation.unwrap_or_default();
    let known = model.operation(&entity, operation);
    match reply {
        Reply::Answer(number) => {
            let output = known.outputs.get(number).map(short).unwrap_or_default();
            format!("{entity} answers {operation} ({step}) with {output}")
        }
        Reply::Refused(number) => {
            let code = known.failures.get(number).map_or("failed", String::as_str);
            format!("{entity} fails {operation} ({step}): {code}; it changed nothing")
        }
        Reply::Locked => format!("{entity} is locked ({step})"),
    }
}

fn stuck_work(step: UndoId, forward: bool) -> Work {
    match forward {
        true => Work::Step(step.task),
        false => Work::Undo(step),
    }
}

/// What an event of a journal says, where it is worth a line of its own.
fn event_in_words(world: &World, machine: usize, event: &Event) -> Option<String> {
    let name = &world.machines[machine].name;
    Some(match event {
        Event::Started(_) if machine > 0 => format!("the child {name} begins (child {machine})"),
        Event::Scheduled { task, function, input, undo, pivot, .. } => {
            let mut line = format!(
                "{function} is scheduled ({}), with {}",
                step(machine, *task),
                short(input)
            );
            if let Some(undo) = undo {
                let _ = write!(line, "; {} would undo it", undo.function);
            }
            if *pivot {
                line.push_str("; it is the pivot");
            }
            line
        }
        Event::ChildScheduled { task, function, .. } => {
            format!("{function} is to run as a child ({})", step(machine, *task))
        }
        Event::ChildCompleted { task, output, .. } => {
            format!("the child of {} answers {}", step(machine, *task), short(output))
        }
        Event::ChildFailed { task, failure, .. } => {
            format!("the child of {} fails: {failure}", step(machine, *task))
        }
        Event::TimerCreated { fire_at, .. } => {
            let ms = fire_at.saturating_sub(world.now);
            format!("{name} sets a timer, for {} s from now", ms as f64 / 1000.0)
        }
        Event::Rewound { .. } => format!("{name} is rewound, and begins again"),
        Event::TimerFired { .. } => "the timer fires".to_owned(),
        Event::EventAwaited { name: event, .. } => format!("{name} waits for the event {event}"),
        Event::Sent(Letter { to, parcel, .. }) => {
            let what = match parcel {
                Parcel::Event { name, input } => format!("the event {name}, with {}", short(input)),
                Parcel::Signal { operation, input, .. } => {
                    format!("the signal {operation}, with {}", short(input))
                }
                Parcel::Start { name: other, input, .. } => {
                    return Some(format!("{name} starts {other} as {to}, with {}", short(input)));
                }
                _ => return None,
            };
            format!("{name} sends to {to} {what}")
        }
        Event::EntityCalled { task, entity, operation, input, refused } => {
            let mut line = format!(
                "{name} calls {operation} of {entity} ({}), with {}",
                step(machine, *task),
                short(input)
            );
            if let Some(failure) = refused {
                let _ = write!(line, "; that fails: {failure}");
            }
            line
        }
        Event::LocksRequested { task, entities, refused } => {
            let entities: Vec<String> = entities.iter().map(EntityId::to_string).collect();
            let mut line =
                format!("{name} wants to lock {} ({})", entities.join(", "), step(machine, *task));
            if let Some(failure) = refused {
                let _ = write!(line, "; that fails: {failure}");
            }
            line
        }
        Event::EntityAnswered { task, outcome: Err(failure) }
            if failure.kind == FailureKind::NotStarted =>
        {
            format!("the call of {} fails: {failure}", step(machine, *task))
        }
        Event::LocksReleased => format!("{name} lets go of its locks"),
        Event::ContinuedAsNew { input } => {
            format!("{name} continues as new, with {}; what follows is another round", short(input))
        }
        Event::CompensationRequested { scope: 0, .. } => {
            format!("{name} has all undone that it has done so far")
        }
        Event::CompensationRequested { scope, .. } => {
            format!("{name} has undone what is in its part {scope}")
        }
        Event::CompensationDone { .. } => "that is undone".to_owned(),
        Event::Unwinding { cause } => format!("{} {}", name, cause_in_words(cause)),
        Event::UndoScheduled { undo, outcome, .. } => {
            let what = match outcome {
                StepOutcome::Completed => "was completed",
                StepOutcome::Failed => "failed",
                StepOutcome::Unknown => "may have been done",
            };
            let words = undo_in_words(world, machine, *undo);
            format!("the host calls {} which {what}", words.trim_end_matches(','))
        }
        Event::UndoAttemptFailed { retry_at: None, .. } => {
            "the saga is stuck there, until a person mends it".to_owned()
        }
        Event::Blocked(_) => format!("{name} is blocked: a person has to see to it"),
        Event::Completed { output } => format!("{name} ends Completed, with {}", short(output)),
        Event::Failed { failure } => format!("{name} ends Failed: {failure}"),
        Event::Canceled { .. } => format!("{name} ends Canceled"),
        Event::Terminated { .. } => format!("{name} ends Terminated"),
        _ => return None,
    })
}

fn cause_in_words(cause: &Cause) -> String {
    match cause {
        Cause::Failed(failure) => format!("fails: {failure}; what it did is to be undone"),
        Cause::Deadline(_) => "has passed its deadline; what it did is to be undone".to_owned(),
        Cause::Canceled(_) => "is cancelled; what it did is to be undone".to_owned(),
        Cause::Terminated(_) => "is terminated; what it did is to be undone".to_owned(),
        Cause::Parent(_) => "is ended by its parent, and hands over what it did".to_owned(),
    }
}

/// The beginning of a value.
fn short(value: &Json) -> String {
    const LONGEST: usize = 80;
    match value.as_str().char_indices().nth(LONGEST) {
        None => value.as_str().to_owned(),
        Some((end, _)) => format!("{}...", &value.as_str()[..end]),
    }
}
