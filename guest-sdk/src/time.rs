//! Points in time.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::{Duration, SystemTime};

/// A point in time, in milliseconds since 1970-01-01T00:00:00Z.
///
/// ```
/// use sagahost::Timestamp;
/// use std::time::Duration;
///
/// let start = Timestamp::from_millis(1_700_000_000_000);
/// assert_eq!(start.to_string(), "2023-11-14T22:13:20.000Z");
/// assert_eq!((start + Duration::from_secs(60)) - start, Duration::from_secs(60));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The point in time so many milliseconds after the beginning of 1970.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the beginning of 1970.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }
}

impl From<SystemTime> for Timestamp {
    /// The same point in time, to the millisecond; the beginning of 1970 if it
    /// is before that.
    fn from(time: SystemTime) -> Self {
        Self(millis(time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    /// Later by this long; at most the end of time.
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }
}

impl Sub for Timestamp {
    type Output = Duration;

    /// How long after the other; nothing if it is before it.
    fn sub(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Timestamp {
    /// As RFC 3339, in UTC, with milliseconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Days to a date: the calendar repeats every 400 years (146,097
        // days); years are counted from March, so that the leap day is last.
        let days = self.0 / 86_400_000 + 719_468;
        let (era, day) = (days / 146_097, days % 146_097);
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let day = day - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        let year = era * 400 + year + u64::from(month <= 2);
        let (hour, minute) = (self.0 / 3_600_000 % 24, self.0 / 60_000 % 60);
        let (second, milli) = (self.0 / 1_000 % 60, self.0 % 1_000);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
    }
}

/// A duration in milliseconds, rounded up, so that no timer fires early.
pub(crate) fn millis(duration: Duration) -> u64 {
    let millis = duration.as_nanos().div_ceil(1_000_000);
    u64::try_from(millis).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"),
            (1_709_164_800_000, "2024-02-29T00:00:00.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(Timestamp::from_millis(millis).to_string(), text);
        }
    }

    #[test]
    fn sums() {
        let t = Timestamp::from_millis(5);
        assert_eq!((t + Duration::from_micros(1)).as_millis(), 6);
        assert_eq!((t + Duration::MAX).as_millis(), u64::MAX);
        assert_eq!(t - Timestamp::from_millis(9), Duration::ZERO);
        let _ = Timestamp::from_millis(u64::MAX).to_string();
    }
}
