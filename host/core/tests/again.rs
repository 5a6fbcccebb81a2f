//! Continuing as new, children that are started again, a later beginning, and
//! HTTP requests that are answered later.

use sagahost_core::*;

fn started() -> Started {
    Started {
        name: "Saga".into(),
        input: json("1"),
        execution: "0123456789abcdef0123456789abcdef".into(),
        digest: "old".into(),
        ..Started::default()
    }
}

fn json(text: &str) -> Json {
    Json::parse(text).expect("JSON")
}

fn event(name: &str, input: &str) -> Command {
    Command::RaiseEvent { name: name.into(), input: json(input), from: None }
}

fn wait(saga: &mut Orchestration, name: &str) -> TaskId {
    saga.request(Request::Event { name: name.into() }).expect("a new request")
}

/// The journal that is stored after these turns.
fn stored(chunks: &mut Vec<Vec<u8>>, turn: &Turn) {
    if turn.fresh.is_some() {
        chunks.clear();
    }
    let records = &turn.records[turn.fresh.unwrap_or(0)..];
    chunks.push(encode_chunk(records).expect("events are JSON"));
}

#[test]
fn events_that_the_code_was_not_given_are_there_in_order_after_it_continued() {
    let mut chunks = Vec::new();
    let mut saga = Orchestration::start(10, started());
    let first = wait(&mut saga, "E");
    saga.parked().expect("nothing is replayed");
    stored(&mut chunks, &saga.end_turn());
    saga.at(20);
    // The first is given to the code. The second goes to a wait that the code
    // leaves alone, the third to nobody.
    for input in ["1", "2", "3"] {
        saga.handle(event("E", input)).expect("it runs");
    }
    saga.handle(event("F", "9")).expect("it runs");
    let given = saga.next(&[]).expect("no mismatch").expect("it came");
    assert_eq!((given.task, given.outcome), (first, Ok(json("1"))));
    wait(&mut saga, "E");
    saga.continue_as_new(json("2"), true);
    saga.returned(Ok(Json::null())).expect("nothing is replayed");
    assert!(saga.is_to_begin_anew());
    saga.begin_anew("new".into(), 0);

    let instance = saga.instance();
    assert_eq!(instance.started().input, json("2"));
    assert_eq!(instance.started().digest, "new");
    assert_ne!(instance.started().execution, started().execution);
    let seconds: Vec<_> = (0..2).map(|_| wait(&mut saga, "E")).collect();
    let other = wait(&mut saga, "F");
    for (task, input) in seconds.into_iter().chain([other]).zip(["2", "3", "9"]) {
        let given = saga.next(&[task]).expect("no mismatch").expect("it was kept");
        assert_eq!(given.outcome, Ok(json(input)));
    }
    saga.parked().expect("nothing is replayed");
    let turn = saga.end_turn();
    let old = &turn.records[..turn.fresh.expect("it continued")];
    assert!(matches!(old.last(), Some(Record(20, Event::ContinuedAsNew { .. }))));
    stored(&mut chunks, &turn);
    assert_eq!(chunks.len(), 1, "its journal is as short as that of a new one");
    let loaded = Orchestration::load(&chunks).expect("a whole journal");
    assert_eq!(loaded.instance(), saga.instance());
}

#[test]
fn what_is_stored_before_its_code_runs_again_goes_on_after_a_restart() {
    let mut saga = Orchestration::start(10, started());
    saga.continue_as_new(json("2"), true);
    saga.returned(Ok(Json::null())).expect("nothing is replayed");
    saga.begin_anew("d".into(), 0);
    let mut chunks = Vec::new();
    stored(&mut chunks, &saga.end_turn());
    let mut loaded = Orchestration::load(&chunks).expect("a whole journal");
    assert!(loaded.instance().is_busy() && loaded.wants_to_run());
    wait(&mut loaded, "E");
    loaded.parked().expect("nothing is replayed");
    assert!(!loaded.instance().is_busy(), "it waits");
}

#[test]
fn events_are_left_behind_where_the_code_says_so() {
    let mut saga = Orchestration::start(10, started());
    saga.handle(event("E", "1")).expect("it runs");
    saga.continue_as_new(json("2"), false);
    saga.returned(Ok(Json::null())).expect("nothing is replayed");
    saga.begin_anew("d".into(), 0);
    let task = wait(&mut saga, "E");
    assert_eq!(saga.next(&[task]).expect("no mismatch"), None);
}

#[test]
fn an_event_for_a_wait_that_was_given_up_unseen_goes_to_the_next_one() {
    let mut chunks = Vec::new();
    let mut saga = Orchestration::start(10, started());
    let unseen = wait(&mut saga, "E");
    let timer = saga.request(Request::Timer { fire_at: 20 }).expect("a new request");
    saga.parked().expect("nothing is replayed");
    stored(&mut chunks, &saga.end_turn());
    // Both come at the same time, and the code takes the timer.
    saga.at(30);
    saga.handle(Command::Tick).expect("it runs");
    saga.handle(event("E", "1")).expect("it runs");
    assert_eq!(saga.next(&[]).expect("no mismatch").expect("it fired").task, timer);
    saga.request(Request::Cancel { task: unseen }).expect("a new request");
    let next = wait(&mut saga, "E");
    let given = saga.next(&[]).expect("no mismatch").expect("it was kept");
    assert_eq!((given.task, given.outcome), (next, Ok(json("1"))));
    saga.parked().expect("nothing is replayed");
    stored(&mut chunks, &saga.end_turn());
    // The same again from the journal.
    let mut again = Orchestration::load(&chunks).expect("a whole journal");
    assert_eq!(again.instance(), saga.instance());
    wait(&mut again, "E");
    again.request(Request::Timer { fire_at: 20 }).expect("as the journal has it");
    assert_eq!(again.next(&[]).expect("no mismatch").expect("it fired").task, timer);
    again.request(Request::Cancel { task: unseen }).expect("as the journal has it");
    wait(&mut again, "E");
    assert_eq!(again.next(&[]).expect("no mismatch").expect("it was kept").task, next);
    again.parked().expect("it is where it was");
}

