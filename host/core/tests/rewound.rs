//! Rewinding: what was completed and not undone is kept, and the rest is done
//! again.

mod support;

use std::collections::HashSet;

use sagahost_core::*;
use support::*;

fn once() -> CallPolicy {
    CallPolicy {
        retry: RetryPolicy { max_attempts: 1, ..RetryPolicy::default() },
        timeout_ms: 1_000,
    }
}

fn failed() -> Failure {
    returned(false)
}

fn key(world: &World, task: TaskId) -> String {
    world.instance().idempotency_key(task)
}

/// The completions that the code saw, with their times.
fn trace(world: &World) -> Vec<String> {
    world.code.as_ref().map(|code| code.trace.clone()).unwrap_or_default()
}

/// The state in memory is the one in the journal, and the code sees on replay
/// what it saw.
fn check(world: &World) {
    let mut loaded = world.clone();
    loaded.reload();
    assert_eq!(loaded.instance(), world.instance());
    let seen = world.replay().expect("a faithful code never differs from its journal");
    if world.code.is_some() {
        assert_eq!(seen, trace(world));
    }
}

#[test]
fn what_was_done_is_kept_and_what_failed_is_done_again_with_its_key() {
    let script = vec![
        step(0).bare().op(),
        Op::Await(0),
        step(1).bare().op(),
        Op::Try(1),
        step(2).bare().op(),
        Op::Try(2),
    ];
    let mut world = World::start(script, once());
    world.end_step(0, Ok(json("zero")));
    let (seen, failed_key) = (trace(&world), key(&world, 1));
    world.end_step(1, Err(failed()));
    assert_eq!(world.instance().status(), RuntimeStatus::Failed);
    check(&world);
    let events = world.instance().events();
    world.now += 5_000;
    world.rewind().expect("it failed");
    check(&world);
    assert_eq!(world.instance().status(), RuntimeStatus::Running);
    assert_eq!(world.outs(), [(Work::Step(1), 1)], "only what failed runs again");
    assert_eq!(world.last.attempts[0].key, failed_key);
    assert_eq!(trace(&world), seen, "with the result and the time that it had");
    assert!(world.instance().events() > events);
    world.end_step(1, Ok(json("one")));
    assert_eq!(world.last.attempts[0].key, format!("{}-r1-2", started().execution));
    world.end_step(2, Ok(json("two")));
    check(&world);
    assert_eq!(world.instance().status(), RuntimeStatus::Completed);
    let count = |wanted: &str| {
        let scheduled = |event: &&Event| matches!(event, Event::Scheduled { function, .. } if function == wanted);
        world.journal().iter().filter(scheduled).count()
    };
    assert_eq!([count("A0"), count("A1"), count("A2")], [2, 2, 1]);
}

#[test]
fn what_was_undone_is_done_again_with_a_key_of_its_own() {
    let script = vec![step(0).op(), Op::Await(0), step(1).op(), Op::Try(1)];
    let mut world = World::start(script, once());
    let mut keys = HashSet::from([key(&world, 0)]);
    for times in 1..4 {
        world.end_step(0, Ok(json(&times)));
        world.end_step(1, Err(failed()));
        let undo = world.last.attempts[0].clone();
        let undone = undo.undone.expect("it is an undo");
        assert_eq!(undone.key, key(&world, 0));
        assert!(keys.insert(undo.key), "the undo's key was there before");
        world.end_undo(0, Ok(Json::null()));
        assert_eq!(world.instance().saga_state(), SagaState::Compensated);
        world.rewind().expect("it failed");
        check(&world);
        assert_eq!(world.outs(), [(Work::Step(0), 1)], "the first step is to be done again");
        assert!(keys.insert(world.last.attempts[0].key.clone()), "{keys:?}");
        assert_eq!(world.instance().saga_state(), SagaState::Armed);
    }
    world.end_step(0, Ok(Json::null()));
    assert_eq!(world.last.attempts[0].key, format!("{}-1", started().execution));
    world.end_step(1, Ok(Json::null()));
    assert_eq!(world.state(), SagaState::Committed);
}

