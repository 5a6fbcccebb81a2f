//! A tree of orchestrations unwinds as one.

mod support;

use sagahost_core::*;
use support::Op::{self, Await, Event, Fail, Parallel, Try, TryAny};
use support::explore::handed_undo;
use support::tree::{ROOT, Tree};
use support::{World, json, returned, started, step};

fn child(n: u8) -> Op {
    step(n).bare().child()
}

/// The functions that would be undone now, with their stages.
fn plan(world: &World) -> Vec<(u32, String)> {
    let plan = world.instance().undo_plan().into_iter();
    plan.map(|undo| (undo.stage, undo.function)).collect()
}

fn planned(stages: &[(u32, &str)]) -> Vec<(u32, String)> {
    stages.iter().map(|(stage, function)| (*stage, (*function).to_owned())).collect()
}

/// O0: A0, O1 (A1, O2 (A2, A3 in parallel), A4), A5; then it fails.
fn three_deep(last: &[Op]) -> Tree {
    let root = [step(0).op(), Try(0), child(1), Try(1), step(5).op(), Try(2)];
    let root = [&root[..], last].concat();
    Tree::start(&[
        ("O0", &root[..]),
        ("O1", &[step(1).op(), Try(0), child(2), Try(1), step(4).op(), Try(2)]),
        ("O2", &[Parallel(0), step(2).op(), step(3).op(), Try(0), Try(1)]),
    ])
}

#[test]
fn what_children_and_theirs_did_is_undone_in_its_place() {
    let mut tree = three_deep(&[Event(0), Await(3), Fail]);
    tree.finish();
    let all = [(0, "U5"), (1, "U4"), (2, "U3"), (2, "U2"), (3, "U1"), (4, "U0")];
    assert_eq!(plan(tree.root()), planned(&all));
    assert_eq!(tree.effects.len(), 6);
    // A child that ended keeps nothing but the knowledge that it was armed.
    let inner = tree.id_of("O1");
    assert_eq!(tree.worlds[&inner].state(), SagaState::Armed);
    let undone = &tree.root().instance().undo_plan()[2].undone;
    let innermost = tree.id_of("O2");
    assert_eq!(undone.instance.as_ref(), Some(&innermost), "the instance that scheduled it");
    assert_eq!((undone.task, undone.function.as_str()), (1, "A3"));
    assert_eq!(undone.key, tree.worlds[&innermost].instance().idempotency_key(1));
    assert_eq!(innermost, format!("{}:0001", tree.worlds[&inner].instance().started().execution));

    tree.tell(ROOT, World::cancel).expect("it waits");
    tree.finish();
    let stage = |done: &String| all.iter().find(|(_, planned)| planned == done).map(|it| it.0);
    let stages: Vec<_> = tree.undone.iter().map(stage).collect();
    assert!(stages.len() == 6 && stages.is_sorted(), "{:?}", tree.undone);
    assert_eq!(tree.effects.len(), 0);
    assert_eq!(tree.root().instance().status(), RuntimeStatus::Canceled);
    assert_eq!(tree.root().state(), SagaState::Compensated);
}

#[test]
fn at_whatever_point_it_ends_nothing_is_left_in_place() {
    // Cancelled after each number of attempts, with and without crashes.
    let mut ends = 0;
    for crash in [false, true] {
        for after in 0..6 {
            let mut tree = three_deep(&[]);
            for _ in 0..after {
                assert!(tree.go_on());
            }
            if tree.root().ended() {
                continue;
            }
            tree.tell(ROOT, World::cancel).expect("it has not ended");
            if crash {
                tree.crash();
            }
            while tree.go_on() {
                if crash {
                    tree.crash();
                }
            }
            assert_eq!(tree.root().instance().status(), RuntimeStatus::Canceled, "{after}");
            assert_eq!(tree.effects.len(), 0, "{after}: {:?}", tree.undone);
            assert!(tree.worlds.values().all(World::ended), "{after}");
            let expected = if after == 0 { 1 } else { after };
            assert!(tree.undone.len() >= expected.min(6), "{after}: {:?}", tree.undone);
            ends += 1;
        }
    }
    assert_eq!(ends, 12);
}

