//! Whatever happens to an orchestration, in whatever order: it comes to its
//! end, its journal tells all of it, and its code sees the same on replay.

mod support;

use proptest::prelude::*;
use sagahost_core::*;
use support::*;

/// What happens next in a story.
#[derive(Clone, Debug)]
enum Happening {
    Succeed(usize),
    Fail(usize),
    FailForGood(usize),
    Raise(u8),
    /// Time passes.
    Pass(u64),
    Crash,
    Evict,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0u8..3).prop_map(Op::Activity),
        2 => (0u64..50).prop_map(Op::Timer),
        2 => (0u8..3).prop_map(Op::Event),
        1 => (0u32..6).prop_map(Op::Cancel),
        3 => Just(Op::AwaitAny),
        2 => (0u32..6).prop_map(Op::Await),
        1 => prop::collection::vec(0u32..6, 1..4).prop_map(Op::AwaitOneOf),
        1 => Just(Op::Uuid),
        1 => Just(Op::Random),
        1 => (0u8..3).prop_map(Op::Status),
        1 => Just(Op::Log),
    ]
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        4 => (0usize..4).prop_map(Happening::Succeed),
        2 => (0usize..4).prop_map(Happening::Fail),
        1 => (0usize..4).prop_map(Happening::FailForGood),
        2 => (0u8..3).prop_map(Happening::Raise),
        2 => (1u64..60).prop_map(Happening::Pass),
        1 => Just(Happening::Crash),
        1 => Just(Happening::Evict),
    ]
}

fn policy() -> CallPolicy {
    CallPolicy {
        retry: RetryPolicy { max_attempts: 3, first_interval_ms: 10, ..RetryPolicy::default() },
        timeout_ms: 1_000,
    }
}

fn happen(world: &mut World, happening: &Happening) {
    let pick = |n: &usize, world: &World| (!world.out.is_empty()).then(|| n % world.out.len());
    match happening {
        Happening::Succeed(n) => {
            if let Some(which) = pick(n, world) {
                let output = Json::of(&world.now).expect("a number is JSON");
                world.end_attempt(which, Ok(output));
            }
        }
        Happening::Fail(n) => {
            if let Some(which) = pick(n, world) {
                world.end_attempt(which, Err(Failure::host(FailureKind::Trap, "trapped")));
            }
        }
        Happening::FailForGood(n) => {
            if let Some(which) = pick(n, world) {
                let mut failure = Failure::host(FailureKind::Returned, "no");
                failure.retryable = false;
                world.end_attempt(which, Err(failure));
            }
        }
        Happening::Raise(n) => {
            let command = Command::RaiseEvent { name: format!("E{n}"), input: Json::null() };
            let ended = world.ended();
            assert_eq!(world.turn(Some(command)).is_err(), ended);
        }
        Happening::Pass(time) => {
            world.now += time;
            world.turn(Some(Command::Tick)).expect("never rejected");
        }
        Happening::Crash => world.crash(),
        Happening::Evict => world.evict(),
    }
}

/// The state loaded from the journal is the state in memory, and the code
/// sees on replay what it saw.
fn check(world: &World) {
    assert_eq!(world.blocked, None, "a faithful code never differs from its journal");
    let loaded = Orchestration::load(&world.chunks).expect("the journal is whole");
    let (stored, live) = (loaded.instance(), world.orchestration.instance());
    assert_eq!(stored.events(), live.events());
    assert_eq!(stored.end(), live.end());
    assert_eq!(stored.custom_status(), live.custom_status());
    assert_eq!(stored.is_busy(), live.is_busy());
    assert_eq!(stored.updated(), live.updated());
    let trace = world.replay().expect("a faithful code never differs from its journal");
    if let Some(code) = &world.code {
        assert_eq!(trace, code.trace);
    }
}

/// Does whatever lets it go on, until it ends or only waits for what never
/// comes.
fn to_the_end(world: &mut World) {
    for _ in 0..200 {
        if world.ended() {
            return;
        }
        happen(world, &Happening::Succeed(0));
        for event in 0..3 {
            if !world.ended() {
                happen(world, &Happening::Raise(event));
            }
        }
        happen(world, &Happening::Pass(100));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_story_of_any_code_is_told_by_its_journal(
        script in prop::collection::vec(op(), 0..14),
        story in prop::collection::vec(happening(), 0..30),
    ) {
        let mut world = World::start(script, policy());
        check(&world);
        for happening in &story {
            happen(&mut world, happening);
            check(&world);
        }
        to_the_end(&mut world);
        check(&world);
        prop_assert!(world.out.is_empty() || world.ended(), "attempts are left: {:?}", world.out);
    }

    #[test]
    fn a_code_that_changed_is_found_and_nothing_is_written(
        script in prop::collection::vec(op(), 1..12),
        story in prop::collection::vec(happening(), 0..12),
        place in 0usize..12,
        other in op(),
    ) {
        let mut world = World::start(script.clone(), policy());
        for happening in &story {
            happen(&mut world, happening);
        }
        let before = world.replay().expect("a faithful code never differs from its journal");
        let place = place % script.len();
        let mut changed = script.clone();
        changed[place] = other;
        world.script = changed.into();
        // Either the change is past what has run, or makes no difference to
        // the journal, or it is found; `replay` itself asserts that nothing
        // is written.
        match world.replay() {
            Ok(_) => {}
            Err(mismatch) => prop_assert_ne!(mismatch.journal, mismatch.code),
        }
        world.script = script.into();
        prop_assert_eq!(world.replay().expect("unchanged"), before);
    }

    #[test]
    fn a_damaged_chunk_is_an_error_and_never_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Orchestration::load(&[bytes]);
    }
}
