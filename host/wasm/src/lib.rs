//! Engines, the registry of components, and running guests: everything of
//! Sagahost that knows what WebAssembly is.
//!
//! [`Runtime`] is the way in. It holds
//!
//! * **two engines**. The one for orchestrators is deterministic (NaNs
//!   canonicalised, relaxed SIMD deterministic, no threads) and made for many
//!   small instances that live long; the one for activities is made for few
//!   instances that do anything and live for one call. Both interrupt guests
//!   by epochs, so that a loop disturbs nobody.
//! * **the registry** of deployed components ([`Runtime::check`],
//!   [`Runtime::activate`]). A component is compiled once, when it is
//!   checked, and mapped from disk from then on.
//! * **the rules** ([`Rules`]): what each activity was granted, and its
//!   limits. Nothing is granted by default.
//!
//! Beside guests it makes the HTTP requests that orchestrators ask for as
//! steps ([`Runtime::call_http`]), under the same rules.
//!
//! What never holds here: an orchestrator sees anything but its input and its
//! [`OrchestrationHost`]; two attempts share an instance; a guest's trap,
//! loop, or appetite reaches another guest or the host.

mod activity;
mod ask;
mod bench;
mod bindings;
mod cache;
mod capture;
mod config;
mod describe;
mod engines;
mod entity;
mod error;
mod fiber;
mod files;
mod function;
mod guest;
mod http;
mod http_step;
mod inspect;
mod linkers;
mod load;
mod meter;
mod metrics;
mod mistakes;
mod orchestration;
mod orchestrator;
mod policy;
mod registry;
mod reuse;
mod rules;
mod runtime;
mod traps;
mod virtual_wasi;

pub use activity::{ActivityCall, ActivityReport};
pub use bench::{MakeInput, RawSaga, RawSagaRate, raw_saga_rate};
pub use config::{MAX_OUTBOUND, WasmConfig};
pub use entity::{
    EventOut, OperationCall, OperationDone, OperationReport, Signal, StartOut, StateChange,
};
pub use error::{Refusal, WasmError};
pub use fiber::{Fiber, FiberEnd};
pub use function::{BadOperation, Function, FunctionKind, Operation};
pub use http_step::HttpStep;
pub use load::Pinned;
pub use metrics::{Histogram, Instantiations, SECOND, Snapshot, TIMES};
pub use orchestration::{Completion, OrchestrationHost, Stop};
pub use registry::{Candidate, Deployment};
pub use rules::{
    Access, ByteSize, DirGrant, FunctionRule, FunctionSettings, HttpGrant, HumanDuration, Rate,
    RetryRule, RuleError, Rules, Secret,
};
pub use runtime::{Ahead, Runtime};
