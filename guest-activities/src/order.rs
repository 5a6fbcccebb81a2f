//! Taking an order, and taking it back.

use std::collections::BTreeMap;

use sagahost::{ActivityContext, Failure, info};
use serde::{Deserialize, Serialize};

use crate::faults;
use crate::files::{self, Writer};
use crate::types::{Item, Order, OrderId, checked};

/// How many of each article there are to sell; `None` is without limit.
type Stock = BTreeMap<String, Option<u64>>;

/// `orders/<id>.json`.
#[derive(Serialize, Deserialize)]
struct Record {
    status: Status,
    /// The idempotency key of the step that placed it.
    key: String,
    /// The orchestration that placed it; no other may cancel it.
    instance: String,
    /// The idempotency key of the step that cancelled it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    undo_key: Option<String>,
    order_id: String,
    customer: String,
    items: Vec<Item>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    /// Its articles are being reserved.
    Placing,
    Placed,
    Cancelled,
}

/// Takes an order: reserves its articles and writes it down. Answers false if something is out of stock.
///
/// Fails with `unknown-article`, and with `duplicate-order` if another
/// orchestration has an order of this id that is not cancelled.
#[sagahost::activity(
    timeout = "10s",
    retry(max_attempts = 4, first_interval = "200ms", backoff = 2.0, max_interval = "5s"),
    undo = "RollbackOrderActivity"
)]
pub async fn order_activity(ctx: ActivityContext, order: Order) -> Result<bool, Failure> {
    let fault = order.fault.as_ref().and_then(|faults| faults.order);
    faults::before(&ctx, fault)?;
    let placed = place(&ctx, &order)?;
    faults::after(&ctx, fault);
    info!(ctx, "order {}: {}", order.id, if placed { "placed" } else { "out of stock" });
    Ok(placed)
}

fn place(ctx: &ActivityContext, order: &Order) -> Result<bool, Failure> {
    let id = order.checked_id()?;
    let writer = Writer::new(ctx);
    let limited = limited(&writer, &order.items)?;

    // The record comes first and names its owner, so that of two sagas with
    // one order id only one reserves anything. Without limited articles it is
    // all there is to do.
    let path = record_path(id);
    let mut record = Record {
        status: if limited.is_empty() { Status::Placed } else { Status::Placing },
        key: ctx.idempotency_key(),
        instance: ctx.instance_id(),
        undo_key: None,
        order_id: order.id.clone(),
        customer: order.customer.clone(),
        items: order.items.clone(),
    };
    if !writer.create(&path, &record)? {
        match files::read::<Record>(&path)? {
            Some(there) if there.key == record.key => match there.status {
                Status::Placed => return Ok(true),
                // An earlier attempt of this step was killed while it reserved.
                Status::Placing => {}
                Status::Cancelled => {
                    return Err(Failure::permanent(
                        "order-cancelled",
                        format!("order {id} was cancelled meanwhile"),
                    ));
                }
            },
            Some(there)
                if there.status == Status::Cancelled
                    && writer.take_over(&path, &there.key, &record)? => {}
            Some(_) => return Err(duplicate(id)),
            None => {
                return Err(Failure::transient(
                    "busy",
                    format!("order {id} was removed while it was looked at"),
                ));
            }
        }
    }
    if limited.is_empty() {
        return Ok(true);
    }

    let reserved = reserve(&limited, id).and_then(|reserved| {
        record.status = Status::Placed;
        if reserved {
            writer.replace(&path, &record)?;
        }
        Ok(reserved)
    });
    if !matches!(reserved, Ok(true)) {
        let withdrawn = release(&order.items, id).and_then(|()| files::remove(&path));
        files::or_unknown(&path, withdrawn);
    }
    reserved
}

