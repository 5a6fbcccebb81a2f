//! The order saga with a rollback of its own: to compare, and not to copy.

use sagahost::{Failure, OrchestratorContext, RetryPolicy, join};

use crate::order::Order;

/// Places an order and charges for it as an article about sagas would; its rollback has holes.
///
/// It looks right, and is for as long as the activities answer true or false:
///
/// - If one of them fails, or nobody knows what became of it, the first `?`
///   leaves, and what the other one did stays.
/// - If the first rollback fails, its `?` leaves, and the second one is not
///   done. If this is cancelled or traps in between, nothing is.
///
/// `OrderSaga` has neither.
#[sagahost::orchestrator]
pub async fn order_saga_by_hand(ctx: OrchestratorContext, order: Order) -> Result<bool, Failure> {
    ctx.set_custom_status("placing and charging");
    let (placed, charged) = join!(
        ctx.activity::<bool>("OrderActivity", &order).undo_by_hand(),
        ctx.activity::<bool>("PaymentActivity", &order).undo_by_hand(),
    );
    let placed = placed?;
    let charged = charged?;
    if placed && charged {
        ctx.set_custom_status("done");
        return Ok(true);
    }
    ctx.set_custom_status("rolling back");
    let retry = RetryPolicy::attempts(3);
    ctx.activity::<bool>("RollbackOrderActivity", &order).retry(retry.clone()).await?;
    ctx.activity::<bool>("RollbackPaymentActivity", &order).retry(retry).await?;
    ctx.set_custom_status("rolled back");
    Ok(false)
}
