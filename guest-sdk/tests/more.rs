//! Children with options, detached starts, events, continue-as-new, HTTP, and
//! retries by the orchestrator's own code.
#![allow(clippy::unwrap_used)]

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use sagahost::serde_json::{Value, json};
use sagahost::testing::{Request, TestHost};
use sagahost::{Failure, HttpRequest, HttpResponse, OrchestratorContext, RetryPolicy, StepOutcome};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const SECOND: Duration = Duration::from_secs(1);

/// Tells who it is.
#[sagahost::orchestrator]
async fn who(ctx: OrchestratorContext) -> (String, Option<String>, Vec<(String, String)>) {
    (ctx.instance_id(), ctx.version(), ctx.tags().into_iter().collect())
}

type Who = (String, Option<String>, Vec<(String, String)>);

#[test]
fn children_with_options() {
    let host = TestHost::new();
    host.set_version("2");
    host.set_tag("shop", "7");
    let told = host.run(async |ctx: OrchestratorContext| {
        assert_eq!((ctx.version(), ctx.tags()["shop"].clone()), (Some("2".into()), "7".into()));
        let plain = ctx.orchestrator::<Who>("Who", &()).await?;
        let full = ctx
            .orchestrator::<Who>("Who", &())
            .id("child-1")
            .version("3")
            .tag("b", "2")
            .tag("a", "1")
            // What comes after them does not take them back.
            .undo_by_hand()
            .retry(RetryPolicy::attempts(4))
            .timeout(90 * SECOND)
            .await?;
        Ok::<_, Failure>((plain, full))
    });
    let (plain, full) = told.unwrap();
    assert_eq!(plain, ("test:0000".into(), Some("2".into()), vec![]));
    let tags = vec![("a".into(), "1".into()), ("b".into(), "2".into())];
    assert_eq!(full, ("child-1".into(), Some("3".into()), tags));
    let requests = host.requests();
    let Request::Orchestrator { id, version, tags, max_attempts, timeout_ms, .. } = &requests[1]
    else {
        panic!("{requests:?}")
    };
    assert_eq!((id.as_deref(), version.as_deref(), tags.len()), (Some("child-1"), Some("3"), 2));
    assert_eq!((*max_attempts, *timeout_ms), (Some(4), Some(90_000)));
}

#[test]
fn starts_and_events_for_others() {
    let host = TestHost::new();
    let ids = host.run_plain(async |ctx: OrchestratorContext| {
        let derived = ctx.start_orchestrator("Who", &1).start();
        let start = ctx.start_orchestrator("Who", &2).id("w-1").version("3").tag("a", "1");
        let chosen = start.start_after(2 * SECOND).start();
        ctx.send_event("w-1", "Go", &derived);
        // To itself, where it is kept.
        ctx.send_event(&ctx.instance_id(), "Go", &7);
        assert_eq!(ctx.event("Go").await, Ok(7));
        [derived, chosen]
    });
    assert_ne!(ids[0], ids[1]);
    let requests = host.requests();
    let Request::Start { name, input, id, version, tags, start_at_ms, .. } = &requests[1] else {
        panic!("{requests:?}")
    };
    assert_eq!((&**name, input, id, tags.len()), ("Who", &json!(2), &ids[1], 1));
    assert_eq!((version.as_deref(), *start_at_ms), (Some("3"), Some(1_700_000_002_000)));
    let (instance, name, input) = ("w-1".into(), "Go".into(), json!(ids[0]));
    assert_eq!(requests[2], Request::SendEvent { instance, name, input });
}

