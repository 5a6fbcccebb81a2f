//! Real guests on the real runtime.

mod activities;
mod capabilities;
mod deployment;
mod entities;
mod fake;
mod fixture;
mod http_steps;
mod orchestrators;
mod pinned;
mod reuse;
mod undo;
mod wat_guests;