#[test]
fn a_child_that_fails_undoes_itself_and_then_its_parent_is_undone() {
    for failing in ["A0", "A1", "A2", "A3", "A4", "A5"] {
        let mut tree = three_deep(&[]);
        tree.failing.insert(failing.into());
        tree.finish();
        assert_eq!(tree.root().instance().status(), RuntimeStatus::Failed, "{failing}");
        assert_eq!(tree.effects.len(), 0, "{failing}: {:?}", tree.undone);
        assert!(tree.worlds.values().all(World::ended));
    }
    let mut tree = three_deep(&[]);
    tree.finish();
    assert_eq!(tree.root().state(), SagaState::Committed);
    assert_eq!((tree.effects.len(), tree.undone.len()), (6, 0));
}

#[test]
fn terminating_a_parent_ends_its_children_and_undoes_nothing() {
    let mut tree = three_deep(&[]);
    for _ in 0..3 {
        tree.go_on();
    }
    tree.tell(ROOT, |root| root.terminate(false)).expect("nothing is being undone");
    let ended = |world: &World| world.instance().status() == RuntimeStatus::Terminated;
    assert!(tree.worlds.values().all(ended));
    assert!(tree.undone.is_empty());
}

#[test]
fn a_child_past_its_pivot_goes_on_and_its_parent_waits() {
    let mut tree = Tree::start(&[
        ("O0", &[step(0).op(), Try(0), child(1), Try(1)]),
        ("O1", &[step(1).op(), Try(0), step(2).pivot().op(), Try(1), step(3).op(), Try(2)]),
    ]);
    for _ in 0..3 {
        tree.go_on();
    }
    let inner = tree.id_of("O1");
    assert_eq!(tree.worlds[&inner].state(), SagaState::PastPivot);
    tree.tell(ROOT, World::cancel).expect("it waits");
    assert!(!tree.worlds[&inner].ended() && !tree.root().ended());
    tree.finish();
    assert_eq!(tree.worlds[&inner].instance().status(), RuntimeStatus::Completed);
    assert_eq!(tree.undone, ["U0"], "what the child did is past its pivot");
    assert_eq!(tree.root().instance().status(), RuntimeStatus::Canceled);
}

#[test]
fn a_child_as_pivot_drops_what_it_hands_over() {
    let mut tree = Tree::start(&[
        ("O0", &[step(0).op(), Try(0), step(1).bare().pivot().child(), Try(1), Fail]),
        ("O1", &[step(1).op(), Try(0)]),
    ]);
    tree.finish();
    assert_eq!((plan(tree.root()), tree.root().state()), (vec![], SagaState::Stuck));
    assert_eq!(tree.effects.len(), 2);
}

fn handed(stages: &[u32]) -> Vec<HandedUndo> {
    stages.iter().enumerate().map(handed_undo).collect()
}

#[test]
fn stages_of_what_is_handed_over_are_kept() {
    let script =
        vec![step(0).op(), child(1), step(2).op(), TryAny, TryAny, TryAny, Event(0), Await(3)];
    let mut world = World::start(script, CallPolicy::default());
    world.end_step(0, Ok(json("done")));
    world.end_step(2, Ok(json("done")));
    world.end_child(1, Ok(json("done")), handed(&[0, 0, 3, 7]));
    let all = [(0, "U2"), (1, "V0"), (1, "V1"), (2, "V2"), (3, "V3"), (4, "U0")];
    assert_eq!(plan(&world), planned(&all));
    // It is itself a child: what it hands over is numbered on.
    let stages: Vec<_> = world.instance().handed_over().iter().map(|undo| undo.stage).collect();
    assert_eq!(stages, [0, 1, 1, 2, 3, 4]);
    let ids: Vec<_> = world.instance().undo_plan().iter().map(|undo| undo.id.to_string()).collect();
    assert_eq!(ids, ["2", "1.4", "1.3", "1.2", "1.1", "0"]);
    world.cancel().expect("it waits");
    world.end_undo(2, Ok(Json::null()));
    let parts = [(UndoId { task: 1, part: 4 }, 1), (UndoId { task: 1, part: 3 }, 1)];
    assert_eq!(world.outs(), parts.map(|(undo, attempt)| (Work::Undo(undo), attempt)));
    let attempt = world.instance().attempt_of(Work::Undo(parts[0].0)).expect("it is out");
    assert_eq!((attempt.key.as_str(), attempt.function.as_str()), ("child-0-undo", "V0"));
    assert_eq!((attempt.input, attempt.digest.as_deref()), (json(&0), Some("e")));
}

