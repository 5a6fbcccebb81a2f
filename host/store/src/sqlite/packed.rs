//! Large values, which are stored packed: as frames of Zstandard (RFC 8878).
//!
//! Chunks of journals, inputs and outputs are JSON, and often one of them holds
//! another several times. Packed they are a fraction as large, and to pack them
//! takes less time than to write them twice, to the log and to the database.

use std::fmt;
use std::io;
use std::str;

use rusqlite::ToSql;
use rusqlite::types::{ToSqlOutput, Type, ValueRef};
use sagahost_core::Json;
use zstd::bulk::Compressor;
use zstd::zstd_safe::get_frame_content_size;

use crate::MAX_VALUE_BYTES;

/// A value of so many bytes is packed: a page of the database. Below, to write
/// less saves nothing.
const WORTH: usize = 4 << 10;

/// The quickest of the levels that find what is repeated far away.
const LEVEL: i32 = 1;

/// How a frame begins. No JSON begins like that.
const MAGIC: [u8; 4] = 0xFD2F_B528_u32.to_le_bytes();

/// Packs one value after the other.
pub(super) struct Packer(Compressor<'static>);

impl fmt::Debug for Packer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Packer")
    }
}

/// A value as it is stored.
pub(super) enum Stored<'v> {
    Null,
    Text(&'v str),
    Plain(&'v [u8]),
    Packed(Vec<u8>),
}

impl ToSql for Stored<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Stored::Null => ValueRef::Null,
            Stored::Text(text) => ValueRef::Text(text.as_bytes()),
            Stored::Plain(bytes) => ValueRef::Blob(bytes),
            Stored::Packed(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

impl Packer {
    pub(super) fn new() -> io::Result<Self> {
        let mut compressor = Compressor::new(LEVEL)?;
        compressor.include_checksum(true)?;
        Ok(Packer(compressor))
    }

    /// A text, for a column that tells by its type whether it is packed.
    pub(super) fn text<'v>(&mut self, text: Option<&'v Json>) -> rusqlite::Result<Stored<'v>> {
        let Some(text) = text.map(Json::as_str) else { return Ok(Stored::Null) };
        let packed = self.pack(text.as_bytes()).map_err(unpacked)?;
        Ok(packed.map_or(Stored::Text(text), Stored::Packed))
    }

    /// Bytes, which tell by how they begin.
    pub(super) fn bytes<'v>(&mut self, bytes: &'v [u8]) -> rusqlite::Result<Stored<'v>> {
        let packed = match self.pack(bytes).map_err(unpacked)? {
            // What looks like a frame must be one.
            None if bytes.starts_with(&MAGIC) => Some(self.0.compress(bytes).map_err(unpacked)?),
            packed => packed,
        };
        Ok(packed.map_or(Stored::Plain(bytes), Stored::Packed))
    }

    /// The value packed, where that is worth it.
    fn pack(&mut self, value: &[u8]) -> io::Result<Option<Vec<u8>>> {
        if value.len() < WORTH {
            return Ok(None);
        }
        let packed = self.0.compress(value)?;
        Ok((packed.len() < value.len() / 8 * 7).then_some(packed))
    }
}

/// That something was not packed is an error of the statement it is for.
pub(super) fn unpacked(error: io::Error) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(error.into())
}

/// What is in a column of bytes.
pub(super) fn bytes(value: ValueRef<'_>, column: usize) -> rusqlite::Result<Vec<u8>> {
    let bytes = value.as_blob()?;
    match bytes.starts_with(&MAGIC) {
        true => unpack(bytes).map_err(|why| damaged(column, why)),
        false => Ok(bytes.to_vec()),
    }
}

/// What is in a column of texts.
pub(super) fn text(value: ValueRef<'_>, column: usize) -> rusqlite::Result<Option<String>> {
    let bytes = match value {
        ValueRef::Null => return Ok(None),
        ValueRef::Blob(packed) => unpack(packed).map_err(|why| damaged(column, why))?,
        value => value.as_bytes()?.to_vec(),
    };
    String::from_utf8(bytes).map(Some).map_err(|why| damaged(column, why))
}

