//! A saga made of sagas: a child, a part that is undone by itself, and a point
//! of no return.

use sagahost::{Failure, OrchestratorContext, future};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::order::Order;

/// What [`gift_saga`] is to do.
#[derive(Deserialize, JsonSchema)]
pub struct Gift {
    /// The gift, which is ordered and paid for.
    order: Order,
    /// What comes with it for nothing, all of it or none: paper, a ribbon.
    #[serde(default)]
    extras: Vec<Order>,
    /// What the one who gets it is told.
    message: String,
}

/// How [`gift_saga`] ended.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Parcel {
    /// It was sent, with its extras.
    Wrapped,
    /// It was sent without extras.
    Plain,
    /// It was not sent, and nothing was ordered.
    NotToBeHad,
}

/// Orders a gift with its extras, sends it, and announces it; without the extras if they are not to be had.
///
/// If it fails before the gift is sent, or an hour passes, all of it is taken
/// back: the extras, and what the child did. Once it is sent, it is announced
/// sooner or later, whatever happens.
#[sagahost::orchestrator(timeout = "1h")]
pub async fn gift_saga(ctx: OrchestratorContext, gift: Gift) -> Result<Parcel, Failure> {
    // A child. That it is complete does not mean that it stays: what it did is
    // undone with this saga.
    if !ctx.orchestrator::<bool>("OrderSaga", &gift.order).await? {
        return Ok(Parcel::NotToBeHad);
    }

    // A scope: the extras are taken back by themselves, and the gift is not.
    let extras = ctx.scope();
    extras.undo_in_parallel();
    let calls = gift.extras.iter().map(|extra| extras.activity::<bool>("OrderActivity", extra));
    let wrapped = future::join_all(calls).await.into_iter().all(|answer| answer == Ok(true));
    if !wrapped {
        extras.compensate().await?;
    }

    // The pivot: nothing before it is undone any more, and all after it is
    // retried until it is done.
    let sent = format!("send gift {}", gift.order.id);
    ctx.activity::<String>("SendReminder", &sent).pivot().await?;
    ctx.activity::<String>("SendReminder", &gift.message).await?;
    Ok(if wrapped { Parcel::Wrapped } else { Parcel::Plain })
}
