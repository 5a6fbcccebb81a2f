//! Query strings.
//!
//! Names are matched without regard to case, as Durable Functions does. A
//! value that cannot be read is refused with what would do: ignoring it, as
//! the reference does, would turn a mistyped filter into "everything", which
//! is a bad answer to a purge. Parameters nobody asks for (`taskHub`,
//! `connection`, `code`) are let be.

use std::borrow::Cow;
use std::time::Duration;

use sagahost_core::{Millis, RuntimeStatus, SagaState};

use crate::error::ApiError;
use crate::text::percent_decode;
use crate::time;

/// The parameters of a request, in order.
#[derive(Debug, Default)]
pub(crate) struct Query<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Query<'a> {
    pub(crate) fn parse(query: Option<&'a str>) -> Self {
        let Some(query) = query else {
            return Query::default();
        };
        Query(
            query
                .split('&')
                .filter(|pair| !pair.is_empty())
                .map(|pair| {
                    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                    (decode(name), decode(value))
                })
                .collect(),
        )
    }

    /// The first value of this name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// The first value of this name that is not empty.
    fn given(&self, name: &str) -> Option<&str> {
        self.all(name).map(str::trim).find(|value| !value.is_empty())
    }

    fn all<'s>(&'s self, name: &str) -> impl Iterator<Item = &'s str> {
        self.0
            .iter()
            .filter(move |(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_ref())
    }

    /// All of them, in order.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), value.as_ref()))
    }

    /// A boolean, in any case: Python sends `True`.
    pub(crate) fn flag(&self, name: &str, default: bool) -> Result<bool, ApiError> {
        match self.given(name) {
            None => Ok(default),
            Some(value) if value.eq_ignore_ascii_case("true") || value == "1" => Ok(true),
            Some(value) if value.eq_ignore_ascii_case("false") || value == "0" => Ok(false),
            Some(value) => {
                Err(ApiError::bad_argument(format!("'{name}' is true or false, not '{value}'.")))
            }
        }
    }

    pub(crate) fn time(&self, name: &str) -> Result<Option<Millis>, ApiError> {
        let Some(value) = self.given(name) else {
            return Ok(None);
        };
        match time::parse(value) {
            Some(time) => Ok(Some(time)),
            None => Err(ApiError::bad_argument(format!(
                "'{name}' is a time in ISO 8601 form, such as 2026-01-31T12:00:00Z, not '{value}'."
            ))),
        }
    }

    /// A length of time in seconds, fractions allowed.
    pub(crate) fn seconds(&self, name: &str) -> Result<Option<Duration>, ApiError> {
        let Some(value) = self.given(name) else {
            return Ok(None);
        };
        value
            .parse::<f64>()
            .ok()
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .map(Some)
            .ok_or_else(|| {
                ApiError::bad_argument(format!(
                    "'{name}' is a number of seconds, 0 or more, not '{value}'."
                ))
            })
    }

    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>, ApiError> {
        let Some(value) = self.given(name) else {
            return Ok(None);
        };
        value.parse().map(Some).map_err(|_| {
            ApiError::bad_argument(format!("'{name}' is a whole number, 0 or more, not '{value}'."))
        })
    }

    /// `runtimeStatus`: a comma list, repeated, or both. Empty means all.
    pub(crate) fn statuses(&self) -> Result<Vec<RuntimeStatus>, ApiError> {
        self.statuses_in("runtimeStatus")
    }

    /// The same, under another name.
    pub(crate) fn statuses_in(&self, parameter: &str) -> Result<Vec<RuntimeStatus>, ApiError> {
        let known = RuntimeStatus::ALL.map(RuntimeStatus::as_str);
        self.names(parameter, RuntimeStatus::from_name, &known)
    }

    /// `sagaState`, in the same form.
    pub(crate) fn saga_states(&self) -> Result<Vec<SagaState>, ApiError> {
        self.saga_states_in("sagaState")
    }

    /// The same, under another name.
    pub(crate) fn saga_states_in(&self, parameter: &str) -> Result<Vec<SagaState>, ApiError> {
        self.names(parameter, SagaState::from_name, &SagaState::ALL.map(SagaState::as_str))
    }

    /// Each `tag=word:value`, in order.
    pub(crate) fn tags(&self) -> Result<Vec<(String, String)>, ApiError> {
        let tags = self.all("tag").filter(|tag| !tag.is_empty());
        tags.map(|tag| match tag.split_once(':') {
            Some((word, value)) if !word.is_empty() => Ok((word.to_owned(), value.to_owned())),
            _ => Err(ApiError::bad_argument(format!(
                "'tag' is a word and a value, tag=word:value; this one is '{tag}'."
            ))),
        })
        .collect()
    }

    fn names<T: PartialEq>(
        &self,
        parameter: &str,
        read: impl Fn(&str) -> Option<T>,
        known: &[&str],
    ) -> Result<Vec<T>, ApiError> {
        let mut values = Vec::new();
        let names = self.all(parameter).flat_map(|list| list.split(','));
        for name in names.map(str::trim).filter(|name| !name.is_empty()) {
            let value = read(name).ok_or_else(|| {
                let known = known.join(", ");
                ApiError::bad_argument(format!(
                    "'{parameter}' has no value '{name}'; there are {known}."
                ))
            })?;
            if !values.contains(&value) {
                values.push(value);
            }
        }
        Ok(values)
    }

    /// A length of time in seconds that is not 0, fractions allowed.
    pub(crate) fn positive_seconds(&self, name: &str) -> Result<Option<Duration>, ApiError> {
        match self.seconds(name) {
            Ok(Some(time)) if !time.is_zero() => Ok(Some(time)),
            Ok(None) => Ok(None),
            _ => Err(ApiError::bad_argument(format!(
                "'{name}' is a number of seconds, more than 0, not '{}'.",
                self.given(name).unwrap_or_default()
            ))),
        }
    }
}

