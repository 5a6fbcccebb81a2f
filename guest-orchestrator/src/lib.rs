//! The orchestrators of the sample shop.
//!
//! | Orchestrator | Shows |
//! |---|---|
//! | [`order_saga`] | a saga: two activities in parallel, and what was done is undone if one of them does not go well |
//! | [`greeting_chain`] | chaining: one activity after the other |
//! | [`fan_out`] | fan-out and fan-in over a list |
//! | [`reminder`] | a durable timer |
//! | [`approval`] | an external event, with a timeout |

mod order;
mod patterns;
mod saga;
#[cfg(test)]
mod tests;

pub use order::Order;
pub use patterns::{
    ApprovalInput, Decision, Numbers, ReminderInput, Verdict, approval, fan_out, greeting_chain,
    reminder,
};
pub use saga::order_saga;
