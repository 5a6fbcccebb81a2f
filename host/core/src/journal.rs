//! A journal as it is stored: chunks of events, each with its time.

use serde::{Deserialize, Serialize};

use crate::{Event, Millis};

/// An event and when it was journaled. Written as `[time, event]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record(pub Millis, pub Event);

/// Why a chunk of a journal cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("chunk {chunk} of the journal cannot be read: {source}")]
pub struct JournalError {
    /// Which chunk, from 0.
    pub chunk: usize,
    /// What is wrong with it.
    #[source]
    pub source: serde_json::Error,
}

/// The chunk that is stored for the events of one turn: a JSON array.
///
/// # Errors
/// When an event cannot be written as JSON, which no event the host makes
/// does.
pub fn encode_chunk(records: &[Record]) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = Vec::with_capacity(64 + 192 * records.len());
    serde_json::to_writer(&mut bytes, records)?;
    Ok(bytes)
}

/// The events of one stored chunk; `chunk` is its number, for the error.
///
/// # Errors
/// Where the chunk is damaged, or was written by a later version.
pub fn decode_chunk(chunk: usize, bytes: &[u8]) -> Result<Vec<Record>, JournalError> {
    serde_json::from_slice(bytes).map_err(|source| JournalError { chunk, source })
}
