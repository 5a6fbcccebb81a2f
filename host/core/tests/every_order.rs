//! Small orchestrations, every order in which things can happen to them.

mod support;

use sagahost_core::*;
use support::*;

fn no_retry() -> CallPolicy {
    CallPolicy::default()
}

/// Calls `visit` with every world that can be reached from a start by ending
/// attempts well or badly and by crashing, up to so many happenings.
fn explore(start: &dyn Fn() -> World, depth: usize, visit: &mut dyn FnMut(&[u8], &World)) {
    let mut path = Vec::new();
    walk(start, depth, &mut path, visit);
}

fn replay_path(start: &dyn Fn() -> World, path: &[u8]) -> Option<World> {
    let mut world = start();
    for choice in path {
        match choice {
            0 => world.crash(),
            1 => world.evict(),
            choice => {
                let which = usize::from((choice - 2) / 2);
                if which >= world.out.len() {
                    return None;
                }
                let outcome = match (choice - 2) % 2 {
                    0 => Ok(Json::null()),
                    _ => Err(Failure::host(FailureKind::Trap, "trapped")),
                };
                world.end_attempt(which, outcome);
            }
        }
    }
    Some(world)
}

fn walk(
    start: &dyn Fn() -> World,
    depth: usize,
    path: &mut Vec<u8>,
    visit: &mut dyn FnMut(&[u8], &World),
) {
    let Some(world) = replay_path(start, path) else {
        return;
    };
    visit(path, &world);
    if depth == 0 || world.ended() {
        return;
    }
    let choices = 2 + 2 * world.out.len() as u8;
    for choice in 0..choices {
        path.push(choice);
        walk(start, depth - 1, path, visit);
        path.pop();
    }
}

#[test]
fn two_parallel_steps_end_in_every_order_with_every_crash_between() {
    use Op::*;
    let start = || {
        World::start(
            vec![Activity(0), Activity(1), AwaitAny, AwaitAny, Activity(2), Await(2)],
            no_retry(),
        )
    };
    let (mut visited, mut ended) = (0, 0);
    explore(&start, 6, &mut |path, world| {
        visited += 1;
        assert_eq!(world.blocked, None, "{path:?}");
        world.replay().unwrap_or_else(|mismatch| panic!("{path:?}: {mismatch}"));
        if world.ended() {
            ended += 1;
            assert!(world.out.is_empty(), "{path:?}: {:?}", world.out);
        } else {
            assert!(!world.out.is_empty(), "{path:?}: nothing is out, and it waits");
        }
    });
    // Three steps and three more happenings: enough to be all orders.
    assert!(visited > 5_000 && ended > 500, "{visited} worlds, {ended} of them ended");
}

#[test]
fn a_step_that_was_lost_with_its_host_is_attempted_again_under_the_same_key() {
    let mut world = World::start(vec![Op::Activity(0), Op::Await(0)], no_retry());
    let key = world.orchestration.instance().idempotency_key(0);
    for lost in 1..5 {
        world.crash();
        assert_eq!(world.outs(), [(Work::Step(0), lost + 1)]);
        assert_eq!(world.orchestration.instance().idempotency_key(0), key);
    }
    world.end_attempt(0, Ok(Json::null()));
    assert!(world.ended());
}

#[test]
fn lost_attempts_do_not_count_as_retries_but_are_not_made_for_ever() {
    let policy = CallPolicy {
        retry: RetryPolicy { max_attempts: 2, first_interval_ms: 1, ..RetryPolicy::default() },
        ..CallPolicy::default()
    };
    let mut world = World::start(vec![Op::Activity(0), Op::Await(0)], policy);
    world.crash();
    world.crash();
    world.end_attempt(0, Err(Failure::host(FailureKind::Timeout, "late")));
    world.now += 10;
    world.turn(Some(Command::Tick)).expect("never rejected");
    assert_eq!(world.outs(), [(Work::Step(0), 4)], "the second counted attempt");
    world.end_attempt(0, Err(Failure::host(FailureKind::Timeout, "late")));
    assert!(world.ended());

    let mut world = World::start(vec![Op::Activity(0), Op::Await(0)], no_retry());
    for _ in 0..MAX_LOST_ATTEMPTS {
        world.crash();
        assert!(!world.ended());
    }
    world.crash();
    assert!(world.ended() && world.out.is_empty());
}

#[test]
fn events_are_kept_in_order_and_each_is_delivered_once() {
    use Op::*;
    let raise = |world: &mut World, n: u8| {
        let input = Json::of(&n).expect("a number is JSON");
        let command = Command::RaiseEvent { name: "E0".into(), input, from: None };
        world.turn(Some(command)).expect("it has not ended");
    };
    let mut world = World::start(
        vec![Activity(0), Await(0), Event(0), Await(1), Event(0), Await(2), Event(0), Await(3)],
        no_retry(),
    );
    raise(&mut world, 1);
    raise(&mut world, 2);
    world.end_attempt(0, Ok(Json::null()));
    assert!(!world.ended());
    world.crash();
    raise(&mut world, 3);
    assert!(world.ended());
    let trace = world.replay().expect("faithful");
    let numbers: Vec<_> =
        trace.iter().skip(1).map(|seen| seen.contains("Json(RawValue(1))")).collect();
    assert_eq!(numbers, [true, false, false], "{trace:?}");
    assert!(trace[2].contains("RawValue(2)") && trace[3].contains("RawValue(3)"), "{trace:?}");
}

