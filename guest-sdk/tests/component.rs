//! What the attributes put into a component: its description, and how its
//! functions are run by name.
#![allow(clippy::unwrap_used)]

use sagahost::serde_json::{Value, json};
use sagahost::testing::TestHost;
use sagahost::{__private, ActivityContext, Failure, OrchestratorContext};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, JsonSchema)]
struct Order {
    id: String,
    #[serde(default)]
    quantity: u32,
}

/// Charges a card.
#[sagahost::activity(
    timeout = "1m30s",
    retry(
        max_attempts = 5,
        first_interval = "200ms",
        backoff = 3,
        max_interval = "10s",
        total_time = "1m",
        jitter = 0.5,
        do_not_retry = ["card-declined"]
    )
)]
async fn payment_activity(ctx: ActivityContext, order: Order) -> Result<bool, Failure> {
    sagahost::info!(ctx, "attempt {} of {}", ctx.attempt(), order.id);
    if order.quantity > 9 { Err(Failure::permanent("card-declined", "too much")) } else { Ok(true) }
}

#[sagahost::activity(name = "shop.Total", description = "Adds up.", retry())]
async fn total(order: Order) -> u64 {
    u64::from(order.quantity) * 100
}

#[sagahost::activity]
async fn nothing_at_all() {}

type Alias = Result<Vec<u8>, String>;

#[sagahost::activity]
async fn by_alias(ctx: ActivityContext) -> Alias {
    match ctx.attempt() {
        1 => Err("not yet".to_owned()),
        _ => Ok(vec![1, 2]),
    }
}

/// Places an order.
///
/// Or does not.
#[sagahost::orchestrator]
async fn order_saga(
    ctx: OrchestratorContext,
    order: Order,
) -> Result<bool, Box<dyn std::error::Error>> {
    Ok(ctx.activity("PaymentActivity", &order).await?)
}

/// The function of this name as the component describes it.
fn described(name: &str) -> Value {
    let text = __private::describe();
    let all: Value = sagahost::serde_json::from_str(&text).unwrap();
    let functions = all["functions"].as_array().unwrap();
    let found: Vec<_> = functions.iter().filter(|function| function["name"] == name).collect();
    assert_eq!(found.len(), 1, "{name} in {text}");
    found[0].clone()
}

#[test]
fn the_description_of_an_activity() {
    let payment = described("PaymentActivity");
    assert_eq!(payment["kind"], "activity");
    assert_eq!(payment["description"], "Charges a card.");
    assert_eq!(payment["timeoutMs"], 90_000);
    let retry = json!({
        "maxAttempts": 5, "firstIntervalMs": 200, "backoff": 3.0, "maxIntervalMs": 10_000,
        "totalTimeMs": 60_000, "jitter": 0.5, "doNotRetry": ["card-declined"],
    });
    assert_eq!(payment["retry"], retry);
    assert_eq!(payment["input"]["required"], json!(["id"]));
    assert_eq!(payment["output"]["type"], "boolean");
}

#[test]
fn names_descriptions_and_defaults() {
    let total = described("shop.Total");
    assert_eq!(total["description"], "Adds up.");
    assert_eq!(total["output"]["type"], "integer");
    assert!(total.get("timeoutMs").is_none());
    let retry = json!({
        "maxAttempts": 3, "firstIntervalMs": 1_000, "backoff": 2.0, "maxIntervalMs": 60_000,
        "totalTimeMs": null, "jitter": 0.1, "doNotRetry": [],
    });
    assert_eq!(total["retry"], retry);

    let nothing = described("NothingAtAll");
    assert!(
        nothing.get("input").is_none()
            && nothing.get("retry").is_none()
            && nothing.get("description").is_none()
    );
    assert_eq!(nothing["output"]["type"], "null");
    assert_eq!(described("ByAlias")["output"]["type"], "array");

    let saga = described("OrderSaga");
    assert_eq!(saga["kind"], "orchestrator");
    assert_eq!(saga["description"], "Places an order.\n\nOr does not.");
}

fn run(host: &TestHost, name: &str, input: &str) -> Result<String, Failure> {
    host.run_by_name(name, input)
}

#[test]
fn run_by_name() {
    let host = TestHost::new();
    assert_eq!(run(&host, "PaymentActivity", r#"{"id": "7"}"#), Ok("true".into()));
    assert_eq!(
        run(&host, "PaymentActivity", r#"{"id": "7", "quantity": 10}"#).unwrap_err().code,
        "card-declined"
    );
    assert_eq!(run(&host, "shop.Total", r#"{"id": "7", "quantity": 3}"#), Ok("300".into()));
    assert_eq!(run(&host, "NothingAtAll", "null"), Ok("null".into()));
    assert_eq!(run(&host, "NothingAtAll", ""), Ok("null".into()));
    assert_eq!(run(&host, "ByAlias", "null"), Err("not yet".into()));
    assert_eq!(host.log()[0].1, "attempt 1 of 7");
}

#[test]
fn run_an_orchestrator_by_name() {
    let host = TestHost::new();
    host.activity("PaymentActivity", |order: Order| match order.quantity {
        0 => Err(Failure::permanent("empty", "nothing ordered")),
        _ => Ok(true),
    });
    assert_eq!(run(&host, "OrderSaga", r#"{"id": "7", "quantity": 1}"#), Ok("true".into()));
    // A failure stays what it is on its way through `Box<dyn Error>`.
    assert_eq!(
        run(&host, "OrderSaga", r#"{"id": "7"}"#),
        Err(Failure::permanent("empty", "nothing ordered"))
    );
}

#[test]
fn bad_input_says_where() {
    let failure = run(&TestHost::new(), "PaymentActivity", "{\"id\": 7}").unwrap_err();
    assert_eq!((failure.code.as_str(), failure.retryable), ("bad-input", false));
    assert!(failure.message.contains("PaymentActivity"), "{failure}");
    assert!(failure.message.contains("line 1 column 8"), "{failure}");
    let failure = run(&TestHost::new(), "PaymentActivity", "").unwrap_err();
    assert_eq!(failure.code, "bad-input");
}

#[test]
fn an_unknown_name() {
    let failure = run(&TestHost::new(), "Nope", "null").unwrap_err();
    assert_eq!(failure.code, "host.not-found");
    assert!(
        failure.message.contains("ByAlias, NothingAtAll, PaymentActivity, shop.Total"),
        "{failure}"
    );
}
