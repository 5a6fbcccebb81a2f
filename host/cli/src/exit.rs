//! How the program ends: exit codes that scripts can rely on.

use std::fmt;
use std::process::ExitCode;

/// Why the program ends. The numbers are part of the interface and are listed
/// in `sagahost --help`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// What was asked about failed, or anything that has no number of its own.
    Failed = 1,
    /// The arguments, the input or the manifest are wrong.
    Usage = 2,
    /// The server cannot be reached.
    Unreachable = 3,
    /// There is no such instance or function.
    NotFound = 4,
    /// The key is missing or does not allow it.
    NotAllowed = 5,
    /// The state of the instance or the component does not allow it.
    Conflict = 6,
    /// The time to wait is up; what was waited for goes on.
    TimeUp = 7,
    /// Nothing was found, and not everything was looked at.
    Unproven = 8,
}

/// An error that says with which code the program ends.
#[derive(Debug)]
pub(crate) struct Failed {
    exit: Exit,
    message: String,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failed {}

/// The error that ends the program with this code and says this.
pub(crate) fn fail(exit: Exit, message: impl Into<String>) -> anyhow::Error {
    anyhow::Error::new(Failed { exit, message: message.into() })
}

/// What ends the program with a code, when all there is to say was printed.
pub(crate) fn silently(exit: Exit) -> anyhow::Error {
    fail(exit, "")
}

/// Prints what went wrong and gives the program's exit code.
pub(crate) fn code(result: anyhow::Result<()>) -> ExitCode {
    let Err(error) = result else { return ExitCode::SUCCESS };
    // Whoever read our output has enough of it (`| head`).
    if error.chain().any(is_broken_pipe) {
        return ExitCode::SUCCESS;
    }
    let message = format!("{error:#}");
    if !message.is_empty() {
        eprintln!("sagahost: {message}");
    }
    ExitCode::from(exit_of(&error) as u8)
}

pub(crate) fn exit_of(error: &anyhow::Error) -> Exit {
    error
        .chain()
        .find_map(|cause| cause.downcast_ref::<Failed>())
        .map_or(Exit::Failed, |failed| failed.exit)
}

fn is_broken_pipe(cause: &(dyn std::error::Error + 'static)) -> bool {
    cause
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn a_code_survives_context() {
        let error = Err::<(), _>(fail(Exit::NotFound, "no instance 'x'"))
            .context("while looking")
            .expect_err("is an error");
        assert_eq!(exit_of(&error), Exit::NotFound);
        assert_eq!(format!("{error:#}"), "while looking: no instance 'x'");
    }

    #[test]
    fn an_error_without_a_code_is_a_failure() {
        assert_eq!(exit_of(&anyhow::anyhow!("hm")), Exit::Failed);
    }
}