#[test]
fn an_event_does_not_go_to_a_wait_that_was_given_up() {
    use Op::*;
    let mut world = World::start(
        vec![Event(0), Timer(5), AwaitOneOf(vec![0, 1]), Cancel(0), Event(0), Await(2)],
        no_retry(),
    );
    world.now += 10;
    world.turn(Some(Command::Tick)).expect("never rejected");
    assert!(!world.ended());
    let command = Command::RaiseEvent { name: "E0".into(), input: Json::null(), from: None };
    world.turn(Some(command)).expect("it has not ended");
    assert!(world.ended());
    world.replay().expect("faithful");
}

#[test]
fn a_blocked_orchestration_loses_nothing_and_goes_on_when_its_code_is_back() {
    use Op::*;
    let right = vec![Activity(0), Event(0), Await(1), Await(0)];
    let mut world = World::start(right.clone(), no_retry());
    world.evict();
    world.script = [Activity(1), Event(0), Await(1), Await(0)].into();
    let raise = Command::RaiseEvent { name: "E0".into(), input: Json::null(), from: None };
    world.turn(Some(raise)).expect("it has not ended");
    let mismatch = world.blocked.take().expect("the code has changed");
    assert_eq!(mismatch.position, 0);
    assert!(mismatch.journal.contains("A0") && mismatch.code.contains("A1"), "{mismatch}");
    world.orchestration.block(BlockedReason::Mismatch {
        position: mismatch.position,
        journal: mismatch.journal,
        code: mismatch.code,
    });
    world.turn(None).expect("nothing to reject");
    // Its activity ends while it is blocked.
    world.blocked = Some(Mismatch { position: 0, journal: String::new(), code: String::new() });
    world.end_attempt(0, Ok(Json::null()));

    world.blocked = None;
    world.script = right.into();
    world.evict();
    world.orchestration.unblock();
    world.crash();
    assert!(world.ended(), "{:?}", world.orchestration.instance());
    assert_eq!(world.replay().expect("faithful").len(), 2);
}

#[test]
fn a_clock_that_goes_back_does_not_take_time_with_it() {
    let mut world = World::start(vec![Op::Activity(0), Op::Await(0)], no_retry());
    let before = world.orchestration.instance().updated();
    world.now = 5;
    world.end_attempt(0, Ok(Json::null()));
    assert!(world.orchestration.instance().updated() >= before);
}

#[test]
fn a_suspended_orchestration_keeps_what_comes_in_until_it_is_resumed() {
    use Op::*;
    let suspend = || Command::Suspend { reason: "lunch".into() };
    let resume = || Command::Resume { reason: "back".into() };
    for (evict, crash) in [(false, false), (true, false), (false, true), (true, true)] {
        let script = vec![
            Activity(0),
            Event(0),
            Timer(5),
            Await(0),
            Await(1),
            Await(2),
            Activity(1),
            Await(3),
        ];
        let mut world = World::start(script, no_retry());
        world.turn(Some(suspend())).expect("it has not ended");
        assert_eq!(world.instance().status(), RuntimeStatus::Suspended);
        let events = world.journal().len();
        world.turn(Some(suspend())).expect("it is so already");
        assert_eq!(world.journal().len(), events);

        // What runs goes on, and what comes in is kept; the code does nothing.
        world.end_attempt(0, Ok(Json::null()));
        let raise = Command::RaiseEvent { name: "E0".into(), input: Json::null(), from: None };
        world.turn(Some(raise)).expect("it has not ended");
        if evict {
            world.evict();
        }
        if crash {
            world.crash();
        }
        world.now += 10;
        world.turn(Some(Command::Tick)).expect("never rejected");
        assert!(world.out.is_empty() && !world.orchestration.wants_to_run());
        world.replay().expect("faithful");

        // Its code left memory, as in the host.
        world.evict();
        world.turn(Some(resume())).expect("it has not ended");
        assert_eq!(world.instance().status(), RuntimeStatus::Running);
        assert_eq!(world.out.len(), 1, "the code went on to its last step");
        world.end_attempt(0, Ok(Json::null()));
        assert!(world.ended());
        assert_eq!(world.replay().expect("faithful").len(), 4);
        let rejected = Err(Rejected::Ended(RuntimeStatus::Completed));
        assert_eq!(world.turn(Some(suspend())), rejected);
        assert_eq!(world.turn(Some(resume())), rejected);
    }
}
