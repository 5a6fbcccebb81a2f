//! The rules of undo, one by one.

#![allow(clippy::unwrap_used)]

mod support;

use sagahost_core::*;
use support::Op::{Await, Compensate, Fail, Open, Parallel, Return, Timer, Try};
use support::{Op, World, json, returned, started, step, trap};

fn start(script: &[Op]) -> World {
    World::start(script.to_vec(), CallPolicy::default())
}

fn undo(task: TaskId) -> Work {
    Work::Undo(task.into())
}

fn done() -> Result<Json, Failure> {
    Ok(json("done"))
}

fn failure_of(world: &World) -> &Failure {
    match world.instance().end() {
        Some(End::Failed(failure)) => failure,
        end => panic!("it did not fail: {end:?}"),
    }
}

#[test]
fn an_undo_is_told_what_it_undoes() {
    let mut world = start(&[step(7).op(), Try(0), Fail]);
    world.end_step(0, Ok(json("ticket")));
    let [attempt] = &world.last.attempts[..] else { panic!("{:?}", world.last) };
    let key = world.instance().idempotency_key(0);
    assert_eq!(attempt.key, format!("{key}-undo"));
    assert_eq!((attempt.function.as_str(), attempt.digest.as_deref()), ("U7", Some("d7")));
    assert_eq!((attempt.input.as_str(), attempt.timeout_ms), ("7", 1_000));
    let undone = UndoneStep {
        instance: None,
        task: 0,
        function: "A7".into(),
        input: json(&7),
        output: Some(json("ticket")),
        outcome: StepOutcome::Completed,
        key,
    };
    assert_eq!(attempt.undone.as_ref(), Some(&undone));
    world.end_undo(0, done());
    assert_eq!(failure_of(&world).code, "gave-up");
    assert_eq!(world.state(), SagaState::Compensated);
}

#[test]
fn an_undo_whose_input_is_null_gets_null_also_from_the_journal() {
    let (started, at) = (started(), support::START);
    let mut orchestration = Orchestration::start(at, started);
    let compensation = Compensation {
        function: "U".into(),
        digest: Some("d".into()),
        input: Some(Json::null()),
        policy: CallPolicy::default(),
        when: UndoWhen::Always,
    };
    let request = Request::Activity {
        function: "A".into(),
        input: json("something"),
        policy: CallPolicy::default(),
        undo: Some(compensation),
        scope: 0,
        pivot: false,
    };
    orchestration.request(request).unwrap();
    orchestration.parked().unwrap();
    let chunk = encode_chunk(&orchestration.end_turn().records).unwrap();
    let loaded = Orchestration::load(&[chunk]).unwrap();
    assert_eq!(loaded.instance(), orchestration.instance());
    assert_eq!(loaded.instance().undo_plan()[0].input, Json::null());
}

#[test]
fn a_step_whose_undo_is_not_deployed_is_not_begun() {
    let undeployed = || support::Step { deployed: false, ..step(1) };
    for op in [undeployed().op(), undeployed().child()] {
        let mut world = start(&[step(0).op(), Await(0), op, Try(1)]);
        world.end_step(0, done());
        assert_eq!(world.outs(), [(undo(0), 1)], "the step before it is undone");
        assert_eq!(world.children, []);
        assert!(world.instance().undo_plan().iter().all(|planned| planned.id.task == 0));
        let journal = world.journal();
        let why = journal.iter().find_map(|event| match event {
            Event::AttemptFailed { failure, .. } | Event::ChildFailed { failure, .. } => {
                Some(failure)
            }
            _ => None,
        });
        let why = why.expect("it failed");
        assert_eq!((why.kind, why.retryable), (FailureKind::NotStarted, false));
        assert!(why.message.contains("U1"), "{why}");
        world.end_undo(0, done());
        assert_eq!(failure_of(&world).code, "gave-up");
    }
}

#[test]
fn what_is_scheduled_in_the_turn_in_which_the_code_fails_is_not_begun() {
    let mut world = start(&[step(0).op(), Try(0), step(1).op(), step(2).bare().child(), Fail]);
    world.end_step(0, done());
    assert_eq!((world.outs(), world.children.len()), (vec![(undo(0), 1)], 0));
    world.end_undo(0, done());
    assert!(world.ended());
    assert_eq!(world.instance().undone_steps().len(), 1);
}

