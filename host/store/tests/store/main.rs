//! What every store must do, and what the one on disk must survive.
//!
//! `SAGAHOST_STORE_SEED=N cargo test -p sagahost-store` runs the randomised
//! tests with one seed; a failure prints the seed it had.

// A test that cannot go on has failed; that is what `unwrap` says here.
#![allow(clippy::unwrap_used)]

mod board;
mod common;
mod conformance;
mod crash;
mod differential;
mod ended;
mod entities;
mod faults;
mod listing;
mod log;
mod migration;
mod replace;
mod saga;
mod tags;
mod waking;
