//! Activities that look at the world, and change it.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use sagahost::{ActivityContext, Failure};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Answers with its input.
#[sagahost::activity]
async fn test_echo(input: Value) -> Value {
    input
}

#[derive(Deserialize, JsonSchema)]
struct Count {
    /// Print `line n` as well.
    #[serde(default)]
    print: bool,
    /// Fail this time.
    #[serde(default)]
    fail: bool,
    /// Trap this time.
    #[serde(default)]
    trap: bool,
    /// Never answer.
    #[serde(default)]
    hang: bool,
}

/// Answers how many attempts its instance has served, this one included.
#[sagahost::activity]
async fn test_count(input: Count) -> Result<u32, Failure> {
    static SERVED: AtomicU32 = AtomicU32::new(0);
    let served = SERVED.fetch_add(1, Ordering::Relaxed) + 1;
    if input.print {
        println!("line {served}");
    }
    assert!(!input.trap, "TestCount traps");
    if input.hang {
        loop {
            std::thread::sleep(Duration::from_secs(3600));
        }
    }
    match input.fail {
        true => Err(Failure::permanent("failed", served)),
        false => Ok(served),
    }
}

fn failed() -> String {
    "failed".to_owned()
}

#[derive(Deserialize, JsonSchema)]
struct FailInput {
    #[serde(default = "failed")]
    code: String,
    #[serde(default = "failed")]
    message: String,
    #[serde(default)]
    details: Option<Value>,
    #[serde(default)]
    retryable: bool,
}

/// Fails: `{"code", "message", "details", "retryable"}`, each with a default.
#[sagahost::activity]
async fn test_fail(input: FailInput) -> Result<(), Failure> {
    let FailInput { code, message, details, retryable } = input;
    Err(Failure { code, message, details, retryable })
}

#[derive(Deserialize, JsonSchema)]
struct Flaky {
    failures: u32,
}

/// Fails, retryably, on the first `{"failures": n}` attempts; answers with the number of the attempt that went well.
#[sagahost::activity]
async fn test_flaky(ctx: ActivityContext, input: Flaky) -> Result<u32, Failure> {
    let attempt = ctx.attempt();
    if attempt <= input.failures {
        return Err(Failure::transient(
            "flaky",
            format_args!("attempt {attempt} of {} that fail", input.failures),
        ));
    }
    Ok(attempt)
}

/// Traps on the first `{"failures": n}` attempts; answers with the number of the attempt that went well.
#[sagahost::activity]
async fn test_flaky_trap(ctx: ActivityContext, input: Flaky) -> u32 {
    assert!(ctx.attempt() > input.failures, "TestFlakyTrap traps");
    ctx.attempt()
}

/// Answers with all environment variables.
#[sagahost::activity]
async fn test_env() -> BTreeMap<String, String> {
    std::env::vars().collect()
}

#[derive(Deserialize, JsonSchema)]
struct Path {
    path: String,
}

