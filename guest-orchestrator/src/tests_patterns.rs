//! The patterns and the entities on the SDK's host in memory.

use sagahost::Failure;
use sagahost::serde_json::{Value, from_str, json};
use sagahost::testing::{Request, TestEntity, TestHost};

use crate::aggregator::{Ratings, Summary};
use crate::shelves::Shelf;

fn run(host: &TestHost, name: &str, input: &Value) -> Result<Value, String> {
    let output = host.run_by_name(name, &input.to_string()).map_err(|failure| failure.code)?;
    from_str(&output).map_err(|error| error.to_string())
}

/// What SendReminder was told.
fn reminders(host: &TestHost) -> Vec<String> {
    let told = host.requests().into_iter().filter_map(|request| match request {
        Request::Activity { name, input, .. } if name == "SendReminder" => {
            input.as_str().map(str::to_owned)
        }
        _ => None,
    });
    told.collect()
}

#[test]
fn a_newsletter_says_how_far_it_is() {
    let host = TestHost::new();
    let inner = host.clone();
    host.activity("SendReminder", move |text: String| {
        let sent = text.starts_with("bob");
        assert_eq!(inner.custom_status(), Some(json!({"sent": u32::from(sent), "of": 2})));
        Ok(text)
    });
    let input = json!({"to": ["ada", "bob"], "text": "hello", "pauseSeconds": 60.0});
    assert_eq!(run(&host, "Newsletter", &input), Ok(json!(2)));
    assert_eq!(host.custom_status(), Some(json!({"sent": 2, "of": 2})));
    let timers = host.requests().iter().filter(|it| matches!(it, Request::Timer { .. })).count();
    assert_eq!(timers, 1);
}

/// A shop that has enough of the article when it is asked for the n-th time.
fn shop(enough_at: u32) -> TestHost {
    let host = TestHost::new();
    let mut asked = 0;
    host.activity("ArticleLeft", move |_: String| {
        asked += 1;
        Ok(Some(if asked >= enough_at { 5 } else { 0 }))
    });
    host.activity("SendReminder", |text: String| Ok(text));
    host
}

#[test]
fn a_monitor_looks_at_growing_intervals() {
    let host = shop(4);
    let input = json!({"sku": "book", "atLeast": 2, "seconds": 1e6});
    assert_eq!(run(&host, "WatchArticle", &input), Ok(json!({"inStock": true, "looks": 4})));
    assert_eq!(reminders(&host), ["there is enough of book again"]);
    let timers = host.requests().into_iter().filter_map(|request| match request {
        Request::Timer { fire_at_ms } => Some(fire_at_ms - 1_700_000_000_000),
        _ => None,
    });
    assert_eq!(timers.collect::<Vec<_>>(), [1_000, 3_000, 7_000]);
    assert!(!host.requests().iter().any(|it| matches!(it, Request::ContinueAsNew { .. })));
}

#[test]
fn a_monitor_keeps_its_journal_short_and_gives_up() {
    let host = shop(25);
    let input = json!({"sku": "book", "atLeast": 2, "seconds": 1e6});
    assert_eq!(run(&host, "WatchArticle", &input), Ok(json!({"inStock": true, "looks": 25})));
    let rounds =
        host.requests().iter().filter(|it| matches!(it, Request::ContinueAsNew { .. })).count();
    assert_eq!(rounds, 2);
    // 0, 1, 3, 7 and, at its end, 10 seconds after the start.
    let host = shop(25);
    let input = json!({"sku": "book", "atLeast": 2, "seconds": 10.0});
    assert_eq!(run(&host, "WatchArticle", &input), Ok(json!({"inStock": false, "looks": 5})));
    assert!(reminders(&host).is_empty());
    // The end stays where it was when it begins anew.
    let host = shop(99);
    let input = json!({"sku": "book", "atLeast": 2, "seconds": 1e4, "pauseSeconds": 100.0});
    assert_eq!(run(&host, "WatchArticle", &input), Ok(json!({"inStock": false, "looks": 9})));
}

