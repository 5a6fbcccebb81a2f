//! Orchestrators in all shapes, on the host in memory.
#![allow(clippy::unwrap_used)]

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use sagahost::stream::{FuturesUnordered, StreamExt};
use sagahost::testing::{Request, TestHost};
use sagahost::{Failure, OrchestratorContext, RetryPolicy, future, join, select, try_join};

/// A host whose activity `Double` doubles, and fails with `odd` for 13.
fn host() -> TestHost {
    let host = TestHost::new();
    host.activity("Double", |n: u64| match n {
        13 => Err(Failure::permanent("odd", "not 13")),
        n => Ok(n * 2),
    });
    host
}

/// The calls of activities and nothing else, as name and input.
fn calls(host: &TestHost) -> Vec<String> {
    let calls = host.requests().into_iter().filter_map(|request| match request {
        Request::Activity { name, input, .. } => Some(format!("{name}({input})")),
        _ => None,
    });
    calls.collect()
}

#[test]
fn one_after_the_other() {
    let host = host();
    let result = host.run(async |ctx| {
        let mut n: u64 = 1;
        for _ in 0..5 {
            n = ctx.activity("Double", &n).await?;
        }
        Ok::<_, Failure>(n)
    });
    assert_eq!(result, Ok(32));
    assert_eq!(calls(&host), ["Double(1)", "Double(2)", "Double(4)", "Double(8)", "Double(16)"]);
}

#[test]
fn a_call_is_scheduled_when_awaited_and_a_started_one_at_once() {
    let host = host();
    host.run_plain(async |ctx| {
        let late = ctx.activity::<u64>("Double", &1);
        let early = ctx.activity::<u64>("Double", &2).start();
        let never = ctx.activity::<u64>("Double", &3);
        assert_eq!(late.await, Ok(2));
        assert_eq!(early.await, Ok(4));
        drop(never);
    });
    assert_eq!(calls(&host), ["Double(2)", "Double(1)"]);
}

#[test]
fn join_and_try_join() {
    let host = host();
    host.run_plain(async |ctx| {
        let double = |n: u64| ctx.activity::<u64>("Double", &n);
        assert_eq!(join!(double(1), double(13)), (Ok(2), Err(Failure::permanent("odd", "not 13"))));
        let both = async { try_join!(double(2), double(3)) };
        assert_eq!(both.await, Ok((4, 6)));
        // The first failure ends it; the activity after it runs on unseen.
        assert_eq!(async { try_join!(double(13), double(5)) }.await.unwrap_err().code, "odd");
        assert_eq!(double(6).await, Ok(12));
    });
    assert_eq!(calls(&host).len(), 7);
    assert!(!host.requests().iter().any(|request| matches!(request, Request::Cancel { .. })));
}

#[test]
fn vectors_of_few_and_of_many() {
    for count in [0, 1, 30, 31, 500] {
        let host = host();
        let sum = host.run(async |ctx| {
            let tasks: Vec<_> =
                (0..count).map(|_| ctx.activity::<u64>("Double", &1).start()).collect();
            future::join_all(tasks).await.into_iter().sum::<Result<u64, Failure>>()
        });
        assert_eq!(sum, Ok(2 * count));
    }
}

#[test]
fn the_first_of_two_wins_and_the_other_is_cancelled_or_runs_on() {
    let host = host();
    let winner = host.run_plain(async |ctx| {
        let mut answer = ctx.event::<bool>("Approved");
        let mut too_late = ctx.timer(Duration::from_secs(60));
        select! {
            answer = answer => format!("{answer:?}"),
            () = too_late => "too late".to_owned(),
        }
    });
    assert_eq!(winner, "too late");
    assert_eq!(host.requests().last(), Some(&Request::Cancel { task: 0 }));

    let host = self::host();
    host.raise("Approved", &true);
    host.run_plain(async |ctx| {
        let mut answer = ctx.event::<bool>("Approved");
        let mut call = ctx.activity::<u64>("Double", &1);
        let mut too_late = ctx.timer(Duration::from_secs(60));
        select! {
            n = call => panic!("{n:?}"),
            answer = answer => assert_eq!(answer, Ok(true)),
            () = too_late => panic!("too late"),
        }
        // What was not first goes on.
        assert_eq!(call.await, Ok(2));
    });
    assert_eq!(host.requests().last(), Some(&Request::Cancel { task: 1 }));
}

#[test]
fn select_in_a_loop_until_all_are_complete() {
    let host = host();
    let log = host.run_plain(async |ctx| {
        let mut log = Vec::new();
        let mut a = ctx.activity::<u64>("Double", &1);
        let mut b = ctx.activity::<u64>("Double", &2);
        loop {
            select! {
                n = a => log.push(n.unwrap()),
                n = b => log.push(n.unwrap()),
                complete => break,
            }
        }
        log
    });
    assert_eq!(log, [2, 4]);
}

#[test]
fn a_cancelled_wait_takes_no_event() {
    let host = host();
    host.raise("Go", &1);
    let got = host.run(async |ctx| {
        drop(ctx.event::<u64>("Go"));
        ctx.event::<u64>("Go").await
    });
    assert_eq!(got, Ok(1));
    assert_eq!(host.requests()[1], Request::Cancel { task: 0 });
    assert_eq!(host.requests().len(), 3);
}

