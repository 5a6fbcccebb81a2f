//! Input with a part that is another for each saga: `{{number}}` and `{{uuid}}`.

use std::fmt::Write;

use uuid::Uuid;

/// A text with places to fill in.
#[derive(Clone, Debug)]
pub(crate) struct Template(Vec<Piece>);

#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Text(String),
    Number,
    Uuid,
}

impl Template {
    pub(crate) fn new(text: &str) -> Self {
        let mut pieces = Vec::new();
        let mut rest = text;
        let marks = [("{{number}}", Piece::Number), ("{{uuid}}", Piece::Uuid)];
        while let Some((at, mark, piece)) = marks
            .iter()
            .filter_map(|(mark, piece)| Some((rest.find(mark)?, mark, piece)))
            .min_by_key(|found| found.0)
        {
            pieces.push(Piece::Text(rest[..at].to_owned()));
            pieces.push(piece.clone());
            rest = &rest[at + mark.len()..];
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Template(pieces)
    }

    /// The text for the saga of this number.
    pub(crate) fn fill(&self, number: u64) -> String {
        let mut out = String::with_capacity(256);
        for piece in &self.0 {
            // Writing to a String cannot fail.
            let _ = match piece {
                Piece::Text(text) => out.write_str(text),
                Piece::Number => write!(out, "{number}"),
                Piece::Uuid => write!(out, "{}", Uuid::new_v4().simple()),
            };
        }
        out
    }

    /// The text as it stands between single quotes of a shell, with parts
    /// that are others each time the line is run.
    pub(crate) fn fill_for_shell(&self) -> String {
        let pieces = self.0.iter().map(|piece| match piece {
            Piece::Text(text) => text.replace('\'', r"'\''"),
            Piece::Number | Piece::Uuid => "'$(date +%s)'".to_owned(),
        });
        pieces.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_saga_gets_its_own_input() {
        let template = Template::new(r#"{"id":"a-{{number}}-{{uuid}}","n":{{number}}}"#);
        let filled = template.fill(7);
        assert!(filled.starts_with(r#"{"id":"a-7-"#) && filled.ends_with(r#","n":7}"#), "{filled}");
        assert_ne!(filled, template.fill(7));
        assert_eq!(Template::new("it's {{uuid}}").fill_for_shell(), r"it'\''s '$(date +%s)'");
        assert_eq!(Template::new("{{no}}").fill(1), "{{no}}");
    }
}
