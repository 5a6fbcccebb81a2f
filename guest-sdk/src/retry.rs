//! When a failed activity is attempted again.

use std::time::Duration;

use crate::bindings::sagahost::saga::types;
use crate::time::millis;

/// How often, and when, a failed activity is attempted again.
///
/// ```
/// use sagahost::RetryPolicy;
/// use std::time::Duration;
///
/// // Five attempts, 0.1 s, 0.2 s, 0.4 s and 0.8 s apart.
/// let policy = RetryPolicy::attempts(5)
///     .first_interval(Duration::from_millis(100))
///     .jitter(0.0)
///     .do_not_retry(["card-declined"]);
/// ```
///
/// A failure that is not retryable is never attempted again, whatever the
/// policy says.
#[derive(Clone, Debug, PartialEq)]
pub struct RetryPolicy {
    max_attempts: u32,
    first_interval: Duration,
    backoff: f64,
    max_interval: Duration,
    total_time: Option<Duration>,
    jitter: f64,
    do_not_retry: Vec<String>,
}

impl Default for RetryPolicy {
    /// Three attempts; one second before the second, then twice as long each
    /// time, at most a minute, one way or the other by a tenth.
    fn default() -> Self {
        Self {
            max_attempts: 3,
            first_interval: Duration::from_secs(1),
            backoff: 2.0,
            max_interval: Duration::from_secs(60),
            total_time: None,
            jitter: 0.1,
            do_not_retry: Vec::new(),
        }
    }
}

impl RetryPolicy {
    /// So many attempts in all, the first included, and the defaults for the
    /// rest. 0 means without limit.
    #[must_use]
    pub fn attempts(max_attempts: u32) -> Self {
        Self { max_attempts, ..Self::default() }
    }

    /// One attempt, and no other.
    #[must_use]
    pub fn never() -> Self {
        Self::attempts(1)
    }

    /// Attempts until one goes well or fails for good.
    #[must_use]
    pub fn unlimited() -> Self {
        Self::attempts(0)
    }

    /// The time before the second attempt.
    #[must_use]
    pub fn first_interval(self, first_interval: Duration) -> Self {
        Self { first_interval, ..self }
    }

    /// What each interval is multiplied by to get the next. What is less than
    /// 1, or no number, counts as 1: the same interval each time.
    #[must_use]
    pub fn backoff(self, backoff: f64) -> Self {
        Self { backoff: backoff.max(1.0), ..self }
    }

    /// The longest interval.
    #[must_use]
    pub fn max_interval(self, max_interval: Duration) -> Self {
        Self { max_interval, ..self }
    }

    /// No attempt starts later than this after the activity was scheduled.
    #[must_use]
    pub fn total_time(self, total_time: Duration) -> Self {
        Self { total_time: Some(total_time), ..self }
    }

    /// By how much an interval may be shortened or lengthened at random, so
    /// that many that failed together do not come back together: 0.0 (not at
    /// all) to 1.0.
    #[must_use]
    pub fn jitter(self, jitter: f64) -> Self {
        let jitter = if jitter > 0.0 { jitter.min(1.0) } else { 0.0 };
        Self { jitter, ..self }
    }

    /// Failure codes that are final at once.
    #[must_use]
    pub fn do_not_retry<C: Into<String>>(self, codes: impl IntoIterator<Item = C>) -> Self {
        Self { do_not_retry: codes.into_iter().map(Into::into).collect(), ..self }
    }
}

impl From<&RetryPolicy> for types::RetryPolicy {
    fn from(policy: &RetryPolicy) -> Self {
        Self {
            max_attempts: policy.max_attempts,
            first_interval_ms: millis(policy.first_interval),
            backoff: policy.backoff,
            max_interval_ms: millis(policy.max_interval),
            total_time_ms: policy.total_time.map(millis),
            jitter: policy.jitter,
            do_not_retry: policy.do_not_retry.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_the_host_gets_it() {
        let policy = RetryPolicy::attempts(5)
            .first_interval(Duration::from_millis(200))
            .backoff(1.5)
            .max_interval(Duration::from_secs(10))
            .total_time(Duration::from_secs(60))
            .jitter(0.25)
            .do_not_retry(["a", "b"]);
        let wire = types::RetryPolicy::from(&policy);
        assert_eq!(wire.max_attempts, 5);
        assert_eq!(wire.first_interval_ms, 200);
        assert_eq!(wire.max_interval_ms, 10_000);
        assert_eq!(wire.total_time_ms, Some(60_000));
        assert_eq!((wire.backoff, wire.jitter), (1.5, 0.25));
        assert_eq!(wire.do_not_retry, ["a", "b"]);
    }

    #[test]
    fn what_makes_no_sense_is_put_right() {
        let policy =
            RetryPolicy::never().backoff(f64::NAN).jitter(7.0).first_interval(Duration::MAX);
        let wire = types::RetryPolicy::from(&policy);
        assert_eq!((wire.max_attempts, wire.backoff, wire.jitter), (1, 1.0, 1.0));
        assert_eq!(wire.first_interval_ms, u64::MAX);
        assert_eq!(RetryPolicy::never().jitter(f64::NAN).jitter, 0.0);
        assert_eq!(RetryPolicy::unlimited().max_attempts, 0);
    }
}