#[test]
fn timers_move_the_clock() {
    let host = TestHost::new();
    host.run_plain(async |ctx| {
        let start = ctx.now();
        let (long, short) = (ctx.timer(Duration::from_secs(9)), ctx.timer(Duration::from_secs(3)));
        short.await;
        assert_eq!(ctx.now() - start, Duration::from_secs(3));
        long.await;
        assert_eq!(ctx.now() - start, Duration::from_secs(9));
        ctx.timer_until(start).await;
        assert_eq!(ctx.now() - start, Duration::from_secs(9));
        assert_ne!(ctx.new_uuid(), ctx.new_uuid());
        assert_ne!(ctx.random_u64(), ctx.random_u64());
    });
    assert!(!host.requests().iter().any(|request| matches!(request, Request::Cancel { .. })));
}

#[test]
fn options_of_a_call() {
    let host = host();
    let result = host.run(|ctx| {
        let policy = RetryPolicy::attempts(7);
        ctx.activity::<u64>("Double", &1).retry(policy).timeout(Duration::from_millis(1500))
    });
    assert_eq!(result, Ok(2));
    let requests = host.requests();
    let Request::Activity { max_attempts, timeout_ms, .. } = &requests[0] else {
        panic!("{requests:?}")
    };
    assert_eq!((*max_attempts, *timeout_ms), (Some(7), Some(1500)));
}

#[test]
fn values_that_do_not_fit() {
    let host = host();
    host.run_plain(async |ctx| {
        let failure = ctx.activity::<String>("Double", &1).await.unwrap_err();
        assert_eq!(failure.code, "bad-output");
        assert!(failure.message.contains("expected a string"), "{failure}");
        let no_json = std::collections::HashMap::from([((1, 2), 3)]);
        let failure = ctx.activity::<u64>("Double", &no_json).start().await.unwrap_err();
        assert_eq!(failure.code, "bad-input");
    });
    assert_eq!(host.requests().len(), 1);
}

#[test]
#[should_panic(expected = "not a Sagahost task")]
fn to_wait_for_something_else_panics() {
    host().run_plain(async |ctx| {
        let task = ctx.activity::<u64>("Double", &1).start();
        future::pending::<()>().await;
        drop(task);
    });
}

#[test]
fn a_future_may_wake_itself() {
    let host = host();
    let mut left = 3;
    host.run_plain(|_| {
        future::poll_fn(move |cx| {
            left -= 1;
            cx.waker().wake_by_ref();
            if left == 0 { Poll::Ready(()) } else { Poll::Pending }
        })
    });
}

/// Counts how often a future is polled.
struct Counted<F> {
    future: F,
    polls: Rc<Cell<usize>>,
}

impl<F: Future + Unpin> Future for Counted<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.polls.set(self.polls.get() + 1);
        Pin::new(&mut self.future).poll(cx)
    }
}

/// Polls of all tasks, and of the orchestrator.
fn polls_of_a_fan_out(count: u64, unordered: bool) -> (usize, usize) {
    let host = host();
    let polls = Rc::new(Cell::new(0));
    let root_polls = Rc::new(Cell::new(0));
    let sum = host.run_plain(|ctx: OrchestratorContext| {
        let future = {
            let polls = Rc::clone(&polls);
            async move {
                let tasks = (0..count).map(|n| Counted {
                    future: ctx.activity::<u64>("Double", &(n % 10)),
                    polls: Rc::clone(&polls),
                });
                let mut sum = 0;
                if unordered {
                    let mut tasks: FuturesUnordered<_> = tasks.collect();
                    while let Some(n) = tasks.next().await {
                        sum += n.unwrap();
                    }
                } else {
                    for n in future::join_all(tasks).await {
                        sum += n.unwrap();
                    }
                }
                sum
            }
        };
        Counted { future: Box::pin(future), polls: Rc::clone(&root_polls) }
    });
    assert_eq!(sum, count * 9);
    (polls.get(), root_polls.get())
}

#[test]
fn a_large_fan_out_costs_two_polls_a_task() {
    for unordered in [true, false] {
        for count in [1_000, 10_000] {
            let (polls, root_polls) = polls_of_a_fan_out(count, unordered);
            let count = usize::try_from(count).unwrap();
            assert_eq!(polls, 2 * count);
            assert!(root_polls <= count + count / 16 + 2, "{root_polls} polls for {count} tasks");
        }
    }
}

#[test]
fn log_and_status() {
    let host = host();
    host.run_plain(async |ctx| {
        sagahost::info!(ctx, "{} of {}", 1, 2);
        ctx.log_error("three");
        ctx.set_custom_status(&("step", 2));
        assert_eq!(ctx.instance_id(), "test");
        assert!(!ctx.is_replaying());
        let other = ctx.clone();
        assert_eq!(join!(ctx.activity("Double", &1), other.activity("Double", &2)), (Ok(2), Ok(4)));
    });
    let log = host.log();
    assert_eq!(log[0], (sagahost::LogLevel::Info, "1 of 2".to_owned()));
    assert_eq!(log[1], (sagahost::LogLevel::Error, "three".to_owned()));
    assert_eq!(host.custom_status(), Some(sagahost::serde_json::json!(["step", 2])));
}
