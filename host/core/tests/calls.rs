//! Calls and locks of entities: locks are asked for one after the other and let
//! go at every end, answers are taken once, and a rewind sends nothing twice.

use sagahost_core::*;

fn json(text: &str) -> Json {
    Json::parse(text).expect("JSON")
}

fn started(execution: &str) -> Started {
    Started {
        name: "Saga".into(),
        input: json("1"),
        execution: execution.into(),
        digest: "digest".into(),
        ..Started::default()
    }
}

fn entity(key: &str) -> EntityId {
    EntityId::new("Account", key).expect("a good id")
}

fn saga() -> Orchestration {
    Orchestration::start(10, started("0123456789abcdef0123456789abcdef"))
}

fn lock(saga: &mut Orchestration, keys: &[&str]) -> TaskId {
    let entities = keys.iter().map(|key| entity(key)).collect();
    saga.request(Request::Lock { entities }).expect("a new request")
}

fn call(saga: &mut Orchestration, key: &str) -> TaskId {
    let (entity, operation, input) = (entity(key), "add".into(), json("1"));
    saga.request(Request::CallEntity { entity, operation, input }).expect("a new request")
}

/// To whom the letters of a turn go, with the kind of each.
fn went(turn: &Turn) -> Vec<(String, &'static str)> {
    let kind = |parcel: &Parcel| match parcel {
        Parcel::Lock { .. } => "lock",
        Parcel::Unlock { .. } => "unlock",
        Parcel::Call { .. } => "call",
        _ => "other",
    };
    turn.letters.iter().map(|letter| (letter.to.clone(), kind(&letter.parcel))).collect()
}

/// An entity grants the lock that was asked for.
fn grant(saga: &mut Orchestration, task: TaskId, key: &str) {
    let execution = saga.instance().started().execution.clone();
    let parcel = Parcel::Granted { task, execution };
    let (origin, number) = (key.to_owned(), 1);
    let from = entity(key).instance_id();
    let command = Command::Letter { post: Post { origin, number }, from, parcel };
    saga.handle(command).expect("never rejected");
}

fn outcome(saga: &mut Orchestration, task: TaskId) -> Option<Result<Json, String>> {
    let given = saga.next(&[task]).expect("no mismatch")?;
    Some(given.outcome.map_err(|failure| failure.code))
}

#[test]
fn entities_are_locked_one_after_the_other_in_the_same_order_for_everybody() {
    let mut saga = saga();
    let task = lock(&mut saga, &["b", "a", "b"]);
    saga.parked().expect("nothing is replayed");
    assert_eq!(went(&saga.end_turn()), [("@Account@a".into(), "lock")]);
    saga.at(20);
    grant(&mut saga, task, "b");
    assert!(saga.end_turn().letters.is_empty(), "that one was not asked for yet");
    grant(&mut saga, task, "a");
    grant(&mut saga, task, "a");
    assert_eq!(went(&saga.end_turn()), [("@Account@b".into(), "lock")]);
    assert_eq!(saga.instance().locked(), [entity("a")]);
    assert_eq!(outcome(&mut saga, task), None);
    grant(&mut saga, task, "b");
    assert_eq!(outcome(&mut saga, task), Some(Ok(Json::null())));
    saga.returned(Ok(json("1"))).expect("nothing is replayed");
    let turn = saga.end_turn();
    let unlocks = [("@Account@a".into(), "unlock"), ("@Account@b".into(), "unlock")];
    assert!(turn.ended);
    assert_eq!(went(&turn), unlocks);
    assert!(saga.instance().is_busy(), "that it ended is not told to all");
}

#[test]
fn what_could_wait_for_ever_is_refused_while_locks_are_held() {
    let mut saga = saga();
    let task = lock(&mut saga, &["a"]);
    grant(&mut saga, task, "a");
    let second = lock(&mut saga, &["b"]);
    let other = call(&mut saga, "b");
    let locked = call(&mut saga, "a");
    let child = Request::Child {
        function: "Child".into(),
        input: json("1"),
        undo: None,
        id: None,
        policy: ChildPolicy::default(),
        by_hand: false,
        scope: 0,
        pivot: false,
    };
    let child = saga.request(child).expect("a new request");
    for refused in [second, other, child] {
        assert_eq!(outcome(&mut saga, refused), Some(Err("host.locks-held".into())));
    }
    assert_eq!(outcome(&mut saga, locked), None, "it is called, and will answer");
    saga.request(Request::Unlock).expect("a new request");
    let other = call(&mut saga, "b");
    assert_eq!(outcome(&mut saga, other), None, "nothing is locked any more");
    saga.parked().expect("nothing is replayed");
    let turn = saga.end_turn();
    let a = || "@Account@a".to_owned();
    let expected =
        [(a(), "lock"), (a(), "call"), (a(), "unlock"), ("@Account@b".to_owned(), "call")];
    assert_eq!(went(&turn), expected);
    assert!(turn.children.is_empty());
}

