//! Undo on the host in memory, and what the calls say of it.
#![allow(clippy::unwrap_used)]

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use sagahost::serde_json::{Value, json};
use sagahost::testing::{Request, TestHost, UndoRequest};
use sagahost::{
    Compensation, Failure, OrchestratorContext, RetryPolicy, StepOutcome, UndoWhen, future, join,
    try_join,
};

/// A host with activities `Do`, which fails for `no` and leaves open what it
/// did for `lost`, and `Undo`. `Do` names `Undo`, and `Plain` is the same
/// without.
fn host() -> TestHost {
    let host = TestHost::new();
    for name in ["Do", "Plain"] {
        host.activity(name, |what: String| match what.as_str() {
            "no" => Err(Failure::permanent("no", "it did nothing")),
            "lost" => Err(Failure::transient("host.timeout", "nobody knows")),
            _ => Ok(what),
        });
    }
    host.activity("Undo", |_: Value| Ok(()));
    host.declare_undo("Do", "Undo");
    host
}

/// The inputs of the undos that were done, in order.
fn undone(host: &TestHost) -> Vec<String> {
    host.undone().iter().map(|undo| undo.input.as_str().unwrap_or("?").to_owned()).collect()
}

const NOTHING: [&str; 0] = [];

fn fail<T>() -> Result<T, Failure> {
    Err(Failure::permanent("end", "it fails"))
}

async fn step(ctx: &OrchestratorContext, what: &str) -> Result<String, Failure> {
    ctx.activity("Do", what).await
}

/// Each request as its name and scope, and whether it is a pivot.
fn asked(host: &TestHost) -> Vec<(String, u32, bool)> {
    let asked = host.requests().into_iter().filter_map(|request| match request {
        Request::Activity { name, scope, pivot, .. }
        | Request::Orchestrator { name, scope, pivot, .. } => Some((name, scope, pivot)),
        _ => None,
    });
    asked.collect()
}

#[test]
fn a_failure_undoes_what_was_done_in_reverse() {
    let host = host();
    let result = host.run(async |ctx| {
        step(&ctx, "a").await?;
        ctx.activity::<String>("Plain", "b").await?;
        step(&ctx, "c").await?;
        fail::<()>()
    });
    assert_eq!(result.unwrap_err().code, "end");
    assert_eq!(undone(&host), ["c", "a"]);
    let first = &host.undone()[0];
    assert_eq!((&*first.name, &*first.of, first.step), ("Undo", "Do", 2));
    assert_eq!((first.outcome, &*first.instance), (StepOutcome::Completed, "test"));
}

#[test]
fn a_success_undoes_nothing() {
    let host = host();
    assert!(host.run(async |ctx| step(&ctx, "a").await).is_ok());
    assert_eq!(undone(&host), NOTHING);
    // And is not undone by what comes after it.
    assert!(host.run(async |ctx| step(&ctx, "no").await).is_err());
    assert_eq!(undone(&host), NOTHING);
}

#[test]
fn a_failure_says_that_nothing_was_done_and_a_timeout_does_not() {
    let host = host();
    host.run(async |ctx| {
        let _ = step(&ctx, "no").await;
        step(&ctx, "lost").await
    })
    .unwrap_err();
    assert_eq!(undone(&host), ["lost"]);
    assert_eq!(host.undone()[0].outcome, StepOutcome::Unknown);
}

#[test]
fn which_ends_are_undone_can_be_said() {
    for (when, expected) in [
        (Compensation::new("Undo"), &["lost", "yes"][..]),
        (Compensation::new("Undo").always(), &["lost", "no", "yes"]),
        (Compensation::new("Undo").only_completed(), &["yes"]),
    ] {
        let host = host();
        host.run(async |ctx| {
            for what in ["yes", "no", "lost"] {
                let call = ctx.activity::<String>("Plain", what);
                let _ = call.compensate_with(when.clone()).await;
            }
            fail::<()>()
        })
        .unwrap_err();
        assert_eq!(undone(&host), expected);
    }
}

#[test]
fn a_call_goes_before_what_its_activity_says() {
    let host = host();
    host.activity("Other", |_: Value| Ok(()));
    host.run(async |ctx| {
        ctx.activity::<String>("Do", "a").compensate_with("Other").await?;
        ctx.activity::<String>("Do", "b").undo_by_hand().await?;
        let free = Compensation::new("Other".to_owned()).input(&"d");
        ctx.activity::<String>("Do", "c").undo_by_hand().compensate_with(free).await?;
        fail::<()>()
    })
    .unwrap_err();
    assert_eq!(undone(&host), ["d", "a"]);
    assert_eq!(host.undone()[0].name, "Other");
}

