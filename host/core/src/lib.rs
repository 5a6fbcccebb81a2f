//! What happens to a saga, as a pure function of its journal.
//!
//! Nothing in this crate does I/O, reads a clock, draws a random number or
//! knows of wasm, HTTP or SQL: time and chance come in as arguments, and what
//! is to be done comes out as data. That is why all of it can be tested
//! exhaustively, and quickly.

mod again;
mod apply;
mod command;
mod event;
mod explore;
mod handle;
mod instance;
mod json;
mod model;
mod orchestration;
mod replay;
mod retry;
mod rewound;
mod scopes;
mod started;
mod undo;
mod undos;
mod unwind;

pub use command::{
    ChildStart, ChildStop, Command, Completion, LoadError, Mismatch, Rejected, Turn,
};
pub use event::*;
pub use explore::StepView;
pub use handle::MAX_LOST_ATTEMPTS;
pub use instance::{Attempt, End, Instance};
pub use json::Json;
pub use model::*;
pub use orchestration::Orchestration;
pub use replay::Request;
pub use retry::{Attempted, next_attempt};
pub use rewound::recalled;
pub use started::{Carried, ChildPolicy, Parent, Started};
pub use undo::*;
pub use undos::{PlannedUndo, Stuck, UndoState};