#[test]
fn an_orchestrator_that_returns_while_a_step_would_have_to_be_undone_has_failed() {
    let open = [step(0).op(), step(0).pivot().op(), step(0).bare().child()];
    for op in open {
        let mut world =
            start(&[step(1).op(), Await(0), op.clone(), Op::Event(0), Await(2), Return]);
        world.end_step(0, done());
        let raise = Command::RaiseEvent { name: "E0".into(), input: Json::null(), from: None };
        world.turn(Some(raise)).expect("it has not ended");
        assert_eq!(world.state(), SagaState::Compensating, "{op:?}");
        match op {
            Op::Child { .. } => {
                assert!(world.children[0].stopping);
                world.end_child(1, Err(returned(false)), Vec::new());
            }
            Op::Step(step) => {
                assert_eq!(world.out[0].stopping, !step.pivot, "a pivot is not interrupted");
                world.end_step(1, Err(returned(false)));
            }
            _ => unreachable!(),
        }
        world.end_undo(0, done());
        let failure = failure_of(&world);
        assert_eq!(
            (failure.kind, failure.code.as_str()),
            (FailureKind::StepsOpen, "host.steps-open")
        );
        assert!(failure.message.contains("step 1"), "{failure}");
        world.replay().expect("a replay returns as well");
    }
    let by_hand = Op::Child { step: step(0).bare(), by_hand: true };
    for free in [step(0).bare().op(), by_hand] {
        let world = start(&[free, Op::Event(0), Op::Cancel(1), Return]);
        assert_eq!(world.instance().status(), RuntimeStatus::Completed);
    }
    // A part that is still being undone has to be waited for, too.
    let mut world = start(&[step(0).op(), Await(0), Compensate(0), Return]);
    world.end_step(0, done());
    world.end_undo(0, done());
    assert_eq!(failure_of(&world).kind, FailureKind::StepsOpen);
}

#[test]
fn an_undo_is_retried_for_ever_with_pauses_up_to_a_minute() {
    let mut world = start(&[step(0).op(), Try(0), Fail]);
    world.end_step(0, done());
    let mut pauses = Vec::new();
    for attempt in 1..=20 {
        assert_eq!(world.outs(), [(undo(0), attempt)]);
        world.end_undo(0, Err(trap()));
        pauses.push((world.instance().wake_at().expect("it is retried") - world.now) / 1_000);
        world.wake();
    }
    assert_eq!(pauses[..8], [1, 2, 4, 8, 16, 32, 60, 60]);
    assert_eq!(world.state(), SagaState::Compensating);
    assert_eq!(world.instance().stuck(), []);
}

#[test]
fn an_undo_that_cannot_be_done_is_stuck_until_it_is_repaired() {
    let mut world = World::idle(
        vec![step(0).op(), Try(0), step(1).op(), Try(1), Fail],
        CallPolicy::default(),
        started(),
    );
    world.undo_policy.retry.max_attempts = 2;
    world.turn(None).expect("a start is not rejected");
    world.end_step(0, done());
    world.end_step(1, done());
    world.end_undo(1, Err(trap()));
    world.wake();
    world.end_undo(1, Err(trap()));
    assert!(world.last.stuck, "somebody has to be told");
    assert_eq!((world.state(), world.outs()), (SagaState::Stuck, vec![]));
    let [stuck] = &world.instance().stuck()[..] else { panic!("one is stuck") };
    assert_eq!((stuck.step, stuck.forward, stuck.attempts), (Some(1.into()), false, 2));
    assert_eq!((stuck.function.as_str(), stuck.failure.kind), ("U1", FailureKind::Trap));
    world.crash();
    assert_eq!((world.state(), world.outs()), (SagaState::Stuck, vec![]), "it stays stuck");

    // As it is: it has all its attempts again.
    world.repair(1, Repair::Retry).expect("it is stuck");
    assert_eq!((world.state(), world.outs()), (SagaState::Compensating, vec![(undo(1), 3)]));
    world.end_undo(1, Err(trap()));
    world.wake();
    world.end_undo(1, Err(trap()));
    // With another input, which lasts.
    world.repair(1, Repair::RetryWith(json("other"))).expect("it is stuck");
    assert_eq!(world.last.attempts[0].input, json("other"));
    world.end_undo(1, Err(trap()));
    world.crash();
    world.wake();
    assert_eq!(world.last.attempts[0].input, json("other"));
    world.end_undo(1, Err(returned(false)));
    // By hand.
    let by_hand = Repair::Done(json("see ticket 7"));
    let command = Command::Repair {
        step: 1.into(),
        repair: by_hand.clone(),
        note: "refunded at the counter".into(),
        by: "ben".into(),
    };
    world.turn(Some(command)).expect("it is stuck");
    let repaired = world.journal().into_iter().rev().find_map(|event| match event {
        Event::Repaired { step, repair, note, by } => Some((step, repair, note, by)),
        _ => None,
    });
    let expected = (1.into(), by_hand, "refunded at the counter".into(), "ben".into());
    assert_eq!(repaired, Some(expected));
    assert_eq!(world.outs(), [(undo(0), 1)], "the next one begins");
    world.end_undo(0, done());
    assert_eq!(world.state(), SagaState::Compensated);
    assert_eq!(world.instance().undone_steps().len(), 2);
}

