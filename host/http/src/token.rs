//! The continuation token of a listing.
//!
//! Opaque to clients, and checked when it comes back: a token that was damaged,
//! made up, or belongs to a listing with other filters is refused instead of
//! silently giving some other page.

use sha2::{Digest as _, Sha256};

use crate::error::ApiError;
use crate::text::{base64url, from_base64url};

const CHECK_BYTES: usize = 12;

/// The token that goes on after instance number `after`, in the listing whose
/// filters are `filters`.
pub(crate) fn encode(after: i64, filters: &str) -> String {
    encode_all([after], filters)
}

/// The same with more numbers than one.
pub(crate) fn encode_all<const N: usize>(numbers: [i64; N], filters: &str) -> String {
    let mut bytes: Vec<u8> = numbers.into_iter().flat_map(i64::to_be_bytes).collect();
    bytes.extend_from_slice(&check(&bytes, filters));
    base64url(&bytes)
}

/// The numbers in a token that was made for these filters.
pub(crate) fn decode_all<const N: usize>(token: &str, filters: &str) -> Option<[i64; N]> {
    let bytes = from_base64url(token)?;
    let (bytes, sum) = bytes.split_at_checked(N * size_of::<i64>())?;
    if sum != check(bytes, filters) {
        return None;
    }
    let mut numbers = [0; N];
    let (chunks, _) = bytes.as_chunks();
    numbers.iter_mut().zip(chunks).for_each(|(number, chunk)| *number = i64::from_be_bytes(*chunk));
    Some(numbers)
}

/// The instance number in a token that was made for these filters.
pub(crate) fn decode(token: &str, filters: &str) -> Result<i64, ApiError> {
    decode_all(token, filters).map(|[after]| after).ok_or_else(|| {
        ApiError::bad_argument(
            "The header x-ms-continuation-token is not one that this host gave for a listing \
             with these filters; leave it out to begin from the first page.",
        )
    })
}

fn check(numbers: &[u8], filters: &str) -> [u8; CHECK_BYTES] {
    let digest = Sha256::new()
        .chain_update(b"sagahost list 1\0")
        .chain_update(numbers)
        .chain_update(filters)
        .finalize();
    let mut check = [0; CHECK_BYTES];
    check.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    check
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_token_is_good_for_its_own_listing() {
        let token = encode(42, "prefix=a");
        assert_eq!(decode(&token, "prefix=a").expect("its own"), 42);
        for (token, filters) in [
            (token.as_str(), "prefix=b"),
            (&token[1..], "prefix=a"),
            ("", "prefix=a"),
            ("bnVsbA", "prefix=a"),
            ("{\"next\":1}", "prefix=a"),
        ] {
            assert_eq!(decode(token, filters).expect_err("foreign").status(), 400, "{token}");
        }
    }

    #[test]
    fn several_numbers_come_back_as_several() {
        let token = encode_all([i64::MIN, 0, 7], "a");
        assert_eq!(decode_all(&token, "a"), Some([i64::MIN, 0, 7]));
        assert_eq!(decode_all::<3>(&token, "b"), None);
        assert_eq!(decode_all::<2>(&token, "a"), None);
        assert_eq!(decode_all::<4>(&token, "a"), None);
    }

    proptest! {
        #[test]
        fn any_other_text_is_refused(token in any::<String>(), after in any::<i64>(), place in 0..27usize) {
            prop_assert!(decode(&token, "").is_err());
            let mut damaged = encode(after, "").into_bytes();
            damaged[place] = if damaged[place] == b'A' { b'B' } else { b'A' };
            let damaged = String::from_utf8(damaged).expect("ascii");
            prop_assert!(decode(&damaged, "").is_err());
        }
    }
}
