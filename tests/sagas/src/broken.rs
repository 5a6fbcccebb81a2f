//! Sagas with one fault each. In those of this module the host undoes the
//! steps; those that undo by hand are in `by_hand`.

use std::time::Duration;

use sagahost::{Compensation, Failure, OrchestratorContext, join, select};

use crate::{CAR, ITEM, ORDER, ROOM};

const HOUR: Duration = Duration::from_secs(3600);

fn declined() -> Failure {
    Failure::permanent("declined", "the bank said no")
}

// Undos that are missing or wrong.

/// Nothing undoes the ticket.
#[sagahost::orchestrator]
async fn no_undo(ctx: OrchestratorContext) -> Result<(), Failure> {
    ctx.activity::<()>("Print", ORDER).await?;
    ctx.activity::<String>("Reserve", ITEM).await?;
    Ok(())
}

/// The payment is undone with the undo of the reservation.
#[sagahost::orchestrator]
async fn undo_of_another(ctx: OrchestratorContext) -> Result<(), Failure> {
    ctx.activity::<String>("Reserve", ITEM).await?;
    ctx.activity::<bool>("Charge", ORDER).compensate_with("Release").await?;
    ctx.activity::<()>("Ship", ORDER).await
}

/// A payment of which nobody knows whether it was made stays.
#[sagahost::orchestrator]
async fn unknown_stays(ctx: OrchestratorContext) -> Result<(), Failure> {
    let undo = Compensation::new("Refund").only_completed();
    ctx.activity::<bool>("Charge", ORDER).compensate_with(undo).await?;
    Ok(())
}

/// Drops what would undo the child.
#[sagahost::orchestrator]
async fn child_left_out(ctx: OrchestratorContext) -> Result<(), Failure> {
    ctx.orchestrator::<()>("LeavesAtOnce", &()).undo_by_hand().await?;
    ctx.activity::<u32>("Pack", ORDER).await?;
    Ok(())
}

/// The middle one of three steps is not undone.
#[sagahost::orchestrator]
async fn skips_one(ctx: OrchestratorContext) -> Result<(), Failure> {
    ctx.activity::<String>("Reserve", ITEM).await?;
    ctx.activity::<bool>("Charge", ORDER).undo_by_hand().await?;
    ctx.activity::<()>("Ship", ORDER).await
}

/// Undoes by hand what the host undoes too.
#[sagahost::orchestrator]
async fn undoes_too(ctx: OrchestratorContext) -> Result<(), Failure> {
    ctx.activity::<String>("Reserve", ITEM).await?;
    if let Err(failure) = ctx.activity::<()>("Ship", ORDER).await {
        ctx.activity::<()>("Release", ITEM).await?;
        return Err(failure);
    }
    Ok(())
}

// Failures that nobody takes care of.

/// Takes no notice of a step that failed.
#[sagahost::orchestrator]
async fn drops_error(ctx: OrchestratorContext) -> Result<(), Failure> {
    let _ = ctx.activity::<String>("Reserve", ITEM).await;
    ctx.activity::<()>("Ship", ORDER).await
}

/// Says `false` where a step failed, which is no failure: nothing is undone.
#[sagahost::orchestrator]
async fn says_false(ctx: OrchestratorContext) -> bool {
    let (reserved, charged) =
        join!(ctx.activity::<String>("Reserve", ITEM), ctx.activity::<bool>("Charge", ORDER));
    reserved.is_ok() && charged.is_ok()
}

/// Takes no notice of an answer that says that nothing was done.
#[sagahost::orchestrator]
async fn ignores_no(ctx: OrchestratorContext) -> Result<(), Failure> {
    ctx.activity::<bool>("Charge", ORDER).await?;
    ctx.activity::<()>("Ship", ORDER).await
}

