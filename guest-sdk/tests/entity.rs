//! Entities: what the attribute makes of an `impl` block, and how they run on
//! the host in memory.
#![allow(clippy::unwrap_used)]

use sagahost::serde_json::{Value, json};
use sagahost::testing::{Request, Sent, TestEntity, TestHost};
use sagahost::{__private, EntityContext, EntityId, Failure, OrchestratorContext, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Stock {
    left: u32,
}

/// How much of an article there is.
#[sagahost::entity(timeout = "5s", retry(max_attempts = 2))]
impl Stock {
    /// Puts some there.
    fn put(&mut self, count: u32) -> u32 {
        self.left += count;
        self.left
    }

    /// Takes some away.
    fn take(&mut self, ctx: &mut EntityContext, count: u32) -> Result<bool, Failure> {
        sagahost::info!(ctx, "{} of {} from {}", ctx.operation(), count, ctx.key());
        let Some(left) = self.left.checked_sub(count) else { return Ok(false) };
        self.left = left;
        if left == 0 {
            ctx.signal(EntityId::new("Audit", "all"), "add", ctx.key().to_owned().as_str());
            ctx.send_event("test", "SoldOut", &ctx.id().to_string());
            ctx.start_orchestrator("Refill", &count);
            ctx.start_orchestrator_as("refill-1", "Refill", &count);
        }
        Ok(true)
    }

    fn left(&self) -> u32 {
        self.left
    }

    async fn clear(&mut self, ctx: &mut EntityContext) {
        self.left = 99;
        ctx.delete();
    }

    fn fail(&mut self, ctx: &mut EntityContext, how: String) -> Result<(), Failure> {
        self.left = 0;
        ctx.signal(EntityId::new("Audit", "all"), "add", "never");
        match how.as_str() {
            "no-json" => ctx.send_event("test", "E", &std::collections::HashMap::from([((), ())])),
            how => return Err(Failure::permanent("asked", how)),
        }
        Ok(())
    }

    fn later(&mut self, ctx: &mut EntityContext, at_ms: u64) {
        let me = ctx.id().clone();
        ctx.signal_at(me, "put", &1, Timestamp::from_millis(at_ms));
    }
}

#[derive(Default, Serialize, Deserialize, JsonSchema)]
struct Log {
    lines: Vec<String>,
}

#[sagahost::entity(name = "Audit", description = "Collects lines.")]
impl Log {
    fn add(&mut self, line: String) {
        self.lines.push(line);
    }

    fn first(&self) -> Option<&str> {
        self.lines.first().map(String::as_str)
    }
}

fn described(name: &str) -> Value {
    let all: Value = sagahost::serde_json::from_str(&__private::describe()).unwrap();
    let functions = all["functions"].as_array().unwrap();
    functions.iter().find(|function| function["name"] == name).unwrap().clone()
}

#[test]
fn the_description_of_an_entity() {
    let stock = described("Stock");
    assert_eq!(stock["kind"], "entity");
    assert_eq!(stock["description"], "How much of an article there is.");
    assert_eq!((&stock["timeoutMs"], &stock["retry"]["maxAttempts"]), (&json!(5000), &json!(2)));
    assert_eq!(stock["state"]["properties"]["left"]["type"], "integer");
    assert!(stock.get("input").is_none() && stock.get("output").is_none());
    let operations = stock["operations"].as_object().unwrap();
    let names: Vec<_> = operations.keys().collect();
    assert_eq!(names, ["clear", "fail", "later", "left", "put", "take"]);
    assert_eq!(operations["put"]["description"], "Puts some there.");
    assert_eq!(operations["take"]["input"]["type"], "integer");
    assert_eq!(operations["take"]["output"]["type"], "boolean");
    assert!(operations["left"].get("input").is_none());
    let audit = described("Audit");
    assert_eq!(audit["description"], "Collects lines.");
    assert_eq!(audit["operations"]["first"]["output"]["type"], json!(["string", "null"]));
}

/// What the host gives and gets, to the letter.
#[test]
fn the_envelope() {
    let run = |envelope: Value| {
        let answer = TestHost::new().run_by_name("Stock", &envelope.to_string())?;
        Ok::<Value, Failure>(sagahost::serde_json::from_str(&answer)?)
    };
    let put = json!({"key": "book", "operation": "put", "input": 2, "state": null});
    assert_eq!(run(put), Ok(json!({"result": 2, "state": {"left": 2}})));
    let take = json!({"key": "book", "operation": "take", "input": 2, "state": {"left": 2}});
    let answer = json!({
        "result": true,
        "state": {"left": 0},
        "signals": [{"name": "Audit", "key": "all", "operation": "add", "input": "book",
            "atMs": null}],
        "events": [{"instance": "test", "name": "SoldOut", "input": "@Stock@book"}],
        "starts": [{"name": "Refill", "input": 2, "id": null},
            {"name": "Refill", "input": 2, "id": "refill-1"}],
    });
    assert_eq!(run(take), Ok(answer));
    // What only reads leaves the state as it is.
    let left = json!({"key": "book", "operation": "left"});
    assert_eq!(run(left), Ok(json!({"result": 0})));
    let clear = json!({"key": "book", "operation": "clear", "state": {"left": 2}});
    assert_eq!(run(clear), Ok(json!({"result": null, "state": null})));

    let failure = run(json!({"key": "book", "operation": "sell"})).unwrap_err();
    assert_eq!((failure.code.as_str(), failure.retryable), ("unknown-operation", false));
    assert!(failure.message.contains("put, take, left, clear, fail, later"), "{failure}");
    let failure = run(json!({"key": "book", "operation": "put", "input": "x"})).unwrap_err();
    assert_eq!(failure.code, "bad-input");
    assert!(failure.message.contains("Stock.put"), "{failure}");
    let old = json!({"key": "book", "operation": "left", "state": {"count": 1}});
    assert_eq!(run(old).unwrap_err().code, "bad-state");
    assert_eq!(run(json!(1)).unwrap_err().code, "bad-input");
}

#[test]
fn an_entity_by_itself() {
    let mut book = TestEntity::<Stock>::new("book").with_state(&Stock { left: 3 });
    assert_eq!(book.run("take", &4), Ok(false));
    assert_eq!(book.run("take", &3), Ok(true));
    assert_eq!(book.state(), Some(Stock { left: 0 }));
    assert_eq!(book.sent().len(), 4);
    let audit = EntityId::new("Audit", "all");
    let (operation, input) = ("add".to_owned(), json!("book"));
    let signal = Sent::Signal { entity: audit, operation, input, at_ms: None };
    assert_eq!(book.sent()[0], signal);
    // A failure changes nothing and sends nothing.
    let mut lamp = TestEntity::<Stock>::new("lamp").with_state(&Stock { left: 3 });
    assert_eq!(lamp.run::<()>("fail", "x").unwrap_err().code, "asked");
    assert_eq!(lamp.run::<()>("fail", "no-json").unwrap_err().code, "bad-input");
    assert_eq!((lamp.state(), lamp.sent()), (Some(Stock { left: 3 }), vec![]));
    assert_eq!(lamp.run("clear", &()), Ok(()));
    assert_eq!((lamp.state(), lamp.run("left", &())), (None, Ok(0)));
    assert_eq!(lamp.state(), None);
}

#[test]
fn calls_signals_and_what_they_send() {
    let host = TestHost::new();
    host.set_entity_state("Stock", "book", &Stock { left: 1 });
    let got = host.run(async |ctx: OrchestratorContext| {
        let book = ctx.entity("Stock", "book");
        book.signal("put", &2);
        let taken: bool = book.call("take", &3).await?;
        let event: String = ctx.event("SoldOut").await?;
        let audit = ctx.entity("Audit", "all");
        let line: Option<String> = audit.call("first", &()).await?;
        let failure = book.call::<()>("fail", "x").await.unwrap_err();
        // After the orchestrator is at its end: it is delivered all the same.
        book.signal("put", &7);
        Ok::<_, Failure>((taken, event, line, failure.code))
    });
    let expected = (true, "@Stock@book".to_owned(), Some("book".to_owned()), "asked".to_owned());
    assert_eq!(got, Ok(expected));
    assert_eq!(host.entity_state("Stock", "book"), Some(Stock { left: 7 }));
    assert!(host.log().iter().any(|(_, line)| line == "take of 3 from book"), "{:?}", host.log());
    let failure = host.run(async |ctx| ctx.entity("Nobody", "k").call::<()>("a", &()).await);
    assert_eq!(failure.unwrap_err().code, "host.not-found");
}

#[test]
fn signals_at_a_time() {
    let host = TestHost::new();
    let left = host.run(async |ctx: OrchestratorContext| {
        let book = ctx.entity("Stock", "book");
        let second = std::time::Duration::from_secs(1);
        book.signal_at("put", &5, ctx.now() + 2 * second);
        book.call::<()>("later", &(ctx.now() + 4 * second).as_millis()).await?;
        let mut left = Vec::new();
        for _ in 0..5 {
            ctx.timer(second).await;
            left.push(book.call::<u32>("left", &()).await?);
        }
        Ok::<_, Failure>(left)
    });
    assert_eq!(left, Ok(vec![0, 5, 5, 6, 6]));
}

#[test]
fn locks() {
    let host = TestHost::new();
    host.orchestrator("Child", |()| Ok(()));
    let codes = host.run(async |ctx: OrchestratorContext| {
        let (a, b) = (ctx.entity("Stock", "a"), ctx.entity("Stock", "b"));
        let other = ctx.entity("Stock", "c");
        let guard = ctx.lock([&a, &b]).await?;
        a.call::<u32>("put", &1).await?;
        let mut codes = vec![
            other.call::<u32>("put", &1).await.unwrap_err().code,
            ctx.lock([&other]).await.unwrap_err().code,
            ctx.orchestrator::<()>("Child", &()).await.unwrap_err().code,
        ];
        guard.unlock();
        other.call::<u32>("put", &1).await?;
        // To drop a guard does not unlock.
        {
            let _guard = ctx.lock([EntityId::new("Stock", "a")]).await?;
        }
        codes.push(b.call::<u32>("put", &1).await.unwrap_err().code);
        Ok::<_, Failure>(codes)
    });
    assert_eq!(codes, Ok(vec!["host.locks-held".to_owned(); 4]));
    let unlocks = host.requests().iter().filter(|it| **it == Request::Unlock).count();
    assert_eq!(unlocks, 1);
    let locked =
        Request::Lock { entities: vec![EntityId::new("Stock", "a"), EntityId::new("Stock", "b")] };
    assert_eq!(host.requests()[0], locked);
}
