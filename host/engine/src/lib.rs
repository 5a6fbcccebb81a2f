//! Runs orchestrations: takes what arrives for an instance, lets the core
//! decide and the guest run until it waits again, stores the new events, and
//! only then does what they call for.
//!
//! The order of these is the commit rule, and everything here is arranged
//! around it: **no effect leaves before the events that caused it are
//! durable**. The one writer commits whatever has queued in one transaction
//! while other instances' turns go on.

mod api;
mod cell;
mod children;
mod commit;
mod config;
mod deploy;
mod dispatch;
mod error;
mod flush;
mod guest;
mod lifecycle;
mod load;
mod residents;
mod run;
mod stats;
mod stuck;
mod timers;
mod turn;
mod undo;
mod verify;
mod waiters;
mod writer;

pub use api::{Committed, Ended, Engine, PurgeFilter, StartRequest};
pub use config::EngineConfig;
pub use error::{CommandError, DeployError, EngineError, InvokeError, StartError};
pub use sagahost_store::{InstanceKey, InstanceRow, ListQuery, Page};
pub use stats::Stats;
pub use stuck::StuckNotice;
pub use undo::UndoView;
pub use verify::{ReplayError, Replayed};

/// Milliseconds since 1970-01-01T00:00:00Z, by the machine's clock.
pub fn now() -> sagahost_core::Millis {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}