#[test]
fn a_compensation_of_its_own_replaces_what_a_completed_child_hands_over() {
    let begin = || World::start(vec![step(0).child(), Await(0), Fail], CallPolicy::default());
    let mut world = begin();
    world.end_child(0, Ok(json("done")), handed(&[0, 1]));
    assert_eq!(plan(&world), planned(&[(0, "U0")]));
    assert_eq!(world.last.attempts[0].input, json(&0), "the child's input");
    let mut world = begin();
    world.end_child(0, Err(returned(false)), handed(&[0, 1]));
    assert_eq!(plan(&world), planned(&[(0, "V0"), (1, "V1")]), "it did not complete");
}

#[test]
fn a_child_by_hand_leaves_nothing_to_undo() {
    let by_hand = Op::Child { step: step(0).bare(), by_hand: true };
    let mut world = World::start(vec![by_hand, Await(0), Fail], CallPolicy::default());
    world.end_child(0, Ok(json("done")), handed(&[0]));
    assert!(world.ended());
    assert_eq!((plan(&world), world.state()), (vec![], SagaState::None));
}

#[test]
fn a_child_that_is_told_to_hand_over_ends_what_runs_and_undoes_nothing() {
    let parent = Parent { id: ROOT.into(), execution: "e".into(), task: 0, attempt: 1 };
    let started = Started { parent: Some(parent), ..started() };
    let script = vec![step(0).op(), Try(0), step(1).op(), Try(1)];
    let mut world = World::start_with(script, CallPolicy::default(), started);
    world.end_step(0, Ok(json("done")));
    world.hand_over().expect("never rejected");
    assert!(world.out[0].stopping && !world.ended());
    world.end_step(1, Err(Failure::host(FailureKind::Cancelled, "told to end")));
    assert_eq!(world.instance().status(), RuntimeStatus::Canceled);
    assert_eq!((world.state(), world.outs()), (SagaState::Armed, vec![]));
    let handed = world.instance().handed_over();
    let seen: Vec<_> = handed
        .iter()
        .map(|undo| (undo.undone.function.as_str(), undo.undone.outcome, undo.stage))
        .collect();
    let expected = [("A1", StepOutcome::Unknown, 0), ("A0", StepOutcome::Completed, 1)];
    assert_eq!(seen, expected);
    assert!(handed.iter().all(|undo| undo.compensation.digest.is_some()));
    // Each is given its input along: the step's own, where it has no other.
    assert_eq!(handed[0].compensation.input, Some(json(&1)));
}

#[test]
fn an_undo_that_is_stuck_in_a_child_is_handed_over_as_it_was_mended() {
    let parent = Parent { id: ROOT.into(), execution: "e".into(), task: 0, attempt: 1 };
    let started = Started { parent: Some(parent), ..started() };
    let script = vec![step(0).op(), Try(0), Op::Compensate(0), Await(1)];
    let mut world = World::start_with(script, CallPolicy::default(), started);
    world.end_step(0, Ok(json("done")));
    world.end_undo(0, Err(returned(false)));
    world.repair(0, Repair::RetryWith(json("other"))).expect("it is stuck");
    world.hand_over().expect("never rejected");
    assert!(!world.ended(), "an undo that runs comes to its end");
    world.end_undo(0, Err(returned(false)));
    assert!(world.ended(), "a stuck one is the parent's business");
    let [handed] = &world.instance().handed_over()[..] else { panic!("one is left") };
    assert_eq!(handed.compensation.input, Some(json("other")));
}
