//! A dashboard's list and histogram, as plainly as can be.

use std::time::Instant;

use super::{State, is_entity, saturated};
use crate::board::fitting;
use crate::{
    BoardFilter, BoardPage, BoardQuery, BoardSort, Histogram, HistogramQuery, InstanceRow,
    MAX_SHOWN_STATUS, Summary,
};

impl State {
    pub(super) fn board(&self, query: &BoardQuery) -> BoardPage {
        let begun = Instant::now();
        let place = |row: &InstanceRow| query.place(row.key, row.summary.updated);
        let mut rows: Vec<&InstanceRow> = self.instances.values().map(|i| &i.row).collect();
        if query.sort == BoardSort::Updated {
            rows.sort_by_key(|row| place(row));
        }
        if query.descending {
            rows.reverse();
        }
        if let Some(after) = query.after {
            rows.retain(|row| match query.descending {
                true => place(row) < after,
                false => place(row) > after,
            });
        }
        let mut page = BoardPage { complete: true, ..BoardPage::default() };
        let last = rows.last().map(|row| row.key);
        for (looked, row) in (1..).zip(&rows) {
            if matches(&query.filter, row) {
                page.rows.push(shown(row));
            }
            let full = page.rows.len() == query.page_size();
            if full || looked >= query.work.rows || begun.elapsed() > query.work.time {
                page.next = Some(place(row)).filter(|_| Some(row.key) != last);
                page.complete = full || page.next.is_none();
                break;
            }
        }
        let fitting = fitting(&page.rows);
        if fitting < page.rows.len() {
            page.rows.truncate(fitting);
            page.next = page.rows.last().map(place);
            page.complete = true;
        }
        page
    }

    pub(super) fn histogram(&self, query: &HistogramQuery) -> Histogram {
        let begun = Instant::now();
        let (buckets, _) = query.layout();
        let mut histogram =
            Histogram { buckets: vec![Default::default(); buckets], ..Histogram::default() };
        let rows = self.instances.values().rev().map(|i| &i.row);
        let rows = rows.filter(|row| query.before.is_none_or(|before| row.key < before));
        for (looked, row) in (1..).zip(rows) {
            if let Some(bucket) = query.bucket(row.created)
                && matches(&query.filter, row)
            {
                let status = usize::from(row.summary.status.code());
                histogram.buckets[bucket][status] += 1;
            }
            if looked >= query.work.rows || begun.elapsed() > query.work.time {
                histogram.next = Some(row.key);
                break;
            }
        }
        histogram
    }
}

fn matches(filter: &BoardFilter, row: &InstanceRow) -> bool {
    let found = |text: &str| {
        let search = filter.search.as_deref().unwrap_or_default();
        text.to_ascii_lowercase().contains(&search.to_ascii_lowercase())
    };
    !is_entity(row)
        && row.id.starts_with(filter.id_prefix.as_deref().unwrap_or_default())
        && filter.created_from.is_none_or(|from| row.created >= from.min(saturated()))
        && filter.created_to.is_none_or(|to| row.created <= to)
        && (filter.statuses.is_empty() || filter.statuses.contains(&row.summary.status))
        && (filter.saga.is_empty() || filter.saga.contains(&row.summary.saga))
        && filter.name.as_ref().is_none_or(|name| *name == row.name)
        && filter.tags.iter().all(|(word, value)| row.tags.get(word) == Some(value))
        && (found(&row.id) || found(&row.name))
}

/// A row as a page has it.
fn shown(row: &InstanceRow) -> InstanceRow {
    let short = |status: &sagahost_core::Json| status.as_str().len() <= MAX_SHOWN_STATUS;
    let summary = Summary {
        output: None,
        stuck: None,
        custom_status: row.summary.custom_status.clone().filter(short),
        ..row.summary.clone()
    };
    InstanceRow { input: None, summary, ..row.clone() }
}
