//! Sagas that are right: whatever becomes of their steps, all that they did is
//! in place in the end, or nothing is.

use std::time::Duration;

use sagahost::{Compensation, Failure, OrchestratorContext, RetryPolicy, join, select, try_join};

use crate::{CAR, ITEM, ORDER, ROOM};

const HOUR: Duration = Duration::from_secs(3600);

fn declined() -> Failure {
    Failure::permanent("declined", "the bank said no")
}

/// One step after the other, undone as they declare.
#[sagahost::orchestrator]
async fn sequential(ctx: OrchestratorContext) -> Result<String, Failure> {
    let reservation: String = ctx.activity("Reserve", ITEM).await?;
    if !ctx.activity::<bool>("Charge", ORDER).await? {
        return Err(declined());
    }
    ctx.activity::<()>("Ship", ORDER).await?;
    Ok(reservation)
}

/// All steps at the same time; it waits for each of them.
#[sagahost::orchestrator]
async fn parallel(ctx: OrchestratorContext) -> Result<bool, Failure> {
    let (reserved, charged) =
        join!(ctx.activity::<String>("Reserve", ITEM), ctx.activity::<bool>("Charge", ORDER));
    reserved?;
    if charged? { Ok(true) } else { Err(declined()) }
}

/// Leaves at the first failure, while the other step runs: the host ends that
/// one.
#[sagahost::orchestrator]
async fn leaves_at_once(ctx: OrchestratorContext) -> Result<(), Failure> {
    try_join!(ctx.activity::<String>("Reserve", ITEM), ctx.activity::<()>("Ship", ORDER))?;
    Ok(())
}

/// Undoes what it did, and says `false`, which is no failure.
#[sagahost::orchestrator]
async fn says_false_undone(ctx: OrchestratorContext) -> Result<bool, Failure> {
    let (reserved, charged) =
        join!(ctx.activity::<String>("Reserve", ITEM), ctx.activity::<bool>("Charge", ORDER));
    let all = reserved.is_ok() && charged == Ok(true);
    if !all {
        ctx.compensate().await?;
    }
    Ok(all)
}

/// Undoes what it did, and fails then; there is nothing left for the host.
#[sagahost::orchestrator]
async fn undoes_and_fails(ctx: OrchestratorContext) -> Result<(), Failure> {
    ctx.activity::<String>("Reserve", ITEM).await?;
    match ctx.activity::<()>("Ship", ORDER).await {
        Ok(()) => Ok(()),
        Err(failure) => {
            ctx.compensate().await?;
            Err(failure)
        }
    }
}

/// The call says how a step is undone, and with which input.
#[sagahost::orchestrator]
async fn own_undo(ctx: OrchestratorContext) -> Result<u32, Failure> {
    let undo = Compensation::new("Unbook").input("the room of order 7");
    let room = ctx.activity::<u32>("Book", ROOM).compensate_with(undo).await?;
    ctx.activity::<()>("Rent", CAR).compensate_with("GiveBack").await?;
    ctx.activity::<()>("Ship", ORDER).await?;
    Ok(room)
}

/// Undoes a step whatever became of it, with an undo that bears it.
#[sagahost::orchestrator]
async fn always_undone(ctx: OrchestratorContext) -> Result<(), Failure> {
    let undo = Compensation::new("Unbook").always();
    ctx.activity::<u32>("Book", ROOM).compensate_with(undo).await?;
    ctx.activity::<String>("Reserve", ITEM).await?;
    Ok(())
}

/// The undo gives up at once, and then it takes a person.
#[sagahost::orchestrator]
async fn stuck_at_once(ctx: OrchestratorContext) -> Result<(), Failure> {
    let undo = Compensation::new("Unbook").retry(RetryPolicy::never());
    ctx.activity::<u32>("Book", ROOM).compensate_with(undo).await?;
    ctx.activity::<()>("Ship", ORDER).await
}

/// Steps with several attempts.
#[sagahost::orchestrator]
async fn retried(ctx: OrchestratorContext) -> Result<(), Failure> {
    let policy = RetryPolicy::attempts(2).do_not_retry(["sold-out"]);
    ctx.activity::<String>("Reserve", ITEM).retry(policy).await?;
    ctx.activity::<u32>("Pack", ORDER).await?;
    Ok(())
}

