//! Orchestrators for the tests of the host.

use std::time::Duration;

use sagahost::stream::{FuturesUnordered, StreamExt};
use sagahost::{
    ActivityCall, Failure, LogLevel, OrchestratorContext, RetryPolicy, Timestamp, future, select,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A retry policy; what is not given has the SDK's default.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Retry {
    max_attempts: Option<u32>,
    first_interval_ms: Option<u64>,
    backoff: Option<f64>,
    max_interval_ms: Option<u64>,
    total_time_ms: Option<u64>,
    jitter: Option<f64>,
    #[serde(default)]
    do_not_retry: Vec<String>,
}

impl Retry {
    pub(crate) fn policy(self) -> RetryPolicy {
        let mut policy = match self.max_attempts {
            Some(max_attempts) => RetryPolicy::attempts(max_attempts),
            None => RetryPolicy::default(),
        };
        if let Some(ms) = self.first_interval_ms {
            policy = policy.first_interval(Duration::from_millis(ms));
        }
        if let Some(backoff) = self.backoff {
            policy = policy.backoff(backoff);
        }
        if let Some(ms) = self.max_interval_ms {
            policy = policy.max_interval(Duration::from_millis(ms));
        }
        if let Some(ms) = self.total_time_ms {
            policy = policy.total_time(Duration::from_millis(ms));
        }
        if let Some(jitter) = self.jitter {
            policy = policy.jitter(jitter);
        }
        policy.do_not_retry(self.do_not_retry)
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Call {
    activity: String,
    #[serde(default)]
    input: Value,
    retry: Option<Retry>,
    timeout_ms: Option<u64>,
}

impl Call {
    fn prepare(self, ctx: &OrchestratorContext) -> ActivityCall<Value> {
        let mut call = ctx.activity(&self.activity, &self.input);
        if let Some(retry) = self.retry {
            call = call.retry(retry.policy());
        }
        if let Some(ms) = self.timeout_ms {
            call = call.timeout(Duration::from_millis(ms));
        }
        call
    }
}

/// Calls one activity: `{"activity", "input", "retry": {"maxAttempts", ...}, "timeoutMs"}`; ends as it does.
#[sagahost::orchestrator]
async fn test_call_one(ctx: OrchestratorContext, input: Call) -> Result<Value, Failure> {
    input.prepare(&ctx).await
}

/// Calls one activity, as TestCallOne; answers with `{"ok": value}` or `{"failure": {...}}`.
#[sagahost::orchestrator]
async fn test_catch(ctx: OrchestratorContext, input: Call) -> Value {
    match input.prepare(&ctx).await {
        Ok(value) => json!({ "ok": value }),
        Err(failure) => json!({ "failure": {
            "code": failure.code,
            "message": failure.message,
            "details": failure.details,
            "retryable": failure.retryable,
        }}),
    }
}

/// Calls one activity, as TestCallOne, and ends without waiting for it.
#[sagahost::orchestrator]
async fn test_forget(ctx: OrchestratorContext, input: Call) {
    drop(input.prepare(&ctx).start());
}

#[derive(Deserialize, JsonSchema)]
struct Many {
    activity: String,
    count: u32,
    input: Option<Value>,
}

impl Many {
    fn call(&self, ctx: &OrchestratorContext, index: u32) -> ActivityCall<Value> {
        match &self.input {
            Some(input) => ctx.activity(&self.activity, input),
            None => ctx.activity(&self.activity, &index),
        }
    }
}

/// Calls an activity so many times, one after the other: `{"activity", "count", "input"}`; without `input` each gets
/// its index. Answers with the last output.
#[sagahost::orchestrator]
async fn test_sequence(ctx: OrchestratorContext, input: Many) -> Result<Value, Failure> {
    let mut last = Value::Null;
    for index in 0..input.count {
        last = input.call(&ctx, index).await?;
    }
    Ok(last)
}

/// Calls an activity so many times at once: `{"activity", "count", "input"}`; without `input` each gets its index.
/// Answers with the outputs in order.
#[sagahost::orchestrator]
async fn test_parallel(ctx: OrchestratorContext, input: Many) -> Result<Vec<Value>, Failure> {
    let tasks: Vec<_> = (0..input.count).map(|index| input.call(&ctx, index).start()).collect();
    future::join_all(tasks).await.into_iter().collect()
}

#[derive(Deserialize, JsonSchema)]
struct Names {
    names: Vec<String>,
}

/// Waits for the events `{"names": [...]}` one after the other; answers with their values.
#[sagahost::orchestrator]
async fn test_wait_events(ctx: OrchestratorContext, input: Names) -> Result<Vec<Value>, Failure> {
    let mut values = Vec::new();
    for name in &input.names {
        values.push(ctx.event(name).await?);
    }
    Ok(values)
}

/// Waits for the first of the events `{"names": [...]}`; answers with `{"name", "value"}`.
#[sagahost::orchestrator]
async fn test_any_event(ctx: OrchestratorContext, input: Names) -> Result<Value, Failure> {
    if input.names.is_empty() {
        return Err(Failure::permanent("bad-input", "no names"));
    }
    let waits: Vec<_> = input.names.iter().map(|name| ctx.event::<Value>(name)).collect();
    let (value, index, _) = future::select_all(waits).await;
    Ok(json!({ "name": input.names[index], "value": value? }))
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Rounds {
    name: String,
    timeout_ms: u64,
    rounds: u32,
}

/// Waits so many times for an event, each time not longer than so long: `{"name", "timeoutMs", "rounds"}`. Answers with
/// the values, null where none came in time.
#[sagahost::orchestrator]
async fn test_event_timeouts(
    ctx: OrchestratorContext,
    input: Rounds,
) -> Result<Vec<Value>, Failure> {
    let mut values = Vec::new();
    for _ in 0..input.rounds {
        let mut event = ctx.event::<Value>(&input.name);
        let mut timeout = ctx.timer(Duration::from_millis(input.timeout_ms));
        values.push(select! {
            value = event => value?,
            () = timeout => Value::Null,
        });
    }
    Ok(values)
}

#[derive(Deserialize, JsonSchema)]
struct Timers {
    ms: Vec<u64>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct TimersFired {
    order: Vec<usize>,
    after_ms: Vec<u64>,
}

/// Starts timers of `{"ms": [...]}` at once; answers with the indexes in the order in which they fired, and the
/// orchestration's time after each, counted from its start: `{"order", "afterMs"}`.
#[sagahost::orchestrator]
async fn test_timers(ctx: OrchestratorContext, input: Timers) -> TimersFired {
    let start = ctx.now();
    let mut timers: FuturesUnordered<_> = FuturesUnordered::new();
    for (index, ms) in input.ms.into_iter().enumerate() {
        let timer = ctx.timer_until(Timestamp::from_millis(start.as_millis().saturating_add(ms)));
        timers.push(async move {
            timer.await;
            index
        });
    }
    let mut fired = TimersFired { order: Vec::new(), after_ms: Vec::new() };
    while let Some(index) = timers.next().await {
        fired.order.push(index);
        fired.after_ms.push(u64::try_from((ctx.now() - start).as_millis()).unwrap_or(u64::MAX));
    }
    fired
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Drawn {
    uuids: Vec<String>,
    randoms: Vec<String>,
    now_ms: Vec<u64>,
    instance_id: String,
}

/// Draws UUIDs, random numbers and the time, three times with a call of TestEcho in between; answers with all of them.
#[sagahost::orchestrator]
async fn test_uuids(ctx: OrchestratorContext) -> Result<Drawn, Failure> {
    let mut drawn =
        Drawn { uuids: vec![], randoms: vec![], now_ms: vec![], instance_id: ctx.instance_id() };
    for _ in 0..3 {
        let uuid = ctx.new_uuid().to_string();
        drawn.randoms.push(format!("{:016x}", ctx.random_u64()));
        drawn.now_ms.push(ctx.now().as_millis());
        ctx.activity::<Value>("TestEcho", &uuid).await?;
        drawn.uuids.push(uuid);
    }
    Ok(drawn)
}

/// Sets the custom status to `{"step": n}` and writes a line at each level, three times with a call of TestEcho in
/// between. Answers with nothing.
#[sagahost::orchestrator]
async fn test_status_and_log(ctx: OrchestratorContext) -> Result<(), Failure> {
    for step in 0..3 {
        ctx.set_custom_status(&json!({ "step": step }));
        for level in [LogLevel::Debug, LogLevel::Info, LogLevel::Warn, LogLevel::Error] {
            ctx.log(level, format_args!("step {step} at {level:?}"));
        }
        println!("stdout of step {step}");
        ctx.activity::<Value>("TestEcho", &step).await?;
    }
    Ok(())
}

#[derive(Deserialize, JsonSchema)]
struct Race {
    a: u64,
    b: u64,
}

/// Calls TestSleep twice at once, with `{"a": ms, "b": ms}`; answers with the name of the one that was first.
#[sagahost::orchestrator]
async fn test_first(ctx: OrchestratorContext, input: Race) -> Result<&'static str, Failure> {
    let mut a = ctx.activity::<u64>("TestSleep", &json!({ "ms": input.a })).start();
    let mut b = ctx.activity::<u64>("TestSleep", &json!({ "ms": input.b })).start();
    select! {
        done = a => done.map(|_| "a"),
        done = b => done.map(|_| "b"),
    }
}

/// Calls TestEcho, waits for the event `Go`, calls TestEcho again and answers `original`. Built with the feature
/// `changed` it calls TestSleep first instead, and answers `changed`.
#[sagahost::orchestrator]
async fn test_versioned(ctx: OrchestratorContext) -> Result<&'static str, Failure> {
    let version = if cfg!(feature = "changed") { "changed" } else { "original" };
    if cfg!(feature = "changed") {
        ctx.activity::<Value>("TestSleep", &json!({ "ms": 0 })).await?;
    } else {
        ctx.activity::<Value>("TestEcho", &"first").await?;
    }
    ctx.event::<Value>("Go").await?;
    ctx.activity::<Value>("TestEcho", &version).await?;
    Ok(version)
}

/// Answers with what it is given, whatever that is.
#[sagahost::orchestrator]
async fn test_orch_echo(input: Value) -> Value {
    input
}

/// Answers with the text it is given.
#[sagahost::orchestrator]
async fn test_orch_text(input: String) -> String {
    input
}

/// Takes nothing and does nothing.
#[sagahost::orchestrator]
async fn test_orch_nothing() {}
