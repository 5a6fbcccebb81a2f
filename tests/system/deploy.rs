//! Deploying components while the host runs.

use serde_json::{Value, json};

use crate::support::*;

fn put(client: &Client, name: &str, bytes: &[u8]) -> Answer {
    let path = format!("/admin/components/{name}");
    client.try_send("PUT", &path, &[("content-type", "application/wasm")], Some(bytes)).unwrap()
}

fn guest(name: &str) -> Vec<u8> {
    std::fs::read(guests().join(format!("{name}.wasm"))).unwrap()
}

#[test]
fn a_bad_component_is_refused_with_its_reason_and_the_old_one_stays() {
    let site = Site::new(&["guest_activities", "guest_orchestrator"]);
    let server = site.serve();
    let client = server.client();
    let good = guest("guest_activities");
    let evil = wat::parse_str(r#"(component (import "evil:thing/api@1.0.0" (instance)))"#).unwrap();
    let core_module = wat::parse_str("(module)").unwrap();
    let future =
        wat::parse_str(r#"(component (import "sagahost:saga/orchestration@9.0.0" (instance)))"#)
            .unwrap();
    let other = wat::parse_str("(component)").unwrap();
    let mut random = Random(seed());
    let noise: Vec<u8> = (0..5_000).map(|_| random.below(256) as u8).collect();
    let cases: [(&str, &[u8], &str); 8] = [
        ("imports what it may not", &evil, "evil:thing/api"),
        ("core module", &core_module, "core WebAssembly module"),
        ("later contract", &future, "9.0.0"),
        ("not ours", &other, "describe"),
        ("random bytes", &noise, "not WebAssembly"),
        ("empty", b"", "not WebAssembly"),
        ("truncated", &good[..good.len() / 2], ""),
        ("damaged", &[&good[..2_000], &noise, &good[7_000..]].concat(), ""),
    ];
    for (what, bytes, reason) in cases {
        let answer = put(&client, "guest_activities", bytes);
        assert_eq!(answer.status, 400, "{what}: {answer:?}");
        assert!(
            answer.body["Message"].as_str().is_some_and(|message| message.contains(reason)),
            "{what}: {answer:?}"
        );
    }
    let clash = put(&client, "second", &good);
    assert_eq!(clash.status, 400);
    assert!(clash.body.to_string().contains("guest_activities"), "{clash:?}");
    let named = put(&client, "..%2Fescaped", &good);
    assert_eq!(named.status, 400, "{named:?}");
    // The old one is still there.
    assert_eq!(client.run("OrderSaga", &order("o1", "book", 1, 100))["output"], true);
}

#[test]
fn a_component_is_deployed_over_the_network_and_is_there_after_a_restart() {
    let site = Site::new(&[]);
    let server = site.serve();
    let client = server.client();
    let missing = client.post("/api/orchestrators/FanOut", &json!([1]));
    assert_eq!(missing.status, 400);
    for name in ["guest_activities", "guest_orchestrator"] {
        let answer = put(&client, name, &guest(name));
        assert!(matches!(answer.status, 200 | 201), "{answer:?}");
    }
    assert_eq!(client.run("FanOut", &json!([3]))["output"], 9);
    server.kill();
    let server = site.serve();
    let client = server.client();
    let functions = client.get("/admin/functions").body.to_string();
    assert!(
        functions.contains("OrderSaga") && functions.contains("PaymentActivity"),
        "{functions}"
    );
    assert_eq!(client.run("FanOut", &json!([3]))["output"], 9);
}

#[test]
fn a_file_that_is_added_or_replaced_is_picked_up_and_what_runs_stays_on_its_own() {
    let site = Site::new(&[]);
    let server = site.serve();
    let client = server.client();
    site.copy_component("test_guests", "tests");
    eventually("the added file is deployed", || {
        client.get("/admin/functions").body.to_string().contains("TestVersioned").then_some(())
    });
    let digest = || client.get("/admin/components").body.to_string();
    let before = digest();
    let old = client.start("TestVersioned", &Value::Null);

    // Built anew with a feature that changes what the orchestrator does.
    std::fs::copy(guest_with("changed"), site.path("functions/tests.wasm")).unwrap();
    eventually("the replaced file is deployed", || (digest() != before).then_some(()));
    let new = client.start("TestVersioned", &Value::Null);
    // A broken file changes nothing.
    std::fs::write(site.path("functions/tests.wasm"), b"no wasm").unwrap();
    eventually("the broken file is refused", || {
        server.output().contains("not WebAssembly").then_some(())
    });

    // Also over a restart the old one goes on with the code it began with.
    site.copy_component("test_guests", "tests");
    server.kill();
    let server = site.serve();
    let client = server.client();
    for id in [&old, &new] {
        assert_eq!(client.raise(id, "Go", &Value::Null).status, 202);
    }
    assert_eq!(client.ended(&old)["output"], "original");
    assert_eq!(client.ended(&new)["output"], "changed");
    for id in [&old, &new] {
        assert_eq!(client.get(&format!("/api/instances/{id}/replay")).status, 200);
    }
}

#[test]
fn an_instance_whose_journal_differs_is_parked_with_both_sides_and_goes_on_when_it_is_mended() {
    let site = Site::new(&["test_guests"]);
    let server = site.serve();
    let id = server.client().start("TestVersioned", &Value::Null);
    eventually("the first step is done", || {
        let history = server.client().history(&id);
        history.iter().any(|event| event["EventType"] == "TaskCompleted").then_some(())
    });
    assert_eq!(server.terminate(), Some(0));
    site.rewrite_journals("TestEcho", "TestOther");

    let server = site.serve();
    let client = server.client();
    assert_eq!(client.raise(&id, "Go", &json!("kept")).status, 202);
    let status = eventually("it is blocked", || {
        let status = client.status(&id);
        (!status["blocked"].is_null()).then_some(status)
    });
    assert_eq!(status["runtimeStatus"], "Running", "it has not failed: {status}");
    let blocked = status["blocked"].to_string();
    assert!(blocked.contains("TestOther") && blocked.contains("TestEcho"), "{blocked}");
    let replay = client.get(&format!("/api/instances/{id}/replay"));
    assert_eq!(replay.status, 409, "{replay:?}");
    assert_eq!(server.terminate(), Some(0));

    site.rewrite_journals("TestOther", "TestEcho");
    let server = site.serve();
    let client = server.client();
    // Anything that arrives for it lets it try again.
    assert_eq!(client.raise(&id, "Nothing", &Value::Null).status, 202);
    let status = client.ended(&id);
    assert_eq!(
        (&status["runtimeStatus"], &status["output"]),
        (&json!("Completed"), &json!("original"))
    );
}
