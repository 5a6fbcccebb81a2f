//! A saga that passes its pivot can only go forward.

mod support;

use sagahost_core::*;
use support::Op::{Await, Compensate, Fail, Open, Try, TryAny};
use support::{Op, World, json, returned, step, trap};

fn start(script: &[Op]) -> World {
    World::start(script.to_vec(), CallPolicy::default())
}

fn undo(task: TaskId) -> Work {
    Work::Undo(task.into())
}

fn done() -> Result<Json, Failure> {
    Ok(json("done"))
}

/// Step 0 is done, the pivot runs, and then there is one more step.
fn at_pivot() -> World {
    let mut world =
        start(&[step(0).op(), Try(0), step(1).pivot().op(), Try(1), step(2).op(), Try(2)]);
    world.end_step(0, done());
    world
}

#[test]
fn passing_it_drops_all_undos() {
    let mut world = at_pivot();
    assert_eq!(world.instance().undo_plan().len(), 2);
    world.end_step(1, done());
    assert_eq!((world.instance().undo_plan(), world.state()), (vec![], SagaState::PastPivot));
    assert_eq!(world.cancel(), Err(Rejected::PastPivot));
    assert_eq!(world.terminate(true), Err(Rejected::PastPivot));
    world.end_step(2, done());
    assert_eq!(world.state(), SagaState::Committed);
}

#[test]
fn a_cancel_while_it_runs_is_void_when_it_completes() {
    for crash in [false, true] {
        let mut world = at_pivot();
        world.cancel().expect("it is not past its pivot");
        assert!(!world.out[0].stopping, "a pivot is never interrupted");
        assert_eq!((world.state(), world.outs().len()), (SagaState::Compensating, 1));
        if crash {
            world.crash();
        }
        world.end_step(1, done());
        assert_eq!(world.state(), SagaState::PastPivot);
        assert_eq!(world.outs(), [(Work::Step(2), 1)], "the code goes on");
        world.end_step(2, done());
        assert_eq!(world.instance().status(), RuntimeStatus::Completed);
        assert_eq!(world.state(), SagaState::Committed);
    }
}

#[test]
fn a_cancel_while_it_runs_undoes_when_it_fails() {
    let mut world = at_pivot();
    world.cancel().expect("it is not past its pivot");
    world.end_step(1, Err(returned(false)));
    assert_eq!(world.outs(), [(undo(0), 1)], "the pivot says that it did nothing");
    world.end_undo(0, done());
    assert_eq!(world.instance().status(), RuntimeStatus::Canceled);
    assert_eq!(world.state(), SagaState::Compensated);
}

#[test]
fn other_steps_go_on_while_an_undo_waits_for_it() {
    let mut world = start(&[step(0).op(), step(1).pivot().op(), TryAny, TryAny]);
    world.cancel().expect("it is not past its pivot");
    assert!(world.out.iter().all(|out| !out.stopping));
    world.end_step(0, done());
    world.end_step(1, done());
    assert_eq!(world.instance().status(), RuntimeStatus::Completed);

    let mut world = start(&[step(0).op(), step(1).pivot().op(), TryAny, TryAny]);
    world.cancel().expect("it is not past its pivot");
    world.end_step(1, Err(returned(false)));
    assert!(world.out[0].stopping, "now it is to be undone");
}

#[test]
fn a_pivot_of_which_nobody_knows_is_attempted_until_somebody_knows() {
    let mut world = at_pivot();
    for attempt in 1..10 {
        assert_eq!(world.outs(), [(Work::Step(1), attempt)]);
        world.end_step(1, Err(trap()));
        world.wake();
    }
    world.end_step(1, Err(Failure::host(FailureKind::BadOutput, "no JSON")));
    assert_eq!(world.state(), SagaState::Stuck);
    let [stuck] = &world.instance().stuck()[..] else { panic!("one is stuck") };
    assert_eq!((stuck.step, stuck.forward), (Some(1.into()), true));
    // An undo that was asked for waits for it, too.
    world.cancel().expect("it is not past its pivot");
    assert_eq!((world.state(), world.outs()), (SagaState::Stuck, vec![]));
    world.crash();
    assert_eq!((world.state(), world.outs()), (SagaState::Stuck, vec![]));
    world.repair(1, Repair::Done(json("paid at the counter"))).expect("it is stuck");
    assert_eq!(world.outs(), [(Work::Step(2), 1)], "it is passed, and the code goes on");
}

#[test]
fn a_stuck_pivot_is_not_undone_with_its_scope() {
    let mut world = start(&[
        Open(0),
        step(0).of(1).op(),
        Await(0),
        step(1).of(1).pivot().op(),
        Compensate(1),
        Await(2),
    ]);
    world.end_step(0, done());
    world.end_step(1, Err(Failure::host(FailureKind::BadOutput, "no JSON")));
    assert_eq!((world.state(), world.outs()), (SagaState::Stuck, vec![]));
    world.repair(1, Repair::Retry).expect("it is stuck");
    world.end_step(1, Err(returned(false)));
    // What the second attempt says does not tell what the first one did.
    assert_eq!((world.state(), world.outs()), (SagaState::Stuck, vec![]));
    world.repair(1, Repair::Retry).expect("it is stuck");
    world.end_step(1, done());
    assert_eq!(world.state(), SagaState::Committed, "it was passed before anything was undone");
}

