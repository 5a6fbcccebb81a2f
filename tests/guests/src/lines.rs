//! Activities that leave lines in files, for a test to count.

use std::fs;
use std::io::{ErrorKind, Write};

use sagahost::{ActivityContext, Failure};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What AppendLines is to do.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct Lines {
    /// The file, which is made if it is not there.
    pub(crate) file: String,
    pub(crate) lines: Vec<String>,
}

/// Appends lines to a file: `{"file", "lines"}`. Each stands there as `{idempotency key} {line}`, and once, however
/// many attempts there are. Answers how many lines the file has.
///
/// Nobody else may write to the file at the same time.
#[sagahost::activity]
async fn append_lines(ctx: ActivityContext, input: Lines) -> Result<usize, Failure> {
    let key = ctx.idempotency_key();
    let there = whole_lines(&input.file)?;
    let done = there.iter().filter(|line| line.split(' ').next() == Some(&key)).count();
    append(&input.file, input.lines.iter().skip(done).map(|line| format!("{key} {line}")))?;
    Ok(there.len() + input.lines.len().saturating_sub(done))
}

/// What CountRuns is to do.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct Count {
    /// The file, which is made if it is not there.
    pub(crate) file: String,
    /// Whether attempts of one step count as one.
    #[serde(default)]
    pub(crate) once: bool,
}

/// Counts its attempts in a file, a line `{idempotency key} run` for each: `{"file", "once"}`; with `once`, those of
/// one step count as one. Answers how many there are.
#[sagahost::activity]
async fn count_runs(ctx: ActivityContext, input: Count) -> Result<usize, Failure> {
    let line = format!("{} run", ctx.idempotency_key());
    let there = whole_lines(&input.file)?;
    if input.once && there.contains(&line) {
        return Ok(there.len());
    }
    append(&input.file, [line])?;
    Ok(there.len() + 1)
}

/// What RequireFile looks for.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct Required {
    pub(crate) file: String,
}

/// Fails for good, with `not-there`, unless there is the file `{"file"}`.
#[sagahost::activity]
async fn require_file(input: Required) -> Result<(), Failure> {
    match fs::exists(&input.file)? {
        true => Ok(()),
        false => Err(Failure::permanent("not-there", format!("there is no file {}", input.file))),
    }
}

/// The lines of a file. What a killed attempt left without an end is cut off.
fn whole_lines(file: &str) -> Result<Vec<String>, Failure> {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let whole = text.rfind('\n').map_or(0, |end| end + 1);
    if whole < text.len() {
        let length = u64::try_from(whole)?;
        fs::OpenOptions::new().write(true).open(file)?.set_len(length)?;
    }
    Ok(text[..whole].lines().map(str::to_owned).collect())
}

fn append(file: &str, lines: impl IntoIterator<Item = String>) -> Result<(), Failure> {
    let text: String = lines.into_iter().map(|line| line + "\n").collect();
    let mut file = fs::OpenOptions::new().create(true).append(true).open(file)?;
    Ok(file.write_all(text.as_bytes())?)
}
