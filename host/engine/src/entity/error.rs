use crate::error::CommandError;

/// An entity is not signalled.
#[derive(Debug, thiserror::Error)]
pub enum SignalError {
    /// There is no entity function of this name.
    #[error("there is no entity '{name}'; {}", known_entities(.known))]
    UnknownEntity {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The entity has no such operation, or the input does not fit it.
    #[error("the operation '{operation}' cannot be asked of entity '{name}': {problem}")]
    BadOperation {
        /// The entity's name.
        name: String,
        /// What it was to do.
        operation: String,
        /// What is wrong, and what would do.
        problem: String,
    },
    /// It could not be stored; nothing was changed.
    #[error("the signal could not be stored, nothing was changed: {0}")]
    Store(String),
    /// The host is going down.
    #[error("the host is shutting down and takes no new work")]
    ShuttingDown,
}

fn known_entities(known: &[String]) -> String {
    if known.is_empty() {
        "no entity is deployed".to_owned()
    } else {
        format!("deployed are: {}", known.join(", "))
    }
}

impl From<CommandError> for SignalError {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::ShuttingDown => SignalError::ShuttingDown,
            CommandError::Store(error) => SignalError::Store(error),
            other => SignalError::Store(other.to_string()),
        }
    }
}