#[test]
fn a_step_after_it_is_attempted_until_it_is_done() {
    let mut world = at_pivot();
    world.end_step(1, done());
    for attempt in 1..10 {
        assert_eq!(world.outs(), [(Work::Step(2), attempt)]);
        world.end_step(2, Err(trap()));
        world.wake();
    }
    world.end_step(2, Err(returned(false)));
    assert!(world.last.stuck);
    assert_eq!(world.state(), SagaState::Stuck);
    world.repair(2, Repair::RetryWith(json("other"))).expect("it is stuck");
    assert_eq!(world.last.attempts[0].input, json("other"));
    world.end_step(2, Err(returned(false)));
    world.repair(2, Repair::Done(json("by hand"))).expect("it is stuck");
    let Some(End::Completed(output)) = world.instance().end() else { panic!("it is done") };
    assert!(output.as_str().contains("by hand"), "it is the step's result: {output:?}");
    assert_eq!(world.state(), SagaState::Committed);
}

#[test]
fn a_step_that_ran_when_it_was_passed_is_attempted_until_it_is_done_as_well() {
    let mut world = start(&[step(0).op(), step(1).pivot().op(), TryAny, TryAny]);
    world.end_step(1, done());
    world.end_step(0, Err(returned(true)));
    world.wake();
    assert_eq!(world.outs(), [(Work::Step(0), 2)]);
    world.end_step(0, Err(returned(false)));
    assert_eq!(world.state(), SagaState::Stuck);
    world.repair(0, Repair::Retry).expect("it is stuck");
    world.end_step(0, done());
    assert_eq!(world.state(), SagaState::Committed);
}

#[test]
fn a_code_that_fails_past_it_is_blocked_and_needs_a_person() {
    for crash in [false, true] {
        let mut world = start(&[step(0).pivot().op(), Try(0), Fail]);
        world.end_step(0, done());
        if crash {
            world.crash();
        }
        assert!(world.last.stuck || crash);
        assert_eq!(world.state(), SagaState::Stuck);
        let blocked = world.instance().blocked();
        assert!(
            matches!(blocked, Some(BlockedReason::PastPivot { failure }) if failure.code == "gave-up")
        );
        let [stuck] = &world.instance().stuck()[..] else { panic!("the code is stuck") };
        assert_eq!((stuck.step, stuck.function.as_str()), (None, "Modelled"));
        assert!(!world.orchestration.may_run());
        world.replay().expect("it fails again");
        assert_eq!(world.cancel(), Err(Rejected::PastPivot));
        world.terminate(false).expect("that is what is left to do");
        assert_eq!(world.state(), SagaState::PastPivot);
        world.replay().expect("it fails again");
    }
}

#[test]
fn a_code_that_fails_while_it_runs_is_undone_if_it_fails_and_blocked_if_it_completes() {
    let begin = || {
        let mut world =
            start(&[step(0).op(), Try(0), step(1).pivot().op(), Op::Event(0), Await(2), Fail]);
        world.end_step(0, done());
        let raise = Command::RaiseEvent { name: "E0".into(), input: Json::null(), from: None };
        world.turn(Some(raise)).expect("it has not ended");
        assert_eq!((world.state(), world.outs().len()), (SagaState::Compensating, 1));
        world
    };
    let mut world = begin();
    world.end_step(1, Err(returned(false)));
    world.end_undo(0, done());
    assert_eq!(world.instance().status(), RuntimeStatus::Failed);
    let mut world = begin();
    world.end_step(1, done());
    assert_eq!((world.state(), world.outs()), (SagaState::Stuck, vec![]));
    assert!(world.last.stuck, "somebody has to be told");
    world.replay().expect("it fails again");
}

#[test]
fn a_person_may_find_that_a_pivot_did_nothing() {
    for crash in [false, true] {
        let mut world = at_pivot();
        world.crash();
        world.end_step(1, Err(returned(false)));
        assert_eq!(world.state(), SagaState::Stuck, "the attempt that was lost may have passed it");
        world.cancel().expect("it is not past its pivot");
        assert_eq!(world.repair(0, Repair::Failed), Err(Rejected::NotStuck(0.into())));
        world.repair(1, Repair::Failed).expect("it is stuck");
        if crash {
            world.crash();
        }
        assert!(world.outs().iter().all(|(work, _)| *work == undo(0)), "{:?}", world.outs());
        world.end_undo(0, Err(returned(false)));
        assert_eq!(world.repair(0, Repair::Failed), Err(Rejected::UndoFailed(0.into())));
        world.repair(0, Repair::Done(json("by hand"))).expect("it is stuck");
        assert_eq!(world.instance().status(), RuntimeStatus::Canceled);
        assert_eq!(world.state(), SagaState::Compensated);
    }
}
