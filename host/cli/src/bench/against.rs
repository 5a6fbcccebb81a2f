//! Two hosts in one run, in turn.

use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use super::load::Load;
use super::report::Whole;
use super::slice::Slice;

/// What two hosts come to against each other.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Against {
    /// The second host.
    pub(super) other: Whole,
    /// Sagas a second of both, pair by pair.
    pub(super) pairs: Vec<Pair>,
    /// The first host's rate divided by the second's: the median of the pairs.
    pub(super) ratio: Option<f64>,
    /// The same of the CPU of the servers for a saga.
    pub(super) cpu_ratio: Option<f64>,
}

/// Two slices, one after the other.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Pair {
    pub(super) this_per_s: f64,
    pub(super) other_per_s: f64,
    this_cpu_us: Option<f64>,
    other_cpu_us: Option<f64>,
}

impl Pair {
    fn of(this: &Slice, other: &Slice) -> Self {
        Pair {
            this_per_s: this.per_second(),
            other_per_s: other.per_second(),
            this_cpu_us: cpu_us(this),
            other_cpu_us: cpu_us(other),
        }
    }
}

/// CPU time of the server for a saga, in microseconds.
fn cpu_us(slice: &Slice) -> Option<f64> {
    Some(slice.cpu?.as_secs_f64() * 1e6 / slice.outcome.ended().max(1) as f64)
}

/// Loads both in turn, until each had the half of this time. The first host's
/// slices are given together.
pub(super) async fn measure(
    this: &Load,
    other: &Load,
    duration: Duration,
    count: u32,
    chain: Option<u64>,
) -> Result<(Slice, Against)> {
    let time = duration / (2 * count.max(1));
    let (mut these, mut others) = (Vec::new(), Vec::new());
    for pair in 0..count.max(1) {
        // There and back again, so that what changes with time is in neither's
        // favour.
        if pair % 2 == 0 {
            these.push(Slice::measure(this, time, None).await?);
            others.push(Slice::measure(other, time, None).await?);
        } else {
            others.push(Slice::measure(other, time, None).await?);
            these.push(Slice::measure(this, time, None).await?);
        }
    }
    let pairs: Vec<Pair> =
        these.iter().zip(&others).map(|(this, other)| Pair::of(this, other)).collect();
    let other = Slice::join(others);
    let against = Against {
        other: Whole::new(&other, chain),
        ratio: rates(&pairs),
        cpu_ratio: cpus(&pairs),
        pairs,
    };
    Ok((Slice::join(these), against))
}

fn rates(pairs: &[Pair]) -> Option<f64> {
    median(pairs.iter().filter(|pair| pair.other_per_s > 0.0).map(|p| p.this_per_s / p.other_per_s))
}

fn cpus(pairs: &[Pair]) -> Option<f64> {
    let ratios = pairs.iter().filter_map(|pair| Some(pair.this_cpu_us? / pair.other_cpu_us?));
    median(ratios.filter(|ratio| ratio.is_finite()))
}

/// The one in the middle; of two, what is between them.
fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let (below, above) = (values.len().checked_sub(1)? / 2, values.len() / 2);
    Some((values[below] + values[above]) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_and_an_odd_number() {
        assert_eq!(median([].into_iter()), None);
        assert_eq!(median([7.0].into_iter()), Some(7.0));
        assert_eq!(median([9.0, 1.0, 2.0].into_iter()), Some(2.0));
        assert_eq!(median([9.0, 1.0, 2.0, 4.0].into_iter()), Some(3.0));
    }

    #[test]
    fn ratios_are_those_within_a_pair() {
        let pair = |this_per_s, other_per_s, this_cpu_us, other_cpu_us| Pair {
            this_per_s,
            other_per_s,
            this_cpu_us,
            other_cpu_us,
        };
        // Both became twice as slow in the middle: that is no difference.
        let pairs = [
            pair(300.0, 200.0, Some(100.0), Some(200.0)),
            pair(150.0, 100.0, Some(200.0), Some(400.0)),
            pair(100.0, 0.0, None, Some(1.0)),
        ];
        assert_eq!((rates(&pairs), cpus(&pairs)), (Some(1.5), Some(0.5)));
    }
}
