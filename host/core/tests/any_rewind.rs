//! Whatever happens to a saga that is rewound whenever it fails: what was
//! completed and not undone is not done again, and everything else is.

mod support;

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;
use sagahost_core::*;
use support::spans::check_spans;
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

/// The completions that the code saw, with their times.
fn trace(world: &World) -> Vec<String> {
    world.code.as_ref().map(|code| code.trace.clone()).unwrap_or_default()
}

/// The state in memory is the one in the journal, and the code sees on replay
/// what it saw.
fn check(world: &World) {
    check_spans(world);
    let mut loaded = world.clone();
    loaded.reload();
    assert_eq!(loaded.instance(), world.instance());
    let seen = world.replay().expect("a faithful code never differs from its journal");
    if world.code.is_some() {
        assert_eq!(seen, trace(world));
    }
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
                _ => {
                    // It may have been given the key again, and not been begun.
                    let (key, failed) = (instance.idempotency_key(task), self.failed.entry(label));
                    let failed = failed.or_default();
                    if !failed.contains(&key) {
                        failed.push(key);
                    }
                }
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
                .turn(Some(Command::RaiseEvent { name: format!("E{n}"), input, from: None }))
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
    /// Whether no two steps are alike. Where they are, one takes the place of
    /// the other, and the code sees something else.
    unlike: bool,
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
        if self.unlike {
            self.again = seen_again(&self.world);
        }
        self.ledger.rewind(self.world.instance());
        self.world.rewind().expect("it failed");
        self.settle();
    }
}

/// Tells a story to its end.
fn tell(script: Vec<Op>, unlike: bool, story: &[Happening]) {
    let start = Started { deadline: Some(START + DEADLINE), ..started() };
    let world = World::start_with(script, once(), start);
    let mut story_of = Story { world, ledger: Ledger::default(), again: Vec::new(), unlike };
    story_of.settle();
    for happening in story {
        if story_of.world.ended() {
            break;
        }
        happen(&mut story_of.world, happening);
        story_of.settle();
    }
    // From here on all goes well.
    for round in 0..200 {
        if story_of.world.ended() {
            break;
        }
        let events = [Happening::Raise(0), Happening::Raise(1)];
        for next in [Happening::Step(0, 0), Happening::Child(0, 0), Happening::Wake]
            .iter()
            .chain(&events[round % 2..round % 2 + 1])
        {
            if !story_of.world.ended() {
                happen(&mut story_of.world, next);
                story_of.settle();
            }
        }
    }
    let instance = story_of.world.instance();
    let waits = !instance.is_busy() && instance.running().is_empty();
    assert!(story_of.world.ended() || waits, "{:?}", instance);
}

#[test]
fn a_key_that_was_given_again_to_a_step_that_was_not_begun_is_still_one_key() {
    let step = |n, undo| Step { n, undo, scope: 0, pivot: false, deployed: true };
    let script = vec![
        Op::Child { step: step(0, None), by_hand: false },
        Op::Step(step(2, Some(UndoWhen::Completed))),
        Op::Step(step(0, None)),
        Op::Step(step(2, None)),
        Op::AwaitAny,
    ];
    let story = [
        Happening::Step(0, 3),
        Happening::Step(2, 3),
        Happening::Step(0, 0),
        Happening::Child(0, 1),
    ];
    tell(script, false, &story);
}

#[test]
fn of_two_alike_the_first_to_ask_takes_the_place_of_the_one_that_was_complete() {
    let step = |undo| Op::Step(Step { n: 4, undo, scope: 0, pivot: false, deployed: true });
    let script = vec![step(Some(UndoWhen::CompletedOrUnknown)), step(None), Op::AwaitAny];
    tell(script, false, &[Happening::Step(1, 0)]);
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
            for (n, op) in script.iter_mut().enumerate() {
                if let Op::Step(step) | Op::Child { step, .. } = op {
                    step.n = n as u8;
                }
            }
        }
        tell(script, unlike, &story);
    }
}
