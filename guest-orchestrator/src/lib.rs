//! The orchestrators of the sample shop.
//!
//! | Orchestrator | Shows |
//! |---|---|
//! | [`order_saga`] | a saga: two activities in parallel, and what was done is undone if one of them does not go well |
//! | [`order_saga_by_hand`] | the same with a rollback of its own, which has holes |
//! | [`gift_saga`] | a child orchestration, a scope that is undone by itself, and a pivot |
//! | [`greeting_chain`] | chaining: one activity after the other |
//! | [`fan_out`] | fan-out and fan-in over a list |
//! | [`reminder`] | a durable timer |
//! | [`approval`] | an external event, with a timeout |

mod by_hand;
mod gift;
mod order;
mod patterns;
mod saga;
#[cfg(test)]
mod tests;

pub use by_hand::order_saga_by_hand;
pub use gift::{Gift, Parcel, gift_saga};
pub use order::Order;
pub use patterns::{
    ApprovalInput, Decision, Numbers, ReminderInput, Verdict, approval, fan_out, greeting_chain,
    reminder,
};
pub use saga::order_saga;