#[test]
fn locks_are_let_go_after_the_undo_and_not_before() {
    let mut saga = saga();
    let task = lock(&mut saga, &["a"]);
    grant(&mut saga, task, "a");
    let undo = Compensation {
        function: "Undo".into(),
        digest: Some("digest".into()),
        input: None,
        policy: CallPolicy::default(),
        when: UndoWhen::Always,
    };
    let step = Request::Activity {
        function: "Do".into(),
        input: json("1"),
        policy: CallPolicy::default(),
        undo: Some(undo),
        scope: 0,
        pivot: false,
    };
    let step = saga.request(step).expect("a new request");
    let ended = |work| Command::AttemptEnded {
        work,
        attempt: 1,
        started_at: 10,
        outcome: Ok(json("1")),
        logs: Logs::default(),
    };
    saga.handle(ended(Work::Step(step))).expect("never rejected");
    let failure = Failure::host(FailureKind::Trap, "trapped");
    saga.returned(Err(failure)).expect("nothing is replayed");
    let turn = saga.end_turn();
    assert!(!turn.ended && went(&turn).iter().all(|(_, kind)| *kind != "unlock"));
    saga.at(20);
    saga.handle(ended(Work::Undo(step.into()))).expect("never rejected");
    let turn = saga.end_turn();
    assert!(turn.ended);
    assert_eq!(went(&turn), [("@Account@a".into(), "unlock")]);
}

#[test]
fn what_has_ended_still_hears_that_its_letters_were_taken_in() {
    let mut saga = saga();
    let parcel = Parcel::Event { name: "E".into(), input: json("1") };
    saga.request(Request::Send { to: "other".into(), parcel }).expect("a new request");
    saga.returned(Ok(json("1"))).expect("nothing is replayed");
    let mut chunks = vec![encode_chunk(&saga.end_turn().records).expect("JSON")];
    let updated = saga.instance().updated();

    let mut loaded = Orchestration::load(&chunks).expect("a whole journal");
    assert!(loaded.instance().is_busy());
    loaded.at(50);
    loaded.handle(Command::HostLost { alive: Vec::new(), since: 0 }).expect("never rejected");
    let again = loaded.end_turn().letters;
    assert_eq!(again.len(), 1);
    let event = Command::Letter {
        post: Post { origin: "x".into(), number: 1 },
        from: "x".into(),
        parcel: again[0].parcel.clone(),
    };
    assert_eq!(loaded.handle(event), Err(Rejected::Ended(RuntimeStatus::Completed)));
    let post = Post { origin: loaded.instance().origin().into(), number: again[0].number };
    let command = Command::Delivered { post, problem: Some("nobody is there".into()) };
    loaded.handle(command.clone()).expect("never rejected");
    loaded.handle(command).expect("known already");
    let turn = loaded.end_turn();
    assert_eq!(turn.records.len(), 1);
    assert!(!loaded.instance().is_busy());
    assert_eq!(loaded.instance().updated(), updated, "it ended when it ended");
    chunks.push(encode_chunk(&turn.records).expect("JSON"));
    let stored = Orchestration::load(&chunks).expect("a whole journal");
    assert_eq!(stored.instance(), loaded.instance());
}

#[test]
fn an_answer_is_taken_once_and_only_by_the_execution_that_called() {
    let mut saga = saga();
    let task = call(&mut saga, "a");
    let answer = |saga: &mut Orchestration, execution: &str, output| {
        let (execution, outcome) = (execution.to_owned(), Ok(json(output)));
        let parcel = Parcel::Answer { task, execution, outcome };
        let post = Post { origin: "a".into(), number: 1 };
        let command = Command::Letter { post, from: "@Account@a".into(), parcel };
        saga.handle(command).expect("never rejected");
    };
    answer(&mut saga, "another", "1");
    assert_eq!(outcome(&mut saga, task), None);
    let execution = saga.instance().started().execution.clone();
    answer(&mut saga, &execution, "2");
    answer(&mut saga, &execution, "3");
    assert_eq!(outcome(&mut saga, task), Some(Ok(json("2"))));
    let answered = |event: &Event| matches!(event, Event::EntityAnswered { .. });
    let turn = saga.end_turn();
    assert_eq!(turn.records.iter().filter(|Record(_, event)| answered(event)).count(), 1);
}

