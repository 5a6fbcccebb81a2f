//! A component for the tests of the host: functions that do one thing each,
//! among them all that a guest should not do. Their names begin with `Test`;
//! those of what can be undone, with `Step` or end with `Saga`.
//!
//! What goes in and what comes out stands at each function; fields are
//! camelCase.

#[cfg(not(feature = "only-sagas"))]
mod determinism;
#[cfg(not(feature = "only-sagas"))]
mod hostile;
#[cfg(not(feature = "only-sagas"))]
mod orchestrators;
#[cfg(not(feature = "without-sagas"))]
mod sagas;
mod step;
#[cfg(not(feature = "only-sagas"))]
mod steps;
#[cfg(all(test, not(feature = "only-sagas"), not(feature = "without-sagas")))]
mod tests;
mod waste;
#[cfg(not(feature = "only-sagas"))]
mod world;
