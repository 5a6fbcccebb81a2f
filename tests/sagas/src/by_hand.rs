//! Sagas that undo by hand, with one fault each. None of them could be right:
//! whoever cancels one, or stops its code in another way, leaves in place what
//! its code would have undone.

use std::time::Duration;

use sagahost::{Failure, OrchestratorContext, RetryPolicy, join, select};

use crate::{CAR, ITEM, ORDER};

/// An undo as it is called by hand: until it is done.
async fn undo(ctx: &OrchestratorContext, activity: &str, input: &str) -> Result<(), Failure> {
    ctx.activity::<()>(activity, input).retry(RetryPolicy::unlimited()).await
}

/// Whether nobody knows what a step that failed has done.
fn unknown(failure: &Failure) -> bool {
    failure.code.starts_with("host.") && !failure.is("host.not-started")
}

/// Undoes what failed and what did not with all care; but nobody does where
/// it is cancelled.
#[sagahost::orchestrator]
async fn cancel_leaves_it(ctx: OrchestratorContext) -> Result<(), Failure> {
    if let Err(failure) = ctx.activity::<()>("Rent", CAR).await {
        if unknown(&failure) {
            undo(&ctx, "GiveBack", CAR).await?;
        }
        return Err(failure);
    }
    if let Err(failure) = ctx.activity::<()>("Ship", ORDER).await {
        undo(&ctx, "GiveBack", CAR).await?;
        return Err(failure);
    }
    Ok(())
}

/// Notes how to undo a step once that is complete, and so too late for one of
/// which nobody knows whether it is.
#[sagahost::orchestrator]
async fn noted_too_late(ctx: OrchestratorContext) -> Result<(), Failure> {
    let mut undos = Vec::new();
    let done = async {
        ctx.activity::<()>("Rent", CAR).await?;
        undos.push(("GiveBack", CAR));
        ctx.activity::<String>("Reserve", ITEM).undo_by_hand().await?;
        undos.push(("Release", ITEM));
        ctx.activity::<()>("Ship", ORDER).await
    };
    if let Err(failure) = done.await {
        for (activity, input) in undos.into_iter().rev() {
            undo(&ctx, activity, input).await?;
        }
        return Err(failure);
    }
    Ok(())
}

/// Undoes in the order in which it did it.
#[sagahost::orchestrator]
async fn wrong_order(ctx: OrchestratorContext) -> Result<(), Failure> {
    ctx.activity::<()>("Rent", CAR).await?;
    if let Err(failure) = ctx.activity::<String>("Reserve", ITEM).undo_by_hand().await {
        undo(&ctx, "GiveBack", CAR).await?;
        return Err(failure);
    }
    if let Err(failure) = ctx.activity::<()>("Ship", ORDER).await {
        undo(&ctx, "GiveBack", CAR).await?;
        undo(&ctx, "Release", ITEM).await?;
        return Err(failure);
    }
    Ok(())
}

/// Undoes a step twice: where it fails, and where the failure arrives.
#[sagahost::orchestrator]
async fn undoes_twice(ctx: OrchestratorContext) -> Result<(), Failure> {
    ctx.activity::<()>("Rent", CAR).await?;
    let shipped = async {
        let shipped = ctx.activity::<()>("Ship", ORDER).await;
        if shipped.is_err() {
            undo(&ctx, "GiveBack", CAR).await?;
        }
        shipped
    };
    if let Err(failure) = shipped.await {
        undo(&ctx, "GiveBack", CAR).await?;
        return Err(failure);
    }
    Ok(())
}

/// Undoes a step that says it did nothing.
#[sagahost::orchestrator]
async fn undoes_nothing(ctx: OrchestratorContext) -> Result<(), Failure> {
    if let Err(failure) = ctx.activity::<()>("Rent", CAR).await {
        undo(&ctx, "GiveBack", CAR).await?;
        return Err(failure);
    }
    Ok(())
}

/// Undoes a step that it never asked for.
#[sagahost::orchestrator]
async fn undoes_what_never_was(ctx: OrchestratorContext) -> Result<(), Failure> {
    if let Err(failure) = ctx.activity::<()>("Ship", ORDER).await {
        undo(&ctx, "Refund", ORDER).await?;
        return Err(failure);
    }
    ctx.activity::<bool>("Charge", ORDER).await?;
    Ok(())
}

/// The first `?` leaves before what went well beside it is undone.
#[sagahost::orchestrator]
async fn leaves_by_hand(ctx: OrchestratorContext) -> Result<(), Failure> {
    let (reserved, rented) = join!(
        ctx.activity::<String>("Reserve", ITEM).undo_by_hand(),
        ctx.activity::<()>("Rent", CAR),
    );
    reserved?;
    if let Err(failure) = rented {
        undo(&ctx, "Release", ITEM).await?;
        return Err(failure);
    }
    Ok(())
}

/// Undoes what failed, and not what came before it.
#[sagahost::orchestrator]
async fn forgets_the_first(ctx: OrchestratorContext) -> Result<(), Failure> {
    ctx.activity::<()>("Rent", CAR).await?;
    ctx.activity::<String>("Reserve", ITEM).undo_by_hand().await?;
    if let Err(failure) = ctx.activity::<()>("Ship", ORDER).await {
        undo(&ctx, "Release", ITEM).await?;
        return Err(failure);
    }
    Ok(())
}

/// Undoes half of what its child did.
#[sagahost::orchestrator]
async fn half_a_child(ctx: OrchestratorContext) -> Result<(), Failure> {
    ctx.orchestrator::<()>("UndoesAndFails", &()).undo_by_hand().await?;
    if let Err(failure) = ctx.activity::<u32>("Pack", ORDER).await {
        undo(&ctx, "Release", ITEM).await?;
        return Err(failure);
    }
    Ok(())
}

/// Undoes where the answer is no, and forgets it where there is no answer.
#[sagahost::orchestrator]
async fn timeout_forgets(ctx: OrchestratorContext) -> Result<(), Failure> {
    ctx.activity::<()>("Rent", CAR).await?;
    let mut answer = ctx.event::<bool>("Approved");
    let mut late = ctx.timer(Duration::from_secs(3600));
    select! {
        answer = answer => match answer {
            Ok(true) => Ok(()),
            _ => {
                undo(&ctx, "GiveBack", CAR).await?;
                Err(Failure::permanent("refused", "the answer was no"))
            }
        },
        () = late => Err(Failure::permanent("too-late", "nobody answered")),
    }
}

/// Undoes, and fails where that fails once.
#[sagahost::orchestrator]
async fn undo_fails(ctx: OrchestratorContext) -> Result<(), Failure> {
    ctx.activity::<()>("Rent", CAR).await?;
    if let Err(failure) = ctx.activity::<()>("Ship", ORDER).await {
        ctx.activity::<()>("GiveBack", CAR).await?;
        return Err(failure);
    }
    Ok(())
}
