//! The orchestrators on the SDK's host in memory.

use sagahost::serde_json::json;
use sagahost::testing::{Request, TestHost};
use sagahost::{Failure, serde_json::Value};

type Answer = Result<bool, Failure>;

/// A shop whose activities answer as told, and the rollbacks yes.
fn shop(order: Answer, payment: Answer) -> TestHost {
    let host = TestHost::new();
    host.activity("OrderActivity", move |_: Value| order.clone());
    host.activity("PaymentActivity", move |_: Value| payment.clone());
    host.activity("RollbackOrderActivity", |_: Value| Ok(true));
    host.activity("RollbackPaymentActivity", |_: Value| Ok(true));
    host.declare_undo("OrderActivity", "RollbackOrderActivity");
    host.declare_undo("PaymentActivity", "RollbackPaymentActivity");
    host
}

/// The activities that the orchestrator called.
fn calls(host: &TestHost) -> Vec<String> {
    let calls = host.requests().into_iter().filter_map(|request| match request {
        Request::Activity { name, .. } => Some(name),
        _ => None,
    });
    calls.collect()
}

/// The undos that the host did.
fn undos(host: &TestHost) -> Vec<String> {
    host.undone().into_iter().map(|undo| undo.name).collect()
}

fn failed() -> Answer {
    Err(Failure::permanent("no", "no"))
}

/// Nobody knows whether it did its work.
fn timed_out() -> Answer {
    Err(Failure::transient("host.timeout", "it took too long"))
}

const ORDER: &str = r#"{"id": "o1", "customer": "ada", "card": "1", "fault": {"payment": "flaky"},
    "items": [{"sku": "book", "quantity": 2, "price_cents": 1250}]}"#;

const SAGAS: [&str; 2] = ["OrderSaga", "OrderSagaByHand"];

const ROLLBACK_ORDER: &str = "RollbackOrderActivity";
const ROLLBACK_PAYMENT: &str = "RollbackPaymentActivity";

#[test]
fn an_order_that_goes_well() {
    for saga in SAGAS {
        let host = shop(Ok(true), Ok(true));
        assert_eq!(host.run_by_name(saga, ORDER), Ok("true".into()));
        assert_eq!(calls(&host), ["OrderActivity", "PaymentActivity"]);
        assert_eq!(undos(&host), [""; 0]);
        assert_eq!(host.custom_status(), Some(json!("done")));
        // All of the order reaches the activities, as it came.
        let order: Value = ORDER.parse().expect("JSON");
        let requests = host.requests();
        assert!(
            matches!(&requests[0], Request::Activity { input, .. } if *input == order),
            "{requests:?}"
        );
    }
}

#[test]
fn an_order_that_is_none() {
    for order in [r#"{"id": "o1"}"#, &ORDER.replace("flaky", "flakey")] {
        let host = shop(Ok(true), Ok(true));
        let failure = host.run_by_name("OrderSaga", order).expect_err("is no order");
        assert_eq!((&*failure.code, calls(&host).len()), ("bad-input", 0), "{failure:?}");
    }
}

#[test]
fn an_order_that_does_not() {
    let (order, payment) = (ROLLBACK_ORDER, ROLLBACK_PAYMENT);
    for (placed, charged, undone) in [
        (Ok(false), Ok(true), &[payment, order][..]),
        (Ok(true), Ok(false), &[payment, order]),
        (Ok(false), Ok(false), &[payment, order]),
        // What returns a failure did nothing.
        (failed(), Ok(true), &[payment]),
        (Ok(true), failed(), &[order]),
        (failed(), failed(), &[]),
        (timed_out(), Ok(true), &[payment, order]),
        (Ok(true), timed_out(), &[payment, order]),
        (timed_out(), failed(), &[order]),
    ] {
        let host = shop(placed, charged);
        assert_eq!(host.run_by_name("OrderSaga", ORDER), Ok("false".into()));
        assert_eq!(calls(&host), ["OrderActivity", "PaymentActivity"]);
        assert_eq!(undos(&host), undone);
        assert_eq!(host.custom_status(), Some(json!("rolled back")));
    }
}

#[test]
fn a_rollback_by_hand() {
    for (placed, charged) in [(Ok(false), Ok(true)), (Ok(true), Ok(false)), (Ok(false), Ok(false))]
    {
        let host = shop(placed, charged);
        assert_eq!(host.run_by_name("OrderSagaByHand", ORDER), Ok("false".into()));
        assert_eq!(calls(&host)[2..], [ROLLBACK_ORDER, ROLLBACK_PAYMENT]);
        assert_eq!(undos(&host), [""; 0]);
        assert_eq!(host.custom_status(), Some(json!("rolled back")));
    }
}