/// Prepares to undo, and does not wait for it, so that it never begins.
#[sagahost::orchestrator]
async fn never_compensates(ctx: OrchestratorContext) -> Result<bool, Failure> {
    ctx.activity::<String>("Reserve", ITEM).await?;
    if ctx.activity::<()>("Ship", ORDER).await.is_err() {
        drop(ctx.compensate());
        return Ok(false);
    }
    Ok(true)
}

/// Books a second room where it does not know whether it got the first.
#[sagahost::orchestrator]
async fn second_choice(ctx: OrchestratorContext) -> Result<(), Failure> {
    let first = ctx.activity::<u32>("Book", ROOM).compensate_with("Unbook").await;
    if first.is_err() {
        ctx.activity::<u32>("Book", "room 2").compensate_with("Unbook").await?;
    }
    Ok(())
}

/// Retries with a new step, which has a new key: two payments may be made.
#[sagahost::orchestrator]
async fn retries_itself(ctx: OrchestratorContext) -> Result<(), Failure> {
    for _ in 0..2 {
        if ctx.activity::<bool>("Charge", ORDER).await.is_ok() {
            return Ok(());
        }
    }
    Err(declined())
}

/// Undoes a part, of which one step is in the wrong place: where it failed,
/// the saga goes on as if nothing had happened.
#[sagahost::orchestrator]
async fn wrong_scope(ctx: OrchestratorContext) -> Result<(), Failure> {
    let stay = ctx.scope();
    let (room, car) = join!(
        stay.activity::<u32>("Book", ROOM).compensate_with("Unbook"),
        ctx.activity::<()>("Rent", CAR).compensate_with("GiveBack"),
    );
    if room.is_err() || car.is_err() {
        stay.compensate().await?;
        ctx.activity::<()>("Ship", ORDER).await?;
    }
    Ok(())
}

/// The car is not in the part that is undone, and stays without its room:
/// only an invariant of the saga's own can say that this is wrong.
#[sagahost::orchestrator]
async fn keeps_the_car(ctx: OrchestratorContext) -> Result<bool, Failure> {
    let stay = ctx.scope();
    ctx.activity::<()>("Rent", CAR).compensate_with("GiveBack").await?;
    let room = stay.activity::<u32>("Book", ROOM).compensate_with("Unbook");
    if room.await.is_err() {
        stay.compensate().await?;
        return Ok(false);
    }
    Ok(true)
}

// Returning too early.

/// Begins a payment and never waits for it.
#[sagahost::orchestrator]
async fn lost_branch(ctx: OrchestratorContext) -> Result<(), Failure> {
    drop(ctx.activity::<bool>("Charge", ORDER).start());
    ctx.activity::<()>("Ship", ORDER).await
}

/// Waits no longer, and leaves the step running.
#[sagahost::orchestrator]
async fn late_and_open(ctx: OrchestratorContext) -> Result<bool, Failure> {
    let mut ship = ctx.activity::<()>("Ship", ORDER).start();
    let mut late = ctx.timer(HOUR);
    select! {
        shipped = ship => shipped.map(|()| true),
        () = late => Ok(false),
    }
}

/// Begins to undo, and returns at once.
#[sagahost::orchestrator]
async fn undo_not_awaited(ctx: OrchestratorContext) -> Result<bool, Failure> {
    ctx.activity::<String>("Reserve", ITEM).await?;
    if ctx.activity::<()>("Ship", ORDER).await.is_err() {
        drop(ctx.compensate().start());
        return Ok(false);
    }
    Ok(true)
}

// Pivots.

/// The first step is the pivot, and what comes after it can be refused.
#[sagahost::orchestrator]
async fn pivot_too_early(ctx: OrchestratorContext) -> Result<(), Failure> {
    ctx.activity::<String>("Reserve", ITEM).pivot().await?;
    if ctx.activity::<bool>("Charge", ORDER).await? { Ok(()) } else { Err(declined()) }
}