#[test]
fn a_mended_code_keeps_what_was_done_though_its_steps_have_other_numbers() {
    let parallel = |first: &[u8]| {
        let mut script: Vec<Op> = first.iter().map(|n| step(*n).bare().op()).collect();
        script.extend([Op::AwaitAny, Op::AwaitAny, Op::AwaitAny]);
        script
    };
    let mut script = parallel(&[0, 1, 2]);
    script.push(Op::Fail);
    let mut world = World::start(script, once());
    for task in [2, 0, 1] {
        world.end_step(task, Ok(json(&task)));
    }
    assert!(world.ended());
    let times: Vec<_> =
        trace(&world).iter().map(|line| line.split(" at ").last().map(str::to_owned)).collect();
    let mut mended = parallel(&[7, 2, 1, 0]);
    mended.push(Op::Await(0));
    world.script = mended.into();
    world.rewind().expect("it failed");
    check(&world);
    let seen = trace(&world);
    let order: Vec<_> = seen
        .iter()
        .map(|line| line.split([':', ',']).nth(1).unwrap_or_default().trim().to_owned())
        .collect();
    assert_eq!(order, ["1", "3", "2"], "what was 2, 0, 1");
    assert_eq!(
        seen.iter().map(|line| line.split(" at ").last().map(str::to_owned)).collect::<Vec<_>>(),
        times
    );
    assert_eq!(world.outs(), [(Work::Step(0), 1)], "only what is new runs");
}

#[test]
fn events_and_timers_come_as_they_came() {
    let script = vec![
        Op::Event(0),
        Op::Timer(50),
        Op::AwaitAny,
        Op::AwaitAny,
        Op::Event(0),
        Op::Await(2),
        step(0).bare().op(),
        Op::Try(3),
        Op::Event(0),
        Op::Await(4),
    ];
    let mut world = World::start(script, once());
    let raise = |world: &mut World, n: u8| {
        let command = Command::RaiseEvent { name: "E0".into(), input: json(&n), from: None };
        world.turn(Some(command)).expect("it runs");
    };
    world.wake();
    raise(&mut world, 1);
    raise(&mut world, 2);
    raise(&mut world, 3);
    let seen = trace(&world);
    world.end_step(3, Err(failed()));
    world.now += 1_000_000;
    world.rewind().expect("it failed");
    check(&world);
    assert_eq!(trace(&world), seen);
    raise(&mut world, 4);
    world.end_step(3, Ok(Json::null()));
    check(&world);
    assert!(trace(&world)[4].contains('3'), "{:?}", trace(&world));
    assert_eq!(world.instance().status(), RuntimeStatus::Completed);
}

#[test]
fn a_timer_that_was_given_up_does_not_overtake_what_came_before_it() {
    let script = vec![
        Op::Timer(50),
        step(0).bare().op(),
        Op::AwaitAny,
        Op::Cancel(0),
        step(1).bare().op(),
        Op::Try(2),
    ];
    let mut world = World::start(script, once());
    world.end_step(1, Ok(Json::null()));
    let seen = trace(&world);
    world.end_step(2, Err(failed()));
    world.now += 1_000;
    world.rewind().expect("it failed");
    check(&world);
    assert_eq!(trace(&world), seen, "the timer is overdue, and it is given up as before");
    assert_eq!(world.outs(), [(Work::Step(2), 1)]);
}

#[test]
fn an_event_whose_wait_is_given_up_goes_to_the_next_wait_as_before() {
    // An event is there when the waits are made. It goes to the first one, which
    // is given up unseen, and so to the second.
    let script = vec![
        step(0).bare().op(),
        Op::Await(0),
        Op::Event(0),
        Op::Event(0),
        Op::Cancel(1),
        Op::Await(2),
        step(1).bare().op(),
        Op::Try(3),
        Op::Event(0),
        Op::Await(4),
    ];
    let mut world = World::start(script, once());
    let raise = |world: &mut World, n: u8| {
        let command = Command::RaiseEvent { name: "E0".into(), input: json(&n), from: None };
        world.turn(Some(command)).expect("it runs");
    };
    raise(&mut world, 7);
    world.end_step(0, Ok(Json::null()));
    raise(&mut world, 8);
    let seen = trace(&world);
    assert!(seen[1].contains("RawValue(7)"), "{seen:?}");
    world.end_step(3, Err(failed()));
    world.rewind().expect("it failed");
    check(&world);
    assert_eq!(trace(&world), seen);
    world.end_step(3, Ok(Json::null()));
    assert!(trace(&world)[3].contains("RawValue(8)"), "{:?}", trace(&world));
    assert_eq!(world.instance().status(), RuntimeStatus::Completed);
}

#[test]
fn only_what_failed_can_be_rewound() {
    let script = vec![step(0).op(), Op::Try(0)];
    let mut world = World::start(script, once());
    let rejected = |world: &mut World, status| {
        assert_eq!(world.rewind(), Err(Rejected::NotFailed(status)));
    };
    rejected(&mut world, RuntimeStatus::Running);
    let mut completed = world.clone();
    completed.end_step(0, Ok(Json::null()));
    rejected(&mut completed, RuntimeStatus::Completed);
    let mut terminated = world.clone();
    terminated.terminate(false).expect("it runs");
    rejected(&mut terminated, RuntimeStatus::Terminated);
    world.cancel().expect("it runs");
    world.end_step(0, Ok(Json::null()));
    world.end_undo(0, Ok(Json::null()));
    rejected(&mut world, RuntimeStatus::Canceled);
}

