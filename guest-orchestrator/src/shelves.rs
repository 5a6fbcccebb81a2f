//! Entities that belong together only for a moment: locks, alone and with undo.

use std::collections::BTreeMap;

use sagahost::{EntityContext, EntityHandle, Failure, OrchestratorContext, info, join};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::order::Order;

/// A place with articles of one kind: the state of an entity.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
pub struct Shelf {
    /// How many there are.
    left: u64,
}

/// A place with articles of one kind.
#[sagahost::entity]
impl Shelf {
    /// Puts some there. Answers how many there are then.
    fn put(&mut self, count: u64) -> Result<u64, Failure> {
        self.left = self
            .left
            .checked_add(count)
            .ok_or_else(|| Failure::permanent("too-many", "more than can be counted"))?;
        Ok(self.left)
    }

    /// Takes some away, if there are enough. Answers whether there were.
    fn take(&mut self, ctx: &mut EntityContext, count: u64) -> bool {
        let Some(left) = self.left.checked_sub(count) else {
            info!(ctx, "{} has {}, and not {count}", ctx.key(), self.left);
            return false;
        };
        self.left = left;
        true
    }

    /// How many there are.
    fn left(&self) -> u64 {
        self.left
    }
}

/// What [`reserve_saga`] moves.
#[derive(Deserialize, JsonSchema)]
pub struct Move {
    /// The shelf that has them.
    from: String,
    /// The shelf that gets them.
    to: String,
    /// How many.
    count: u64,
}

/// Moves articles from one shelf to another, if there are enough. Answers whether there were.
///
/// It locks both, so nobody takes the last ones between the question and the
/// answer, or sees the articles on neither shelf. Two that want the same
/// shelves in opposite order do not wait for each other for ever, as each asks
/// for both at once. The two signals are journaled together: whatever happens,
/// a cancel included, both are sent or none is.
#[sagahost::orchestrator]
pub async fn reserve_saga(ctx: OrchestratorContext, input: Move) -> Result<bool, Failure> {
    if input.from == input.to {
        return Err(Failure::permanent("bad-input", "from and to are the same shelf"));
    }
    let (from, to) = (ctx.entity("Shelf", &input.from), ctx.entity("Shelf", &input.to));
    let guard = ctx.lock([&from, &to]).await?;
    let enough = from.call::<u64>("left", &()).await? >= input.count;
    if enough {
        from.signal("take", &input.count);
        to.signal("put", &input.count);
    }
    guard.unlock();
    Ok(enough)
}

/// How [`last_item_saga`] ended.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Bought {
    /// It was ordered, paid for and taken from its shelves.
    Bought,
    /// There was not enough of something, and nothing was done.
    SoldOut,
    /// It could not be ordered or paid for, and all was undone.
    NotPaid,
}

/// Orders what may be the last of its kind: from shelves, which nobody else can touch until it is over.
///
/// What an entity did is not undone by the host. So the shelves come last: what
/// is done before are steps, which the host undoes by itself if this fails or
/// is cancelled, and the shelves are told in the turn in which this ends. Both
/// are journaled together: the articles are taken if and only if it is bought.
/// The locks are not let go on the way out. They last until the undo is done,
/// too: another order comes to the shelves only when this one is bought or
/// undone.
#[sagahost::orchestrator(timeout = "1h")]
pub async fn last_item_saga(ctx: OrchestratorContext, order: Order) -> Result<Bought, Failure> {
    let mut wanted: BTreeMap<&str, u64> = BTreeMap::new();
    for item in &order.items {
        *wanted.entry(&item.sku).or_default() += u64::from(item.quantity);
    }
    let shelves: Vec<(EntityHandle, u64)> =
        wanted.into_iter().map(|(sku, count)| (ctx.entity("Shelf", sku), count)).collect();

    ctx.set_custom_status("waiting for the shelves");
    ctx.lock(shelves.iter().map(|(shelf, _)| shelf)).await?;
    for (shelf, count) in &shelves {
        if shelf.call::<u64>("left", &()).await? < *count {
            return Ok(Bought::SoldOut);
        }
    }

    ctx.set_custom_status("placing and charging");
    let (placed, charged) = join!(
        ctx.activity::<bool>("OrderActivity", &order),
        ctx.activity::<bool>("PaymentActivity", &order),
    );
    if placed != Ok(true) || charged != Ok(true) {
        ctx.compensate().await?;
        return Ok(Bought::NotPaid);
    }

    for (shelf, count) in &shelves {
        shelf.signal("take", count);
    }
    Ok(Bought::Bought)
}
