//! Times as the API writes and reads them.

use jiff::Timestamp;
use jiff::civil::{DateTime, Time};
use jiff::fmt::temporal::Pieces;
use sagahost_core::Millis;

/// `yyyy-MM-ddTHH:mm:ssZ`, as in a status.
pub(crate) fn to_seconds(time: Millis) -> String {
    timestamp(time).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The same with seven fractional digits, as in a history.
pub(crate) fn to_ticks(time: Millis) -> String {
    timestamp(time).strftime("%Y-%m-%dT%H:%M:%S%.7fZ").to_string()
}

/// A time after the year 9999 is shown as the last one that can be written.
fn timestamp(time: Millis) -> Timestamp {
    i64::try_from(time)
        .ok()
        .and_then(|millis| Timestamp::from_millisecond(millis).ok())
        .unwrap_or(Timestamp::MAX)
}

/// Reads a date, or a date and time, in ISO 8601 form. Without an offset it is
/// UTC; what is before 1970 counts as 1970, since no instance is older.
pub(crate) fn parse(text: &str) -> Option<Millis> {
    let text = restore(text.trim());
    let pieces = Pieces::parse(&text).ok()?;
    if pieces.time_zone_annotation().is_some() {
        return None;
    }
    let local = pieces.date().to_datetime(pieces.time().unwrap_or(Time::midnight()));
    let offset = pieces.to_numeric_offset().map_or(0, |o| o.seconds());
    // Not through a `Timestamp`, whose range ends before 9999-12-31T23:59:59Z:
    // clients send the last time they can write for "no limit".
    let since = local.duration_since(DateTime::constant(1970, 1, 1, 0, 0, 0, 0));
    let millis = since.as_millis() - i128::from(offset) * 1000;
    Some(Millis::try_from(millis.max(0)).unwrap_or(Millis::MAX))
}

/// Puts back what clients lose on the way: leading zeros of a year before 1000
/// (Python's `strftime` on Linux), and a `+` before an offset that was not
/// percent-encoded and so arrived as a space.
fn restore(text: &str) -> String {
    let year_digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let mut out = String::with_capacity(text.len() + 4);
    if year_digits < 4 && text.as_bytes().get(year_digits) == Some(&b'-') && year_digits > 0 {
        out.extend(std::iter::repeat_n('0', 4 - year_digits));
    }
    match text.rsplit_once(' ') {
        Some((time, offset)) if time.contains(':') => {
            out.push_str(time);
            out.push('+');
            out.push_str(offset);
        }
        _ => out.push_str(text),
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const T: Millis = 1_519_795_129_345;

    #[test]
    fn written_as_durable_functions_does() {
        assert_eq!(to_seconds(T), "2018-02-28T05:18:49Z");
        assert_eq!(to_ticks(T), "2018-02-28T05:18:49.3450000Z");
        assert_eq!(to_ticks(0), "1970-01-01T00:00:00.0000000Z");
        assert!(to_seconds(Millis::MAX).starts_with("9999-12-30"));
    }

    #[test]
    fn read_in_the_forms_clients_send() {
        for text in [
            "2018-02-28T05:18:49.345Z",
            "2018-02-28T05:18:49.3450000Z",
            "2018-02-28T05:18:49.345+00:00",
            "2018-02-28T05:18:49.345 00:00",
            "2018-02-28T06:18:49.345+01:00",
            "2018-02-28T00:18:49.345-05:00",
            "2018-02-28T05:18:49.345",
            "2018-02-28 05:18:49.345",
            "2018-02-28t05:18:49.345z",
            " 2018-02-28T05:18:49.345Z ",
        ] {
            assert_eq!(parse(text), Some(T), "{text}");
        }
        assert_eq!(parse("2018-02-28"), Some(1_519_776_000_000));
        assert_eq!(parse("2018-02-28T05:18"), Some(1_519_795_080_000));
        assert_eq!(parse("1-01-01T00:00:00.000000Z"), Some(0));
        assert_eq!(parse("0001-01-01"), Some(0));
        assert_eq!(parse("9999-12-31T23:59:59.9999999Z"), Some(253_402_300_799_999));
    }

    #[test]
    fn what_is_not_a_time_is_refused() {
        for text in ["", "yesterday", "2018-13-01", "2018-02-30", "28/02/2018", "1519795129345"] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(parse("2018-02-28T05:18:49[Europe/Berlin]"), None);
    }

    proptest! {
        #[test]
        fn never_panics(text in any::<String>()) {
            let _ = parse(&text);
        }

        #[test]
        fn round_trips(time in 0..253_300_000_000_000u64) {
            prop_assert_eq!(parse(&to_ticks(time)), Some(time));
            prop_assert_eq!(parse(&to_seconds(time)), Some(time / 1000 * 1000));
        }
    }
}