/// What is wrong with it, and not with OrderSaga.
#[test]
fn the_holes_of_a_rollback_by_hand() {
    // A step that fails: what the other one did stays.
    for (placed, charged) in [(failed(), Ok(true)), (Ok(true), failed()), (timed_out(), Ok(true))] {
        let host = shop(placed, charged);
        assert!(host.run_by_name("OrderSagaByHand", ORDER).is_err());
        assert_eq!((calls(&host).len(), undos(&host).len()), (2, 0));
    }
    // A rollback that fails: the other one is not done.
    let host = shop(Ok(true), Ok(false));
    host.activity(ROLLBACK_ORDER, |_: Value| failed());
    assert!(host.run_by_name("OrderSagaByHand", ORDER).is_err());
    assert_eq!(calls(&host)[2..], [ROLLBACK_ORDER]);
}

/// A gift with one extra.
fn gift() -> String {
    let extra = ORDER.replace("o1", "paper");
    format!(r#"{{"order": {ORDER}, "extras": [{extra}], "message": "for you"}}"#)
}

#[test]
fn a_gift() {
    let host = shop(Ok(true), Ok(true));
    host.activity("SendReminder", |text: String| Ok(text));
    assert_eq!(host.run_by_name("GiftSaga", &gift()), Ok(r#""wrapped""#.into()));
    assert_eq!(calls(&host), ["OrderActivity", "SendReminder", "SendReminder"]);
    assert_eq!(undos(&host), [""; 0]);
}

#[test]
fn a_gift_without_its_extras() {
    let host = shop(Ok(true), Ok(true));
    host.activity("OrderActivity", |order: Value| Ok(order["id"] != "paper"));
    host.activity("SendReminder", |text: String| Ok(text));
    assert_eq!(host.run_by_name("GiftSaga", &gift()), Ok(r#""plain""#.into()));
    // The extra is undone, and the gift is not.
    let undone = host.undone();
    assert_eq!(undone.len(), 1);
    assert_eq!(undone[0].input["id"], "paper");
}

#[test]
fn a_gift_that_cannot_be_sent() {
    let host = shop(Ok(true), Ok(true));
    host.activity("SendReminder", |_: String| failed());
    assert_eq!(host.run_by_name("GiftSaga", &gift()).map_err(|it| it.code), Err("no".into()));
    // All of it, the last first, and what the child did, too.
    let undone = host.undone();
    let undone: Vec<_> =
        undone.iter().map(|undo| (&*undo.name, undo.input["id"].as_str())).collect();
    assert_eq!(
        undone,
        [
            (ROLLBACK_ORDER, Some("paper")),
            (ROLLBACK_PAYMENT, Some("o1")),
            (ROLLBACK_ORDER, Some("o1"))
        ]
    );
}

#[test]
fn a_gift_that_is_sent_is_announced() {
    let host = shop(Ok(true), Ok(true));
    let mut attempts = 0;
    host.activity("SendReminder", move |text: String| {
        attempts += 1;
        match (&*text, attempts) {
            ("for you", 0..5) => Err(Failure::transient("busy", "not now")),
            _ => Ok(text),
        }
    });
    assert_eq!(host.run_by_name("GiftSaga", &gift()), Ok(r#""wrapped""#.into()));
    assert_eq!(undos(&host), [""; 0]);
}

#[test]
fn a_gift_that_is_not_to_be_had() {
    let host = shop(Ok(false), Ok(true));
    assert_eq!(host.run_by_name("GiftSaga", &gift()), Ok(r#""not-to-be-had""#.into()));
    assert_eq!(calls(&host), [""; 0]);
    assert_eq!(undos(&host), [ROLLBACK_PAYMENT, ROLLBACK_ORDER]);
}

#[test]
fn patterns() {
    let host = TestHost::new();
    host.activity("Greet", |name: String| Ok(format!("Hello, {name}!")));
    host.activity("Square", |n: i64| Ok(n * n));
    host.activity("SendReminder", |text: String| Ok(text));
    let run = |name, input: &str| host.run_by_name(name, input);
    let greetings = r#"["Hello, Oslo!","Hello, Rome!"]"#.to_owned();
    assert_eq!(run("GreetingChain", r#"["Oslo", "Rome"]"#), Ok(greetings));
    assert_eq!(run("FanOut", "[1, 2, 3]"), Ok("14".into()));
    assert_eq!(run("FanOut", r#"{"count": 100}"#), Ok("338350".into()));
    let reminder = r#"{"seconds": 1.5, "message": "tea"}"#;
    assert_eq!(run("Reminder", reminder), Ok(r#""tea""#.into()));
    let failure = run("Reminder", r#"{"seconds": -1, "message": ""}"#);
    assert_eq!(failure.map_err(|failure| failure.code), Err("bad-input".into()));
}

#[test]
fn approval() {
    let decide = |event: Option<Value>| {
        let host = TestHost::new();
        if let Some(event) = event {
            host.raise("Approved", &event);
        }
        host.run_by_name("Approval", r#"{"timeoutSeconds": 60}"#)
    };
    let yes = decide(Some(json!({"approved": true, "by": "Ada"})));
    assert_eq!(yes, Ok(r#"{"result":"approved","by":"Ada"}"#.into()));
    let no = decide(Some(json!({"approved": false, "by": "Ada"})));
    assert_eq!(no, Ok(r#"{"result":"rejected","by":"Ada"}"#.into()));
    assert_eq!(decide(None), Ok(r#"{"result":"timed-out","by":null}"#.into()));
}
