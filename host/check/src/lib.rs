//! Goes through all that can happen to a saga, and finds what must not.
//!
//! The orchestrator's own WebAssembly is driven through the pure core with
//! simulated time; activities are modelled, and none of their code runs. For
//! each step that is under way the search branches over how it ends, over the
//! order in which steps end, over a crash of the host, a cancel, a deadline and
//! undos that fail. States that are equal are looked at once. At each end it is
//! compared what the steps have done in the world with what the saga says.

mod bounds;
mod checkfile;
mod choice;
mod code;
mod effects;
mod endless;
mod error;
mod explore;
mod expr;
mod fault;
mod judge;
mod mail;
mod model;
mod next;
mod program;
mod report;
mod samples;
mod story;
mod turn;
mod world;

pub use bounds::{Bounds, Cut, GivenBounds};
pub use checkfile::{CheckFile, Spec};
pub use error::{CheckError, CheckFileError};
pub use explore::{Exploration, Finding, explore};
pub use fault::Rule;
pub use program::Program;
pub use report::{Checked, Checks, Report, Sampler, Verdict};
pub use story::{Journaled, Story, tell};
