//! Charging a card, and giving the money back.

use sagahost::{ActivityContext, Failure, OrFail, info};
use serde::{Deserialize, Serialize};

use crate::faults;
use crate::files::{self, Writer};
use crate::order::duplicate;
use crate::types::{Order, OrderId};

/// What a card is good for, where the environment says nothing else.
const CARD_LIMIT_CENTS: u64 = 100_000;

/// `payments/<id>.json`.
#[derive(Serialize, Deserialize)]
struct Record {
    status: Status,
    /// The idempotency key of the step that charged.
    key: String,
    /// The orchestration that charged; no other may refund.
    instance: String,
    /// The idempotency key of the step that refunded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    undo_key: Option<String>,
    order_id: String,
    customer: String,
    amount_cents: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Charged,
    Refunded,
}

/// Charges the customer's card for an order. Answers false if the card is declined.
///
/// A card that begins with `declined` is declined, and so is what goes over
/// the limit, `CARD_LIMIT_CENTS` in the environment. Fails with
/// `duplicate-order` if another orchestration charged for an order of this id
/// and did not refund it.
#[sagahost::activity(
    timeout = "10s",
    retry(max_attempts = 4, first_interval = "200ms", backoff = 2.0, max_interval = "5s"),
    undo = "RollbackPaymentActivity"
)]
pub async fn payment_activity(ctx: ActivityContext, order: Order) -> Result<bool, Failure> {
    let fault = order.fault.as_ref().and_then(|faults| faults.payment);
    faults::before(&ctx, fault)?;
    let charged = charge(&ctx, &order)?;
    faults::after(&ctx, fault);
    info!(ctx, "order {}: {}", order.id, if charged { "charged" } else { "card declined" });
    Ok(charged)
}

fn charge(ctx: &ActivityContext, order: &Order) -> Result<bool, Failure> {
    let id = order.checked_id()?;
    let amount_cents = order.amount_cents()?;
    if order.card.starts_with("declined") || amount_cents > card_limit()? {
        return Ok(false);
    }
    let path = record_path(id);
    let record = Record {
        status: Status::Charged,
        key: ctx.idempotency_key(),
        instance: ctx.instance_id(),
        undo_key: None,
        order_id: order.id.clone(),
        customer: order.customer.clone(),
        amount_cents,
    };
    let writer = Writer::new(ctx);
    if writer.create(&path, &record)? {
        return Ok(true);
    }
    match files::read::<Record>(&path)? {
        Some(there) if there.key == record.key => match there.status {
            Status::Charged => Ok(true),
            Status::Refunded => Err(Failure::permanent(
                "payment-refunded",
                format!("order {id} was refunded meanwhile"),
            )),
        },
        Some(there)
            if there.status == Status::Refunded
                && writer.take_over(&path, &there.key, &record)? =>
        {
            Ok(true)
        }
        Some(_) => Err(duplicate(id)),
        None => Err(Failure::transient(
            "busy",
            format!("payment {id} was removed while it was looked at"),
        )),
    }
}

fn card_limit() -> Result<u64, Failure> {
    match std::env::var("CARD_LIMIT_CENTS") {
        Ok(limit) => limit.trim().parse().or_fail_for_good("bad-card-limit"),
        Err(_) => Ok(CARD_LIMIT_CENTS),
    }
}

/// Gives the money for an order back. Answers false if this orchestration charged nothing for it.
///
/// It finds out itself whether there is something to give back, as
/// RollbackOrderActivity does.
#[sagahost::activity(
    timeout = "10s",
    retry(max_attempts = 0, first_interval = "200ms", backoff = 2.0, max_interval = "10s"),
    undoes = "PaymentActivity"
)]
pub async fn rollback_payment_activity(
    ctx: ActivityContext,
    order: Order,
) -> Result<bool, Failure> {
    // No order of an id that cannot be was ever taken.
    let Ok(id) = order.checked_id() else {
        return Ok(false);
    };
    let path = record_path(id);
    let writer = Writer::new(&ctx);
    let mut record = match files::read::<Record>(&path)? {
        Some(record) if record.instance == ctx.instance_id() => record,
        other => {
            if let Some(other) = other {
                writer.leave(&path, &other.key)?;
            }
            info!(ctx, "order {id}: nothing to refund");
            return Ok(false);
        }
    };
    if record.status == Status::Charged {
        record.status = Status::Refunded;
        record.undo_key = Some(ctx.idempotency_key());
        writer.replace(&path, &record)?;
        info!(ctx, "order {id}: refunded {} cents", record.amount_cents);
    }
    Ok(true)
}

fn record_path(id: OrderId<'_>) -> String {
    files::path(format_args!("payments/{id}.json"))
}
