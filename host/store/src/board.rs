//! What a dashboard asks for: instances by many filters, in one of four orders,
//! and how many there were when.
//!
//! Some of these questions can only be answered by looking at very many
//! instances. So each call has an amount of [`Work`] that it may do, and gives
//! what it found, and the place to go on from.

use std::time::Duration;

use sagahost_core::{Millis, RuntimeStatus, SagaState};

use crate::types::tags_bytes;
use crate::{InstanceKey, InstanceRow, MAX_PAGE, MAX_PAGE_BYTES};

/// The longest custom status that is in a [`BoardPage`], in bytes.
pub const MAX_SHOWN_STATUS: usize = 16 << 10;

/// The most intervals of a [`Histogram`].
pub const MAX_BUCKETS: u32 = 1_000;

/// Which instances; all conditions must hold. Entities are never among them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BoardFilter {
    /// The id begins with this; with regard to case.
    pub id_prefix: Option<String>,
    /// Created at this time or later.
    pub created_from: Option<Millis>,
    /// Created at this time or earlier.
    pub created_to: Option<Millis>,
    /// Of one of these statuses; any if empty.
    pub statuses: Vec<RuntimeStatus>,
    /// In one of these saga states; in any if empty.
    pub saga: Vec<SagaState>,
    /// Of this orchestrator.
    pub name: Option<String>,
    /// With each of these tags, and this value of each.
    pub tags: Vec<(String, String)>,
    /// This stands somewhere in the id or in the orchestrator's name, where the
    /// case of ASCII letters does not matter.
    pub search: Option<String>,
}

/// By what to sort.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BoardSort {
    /// In the order in which they were created.
    #[default]
    Created,
    /// By when they last changed, and those of one time in the order in which
    /// they were created.
    Updated,
}

/// The place of an instance in an order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct BoardPlace {
    /// When it last changed; 0 in the order of creation.
    pub at: Millis,
    /// Its key.
    pub key: InstanceKey,
}

/// What a call may do before it gives what it has. It always does a little, so
/// that who goes on comes to the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    /// It looks at so many instances, more or less.
    pub rows: u32,
    /// It takes so long, more or less.
    pub time: Duration,
}

impl Work {
    /// As much as there is to do.
    pub const ANY: Work = Work { rows: u32::MAX, time: Duration::MAX };
}

/// A page of a dashboard's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoardQuery {
    /// Which instances.
    pub filter: BoardFilter,
    /// By what to sort them.
    pub sort: BoardSort,
    /// Whether the last come first.
    pub descending: bool,
    /// How many at most. 0 and all above [`MAX_PAGE`] count as [`MAX_PAGE`].
    pub limit: u32,
    /// Only instances after this place: [`BoardPage::next`] of the page before.
    pub after: Option<BoardPlace>,
    /// What may be done.
    pub work: Work,
}

/// Some of the instances that were asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BoardPage {
    /// The instances, without inputs, outputs and the texts of what is stuck,
    /// and without custom statuses that are longer than [`MAX_SHOWN_STATUS`].
    pub rows: Vec<InstanceRow>,
    /// Where to go on ([`BoardQuery::after`]). There may be none after it; where
    /// this is `None`, there are none.
    pub next: Option<BoardPlace>,
    /// Whether the page is full, or there are no more. Else the work came to
    /// its limit before.
    pub complete: bool,
}

/// How many instances were created when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistogramQuery {
    /// Which instances.
    pub filter: BoardFilter,
    /// When the first interval begins.
    pub from: Millis,
    /// How long each is; 0 counts as 1.
    pub width: Millis,
    /// How many intervals there are; [`MAX_BUCKETS`] at most.
    pub buckets: u32,
    /// Only instances before this one: [`Histogram::next`] of the call before.
    pub before: Option<InstanceKey>,
    /// What may be done.
    pub work: Work,
}

/// How many instances there are of each status; the place is the status's
/// [code](RuntimeStatus::code).
pub type StatusCounts = [u64; RuntimeStatus::ALL.len()];

/// What a call has counted. The calls for one histogram are added up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// Of each interval, how many were created in it.
    pub buckets: Vec<StatusCounts>,
    /// Where to go on ([`HistogramQuery::before`]), if there are more. The
    /// newest are counted first.
    pub next: Option<InstanceKey>,
}

impl BoardQuery {
    /// How many rows a page has at most.
    pub(crate) fn page_size(&self) -> usize {
        match self.limit {
            0 => MAX_PAGE as usize,
            limit => limit.min(MAX_PAGE) as usize,
        }
    }

    /// The place of an instance in the order of this query.
    pub(crate) fn place(&self, key: InstanceKey, updated: Millis) -> BoardPlace {
        let at = if self.sort == BoardSort::Updated { updated } else { 0 };
        BoardPlace { at, key }
    }
}

impl HistogramQuery {
    /// How many intervals, and how long each of them is.
    pub(crate) fn layout(&self) -> (usize, Millis) {
        (self.buckets.min(MAX_BUCKETS) as usize, self.width.max(1))
    }

    /// The interval in which this time is.
    pub(crate) fn bucket(&self, created: Millis) -> Option<usize> {
        let (buckets, width) = self.layout();
        let bucket = usize::try_from(created.checked_sub(self.from)? / width).ok()?;
        (bucket < buckets).then_some(bucket)
    }

    /// The last time that is in an interval; `None` where there is no interval.
    pub(crate) fn last(&self) -> Option<Millis> {
        let (buckets, width) = self.layout();
        let span = width.saturating_mul(buckets as u64).checked_sub(1)?;
        Some(self.from.saturating_add(span))
    }
}

/// Cuts a page that is too large; see [`MAX_PAGE_BYTES`]. Says how many rows it
/// may have.
pub(crate) fn fitting(rows: &[InstanceRow]) -> usize {
    let mut bytes = 0;
    let fits = rows.iter().take_while(|row| {
        let before = bytes;
        let status = row.summary.custom_status.as_ref().map_or(0, |json| json.as_str().len());
        bytes += status + tags_bytes(&row.tags);
        before < MAX_PAGE_BYTES
    });
    fits.count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_in_one_interval_or_in_none() {
        let query = HistogramQuery {
            filter: BoardFilter::default(),
            from: 100,
            width: 10,
            buckets: 3,
            before: None,
            work: Work::ANY,
        };
        let times = [99, 100, 109, 110, 129, 130, u64::MAX];
        let found = times.map(|time| query.bucket(time));
        assert_eq!(found, [None, Some(0), Some(0), Some(1), Some(2), None, None]);
        assert_eq!(query.last(), Some(129));
        let none = HistogramQuery { buckets: 0, width: 0, ..query.clone() };
        assert_eq!((none.last(), none.bucket(100)), (None, None));
        let wide = HistogramQuery { width: u64::MAX, ..query };
        assert_eq!((wide.last(), wide.bucket(u64::MAX)), (Some(u64::MAX), Some(0)));
    }
}