/// A step for each item.
#[sagahost::orchestrator]
async fn each_item(ctx: OrchestratorContext, items: Vec<String>) -> Result<usize, Failure> {
    for item in &items {
        ctx.activity::<String>("Reserve", item).await?;
    }
    Ok(items.len())
}

/// Does without the answer of a step that changes nothing.
#[sagahost::orchestrator]
async fn quoted(ctx: OrchestratorContext) -> Result<u32, Failure> {
    let price = ctx.activity::<u32>("Quote", ORDER).await.unwrap_or(10);
    ctx.activity::<()>("Ship", ORDER).await?;
    Ok(price)
}

/// Does without a step that it would only like to have.
#[sagahost::orchestrator]
async fn optional_step(ctx: OrchestratorContext) -> Result<bool, Failure> {
    let packed = ctx.activity::<u32>("Pack", ORDER).retry(RetryPolicy::never()).await;
    ctx.activity::<()>("Ship", ORDER).await?;
    Ok(packed.is_ok())
}

/// Undone all at the same time.
#[sagahost::orchestrator]
async fn undone_in_parallel(ctx: OrchestratorContext) -> Result<(), Failure> {
    ctx.undo_in_parallel();
    ctx.activity::<String>("Reserve", ITEM).await?;
    ctx.activity::<()>("Rent", CAR).compensate_with("GiveBack").await?;
    ctx.activity::<()>("Ship", ORDER).await
}

/// Begins again from the beginning, once, with nothing left of the first time.
#[sagahost::orchestrator]
async fn tries_twice(ctx: OrchestratorContext) -> Result<bool, Failure> {
    for _ in 0..2 {
        let done = async {
            ctx.activity::<String>("Reserve", ITEM).await?;
            ctx.activity::<()>("Ship", ORDER).await
        };
        match done.await {
            Ok(()) => return Ok(true),
            Err(_) => ctx.compensate().await?,
        }
    }
    Ok(false)
}

// Scopes.

/// Undoes a part, and goes another way.
#[sagahost::orchestrator]
async fn another_way(ctx: OrchestratorContext) -> Result<(), Failure> {
    ctx.activity::<String>("Reserve", ITEM).await?;
    let stay = ctx.scope();
    let (room, car) = join!(
        stay.activity::<u32>("Book", ROOM).compensate_with("Unbook"),
        stay.activity::<()>("Rent", CAR).compensate_with("GiveBack"),
    );
    if room.is_err() || car.is_err() {
        stay.compensate().await?;
        ctx.activity::<()>("Ship", ORDER).await?;
    }
    Ok(())
}

/// Parts within parts; what is in the inner one is undone at the same time.
#[sagahost::orchestrator]
async fn parts_of_parts(ctx: OrchestratorContext) -> Result<bool, Failure> {
    let outer = ctx.scope();
    outer.activity::<String>("Reserve", ITEM).await?;
    let inner = outer.scope();
    inner.undo_in_parallel();
    inner.activity::<()>("Rent", CAR).compensate_with("GiveBack").await?;
    if !inner.activity::<bool>("Charge", ORDER).await? {
        outer.compensate().await?;
        return Ok(false);
    }
    outer.activity::<()>("Ship", ORDER).await?;
    Ok(true)
}

/// Two at the same time, of which one is enough; the other one is undone.
#[sagahost::orchestrator]
async fn race(ctx: OrchestratorContext) -> Result<(), Failure> {
    let (first, second) = (ctx.scope(), ctx.scope());
    let mut rent = first.activity::<()>("Rent", CAR).compensate_with("GiveBack").start();
    let mut book = second.activity::<u32>("Book", ROOM).compensate_with("Unbook").start();
    select! {
        rented = rent => match rented {
            Ok(()) => second.compensate().await?,
            Err(_) => {
                first.compensate().await?;
                book.await?;
            }
        },
        booked = book => match booked {
            Ok(_) => first.compensate().await?,
            Err(_) => {
                second.compensate().await?;
                rent.await?;
            }
        },
    }
    Ok(())
}

// Time and events.

