//! Sagas that make HTTP requests, call entities and lock them, tell others, and
//! continue as new; right and broken ones.

use std::time::Duration;

use sagahost::{Compensation, Failure, HttpRequest, OrchestratorContext, RetryPolicy};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{CAR, ITEM, ORDER, ROOM};

const URL: &str = "https://rooms.example/bookings";
const HOUR: Duration = Duration::from_secs(3600);

/// What is in stock of an item.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
struct Stock {
    left: u32,
}

/// It is never run.
#[sagahost::entity]
impl Stock {
    /// Takes so many, if they are there.
    fn take(&mut self, count: u32) -> bool {
        self.left.checked_sub(count).map(|left| self.left = left).is_some()
    }

    /// Puts so many there.
    fn put(&mut self, count: u32) {
        self.left += count;
    }
}

fn sold_out() -> Failure {
    Failure::permanent("sold-out", "there are not so many")
}

// Right.

/// So many rounds, and each has all of its steps in place.
#[sagahost::orchestrator]
async fn rounds(ctx: OrchestratorContext, left: u32) -> Result<u32, Failure> {
    ctx.activity::<String>("Reserve", ITEM).await?;
    ctx.activity::<()>("Ship", ORDER).await?;
    if left == 0 {
        return Ok(7);
    }
    ctx.timer(HOUR).await;
    ctx.continue_as_new(&(left - 1))
}

/// A child that goes on for some rounds.
#[sagahost::orchestrator]
async fn with_rounds(ctx: OrchestratorContext) -> Result<u32, Failure> {
    let rounds: u32 = ctx.orchestrator("Rounds", &1).await?;
    ctx.activity::<()>("Rent", CAR).compensate_with("GiveBack").await?;
    Ok(rounds)
}

/// Looks with one request, and books with another, which is undone whatever
/// the answer was.
#[sagahost::orchestrator]
async fn by_http(ctx: OrchestratorContext) -> Result<(), Failure> {
    ctx.http(HttpRequest::get(URL)).await?.error_for_status()?;
    let undo = Compensation::new("Unbook").input(ROOM);
    let booking = ctx.http(HttpRequest::post(URL).json(ROOM)).compensate_with(undo);
    booking.retry(RetryPolicy::attempts(2)).await?.error_for_status()?;
    ctx.activity::<()>("Ship", ORDER).await
}

/// Alone with two entities until it has what it wants of both.
#[sagahost::orchestrator]
async fn locks_two(ctx: OrchestratorContext) -> Result<(), Failure> {
    let (books, pens) = (ctx.entity("Stock", "book"), ctx.entity("Stock", "pen"));
    let guard = ctx.lock([&pens, &books]).await?;
    if !books.call::<bool>("take", &1).await? {
        return Err(sold_out());
    }
    if !pens.call::<bool>("take", &2).await? {
        books.call::<()>("put", &1).await?;
        return Err(sold_out());
    }
    guard.unlock();
    ctx.activity::<()>("Ship", ORDER).await
}

/// What it has not locked it cannot call: that always fails, and so it does.
#[sagahost::orchestrator]
async fn calls_unlocked(ctx: OrchestratorContext) -> Result<(), Failure> {
    ctx.activity::<String>("Reserve", ITEM).await?;
    ctx.lock([ctx.entity("Stock", "book")]).await?;
    ctx.entity("Stock", "pen").call::<bool>("take", &1).await.map(drop)
}

/// No such operation.
#[sagahost::orchestrator]
async fn gives_away(ctx: OrchestratorContext) -> Result<(), Failure> {
    ctx.activity::<String>("Reserve", ITEM).await?;
    ctx.entity("Stock", "book").call("give", &1).await
}

/// Tells others, and waits for nobody.
#[sagahost::orchestrator]
async fn tells(ctx: OrchestratorContext) -> Result<String, Failure> {
    ctx.send_event("order-8", "Go", &true);
    ctx.entity("Stock", "book").signal("put", &1);
    let id = ctx.start_orchestrator("Sequential", &()).start();
    ctx.start_orchestrator("Elsewhere", &()).id("elsewhere").start();
    ctx.activity::<String>("Reserve", ITEM).await?;
    Ok(id)
}

/// Nobody raises the event but its child.
#[sagahost::orchestrator]
async fn hears_its_child(ctx: OrchestratorContext) -> Result<(), Failure> {
    let child = ctx.orchestrator::<()>("SaysReady", &ctx.instance_id()).start();
    ctx.event::<bool>("Ready").await?;
    child.await
}

/// Tells an orchestration that it is ready, and rents a car then.
#[sagahost::orchestrator]
async fn says_ready(ctx: OrchestratorContext, to: String) -> Result<(), Failure> {
    ctx.send_event(&to, "Ready", &true);
    ctx.activity::<()>("Rent", CAR).compensate_with("GiveBack").await
}

/// Takes one item of stock.
#[sagahost::orchestrator]
async fn takes_one(ctx: OrchestratorContext) -> Result<bool, Failure> {
    ctx.entity("Stock", "book").call("take", &1).await
}

// Broken.

/// A round that goes on without what failed in it.
#[sagahost::orchestrator]
async fn drops_a_round(ctx: OrchestratorContext) -> Result<(), Failure> {
    let reserved = ctx.activity::<String>("Reserve", ITEM).await;
    ctx.activity::<()>("Ship", ORDER).await?;
    drop(reserved);
    ctx.continue_as_new(&())
}

/// An answer is an answer, whatever its status.
#[sagahost::orchestrator]
async fn ignores_status(ctx: OrchestratorContext) -> Result<(), Failure> {
    let undo = Compensation::new("Unbook").input(ROOM);
    ctx.http(HttpRequest::post(URL).json(ROOM)).compensate_with(undo).await?;
    ctx.activity::<()>("Ship", ORDER).await
}

/// Nothing undoes the booking.
#[sagahost::orchestrator]
async fn books_for_good(ctx: OrchestratorContext) -> Result<(), Failure> {
    ctx.http(HttpRequest::post(URL).json(ROOM)).await?.error_for_status()?;
    ctx.activity::<()>("Ship", ORDER).await
}

/// The child waits for what its parent has locked, and the parent for it.
#[sagahost::orchestrator]
async fn locks_out_its_child(ctx: OrchestratorContext) -> Result<bool, Failure> {
    let child = ctx.orchestrator::<bool>("TakesOne", &()).start();
    let guard = ctx.lock([ctx.entity("Stock", "book")]).await?;
    let taken = child.await?;
    guard.unlock();
    Ok(taken)
}

/// Asks again whenever the entity fails.
#[sagahost::orchestrator]
async fn asks_stock_for_ever(ctx: OrchestratorContext) -> Result<(), Failure> {
    loop {
        if ctx.entity("Stock", "book").call::<()>("put", &1).await.is_ok() {
            return Ok(());
        }
        ctx.timer(HOUR).await;
    }
}
