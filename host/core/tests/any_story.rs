//! Whatever happens to an orchestration, in whatever order: it comes to its
//! end, its journal tells all of it, and its code sees the same on replay.

mod support;

use proptest::prelude::*;
use sagahost_core::*;
use support::check::{check_end, check_state};
use support::explore::{Choice, How, Node, Outside, Saga};
use support::spans::check_spans;
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
            let command =
                Command::RaiseEvent { name: format!("E{n}"), input: Json::null(), from: None };
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
    check_spans(world);
    assert_eq!(world.blocked, None, "a faithful code never differs from its journal");
    let loaded = Orchestration::load(&world.chunks).expect("the journal is whole");
    let (stored, live) = (loaded.instance(), world.orchestration.instance());
    assert_eq!(stored.events(), live.events());
    assert_eq!(stored.end(), live.end());
    assert_eq!(stored.custom_status(), live.custom_status());
    assert_eq!(stored.is_busy(), live.is_busy());
    assert_eq!(stored.updated(), live.updated());
    let trace = world.replay().expect("a faithful code never differs from its journal");
    let merged = world.replay_merged().expect("also where turns are stored together");
    assert!(trace.starts_with(&merged), "{merged:?} is not how {trace:?} begins");
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

/// What the orchestrator of a saga does: steps, children, scopes, undo.
fn saga_op() -> impl Strategy<Value = Op> {
    let when = prop_oneof![
        2 => Just(None),
        4 => Just(Some(UndoWhen::CompletedOrUnknown)),
        1 => Just(Some(UndoWhen::Always)),
        1 => Just(Some(UndoWhen::Completed)),
    ];
    let step = (0u8..9, when, 0u32..4, prop::bool::weighted(0.1), prop::bool::weighted(0.9));
    let step =
        step.prop_map(|(n, undo, scope, pivot, deployed)| Step { n, undo, scope, pivot, deployed });
    prop_oneof![
        8 => step.clone().prop_map(Op::Step),
        2 => (step, any::<bool>()).prop_map(|(step, by_hand)| Op::Child { step, by_hand }),
        2 => (0u32..4).prop_map(Op::Open),
        1 => (0u32..4).prop_map(Op::Parallel),
        2 => (0u32..4).prop_map(Op::Compensate),
        3 => (0u32..6).prop_map(Op::Await),
        2 => (0u32..6).prop_map(Op::Try),
        2 => Just(Op::AwaitAny),
        1 => Just(Op::TryAny),
        1 => (0u32..6, 1usize..4).prop_map(|(task, skipped)| Op::UnlessFailed(task, skipped)),
        1 => prop_oneof![Just(Op::Return), Just(Op::Fail), Just(Op::Trap)],
        3 => op(),
    ]
}

fn outside() -> impl Strategy<Value = Vec<Outside>> {
    let all = vec![
        Outside::Cancel,
        Outside::TerminateAndUndo,
        Outside::Terminate,
        Outside::HandOver,
        Outside::Deadline,
    ];
    prop::sample::subsequence(all, 0..=5)
}

/// Whatever lets a saga go on, first of all what goes well.
fn best(choices: Vec<Choice>) -> Option<Choice> {
    let rank = |choice: &Choice| match choice {
        Choice::End(_, How::Ok) | Choice::Child(_, How::Ok, _) => 0,
        Choice::Repair(_, 2) => 1,
        Choice::Pass => 2,
        Choice::Raise => 3,
        _ => 4,
    };
    choices.into_iter().min_by_key(rank).filter(|choice| rank(choice) < 4)
}

/// Checks a state; whether the story goes on.
fn goes_on(node: &Node) -> bool {
    check_state(node);
    if node.world.ended() {
        check_end(node);
    }
    !node.world.ended()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_story_of_any_saga_leaves_in_place_what_the_rules_say(
        script in prop::collection::vec(saga_op(), 0..14),
        outside in outside(),
        attempts in 0u32..3,
        undo_attempts in 0u32..3,
        story in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
    ) {
        let saga = Saga {
            attempts,
            undo_attempts,
            outside,
            crashes: u8::MAX,
            undo_failures: u8::MAX,
            failing: u32::MAX,
            events: 60,
            handed: vec![&[], &[0], &[0, 0, 2]],
            ..Saga::new(script)
        };
        let mut node = saga.start();
        for happening in story {
            let choices = node.choices(&saga);
            if !goes_on(&node) || choices.is_empty() {
                break;
            }
            let choice = happening.get(&choices).clone();
            if choice == Choice::Crash && node.world.instance().events().is_multiple_of(2) {
                node.world.reload();
            }
            node.choose(&choice);
        }
        for _ in 0..300 {
            if !goes_on(&node) {
                break;
            }
            let Some(choice) = best(node.choices(&saga)) else { break };
            node.choose(&choice);
        }
        let instance = node.world.instance();
        let waits = !instance.is_busy() && instance.running().is_empty() && instance.unwinding().is_none();
        prop_assert!(node.world.ended() || waits, "{:?}", instance);
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
