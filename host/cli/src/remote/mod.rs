//! The commands that talk to a running host.

pub(crate) mod admin;
mod changes;
pub(crate) mod clock;
pub(crate) mod entity;
pub(crate) mod events;
pub(crate) mod instances;
pub(crate) mod list;
pub(crate) mod pause;
pub(crate) mod start;
pub(crate) mod undo;
