//! The whole system: real wasm, a real host process, real sockets.

#![allow(missing_docs, unreachable_pub, clippy::unwrap_used)]

mod api;
mod crash;
mod deploy;
mod docs;
mod hostile;
mod orders;
mod rules;
mod scale;
mod service;
mod steps;
mod support;
mod undo;
mod undo_crash;
mod undo_faults;
mod undo_stuck;
