//! Input for functions: JSON on the command line, in a file, or from a pipe.

use std::io::Read;

use anyhow::Result;
use sagahost_core::Json;

use crate::exit::{Exit, fail};

/// Where an input comes from.
#[derive(Clone, Copy)]
enum Place<'a> {
    Argument,
    File(&'a str),
    Stdin,
}

/// Reads `--input`: JSON, `@FILE`, or `-` for standard input.
pub(crate) fn read(argument: &str) -> Result<Json> {
    let (text, place) = match argument.strip_prefix('@') {
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|error| {
                fail(Exit::Usage, format!("cannot read the input from {path}: {error}"))
            })?;
            (text, Place::File(path))
        }
        None if argument == "-" => {
            let mut text = String::new();
            std::io::stdin()
                .read_to_string(&mut text)
                .map_err(|error| fail(Exit::Usage, format!("cannot read the input: {error}")))?;
            (text, Place::Stdin)
        }
        None => (argument.to_owned(), Place::Argument),
    };
    parse(&text, place)
}

/// The input, or `null` where there is none.
pub(crate) fn read_or_null(argument: Option<&str>) -> Result<Json> {
    argument.map_or_else(|| Ok(Json::null()), read)
}

fn parse(text: &str, place: Place<'_>) -> Result<Json> {
    Json::parse(text.trim()).map_err(|error| {
        let (what, hint) = match place {
            Place::Argument => ("the input".to_owned(), hint(text.trim())),
            Place::File(path) => (format!("what is in {path}"), String::new()),
            Place::Stdin => ("what comes from standard input".to_owned(), String::new()),
        };
        fail(Exit::Usage, format!("{what} is not JSON ({error}){hint}"))
    })
}

/// What may have been meant: most often text, or a file.
fn hint(text: &str) -> String {
    if text.starts_with(['{', '[', '"']) {
        return String::new();
    }
    let short = text.chars().count() <= 40 && !text.is_empty();
    let quoted = serde_json::Value::from(if short { text } else { "text" }).to_string();
    format!("; text needs quotes: '{}'; a file is @FILE", quoted.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_checked_before_it_is_sent() {
        assert_eq!(read(r#" {"a": 1} "#).expect("is JSON").as_str(), r#"{"a": 1}"#);
        let wrong = |text: &str| read(text).expect_err("is not JSON").to_string();
        let error = wrong("nope");
        assert!(error.starts_with("the input is not JSON ("), "{error}");
        assert!(error.ends_with(r#"); text needs quotes: '"nope"'; a file is @FILE"#), "{error}");
        assert!(wrong("it's").contains(r#"'"it'\''s"'"#), "{}", wrong("it's"));
        assert!(!wrong("{no}").contains("quotes"), "{}", wrong("{no}"));
    }

    #[test]
    fn a_file_is_read() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "[1, 2]\n").expect("written");
        let argument = format!("@{}", file.path().display());
        assert_eq!(read(&argument).expect("is JSON").as_str(), "[1, 2]");
        let error = read("@/does/not/exist").expect_err("is not there").to_string();
        assert!(error.contains("/does/not/exist"), "{error}");
    }
}
