//! The whole system: real wasm, a real host process, real sockets.

#![allow(missing_docs, unreachable_pub, clippy::unwrap_used)]

mod again;
mod ahead;
mod api;
mod board;
mod clients;
mod clock;
mod crash;
mod deploy;
mod docs;
mod entities;
mod entities_crash;
mod followers;
mod hostile;
mod live;
mod locks;
mod log;
mod mail;
mod metrics;
mod openapi;
mod orders;
mod overload;
mod reference;
mod reference_manage;
mod retention;
mod rewind;
mod rules;
mod scale;
mod schedule;
mod service;
mod steps;
mod support;
mod traces;
mod triggers;
mod undo;
mod undo_crash;
mod undo_faults;
mod undo_stuck;
mod watched;
