//! A step that can be undone, and its undo. What they do is in files, so that
//! a test can see it whatever became of the host.

use std::fs;
use std::hint::black_box;
use std::io::{ErrorKind, Write};
use std::time::Duration;

use sagahost::{ActivityContext, Failure};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::step::{Fault, Step, UndoFault};

/// The content of the effect's file.
#[derive(Serialize, Deserialize)]
struct Effect {
    /// The idempotency key of the step that did it.
    key: String,
    /// Which attempt wrote it.
    attempts: u32,
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct StepDone {
    id: String,
    attempt: u32,
}

/// Creates the file `{dir}/{id}`, `{"key", "attempts"}`, and writes to `{dir}/log.txt`.
///
/// Takes `{"dir", "id", "fault", "holdMs", "undoFault"}`, the last three
/// optional; `fault` is one of `fail`, `trap`, `trap-after`, `hang`,
/// `hang-after`, `hang-once`, `hang-after-once`, `spin` and `flaky`. Logs
/// `do {id} {key} attempt={n}` when it begins and `done {id}` when it is
/// finished, and answers with `{"id", "attempt"}`. A file of another step's is a failure, `taken`.
#[sagahost::activity(retry(max_attempts = 1), undo = "StepUndo")]
pub(crate) async fn step_do(ctx: ActivityContext, step: Step) -> Result<StepDone, Failure> {
    let (key, attempt) = (ctx.idempotency_key(), ctx.attempt());
    step.log(format_args!("do {} {key} attempt={attempt}", step.id))?;
    match step.fault {
        Some(Fault::Fail) => return Err(Failure::permanent("injected", "the step was to fail")),
        Some(Fault::Flaky) if attempt == 1 => {
            return Err(Failure::transient("injected", "the step was to fail once"));
        }
        Some(Fault::Trap) => panic!("the step was to trap"),
        Some(Fault::Hang) => hang(),
        Some(Fault::HangOnce) if attempt == 1 => hang(),
        Some(Fault::Spin) => spin(),
        _ => {}
    }
    if step.effect()?.is_some_and(|effect| effect.key != key) {
        return Err(Failure::permanent("taken", format!("{} is there, of another step", step.id)));
    }
    step.write(&Effect { key, attempts: attempt })?;
    match step.fault {
        Some(Fault::TrapAfter) => panic!("the step was to trap after its effect"),
        Some(Fault::HangAfter) => hang(),
        Some(Fault::HangAfterOnce) if attempt == 1 => hang(),
        _ => {}
    }
    std::thread::sleep(Duration::from_millis(step.hold_ms));
    step.log(format_args!("done {}", step.id))?;
    Ok(StepDone { id: step.id, attempt })
}

/// Removes the file that StepDo created, and writes to the same log.
///
/// Takes the same input; `undoFault` is one of `fail-once`, `fail`, `trap-once`,
/// `hang`, `hang-once`, `barred` (by a file `{dir}/{id}.barred`), all of them
/// before the file is removed, and `hang-after-once`. Logs
/// `undo {id} outcome={completed|failed|unknown} key={its key} forward={the step's key} output={the step's output}`
/// when it begins (each `-` where it is not told: where an orchestrator calls
/// it by hand) and `undone {id}` when it is finished. Answers whether there was
/// something to remove.
#[sagahost::activity(
    undoes = "StepDo",
    retry(max_attempts = 0, first_interval = "50ms", max_interval = "200ms")
)]
pub(crate) async fn step_undo(ctx: ActivityContext, step: Step) -> Result<bool, Failure> {
    let undone = ctx.undone();
    let (mut outcome, mut forward, mut output) = ("-".to_owned(), "-".to_owned(), None);
    if let Some(undone) = &undone {
        outcome = undone.outcome.to_string();
        forward.clone_from(&undone.idempotency_key);
        output = undone.output::<Value>()?;
    }
    let output = output.map_or("-".to_owned(), |output| output.to_string());
    step.log(format_args!(
        "undo {} outcome={outcome} key={} forward={forward} output={output}",
        step.id,
        ctx.idempotency_key()
    ))?;
    match (step.undo_fault, ctx.attempt()) {
        (Some(UndoFault::FailOnce), 1) => {
            return Err(Failure::transient("injected", "the undo was to fail once"));
        }
        (Some(UndoFault::Fail), _) => {
            return Err(Failure::permanent("injected", "the undo was to fail"));
        }
        (Some(UndoFault::TrapOnce), 1) => panic!("the undo was to trap once"),
        (Some(UndoFault::Hang), _) | (Some(UndoFault::HangOnce), 1) => hang(),
        (Some(UndoFault::Barred), _) if fs::exists(format!("{}.barred", step.path()))? => {
            return Err(Failure::permanent("barred", format!("{} is barred", step.id)));
        }
        _ => {}
    }
    let effect = step.effect()?;
    let ours =
        effect.is_some_and(|effect| undone.is_none_or(|it| it.idempotency_key == effect.key));
    if ours {
        fs::remove_file(step.path())?;
    }
    if (step.undo_fault, ctx.attempt()) == (Some(UndoFault::HangAfterOnce), 1) {
        hang();
    }
    step.log(format_args!("undone {}", step.id))?;
    Ok(ours)
}

impl Step {
    fn path(&self) -> String {
        format!("{}/{}", self.dir, self.id)
    }

    fn effect(&self) -> Result<Option<Effect>, Failure> {
        match fs::read(self.path()) {
            Ok(text) => Ok(Some(serde_json::from_slice(&text)?)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes the effect in one piece: an attempt that is killed leaves no
    /// half of it.
    fn write(&self, effect: &Effect) -> Result<(), Failure> {
        let beside = format!("{}/.{}", self.dir, self.id);
        fs::write(&beside, serde_json::to_vec(effect)?)?;
        Ok(fs::rename(&beside, self.path())?)
    }

    /// Adds a line to the log, with one write, so that lines of sandboxes that
    /// run at the same time do not mix.
    fn log(&self, line: impl std::fmt::Display) -> Result<(), Failure> {
        let path = format!("{}/log.txt", self.dir);
        let mut file = fs::OpenOptions::new().append(true).create(true).open(path)?;
        Ok(file.write_all(format!("{line}\n").as_bytes())?)
    }
}

fn hang() -> ! {
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

fn spin() -> ! {
    let mut n: u64 = 0;
    loop {
        n = black_box(n.wrapping_add(1));
    }
}
