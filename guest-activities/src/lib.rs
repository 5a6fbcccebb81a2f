//! The activities of the sample shop.
//!
//! Their effects are files below the directory `/shop`, which the manifest
//! grants them. Each is written to a temporary file first and moved into its
//! place, and each carries the idempotency key of the step that wrote it. An
//! activity can therefore be run twice, or be killed anywhere and run again,
//! and what it leaves is the same as if it had run once. Many orders are
//! worked on at the same time, each in a sandbox of its own, without locks.
//!
//! # The directory
//!
//! | File | Content | Written by |
//! |---|---|---|
//! | `stock.json` | `{"book": 100, "lamp": 5, "vase": 0, "print": null}`: how many of each article the shop has to sell in all; `null` is made to order, without limit. What is not in it is not sold. | by hand, or as shown by whoever looks first |
//! | `reserved/<sku>/<quantity>-<order id>` | empty; the name says that so many of the article are taken by the order. Only for articles with a limit. | OrderActivity; removed by RollbackOrderActivity |
//! | `orders/<order id>.json` | `{"status": "placed", "key", "instance", "order_id", "customer", "items"}`; the status is `placing` while articles are reserved, and `cancelled`, with `undo_key`, after a rollback | OrderActivity, RollbackOrderActivity |
//! | `payments/<order id>.json` | `{"status": "charged", "key", "instance", "order_id", "customer", "amount_cents"}`; the status is `refunded`, with `undo_key`, after a rollback | PaymentActivity, RollbackPaymentActivity |
//! | `taken/orders/`, `taken/payments/` | who may use an order id again that was cancelled: `<order id>.json.after-<hash of the cancelled step's key>` holds `{"key", "instance"}` | all |
//! | `tmp/` | what is being written, and what a killed attempt left of it | all |
//!
//! `key` is the idempotency key of the step that did it, `undo_key` that of
//! the step that undid it, and `instance` the orchestration of both: another
//! orchestration with the same order id gets the failure `duplicate-order`,
//! and its rollback changes nothing. Once an order is cancelled, its id may be
//! used again, by one of those who want to.
//!
//! An activity that returns a failure has left nothing behind: that is what a
//! failure says, and why the host does not undo it. One that cannot keep this
//! panics. The rollbacks are their undos.
//!
//! What holds once no activity runs, whatever was killed when:
//! - the reservations of an article never add up to more than its stock;
//! - an order that is `placed` has all its reservations, one that is
//!   `cancelled` and one that was never placed have none, and none is
//!   `placing` whose saga has ended;
//! - a customer was charged for an order once, and a payment that is
//!   `refunded` was charged before.
//!
//! Of two orders that reserve the last articles in the same moment, both may
//! be answered `false`: the shop never oversells, and may undersell. An
//! article without limit costs one small file per order; one with a limit
//! costs more the more orders hold some of it, because these are added up.
//!
//! The files survive the process, not a power cut: nothing is synced to disk.

mod faults;
mod files;
mod order;
mod payment;
mod small;
mod types;

pub use order::{article_left, order_activity, rollback_order_activity};
pub use payment::{payment_activity, rollback_payment_activity};
pub use small::{greet, send_reminder, square};
pub use types::{Fault, Faults, Item, Order};