#[test]
fn what_a_call_says_reaches_the_host() {
    let host = host();
    host.run(async |ctx| {
        ctx.activity::<String>("Do", "a").await?;
        let compensation = Compensation::new("Undo")
            .input(&json!({"n": 1}))
            .retry(RetryPolicy::attempts(4))
            .timeout(Duration::from_millis(1_500))
            .always();
        ctx.activity::<String>("Do", "b").pivot().compensate_with(compensation).await
    })
    .unwrap();
    let requests = host.requests();
    let Request::Activity { undo: UndoRequest::Declared, scope: 0, pivot: false, .. } = requests[0]
    else {
        panic!("{requests:?}")
    };
    let Request::Activity { undo, pivot: true, .. } = &requests[1] else { panic!("{requests:?}") };
    let UndoRequest::With { name, input, max_attempts, timeout_ms, when, .. } = undo else {
        panic!("{undo:?}")
    };
    assert_eq!((&**name, input), ("Undo", &Some(json!({"n": 1}))));
    assert_eq!((*max_attempts, *timeout_ms), (Some(4), Some(1_500)));
    assert_eq!(*when, UndoWhen::Always);
}

#[test]
fn a_compensation_that_cannot_be_written_fails_its_call() {
    let host = host();
    host.run_plain(async |ctx| {
        let no_json = std::collections::HashMap::from([((1, 2), 3)]);
        let bad = || Compensation::new("Undo").input(&no_json);
        let call = ctx.activity::<String>("Do", "a").compensate_with(bad());
        let failure = call.await.unwrap_err();
        assert_eq!((&*failure.code, failure.retryable), ("bad-input", false));
        let call = ctx.orchestrator::<String>("Child", "a").compensate_with(bad());
        assert_eq!(call.start().await.unwrap_err().code, "bad-input");
        // What is said last counts.
        let call = ctx.activity::<String>("Do", "a").compensate_with(bad()).undo_by_hand();
        assert_eq!(call.await, Ok("a".to_owned()));
    });
    assert_eq!(host.requests().len(), 1);
}

#[test]
fn a_step_whose_undo_is_not_there_does_not_begin() {
    let host = host();
    host.declare_undo("Plain", "Nowhere");
    let failure =
        host.run(async |ctx| ctx.activity::<String>("Plain", "a").await).expect_err("no undo");
    assert_eq!(failure.code, "host.not-started");
    assert!(failure.message.contains("\"Nowhere\""), "{failure}");
}

#[test]
fn a_step_that_still_runs_is_undone_and_one_that_has_not_begun_is_not() {
    let host = host();
    host.run(async |ctx| try_join!(step(&ctx, "no"), step(&ctx, "other"))).unwrap_err();
    assert_eq!(undone(&host), ["other"]);
    assert_eq!(host.undone()[0].outcome, StepOutcome::Unknown);

    let host = self::host();
    host.run(async |ctx| {
        drop(ctx.activity::<String>("Do", "never").start());
        fail::<()>()
    })
    .unwrap_err();
    assert_eq!(undone(&host), NOTHING);
}

#[test]
fn to_return_while_a_step_runs_that_would_be_undone_is_a_failure() {
    let host = host();
    let failure = host.run(async |ctx| {
        step(&ctx, "a").await?;
        let (b, c) = (ctx.activity::<String>("Do", "b"), ctx.activity::<String>("Do", "c"));
        future::select(b, c).await;
        Ok::<_, Failure>(())
    });
    assert_eq!(failure.unwrap_err().code, "host.steps-open");
    assert_eq!(undone(&host), ["c", "b", "a"]);
    // One that nobody would undo may run on.
    let result = host.run(async |ctx| {
        drop(ctx.activity::<String>("Plain", "b").start());
        Ok::<_, Failure>(())
    });
    assert_eq!(result, Ok(()));
}

#[test]
fn an_undo_is_repeated_until_it_is_done() {
    let host = host();
    let attempts = Rc::new(RefCell::new(0));
    let counted = Rc::clone(&attempts);
    host.activity("Undo", move |_: Value| {
        *counted.borrow_mut() += 1;
        match *counted.borrow() {
            1..=5 => Err(Failure::transient("busy", "not now")),
            _ => Ok(()),
        }
    });
    host.run(async |ctx| {
        step(&ctx, "a").await?;
        fail::<()>()
    })
    .unwrap_err();
    assert_eq!((*attempts.borrow(), undone(&host)), (6, vec!["a".to_owned()]));
}

