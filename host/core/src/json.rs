//! JSON text that is known to be JSON.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// A JSON document (RFC 8259) kept as the text it came as.
///
/// What guests and clients exchange passes through the host unparsed: the
/// text is checked once, when it enters, and is written into journals and
/// replies as it is. Cloning shares the text.
#[derive(Clone, Debug)]
pub struct Json(Arc<RawValue>);

impl Json {
    /// Checks that `text` is one JSON document.
    ///
    /// # Errors
    /// What is wrong with it, with line and column.
    pub fn parse(text: impl Into<String>) -> Result<Self, serde_json::Error> {
        Ok(Json(RawValue::from_string(text.into())?.into()))
    }

    /// The JSON text of a value.
    ///
    /// # Errors
    /// When the value has a map whose keys are not strings, or its own
    /// `Serialize` fails.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<Self, serde_json::Error> {
        Ok(Json(serde_json::value::to_raw_value(value)?.into()))
    }

    /// `null`.
    pub fn null() -> Self {
        Json(RawValue::NULL.to_owned().into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// The document as a tree.
    pub fn to_value(&self) -> serde_json::Value {
        // The text was checked when it entered; what is left is a nesting
        // deeper than serde_json builds a tree for, shown as text.
        serde_json::from_str(self.as_str())
            .unwrap_or_else(|_| serde_json::Value::String(self.as_str().to_owned()))
    }
}

impl Default for Json {
    fn default() -> Self {
        Json::null()
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Json {}

impl std::hash::Hash for Json {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Json(Box::<RawValue>::deserialize(deserializer)?.into()))
    }
}

/// A field that may be missing. One that is `null` is not.
///
/// # Errors
/// When it is no JSON.
pub(crate) fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Json>, D::Error> {
    Json::deserialize(deserializer).map(Some)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::{Failure, FailureKind, Json};

    #[test]
    fn a_null_that_was_given_is_not_nothing() {
        let without = Failure::host(FailureKind::Returned, "no");
        let with = Failure { details: Some(Json::null()), ..without.clone() };
        for failure in [with, without] {
            let text = serde_json::to_string(&failure).unwrap();
            assert_eq!(serde_json::from_str::<Failure>(&text).unwrap(), failure, "{text}");
        }
    }
}
