//! Orchestrators that start others, and what these are.

use std::collections::BTreeMap;
use std::time::Duration;

use sagahost::{Failure, HttpRequest, HttpResponse, OrchestratorContext, RetryPolicy, future};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::lines::Count;
use crate::orchestrators::Retry;

#[derive(Serialize, Deserialize, JsonSchema)]
struct Depth {
    depth: u32,
}

/// Calls itself as a child, `{"depth"}` deep; answers with how many there were below it.
#[sagahost::orchestrator]
async fn chain(ctx: OrchestratorContext, input: Depth) -> Result<u32, Failure> {
    match input.depth {
        0 => Ok(0),
        depth => Ok(1 + ctx.orchestrator::<u32>("Chain", &Depth { depth: depth - 1 }).await?),
    }
}

#[derive(Deserialize, JsonSchema)]
struct Family {
    children: u32,
    #[serde(default)]
    wait: bool,
    /// What the children's ids begin with; `-0` and so on follow. Without it
    /// the host chooses.
    #[serde(default)]
    ids: Option<String>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct LeafInput {
    #[serde(default)]
    number: u32,
    #[serde(default)]
    wait: bool,
}

/// Starts so many children Leaf at once: `{"children", "wait", "ids"}`; answers with how many of them completed.
#[sagahost::orchestrator]
async fn parent(ctx: OrchestratorContext, input: Family) -> usize {
    let children = (0..input.children).map(|number| {
        let leaf = LeafInput { number, wait: input.wait };
        let call = ctx.orchestrator::<u32>("Leaf", &leaf).tag("number", number.to_string());
        match &input.ids {
            Some(ids) => call.id(format!("{ids}-{number}")),
            None => call,
        }
    });
    future::join_all(children).await.iter().filter(|child| child.is_ok()).count()
}

/// Answers with its number, `{"number", "wait"}`; if it is to wait, once the event `go` is there.
#[sagahost::orchestrator]
async fn leaf(ctx: OrchestratorContext, input: LeafInput) -> Result<u32, Failure> {
    if input.wait {
        ctx.event::<Value>("go").await?;
    }
    Ok(input.number)
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Failing {
    /// Where CountRuns counts how often the child was started.
    file: String,
    /// How many of them fail.
    failures: usize,
}

/// Counts in a file how often it was started, and fails, retryably, the first times: `{"file", "failures"}`. Answers
/// with the count.
#[sagahost::orchestrator]
async fn failing_child(ctx: OrchestratorContext, input: Failing) -> Result<usize, Failure> {
    let count = Count { file: input.file, once: true };
    let starts: usize = ctx.activity("CountRuns", &count).await?;
    match starts > input.failures {
        true => Ok(starts),
        false => Err(Failure::transient("not-yet", format!("start {starts}"))),
    }
}

fn three() -> u32 {
    3
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Retried {
    #[serde(flatten)]
    child: Failing,
    /// The child's instance id.
    id: String,
    #[serde(default = "three")]
    max_attempts: u32,
}

/// Calls FailingChild under an id, and again if it fails: `{"file", "failures", "id", "maxAttempts"}`, the last one 3
/// if it is not given. Answers as the child does.
#[sagahost::orchestrator]
async fn retry_child(ctx: OrchestratorContext, input: Retried) -> Result<usize, Failure> {
    let policy = RetryPolicy::attempts(input.max_attempts)
        .first_interval(Duration::from_millis(5))
        .jitter(0.0);
    ctx.orchestrator("FailingChild", &input.child).id(input.id).retry(policy).await
}

fn leaf_name() -> String {
    "Leaf".to_owned()
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Detached {
    #[serde(default = "leaf_name")]
    name: String,
    #[serde(default)]
    input: Value,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    version: Option<String>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    #[serde(default)]
    start_after_ms: Option<u64>,
    #[serde(default)]
    event: Option<EventFor>,
}

#[derive(Deserialize, JsonSchema)]
struct EventFor {
    instance: String,
    name: String,
    #[serde(default)]
    value: Value,
}

/// Starts an orchestration that it does not wait for, sends an event to another one, and answers with the id of the
/// first: `{"name", "input", "id", "version", "tags", "startAfterMs", "event": {"instance", "name", "value"}}`, all of
/// which can be left out; the name is then Leaf.
#[sagahost::orchestrator]
async fn detacher(ctx: OrchestratorContext, input: Detached) -> String {
    let mut start = ctx.start_orchestrator(&input.name, &input.input);
    if let Some(id) = input.id {
        start = start.id(id);
    }
    if let Some(version) = input.version {
        start = start.version(version);
    }
    for (word, value) in input.tags {
        start = start.tag(word, value);
    }
    if let Some(ms) = input.start_after_ms {
        start = start.start_after(Duration::from_millis(ms));
    }
    let id = start.start();
    if let Some(event) = input.event {
        ctx.send_event(&event.instance, &event.name, &event.value);
    }
    id
}

#[derive(Serialize, JsonSchema)]
struct Told {
    version: Option<String>,
    tags: BTreeMap<String, String>,
}

/// Answers with what it was started with: `{"version", "tags"}`.
#[sagahost::orchestrator]
async fn versioned(ctx: OrchestratorContext) -> Told {
    Told { version: ctx.version(), tags: ctx.tags() }
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct HttpInput {
    /// The request, as in the contract.
    request: Value,
    #[serde(default)]
    retry: Option<Retry>,
    #[serde(default)]
    timeout_ms: Option<u64>,
    /// The activity that undoes it.
    #[serde(default)]
    undo: Option<String>,
    /// Whether it fails afterwards, with `ended`.
    #[serde(default)]
    fail: bool,
}

/// Makes an HTTP request as a step, `{"request", "retry", "timeoutMs", "undo", "fail"}`; answers with the response.
#[sagahost::orchestrator]
async fn http_caller(ctx: OrchestratorContext, input: HttpInput) -> Result<Value, Failure> {
    let request: HttpRequest = serde_json::from_value(input.request)
        .map_err(|error| Failure::permanent("bad-input", format!("request: {error}")))?;
    let mut call = ctx.http(request);
    if let Some(retry) = input.retry {
        call = call.retry(retry.policy());
    }
    if let Some(ms) = input.timeout_ms {
        call = call.timeout(Duration::from_millis(ms));
    }
    if let Some(undo) = input.undo {
        call = call.compensate_with(undo);
    }
    let response: HttpResponse = call.await?;
    match input.fail {
        true => Err(Failure::permanent("ended", "it was to fail")),
        false => Ok(serde_json::to_value(response)?),
    }
}
