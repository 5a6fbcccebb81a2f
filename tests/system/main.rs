//! The whole system: real wasm, a real host process, real sockets.

#![allow(missing_docs, unreachable_pub, clippy::unwrap_used)]

mod api;
mod crash;
mod deploy;
mod hostile;
mod orders;
mod scale;
mod service;
mod support;
