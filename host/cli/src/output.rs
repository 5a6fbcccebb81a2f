//! What the commands print: colours where a person looks, tables, JSON.

use std::io::{self, IsTerminal, Write};

use serde_json::Value;

/// Colours, or none: nothing is coloured that does not go to a terminal, nor
/// where `NO_COLOR` is set (<https://no-color.org>).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paint {
    on: bool,
}

impl Paint {
    /// For standard output.
    pub(crate) fn stdout() -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        Paint { on: wanted && io::stdout().is_terminal() }
    }

    /// Without colours.
    #[cfg(test)]
    pub(crate) fn plain() -> Self {
        Paint { on: false }
    }

    /// Whether there are colours.
    pub(crate) fn is_on(self) -> bool {
        self.on
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.on { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    pub(crate) fn dim(self, text: &str) -> String {
        self.with("2", text)
    }

    pub(crate) fn red(self, text: &str) -> String {
        self.with("31", text)
    }

    pub(crate) fn green(self, text: &str) -> String {
        self.with("32", text)
    }

    pub(crate) fn yellow(self, text: &str) -> String {
        self.with("33", text)
    }

    pub(crate) fn cyan(self, text: &str) -> String {
        self.with("36", text)
    }

    /// The same text in the same colour each time, so that the lines of one
    /// instance are found again among those of others.
    pub(crate) fn by_hash(self, text: &str) -> String {
        const COLOURS: [&str; 6] = ["36", "35", "34", "96", "95", "94"];
        let hash =
            text.bytes().fold(5381_usize, |hash, byte| hash.wrapping_mul(33) ^ usize::from(byte));
        self.with(COLOURS[hash % COLOURS.len()], text)
    }

    /// A runtime status in the colour of how it went.
    pub(crate) fn status(self, status: &str) -> String {
        match status {
            "Completed" => self.green(status),
            "Failed" | "Terminated" | "Canceled" => self.red(status),
            "Suspended" => self.yellow(status),
            _ => self.cyan(status),
        }
    }

    /// How far a saga has come: what needs somebody stands out.
    pub(crate) fn saga(self, state: &str) -> String {
        match state {
            "stuck" => self.red(state),
            "compensating" | "compensated" => self.yellow(state),
            "committed" => self.green(state),
            _ => state.to_owned(),
        }
    }
}

/// Writes a line to standard output.
///
/// # Errors
/// Where nobody reads it any more; unlike `println!`, which panics then.
pub(crate) fn line(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.write_all(b"\n")?;
    out.flush()
}

/// Writes a JSON document, over several lines.
///
/// # Errors
/// As [`line`].
pub(crate) fn json(value: &Value) -> io::Result<()> {
    line(&format!("{value:#}"))
}

/// Rows in columns that are as wide as they need to be.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(header: &[&str]) -> Self {
        Table { rows: vec![header.iter().map(|&cell| cell.to_owned()).collect()] }
    }

    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }

    /// The lines of the table. The header is dimmed, and `paint_cell` may
    /// colour a cell, by row (from 0, without the header) and column.
    pub(crate) fn lines(
        &self,
        paint: Paint,
        paint_cell: impl Fn(usize, usize, &str) -> String,
    ) -> Vec<String> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            self.rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
        };
        let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
        let mut lines = Vec::with_capacity(self.rows.len());
        for (at, row) in self.rows.iter().enumerate() {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                // Padding is counted before colours, which take no room.
                let pad = if column + 1 == row.len() {
                    0
                } else {
                    widths[column] + 2 - cell.chars().count()
                };
                match at {
                    0 => line.push_str(&paint.dim(cell)),
                    _ => line.push_str(&paint_cell(at - 1, column, cell)),
                }
                line.extend(std::iter::repeat_n(' ', pad));
            }
            lines.push(line);
        }
        lines
    }

    /// Prints it.
    ///
    /// # Errors
    /// As [`line`].
    pub(crate) fn print(
        &self,
        paint: Paint,
        paint_cell: impl Fn(usize, usize, &str) -> String,
    ) -> io::Result<()> {
        self.lines(paint, paint_cell).iter().try_for_each(|text| line(text))
    }
}

/// At most so many characters, on one line.
pub(crate) fn shorten(text: &str, most: usize) -> String {
    let clean = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut short: String = clean.clone().take(most).collect();
    if clean.count() > most {
        short.pop();
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(&["NAME", "KIND", "ABOUT"]);
        table.row(["Größe".into(), "activity".into(), "Says how large.".into()]);
        table.row(["A".into(), "o".into(), String::new()]);
        let lines = table.lines(Paint::plain(), |_, _, cell| cell.to_owned());
        assert_eq!(
            lines,
            ["NAME   KIND      ABOUT", "Größe  activity  Says how large.", "A      o         "]
        );
    }

    #[test]
    fn colours_do_not_move_columns() {
        let mut table = Table::new(&["A", "B"]);
        table.row(["x".into(), "y".into()]);
        let lines = table.lines(Paint { on: true }, |_, column, cell| match column {
            0 => Paint { on: true }.red(cell),
            _ => cell.to_owned(),
        });
        assert_eq!(lines[1], "\x1b[31mx\x1b[0m  y");
    }

    #[test]
    fn long_text_is_shortened() {
        assert_eq!(shorten("a\nb", 10), "a b");
        assert_eq!(shorten("abcdef", 4), "abc…");
        assert_eq!(shorten("abcd", 4), "abcd");
    }
}