/// # Errors
/// When it is no frame, or not as it was when it was packed.
fn unpack(packed: &[u8]) -> Result<Vec<u8>, io::Error> {
    let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what);
    let size = get_frame_content_size(packed)
        .ok()
        .flatten()
        .and_then(|size| usize::try_from(size).ok())
        .filter(|size| *size <= MAX_VALUE_BYTES)
        .ok_or_else(|| wrong("it is packed, and says nothing believable of its size"))?;
    let value = zstd::bulk::decompress(packed, size)?;
    match value.len() == size {
        true => Ok(value),
        false => Err(wrong("it is packed, and not as large as it says")),
    }
}

fn damaged(column: usize, why: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Blob, why.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(bytes: &[u8]) -> (bool, Vec<u8>) {
        let mut packer = Packer::new().expect("there is memory");
        match packer.bytes(bytes).expect("is packed") {
            Stored::Packed(packed) => (true, packed),
            _ => (false, bytes.to_vec()),
        }
    }

    /// Numbers in which nothing is repeated.
    fn noise(bytes: usize) -> Vec<u8> {
        let mut state = 7_u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        };
        (0..bytes).map(|_| next()).collect()
    }

    #[test]
    fn what_is_large_and_repeats_itself_is_packed_and_comes_back() {
        let json = |items: usize| format!("[{}1]", "{\"sku\":\"lamp\"},".repeat(items));
        for (items, is_packed) in [(0, false), (10, false), (300, true), (100_000, true)] {
            let text = json(items);
            let (packed, kept) = stored(text.as_bytes());
            assert_eq!(packed, is_packed, "{items}");
            assert!(!packed || kept.len() * 10 < text.len(), "{} of {}", kept.len(), text.len());
            let back = bytes(ValueRef::Blob(&kept), 0).expect("comes back");
            assert!(back == text.as_bytes(), "{items}");
        }
    }

    #[test]
    fn what_would_not_be_smaller_is_stored_as_it_is() {
        for size in [0, 1, WORTH, 100_000] {
            let noise = noise(size);
            assert_eq!(stored(&noise), (false, noise), "{size}");
        }
    }

    #[test]
    fn what_looks_like_a_frame_is_in_one() {
        let packed = stored(&vec![b'['; WORTH]).1;
        assert!(packed.starts_with(&MAGIC));
        for bytes_like_one in [MAGIC.to_vec(), packed, [&MAGIC, noise(9_000).as_slice()].concat()] {
            let (packed, kept) = stored(&bytes_like_one);
            assert!(packed);
            assert_eq!(bytes(ValueRef::Blob(&kept), 0).expect("comes back"), bytes_like_one);
        }
    }

    #[test]
    fn a_text_tells_by_its_type() {
        let mut packer = Packer::new().expect("there is memory");
        for length in [1, WORTH, 50_000] {
            let json = Json::of(&"é".repeat(length)).expect("JSON");
            let kept = packer.text(Some(&json)).expect("is packed");
            let ToSqlOutput::Borrowed(value) = kept.to_sql().expect("a value") else {
                panic!("it is borrowed");
            };
            assert_eq!(matches!(value, ValueRef::Blob(_)), length >= WORTH, "{length}");
            assert_eq!(text(value, 0).expect("comes back").as_deref(), Some(json.as_str()));
        }
        assert_eq!(text(ValueRef::Null, 0).expect("nothing"), None);
    }

    #[test]
    fn what_was_damaged_is_never_taken_for_something_else() {
        let value = "[\"lamp\",1]".repeat(2_000).into_bytes();
        let packed = stored(&value).1;
        let back = |packed: &[u8]| bytes(ValueRef::Blob(packed), 0);
        for at in 4..packed.len() {
            for bit in 0..8 {
                let mut damaged = packed.clone();
                damaged[at] ^= 1 << bit;
                // One bit of a frame's head means nothing.
                assert!(back(&damaged).is_err() || back(&damaged).is_ok_and(|v| v == value));
            }
        }
        for cut in 4..packed.len() {
            assert!(back(&packed[..cut]).is_err(), "{cut}");
        }
        assert!(text(ValueRef::Blob(b"no frame"), 0).is_err());
    }
}
