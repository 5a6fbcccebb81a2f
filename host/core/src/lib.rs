//! What happens to a saga, as a pure function of its journal.
//!
//! Nothing in this crate does I/O, reads a clock, draws a random number or
//! knows of wasm, HTTP or SQL: time and chance come in as arguments, and what
//! is to be done comes out as data. That is why all of it can be tested
//! exhaustively, and quickly.

mod event;
mod instance;
mod json;
mod model;
mod orchestration;
mod replay;
mod retry;

pub use event::*;
pub use instance::{Attempt, End, Instance};
pub use json::Json;
pub use model::*;
pub use orchestration::{
    Command, Completion, LoadError, MAX_LOST_ATTEMPTS, Mismatch, Orchestration, Rejected, Turn,
};
pub use replay::Request;
pub use retry::{Attempted, next_attempt};
