//! What an order is.

use std::fmt;

use sagahost::Failure;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An order.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Order {
    /// Letters, digits, `-`, `_` and `.`; at most 128, and not a `.` first.
    pub id: String,
    /// What is ordered.
    pub items: Vec<Item>,
    /// Who orders.
    pub customer: String,
    /// The card to charge. One that begins with `declined` is declined.
    pub card: String,
    /// What is to go wrong, to see what happens then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Faults>,
}

/// Some of one article.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Item {
    /// The article.
    pub sku: String,
    /// How many of it.
    pub quantity: u32,
    /// What one of it costs.
    pub price_cents: u64,
}

/// Which activity is to go wrong, and how.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Faults {
    /// OrderActivity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Fault>,
    /// PaymentActivity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment: Option<Fault>,
}

/// How an activity goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
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

/// The id of an order as a file name.
#[derive(Clone, Copy)]
pub(crate) struct OrderId<'a>(&'a str);

impl Order {
    /// The id, if it can be a file name.
    pub(crate) fn checked_id(&self) -> Result<OrderId<'_>, Failure> {
        checked(&self.id, "order id", "bad-order-id").map(OrderId)
    }

    /// What all of it costs.
    pub(crate) fn amount_cents(&self) -> Result<u64, Failure> {
        let mut sum: u64 = 0;
        for item in &self.items {
            let price = u64::from(item.quantity).checked_mul(item.price_cents);
            sum = price.and_then(|price| sum.checked_add(price)).ok_or_else(|| {
                Failure::permanent("bad-price", "the order costs more than can be counted")
            })?;
        }
        Ok(sum)
    }
}

impl fmt::Display for OrderId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// A text that is to be the name of a file, or part of it.
pub(crate) fn checked<'a>(text: &'a str, what: &str, code: &str) -> Result<&'a str, Failure> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if text.is_empty() || text.len() > 128 || text.starts_with('.') || !text.bytes().all(fits) {
        let message = format!(
            "{text:?} cannot be an {what}: 1 to 128 letters, digits, '-', '_' and '.' (not first) can"
        );
        return Err(Failure::permanent(code, message));
    }
    Ok(text)
}
