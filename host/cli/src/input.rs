//! Input for functions: JSON on the command line, in a file, or from a pipe.

use std::io::Read;

use anyhow::Result;
use sagahost_core::Json;

use crate::exit::{Exit, fail};

/// Reads `--input`: JSON, `@FILE`, or `-` for standard input.
pub(crate) fn read(argument: &str) -> Result<Json> {
    let (text, place) = match argument.strip_prefix('@') {
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|error| {
                fail(Exit::Usage, format!("cannot read the input from {path}: {error}"))
            })?;
            (text, path.to_owned())
        }
        None if argument == "-" => {
            let mut text = String::new();
            std::io::stdin()
                .read_to_string(&mut text)
                .map_err(|error| fail(Exit::Usage, format!("cannot read the input: {error}")))?;
            (text, "standard input".to_owned())
        }
        None => (argument.to_owned(), "--input".to_owned()),
    };
    parse(&text, &place)
}

/// The input, or `null` where there is none.
pub(crate) fn read_or_null(argument: Option<&str>) -> Result<Json> {
    argument.map_or_else(|| Ok(Json::null()), read)
}

fn parse(text: &str, place: &str) -> Result<Json> {
    Json::parse(text.trim()).map_err(|error| {
        let hint = match text.trim().starts_with(['{', '[', '"']) {
            true => "",
            false => " (a text must be quoted: '\"text\"'; a file is @FILE)",
        };
        fail(Exit::Usage, format!("{place} is not JSON: {error}{hint}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_checked_before_it_is_sent() {
        assert_eq!(read(r#" {"a": 1} "#).expect("is JSON").as_str(), r#"{"a": 1}"#);
        let error = read("Berlin").expect_err("is not JSON").to_string();
        assert!(
            error.contains("--input is not JSON") && error.contains("must be quoted"),
            "{error}"
        );
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