#[test]
#[should_panic(
    expected = "the saga is stuck: Undo, which is to undo step 0 (Do), failed in attempt 1"
)]
fn an_undo_that_fails_for_good_is_stuck() {
    let host = host();
    host.activity("Undo", |_: Value| fail::<()>());
    let _ = host.run(async |ctx| {
        step(&ctx, "a").await?;
        fail::<()>()
    });
}

#[test]
fn a_scope_is_undone_by_itself() {
    let host = host();
    let result = host.run(async |ctx| {
        step(&ctx, "a").await?;
        let scope = ctx.scope();
        scope.undo_in_parallel();
        scope.activity::<String>("Do", "b").await?;
        let inner = scope.scope();
        inner.activity::<String>("Do", "c").await?;
        scope.activity::<String>("Do", "d").await?;
        let compensation = scope.clone().compensate();
        step(&ctx, "e").await?;
        compensation.await?;
        // It can be used again.
        scope.activity::<String>("Do", "f").await
    });
    assert_eq!(result, Ok("f".to_owned()));
    assert_eq!(undone(&host), ["d", "c", "b"]);
    let scopes: Vec<_> = asked(&host).into_iter().map(|(_, scope, _)| scope).collect();
    assert_eq!(scopes, [0, 1, 2, 1, 0, 1]);
    let requests = host.requests();
    assert_eq!(requests[1], Request::Scope { parent: 0 });
    assert_eq!(requests[2], Request::UndoInParallel { scope: 1 });
    assert_eq!(requests[4], Request::Scope { parent: 1 });
    // When it was awaited, after `e`.
    assert_eq!(requests[8], Request::Compensate { scope: 1 });
}

#[test]
fn a_scope_is_undone_with_the_saga_where_it_was_opened() {
    let host = host();
    host.run(async |ctx| {
        step(&ctx, "a").await?;
        let scope = ctx.scope();
        step(&ctx, "b").await?;
        scope.activity::<String>("Do", "c").await?;
        fail::<()>()
    })
    .unwrap_err();
    assert_eq!(undone(&host), ["b", "c", "a"]);
}

#[test]
fn the_whole_saga_can_be_undone_and_goes_on() {
    let host = host();
    let result = host.run(async |ctx| {
        ctx.undo_in_parallel();
        let ends = join!(step(&ctx, "a"), step(&ctx, "no"));
        assert!(ends.0.is_ok() && ends.1.is_err());
        let going = ctx.compensate().start();
        step(&ctx, "b").await?;
        going.await?;
        Ok::<_, Failure>(false)
    });
    assert_eq!(result, Ok(false));
    // What came after it stays.
    assert_eq!(undone(&host), ["a"]);
    assert_eq!(host.requests()[0], Request::UndoInParallel { scope: 0 });
}

#[test]
fn what_runs_in_a_scope_is_ended() {
    let host = host();
    host.run_plain(async |ctx| {
        let scope = ctx.scope();
        let undoing = async {
            ctx.activity::<String>("Plain", "a").await.unwrap();
            // In one turn with the undo.
            let not_begun = scope.activity::<String>("Do", "c").start();
            assert_eq!(scope.compensate().await, Ok(()));
            assert_eq!(not_begun.await.unwrap_err().code, "host.not-started");
        };
        let ((), ended) = join!(undoing, scope.activity::<String>("Do", "b"));
        assert_eq!(ended.unwrap_err().code, "host.cancelled");
    });
    assert_eq!(undone(&host), ["b"]);
}

#[test]
fn the_pivot_drops_the_undos() {
    let host = host();
    let result = host.run(async |ctx| {
        step(&ctx, "a").await?;
        ctx.activity::<String>("Do", "b").pivot().await?;
        step(&ctx, "c").await?;
        ctx.compensate().await?;
        Ok::<_, Failure>(())
    });
    assert_eq!(result, Ok(()));
    assert_eq!(undone(&host), NOTHING);
    let pivots: Vec<_> = asked(&host).into_iter().map(|(_, _, pivot)| pivot).collect();
    assert_eq!(pivots, [false, true, false]);
}

