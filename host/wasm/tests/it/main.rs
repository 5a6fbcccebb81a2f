//! Real guests on the real runtime.

mod activities;
mod capabilities;
mod deployment;
mod fake;
mod fixture;
mod orchestrators;
mod pinned;
mod undo;
mod wat_guests;
