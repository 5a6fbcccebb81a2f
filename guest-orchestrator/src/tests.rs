//! The orchestrators on the SDK's host in memory.

use sagahost::serde_json::json;
use sagahost::testing::{Request, TestHost};
use sagahost::{Failure, serde_json::Value};

/// A shop whose activities answer as told, and the rollbacks yes.
fn shop(order: Result<bool, Failure>, payment: Result<bool, Failure>) -> TestHost {
    let host = TestHost::new();
    host.activity("OrderActivity", move |_: Value| order.clone());
    host.activity("PaymentActivity", move |_: Value| payment.clone());
    host.activity("RollbackOrderActivity", |_: Value| Ok(true));
    host.activity("RollbackPaymentActivity", |_: Value| Ok(true));
    host
}

fn calls(host: &TestHost) -> Vec<String> {
    let calls = host.requests().into_iter().filter_map(|request| match request {
        Request::Activity { name, .. } => Some(name),
        _ => None,
    });
    calls.collect()
}

const ORDER: &str = r#"{"id": "o1", "customer": "ada", "card": "1", "fault": {"payment": "flaky"},
    "items": [{"sku": "book", "quantity": 2, "price_cents": 1250}]}"#;

#[test]
fn an_order_that_goes_well() {
    let host = shop(Ok(true), Ok(true));
    assert_eq!(host.run_by_name("OrderSaga", ORDER), Ok("true".into()));
    assert_eq!(calls(&host), ["OrderActivity", "PaymentActivity"]);
    assert_eq!(host.custom_status(), Some(json!("done")));
    // All of the order reaches the activities, as it came.
    let order: Value = ORDER.parse().expect("JSON");
    let requests = host.requests();
    assert!(
        matches!(&requests[0], Request::Activity { input, .. } if *input == order),
        "{requests:?}"
    );
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
    let no = || Err(Failure::permanent("no", "no"));
    for (order, payment) in [
        (Ok(false), Ok(true)),
        (Ok(true), Ok(false)),
        (no(), Ok(true)),
        (Ok(true), no()),
        (no(), no()),
    ] {
        let host = shop(order, payment);
        assert_eq!(host.run_by_name("OrderSaga", ORDER), Ok("false".into()));
        let rollbacks = ["RollbackOrderActivity", "RollbackPaymentActivity"];
        assert_eq!(calls(&host)[2..], rollbacks);
    }
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
