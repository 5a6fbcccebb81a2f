//! Checks of real orchestrators.

mod fixture;
mod mutation;
mod sample;
mod search;
mod stories;
mod talks;
