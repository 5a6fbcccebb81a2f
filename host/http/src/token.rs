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
    let mut bytes = after.to_be_bytes().to_vec();
    bytes.extend_from_slice(&check(after, filters));
    base64url(&bytes)
}

/// The instance number in a token that was made for these filters.
pub(crate) fn decode(token: &str, filters: &str) -> Result<i64, ApiError> {
    from_base64url(token)
        .and_then(|bytes| {
            let (after, sum) = bytes.split_first_chunk()?;
            let after = i64::from_be_bytes(*after);
            (sum == check(after, filters)).then_some(after)
        })
        .ok_or_else(|| {
            ApiError::bad_argument(
                "The header x-ms-continuation-token is not one that this host gave for a listing \
                 with these filters; leave it out to begin from the first page.",
            )
        })
}

fn check(after: i64, filters: &str) -> [u8; CHECK_BYTES] {
    let digest = Sha256::new()
        .chain_update(b"sagahost list 1\0")
        .chain_update(after.to_be_bytes())
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
