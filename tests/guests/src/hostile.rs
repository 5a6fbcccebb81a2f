//! Activities and orchestrators that do not behave.

use std::hint::black_box;
use std::time::Duration;

use sagahost::{ActivityContext, Failure, OrchestratorContext};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::waste::{hoard, spin};

/// Panics.
#[sagahost::activity]
async fn test_trap() {
    println!("about to trap");
    panic!("TestTrap traps");
}

/// Computes and never returns.
#[sagahost::activity]
async fn test_loop() {
    spin();
}

/// Sleeps and never returns.
#[sagahost::activity]
async fn test_hang() {
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

/// Takes memory until there is no more.
#[sagahost::activity]
async fn test_memory() {
    hoard();
}

#[derive(Deserialize, JsonSchema)]
struct Bytes {
    bytes: usize,
}

/// Answers with a string of so many bytes: `{"bytes": 1000}`.
#[sagahost::activity]
async fn test_output(input: Bytes) -> String {
    "x".repeat(input.bytes)
}

/// Fails with a message of so many bytes: `{"bytes": 1000}`.
#[sagahost::activity]
async fn test_fail_output(input: Bytes) -> Result<(), Failure> {
    Err(Failure::permanent("large", "x".repeat(input.bytes)))
}

/// Writes to stdout, stderr and the log without end.
#[sagahost::activity]
async fn test_log(ctx: ActivityContext) {
    let mut line: u64 = 0;
    loop {
        line += 1;
        println!("stdout line {line}");
        eprintln!("stderr line {line}");
        sagahost::info!(ctx, "log line {line}");
    }
}

/// Calls itself until the stack is used up.
#[sagahost::activity]
async fn test_recursion() -> u64 {
    recurse(0)
}

#[derive(Deserialize, JsonSchema)]
struct Steps {
    #[serde(default)]
    steps: u32,
}

/// So many calls of TestEcho first.
async fn some_steps(ctx: &OrchestratorContext, input: Option<Steps>) -> Result<(), Failure> {
    for step in 0..input.map_or(0, |input| input.steps) {
        ctx.activity::<u32>("TestEcho", &step).await?;
    }
    Ok(())
}

/// Computes and never returns, after `{"steps": n}` calls of TestEcho (0 if no input is given).
#[sagahost::orchestrator]
async fn test_spin(ctx: OrchestratorContext, input: Option<Steps>) -> Result<(), Failure> {
    some_steps(&ctx, input).await?;
    spin();
    Ok(())
}

/// Panics, after `{"steps": n}` calls of TestEcho (0 if no input is given).
#[sagahost::orchestrator]
async fn test_orch_trap(ctx: OrchestratorContext, input: Option<Steps>) -> Result<(), Failure> {
    some_steps(&ctx, input).await?;
    panic!("TestOrchTrap traps");
}

/// Takes memory without end, after `{"steps": n}` calls of TestEcho (0 if no input is given).
#[sagahost::orchestrator]
async fn test_orch_memory(ctx: OrchestratorContext, input: Option<Steps>) -> Result<(), Failure> {
    some_steps(&ctx, input).await?;
    hoard();
    Ok(())
}

/// Calls itself until the stack is used up.
#[sagahost::orchestrator]
async fn test_orch_recursion() -> u64 {
    recurse(0)
}

/// Answers with a string of so many bytes: `{"bytes": 1000}`.
#[sagahost::orchestrator]
async fn test_orch_output(input: Bytes) -> String {
    "x".repeat(input.bytes)
}

/// Calls activities without end, and waits for none of them.
#[sagahost::orchestrator]
async fn test_orch_flood(ctx: OrchestratorContext) {
    for n in 0_u64.. {
        drop(ctx.activity::<u64>("TestEcho", &n).start());
    }
}

/// Waits for something that never comes, and is no task.
#[sagahost::orchestrator]
async fn test_orch_stuck() {
    sagahost::future::pending::<()>().await;
}

fn recurse(depth: u64) -> u64 {
    let frame = black_box([depth; 16]);
    if black_box(depth) == u64::MAX {
        return depth;
    }
    recurse(depth + 1).wrapping_add(frame[3])
}
