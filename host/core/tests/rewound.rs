//! Rewinding: what was completed and not undone is kept, and the rest is done
//! again.

mod support;

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;
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
        let command = Command::RaiseEvent { name: "E0".into(), input: json(&n) };
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
    let command = Command::RaiseEvent { name: "E0".into(), input: Json::null() };
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
        saga.handle(Command::RaiseEvent { name: "E".into(), input: json(&n) }).expect("it runs");
    }
    for _ in 0..2 {
        saga.request(Request::Event { name: "E".into() }).expect("a new request");
    }
    fail(&mut saga);
    rewind(&mut saga);
    saga.continue_as_new(Json::null(), true);
    saga.returned(Ok(Json::null())).expect("nothing is replayed");
    saga.begin_anew("d".into());
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
    assert_eq!(recalled(&records), [json("zero")]);
}

/// What of a step says that it is one of before: whether it is a child, its
/// function, and how a child is undone.
type Label = (bool, String, bool, bool);

/// What the runs so far came to, told by the journal and by the attempts.
#[derive(Default)]
struct Ledger {
    rewound: usize,
    /// Steps that were asked for since the last rewind.
    asked: HashMap<TaskId, Label>,
    /// Those of them that were attempted, or started, with their keys.
    attempted: HashMap<TaskId, String>,
    recalled: usize,
    /// What may be recalled: steps that were complete and not undone.
    kept: HashMap<Label, usize>,
    /// Keys of steps that failed and were not undone: they are to be used
    /// again.
    failed: HashMap<Label, Vec<String>>,
    /// All keys of attempts of earlier runs.
    keys: HashSet<String>,
    undone: HashSet<String>,
}

impl Ledger {
    /// Takes in a turn.
    fn take(&mut self, world: &World) {
        for event in world.events() {
            match event {
                Event::Scheduled { task, function, .. } => {
                    self.asked.insert(*task, (false, function.clone(), false, false));
                }
                Event::ChildScheduled { task, function, by_hand, undo, .. } => {
                    let own = undo.as_ref().is_some_and(|undo| undo.digest.is_some());
                    self.asked.insert(*task, (true, function.clone(), *by_hand, own));
                }
                Event::Recalled { task, .. } if self.asked.contains_key(task) => {
                    self.recalled += 1;
                    let kept = self.kept.get_mut(&self.asked[task]).expect("it was kept");
                    *kept = kept.checked_sub(1).expect("it was kept");
                    assert!(!self.attempted.contains_key(task), "recalled, and done again");
                }
                _ => {}
            }
        }
        for attempt in &world.last.attempts {
            match attempt.work {
                Work::Step(task) => self.begun(task, &attempt.key),
                Work::Undo(_) => assert!(!self.undone.contains(&attempt.key), "undone twice"),
            }
        }
        for child in &world.last.children {
            self.begun(child.task, &world.instance().idempotency_key(child.task));
        }
        if !world.ended() {
            // Whatever was asked for and was complete is recalled by now.
            let open: Vec<_> = self
                .asked
                .iter()
                .filter(|(task, _)| {
                    world.instance().step(**task).is_some_and(|step| step.outcome.is_none())
                })
                .collect();
            for (task, label) in open {
                assert_eq!(self.kept.get(label).copied().unwrap_or(0), 0, "step {task} {label:?}");
            }
        }
    }

    fn begun(&mut self, task: TaskId, key: &str) {
        if self.attempted.contains_key(&task) {
            assert_eq!(self.attempted[&task], key, "every attempt has the same key");
            return;
        }
        let label = &self.asked[&task];
        assert_eq!(self.kept.get(label).copied().unwrap_or(0), 0, "{label:?} was complete");
        match self.failed.get_mut(label).filter(|keys| !keys.is_empty()) {
            Some(keys) => {
                let place = keys.iter().position(|failed| failed == key);
                keys.remove(place.expect("what failed is attempted with its key"));
            }
            None => assert!(!self.keys.contains(key), "the key of another step"),
        }
        assert!(!self.attempted.values().any(|other| other == key), "one key for two steps");
        self.attempted.insert(task, key.to_owned());
    }