#[test]
fn events_with_a_timeout() {
    // It comes: the timer is cancelled.
    let host = TestHost::new();
    host.raise("Go", &1);
    let got = host.run(async |ctx| ctx.event::<u64>("Go").timeout(SECOND).await);
    assert_eq!(got, Ok(1));
    assert_eq!(host.requests()[2..], [Request::Cancel { task: 1 }]);
    // It does not: the wait is, and the next one gets it.
    let host = TestHost::new();
    let inner = host.clone();
    let got = host.run(async move |ctx| {
        let failure = ctx.event::<u64>("Go").timeout(SECOND).await.unwrap_err();
        assert_eq!((failure.code.as_str(), failure.retryable), ("timeout", false));
        assert_eq!(ctx.event::<u64>("Go").timeout_or(SECOND, 9).await, Ok(9));
        inner.raise("Go", &2);
        ctx.event::<u64>("Go").timeout_or(SECOND, 9).await
    });
    assert_eq!(got, Ok(2));
    let cancelled = host.requests().into_iter().filter_map(|request| match request {
        Request::Cancel { task } => Some(task),
        _ => None,
    });
    assert_eq!(cancelled.collect::<Vec<_>>(), [0, 2, 5]);
    // What does not fit is no timeout.
    let host = TestHost::new();
    host.raise("Go", "x");
    let got = host.run(async |ctx| ctx.event::<u64>("Go").timeout_or(SECOND, 9).await);
    assert_eq!(got.unwrap_err().code, "bad-output");
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Countdown {
    left: u32,
    waits: bool,
}

/// Counts down, one round for each; says what events were left to it.
#[sagahost::orchestrator]
async fn count_down(ctx: OrchestratorContext, input: Countdown) -> Result<Option<u32>, Failure> {
    ctx.activity::<()>("Tick", &input.left).compensate_with("Untick").await?;
    match input {
        Countdown { left: 0, waits } if waits => ctx.event::<u32>("Go").await.map(Some),
        Countdown { left: 0, .. } => Ok(ctx.event("Go").timeout(SECOND).await.ok()),
        Countdown { left, waits: true } => {
            ctx.continue_as_new(&Countdown { left: left - 1, waits: true })
        }
        Countdown { left, .. } => {
            ctx.continue_as_new_dropping_events(&Countdown { left: left - 1, waits: false })
        }
    }
}

#[test]
fn continue_as_new() {
    for (waits, end) in [(true, "5"), (false, "null")] {
        let host = TestHost::new();
        host.activity("Tick", |_: u32| Ok(()));
        host.activity("Untick", |_: u32| Ok(()));
        host.raise("Go", &5);
        let input = json!({"left": 2, "waits": waits}).to_string();
        assert_eq!(host.run_by_name("CountDown", &input), Ok(end.into()));
        assert!(host.undone().is_empty());
        let again = host.requests().into_iter().filter_map(|request| match request {
            Request::ContinueAsNew { input, keep_events } => Some((input, keep_events)),
            _ => None,
        });
        let again: Vec<_> = again.collect();
        let round = |left: u32| (json!({"left": left, "waits": waits}), waits);
        assert_eq!(again, [round(1), round(0)]);
    }
    // Run by itself it ends with the round, and has not failed.
    let host = TestHost::new();
    host.activity("Tick", |_: u32| Ok(()));
    host.activity("Untick", |_: u32| Ok(()));
    let round = host.run(|ctx| count_down(ctx, Countdown { left: 2, waits: true }));
    assert_eq!(round.unwrap_err().code, "host.continued-as-new");
    assert!(host.undone().is_empty());
    // What cannot be begun with is a failure.
    let no_json = std::collections::HashMap::from([((1, 2), 3)]);
    let failed = host.run(async |ctx| ctx.continue_as_new::<()>(&no_json));
    assert_eq!(failed.unwrap_err().code, "bad-input");
}

/// A host whose activity `Try` fails as told, and then goes well.
fn failing(failures: Vec<Failure>) -> TestHost {
    let host = TestHost::new();
    let mut failures = failures.into_iter();
    host.activity("Try", move |n: u32| failures.next().map_or(Ok(n), Err));
    host.activity("Untry", |_: u32| Ok(()));
    host
}

#[test]
fn retries_by_the_orchestrators_own_code() {
    let busy = || Failure::transient("busy", "not now");
    let host = failing(vec![busy(), Failure::permanent("odd", "no"), busy()]);
    let seen = Rc::new(Cell::new(0));
    let count = Rc::clone(&seen);
    let got = host.run(async move |ctx: OrchestratorContext| {
        let start = ctx.now();
        let again = |failure: &Failure, attempt: u32| {
            count.set(attempt);
            // Also what is not retryable, if it says so.
            (failure.code != "fatal").then_some(SECOND * attempt)
        };
        let value: u32 = ctx.activity("Try", &3).timeout(SECOND).retry_with(again).await?;
        Ok::<_, Failure>((value, ctx.now() - start))
    });
    assert_eq!(got, Ok((3, 6 * SECOND)));
    assert_eq!(seen.get(), 3);
    // Each try is a step of its own, and one attempt.
    let steps = host.requests().into_iter().filter_map(|request| match request {
        Request::Activity { max_attempts, timeout_ms, .. } => Some((max_attempts, timeout_ms)),
        _ => None,
    });
    assert_eq!(steps.collect::<Vec<_>>(), vec![(Some(1), Some(1000)); 4]);

    let host = failing(vec![busy(), Failure::transient("fatal", "no")]);
    let got = host.run(async |ctx| {
        let again = |failure: &Failure, _| (!failure.is("fatal")).then_some(SECOND);
        ctx.activity::<u32>("Try", &3).retry_with(again).await
    });
    assert_eq!(got.unwrap_err().code, "fatal");

    // What cannot be scheduled is not tried again.
    let no_json = std::collections::HashMap::from([((1, 2), 3)]);
    let got = host.run(async |ctx| {
        ctx.activity::<u32>("Try", &no_json).retry_with(|_, _| Some(SECOND)).await
    });
    assert_eq!(got.unwrap_err().code, "bad-input");
}

#[test]
fn each_try_has_its_own_undo() {
    let host = failing(vec![
        Failure::transient("host.timeout", "nobody knows"),
        Failure::transient("busy", "did nothing"),
    ]);
    let got = host.run(async |ctx| {
        let call = ctx.activity::<u32>("Try", &3).compensate_with("Untry");
        call.retry_with(|_, _| Some(SECOND)).await?;
        Err::<(), _>(Failure::permanent("end", "all is undone"))
    });
    assert_eq!(got.unwrap_err().code, "end");
    let outcomes: Vec<_> = host.undone().iter().map(|undo| undo.outcome).collect();
    assert_eq!(outcomes, [StepOutcome::Completed, StepOutcome::Unknown]);
}

#[test]
fn http_requests() {
    let host = TestHost::new();
    let mut attempts = 0;
    host.http(move |request| {
        attempts += 1;
        match (request.method(), attempts) {
            ("POST", 1) => Ok(HttpResponse::new(503, "busy")),
            ("POST", _) => Ok(HttpResponse::new(201, json!({"number": request.body()}))
                .with_header("Location", "/7")),
            _ => Ok(HttpResponse::new(404, "nothing")),
        }
    });
    host.activity("Free", |_: Value| Ok(()));
    let got = host.run(async |ctx: OrchestratorContext| {
        let post = HttpRequest::post("http://a.example").json(&7).retry_status([503]);
        let failure = ctx.http(post.clone()).await.unwrap_err();
        assert_eq!((failure.code.as_str(), failure.retryable), ("http.503", true));
        let call = ctx.http(post).retry(RetryPolicy::attempts(9)).timeout(SECOND);
        let answer = call.compensate_with("Free").await?;
        assert_eq!((answer.status, answer.header("location")), (201, Some("/7")));
        assert_eq!(answer.json::<Value>()?["number"], 7);
        ctx.scope().http("http://b.example").await?.error_for_status()
    });
    assert_eq!(got.unwrap_err().code, "http.404");
    assert_eq!((host.undone().len(), host.undone()[0].of.as_str()), (1, "host:http"));
    assert_eq!(host.undone()[0].input["body"], 7);
    let requests = host.requests();
    let Request::Http { request, max_attempts, timeout_ms, .. } = &requests[1] else {
        panic!("{requests:?}")
    };
    assert_eq!((request.url(), request.method()), ("http://a.example", "POST"));
    assert_eq!((*max_attempts, *timeout_ms), (Some(9), Some(1000)));
    let Request::Http { scope: 1, .. } = &requests[3] else { panic!("{requests:?}") };
}
