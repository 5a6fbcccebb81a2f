//! What is stuck, as answers and webhooks tell it.

use std::borrow::Cow;

use sagahost_core::{Failure, Json, Millis, UndoId};
use serde::{Deserialize, Serialize, Serializer};

use crate::time::to_ticks;

/// A step, or the undo of one, that needs a person.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StuckStep<'a> {
    /// Nothing where the code itself failed past the pivot.
    pub(crate) step: Option<UndoId>,
    /// Whether it is the step itself that is stuck, and not its undo.
    pub(crate) forward: bool,
    pub(crate) function: Cow<'a, str>,
    pub(crate) attempts: u32,
    pub(crate) failure: Failure,
    pub(crate) since: Since,
}

/// A time that is stored as a number and shown as text.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Since(pub(crate) Millis);

impl Serialize for Since {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&to_ticks(self.0))
    }
}

/// What a row of the store says is stuck, to be shown.
pub(crate) fn shown(stored: &Json) -> Json {
    serde_json::from_str::<Vec<StuckStep<'_>>>(stored.as_str())
        .and_then(|steps| Json::of(&steps))
        // Of a later host, perhaps: as it is, rather than not at all.
        .unwrap_or_else(|_| stored.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_as_text_and_the_rest_as_it_is() {
        let stored = Json::parse(
            r#"[{"step":"3.1","forward":false,"function":"Refund","attempts":4,
                 "failure":{"kind":"returned","code":"closed","message":"The account is closed.",
                            "details":{"a": 1.0},"retryable":false},"since":1519795129345},
                {"step":null,"forward":true,"function":"Saga","attempts":1,
                 "failure":{"kind":"trap","code":"host.trap","message":"m"},"since":0}]"#,
        );
        let shown = shown(&stored.expect("JSON")).to_value();
        assert_eq!(shown[0]["since"], "2018-02-28T05:18:49.3450000Z");
        assert_eq!((&shown[0]["step"], &shown[1]["step"]), (&"3.1".into(), &().into()));
        assert_eq!(shown[0]["failure"]["details"]["a"], 1.0);
        assert_eq!(shown[1]["since"], "1970-01-01T00:00:00.0000000Z");
    }

    #[test]
    fn what_cannot_be_read_is_shown_as_it_is() {
        for text in ["[{\"new\": 1}]", "{}", "null"] {
            let stored = Json::parse(text).expect("JSON");
            assert_eq!(shown(&stored), stored);
        }
    }
}