#[test]
fn a_deadline_begins_anew_and_a_component_takes_the_place_of_the_old_one() {
    let start = Started { deadline: Some(START + 500), ..started() };
    let mut world = World::start_with(vec![Op::Event(0), Op::Await(0)], once(), start);
    let rewind = |world: &mut World| {
        world.wake();
        assert_eq!(world.instance().status(), RuntimeStatus::Failed);
        world.code = None;
        let digest = Some("new".into());
        let command = Command::Rewind { reason: "late".into(), digest, parent: None };
        world.turn(Some(command)).expect("it failed");
        check(world);
        assert_eq!(world.instance().started().deadline, Some(world.now + 500));
    };
    rewind(&mut world);
    rewind(&mut world);
    assert_eq!(world.instance().started().digest, "new");
    assert_eq!(world.instance().started_at(), START);
    let command = Command::RaiseEvent { name: "E0".into(), input: Json::null(), from: None };
    world.turn(Some(command)).expect("it runs");
    assert_eq!(world.instance().status(), RuntimeStatus::Completed);
}

#[test]
fn a_step_that_the_code_did_not_wait_for_is_kept() {
    let script = vec![step(0).bare().op(), step(1).op(), Op::Await(1)];
    let mut world = World::start(script.clone(), once());
    world.end_step(0, Ok(Json::null()));
    world.end_step(1, Ok(Json::null()));
    assert_eq!(world.instance().status(), RuntimeStatus::Completed);
    // The same with an end that fails.
    let mut world = World::start([script, vec![Op::Fail]].concat(), once());
    world.end_step(0, Ok(Json::null()));
    world.end_step(1, Ok(Json::null()));
    world.end_undo(1, Ok(Json::null()));
    world.rewind().expect("it failed");
    check(&world);
    assert_eq!(world.outs(), [(Work::Step(1), 1)]);
}

fn ask_child(saga: &mut Orchestration, n: u8, id: Option<&str>) -> TaskId {
    let request = Request::Child {
        function: format!("O{n}"),
        input: json(&n),
        undo: None,
        id: id.map(str::to_owned),
        policy: ChildPolicy::default(),
        by_hand: false,
        scope: 0,
        pivot: false,
    };
    saga.request(request).expect("a new request")
}

fn child_ended(
    saga: &mut Orchestration,
    task: TaskId,
    outcome: Result<Json, Failure>,
    stages: &[u32],
) {
    let handed = stages.iter().enumerate().map(support::explore::handed_undo).collect();
    saga.handle(Command::ChildEnded { task, outcome, handed }).expect("it runs");
}

fn fail(saga: &mut Orchestration) {
    saga.returned(Err(failed())).expect("nothing is replayed");
}

fn rewind(saga: &mut Orchestration) {
    let command = Command::Rewind { reason: String::new(), digest: None, parent: None };
    saga.handle(command).expect("it failed");
}

/// What a turn does about its children: the id, and the rewind, of each.
fn children(turn: &Turn) -> Vec<(&str, u32, Option<u32>)> {
    turn.children.iter().map(|child| (&*child.id, child.attempt, child.rewind)).collect()
}

#[test]
fn a_child_that_failed_is_rewound_and_one_that_was_ended_is_started_anew() {
    let mut saga = Orchestration::start(10, started());
    let execution = started().execution;
    for n in 0..4 {
        ask_child(&mut saga, n, (n == 3).then_some("mine"));
    }
    saga.end_turn();
    child_ended(&mut saga, 0, Err(failed()), &[]);
    child_ended(&mut saga, 1, Ok(json("kept")), &[]);
    let cancelled = Failure::host(FailureKind::Cancelled, "it was cancelled");
    child_ended(&mut saga, 2, Err(cancelled.clone()), &[]);
    child_ended(&mut saga, 3, Err(cancelled), &[]);
    fail(&mut saga);
    saga.end_turn();
    rewind(&mut saga);
    for n in 0..4 {
        ask_child(&mut saga, n, (n == 3).then_some("mine"));
    }
    let turn = saga.end_turn();
    let anew = format!("{execution}-r1:0002");
    let first = format!("{execution}:0000");
    assert_eq!(children(&turn), [(&*first, 1, Some(1)), (&*anew, 1, None), ("mine:2", 2, None)]);
    saga.parked().expect("nothing is replayed");
    let given = saga.next(&[]).expect("no mismatch").expect("it is recalled");
    assert_eq!((given.task, given.outcome), (1, Ok(json("kept"))));
    // A host that takes over says it again, but for one attempt only.
    saga.handle(Command::HostLost { alive: Vec::new(), since: 20 }).expect("never rejected");
    let turn = saga.end_turn();
    assert_eq!(children(&turn)[0], (&*first, 1, Some(1)));
    assert!(turn.children.iter().all(|child| child.again));
}

