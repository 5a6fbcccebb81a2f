//! Entities in a small world: orchestrations that signal, call and lock them,
//! a network that loses and repeats, stores that fail, hosts that end. A seed
//! makes a world; set `SAGAHOST_ENTITY_SEED` to see one again.

#![allow(missing_docs, clippy::unwrap_used)]

mod entities;

use entities::{World, id, json, seeds};
use sagahost_core::*;

#[test]
fn whatever_happens_each_operation_is_applied_once_in_order_and_alone() {
    for seed in seeds(250) {
        println!("SAGAHOST_ENTITY_SEED={seed}");
        let mut world = World::new(seed, 3, 4);
        for _ in 0..400 {
            world.step();
        }
        world.finish();
        world.check();
    }
}

/// Two entities and many orchestrations that want both: the most likely to end
/// up waiting for each other.
#[test]
fn orchestrations_that_lock_the_same_entities_all_come_to_their_end() {
    for seed in seeds(100) {
        println!("SAGAHOST_ENTITY_SEED={seed}");
        let mut world = World::new(seed, 2, 8);
        world.only_locks();
        for _ in 0..300 {
            world.step();
        }
        world.finish();
        world.check();
    }
}

struct Bed {
    entity: Entity,
    now: Millis,
    sent: u64,
}

impl Bed {
    fn new() -> Self {
        Bed { entity: Entity::create(0, &id(0), &"0".repeat(32)), now: 0, sent: 0 }
    }

    fn turn(&mut self, command: EntityCommand) -> EntityTurn {
        self.entity.at(self.now);
        self.entity.handle(EntityCommand::Tick);
        self.entity.handle(command);
        self.entity.end_turn()
    }

    fn receive(&mut self, from: &str, parcel: Parcel) -> EntityTurn {
        self.sent += 1;
        let post = Post { origin: from.into(), number: self.sent };
        self.turn(EntityCommand::Receive { post: Some(post), from: from.into(), parcel })
    }

    fn end(&mut self, of: &EntityTurn, outcome: Result<OperationResult, Failure>) -> EntityTurn {
        let attempt = of.attempt.as_ref().unwrap();
        let retry = RetryPolicy { max_attempts: 3, jitter: 0.0, ..RetryPolicy::default() };
        let (number, attempt, started_at) = (attempt.number, attempt.attempt, self.now);
        let logs = Logs::default();
        let ended =
            EntityCommand::OperationEnded { number, attempt, started_at, outcome, retry, logs };
        self.turn(ended)
    }
}

fn signal(operation: &str, at: Option<Millis>) -> Parcel {
    Parcel::Signal { operation: operation.into(), input: json("1"), at, execution: None }
}

fn call(task: TaskId, execution: &str) -> Parcel {
    let (operation, input) = ("get".into(), json("null"));
    Parcel::Call { operation, input, task, execution: execution.into() }
}

fn result(state: Option<&str>, sends: Vec<Sending>) -> Result<OperationResult, Failure> {
    Ok(OperationResult { result: json("7"), state: state.map(json), sends })
}

fn operation(turn: &EntityTurn) -> Option<&str> {
    turn.attempt.as_ref().map(|attempt| attempt.operation.as_str())
}

#[test]
fn a_result_sets_keeps_or_removes_the_state_and_answers_who_called() {
    let mut bed = Bed::new();
    let turn = bed.receive("a", signal("set", None));
    assert_eq!(turn.attempt.as_ref().unwrap().key, format!("{}-1", "0".repeat(32)));
    assert!(bed.entity.state().is_busy());
    bed.end(&turn, result(Some("[5]"), Vec::new()));
    assert_eq!(bed.entity.state().state(), Some(&json("[5]")));
    assert!(!bed.entity.state().is_busy());
    let turn = bed.receive("a", call(4, "e"));
    let turn = bed.end(&turn, result(None, Vec::new()));
    let outcome = Ok(json("7"));
    let answer = Parcel::Answer { task: 4, execution: "e".into(), outcome };
    assert_eq!(turn.letters, [Letter { number: 1, to: "a".into(), parcel: answer }]);
    assert_eq!(bed.entity.state().state(), Some(&json("[5]")));
    assert!(bed.entity.state().is_busy(), "the answer is on its way");
    bed.turn(EntityCommand::Delivered { letter: 1, problem: None });
    assert!(!bed.entity.state().is_busy());
    let turn = bed.receive("a", signal("remove", None));
    bed.end(&turn, result(Some("null"), Vec::new()));
    assert_eq!(bed.entity.state().state(), None);
}

#[test]
fn what_an_operation_sends_leaves_in_its_order_with_derived_ids() {
    let mut bed = Bed::new();
    let turn = bed.receive("a", signal("send", None));
    let start = |id: Option<&str>| Sending::Start {
        name: "Saga".into(),
        input: json("2"),
        id: id.map(Into::into),
    };
    let sends = vec![
        Sending::Signal { entity: id(1), operation: "o".into(), input: json("1"), at: Some(9) },
        Sending::Event { instance: "i".into(), name: "E".into(), input: json("3") },
        start(Some("chosen")),
        start(None),
    ];
    let turn = bed.end(&turn, result(None, sends));
    let to: Vec<_> = turn.letters.iter().map(|letter| letter.to.clone()).collect();
    let derived = format!("{}:1:3", "0".repeat(32));
    assert_eq!(to, [id(1).instance_id(), "i".into(), "chosen".into(), derived]);
}

