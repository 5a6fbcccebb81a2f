//! The order saga, as the host undoes it.

use sagahost::{Failure, OrchestratorContext, info, join, warn};

use crate::order::Order;

/// Places an order and charges for it, both at once; if one of them does not go well, takes both back.
///
/// Answers true if the order is placed and paid for, and false if it is not
/// and nothing of it is left. The activities name their undos themselves, and
/// the host does them: also if this is cancelled, traps, or fails anywhere.
#[sagahost::orchestrator]
pub async fn order_saga(ctx: OrchestratorContext, order: Order) -> Result<bool, Failure> {
    info!(ctx, "order {}: placing it and charging for it", order.id);
    ctx.set_custom_status("placing and charging");
    let (placed, charged) = join!(
        ctx.activity::<bool>("OrderActivity", &order),
        ctx.activity::<bool>("PaymentActivity", &order),
    );
    let placed = went_well(&ctx, "OrderActivity", placed);
    let charged = went_well(&ctx, "PaymentActivity", charged);
    if placed && charged {
        info!(ctx, "order {}: done", order.id);
        ctx.set_custom_status("done");
        return Ok(true);
    }
    ctx.set_custom_status("rolling back");
    ctx.compensate().await?;
    info!(ctx, "order {}: rolled back", order.id);
    ctx.set_custom_status("rolled back");
    Ok(false)
}

fn went_well(ctx: &OrchestratorContext, activity: &str, answer: Result<bool, Failure>) -> bool {
    match answer {
        Ok(true) => return true,
        Ok(false) => warn!(ctx, "{activity} answered no"),
        Err(failure) => warn!(ctx, "{activity} failed: {failure}"),
    }
    false
}