    /// It failed, and is about to be rewound.
    fn rewind(&mut self, instance: &Instance) {
        self.rewound += 1;
        let undone: HashSet<TaskId> = instance.undone_steps().iter().map(|it| it.id.task).collect();
        self.undone
            .extend(instance.undone_steps().iter().map(|it| format!("{}-undo", it.undone.key)));
        for (task, label) in std::mem::take(&mut self.asked) {
            if undone.contains(&task) {
                continue;
            }
            let outcome =
                instance.step(task).expect("it is a step").outcome.expect("all have ended");
            match outcome {
                StepOutcome::Completed => *self.kept.entry(label).or_default() += 1,
                _ => self.failed.entry(label).or_default().push(instance.idempotency_key(task)),
            }
        }
        self.keys.extend(std::mem::take(&mut self.attempted).into_values());
        self.recalled = 0;
    }
}

/// What the code sees again: the beginning of what it saw, up to the first
/// completion of something that was not kept.
fn seen_again(world: &World) -> Vec<String> {
    let instance = world.instance();
    let undone: HashSet<TaskId> = instance.undone_steps().iter().map(|it| it.id.task).collect();
    let again = |line: &&String| {
        let Some(rest) = line.strip_prefix("Completion { task: ") else { return true };
        let task = rest.split(',').next().and_then(|task| task.parse().ok()).expect("a task");
        rest.contains("outcome: Ok")
            && !undone.contains(&task)
            && instance.task_name(task) != "compensate"
    };
    trace(world).iter().take_while(again).cloned().collect()
}

#[derive(Clone, Debug)]
enum Happening {
    Step(usize, u8),
    Child(usize, u8),
    Raise(u8),
    Wake,
    Crash,
    Reload,
    Evict,
    Deadline,
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        8 => (0usize..4, 0u8..6).prop_map(|(n, how)| Happening::Step(n, how)),
        4 => (0usize..4, 0u8..6).prop_map(|(n, how)| Happening::Child(n, how)),
        2 => (0u8..2).prop_map(Happening::Raise),
        2 => Just(Happening::Wake),
        1 => Just(Happening::Crash),
        1 => Just(Happening::Reload),
        1 => Just(Happening::Evict),
        1 => Just(Happening::Deadline),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let when = prop_oneof![
        2 => Just(None),
        3 => Just(Some(UndoWhen::CompletedOrUnknown)),
        1 => Just(Some(UndoWhen::Always)),
        2 => Just(Some(UndoWhen::Completed)),
    ];
    let step = (0u8..5, when, 0u32..3, prop::bool::weighted(0.05));
    let step =
        step.prop_map(|(n, undo, scope, pivot)| Step { n, undo, scope, pivot, deployed: true });
    prop_oneof![
        8 => step.clone().prop_map(Op::Step),
        3 => (step, prop::bool::weighted(0.2)).prop_map(|(step, by_hand)| Op::Child { step, by_hand }),
        1 => (0u32..3).prop_map(Op::Open),
        1 => (0u32..3).prop_map(Op::Compensate),
        2 => (0u64..50).prop_map(Op::Timer),
        2 => (0u8..2).prop_map(Op::Event),
        1 => (0u32..8).prop_map(Op::Cancel),
        2 => (0u32..8).prop_map(Op::Await),
        4 => (0u32..8).prop_map(Op::Try),
        3 => Just(Op::AwaitAny),
        2 => Just(Op::TryAny),
        1 => prop::collection::vec(0u32..8, 1..4).prop_map(Op::AwaitOneOf),
        1 => (0u32..6, 1usize..3).prop_map(|(task, skipped)| Op::UnlessFailed(task, skipped)),
        1 => prop_oneof![Just(Op::Fail), Just(Op::Trap), Just(Op::Uuid), Just(Op::Random)],
    ]
}

const DEADLINE: Millis = 100_000_000;

fn outcome(how: u8) -> Result<Json, Failure> {
    match how {
        0..3 => Ok(json("done")),
        3 | 4 => Err(failed()),
        _ => Err(trap()),
    }
}

