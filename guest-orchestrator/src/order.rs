//! What an order is. The activities have the same in their `types.rs`: who
//! writes an orchestrator may know the activities by their contract only.
//!
//! The saga itself needs no more of it than the id. But the host checks the
//! input of a start against this, and so an order that the activities could
//! not read is refused before anything is done.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An order.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Order {
    /// Letters, digits, `-`, `_` and `.`; at most 128, and not a `.` first.
    #[schemars(regex(pattern = r"^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,127}$"))]
    pub(crate) id: String,
    /// What is ordered.
    pub(crate) items: Vec<Item>,
    /// Who orders.
    customer: String,
    /// The card to charge. One that begins with `declined` is declined.
    card: String,
    /// What is to go wrong, to see what happens then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fault: Option<Faults>,
}

/// Some of one article.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct Item {
    /// The article.
    pub(crate) sku: String,
    /// How many of it.
    pub(crate) quantity: u32,
    /// What one of it costs.
    price_cents: u64,
}

/// Which activity is to go wrong, and how.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Faults {
    /// OrderActivity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    order: Option<Fault>,
    /// PaymentActivity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    payment: Option<Fault>,
}

/// How an activity goes wrong.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Fault {
    /// Fails, and says that another attempt would not help.
    Fail,
    /// Fails on the first and the second attempt, and then goes well.
    Flaky,
    /// Fails on every attempt, and says that another may help.
    FailAlways,
    /// Sleeps and never returns.
    Hang,
    /// Computes and never returns.
    Spin,
    /// Panics.
    Trap,
    /// Panics after its work is done, on the first attempt only.
    TrapAfter,
    /// Takes memory until there is no more.
    Memory,
    /// Answers with far too much.
    Output,
    /// Writes to its log and never stops.
    Log,
}
