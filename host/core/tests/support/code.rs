//! An orchestrator's code, as a list of operations.

use std::collections::HashMap;

use sagahost_core::*;

use super::{World, json, trap};

/// A step, and how it is undone.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Its function is `A` and this number, its undo `U` and this number.
    pub n: u8,
    pub undo: Option<UndoWhen>,
    pub scope: ScopeId,
    pub pivot: bool,
    /// Whether the undo's function is deployed.
    pub deployed: bool,
}

/// A step that is undone by default.
pub fn step(n: u8) -> Step {
    Step { n, undo: Some(UndoWhen::default()), scope: 0, pivot: false, deployed: true }
}

impl Step {
    pub fn bare(self) -> Self {
        Step { undo: None, ..self }
    }

    pub fn when(self, when: UndoWhen) -> Self {
        Step { undo: Some(when), ..self }
    }

    pub fn of(self, scope: ScopeId) -> Self {
        Step { scope, ..self }
    }

    pub fn pivot(self) -> Self {
        Step { pivot: true, ..self }
    }

    pub fn op(self) -> Op {
        Op::Step(self)
    }

    pub fn child(self) -> Op {
        Op::Child { step: self, by_hand: false }
    }

    fn compensation(&self, world: &World) -> Option<Compensation> {
        let when = self.undo?;
        Some(Compensation {
            function: format!("U{}", self.n),
            digest: self.deployed.then(|| format!("d{}", self.n)),
            input: None,
            policy: world.undo_policy.clone(),
            when,
        })
    }
}

/// One thing that a modelled orchestrator does. What names a task or a scope
/// that there is not does nothing.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    Activity(u8),
    Step(Step),
    Child {
        step: Step,
        by_hand: bool,
    },
    /// Opens a scope within this one.
    Open(ScopeId),
    Parallel(ScopeId),
    Compensate(ScopeId),
    /// A timer that fires so many milliseconds from its now.
    Timer(u64),
    Event(u8),
    Cancel(u32),
    /// Waits for any completion.
    AwaitAny,
    /// Waits for this task.
    Await(u32),
    /// Waits for whichever of these completes first.
    AwaitOneOf(Vec<u32>),
    /// Waits for this task, and fails if it failed.
    Try(u32),
    /// Waits for any completion, and fails if it is a failure.
    TryAny,
    /// Skips so many operations unless this task has failed.
    UnlessFailed(u32, usize),
    Uuid,
    Random,
    Status(u8),
    Log,
    Return,
    Fail,
    Trap,
}

/// What the code has seen; the same on every replay.
pub type Trace = Vec<String>;

/// How far the code has come, and what it saw.
#[derive(Clone, Default)]
pub struct Code {
    at: usize,
    asked: u32,
    scopes: u32,
    failed: HashMap<TaskId, bool>,
    done: bool,
    pub trace: Trace,
}

impl Code {
    pub fn is_done(&self) -> bool {
        self.done
    }
}

fn gave_up() -> Failure {
    Failure { code: "gave-up".into(), retryable: false, ..Failure::host(FailureKind::Returned, "") }
}

impl World {
    /// Runs the code until it waits (true) or ends (false).
    pub(super) fn run(&mut self) -> Result<bool, Mismatch> {
        let mut code = self.code.take().unwrap_or_default();
        let waits = self.step(&mut code);
        self.code = Some(code);
        waits
    }

    fn step(&mut self, code: &mut Code) -> Result<bool, Mismatch> {
        let script = self.script.clone();
        let mut result = None;
        while let Some(op) = script.get(code.at)
            && result.is_none()
        {
            match op {
                Op::Return => break,
                Op::Fail => result = Some(Err(gave_up())),
                Op::Trap => result = Some(Err(trap())),
                Op::UnlessFailed(task, skipped) => {
                    if code.failed.get(task) != Some(&true) {
                        code.at += skipped;
                    }
                }
                Op::AwaitAny | Op::Await(_) | Op::AwaitOneOf(_) | Op::Try(_) | Op::TryAny => {
                    match self.wait(code, op)? {
                        Waited::Not => return Ok(true),
                        Waited::Failed if matches!(op, Op::Try(_) | Op::TryAny) => {
                            result = Some(Err(gave_up()));
                        }
                        Waited::Completed | Waited::Failed => {}
                    }
                }
                op => self.ask(code, op)?,
            }
            code.at += 1;
        }
        if !code.done {
            code.done = true;
            let result = result.unwrap_or_else(|| Ok(json(&code.trace)));
            self.orchestration.returned(result)?;
        }
        Ok(false)
    }

