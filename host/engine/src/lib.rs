//! Runs orchestrations: takes what arrives for an instance, lets the core
//! decide and the guest run until it waits again, stores the new events, and
//! only then does what they call for.
//!
//! The order of these is the commit rule, and everything here is arranged
//! around it: **no effect leaves before the events that caused it are
//! durable**. The one writer commits whatever has queued in one transaction
//! while other instances' turns go on.

mod api;
mod background;
mod cell;
mod children;
mod clock;
mod commit;
mod config;
mod deploy;
mod dispatch;
mod entity;
mod entry;
mod error;
mod fair;
mod flush;
mod going;
mod guest;
mod hold;
mod lifecycle;
mod load;
mod load_gate;
mod log;
mod metrics;
mod observe;
mod overview;
mod places;
mod post;
mod purge;
mod reads;
mod recent;
mod residents;
mod retention;
mod run;
mod schedule;
mod skip;
mod stats;
mod stuck;
mod timers;
mod turn;
mod undo;
mod unstored;
mod verify;
mod waiters;
mod writer;

pub use api::{Committed, Ended, Engine, StartRequest};
pub use clock::Clock;
pub use config::EngineConfig;
pub use deploy::Deployed;
pub use entity::SignalError;
pub use error::{CommandError, DeployError, EngineError, InvokeError, Overload, StartError};
pub use metrics::{Collector, FunctionFigures};
pub use observe::{Change, Observer};
pub use overview::{InstanceCounts, Latencies, Overview};
pub use purge::PurgeFilter;
pub use recent::{Percentiles, Rates, Second};
pub use retention::Retention;
pub use sagahost_store::{Gone, InstanceKey, InstanceRow, ListQuery, Page};
pub use sagahost_wasm::{Access, Deployment, Function, FunctionKind, FunctionSettings};
pub use schedule::{MOST_MISSED, Missed, Schedule, ScheduleError};
pub use skip::{SkipError, Skipped, Waiting};
pub use stats::Stats;
pub use stuck::StuckNotice;
pub use undo::UndoView;
pub use verify::{ReplayError, Replayed};
