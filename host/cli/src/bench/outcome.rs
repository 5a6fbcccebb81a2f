//! What became of the sagas that were started.

use std::time::Duration;

use bytes::Bytes;
use hyper::http::response::Parts;
use serde::{Deserialize, Serialize};

/// What became of it.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// From start to completion of each saga, in microseconds, in order.
    pub(super) latencies: Vec<u32>,
    /// Those that completed before the time was up.
    pub(super) in_time: u64,
    /// Those that ended in another way.
    pub(super) failed: u64,
    /// How the first of those ended.
    pub(super) first_failure: Option<String>,
    /// Starts that the host did not take, because it has enough to do.
    pub(super) refused: u64,
    /// Those of them that did not say when to come again.
    pub(super) refused_without_when: u64,
    /// How the host answered the first that completed.
    pub(super) answer: Option<Answer>,
    /// From the first start to the last end.
    pub(super) took: Duration,
}

/// An answer, as it can be given once more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
}

impl Answer {
    /// This answer, without what a server puts in by itself.
    pub(super) fn of(head: &Parts, body: &Bytes) -> Self {
        let own = ["date", "content-length", "transfer-encoding", "connection"];
        let headers = head.headers.iter().filter(|(name, _)| !own.contains(&name.as_str()));
        Answer {
            status: head.status.as_u16(),
            headers: headers
                .map(|(name, value)| {
                    (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
                })
                .collect(),
            body: String::from_utf8_lossy(body).into_owned(),
        }
    }
}

impl Default for Answer {
    /// What a host says that is asked for a result, and it is `true`.
    fn default() -> Self {
        Answer {
            status: 200,
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: "true".to_owned(),
        }
    }
}

impl Outcome {
    /// All sagas that ended.
    pub(super) fn ended(&self) -> u64 {
        self.latencies.len() as u64 + self.failed
    }

    /// The latency that this share (0.0 to 1.0) of the sagas kept below.
    pub(super) fn percentile(&self, share: f64) -> Duration {
        percentile(&self.latencies, share)
    }

    /// Refused starts, as a share of all.
    pub(super) fn share_refused(&self) -> f64 {
        self.refused as f64 / (self.refused + self.ended()).max(1) as f64
    }

    pub(super) fn completed(&mut self, took: Duration, in_time: bool) {
        self.latencies.push(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
        self.in_time += u64::from(in_time);
    }

    pub(super) fn failed(&mut self, why: String) {
        self.failed += 1;
        self.first_failure.get_or_insert(why);
    }

    pub(super) fn refused(&mut self, says_when: bool) {
        self.refused += 1;
        self.refused_without_when += u64::from(!says_when);
    }

    /// Both together. The order of the latencies is lost.
    pub(super) fn merge(&mut self, other: Outcome) {
        self.latencies.extend(other.latencies);
        self.in_time += other.in_time;
        self.failed += other.failed;
        self.first_failure = self.first_failure.take().or(other.first_failure);
        self.refused += other.refused;
        self.refused_without_when += other.refused_without_when;
        self.answer = self.answer.take().or(other.answer);
        self.took += other.took;
    }
}

/// What this share (0.0 to 1.0) of these is not above; they are in order.
pub(super) fn percentile(micros: &[u32], share: f64) -> Duration {
    let rank = (share * micros.len() as f64).ceil() as usize;
    Duration::from_micros(micros.get(rank.saturating_sub(1)).copied().unwrap_or(0).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles() {
        let outcome = Outcome { latencies: (1..=100).collect(), ..Outcome::default() };
        let micros = |share| outcome.percentile(share).as_micros();
        assert_eq!([micros(0.5), micros(0.9), micros(0.99), micros(1.0)], [50, 90, 99, 100]);
        assert_eq!(Outcome::default().percentile(0.5), Duration::ZERO);
    }

    #[test]
    fn refused_starts_are_counted_apart_from_sagas() {
        let mut one = Outcome::default();
        one.refused(true);
        one.refused(false);
        one.completed(Duration::from_micros(7), true);
        let mut other = Outcome::default();
        other.refused(true);
        other.failed("it broke".to_owned());
        one.merge(other);
        assert_eq!((one.refused, one.refused_without_when), (3, 1));
        assert_eq!((one.ended(), one.in_time, one.failed), (2, 1, 1));
        assert_eq!(one.share_refused(), 0.6);
        assert_eq!(one.latencies, [7]);
        assert_eq!(Outcome::default().share_refused(), 0.0);
    }
}
