//! Why nothing can be checked.

use std::path::PathBuf;

use sagahost_wasm::{Refusal, WasmError};

/// Why a check cannot be made. What a check found is no error.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// A component or check file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A component is none, or does not fit the others.
    #[error("{path}: {refusal}")]
    Refused {
        /// Its file.
        path: PathBuf,
        /// Why.
        #[source]
        refusal: Box<Refusal>,
    },
    /// The engines do not start, or a component cannot be loaded.
    #[error(transparent)]
    Wasm(#[from] WasmError),
    /// There is no place for what is compiled, or no thread to run it.
    #[error("cannot set up: {0}")]
    Setup(#[source] std::io::Error),
    /// No component has an orchestrator of this name.
    #[error("there is no orchestrator `{name}`: there are {known}")]
    NoOrchestrator {
        /// The name.
        name: String,
        /// The names that there are.
        known: String,
    },
    /// The check file is wrong.
    #[error(transparent)]
    File(#[from] CheckFileError),
    /// An input does not fit the orchestrator's schema.
    #[error("the input {input} is not one of {orchestrator}: {reason}")]
    Input {
        /// The orchestrator.
        orchestrator: String,
        /// The input.
        input: String,
        /// Why.
        reason: String,
    },
    /// A story cannot be told, as it is not one of this saga.
    #[error("the story cannot be told: {0}")]
    Story(String),
}

/// What is wrong with a check file, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {reason}")]
pub struct CheckFileError {
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
    /// What is wrong, and what would be right.
    pub reason: String,
}
