//! Orchestrators that begin anew, and one to be rewound.

use std::time::Duration;

use sagahost::{Compensation, Failure, OrchestratorContext};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::lines::{Count, Lines, Required};

fn yes() -> bool {
    true
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Collect {
    rounds: u32,
    per_round: u32,
    /// Where AppendLines puts the numbers of each round; nowhere without it.
    #[serde(default)]
    file: Option<String>,
    /// The round that begins, from 0 on.
    #[serde(default)]
    round: u32,
    /// How many numbers came in the rounds before.
    #[serde(default)]
    count: u64,
    /// The last of them.
    #[serde(default)]
    last: Option<i64>,
    /// Whether each was greater than the one before.
    #[serde(default = "yes")]
    in_order: bool,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Collected {
    count: u64,
    last: Option<i64>,
    in_order: bool,
}

/// Waits for `perRound` events `E`, each a number, gives them to AppendLines, and continues as new: `{"rounds",
/// "perRound", "file"}`. `file` may be left out. After the last round it answers with `{"count", "last", "inOrder"}`;
/// in order is what grows from number to number.
#[sagahost::orchestrator]
async fn collect_events(
    ctx: OrchestratorContext,
    mut input: Collect,
) -> Result<Collected, Failure> {
    if input.round < input.rounds {
        let mut lines = Vec::new();
        for _ in 0..input.per_round {
            let number: i64 = ctx.event("E").await?;
            input.in_order &= input.last.is_none_or(|last| last < number);
            input.last = Some(number);
            input.count += 1;
            lines.push(number.to_string());
        }
        if let Some(file) = &input.file {
            let file = file.clone();
            ctx.activity::<usize>("AppendLines", &Lines { file, lines }).await?;
        }
        input.round += 1;
        ctx.set_custom_status(&json!({ "round": input.round, "count": input.count }));
        if input.round < input.rounds {
            return ctx.continue_as_new(&input);
        }
    }
    let Collect { count, last, in_order, .. } = input;
    Ok(Collected { count, last, in_order })
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Telling {
    to: Vec<String>,
    rounds: u32,
    per_round: u32,
    /// The next number.
    #[serde(default)]
    next: i64,
    /// How long it waits after a round.
    ms: u64,
}

/// Sends the numbers from 0 on as events `E` to all of `to`, `perRound` in each round, and continues as new after each:
/// `{"to", "rounds", "perRound", "ms"}`. Answers with how many it sent to each.
#[sagahost::orchestrator]
async fn teller(ctx: OrchestratorContext, mut input: Telling) -> Result<i64, Failure> {
    if input.rounds == 0 {
        return Ok(input.next);
    }
    for _ in 0..input.per_round {
        for to in &input.to {
            ctx.send_event(to, "E", &input.next);
        }
        input.next += 1;
    }
    ctx.timer(Duration::from_millis(input.ms)).await;
    input.rounds -= 1;
    ctx.continue_as_new(&input)
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Left {
    left: u64,
    /// How long a round waits; without it, it does not wait at all.
    #[serde(default)]
    timer_ms: Option<u64>,
}

/// Continues as new until nothing is left, one less each time: `{"left", "timerMs"}`. Answers with `done`.
#[sagahost::orchestrator]
async fn eternal(ctx: OrchestratorContext, input: Left) -> Result<&'static str, Failure> {
    let Left { left, timer_ms } = input;
    if left == 0 {
        return Ok("done");
    }
    if let Some(ms) = timer_ms {
        ctx.timer(Duration::from_millis(ms)).await;
    }
    ctx.continue_as_new(&Left { left: left - 1, timer_ms })
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Rewind {
    dir: String,
    /// Whether the first step has an undo, which writes `undo A` to `log`.
    #[serde(default)]
    undo: bool,
}

/// Three steps, `{"dir", "undo"}`: CountRuns in the file `a` of the folder, RequireFile of `b`, CountRuns in `c`.
/// Answers with `{"a", "c"}`, how often each has run. With `undo`, AppendLines to `log` undoes the first.
#[sagahost::orchestrator]
async fn rewindable(ctx: OrchestratorContext, input: Rewind) -> Result<Value, Failure> {
    let file = |name: &str| format!("{}/{name}", input.dir);
    let mut first = ctx.activity::<usize>("CountRuns", &Count { file: file("a"), once: false });
    if input.undo {
        let lines = Lines { file: file("log"), lines: vec!["undo A".to_owned()] };
        first = first.compensate_with(Compensation::new("AppendLines").input(&lines));
    }
    let a = first.await?;
    ctx.activity::<()>("RequireFile", &Required { file: file("b") }).await?;
    let c: usize = ctx.activity("CountRuns", &Count { file: file("c"), once: false }).await?;
    Ok(json!({ "a": a, "c": c }))
}

/// CountRuns in the file `p` of a folder, and Rewindable as a child, `{"dir", "undo"}`. Answers with `{"p", "child"}`.
#[sagahost::orchestrator]
async fn rewindable_parent(ctx: OrchestratorContext, input: Rewind) -> Result<Value, Failure> {
    let count = Count { file: format!("{}/p", input.dir), once: false };
    let p: usize = ctx.activity("CountRuns", &count).await?;
    let child: Value = ctx.orchestrator("Rewindable", &input).await?;
    Ok(json!({ "p": p, "child": child }))
}
