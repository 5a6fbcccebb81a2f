//! Percent-encoding, base64url and hex: how bytes become text in URLs, keys
//! and tokens.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Decodes percent-encoding. Where a `%` is not followed by two hex digits it
/// stays as it is, and bytes that are not UTF-8 are replaced: clients put ids
/// into URLs unencoded, and a stray `%` in one must not make it unreachable.
pub(crate) fn percent_decode(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let escaped = (byte == b'%')
            .then(|| Some(hex_digit(*bytes.get(at + 1)?)? << 4 | hex_digit(*bytes.get(at + 2)?)?))
            .flatten();
        match escaped {
            Some(decoded) => {
                out.push(decoded);
                at += 3;
            }
            None => {
                out.push(byte);
                at += 1;
            }
        }
    }
    Cow::Owned(match String::from_utf8(out) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    })
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

/// Appends `text` as one segment of a URL's path.
pub(crate) fn percent_encode_into(out: &mut String, text: &str) {
    for &byte in text.as_bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Base64 in the alphabet of RFC 4648 section 5, without padding.
pub(crate) fn base64url(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = chunk
            .iter()
            .chain(std::iter::repeat(&0))
            .take(3)
            .fold(0u32, |group, byte| group << 8 | u32::from(*byte));
        for place in 0..=chunk.len() {
            let index = (group >> (18 - 6 * place)) & 63;
            out.push(char::from(BASE64[index as usize]));
        }
    }
    out
}

/// The bytes of [`base64url`] text; `None` if it is not such text.
pub(crate) fn from_base64url(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3 + 2);
    for chunk in text.as_bytes().chunks(4) {
        let mut group = 0u32;
        for place in 0..4 {
            let digit = match chunk.get(place) {
                Some(byte) => BASE64.iter().position(|known| known == byte)?,
                None => 0,
            };
            group = group << 6 | digit as u32;
        }
        let [_, bytes @ ..] = group.to_be_bytes();
        let (keep, rest) = bytes.split_at(chunk.len().checked_sub(1).filter(|n| *n > 0)?);
        if rest.iter().any(|byte| *byte != 0) {
            return None;
        }
        out.extend_from_slice(keep);
    }
    Some(out)
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(out, "{byte:02x}");
    }
    out
}

/// The bytes of hex text.
pub(crate) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.bytes().map(hex_digit).collect::<Option<_>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn stray_percent_signs_stay() {
        assert_eq!(percent_decode("100%"), "100%");
        assert_eq!(percent_decode("100%2"), "100%2");
        assert_eq!(percent_decode("%zz%41"), "%zzA");
        assert_eq!(percent_decode("a+b"), "a+b");
        assert_eq!(percent_decode("%C3%A4"), "ä");
        assert_eq!(percent_decode("%ff"), "\u{fffd}");
    }

    #[test]
    fn base64url_is_that_of_the_rfc() {
        assert_eq!(base64url(b""), "");
        assert_eq!(base64url(b"f"), "Zg");
        assert_eq!(base64url(b"fo"), "Zm8");
        assert_eq!(base64url(b"foo"), "Zm9v");
        assert_eq!(base64url(&[0xfb, 0xff]), "-_8");
        assert_eq!(from_base64url("Z"), None);
        assert_eq!(from_base64url("Zh"), None, "bits that say nothing");
        assert_eq!(from_base64url("Zg=="), None);
    }

    proptest! {
        #[test]
        fn percent_encoding_round_trips(text in any::<String>()) {
            let mut encoded = String::new();
            percent_encode_into(&mut encoded, &text);
            prop_assert!(encoded.is_ascii());
            prop_assert_eq!(percent_decode(&encoded), text);
        }

        #[test]
        fn decoding_never_panics(text in any::<String>()) {
            let _ = percent_decode(&text);
            let _ = from_base64url(&text);
            let _ = from_hex(&text);
        }

        #[test]
        fn bytes_round_trip(bytes in any::<Vec<u8>>()) {
            prop_assert_eq!(from_base64url(&base64url(&bytes)), Some(bytes.clone()));
            prop_assert_eq!(from_hex(&hex(&bytes)), Some(bytes));
        }
    }
}