#[test]
fn a_pivot_that_fails_is_not_passed() {
    let host = host();
    host.run(async |ctx| {
        step(&ctx, "a").await?;
        ctx.activity::<String>("Do", "no").pivot().await
    })
    .unwrap_err();
    assert_eq!(undone(&host), ["a"]);
}

#[test]
fn a_step_after_the_pivot_is_repeated() {
    let host = host();
    let mut left = 3;
    host.activity("Later", move |_: Value| {
        left -= 1;
        if left > 0 { Err(Failure::transient("busy", "not now")) } else { Ok(left) }
    });
    let result = host.run(async |ctx| {
        ctx.activity::<String>("Do", "a").pivot().await?;
        ctx.activity::<u32>("Later", &()).await
    });
    assert_eq!(result, Ok(0));
}

#[test]
#[should_panic(expected = "the saga is stuck: step 1 (Do), with which it can only go forward")]
fn a_step_after_the_pivot_that_fails_for_good_is_stuck() {
    let _ = host().run(async |ctx| {
        ctx.activity::<String>("Do", "a").pivot().await?;
        step(&ctx, "no").await
    });
}

#[test]
#[should_panic(expected = "the orchestrator failed although it can only go forward")]
fn an_orchestrator_that_fails_after_its_pivot_is_stuck() {
    let _ = host().run(async |ctx| {
        ctx.activity::<String>("Do", "a").pivot().await?;
        fail::<()>()
    });
}

/// Two steps; fails after them if it is told to.
#[sagahost::orchestrator]
async fn child(ctx: OrchestratorContext, input: (String, bool)) -> Result<String, Failure> {
    let (name, fails) = input;
    for part in 1..=2 {
        step(&ctx, &format!("{name}{part}")).await?;
    }
    if fails { fail() } else { Ok(ctx.instance_id()) }
}

#[test]
fn a_child_hands_its_undos_over() {
    let host = host();
    host.run(async |ctx| {
        step(&ctx, "a").await?;
        let id: String = ctx.orchestrator("Child", &("b", false)).await?;
        assert_eq!(id, "test:0001");
        step(&ctx, "c").await?;
        fail::<()>()
    })
    .unwrap_err();
    assert_eq!(undone(&host), ["c", "b2", "b1", "a"]);
    let undos = host.undone();
    assert_eq!((&*undos[1].instance, undos[1].step), ("test:0001", 1));
    // What the child asked for is not what the parent did.
    assert_eq!(asked(&host).len(), 3);
}

#[test]
fn a_child_that_fails_undoes_its_own() {
    let host = host();
    let result = host.run(async |ctx| {
        step(&ctx, "a").await?;
        let child = ctx.orchestrator::<String>("Child", &("b", true)).await;
        Ok::<_, Failure>(child.unwrap_err().code)
    });
    assert_eq!(result, Ok("end".to_owned()));
    assert_eq!(undone(&host), ["b2", "b1"]);
}

#[test]
fn a_child_may_be_undone_by_something_else_or_not_at_all() {
    let host = host();
    host.run(async |ctx| {
        let child = |name: &str| ctx.orchestrator::<String>("Child", &(name, false));
        child("a").await?;
        child("b").compensate_with("Undo").await?;
        child("c").undo_by_hand().await?;
        ctx.scope().orchestrator::<String>("Child", &("d", false)).start().await?;
        fail::<()>()
    })
    .unwrap_err();
    assert_eq!(undone(&host), ["d2", "d1", "?", "a2", "a1"]);
    assert_eq!(host.undone()[2].input, json!(["b", false]));
    let Request::Orchestrator { undo: UndoRequest::ByHand, scope: 0, .. } = host.requests()[2]
    else {
        panic!("{:?}", host.requests())
    };
}

#[test]
fn a_child_in_the_place_of_another_and_one_that_is_none() {
    let host = host();
    host.orchestrator("Child", |(name, _): (String, bool)| Ok(format!("not {name}")));
    host.run_plain(async |ctx| {
        let answer = ctx.orchestrator::<String>("Child", &("b", true)).pivot().await;
        assert_eq!(answer, Ok("not b".to_owned()));
        let none = ctx.orchestrator::<String>("Undo", &()).await;
        assert_eq!(none.unwrap_err().code, "host.not-found");
    });
}

#[test]
fn orchestrators_by_name_are_undone_too() {
    let host = host();
    let failure = host.run_by_name("Child", r#"["x", true]"#).unwrap_err();
    assert_eq!((&*failure.code, undone(&host)), ("end", vec!["x2".into(), "x1".into()]));
}
