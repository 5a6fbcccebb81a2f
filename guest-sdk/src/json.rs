//! JSON in and out, with errors that say where.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Failure;

/// Reads JSON; the error says what was expected, where, and what was there.
pub(crate) fn decode<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| explain(text, &error))
}

fn explain(text: &str, error: &serde_json::Error) -> String {
    const BEFORE: usize = 30;
    const AFTER: usize = 10;
    let line = text.lines().nth(error.line().saturating_sub(1)).unwrap_or_default();
    let column = error.column().min(line.len());
    let start = line.floor_char_boundary(column.saturating_sub(BEFORE));
    let end = line.ceil_char_boundary((column + AFTER).min(line.len()));
    match line.get(start..end).map(str::trim) {
        Some(part) if !part.is_empty() => format!("{error}, near: {part}"),
        _ => error.to_string(),
    }
}

/// Writes JSON, or says why it cannot be written (a map whose keys are not
/// strings, for one).
pub(crate) fn encode(
    value: &(impl Serialize + ?Sized),
    code: &str,
    what: &str,
) -> Result<String, Failure> {
    serde_json::to_string(value).map_err(|error| {
        Failure::permanent(code, format!("{what} cannot be written as JSON: {error}"))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_where() {
        let error = decode::<Vec<u32>>("[1, 2,\n 3, \"vier\", 5]").unwrap_err();
        assert!(error.contains("expected u32"), "{error}");
        assert!(error.contains("line 2 column 10"), "{error}");
        assert!(error.contains("near: 3, \"vier\", 5]"), "{error}");
        assert!(decode::<u32>("").unwrap_err().contains("EOF"));
        let long = format!("\"{}\"", "ä".repeat(100));
        assert!(decode::<u32>(&long).unwrap_err().len() < 300);
    }
}
