//! What an activity says of its undo, and what the undo is told.
#![allow(clippy::unwrap_used)]

use std::cell::RefCell;
use std::rc::Rc;

use sagahost::serde_json::Value;
use sagahost::testing::{TestHost, completed, failed, unknown};
use sagahost::{ActivityContext, Failure, OrchestratorContext};

/// Books a part of a trip.
#[sagahost::activity(undo = "CancelPart")]
async fn book_part(ctx: ActivityContext, part: String) -> Result<String, Failure> {
    assert!(!ctx.is_undo() && ctx.undone().is_none());
    Ok(format!("{part} under {}", ctx.idempotency_key()))
}

/// Cancels it again. Answers what it is told.
#[sagahost::activity(undoes = "BookPart")]
async fn cancel_part(ctx: ActivityContext, part: String) -> Result<String, Failure> {
    let undone = ctx.undone().ok_or("it is called by hand")?;
    assert!(ctx.is_undo());
    assert_eq!(undone.input::<String>()?, part);
    assert_eq!(undone.input::<u32>().unwrap_err().code, "bad-input");
    let booking = undone.output::<String>()?.unwrap_or_else(|| "nothing".to_owned());
    Ok(format!("{} {} {booking}, key {}", undone.outcome, undone.function, ctx.idempotency_key()))
}

/// Has an hour.
#[sagahost::orchestrator(timeout = "1h")]
async fn with_deadline(ctx: OrchestratorContext) -> Result<String, Failure> {
    ctx.activity("BookPart", "train").await
}

#[test]
fn an_undo_is_told_what_it_undoes() {
    let host = TestHost::new();
    let run = |step| host.run_undo(step, |ctx| cancel_part(ctx, "train".into())).unwrap();
    assert_eq!(
        run(completed("BookPart", "train", "train 7")),
        "completed BookPart train 7, key test/0-undo"
    );
    assert_eq!(run(failed("BookPart", "train")), "failed BookPart nothing, key test/0-undo");
    assert_eq!(run(unknown("BookPart", "train")), "unknown BookPart nothing, key test/0-undo");
    let by_hand = host.run_activity(|ctx| cancel_part(ctx, "train".into()));
    assert_eq!(by_hand.unwrap_err().message, "it is called by hand");
    let wrong = completed("BookPart", "train", &7);
    let failure = host.run_undo(wrong, |ctx| cancel_part(ctx, "train".into())).unwrap_err();
    assert_eq!(failure.code, "bad-output");
}

/// The activities of the crate in a saga: their undo is known.
#[test]
fn real_activities_in_a_saga() {
    let host = TestHost::new();
    let told = Rc::new(RefCell::new(Vec::new()));
    let (inner, log) = (host.clone(), Rc::clone(&told));
    host.activity("BookPart", move |part| inner.run_activity(|ctx| book_part(ctx, part)));
    let inner = host.clone();
    host.activity("CancelPart", move |part| {
        log.borrow_mut().push(inner.run_activity(|ctx| cancel_part(ctx, part))?);
        Ok(())
    });
    host.run(async |ctx| {
        ctx.activity::<String>("BookPart", "train").await?;
        ctx.activity::<String>("BookPart", "hotel").await?;
        Err::<(), Failure>(Failure::permanent("end", "it fails"))
    })
    .unwrap_err();
    assert_eq!(
        *told.borrow(),
        [
            "completed BookPart hotel under test/1, key test/1-undo",
            "completed BookPart train under test/0, key test/0-undo",
        ]
    );
}

#[test]
fn what_the_component_says_of_its_undos() {
    let described: Value =
        sagahost::serde_json::from_str(&sagahost::__private::describe()).unwrap();
    let function = |name: &str| {
        let all = described["functions"].as_array().unwrap();
        all.iter().find(|function| function["name"] == name).unwrap().clone()
    };
    assert_eq!(function("BookPart")["undo"], "CancelPart");
    assert!(function("BookPart").get("undoes").is_none());
    assert_eq!(function("CancelPart")["undoes"], "BookPart");
    assert!(function("CancelPart").get("undo").is_none());
    assert_eq!(function("WithDeadline")["timeoutMs"], 3_600_000);
}
