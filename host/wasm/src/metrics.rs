//! What is measured: histograms that cost nanoseconds, and how long guests take
//! to come into memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The limits of the buckets for what takes microseconds to minutes, in
/// nanoseconds.
pub const TIMES: &[u64] = &[
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
    30_000_000_000,
    60_000_000_000,
    300_000_000_000,
];

/// Nanoseconds in a second.
pub const SECOND: f64 = 1e9;

/// A histogram that many threads add to without waiting for each other. Its
/// values are whole numbers: counts, or nanoseconds. All clones are one.
#[derive(Clone, Debug)]
pub struct Histogram(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limits: &'static [u64],
    /// One for each limit, and one for what is beyond the last.
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

/// A histogram at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    limits: &'static [u64],
    counts: Vec<u64>,
    sum: u64,
}

impl Histogram {
    /// An empty one. `limits` are the largest values of its buckets, smallest
    /// first.
    pub fn new(limits: &'static [u64]) -> Self {
        let counts = (0..=limits.len()).map(|_| AtomicU64::new(0)).collect();
        Histogram(Arc::new(Inner { limits, counts, sum: AtomicU64::new(0) }))
    }

    /// Adds a value.
    pub fn observe(&self, value: u64) {
        let Inner { limits, counts, sum } = &*self.0;
        let bucket = limits.partition_point(|limit| *limit < value);
        if let Some(count) = counts.get(bucket) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        sum.fetch_add(value, Ordering::Relaxed);
    }

    /// Adds a time, in nanoseconds.
    pub fn observe_time(&self, time: Duration) {
        self.observe(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    /// What it holds now. A value that is added at this moment may be in the
    /// sum and not in the counts, or the other way round.
    pub fn snapshot(&self) -> Snapshot {
        let Inner { limits, counts, sum } = &*self.0;
        Snapshot {
            limits,
            counts: counts.iter().map(|count| count.load(Ordering::Relaxed)).collect(),
            sum: sum.load(Ordering::Relaxed),
        }
    }
}

impl Snapshot {
    /// How many values there are.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The sum of them.
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// The buckets: the largest value of each, in units of `unit`, and how many
    /// values are in it alone. The last has no limit.
    pub fn buckets(&self, unit: f64) -> Vec<(f64, u64)> {
        let limits = self.limits.iter().map(|limit| *limit as f64 / unit);
        limits.chain([f64::INFINITY]).zip(self.counts.iter().copied()).collect()
    }
}

/// How long guests took to come into memory, by engine.
#[derive(Clone, Debug)]
pub struct Instantiations {
    /// Orchestrators.
    pub orchestrators: Histogram,
    /// Activities and entities.
    pub activities: Histogram,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_fall_into_the_bucket_whose_limit_they_do_not_exceed() {
        let histogram = Histogram::new(&[10, 20]);
        for value in [0, 10, 11, 20, 21, 1000] {
            histogram.observe(value);
        }
        let snapshot = histogram.clone().snapshot();
        assert_eq!(snapshot.buckets(10.0), [(1.0, 2), (2.0, 2), (f64::INFINITY, 2)]);
        assert_eq!((snapshot.count(), snapshot.sum()), (6, 1062));
    }
}
