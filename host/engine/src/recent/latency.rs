//! How long something took lately.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::lock;

/// How long a slot of a [`Latency`] takes in, in seconds.
const SLOT: u64 = 30;

/// How many slots there are: five minutes of them.
const SLOTS: usize = 10;

/// The buckets of a slot: eight for each doubling, from 1 µs to 12 days.
const BUCKETS: usize = 8 * 38;

/// How long something took, over the last five minutes. What it tells is right
/// to an eighth.
#[derive(Debug)]
pub(crate) struct Latency {
    began: Instant,
    slots: Mutex<Slots>,
}

#[derive(Debug, Default)]
struct Slots {
    slots: Vec<Slot>,
    /// Since the start.
    count: u64,
    micros: u64,
}

#[derive(Clone, Debug)]
struct Slot {
    /// Which one since the start it holds.
    number: u64,
    counts: Vec<u32>,
}

impl Default for Latency {
    fn default() -> Self {
        Latency { began: Instant::now(), slots: Mutex::default() }
    }
}

impl Latency {
    pub(crate) fn record(&self, took: Duration) {
        self.record_at(self.began.elapsed(), took);
    }

    fn record_at(&self, now: Duration, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let number = now.as_secs() / SLOT;
        let mut all = lock(&self.slots);
        all.count += 1;
        all.micros = all.micros.saturating_add(micros);
        let place = (number % SLOTS as u64) as usize;
        while all.slots.len() <= place {
            all.slots.push(Slot { number, counts: vec![0; BUCKETS] });
        }
        let slot = &mut all.slots[place];
        if slot.number != number {
            slot.number = number;
            slot.counts.fill(0);
        }
        let bucket = &mut slot.counts[bucket_of(micros)];
        *bucket = bucket.saturating_add(1);
    }

    /// How many there were since the start, and what they took in all, in µs.
    pub(super) fn total(&self) -> (u64, u64) {
        let all = lock(&self.slots);
        (all.count, all.micros)
    }

    /// What these parts of those of the last five minutes did not exceed, in
    /// ms; `None` where there were none.
    pub(crate) fn percentiles<const N: usize>(&self, parts: [f64; N]) -> Option<[f64; N]> {
        self.percentiles_at(self.began.elapsed(), parts)
    }

    fn percentiles_at<const N: usize>(&self, now: Duration, parts: [f64; N]) -> Option<[f64; N]> {
        let mut counts = vec![0u64; BUCKETS];
        let current = now.as_secs() / SLOT;
        for slot in &lock(&self.slots).slots {
            if slot.number + SLOTS as u64 > current {
                for (sum, count) in counts.iter_mut().zip(&slot.counts) {
                    *sum += u64::from(*count);
                }
            }
        }
        let all: u64 = counts.iter().sum();
        (all > 0).then(|| parts.map(|part| rounded(value_at(&counts, all, part))))
    }

    /// How many there were a second, over the last slot and this one.
    pub(crate) fn per_second(&self) -> f64 {
        self.per_second_at(self.began.elapsed())
    }

    fn per_second_at(&self, now: Duration) -> f64 {
        let current = now.as_secs() / SLOT;
        let since = Duration::from_secs(current.saturating_sub(1) * SLOT);
        let all = lock(&self.slots);
        let recent = all.slots.iter().filter(|slot| slot.number + 1 >= current);
        let count: u64 = recent.flat_map(|slot| &slot.counts).map(|count| u64::from(*count)).sum();
        rounded(count as f64 / now.saturating_sub(since).as_secs_f64().max(1.0))
    }
}

/// The bucket for so many µs: the first eight for themselves, and then eight
/// for each doubling.
fn bucket_of(micros: u64) -> usize {
    if micros < 8 {
        return micros as usize;
    }
    let doublings = micros.ilog2() - 3;
    let within = (micros >> doublings) - 8;
    (8 * (doublings as usize + 1) + within as usize).min(BUCKETS - 1)
}

/// Where a bucket begins, and how wide it is, in µs.
fn range_of(bucket: usize) -> (f64, f64) {
    if bucket < 8 {
        return (bucket as f64, 1.0);
    }
    let width = 2f64.powi(bucket as i32 / 8 - 1);
    ((8 + bucket % 8) as f64 * width, width)
}

fn value_at(counts: &[u64], all: u64, part: f64) -> f64 {
    let wanted = (all as f64 * part).max(1.0);
    let mut below = 0.0;
    for (bucket, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        let count = *count as f64;
        if below + count >= wanted {
            let (from, width) = range_of(bucket);
            return (from + width * (wanted - below) / count) / 1e3;
        }
        below += count;
    }
    0.0
}

/// What half of them did not exceed, and all but one in a hundred.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Percentiles {
    /// In milliseconds; `None` where there were none lately.
    pub p50: Option<f64>,
    /// In milliseconds; `None` where there were none lately.
    pub p99: Option<f64>,
}

impl Latency {
    pub(crate) fn shown(&self) -> Percentiles {
        let found = self.percentiles([0.5, 0.99]);
        Percentiles { p50: found.map(|[p50, _]| p50), p99: found.map(|[_, p99]| p99) }
    }
}

/// To three digits behind the point.
pub(super) fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn each_value_is_in_the_bucket_that_is_for_it() {
        let mut last = 0;
        for micros in (0..5000).chain((13..63).flat_map(|n| [(1 << n) - 1, 1 << n, (1 << n) + 1])) {
            let bucket = bucket_of(micros);
            assert!(bucket >= last && bucket < BUCKETS, "{micros}");
            last = bucket;
            if bucket < BUCKETS - 1 {
                let (from, width) = range_of(bucket);
                assert!(from <= micros as f64 && (micros as f64) < from + width, "{micros}");
                assert!(width <= 1.0 || width <= from / 8.0 + 1e-9, "{micros}");
            }
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn percentiles_are_right_to_an_eighth() {
        let latency = Latency::default();
        assert_eq!(latency.percentiles_at(secs(1), [0.5]), None);
        for millis in 1..=1000 {
            latency.record_at(secs(1), Duration::from_millis(millis));
        }
        let found = latency.percentiles_at(secs(2), [0.5, 0.95, 0.99]).expect("there are some");
        for (found, right) in found.into_iter().zip([500.0, 950.0, 990.0]) {
            assert!((found - right).abs() < right / 8.0, "{found} {right}");
        }
    }

    #[test]
    fn what_is_old_is_forgotten_and_what_is_new_takes_its_place() {
        let latency = Latency::default();
        let second = |n: u64| secs(n * SLOT);
        latency.record_at(second(0), secs(1));
        latency.record_at(second(1), secs(1));
        assert!(latency.percentiles_at(second(9), [0.5]).is_some());
        assert!(latency.percentiles_at(second(10), [0.5]).is_some());
        assert_eq!(latency.percentiles_at(second(11), [0.5]), None);
        latency.record_at(second(11), Duration::from_millis(1));
        let [found] = latency.percentiles_at(second(11), [0.99]).expect("the new one");
        assert!(found < 2.0, "{found}");
        assert_eq!(latency.total(), (3, 2_001_000));
        assert!(lock(&latency.slots).slots.len() <= SLOTS);
    }

    #[test]
    fn rates_are_of_the_last_minute_at_most() {
        let latency = Latency::default();
        for _ in 0..60 {
            latency.record_at(secs(40), secs(1));
        }
        assert!((latency.per_second_at(secs(60)) - 2.0).abs() < 1e-9);
        assert!(latency.per_second_at(secs(95)) < 1e-9);
    }
}