/// Fails, and is rewound.
fn fail_and_rewind(saga: &mut Orchestration) -> Turn {
    let failure = Failure::host(FailureKind::Trap, "trapped");
    saga.returned(Err(failure)).expect("nothing is replayed");
    let turn = saga.end_turn();
    let command = Command::Rewind { reason: "x".into(), digest: None, parent: None };
    saga.handle(command).expect("it has failed");
    turn
}

#[test]
fn what_was_sent_before_a_rewind_is_not_sent_again() {
    let send = |saga: &mut Orchestration, name: &str| {
        let parcel = Parcel::Event { name: name.into(), input: json("1") };
        saga.request(Request::Send { to: "other".into(), parcel }).expect("a new request");
    };
    let mut saga = saga();
    send(&mut saga, "A");
    send(&mut saga, "A");
    send(&mut saga, "B");
    let called = call(&mut saga, "a");
    let chunk = |turn: &Turn| encode_chunk(&turn.records).expect("events are JSON");
    let mut chunks = vec![chunk(&fail_and_rewind(&mut saga))];
    assert_eq!(saga.instance().status(), RuntimeStatus::Running);
    send(&mut saga, "B");
    send(&mut saga, "A");
    send(&mut saga, "C");
    assert_eq!(call(&mut saga, "a"), called);
    let turn = saga.end_turn();
    let sent: Vec<_> = turn.letters.iter().map(|letter| letter.number).collect();
    assert_eq!(sent, [5, 6], "C, and the call, which was not answered");
    chunks.push(chunk(&turn));
    let loaded = Orchestration::load(&chunks).expect("a whole journal");
    assert_eq!(loaded.instance(), saga.instance());

    // The answer to the call of before is not one to this call.
    let answer = |saga: &mut Orchestration, execution: String, output| {
        let parcel = Parcel::Answer { task: called, execution, outcome: Ok(json(output)) };
        let post = Post { origin: "a".into(), number: 1 };
        let command = Command::Letter { post, from: "@Account@a".into(), parcel };
        saga.handle(command).expect("never rejected");
    };
    let execution = saga.instance().started().execution.clone();
    answer(&mut saga, execution, "1");
    assert_eq!(outcome(&mut saga, called), None);
    let run = saga.instance().run_id();
    answer(&mut saga, run, "2");
    assert_eq!(outcome(&mut saga, called), Some(Ok(json("2"))));

    // Once more: now the call is answered, and one A is left.
    fail_and_rewind(&mut saga);
    for name in ["A", "A", "A", "B", "C"] {
        send(&mut saga, name);
    }
    assert_eq!(call(&mut saga, "a"), 0);
    saga.parked().expect("nothing is replayed");
    let turn = saga.end_turn();
    let sent: Vec<_> = turn.letters.iter().map(|letter| letter.number).collect();
    assert_eq!(sent, [7], "there were two of A");
}

#[test]
fn locks_are_asked_for_again_after_a_rewind() {
    let mut saga = saga();
    let task = lock(&mut saga, &["a"]);
    grant(&mut saga, task, "a");
    let turn = fail_and_rewind(&mut saga);
    let a = || "@Account@a".to_owned();
    assert_eq!(went(&turn), [(a(), "lock"), (a(), "unlock")]);
    let task = lock(&mut saga, &["a"]);
    assert_eq!(went(&saga.end_turn()), [(a(), "lock")]);
    grant(&mut saga, task, "a");
    assert_eq!(outcome(&mut saga, task), None, "that was for the run before");
    let parcel = Parcel::Granted { task, execution: saga.instance().run_id() };
    let (origin, number, from) = ("a".to_owned(), 2, a());
    saga.handle(Command::Letter { post: Post { origin, number }, from, parcel })
        .expect("not rejected");
    assert_eq!(outcome(&mut saga, task), Some(Ok(Json::null())));
}
