//! The sample, as a user tries it.

use serde_json::json;

use crate::support::*;

fn shop() -> (Site, Server) {
    let site = Site::new(&["guest_activities", "guest_orchestrator"]);
    let server = site.serve();
    (site, server)
}

#[test]
fn an_order_is_placed_and_its_history_tells_all_of_it() {
    let (site, server) = shop();
    let client = server.client();
    let answer = client.post("/api/orchestrators/OrderSaga", &order("o1", "book", 2, 1_000));
    assert_eq!(answer.status, 202);
    let id = answer.body["id"].as_str().unwrap();
    for key in [
        "statusQueryGetUri",
        "sendEventPostUri",
        "terminatePostUri",
        "purgeHistoryDeleteUri",
        "restartPostUri",
        "suspendPostUri",
        "resumePostUri",
        "rewindPostUri",
    ] {
        assert!(
            answer.body[key].as_str().is_some_and(|uri| uri.starts_with(&server.url)),
            "{key}: {answer:?}"
        );
    }
    assert_eq!(answer.header("location"), answer.body["statusQueryGetUri"].as_str());
    assert_eq!(answer.header("retry-after"), Some("10"));

    let status = client.ended(id);
    assert_eq!(status["runtimeStatus"], "Completed");
    assert_eq!(status["output"], true);
    assert_eq!(status["name"], "OrderSaga");
    assert_eq!(status["customStatus"], "done");
    assert_eq!(status["input"], order("o1", "book", 2, 1_000));
    assert_eq!(shop_file(&site, "orders/o1.json").unwrap()["status"], "placed");
    assert_eq!(shop_file(&site, "payments/o1.json").unwrap()["status"], "charged");

    let history = client.history(id);
    let first = &history[0];
    assert_eq!(
        (&first["EventType"], &first["FunctionName"]),
        (&json!("ExecutionStarted"), &json!("OrderSaga"))
    );
    for name in ["OrderActivity", "PaymentActivity"] {
        let event = history.iter().find(|event| event["FunctionName"] == name).unwrap();
        assert_eq!(
            (&event["EventType"], &event["Result"]),
            (&json!("TaskCompleted"), &json!(true))
        );
        for time in ["Timestamp", "ScheduledTime"] {
            assert!(
                event[time].as_str().is_some_and(|time| time.len() == 28 && time.ends_with('Z')),
                "{event}"
            );
        }
    }
    let last = history.last().unwrap();
    assert_eq!(
        (&last["EventType"], &last["OrchestrationStatus"]),
        (&json!("ExecutionCompleted"), &json!("Completed"))
    );
}

#[test]
fn a_declined_payment_puts_the_stock_back() {
    let (site, server) = shop();
    let client = server.client();
    let before = client.run("OrderSaga", &order("o1", "lamp", 4, 100));
    assert_eq!(before["output"], true);
    let mut declined = order("o2", "lamp", 1, 100);
    declined["card"] = json!("declined");
    assert_eq!(client.run("OrderSaga", &declined)["output"], false);
    assert_ne!(shop_file(&site, "orders/o2.json").unwrap()["status"], "placed");
    // The lamp is there again: five lamps, four of them sold, one left.
    assert_eq!(client.run("OrderSaga", &order("o3", "lamp", 1, 100))["output"], true);
    assert_eq!(client.run("OrderSaga", &order("o4", "lamp", 1, 100))["output"], false);
    assert_eq!(client.run("OrderSaga", &order("o5", "vase", 1, 100))["output"], false);
    // Over the card's limit.
    assert_eq!(client.run("OrderSaga", &order("o6", "print", 3, 90_000))["output"], false);
}

#[test]
fn whatever_goes_wrong_in_an_activity_nothing_is_left_of_the_order() {
    let (site, server) = shop();
    drop(server);
    site.manifest(
        r#"
[[functions]]
names = ["OrderActivity", "PaymentActivity"]
timeout = "2s"
cpu = "500ms"
memory = "16MiB"
output = "64KiB"
"#,
    );
    let server = site.serve();
    let client = server.client();
    let faults = ["fail", "hang", "spin", "trap", "memory", "output"];
    let mut started = Vec::new();
    for (n, fault) in faults.iter().enumerate() {
        for step in ["order", "payment"] {
            let id = format!("{step}-{n}");
            let mut order = order(&id, "book", 1, 100);
            order["fault"] = json!({ step: fault });
            started.push((id, *fault, client.start("OrderSaga", &order)));
        }
    }
    for (id, fault, instance) in started {
        let status = client.ended(&instance);
        assert_eq!(status["output"], false, "{fault}: {status}");
        for file in [format!("orders/{id}.json"), format!("payments/{id}.json")] {
            let state = shop_file(&site, &file).map(|file| file["status"].clone());
            assert!(
                state != Some(json!("placed")) && state != Some(json!("charged")),
                "{fault}: {file} is {state:?}"
            );
        }
    }
    let reserved = std::fs::read_dir(site.path("shop/reserved/book")).map_or(0, Iterator::count);
    assert_eq!(reserved, 0);
}

#[test]
fn a_flaky_activity_is_attempted_again_and_every_attempt_is_in_the_history() {
    let (_site, server) = shop();
    let client = server.client();
    let mut flaky = order("o1", "book", 1, 100);
    flaky["fault"] = json!({ "payment": "flaky" });
    let status = client.run("OrderSaga", &flaky);
    assert_eq!(status["output"], true, "{status}");
    let history = client.history(status["instanceId"].as_str().unwrap());
    let payment = history.iter().find(|event| event["FunctionName"] == "PaymentActivity").unwrap();
    let attempts = payment["Attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 3, "{payment}");
}

#[test]
fn the_other_samples_do_what_they_say() {
    let (_site, server) = shop();
    let client = server.client();
    let greetings = client.run("GreetingChain", &json!(["Tokyo", "Seattle"]));
    assert_eq!(greetings["output"].as_array().unwrap().len(), 2, "{greetings}");
    assert_eq!(client.run("FanOut", &json!([1, 2, 3]))["output"], 14);
    let reminded = client.run("Reminder", &json!({ "seconds": 0.05, "message": "tea" }));
    assert_eq!(reminded["runtimeStatus"], "Completed", "{reminded}");

    let late = client.run("Approval", &json!({ "timeoutSeconds": 0.05 }));
    assert_eq!(late["output"]["result"], "timed-out", "{late}");
    let id = client.start("Approval", &json!({ "timeoutSeconds": 3600 }));
    assert_eq!(client.status(&id)["customStatus"], "waiting for approval");
    let raised = client.raise(&id, "Approved", &json!({ "approved": true, "by": "Ada" }));
    assert_eq!(raised.status, 202);
    assert_eq!(client.ended(&id)["output"], json!({ "result": "approved", "by": "Ada" }));
}
