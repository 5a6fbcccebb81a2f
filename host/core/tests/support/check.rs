//! What holds in every state of a saga, and at every end.

use sagahost_core::*;

use super::World;
use super::explore::Node;
use super::json;
use super::model::{Backward, Effect, Forward, Model};

/// Checks a state, and returns it as it is loaded from its journal.
pub fn check_state(node: &Node) -> World {
    let (world, model) = (&node.world, &node.model);
    assert_eq!(world.blocked, None, "a faithful code never differs from its journal");
    let mut reloaded = world.clone();
    reloaded.reload();
    let (stored, live) = (reloaded.instance(), world.instance());
    if live.end().is_none() {
        assert_eq!(stored, live, "what the journal says is what is");
    }
    assert_eq!((stored.end(), stored.events()), (live.end(), live.events()));
    assert_eq!(stored.handed_over(), live.handed_over());
    if let Ok(trace) = reloaded.clone().replay_on().map_err(|mismatch| panic!("{mismatch}"))
        && let Some(code) = &world.code
        && world.orchestration.may_run()
    {
        assert_eq!(trace, code.trace, "a replay sees the same");
    }
    if !world.orchestration.may_run() {
        world.replay_merged().expect("also where turns are stored together");
    }
    assert_eq!(world.state(), model.saga_state());
    check_plan(world, model);
    check_out(world, model);
    if model.ended.is_none() {
        check_rejections(node);
        check_late(node);
    }
    reloaded
}

/// What would be undone, in which order.
fn check_plan(world: &World, model: &Model) {
    let plan = world.instance().undo_plan();
    let mut planned: Vec<_> = plan.iter().map(|undo| undo.id).collect();
    planned.sort_unstable();
    if model.ended == Some("completed") && !model.is_child {
        assert_eq!(planned, []);
        return;
    }
    assert_eq!(planned, model.left(), "what is left to undo");
    for undo in &plan {
        let before: Vec<_> = plan
            .iter()
            .filter(|other| model.order_of(other.id, undo.id) == std::cmp::Ordering::Less)
            .collect();
        for other in &before {
            assert!(other.stage < undo.stage, "{} comes before {}", other.id, undo.id);
        }
        // What comes before it comes right before it.
        let last = before.iter().map(|other| other.stage + 1).max();
        assert_eq!(undo.stage, last.unwrap_or(0), "the stage of {}", undo.id);
        assert_eq!(undo.undone.outcome, model.outcome(undo.id));
    }
    let handed = world.instance().handed_over();
    assert_eq!(handed.len(), plan.len());
}

/// What is out is what the rules want out.
fn check_out(world: &World, model: &Model) {
    let is_out = |work| world.find(work).is_some();
    for (task, step) in &model.steps {
        let out = step.state == Forward::Out && model.ended.is_none();
        if step.child {
            assert!(!out || world.children.iter().any(|child| child.task == *task));
        } else if model.ended.is_none() {
            assert_eq!(is_out(Work::Step(*task)), out, "step {task}");
        }
    }
    for (id, undo) in &model.undos {
        assert_eq!(is_out(Work::Undo(*id)), undo.state == Backward::Out, "undo {id}");
    }
    if let Some(code) = &world.code
        && world.orchestration.may_run()
    {
        assert!(!code.is_done(), "the code has ended, and the saga has not");
    }
}

/// Commands that come at the wrong time change nothing.
fn check_rejections(node: &Node) {
    let (world, model) = (&node.world, &node.model);
    let mut orchestration = world.orchestration.clone();
    let mut probe = |command: Command| {
        let result = orchestration.handle(command);
        let turn = orchestration.end_turn();
        assert_eq!((turn.records.len(), turn.attempts.len()), (0, 0), "{turn:?}");
        result
    };
    let repair = |step| Command::Repair {
        step,
        repair: Repair::Done(Json::null()),
        note: String::new(),
        by: String::new(),
    };
    let missing = UndoId { task: 99, part: 0 };
    assert_eq!(probe(repair(missing)), Err(Rejected::NoSuchStep(missing)));
    for (id, undo) in &model.undos {
        let stuck = undo.state == Backward::Stuck
            || (id.part == 0 && model.steps[&id.task].state == Forward::Stuck);
        if !stuck {
            assert_eq!(probe(repair(*id)), Err(Rejected::NotStuck(*id)));
        }
    }
    let cancel = Command::Cancel { reason: "again".into() };
    if model.past_pivot {
        assert_eq!(probe(cancel), Err(Rejected::PastPivot));
    } else if model.unwinding.is_some() {
        assert_eq!(probe(cancel), Ok(()));
        let terminate = Command::Terminate { reason: String::new(), compensate: false };
        assert_eq!(probe(terminate), Err(Rejected::Undoing));
    }
}