#[test]
fn a_failure_is_retried_by_the_policy_and_changes_nothing() {
    let mut bed = Bed::new();
    let first = bed.receive("a", call(0, "e"));
    let failure = Failure::host(FailureKind::Trap, "trapped");
    let mut turn = bed.end(&first, Err(failure.clone()));
    for attempt in 2..=3 {
        assert!(turn.attempt.is_none());
        bed.now = bed.entity.wake_at().unwrap();
        turn = bed.turn(EntityCommand::Tick);
        let made = turn.attempt.as_ref().unwrap();
        assert_eq!((made.attempt, &made.key), (attempt, &first.attempt.as_ref().unwrap().key));
        assert_eq!(bed.entity.wake_at(), None, "it is out");
        turn = bed.end(&turn, Err(failure.clone()));
    }
    let outcome = Err(failure);
    let answer = Parcel::Answer { task: 0, execution: "e".into(), outcome };
    assert_eq!(turn.letters[0].parcel, answer);
    assert_eq!(bed.entity.state().state(), None);
}

#[test]
fn the_holder_goes_before_all_others_and_lets_go_after_its_own() {
    let mut bed = Bed::new();
    let lock = |task, execution: &str| Parcel::Lock { task, execution: execution.into() };
    let own = |operation: &str| Parcel::Signal {
        operation: operation.into(),
        input: json("1"),
        at: None,
        execution: Some("e1".into()),
    };
    let turn = bed.receive("o1", lock(0, "e1"));
    let granted = Parcel::Granted { task: 0, execution: "e1".into() };
    assert_eq!(turn.letters[0].parcel, granted);
    assert_eq!(bed.entity.state().holder(), Some("o1"));
    assert!(bed.receive("client", signal("other", None)).attempt.is_none());
    assert!(bed.receive("o2", lock(0, "e2")).letters.is_empty());
    let first = bed.receive("o1", own("first"));
    assert_eq!(operation(&first), Some("first"));
    bed.receive("o1", own("second"));
    bed.receive("o1", Parcel::Unlock { execution: "e1".into() });
    assert_eq!((bed.entity.state().holder(), bed.entity.state().queued()), (Some("o1"), 3));
    let second = bed.end(&first, result(None, Vec::new()));
    assert_eq!(operation(&second), Some("second"));
    let other = bed.end(&second, result(None, Vec::new()));
    assert_eq!((operation(&other), bed.entity.state().holder()), (Some("other"), None));
    let turn = bed.end(&other, result(None, Vec::new()));
    assert_eq!(turn.letters[0].to, "o2");
}

#[test]
fn who_wants_a_lock_no_more_does_not_get_it_and_who_is_gone_does_not_keep_it() {
    let mut bed = Bed::new();
    let lock = |execution: &str| Parcel::Lock { task: 3, execution: execution.into() };
    bed.receive("o1", lock("e1"));
    bed.receive("o2", lock("e2"));
    bed.receive("o3", lock("e3"));
    bed.receive("o2", Parcel::Unlock { execution: "e2".into() });
    let problem = Some("there is no instance o1".to_owned());
    let turn = bed.turn(EntityCommand::Delivered { letter: 1, problem });
    assert_eq!(turn.letters[0].to, "o3");
    assert_eq!((bed.entity.state().holder(), bed.entity.state().queued()), (Some("o3"), 0));
}

#[test]
fn signals_that_were_put_off_come_by_their_time_and_before_what_comes_later() {
    let mut bed = Bed::new();
    bed.receive("a", signal("late", Some(20)));
    bed.receive("b", signal("early", Some(10)));
    bed.receive("b", signal("early too", Some(10)));
    assert_eq!(bed.entity.wake_at(), Some(10));
    assert!(!bed.entity.state().is_busy());
    bed.now = 25;
    let mut turn = bed.receive("c", signal("now", None));
    for expected in ["early", "early too", "late", "now"] {
        assert_eq!(operation(&turn), Some(expected));
        turn = bed.end(&turn, result(None, Vec::new()));
    }
    assert!(turn.attempt.is_none());
}

#[test]
fn an_operation_that_brings_its_host_down_again_and_again_is_given_up() {
    let mut bed = Bed::new();
    bed.receive("a", call(0, "e"));
    let mut lost = 0;
    let letter = loop {
        let turn = bed.turn(EntityCommand::HostLost { alive: None, since: 0 });
        match turn.letters.first() {
            Some(letter) => break letter.clone(),
            None => lost += 1,
        }
        assert_eq!(turn.attempt.as_ref().unwrap().attempt, lost + 1);
    };
    assert_eq!(lost, MAX_LOST_ATTEMPTS);
    let Parcel::Answer { outcome: Err(failure), .. } = letter.parcel else { panic!("{letter:?}") };
    assert_eq!(failure.kind, FailureKind::HostLost);
}

#[test]
fn a_journal_that_became_long_is_replaced_and_the_entity_is_the_same() {
    let mut bed = Bed::new();
    let mut shortest = u64::MAX;
    for n in 0..300 {
        let turn = bed.receive("a", signal("set", None));
        bed.end(&turn, result(Some(&n.to_string()), Vec::new()));
        if bed.entity.is_long() {
            bed.receive("b", signal("waits", None));
            bed.receive("b", signal("later", Some(1_000_000)));
            bed.entity.compact(0);
            let turn = bed.entity.end_turn();
            let chunk = encode_entity_chunk(&turn.records[turn.fresh.unwrap()..]).unwrap();
            let loaded = Entity::load(&[chunk]).unwrap();
            assert_eq!(loaded.state(), bed.entity.state());
            shortest = shortest.min(bed.entity.state().events());
            assert_eq!(bed.entity.state().state(), Some(&json(&n.to_string())));
            assert_eq!(bed.entity.state().wake_at(), Some(1_000_000));
            break;
        }
    }
    assert_eq!(shortest, 1);
}
