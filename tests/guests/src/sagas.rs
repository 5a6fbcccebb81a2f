//! Orchestrators whose steps are undone.

use std::time::Duration;

use sagahost::{
    ActivityCall, Compensation, Failure, OrchestratorContext, RetryPolicy, Scope, future,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::step::Step;
use crate::waste::{hoard, spin};

/// What an orchestrator does when its steps are done.
#[derive(Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum End {
    #[default]
    Ok,
    /// Returns a failure, `ended`.
    Fail,
    /// Panics.
    Trap,
    /// Computes for ever.
    Loop,
    /// Takes memory without end.
    Memory,
    /// Waits for the event `Go`, and returns then.
    Wait,
    /// Waits for the event `Go`, and fails then.
    WaitFail,
}

impl End {
    async fn reach(self, ctx: &OrchestratorContext) -> Result<(), Failure> {
        match self {
            End::Ok => {}
            End::Fail => return Err(ended()),
            End::Trap => panic!("the saga was to trap"),
            End::Loop => spin(),
            End::Memory => hoard(),
            End::Wait | End::WaitFail => {
                ctx.set_custom_status("waiting");
                ctx.event::<Value>("Go").await?;
                if self == End::WaitFail {
                    return Err(ended());
                }
            }
        }
        Ok(())
    }
}

fn ended() -> Failure {
    Failure::permanent("ended", "the saga was to fail")
}

/// What the steps' calls say about their undo.
#[derive(Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum UndoSaid {
    /// Nothing: StepDo names StepUndo.
    #[default]
    Declared,
    ByHand,
    /// StepUndo, whatever became of the step.
    Always,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Steps {
    steps: Vec<Step>,
    /// All at the same time.
    #[serde(default)]
    parallel: bool,
    #[serde(default)]
    undo_in_parallel: bool,
    #[serde(default)]
    end: End,
    /// The index of the step that is the pivot.
    #[serde(default)]
    pivot: Option<usize>,
    /// Undoes what it did, and goes on.
    #[serde(default)]
    compensate: bool,
    #[serde(default)]
    undo: UndoSaid,
}

/// The options that a step says of its call.
fn options(step: &Step, mut call: ActivityCall<Value>) -> ActivityCall<Value> {
    if let Some(attempts) = step.attempts {
        let policy = RetryPolicy::attempts(attempts);
        call = call.retry(policy.first_interval(Duration::from_millis(50)).jitter(0.0));
    }
    if let Some(ms) = step.timeout_ms {
        call = call.timeout(Duration::from_millis(ms));
    }
    call
}

fn call(ctx: &OrchestratorContext, step: &Step) -> ActivityCall<Value> {
    options(step, ctx.activity("StepDo", step))
}

fn call_in(scope: &Scope, step: &Step) -> ActivityCall<Value> {
    options(step, scope.activity("StepDo", step))
}

impl Steps {
    fn call(&self, ctx: &OrchestratorContext, index: usize) -> ActivityCall<Value> {
        let mut call = call(ctx, &self.steps[index]);
        match self.undo {
            UndoSaid::Declared => {}
            UndoSaid::ByHand => call = call.undo_by_hand(),
            UndoSaid::Always => call = call.compensate_with(Compensation::new("StepUndo").always()),
        }
        if self.pivot == Some(index) {
            call = call.pivot();
        }
        call
    }

    async fn run(&self, ctx: &OrchestratorContext) -> Result<(), Failure> {
        let calls = (0..self.steps.len()).map(|index| self.call(ctx, index));
        if self.parallel {
            let results = future::join_all(calls).await;
            return results.into_iter().try_for_each(|result| result.map(drop));
        }
        for call in calls {
            call.await?;
        }
        Ok(())
    }
}

/// Calls StepDo with each of `steps`, and fails if one fails; answers `ok`.
///
/// Takes `{"steps": [...], "parallel", "undoInParallel", "end", "pivot",
/// "compensate", "undo"}`, all but `steps` optional. In parallel it waits for
/// all, and fails as the first one of the list that did. With `compensate` it
/// undoes what it did, also if a step failed, and answers `compensated`. `end`
/// is one of `ok`, `fail`, `trap`, `loop`, `memory`, `wait` (for the event
/// `Go`, with the custom status `waiting`), `wait-fail` (that, and fails then);
/// `undo` one of `declared`, `by-hand`, `always`.
#[sagahost::orchestrator]
async fn steps_saga(ctx: OrchestratorContext, input: Steps) -> Result<&'static str, Failure> {
    if input.undo_in_parallel {
        ctx.undo_in_parallel();
    }
    let done = input.run(&ctx).await;
    if input.compensate {
        ctx.compensate().await?;
    } else {
        done?;
    }
    input.end.reach(&ctx).await?;
    Ok(if input.compensate { "compensated" } else { "ok" })
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Family {
    #[serde(default)]
    before: Option<Step>,
    #[serde(default)]
    children: Vec<Steps>,
    #[serde(default)]
    after: Option<Step>,
    #[serde(default)]
    end: End,
    /// Starts all children at once.
    #[serde(default)]
    parallel: bool,
    /// Drops what the children hand over.
    #[serde(default)]
    by_hand: bool,
    /// StepUndo with this undoes a child, in the place of what it hands over.
    #[serde(default)]
    compensation: Option<Step>,
}

/// Calls StepDo, then StepsSaga for each of the children, then StepDo again.
///
/// Takes `{"before": step, "children": [StepsSaga's inputs], "after": step,
/// "end", "parallel", "byHand", "compensation": step}`, all of them optional;
/// answers with what the children answered.
#[sagahost::orchestrator]
async fn parent_saga(ctx: OrchestratorContext, input: Family) -> Result<Vec<String>, Failure> {
    if let Some(step) = &input.before {
        call(&ctx, step).await?;
    }
    let children = input.children.iter().map(|child| {
        let call = ctx.orchestrator::<String>("StepsSaga", child);
        match &input.compensation {
            Some(step) => call.compensate_with(Compensation::new("StepUndo").input(step)),
            None if input.by_hand => call.undo_by_hand(),
            None => call,
        }
    });
    let mut answers = Vec::new();
    if input.parallel {
        for answer in future::join_all(children).await {
            answers.push(answer?);
        }
    } else {
        for child in children {
            answers.push(child.await?);
        }
    }
    if let Some(step) = &input.after {
        call(&ctx, step).await?;
    }
    input.end.reach(&ctx).await?;
    Ok(answers)
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Scoped {
    a: Step,
    b: Step,
    c: Step,
    d: Step,
    /// The scope's, of b and c.
    #[serde(default)]
    undo_in_parallel: bool,
    #[serde(default)]
    end: End,
}

/// Calls StepDo with `a`; with `b` and `c` in a scope, which it undoes, whatever became of them; and with `d`.
///
/// Takes `{"a": step, "b": step, "c": step, "d": step, "undoInParallel",
/// "end"}`, the last two optional.
#[sagahost::orchestrator]
async fn scoped_saga(ctx: OrchestratorContext, input: Scoped) -> Result<(), Failure> {
    call(&ctx, &input.a).await?;
    let scope = ctx.scope();
    if input.undo_in_parallel {
        scope.undo_in_parallel();
    }
    for step in [&input.b, &input.c] {
        if call_in(&scope, step).await.is_err() {
            break;
        }
    }
    scope.compensate().await?;
    call(&ctx, &input.d).await?;
    input.end.reach(&ctx).await
}