#[test]
fn a_child_whose_work_was_undone_is_started_anew_and_one_that_was_kept_hands_over_again() {
    let mut saga = Orchestration::start(10, started());
    let ask = |saga: &mut Orchestration, n| {
        let request = Request::Child {
            function: format!("O{n}"),
            input: json(&n),
            undo: None,
            id: None,
            policy: ChildPolicy::default(),
            by_hand: n == 1,
            scope: 0,
            pivot: false,
        };
        saga.request(request).expect("a new request")
    };
    let (undone, by_hand) = (ask(&mut saga, 0), ask(&mut saga, 1));
    child_ended(&mut saga, undone, Ok(Json::null()), &[0, 1]);
    child_ended(&mut saga, by_hand, Ok(Json::null()), &[0]);
    saga.end_turn();
    fail(&mut saga);
    let mut keys = HashSet::new();
    while saga.instance().end().is_none() {
        for attempt in saga.end_turn().attempts {
            keys.insert(attempt.key.clone());
            let (work, attempt) = (attempt.work, attempt.attempt);
            let (outcome, logs) = (Ok(Json::null()), Logs::default());
            let ended = Command::AttemptEnded { work, attempt, started_at: 0, outcome, logs };
            saga.handle(ended).expect("it runs");
        }
    }
    assert_eq!(keys.len(), 2);
    saga.end_turn();
    rewind(&mut saga);
    ask(&mut saga, 0);
    ask(&mut saga, 1);
    let turn = saga.end_turn();
    let anew = format!("{}-r1:0000", started().execution);
    assert_eq!(children(&turn), [(&*anew, 1, None)]);
    saga.parked().expect("nothing is replayed");
    assert_eq!(saga.next(&[]).expect("no mismatch").map(|given| given.task), Some(1));
}

#[test]
fn a_child_is_rewound_once_for_each_rewind_of_its_parent() {
    let parent = Parent { id: "p".into(), execution: "e".into(), task: 3, attempt: 2 };
    let start = Started { parent: Some(parent.clone()), ..started() };
    let mut saga = Orchestration::start(10, start);
    fail(&mut saga);
    let other = Parent { attempt: 1, ..parent.clone() };
    let told = |saga: &mut Orchestration, parent: &Parent, times| {
        let parent = Some((parent.clone(), times));
        let command = Command::Rewind { reason: String::new(), digest: None, parent };
        saga.handle(command).expect("what a parent says is never rejected");
        let rewound = saga.instance().end().is_none();
        if rewound {
            fail(saga);
        }
        rewound
    };
    assert!(!told(&mut saga, &other, 1), "it is another step's");
    assert!(told(&mut saga, &parent, 1));
    assert!(!told(&mut saga, &parent, 1), "that was said before");
    assert!(told(&mut saga, &parent, 2));
    rewind(&mut saga);
    fail(&mut saga);
    assert!(!told(&mut saga, &parent, 2));
}

#[test]
fn events_of_before_that_nobody_asked_for_are_carried_on() {
    let mut saga = Orchestration::start(10, started());
    for n in 0..3 {
        saga.handle(Command::RaiseEvent { name: "E".into(), input: json(&n), from: None })
            .expect("it runs");
    }
    for _ in 0..2 {
        saga.request(Request::Event { name: "E".into() }).expect("a new request");
    }
    fail(&mut saga);
    rewind(&mut saga);
    saga.continue_as_new(Json::null(), true);
    saga.returned(Ok(Json::null())).expect("nothing is replayed");
    saga.begin_anew("d".into(), 0);
    for n in 0..3 {
        let task = saga.request(Request::Event { name: "E".into() }).expect("a new request");
        let given = saga.next(&[task]).expect("no mismatch").expect("it was kept");
        assert_eq!(given.outcome, Ok(json(&n)));
    }
}

#[test]
fn the_results_that_are_recalled_can_be_read_from_the_journal() {
    let script = vec![step(0).bare().op(), Op::Await(0), Op::Fail];
    let mut world = World::start(script, once());
    world.end_step(0, Ok(json("zero")));
    world.rewind().expect("it failed");
    let records: Vec<Record> = world
        .chunks
        .iter()
        .enumerate()
        .flat_map(|(number, chunk)| decode_chunk(number, chunk).expect("it was just encoded"))
        .collect();
    assert_eq!(recalled(&records).expect("it is whole"), [json("zero")]);
}
