//! What happens to a saga, as a pure function of its journal.
//!
//! Nothing in this crate does I/O, reads a clock, draws a random number or
//! knows of wasm, HTTP or SQL: time and chance come in as arguments, and what
//! is to be done comes out as data. That is why all of it can be tested
//! exhaustively, and quickly.

mod again;
mod apply;
mod command;
mod entity;
mod event;
mod explore;
mod fits;
mod handle;
mod instance;
mod journal;
mod json;
mod kind;
mod letters;
mod model;
mod orchestration;
mod post;
mod replay;
mod request;
mod retry;
mod rewound;
mod scopes;
mod started;
mod trace;
mod undo;
mod undos;
mod unwind;

pub use command::{
    ChildStart, ChildStop, Command, Completion, LoadError, Mismatch, Rejected, Turn,
};
pub use entity::{
    Entity, EntityCommand, EntityEvent, EntityRecord, EntityState, EntityTurn, OperationAttempt,
    OperationResult, Outgoing, Sending, Snapshot, decode_entity_chunk, encode_entity_chunk,
};
pub use event::*;
pub use explore::{OpenCall, StepView};
pub use handle::MAX_LOST_ATTEMPTS;
pub use instance::{Attempt, End, Instance};
pub use journal::{JournalError, Record, decode_chunk, encode_chunk};
pub use json::Json;
pub use model::*;
pub use orchestration::Orchestration;
pub use post::{Letter, Parcel, Post};
pub use request::Request;
pub use retry::{Attempted, next_attempt};
pub use rewound::recalled;
pub use started::{Carried, ChildPolicy, Parent, Started};
pub use trace::{Span, SpanEvent, SpanId, SpanOf, SpanStatus, SpanValue, TraceContext, hex, spans};
pub use undo::*;
pub use undos::{PlannedUndo, Stuck, UndoState};