#[test]
fn a_child_that_fails_is_started_again_as_another_one() {
    let mut saga = Orchestration::start(10, started());
    let retry = RetryPolicy { max_attempts: 3, first_interval_ms: 100, ..RetryPolicy::default() };
    let policy = ChildPolicy { retry: Some(retry), ..ChildPolicy::default() };
    let request = Request::Child {
        function: "Child".into(),
        input: Json::null(),
        undo: None,
        id: Some("mine".into()),
        policy,
        by_hand: false,
        scope: 0,
        pivot: false,
    };
    let task = saga.request(request).expect("a new request");
    saga.parked().expect("nothing is replayed");
    let mut chunks = Vec::new();
    let mut ids = Vec::new();
    let mut now = 10;
    loop {
        let turn = saga.end_turn();
        ids.extend(turn.children.iter().map(|child| (child.attempt, child.id.clone())));
        stored(&mut chunks, &turn);
        if let Some(child) = turn.children.last() {
            // A host that takes over here starts that one, and no other.
            let mut loaded = Orchestration::load(&chunks).expect("a whole journal");
            let lost = Command::HostLost { alive: Vec::new(), since: now + 1 };
            loaded.handle(lost).expect("it runs");
            let restarted = ChildStart { again: true, ..child.clone() };
            assert_eq!(loaded.end_turn().children, [restarted]);
            now += 1;
            saga.at(now);
            let failure = Failure::host(FailureKind::Trap, "it trapped");
            let failed = Command::ChildEnded { task, outcome: Err(failure), handed: Vec::new() };
            saga.handle(failed).expect("it runs");
            continue;
        }
        let Some(at) = saga.instance().wake_at() else { break };
        now = at;
        saga.at(now);
        saga.handle(Command::Tick).expect("it runs");
    }
    let expected = [(1, "mine"), (2, "mine:2"), (3, "mine:3")];
    assert_eq!(ids, expected.map(|(attempt, id)| (attempt, id.to_owned())));
    assert_eq!(now, 10 + 1 + 100 + 1 + 200 + 1, "at the intervals of its policy");
    let given = saga.next(&[task]).expect("no mismatch").expect("it has failed");
    assert!(given.outcome.is_err());
}

#[test]
fn what_begins_later_waits_until_then() {
    let started = Started { start_at: Some(5_000), deadline: Some(9_000), ..started() };
    let mut saga = Orchestration::start(10, started);
    assert!(!saga.wants_to_run());
    assert_eq!(saga.instance().status(), RuntimeStatus::Pending);
    let mut chunks = Vec::new();
    stored(&mut chunks, &saga.end_turn());
    let mut saga = Orchestration::load(&chunks).expect("a whole journal");
    assert_eq!(saga.instance().wake_at(), Some(5_000));
    saga.at(4_999);
    saga.handle(Command::Tick).expect("it waits");
    assert!(!saga.wants_to_run());
    saga.at(5_000);
    saga.handle(Command::Tick).expect("it waits");
    assert!(saga.wants_to_run());
    assert_eq!((saga.now(), saga.instance().status()), (5_000, RuntimeStatus::Running));
    saga.returned(Ok(Json::null())).expect("nothing is replayed");
    assert_eq!(saga.instance().status(), RuntimeStatus::Completed);
}

#[test]
fn an_http_request_that_was_accepted_is_asked_for_its_answer() {
    let mut saga = Orchestration::start(10, started());
    let request = Request::Activity {
        function: HTTP_FUNCTION.into(),
        input: json(r#"{"url":"http://a/job","method":"POST"}"#),
        policy: CallPolicy::default(),
        undo: None,
        scope: 0,
        pivot: false,
    };
    let task = saga.request(request).expect("a new request");
    saga.parked().expect("nothing is replayed");
    saga.end_turn();
    let ended = |attempt, outcome| Command::AttemptEnded {
        work: Work::Step(task),
        attempt,
        started_at: 10,
        outcome,
        logs: Logs::default(),
    };
    let poll = json(r#"{"url":"http://a/job/1"}"#);
    // More often than its policy allows attempts.
    for (attempt, at) in [(1, 100), (2, 2_100), (3, 4_100)] {
        saga.at(at);
        let accepted = Failure {
            code: HTTP_ACCEPTED.into(),
            details: Some(poll.clone()),
            retry_after_ms: Some(2_000),
            ..Failure::host(FailureKind::Returned, "accepted")
        };
        saga.handle(ended(attempt, Err(accepted))).expect("it runs");
        assert_eq!(saga.instance().wake_at(), Some(at + 2_000));
        saga.at(at + 2_000);
        saga.handle(Command::Tick).expect("it runs");
        let turn = saga.end_turn();
        assert_eq!(turn.attempts.len(), 1);
        assert_eq!(turn.attempts[0].input, poll, "the same step asks for its answer");
        assert_eq!(turn.attempts[0].key, saga.instance().idempotency_key(task));
    }
    saga.handle(ended(4, Ok(json("200")))).expect("it runs");
    let given = saga.next(&[task]).expect("no mismatch").expect("it is answered");
    assert_eq!(given.outcome, Ok(json("200")));
}