#[test]
fn what_cannot_be_done_is_rejected_and_changes_nothing() {
    let mut world = start(&[step(0).op(), Try(0), step(1).op(), Try(1)]);
    world.end_step(0, done());
    assert_eq!(world.repair(0, Repair::Retry), Err(Rejected::NotStuck(0.into())));
    assert_eq!(world.repair(9, Repair::Retry), Err(Rejected::NoSuchStep(9.into())));
    let part = UndoId { task: 0, part: 1 };
    assert_eq!(world.repair(part, Repair::Retry), Err(Rejected::NoSuchStep(part)));
    world.cancel().expect("it runs");
    let journal = world.journal();
    world.cancel().expect("it is wanted already");
    world.terminate(true).expect("it is being undone already");
    assert_eq!(world.terminate(false), Err(Rejected::Undoing));
    assert_eq!(world.journal(), journal);
    world.end_step(1, Err(Failure::host(FailureKind::Cancelled, "told to end")));
    world.end_undo(1, done());
    world.end_undo(0, done());
    let ended = Err(Rejected::Ended(RuntimeStatus::Canceled));
    assert_eq!((world.cancel(), world.terminate(false)), (ended, ended));
    assert_eq!(world.repair(0, Repair::Retry), ended);
}

#[test]
fn terminate_leaves_things_as_they_are() {
    let mut world = start(&[step(0).op(), Try(0), step(1).op(), Try(1)]);
    world.end_step(0, done());
    world.terminate(false).expect("nothing is being undone");
    assert_eq!(world.last.stops, [1]);
    assert_eq!(world.instance().status(), RuntimeStatus::Terminated);
    assert_eq!(world.state(), SagaState::Armed);
    assert_eq!(world.instance().undo_plan().len(), 2);
}

#[test]
fn a_code_that_is_lost_is_undone_without_it() {
    let lost = || Failure::host(FailureKind::CodeLost, "its component is gone");
    let mut world = start(&[step(0).op(), Try(0), Op::Event(0), Await(1)]);
    assert!(world.orchestration.clone().code_lost(lost()));
    world.end_step(0, done());
    world.crash();
    assert!(world.orchestration.code_lost(lost()));
    world.turn(None).expect("nothing to reject");
    world.end_undo(0, done());
    assert_eq!(failure_of(&world).kind, FailureKind::CodeLost);
    let mut without = start(&[step(0).bare().op(), Try(0)]);
    assert!(!without.orchestration.code_lost(lost()), "there is nothing to undo");
    let mut past = start(&[step(0).pivot().op(), Try(0), step(1).op(), Try(1)]);
    past.end_step(0, done());
    assert!(!past.orchestration.code_lost(lost()), "it can only go forward");
}