    fn wait(&mut self, code: &mut Code, op: &Op) -> Result<Waited, Mismatch> {
        let wanted: Vec<u32> = match op {
            Op::AwaitOneOf(tasks) => tasks.iter().copied().filter(|t| *t < code.asked).collect(),
            Op::Await(task) | Op::Try(task) if *task < code.asked => vec![*task],
            _ => vec![],
        };
        let any = matches!(op, Op::AwaitAny | Op::TryAny);
        if (any && code.asked == 0) || (!any && wanted.is_empty()) {
            return Ok(Waited::Completed);
        }
        let o = &mut self.orchestration;
        let Some(completion) = o.next(&wanted)? else { return Ok(Waited::Not) };
        code.trace.push(format!("{completion:?} at {}", o.now()));
        let failed = completion.outcome.is_err();
        code.failed.insert(completion.task, failed);
        Ok(if failed { Waited::Failed } else { Waited::Completed })
    }

    fn ask(&mut self, code: &mut Code, op: &Op) -> Result<(), Mismatch> {
        let policy = self.policy.clone();
        let is_scope = |scope: ScopeId| scope <= code.scopes;
        let request = match op {
            Op::Activity(n) => Request::Activity {
                function: format!("A{n}"),
                input: json(n),
                policy,
                undo: None,
                scope: 0,
                pivot: false,
            },
            Op::Step(step) if is_scope(step.scope) => Request::Activity {
                function: format!("A{}", step.n),
                input: json(&step.n),
                policy,
                undo: step.compensation(self),
                scope: step.scope,
                pivot: step.pivot,
            },
            Op::Child { step, by_hand } if is_scope(step.scope) => Request::Child {
                id: None,
                policy: ChildPolicy::default(),
                function: format!("O{}", step.n),
                input: json(&step.n),
                undo: step.compensation(self),
                by_hand: *by_hand,
                scope: step.scope,
                pivot: step.pivot,
            },
            Op::Open(scope) if is_scope(*scope) => Request::OpenScope { parent: *scope },
            Op::Parallel(scope) if is_scope(*scope) => Request::UndoInParallel { scope: *scope },
            Op::Compensate(scope) if is_scope(*scope) => Request::Compensate { scope: *scope },
            Op::Timer(after) => Request::Timer { fire_at: self.orchestration.now() + after },
            Op::Event(n) => Request::Event { name: format!("E{n}") },
            Op::Cancel(task) if *task < code.asked => Request::Cancel { task: *task },
            Op::Uuid => {
                code.trace.push(self.orchestration.new_uuid());
                return Ok(());
            }
            Op::Random => {
                code.trace.push(self.orchestration.random_u64().to_string());
                return Ok(());
            }
            Op::Status(n) => {
                self.orchestration.set_custom_status(json(n));
                return Ok(());
            }
            Op::Log => {
                self.orchestration.log(LogLevel::Info, "line".into());
                return Ok(());
            }
            _ => return Ok(()),
        };
        let expected = match &request {
            Request::OpenScope { .. } => {
                code.scopes += 1;
                code.scopes
            }
            Request::UndoInParallel { scope } => *scope,
            Request::Cancel { task } => *task,
            _ => {
                code.asked += 1;
                code.asked - 1
            }
        };
        assert_eq!(self.orchestration.request(request)?, expected);
        Ok(())
    }
}

enum Waited {
    /// It has to.
    Not,
    Completed,
    Failed,
}
