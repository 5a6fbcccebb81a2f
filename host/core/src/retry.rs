//! When a failed attempt is followed by another.

use crate::{Failure, Millis, RetryPolicy};

/// What [`next_attempt`] needs to know of the attempt that failed.
#[derive(Clone, Copy, Debug)]
pub struct Attempted {
    /// How many attempts have counted so far, this one included. Attempts
    /// that were lost with the host do not count.
    pub counted: u32,
    /// When the step was scheduled.
    pub scheduled_at: Millis,
    /// When the attempt ended.
    pub ended_at: Millis,
    /// A number in `0.0..1.0` that decides the jitter.
    pub chance: f64,
}

/// When the next attempt begins, or `None` if this one was the last.
pub fn next_attempt(
    policy: &RetryPolicy,
    failure: &Failure,
    attempted: Attempted,
) -> Option<Millis> {
    if !failure.retryable || policy.do_not_retry.contains(&failure.code) {
        return None;
    }
    if policy.max_attempts != 0 && attempted.counted >= policy.max_attempts {
        return None;
    }
    let pause = interval(policy, attempted.counted, attempted.chance);
    let at = attempted.ended_at.saturating_add(pause.max(failure.retry_after_ms.unwrap_or(0)));
    match policy.total_time_ms {
        Some(total) if at > attempted.scheduled_at.saturating_add(total) => None,
        _ => Some(at),
    }
}

/// When the next attempt of something that is attempted until it is done
/// begins: at the policy's intervals, whatever its limits.
pub(crate) fn next_attempt_always(policy: &RetryPolicy, attempted: Attempted) -> Millis {
    attempted.ended_at.saturating_add(interval(policy, attempted.counted, attempted.chance))
}

/// The pause after the `counted`-th attempt, in milliseconds. Jitter is
/// applied last, so a jittered interval may pass the longest one by its part.
fn interval(policy: &RetryPolicy, counted: u32, chance: f64) -> Millis {
    // `max` also turns a NaN into 1.
    let backoff = policy.backoff.max(1.0);
    let exponent = i32::try_from(counted.saturating_sub(1)).unwrap_or(i32::MAX);
    let grown = (policy.first_interval_ms as f64) * backoff.powi(exponent);
    let capped = grown.min(policy.max_interval_ms as f64);
    let jitter = if policy.jitter.is_nan() { 0.0 } else { policy.jitter.clamp(0.0, 1.0) };
    let jittered = capped * (1.0 + jitter * (2.0 * chance - 1.0));
    // A cast from a float saturates, and a NaN becomes 0.
    jittered as Millis
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FailureKind;

    fn policy() -> RetryPolicy {
        RetryPolicy {
            max_attempts: 4,
            first_interval_ms: 100,
            backoff: 2.0,
            max_interval_ms: 300,
            ..RetryPolicy::default()
        }
    }

    fn after(counted: u32) -> Attempted {
        Attempted { counted, scheduled_at: 0, ended_at: 1_000, chance: 0.5 }
    }

    fn timeout() -> Failure {
        Failure::host(FailureKind::Timeout, "took too long")
    }

    #[test]
    fn intervals_grow_up_to_the_longest_and_end_with_the_attempts() {
        let at: Vec<_> = (1..=4).map(|n| next_attempt(&policy(), &timeout(), after(n))).collect();
        assert_eq!(at, [Some(1_100), Some(1_200), Some(1_300), None]);
    }

    #[test]
    fn zero_attempts_means_no_limit() {
        let policy = RetryPolicy { max_attempts: 0, ..policy() };
        assert_eq!(next_attempt(&policy, &timeout(), after(u32::MAX)), Some(1_300));
    }

    #[test]
    fn what_is_not_retryable_or_named_is_final() {
        let mut failure = timeout();
        failure.retryable = false;
        assert_eq!(next_attempt(&policy(), &failure, after(1)), None);
        let policy = RetryPolicy { do_not_retry: vec!["host.timeout".into()], ..policy() };
        assert_eq!(next_attempt(&policy, &timeout(), after(1)), None);
    }

    #[test]
    fn no_attempt_begins_after_the_total_time() {
        let policy = RetryPolicy { total_time_ms: Some(1_150), ..policy() };
        assert_eq!(next_attempt(&policy, &timeout(), after(1)), Some(1_100));
        assert_eq!(next_attempt(&policy, &timeout(), after(2)), None);
    }

    #[test]
    fn jitter_stays_within_its_part() {
        let policy = RetryPolicy { jitter: 0.5, ..policy() };
        let at = |chance| next_attempt(&policy, &timeout(), Attempted { chance, ..after(1) });
        assert_eq!((at(0.0), at(0.5)), (Some(1_050), Some(1_100)));
        assert!(at(0.999).is_some_and(|at| at > 1_145 && at < 1_150));
    }

    #[test]
    fn senseless_numbers_do_no_harm() {
        for (backoff, jitter) in [(f64::NAN, f64::NAN), (0.0, -3.0), (f64::INFINITY, 9.0)] {
            let policy = RetryPolicy { backoff, jitter, ..policy() };
            for counted in [1, 2, 3] {
                let at = next_attempt(&policy, &timeout(), after(counted));
                assert!(
                    at.is_some_and(|at| (1_000..=1_600).contains(&at)),
                    "{backoff} {jitter} {at:?}"
                );
            }
        }
    }
}