#[test]
fn a_retry_that_may_have_begun_in_a_host_that_is_gone_is_unknown() {
    let policy = CallPolicy {
        retry: RetryPolicy { max_attempts: 3, ..RetryPolicy::default() },
        ..CallPolicy::default()
    };
    let begin = || {
        let mut world = World::start(vec![step(0).op(), Try(0)], policy.clone());
        world.end_step(0, Err(returned(true)));
        world
    };
    // It was out when the host ended. That it says nothing happened in the
    // third attempt says nothing about the second.
    let mut world = begin();
    world.wake();
    assert_eq!(world.outs(), [(Work::Step(0), 2)]);
    world.crash();
    assert_eq!(world.outs(), [(Work::Step(0), 3)]);
    world.end_step(0, Err(returned(false)));
    assert_eq!(world.outs(), [(undo(0), 1)]);
    // It waited when the host ended, or there was no other host: it did not
    // begin, and each attempt says that it did nothing.
    let mut world = begin();
    world.crash();
    assert_eq!(world.outs(), []);
    world.wake();
    world.end_step(0, Err(returned(false)));
    assert_eq!((world.outs(), world.ended()), (vec![], true));
    let mut world = begin();
    world.now += 5_000;
    world.orchestration.at(world.now);
    let alive = Command::HostLost { alive: Vec::new(), since: 0 };
    world.turn_of(vec![alive, Command::Tick]).expect("never rejected");
    assert_eq!(world.outs(), [(Work::Step(0), 2)]);
}

#[test]
fn the_replay_of_a_saga_that_was_ended_from_outside_stops_where_its_code_stopped() {
    // The completion and the end come in one turn: the code saw neither.
    let ends = [
        Command::Cancel { reason: String::new() },
        Command::Terminate { reason: String::new(), compensate: false },
        Command::Terminate { reason: String::new(), compensate: true },
    ];
    for end in ends {
        let mut world = start(&[step(0).bare().op(), Try(0), step(1).op(), Try(1)]);
        world.out.clear();
        let ok = world.attempt_ended(Work::Step(0), 1, done());
        world.turn_of(vec![ok, end]).expect("it had not ended");
        assert!(world.ended());
        world.replay().expect("the code does what it did");
    }
}

#[test]
fn a_deadline_undoes_and_never_cuts_into_the_code() {
    let with_deadline = |script: Vec<Op>| {
        let started = Started { deadline: Some(50_000), ..started() };
        World::start_with(script, CallPolicy::default(), started)
    };
    let mut world = with_deadline(vec![step(0).op(), Try(0), Op::Event(0), Await(1)]);
    world.end_step(0, done());
    world.crash();
    assert_eq!(world.instance().wake_at(), Some(50_000));
    world.wake();
    assert_eq!(world.state(), SagaState::Compensating);
    world.end_undo(0, done());
    assert_eq!(failure_of(&world).kind, FailureKind::Deadline);

    // Where nothing is to be undone, it ends at once.
    let mut world = with_deadline(vec![Op::Event(0), Await(0)]);
    world.wake();
    assert_eq!(failure_of(&world).kind, FailureKind::Deadline);
    world.replay().expect("the code waits where it waited");

    // Past the pivot it is of no consequence.
    let mut world = with_deadline(vec![step(0).pivot().op(), Try(0), Op::Event(0), Await(1)]);
    world.end_step(0, done());
    assert_eq!(world.instance().wake_at(), None);
    world.now = 60_000;
    world.turn(Some(Command::Tick)).expect("never rejected");
    assert_eq!(world.state(), SagaState::PastPivot);

    // A step completes after the deadline and before the tick that tells: the
    // code, which then asks for a timer that is due, is not ended in between.
    let mut world = with_deadline(vec![step(0).op(), Try(0), Timer(0), step(1).op(), Try(2)]);
    world.now = 60_000;
    world.end_step(0, done());
    assert_eq!((world.state(), world.outs().len()), (SagaState::Armed, 1));
    world.turn(Some(Command::Tick)).expect("never rejected");
    assert!(world.out[0].stopping);
}