/// Reserves the articles. Says whether there were enough; if there were not,
/// or it fails, some may be reserved.
fn reserve(limited: &[Limited<'_>], id: OrderId<'_>) -> Result<bool, Failure> {
    for Limited { sku, quantity, stock } in limited {
        files::mark(&reservation_path(sku, *quantity, id))?;
        if reserved(sku)? > *stock {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Tells how much of an article can still be ordered; nothing where it is made to order, without limit.
///
/// Fails with `unknown-article`.
#[sagahost::activity(
    timeout = "10s",
    retry(max_attempts = 4, first_interval = "200ms", backoff = 2.0, max_interval = "5s")
)]
pub async fn article_left(ctx: ActivityContext, sku: String) -> Result<Option<u64>, Failure> {
    checked(&sku, "article", "unknown-article")?;
    let stock = stock(&Writer::new(&ctx))?;
    match stock.get(&sku) {
        Some(None) => Ok(None),
        Some(Some(stock)) => Ok(Some(stock.saturating_sub(reserved(&sku)?))),
        None => Err(unknown_article(&sku, &stock)),
    }
}

/// Takes an order back: cancels it and gives its articles back. Answers false if this orchestration has no such order.
///
/// Whether there is something to take back it finds in the files, and not in
/// what it is told of the step: so it does for a step that completed, for one
/// of which nobody knows, and for one that never ran; and an orchestrator can
/// call it, too. An order of another orchestration is left as it is.
#[sagahost::activity(
    timeout = "10s",
    retry(max_attempts = 0, first_interval = "200ms", backoff = 2.0, max_interval = "10s"),
    undoes = "OrderActivity"
)]
pub async fn rollback_order_activity(ctx: ActivityContext, order: Order) -> Result<bool, Failure> {
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
            info!(ctx, "order {id}: nothing to cancel");
            return Ok(false);
        }
    };
    if record.status == Status::Cancelled {
        return Ok(true);
    }
    release(&record.items, id)?;
    record.status = Status::Cancelled;
    record.undo_key = Some(ctx.idempotency_key());
    writer.replace(&path, &record)?;
    info!(ctx, "order {id}: cancelled");
    Ok(true)
}

/// An article of an order that is not without limit.
struct Limited<'a> {
    sku: &'a str,
    quantity: u64,
    stock: u64,
}

/// The articles of which there are only so many.
fn limited<'a>(writer: &Writer, items: &'a [Item]) -> Result<Vec<Limited<'a>>, Failure> {
    let stock = stock(writer)?;
    let mut limited = Vec::new();
    for (sku, quantity) in quantities(items) {
        checked(sku, "article", "unknown-article")?;
        match stock.get(sku) {
            Some(None) => {}
            Some(Some(stock)) => limited.push(Limited { sku, quantity, stock: *stock }),
            None => return Err(unknown_article(sku, &stock)),
        }
    }
    Ok(limited)
}

fn unknown_article(sku: &str, stock: &Stock) -> Failure {
    let articles: Vec<_> = stock.keys().map(String::as_str).collect();
    let message = format!("the shop has no {sku:?}; it has {}", articles.join(", "));
    Failure::permanent("unknown-article", message)
}

/// How many of each article, in the order of their names.
fn quantities(items: &[Item]) -> BTreeMap<&str, u64> {
    let mut quantities = BTreeMap::new();
    for item in items {
        let quantity: &mut u64 = quantities.entry(item.sku.as_str()).or_default();
        *quantity = quantity.saturating_add(u64::from(item.quantity));
    }
    quantities
}

/// `stock.json`, which is written with something to sell if it is missing.
fn stock(writer: &Writer) -> Result<Stock, Failure> {
    let path = files::path("stock.json");
    if let Some(stock) = files::read(&path)? {
        return Ok(stock);
    }
    let articles = [("book", Some(100)), ("lamp", Some(5)), ("vase", Some(0)), ("print", None)];
    let stock: Stock = articles.into_iter().map(|(sku, stock)| (sku.to_owned(), stock)).collect();
    match writer.create(&path, &stock)? {
        true => Ok(stock),
        false => files::read(&path)?
            .ok_or_else(|| Failure::transient("busy", "the stock was removed meanwhile")),
    }
}

/// How many of an article all orders together have reserved.
fn reserved(sku: &str) -> Result<u64, Failure> {
    let mut sum: u64 = 0;
    for name in files::names(&files::path(format_args!("reserved/{sku}")))? {
        let quantity = name.split_once('-').and_then(|(quantity, _)| quantity.parse::<u64>().ok());
        sum = sum.saturating_add(quantity.unwrap_or(0));
    }
    Ok(sum)
}

/// Gives the articles of an order back, as far as they were reserved. What
/// the stock says by now does not matter.
fn release(items: &[Item], id: OrderId<'_>) -> Result<(), Failure> {
    for (sku, quantity) in quantities(items) {
        files::remove(&reservation_path(sku, quantity, id))?;
    }
    Ok(())
}

fn record_path(id: OrderId<'_>) -> String {
    files::path(format_args!("orders/{id}.json"))
}

fn reservation_path(sku: &str, quantity: u64, id: OrderId<'_>) -> String {
    files::path(format_args!("reserved/{sku}/{quantity}-{id}"))
}

/// What the second saga with the id of a first one gets.
pub(crate) fn duplicate(id: OrderId<'_>) -> Failure {
    Failure::permanent(
        "duplicate-order",
        format!("there is an order {id} already, of another orchestration"),
    )
}
