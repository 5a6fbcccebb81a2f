//! A component for the tests of the host: functions that do one thing each,
//! among them all that a guest should not do. Their names begin with `Test`.
//!
//! What goes in and what comes out stands at each function; fields are
//! camelCase.

mod determinism;
mod hostile;
mod orchestrators;
mod world;
