//! What can go wrong, said to the person who can do something about it.

use std::path::PathBuf;

/// Why the runtime could not do what the host asked of it.
#[derive(Debug, thiserror::Error)]
pub enum WasmError {
    /// The engine does not start.
    #[error("the {engine} engine cannot be started: {reason}")]
    Engine {
        /// Which one: `orchestrators` or `activities`.
        engine: &'static str,
        /// Why, and what to do.
        reason: String,
    },
    /// The folder of components cannot be used.
    #[error("the component store {} cannot be used: {source}", path.display())]
    Cache {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// No component of this digest was ever deployed here.
    #[error(
        "component {digest} is not in the component store: it was never deployed here, or its \
         file was deleted; deploy the same .wasm file again"
    )]
    Unknown {
        /// The digest.
        digest: String,
    },
    /// The stored component cannot be loaded.
    #[error("component {digest} cannot be loaded: {reason}")]
    Damaged {
        /// The digest.
        digest: String,
        /// Why, and what to do.
        reason: String,
    },
    /// The stored component is fine, and the host cannot take it into memory.
    #[error(
        "component {digest} cannot be taken into memory: {reason}; it has to fit into the limits \
         of the host's configuration and into what the system gives"
    )]
    Room {
        /// The digest.
        digest: String,
        /// What the engine says.
        reason: String,
    },
    /// The component is in the store and not in memory.
    #[error("component {digest} is not loaded: call `pin` first, and keep what it returns")]
    NotLoaded {
        /// The digest.
        digest: String,
    },
    /// The component has no orchestrators.
    #[error(
        "component {digest} does not export `sagahost:saga/orchestrators`, so it has no orchestrators to run"
    )]
    NoOrchestrators {
        /// The digest.
        digest: String,
    },
    /// The component has no activities.
    #[error(
        "component {digest} does not export `sagahost:saga/activities`, so it has no activities to run"
    )]
    NoActivities {
        /// The digest.
        digest: String,
    },
    /// As many orchestrators are in memory as there may be.
    #[error("{limit} orchestrators are in memory, and there may be no more: end or drop one first")]
    TooManyOrchestrators {
        /// How many there may be.
        limit: u32,
    },
}

impl WasmError {
    /// Whether the component is gone or damaged, or does not fit this host any
    /// more: trying again changes nothing, and only a person who brings back
    /// its file does. Everything else may pass.
    pub fn is_lost(&self) -> bool {
        match self {
            WasmError::Unknown { .. }
            | WasmError::Damaged { .. }
            | WasmError::NoOrchestrators { .. }
            | WasmError::NoActivities { .. } => true,
            WasmError::Engine { .. }
            | WasmError::Cache { .. }
            | WasmError::Room { .. }
            | WasmError::NotLoaded { .. }
            | WasmError::TooManyOrchestrators { .. } => false,
        }
    }
}

/// Why a component was not accepted. Nothing has changed: what was deployed
/// before stays.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The component's name cannot be used.
    #[error(
        "a component cannot be called {name:?}: use 1 to 128 letters, digits, '-', '_' and '.', \
         beginning with a letter or a digit"
    )]
    Name {
        /// The name.
        name: String,
    },
    /// The file is too large.
    #[error("the component has {size} bytes, and at most {limit} are accepted")]
    TooLarge {
        /// Its size.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// The file is not WebAssembly.
    #[error(
        "this is not WebAssembly (the file does not begin with `\\0asm`): deploy the .wasm file \
         that your toolchain wrote"
    )]
    NotWasm,
    /// The file is a core module.
    #[error(
        "this is a core WebAssembly module, and Sagahost runs components: build for \
         `wasm32-wasip2`, or wrap it with `wasm-tools component new`"
    )]
    CoreModule,
    /// The file is of a later or earlier binary format.
    #[error(
        "this is WebAssembly of an unknown binary version ({version:02x?}): build it with a current toolchain"
    )]
    UnknownBinary {
        /// Bytes 4 to 8 of the file.
        version: [u8; 4],
    },
    /// The file ends too early.
    #[error("the component is cut off: it ends in the middle ({reason}); copy or build it again")]
    Truncated {
        /// What the decoder says.
        reason: String,
    },
    /// The file is not a valid component, or uses what is not enabled.
    #[error(
        "the component is not valid, or uses a WebAssembly feature that is not enabled: {reason}"
    )]
    Invalid {
        /// What the compiler says.
        reason: String,
    },
    /// It is a component, and not one of ours.
    #[error(
        "the component does not export `sagahost:saga/describe`: build it with the Sagahost SDK, \
         or against the WIT package in `wit/`"
    )]
    NotOurs,
    /// It was built against another version of the contract.
    #[error(
        "the component was built against sagahost:saga {found}, and this host speaks {ours}: {advice}"
    )]
    Version {
        /// The version it names.
        found: String,
        /// The version of this host.
        ours: &'static str,
        /// What to do.
        advice: &'static str,
    },
    /// It imports what is not offered.
    #[error("the component imports `{import}`, which this host does not offer: {advice}")]
    Import {
        /// The import.
        import: String,
        /// What to do.
        advice: String,
    },
    /// What it imports or exports has another type than it should.
    #[error(
        "the component does not fit the contract: {reason}; build it again with the current SDK or WIT"
    )]
    Mismatch {
        /// What does not fit.
        reason: String,
    },
    /// `describe` did not give a description.
    #[error("the component cannot describe itself: {reason}")]
    Describe {
        /// Why.
        reason: String,
    },
    /// The description says what cannot be.
    #[error("the component's description is wrong at {place}: {reason}")]
    Description {
        /// Where: `functions[2].retry`.
        place: String,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// It describes a function of a kind that it does not export.
    #[error(
        "the component describes the {kind} `{function}` but does not export \
         `sagahost:saga/{interface}`: build it with that export"
    )]
    MissingExport {
        /// The function.
        function: String,
        /// `activity` or `orchestrator`.
        kind: &'static str,
        /// The interface that is missing.
        interface: &'static str,
    },
    /// Another component has a function of this name.
    #[error(
        "the component `{other}` already has a function named `{function}`: rename one of them, or remove `{other}`"
    )]
    Clash {
        /// The function.
        function: String,
        /// The component that has it.
        other: String,
    },
    /// The component is fine and the host is not.
    #[error(transparent)]
    Host(#[from] WasmError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_not_lost() {
        let digest = || "d".to_owned();
        let source = std::io::Error::from(std::io::ErrorKind::StorageFull);
        for error in [
            WasmError::Engine { engine: "activities", reason: String::new() },
            WasmError::Cache { path: PathBuf::new(), source },
            WasmError::Room { digest: digest(), reason: String::new() },
            WasmError::NotLoaded { digest: digest() },
            WasmError::TooManyOrchestrators { limit: 1 },
        ] {
            assert!(!error.is_lost(), "{error}");
        }
        for error in [
            WasmError::Unknown { digest: digest() },
            WasmError::Damaged { digest: digest(), reason: String::new() },
            WasmError::NoOrchestrators { digest: digest() },
            WasmError::NoActivities { digest: digest() },
        ] {
            assert!(error.is_lost(), "{error}");
        }
    }
}
