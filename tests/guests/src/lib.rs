//! A component for the tests of the host: functions that do one thing each,
//! among them all that a guest should not do. Their names begin with `Test`;
//! those of what can be undone, with `Step` or end with `Saga`. What takes more
//! than one instance (children, entities, rounds) has names of its own.
//!
//! What goes in and what comes out stands at each function; fields are
//! camelCase.

#[cfg(not(feature = "only-sagas"))]
mod accounts;
#[cfg(not(feature = "only-sagas"))]
mod children;
#[cfg(not(feature = "only-sagas"))]
mod determinism;
#[cfg(not(feature = "only-sagas"))]
mod hostile;
#[cfg(not(feature = "only-sagas"))]
mod lines;
#[cfg(not(feature = "only-sagas"))]
mod orchestrators;
#[cfg(not(feature = "only-sagas"))]
mod rounds;
#[cfg(not(feature = "without-sagas"))]
mod sagas;
mod step;
#[cfg(not(feature = "only-sagas"))]
mod steps;
#[cfg(all(test, not(feature = "only-sagas"), not(feature = "without-sagas")))]
mod tests;
#[cfg(all(test, not(feature = "only-sagas")))]
mod tests_of_many;
mod waste;
#[cfg(not(feature = "only-sagas"))]
mod world;