fn happen(world: &mut World, happening: &Happening) {
    match happening {
        Happening::Step(n, how) if !world.out.is_empty() => {
            let which = n % world.out.len();
            // An undo that failed for good would need a person.
            let how = if matches!(world.out[which].work, Work::Undo(_)) { 0 } else { *how };
            world.end_attempt(which, outcome(how));
        }
        Happening::Child(n, how) if !world.children.is_empty() => {
            let task = world.children[n % world.children.len()].task;
            let stages: &[u32] = if how % 2 == 0 { &[] } else { &[0, 0, 1] };
            let handed = stages.iter().enumerate().map(explore::handed_undo);
            // Each of them did something of its own.
            let handed = handed.map(|undo| HandedUndo {
                undone: UndoneStep {
                    key: format!("{}-{}", world.now, undo.undone.key),
                    ..undo.undone
                },
                ..undo
            });
            world.end_child(task, outcome(*how), handed.collect());
        }
        Happening::Raise(n) => {
            let input = json(&world.now);
            world
                .turn(Some(Command::RaiseEvent { name: format!("E{n}"), input }))
                .expect("it runs");
        }
        Happening::Wake
            if world.instance().wake_at().is_some_and(|at| at < world.now + DEADLINE / 2) =>
        {
            world.wake();
        }
        Happening::Crash => world.crash(),
        Happening::Reload => world.reload(),
        Happening::Evict => world.evict(),
        Happening::Deadline => {
            if let Some(deadline) = world.instance().started().deadline {
                world.now = world.now.max(deadline);
                world.turn(Some(Command::Tick)).expect("a tick is never rejected");
            }
        }
        _ => {}
    }
}

/// A story of a saga that is rewound whenever it fails.
struct Story {
    world: World,
    ledger: Ledger,
    again: Vec<String>,
}

impl Story {
    /// Takes in what happened, and rewinds what failed.
    fn settle(&mut self) {
        self.ledger.take(&self.world);
        while self.world.instance().wake_at().is_some_and(|at| at <= self.world.now) {
            self.world.wake();
            self.ledger.take(&self.world);
        }
        self.world.last = Turn::default();
        assert_eq!(self.world.blocked, None, "a faithful code never differs from its journal");
        check(&self.world);
        if self.world.code.is_some() {
            let seen = trace(&self.world);
            let both = seen.len().min(self.again.len());
            assert_eq!(seen[..both], self.again[..both], "the code sees what it saw");
        }
        if self.world.instance().status() != RuntimeStatus::Failed || self.ledger.rewound > 3 {
            return;
        }
        self.again = self.world.code.is_some().then(|| seen_again(&self.world)).unwrap_or_default();
        self.ledger.rewind(self.world.instance());
        self.world.rewind().expect("it failed");
        self.settle();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_fails_and_is_rewound_does_again_what_failed_or_was_undone_and_nothing_else(
        mut script in prop::collection::vec(op(), 1..14),
        unlike in any::<bool>(),
        story in prop::collection::vec(happening(), 0..40),
    ) {
        if unlike {
            // Where two steps are alike, one takes the place of the other.
            for (n, op) in script.iter_mut().enumerate() {
                if let Op::Step(step) | Op::Child { step, .. } = op {
                    step.n = n as u8;
                }
            }
        }
        let start = Started { deadline: Some(START + DEADLINE), ..started() };
        let world = World::start_with(script, once(), start);
        let mut story_of = Story { world, ledger: Ledger::default(), again: Vec::new() };
        story_of.settle();
        for happening in &story {
            if story_of.world.ended() {
                break;
            }
            happen(&mut story_of.world, happening);
            if !unlike {
                story_of.again.clear();
            }
            story_of.settle();
        }
        // From here on all goes well.
        for round in 0..200 {
            if story_of.world.ended() {
                break;
            }
            let events = [Happening::Raise(0), Happening::Raise(1)];
            for next in [Happening::Step(0, 0), Happening::Child(0, 0), Happening::Wake].iter().chain(&events[round % 2..round % 2 + 1]) {
                if !story_of.world.ended() {
                    happen(&mut story_of.world, next);
                    if !unlike {
                        story_of.again.clear();
                    }
                    story_of.settle();
                }
            }
        }
        let instance = story_of.world.instance();
        let waits = !instance.is_busy() && instance.running().is_empty();
        prop_assert!(story_of.world.ended() || waits, "{:?}", instance);
    }
}