/// Answers with the names in the directory `{"path"}`, sorted.
#[sagahost::activity]
async fn test_read_dir(input: Path) -> Result<Vec<String>, Failure> {
    let mut names = Vec::new();
    for entry in fs::read_dir(input.path)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// Answers with the content of the file `{"path"}`.
#[sagahost::activity]
async fn test_read_file(input: Path) -> Result<String, Failure> {
    Ok(fs::read_to_string(input.path)?)
}

#[derive(Deserialize, JsonSchema)]
struct PathAndContent {
    path: String,
    content: String,
}

/// Writes a file: `{"path", "content"}`.
#[sagahost::activity]
async fn test_write_file(input: PathAndContent) -> Result<(), Failure> {
    Ok(fs::write(input.path, input.content)?)
}

#[derive(Deserialize, JsonSchema)]
struct Url {
    url: String,
    #[serde(default)]
    method: Option<String>,
    #[serde(default)]
    body: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct Page {
    status: u16,
    body: String,
}

/// Makes an HTTP request, `{"url"}`, and if given `method` and `body`; answers with `{"status", "body"}`.
#[sagahost::activity]
async fn test_http_get(input: Url) -> Result<Page, Failure> {
    let Url { url, method, body } = input;
    http(&url, method.as_deref().unwrap_or("GET"), body.unwrap_or_default()).await
}

#[cfg(target_arch = "wasm32")]
async fn http(url: &str, method: &str, body: String) -> Result<Page, Failure> {
    use sagahost::OrFail;
    use sagahost::http::{Body, Client, Request};

    let request = Request::builder()
        .method(method)
        .uri(url)
        .body(Body::from(body))
        .or_fail_for_good("bad-url")?;
    let mut response = Client::new().send(request).await?;
    let status = response.status().as_u16();
    let body = response.body_mut().str_contents().await?.to_owned();
    Ok(Page { status, body })
}

#[cfg(not(target_arch = "wasm32"))]
async fn http(_: &str, _: &str, _: String) -> Result<Page, Failure> {
    Err(Failure::permanent("http", "only in wasm"))
}

/// Connects to `{"url"}`, which is `host:port`, over TCP.
#[sagahost::activity]
async fn test_tcp_connect(input: Url) -> Result<(), Failure> {
    std::net::TcpStream::connect(input.url)?;
    Ok(())
}

/// Answers with 16 random bytes, as hex.
#[sagahost::activity]
async fn test_random() -> Result<String, Failure> {
    crate::determinism::random_hex()
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Clock {
    unix_ms: u64,
}

/// Answers with the time: `{"unixMs"}`.
#[sagahost::activity]
async fn test_clock() -> Result<Clock, Failure> {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_err(|error| error.to_string())?;
    Ok(Clock { unix_ms: u64::try_from(since.as_millis())? })
}

#[derive(Deserialize, JsonSchema)]
struct Ms {
    ms: u64,
}

/// Sleeps for `{"ms"}`, and answers with it.
#[sagahost::activity]
async fn test_sleep(input: Ms) -> u64 {
    std::thread::sleep(Duration::from_millis(input.ms));
    input.ms
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Context {
    instance_id: String,
    step: u32,
    attempt: u32,
    idempotency_key: String,
    deadline_ms: u64,
    trace_parent: Option<String>,
    is_undo: bool,
}

/// Answers with all an activity is told about itself.
#[sagahost::activity]
async fn test_context(ctx: ActivityContext) -> Context {
    Context {
        instance_id: ctx.instance_id(),
        step: ctx.step(),
        attempt: ctx.attempt(),
        idempotency_key: ctx.idempotency_key(),
        deadline_ms: ctx.deadline().as_millis(),
        trace_parent: ctx.trace_parent(),
        is_undo: ctx.is_undo(),
    }
}

#[derive(Deserialize, JsonSchema)]
struct Print {
    #[serde(default)]
    stdout: String,
    #[serde(default)]
    stderr: String,
    #[serde(default)]
    log: Option<String>,
}

/// Writes `{"stdout", "stderr", "log"}` to where they say.
#[sagahost::activity]
async fn test_print(ctx: ActivityContext, input: Print) {
    print!("{}", input.stdout);
    eprint!("{}", input.stderr);
    if let Some(line) = input.log {
        ctx.log_info(line);
    }
}

fn no_delay() -> u64 {
    0
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Effect {
    dir: String,
    id: String,
    #[serde(default = "no_delay")]
    sleep_ms: u64,
}

#[derive(Serialize, JsonSchema)]
struct EffectDone {
    created: bool,
    attempts: usize,
}

/// Does something once per idempotency key: creates the file `<dir>/<id>.<key>` unless it is there, and adds a line to
/// it for each attempt.
///
/// Takes `{"dir", "id"}` and, to be killed in the middle, `sleepMs`; answers
/// with `{"created", "attempts"}`. In the key, what is not a letter, digit or
/// `-` is `_`.
#[sagahost::activity]
async fn test_unique_effect(ctx: ActivityContext, input: Effect) -> Result<EffectDone, Failure> {
    let key: String = ctx
        .idempotency_key()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' })
        .collect();
    let path = format!("{}/{}.{key}", input.dir, input.id);
    let created = fs::File::create_new(&path).is_ok();
    let mut file = fs::OpenOptions::new().append(true).open(&path)?;
    file.write_all(
        format!("attempt {} of {} {}\n", ctx.attempt(), ctx.instance_id(), ctx.step()).as_bytes(),
    )?;
    std::thread::sleep(Duration::from_millis(input.sleep_ms));
    let attempts = fs::read_to_string(&path)?.lines().count();
    Ok(EffectDone { created, attempts })
}
