//! What goes wrong, as data.

use std::error::Error;
use std::fmt;

use serde::Serialize;
use serde_json::Value;

use crate::bindings::sagahost::saga::types;

/// Why a function gave no result.
///
/// A failure travels as data: from an activity to the orchestrator that
/// called it, and from there to whoever asks for the instance's status.
///
/// ```
/// use sagahost::Failure;
///
/// let declined = Failure::permanent("card-declined", "the bank said no").with_details(&51);
/// assert_eq!(declined.to_string(), "card-declined: the bank said no");
/// assert!(!declined.retryable);
/// ```
///
/// `?` makes one of `String`, `&str`, I/O, JSON, UTF-8 and number errors (code
/// `error`, or `io`, `json` and so on; retryable, because one cannot know),
/// and of `Box<dyn Error>`, which stays the failure it was if there is one in
/// it. So a function may also return `Result<T, Box<dyn std::error::Error>>`
/// and use `?` on any error there is. For errors of your own, implement
/// `From<YourError> for Failure` and choose the codes; for those of other
/// crates there is [`OrFail::or_fail`].
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// A word for programs: `card-declined`. The host's own begin with
    /// `host.`: `host.timeout`, `host.trap`, `host.not-found`.
    pub code: String,
    /// A sentence for people.
    pub message: String,
    /// Anything more.
    pub details: Option<Value>,
    /// Whether another attempt may go better. The host attempts an activity
    /// again only if this is true and the retry policy allows it.
    pub retryable: bool,
}

/// See [`Failure::continued`].
const CONTINUED: &str = "host.continued-as-new";

impl Failure {
    /// A failure that may pass: the host attempts the activity again if its
    /// retry policy allows it.
    pub fn transient(code: impl Into<String>, message: impl fmt::Display) -> Self {
        Self { code: code.into(), message: message.to_string(), details: None, retryable: true }
    }

    /// A failure that another attempt would not change.
    pub fn permanent(code: impl Into<String>, message: impl fmt::Display) -> Self {
        Self { retryable: false, ..Self::transient(code, message) }
    }

    /// This failure with details for programs. What cannot be written as JSON
    /// is left out.
    #[must_use]
    pub fn with_details(self, details: &(impl Serialize + ?Sized)) -> Self {
        Self { details: serde_json::to_value(details).ok(), ..self }
    }

    /// Whether the failure is of this code.
    #[must_use]
    pub fn is(&self, code: &str) -> bool {
        self.code == code
    }

    /// What an orchestrator returns that continues as new: no failure at all,
    /// but a way out of it, whatever it returns otherwise.
    pub(crate) fn continued() -> Self {
        Self::permanent(CONTINUED, "the orchestration goes on as a new one")
    }

    pub(crate) fn is_continued(&self) -> bool {
        self.is(CONTINUED)
    }

    fn of(code: &str, error: &(impl Error + ?Sized)) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(error) = source {
            message.push_str(": ");
            message.push_str(&error.to_string());
            source = error.source();
        }
        Self::transient(code, message)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl Error for Failure {}

impl From<String> for Failure {
    fn from(message: String) -> Self {
        Self::transient("error", message)
    }
}

impl From<&str> for Failure {
    fn from(message: &str) -> Self {
        Self::transient("error", message)
    }
}

macro_rules! from_errors {
    ($($error:ty => $code:literal),* $(,)?) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::of($code, &error)
            }
        }
    )*};
}

from_errors! {
    std::io::Error => "io",
    serde_json::Error => "json",
    std::fmt::Error => "error",
    std::str::Utf8Error => "utf-8",
    std::string::FromUtf8Error => "utf-8",
    std::num::ParseIntError => "number",
    std::num::ParseFloatError => "number",
    std::num::TryFromIntError => "number",
    std::env::VarError => "environment",
    uuid::Error => "uuid",
}

impl From<Box<dyn Error>> for Failure {
    fn from(error: Box<dyn Error>) -> Self {
        match error.downcast::<Self>() {
            Ok(failure) => *failure,
            Err(error) => Self::of("error", &*error),
        }
    }
}

impl From<Box<dyn Error + Send + Sync>> for Failure {
    fn from(error: Box<dyn Error + Send + Sync>) -> Self {
        let error: Box<dyn Error> = error;
        error.into()
    }
}

/// Gives any error a code on its way to a [`Failure`].
///
/// ```
/// use sagahost::{Failure, OrFail};
///
/// fn port(text: &str) -> Result<u16, Failure> {
///     text.parse::<u16>().or_fail_for_good("bad-port")
/// }
/// assert_eq!(port("http").unwrap_err().code, "bad-port");
/// ```
pub trait OrFail<T> {
    /// The error, with its sources, becomes the message of a failure that may
    /// pass ([`Failure::transient`]).
    fn or_fail(self, code: &str) -> Result<T, Failure>;

    /// The error, with its sources, becomes the message of a failure that
    /// another attempt would not change ([`Failure::permanent`]).
    fn or_fail_for_good(self, code: &str) -> Result<T, Failure>;
}

impl<T, E: Error> OrFail<T> for Result<T, E> {
    fn or_fail(self, code: &str) -> Result<T, Failure> {
        self.map_err(|error| Failure::of(code, &error))
    }

    fn or_fail_for_good(self, code: &str) -> Result<T, Failure> {
        self.map_err(|error| Failure { retryable: false, ..Failure::of(code, &error) })
    }
}

impl From<Failure> for types::Failure {
    fn from(failure: Failure) -> Self {
        Self {
            code: failure.code,
            message: failure.message,
            details: failure.details.map(|details| details.to_string()),
            retryable: failure.retryable,
        }
    }
}

impl From<types::Failure> for Failure {
    fn from(failure: types::Failure) -> Self {
        let details = failure.details.map(|text| match serde_json::from_str(&text) {
            Ok(value) => value,
            Err(_) => Value::String(text),
        });
        Self { code: failure.code, message: failure.message, details, retryable: failure.retryable }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn question_mark_on_anything() {
        fn anything(text: &str) -> Result<u8, Box<dyn Error>> {
            if text == "declined" {
                Err(Failure::permanent("card-declined", "no"))?;
            }
            if text.is_empty() {
                Err("nothing there")?;
            }
            Ok(text.parse()?)
        }
        let failure = |text| Failure::from(anything(text).unwrap_err());
        assert_eq!(failure("declined"), Failure::permanent("card-declined", "no"));
        assert_eq!(failure("").to_string(), "error: nothing there");
        assert!(failure("x").message.contains("invalid digit"));
        assert!(failure("x").retryable);
    }

    #[test]
    fn there_and_back() {
        let failure = Failure::transient("a", "b").with_details(&vec![1, 2]);
        assert_eq!(Failure::from(types::Failure::from(failure.clone())), failure);
        let odd = types::Failure {
            code: "a".into(),
            message: "b".into(),
            details: Some("{".into()),
            retryable: true,
        };
        assert_eq!(Failure::from(odd).details, Some(Value::String("{".into())));
    }
}