#[test]
fn an_approval_is_escalated() {
    let decide = |events: &[(&'static str, bool)]| {
        let host = TestHost::new();
        let (inner, answer) = (host.clone(), events.to_vec());
        host.activity("SendReminder", move |text: String| {
            for (by, approved) in &answer {
                inner.raise("Approved", &json!({"approved": approved, "by": by}));
            }
            Ok(text)
        });
        let input = json!({"timeoutSeconds": 60, "escalateTo": "Bob"});
        let decision = run(&host, "Approval", &input);
        assert_eq!(reminders(&host), ["Bob: test waits for an approval"]);
        assert_eq!(host.custom_status(), Some(json!("waiting for Bob")));
        decision
    };
    assert_eq!(decide(&[("Bob", true)]), Ok(json!({"result": "approved", "by": "Bob"})));
    assert_eq!(decide(&[("Bob", false)]), Ok(json!({"result": "rejected", "by": "Bob"})));
    assert_eq!(decide(&[]), Ok(json!({"result": "timed-out", "by": null})));
}

#[test]
fn ratings_add_up() {
    let mut book = TestEntity::<Ratings>::new("book");
    assert_eq!(book.run("summary", &()), Ok(Summary::default()));
    assert_eq!(book.run("add", &json!({"stars": 5, "text": "good"})), Ok(()));
    assert_eq!(book.run("add", &json!({"stars": 4})), Ok(()));
    let failure = book.run::<()>("add", &json!({"stars": 6}));
    assert_eq!(failure.map_err(|failure| failure.code), Err("no-rating".to_owned()));
    let summary = Summary { count: 2, average: 4.5, last: Some("good".to_owned()) };
    assert_eq!(book.run("summary", &()), Ok(summary));
    assert_eq!(book.run("reset", &()), Ok(()));
    assert!(book.state().is_none());

    let host = TestHost::new();
    let rated = json!({"sku": "lamp", "ratings": [{"stars": 2}, {"stars": 3, "text": "dim"}]});
    let summary = json!({"count": 2, "average": 2.5, "last": "dim"});
    assert_eq!(run(&host, "RateArticle", &rated), Ok(summary));
    let rated = json!({"sku": "book", "ratings": [{"stars": 4}]});
    assert!(run(&host, "RateArticle", &rated).is_ok());
    let articles = json!(["vase", "lamp", "book"]);
    assert_eq!(run(&host, "TopRated", &articles), Ok(json!("book")));
    assert_eq!(run(&host, "TopRated", &json!(["vase"])), Ok(json!(null)));
}

fn left(host: &TestHost, shelf: &str) -> Option<u64> {
    let state: Value = host.entity_state("Shelf", shelf)?;
    state["left"].as_u64()
}

#[test]
fn articles_are_moved_or_stay() {
    let mut shelf = TestEntity::<Shelf>::new("a");
    assert_eq!(shelf.run("put", &3), Ok(3));
    assert_eq!(shelf.run("take", &4), Ok(false));
    assert_eq!(shelf.run("take", &3), Ok(true));
    assert_eq!(shelf.run("left", &()), Ok(0));

    let host = TestHost::new();
    host.set_entity_state("Shelf", "a", &json!({"left": 3}));
    let order = |count: u32| json!({"from": "a", "to": "b", "count": count});
    assert_eq!(run(&host, "ReserveSaga", &order(2)), Ok(json!(true)));
    assert_eq!(run(&host, "ReserveSaga", &order(2)), Ok(json!(false)));
    assert_eq!((left(&host, "a"), left(&host, "b")), (Some(1), Some(2)));
    let same = json!({"from": "a", "to": "a", "count": 1});
    assert_eq!(run(&host, "ReserveSaga", &same), Err("bad-input".to_owned()));
}

fn order() -> Value {
    let item = json!({"sku": "vase", "quantity": 1, "price_cents": 1250});
    json!({"id": "o1", "customer": "ada", "card": "1", "items": [item]})
}

#[test]
fn the_last_one_is_bought_once() {
    let sell = |payment: Result<bool, Failure>| {
        let host = TestHost::new();
        host.set_entity_state("Shelf", "vase", &json!({"left": 1}));
        host.activity("OrderActivity", |_: Value| Ok(true));
        host.activity("PaymentActivity", move |_: Value| payment.clone());
        host.activity("RollbackOrderActivity", |_: Value| Ok(true));
        host.activity("RollbackPaymentActivity", |_: Value| Ok(true));
        host.declare_undo("OrderActivity", "RollbackOrderActivity");
        host.declare_undo("PaymentActivity", "RollbackPaymentActivity");
        let end = run(&host, "LastItemSaga", &order());
        (host, end)
    };
    let (host, end) = sell(Ok(true));
    assert_eq!((end, left(&host, "vase")), (Ok(json!("bought")), Some(0)));
    assert_eq!(run(&host, "LastItemSaga", &order()), Ok(json!("sold-out")));
    assert!(host.undone().is_empty());

    let declined = || Err(Failure::permanent("card-declined", "no"));
    for (payment, undone) in [(Ok(false), 2), (declined(), 1)] {
        let (host, end) = sell(payment);
        assert_eq!((end, left(&host, "vase")), (Ok(json!("not-paid")), Some(1)));
        assert_eq!(host.undone().len(), undone);
        // The locks outlast the undo.
        assert!(!host.requests().contains(&Request::Unlock));
    }
}