/// Gives up after the pivot because nobody answers.
#[sagahost::orchestrator]
async fn gives_up_past_pivot(ctx: OrchestratorContext) -> Result<(), Failure> {
    ctx.activity::<bool>("Charge", ORDER).pivot().await?;
    let mut address = ctx.event::<bool>("Address");
    let mut late = ctx.timer(HOUR);
    select! {
        known = address => known.map(drop),
        () = late => Err(Failure::permanent("no-address", "nobody answered")),
    }
}

/// A child that fails after the pivot is not retried.
#[sagahost::orchestrator]
async fn child_past_pivot(ctx: OrchestratorContext) -> Result<(), Failure> {
    ctx.activity::<bool>("Charge", ORDER).pivot().await?;
    ctx.orchestrator::<()>("UndoesAndFails", &()).await
}

/// A step runs beside the pivot, and may fail while that completes.
#[sagahost::orchestrator]
async fn beside_pivot(ctx: OrchestratorContext) -> Result<(), Failure> {
    let (reserved, charged) = join!(
        ctx.activity::<String>("Reserve", ITEM),
        ctx.activity::<bool>("Charge", ORDER).pivot(),
    );
    reserved?;
    charged?;
    Ok(())
}

/// The child has a pivot, of which the parent knows nothing.
#[sagahost::orchestrator]
async fn pivot_in_child(ctx: OrchestratorContext) -> Result<(), Failure> {
    ctx.orchestrator::<()>("PivotLast", &()).await?;
    ctx.activity::<()>("Ship", ORDER).await
}

// Ends that are none.

/// Waits for an event that nobody raises.
#[sagahost::orchestrator]
async fn waits_for_ever(ctx: OrchestratorContext) -> Result<(), Failure> {
    ctx.activity::<String>("Reserve", ITEM).await?;
    ctx.event::<()>("NeverRaised").await
}

/// Begins again and again, cleanly, where a step always fails.
#[sagahost::orchestrator]
async fn tries_for_ever(ctx: OrchestratorContext) -> Result<(), Failure> {
    loop {
        let attempt = ctx.scope();
        match attempt.activity::<()>("Ship", ORDER).await {
            Ok(()) => return Ok(()),
            Err(_) => attempt.compensate().await?,
        }
        ctx.timer(HOUR).await;
    }
}

/// Asks until the answer is yes.
#[sagahost::orchestrator]
async fn asks_for_ever(ctx: OrchestratorContext) -> Result<(), Failure> {
    loop {
        let attempt = ctx.scope();
        if attempt.activity::<bool>("Charge", ORDER).await? {
            return Ok(());
        }
        attempt.compensate().await?;
    }
}

/// Panics where the bank says no.
#[sagahost::orchestrator]
async fn panics_on_no(ctx: OrchestratorContext) -> Result<(), Failure> {
    ctx.activity::<String>("Reserve", ITEM).await?;
    let charged: bool = ctx.activity("Charge", ORDER).await?;
    assert!(charged, "the bank always says yes");
    Ok(())
}

/// Panics where a step fails.
#[sagahost::orchestrator]
async fn panics_on_failure(ctx: OrchestratorContext) -> String {
    ctx.activity::<String>("Reserve", ITEM).await.expect("there is always one left")
}

// Replay.

/// Asks for something else while it is being rebuilt.
#[sagahost::orchestrator]
async fn differs_on_replay(ctx: OrchestratorContext) -> Result<(), Failure> {
    let item = if ctx.is_replaying() { "item 2" } else { ITEM };
    ctx.activity::<String>("Reserve", item).await?;
    ctx.activity::<()>("Ship", ORDER).await
}

/// Wants to do a thing only once, and so leaves it out when it is rebuilt.
#[sagahost::orchestrator]
async fn once_only(ctx: OrchestratorContext) -> Result<(), Failure> {
    if !ctx.is_replaying() {
        ctx.activity::<String>("Reserve", ITEM).await?;
    }
    ctx.activity::<()>("Ship", ORDER).await
}