/// News of attempts that are not out are late, and change nothing.
fn check_late(node: &Node) {
    let (world, model) = (&node.world, &node.model);
    let mut orchestration = world.orchestration.clone();
    let mut late = |work, attempt| {
        let command = world.attempt_ended(work, attempt, Ok(json("late")));
        orchestration.handle(command).expect("an attempt's end is never rejected");
        let turn = orchestration.end_turn();
        assert_eq!(turn.attempts, []);
        turn.records
    };
    for (task, step) in model.steps.iter().filter(|(_, step)| !step.child) {
        for attempt in 1..=step.attempt + 1 {
            if (step.state, step.attempt) == (Forward::Out, attempt) {
                continue;
            }
            let records = late(Work::Step(*task), attempt);
            let journaled = matches!(
                records[..],
                [Record(_, Event::LateResult { attempt: late, .. })] if late == attempt
            );
            assert_eq!(journaled, step.given_up == Some(attempt), "{records:?}");
            assert!(journaled || records.is_empty(), "{records:?}");
        }
    }
    for (id, undo) in &model.undos {
        for attempt in 1..=undo.attempt + 1 {
            if (undo.state, undo.attempt) != (Backward::Out, attempt) {
                assert_eq!(late(Work::Undo(*id), attempt), []);
            }
        }
    }
    let (before, after) = (world.instance(), orchestration.instance());
    assert_eq!(after.undo_plan(), before.undo_plan());
    assert_eq!(after.running(), before.running());
    assert_eq!(after.saga_state(), before.saga_state());
}

/// Checks what an attempt is told.
pub fn check_attempt(node: &Node, attempt: &Attempt) {
    let model = &node.model;
    let forward = |task| format!("{}-{task}", node.world.instance().started().execution);
    match attempt.work {
        Work::Step(task) => {
            assert_eq!(attempt.key, forward(task));
            assert_eq!((&attempt.undone, &attempt.digest), (&None, &None));
        }
        Work::Undo(id) => {
            let undone = attempt.undone.as_ref().expect("it is told what it undoes");
            let undo = &model.undos[&id];
            assert_eq!(attempt.key, format!("{}-undo", undone.key));
            assert_eq!(undone.outcome, model.outcome(id));
            assert_eq!(undone.output.is_some(), undone.outcome == StepOutcome::Completed);
            assert!(attempt.digest.is_some());
            if undo.handed.is_some() {
                assert!(undone.instance.is_some() && undone.key != forward(id.task));
            } else {
                assert_eq!((undone.task, &undone.instance), (id.task, &None));
                assert_eq!(undone.key, forward(id.task));
            }
            if undo.mended {
                assert_eq!(attempt.input, json("mended"));
            } else if undo.handed.is_none() {
                assert_eq!(attempt.input, undone.input, "the step's own input");
            }
        }
    }
}

/// What is in place at the end is what the rules leave there.
pub fn check_end(node: &Node) {
    let (world, model) = (&node.world, &node.model);
    let in_wanted = |id: &UndoId| model.wanted.iter().any(|part| model.is_in(*part, id.task));
    let in_place = |id: &UndoId| model.effects.get(id).copied().unwrap_or(Effect::None);
    for (id, undo) in &model.undos {
        let undone = undo.state != Backward::Armed;
        match model.ended {
            Some("completed") => {
                assert!(!undone || in_wanted(id), "{id} is undone, and nobody wanted it");
            }
            // It was to leave things as they are.
            Some("terminated") if !undone && model.is_left(*id) => {}
            // What is left of a child is left to its parent.
            _ if model.is_child && model.is_left(*id) => {
                let plan = world.instance().undo_plan();
                assert!(plan.iter().any(|planned| planned.id == *id));
            }
            _ if model.past_pivot => {}
            _ => {
                let excluded = !undo.when.includes(model.outcome(*id)) && undo.handed.is_none();
                assert!(
                    in_place(id) == Effect::None || excluded,
                    "{id} may be in place: {:?}",
                    model.effects
                );
                assert_eq!(undo.state == Backward::Done, !excluded, "{id}");
            }
        }
    }
    assert_eq!(world.instance().wake_at(), None);
    assert!(!world.instance().is_busy());
    assert_eq!(world.instance().stuck(), []);
}