#[test]
fn a_late_result_is_journaled_and_changes_nothing() {
    let mut world = start(&[step(0).op(), Try(0)]);
    world.cancel().expect("it runs");
    world.end_step(0, Err(Failure::host(FailureKind::Cancelled, "told to end")));
    let before = world.instance().undo_plan();
    world.deliver(Work::Step(0), 1, done());
    let late: Vec<_> = world.events().cloned().collect();
    assert!(
        matches!(&late[..], [Event::LateResult { task: 0, attempt: 1, output: Some(_), .. }]),
        "{late:?}"
    );
    assert_eq!(world.instance().undo_plan(), before);
    assert_eq!(before[0].undone.outcome, StepOutcome::Unknown);
    world.deliver(Work::Step(0), 1, done());
    assert_eq!(world.events().count(), 0, "once");
}

#[test]
fn scopes_nest_up_to_a_limit() {
    let mut orchestration = Orchestration::start(0, started());
    for parent in 0..64 {
        assert_eq!(orchestration.request(Request::OpenScope { parent }).unwrap(), parent + 1);
    }
    let refused = orchestration.request(Request::OpenScope { parent: 64 }).unwrap_err();
    assert!(refused.code.contains("64"), "{refused}");
    // Beside each other there may be any number.
    for number in 65..200 {
        assert_eq!(orchestration.request(Request::OpenScope { parent: 0 }).unwrap(), number);
    }
    for request in [
        Request::OpenScope { parent: 200 },
        Request::UndoInParallel { scope: 200 },
        Request::Compensate { scope: 200 },
    ] {
        let refused = orchestration.request(request).unwrap_err();
        assert!(refused.code.contains("scope 200"), "{refused}");
    }
}

const MANY: u32 = 10_000;

/// Ten thousand steps at once.
fn many(first: &[Op], last: &[Op]) -> World {
    let steps = (0..MANY).map(|_| step(0).op());
    start(&first.iter().cloned().chain(steps).chain(last.iter().cloned()).collect::<Vec<_>>())
}

/// All attempts that are out end, in one turn.
fn all_end(world: &mut World, outcome: &Result<Json, Failure>) -> usize {
    let out = std::mem::take(&mut world.out);
    let ends = out.iter().map(|out| world.attempt_ended(out.work, out.attempt, outcome.clone()));
    let ends = ends.collect();
    world.turn_of(ends).expect("never rejected");
    out.len()
}

fn all_are_undone(mut world: World, at_a_time: u32) {
    assert_eq!(world.instance().undo_plan().len(), MANY as usize);
    let mut undone = 0;
    while !world.ended() {
        assert_eq!(world.out.len(), at_a_time as usize);
        undone += all_end(&mut world, &done());
    }
    assert_eq!((undone, world.state()), (MANY as usize, SagaState::Compensated));
    assert_eq!(world.instance().undone_steps().len(), MANY as usize);
}

#[test]
fn ten_thousand_steps_are_undone_at_once() {
    let awaits: Vec<_> = (0..MANY).map(Await).chain([Fail]).collect();
    let mut world = many(&[Parallel(0)], &awaits);
    all_end(&mut world, &done());
    all_are_undone(world, MANY);
}

#[test]
fn ten_thousand_steps_are_undone_one_after_the_other() {
    let awaits: Vec<_> = (0..MANY).map(Await).chain([Fail]).collect();
    let mut world = many(&[], &awaits);
    all_end(&mut world, &done());
    all_are_undone(world, 1);
}

#[test]
fn ten_thousand_steps_that_run_are_ended_and_undone() {
    let mut world = many(&[Parallel(0)], &[Await(0)]);
    world.cancel().expect("it runs");
    assert_eq!(world.last.stops.len(), MANY as usize);
    let cancelled = Failure::host(FailureKind::Cancelled, "told to end");
    all_end(&mut world, &Err(cancelled));
    all_are_undone(world, MANY);
}

#[test]
fn ten_thousand_steps_are_not_begun_where_the_code_fails_at_once() {
    let world = many(&[], &[Fail]);
    assert_eq!((world.out.len(), world.ended()), (0, true));
}

#[test]
fn a_scope_that_is_opened_and_not_used_is_no_obstacle() {
    let mut world = start(&[Open(0), Open(1), step(0).op(), Try(0), Compensate(2), Await(1), Fail]);
    world.end_step(0, done());
    assert_eq!(world.outs(), [(undo(0), 1)], "the empty scope is undone at once");
}