/// In a query, other than in a path, `+` is a space.
fn decode(text: &str) -> Cow<'_, str> {
    if text.contains('+') {
        let spaced = text.replace('+', " ");
        Cow::Owned(percent_decode(&spaced).into_owned())
    } else {
        percent_decode(text)
    }
}

/// The query without the parameter that carries a key, for URLs that are
/// handed out.
pub(crate) fn without_key(query: &str) -> String {
    query
        .split('&')
        .filter(|pair| {
            let name = pair.split('=').next().unwrap_or_default();
            !decode(name).eq_ignore_ascii_case("code")
        })
        .collect::<Vec<_>>()
        .join("&")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn refusal<T: std::fmt::Debug>(result: Result<T, ApiError>) -> String {
        let error = result.expect_err("refused");
        assert_eq!(error.status(), 400);
        format!("{error:?}")
    }

    #[test]
    fn names_have_no_case_and_values_are_decoded() {
        let query = Query::parse(Some("Reason=no+more%20%26%20out&reason=second&x"));
        assert_eq!(query.get("reason"), Some("no more & out"));
        assert_eq!(query.get("X"), Some(""));
        assert_eq!(query.get("y"), None);
        assert_eq!(Query::parse(None).get("x"), None);
    }

    #[test]
    fn flags() {
        for (text, expected) in [
            ("f=True", true),
            ("f=true", true),
            ("F=1", true),
            ("f=False", false),
            ("f=0", false),
            ("f=", true),
            ("", true),
        ] {
            let query = Query::parse(Some(text));
            assert_eq!(query.flag("f", true).expect(text), expected, "{text}");
        }
        let refused = refusal(Query::parse(Some("f=yes")).flag("f", true));
        assert!(refused.contains("'f' is true or false, not 'yes'"), "{refused}");
    }

    #[test]
    fn statuses_come_as_a_list_or_repeated() {
        let query =
            Query::parse(Some("runtimeStatus=running,Failed&runtimeStatus=Failed,%20Pending,"));
        use RuntimeStatus::*;
        assert_eq!(query.statuses().expect("known"), [Running, Failed, Pending]);
        assert_eq!(Query::parse(None).statuses().expect("none"), []);
        let refused = refusal(Query::parse(Some("runtimeStatus=Done")).statuses());
        assert!(refused.contains("'Done'") && refused.contains("Completed"), "{refused}");
    }

    #[test]
    fn saga_states_are_read_alike() {
        let query = Query::parse(Some("sagaState=stuck,Past-Pivot&sagastate=stuck"));
        let states = query.saga_states().expect("known");
        assert_eq!(states, [SagaState::Stuck, SagaState::PastPivot]);
        assert_eq!(Query::parse(Some("sagaState=")).saga_states().expect("none"), []);
        let refused = refusal(Query::parse(Some("sagaState=pastPivot")).saga_states());
        assert!(refused.contains("'pastPivot'") && refused.contains("past-pivot"), "{refused}");
    }

    #[test]
    fn a_deadline_is_in_the_future() {
        let read = |text: &str| {
            let text = format!("deadline={text}");
            Query::parse(Some(&text)).positive_seconds("deadline")
        };
        assert_eq!(read("0.25").expect("a time"), Some(Duration::from_millis(250)));
        assert_eq!(read("").expect("none"), None);
        for wrong in ["0", "-1", "soon", "inf", "NaN", "1e300"] {
            let refused = refusal(read(wrong));
            assert!(refused.contains("more than 0") && refused.contains(wrong), "{refused}");
        }
    }

    #[test]
    fn times_and_numbers() {
        let query = Query::parse(Some(
            "createdTimeFrom=2018-02-28T06:18:49.345+01:00&top=5&timeout=1.5&bad=-1&nan=NaN",
        ));
        let from = query.time("createdTimeFrom").expect("a time");
        assert_eq!(from, Some(1_519_795_129_345), "an unencoded + is understood");
        assert_eq!(query.time("createdTimeTo").expect("absent"), None);
        assert_eq!(query.number("top").expect("5"), Some(5));
        assert_eq!(query.seconds("timeout").expect("1.5"), Some(Duration::from_millis(1500)));
        refusal(query.time("top"));
        refusal(query.number("bad"));
        refusal(query.seconds("bad"));
        refusal(query.seconds("nan"));
    }

    #[test]
    fn keys_are_taken_out() {
        assert_eq!(without_key("showHistory=true&code=secret&x=1"), "showHistory=true&x=1");
        assert_eq!(without_key("Code=secret"), "");
        assert_eq!(without_key("c%6fde=secret&a"), "a");
    }

    proptest! {
        #[test]
        fn any_query_can_be_read(text in "[a-zA-Z%&=+,.:0-9é-]{0,60}") {
            let query = Query::parse(Some(&text));
            let _ = (query.flag("a", true), query.time("a"), query.seconds("a"));
            let _ = (query.number("a"), query.statuses(), query.saga_states());
            let _ = (query.positive_seconds("a"), query.get("a"));
            prop_assert!(Query::parse(Some(&without_key(&text))).get("code").is_none());
        }
    }
}