/// Gives up a step that takes too long.
#[sagahost::orchestrator]
async fn too_slow(ctx: OrchestratorContext) -> Result<bool, Failure> {
    ctx.activity::<String>("Reserve", ITEM).await?;
    let mut ship = ctx.activity::<()>("Ship", ORDER).start();
    let mut late = ctx.timer(HOUR);
    select! {
        shipped = ship => shipped.map(|()| true),
        () = late => {
            ctx.compensate().await?;
            Ok(false)
        }
    }
}

/// Waits for an answer, but not for ever.
#[sagahost::orchestrator]
async fn approval(ctx: OrchestratorContext) -> Result<bool, Failure> {
    ctx.activity::<String>("Reserve", ITEM).await?;
    let mut answer = ctx.event::<bool>("Approved");
    let mut late = ctx.timer(HOUR);
    let approved = select! {
        answer = answer => answer?,
        () = late => false,
    };
    if approved {
        ctx.activity::<()>("Ship", ORDER).await?;
    } else {
        ctx.compensate().await?;
    }
    Ok(approved)
}

/// Waits for ever, but has a deadline.
#[sagahost::orchestrator(timeout = "1h")]
async fn deadline(ctx: OrchestratorContext) -> Result<(), Failure> {
    ctx.activity::<String>("Reserve", ITEM).await?;
    ctx.event::<()>("NeverRaised").await
}

// Pivots.

/// The last step is the pivot.
#[sagahost::orchestrator]
async fn pivot_last(ctx: OrchestratorContext) -> Result<(), Failure> {
    ctx.activity::<String>("Reserve", ITEM).await?;
    ctx.activity::<bool>("Charge", ORDER).pivot().await?;
    Ok(())
}

/// What comes after the pivot is retried until it is done, so `?` never
/// leaves there.
#[sagahost::orchestrator]
async fn pivot_then(ctx: OrchestratorContext) -> Result<(), Failure> {
    ctx.activity::<String>("Reserve", ITEM).await?;
    ctx.activity::<bool>("Charge", ORDER).pivot().await?;
    ctx.timer(HOUR).await;
    let (shipped, told) =
        join!(ctx.activity::<()>("Ship", ORDER), ctx.activity::<()>("Notify", ORDER));
    shipped?;
    told
}

/// Nothing undoes the only step; so it is a pivot, which is never cut off.
#[sagahost::orchestrator]
async fn pivot_only(ctx: OrchestratorContext) -> Result<(), Failure> {
    ctx.activity::<()>("Print", ORDER).pivot().await
}

// Children.

/// What a child did is undone with its parent.
#[sagahost::orchestrator]
async fn with_child(ctx: OrchestratorContext) -> Result<(), Failure> {
    ctx.activity::<()>("Rent", CAR).compensate_with("GiveBack").await?;
    ctx.orchestrator::<()>("LeavesAtOnce", &()).await?;
    ctx.activity::<u32>("Pack", ORDER).retry(RetryPolicy::never()).await?;
    Ok(())
}

/// A child in a part that is undone, and another way.
#[sagahost::orchestrator]
async fn child_in_scope(ctx: OrchestratorContext) -> Result<bool, Failure> {
    let part = ctx.scope();
    let mut child = part.orchestrator::<()>("UndoesAndFails", &()).start();
    let mut late = ctx.timer(HOUR);
    let done = select! {
        done = child => done.is_ok(),
        () = late => false,
    };
    if !done {
        part.compensate().await?;
        ctx.activity::<()>("Rent", CAR).compensate_with("GiveBack").await?;
    }
    Ok(done)
}

/// An undo of the parent's own undoes the whole child, once that is complete.
#[sagahost::orchestrator]
async fn child_undone_as_one(ctx: OrchestratorContext) -> Result<(), Failure> {
    let undo = Compensation::new("CancelOrder").input(ORDER).only_completed();
    ctx.orchestrator::<()>("UndoesAndFails", &()).compensate_with(undo).await?;
    ctx.activity::<()>("Rent", CAR).compensate_with("GiveBack").await
}

/// A child with a pivot is its parent's pivot.
#[sagahost::orchestrator]
async fn child_is_pivot(ctx: OrchestratorContext) -> Result<(), Failure> {
    ctx.activity::<()>("Rent", CAR).compensate_with("GiveBack").await?;
    ctx.orchestrator::<()>("PivotLast", &()).pivot().await?;
    ctx.activity::<()>("Notify", ORDER).await
}
