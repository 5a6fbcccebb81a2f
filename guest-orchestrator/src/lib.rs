//! The orchestrators of the sample shop, and its entities.
//!
//! | Orchestrator | Shows |
//! |---|---|
//! | [`order_saga`] | a saga: two activities in parallel, and what was done is undone if one of them does not go well |
//! | [`order_saga_by_hand`] | the same with a rollback of its own, which has holes |
//! | [`gift_saga`] | a child orchestration, a scope that is undone by itself, and a pivot |
//! | [`greeting_chain`] | chaining: one activity after the other |
//! | [`fan_out`] | fan-out and fan-in over a list |
//! | [`newsletter`] | an asynchronous HTTP API: it runs long, and clients poll how far it is |
//! | [`watch_article`] | a monitor: looks again and again, and keeps its journal short |
//! | [`approval`] | human interaction: an external event, with a timeout and an escalation |
//! | [`rate_article`], [`top_rated`] | an aggregator: the entities [`Ratings`] collect what they are told |
//! | [`reminder`] | a durable timer |
//! | [`reserve_saga`] | locks: moves articles between two entities [`Shelf`] |
//! | [`last_item_saga`] | locks and undo together |

mod aggregator;
mod by_hand;
mod gift;
mod monitor;
mod order;
mod patterns;
mod saga;
mod shelves;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_patterns;

pub use aggregator::{Rated, Rating, Ratings, Summary, rate_article, top_rated};
pub use by_hand::order_saga_by_hand;
pub use gift::{Gift, Parcel, gift_saga};
pub use monitor::{Watch, Watched, watch_article};
pub use order::Order;
pub use patterns::{
    ApprovalInput, Decision, Letter, Numbers, ReminderInput, Verdict, approval, fan_out,
    greeting_chain, newsletter, reminder,
};
pub use saga::order_saga;
pub use shelves::{Bought, Move, Shelf, last_item_saga, reserve_saga};
