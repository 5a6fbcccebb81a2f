//! A dashboard's list and histogram.
//!
//! What is asked for is looked for where fewest have to be looked at: there are
//! indexes of names, tags, of what is open, unsuccessful or off course, and of
//! the ids. How many rows of each are in question is counted first, up to a
//! bound. If few are, all of them are looked at, in any order. If not, the rows
//! are walked through in the order that is asked for: by an index that has it,
//! or by the table; and where it is the order of the last change, by the index
//! of that. Which rows match is decided here, and not in SQL, so that each row
//! that is looked at counts as work.

use std::time::Instant;

use rusqlite::types::Value;
use rusqlite::{CachedStatement, Connection, OptionalExtension as _, Row, params_from_iter};
use sagahost_core::{Millis, RuntimeStatus};

use super::read::{instance, saga, status, tags, unsigned};
use super::schema::{NO_ENTITY, ZONE_BITS};
use crate::board::fitting;
use crate::store::saturate;
use crate::{
    BoardFilter, BoardPage, BoardPlace, BoardQuery, BoardSort, Histogram, HistogramQuery,
    InstanceKey, InstanceRow, MAX_SHOWN_STATUS, Work,
};

mod places;

use places::{Place, places};

/// How many instances are so few that each page looks at all of them.
const FEW: usize = 4_000;

/// How many keys that are in no order may be sorted for each page in the order of
/// creation.
const SORTED: usize = 100_000;

/// How many rows of an index are counted to see whether there are fewer than in
/// another one.
const MANY: usize = 20_000;

/// After how many rows the clock is looked at.
const TICK: u32 = 64;

/// The order in which rows are wanted.
#[derive(Clone, Copy)]
struct Order {
    sort: BoardSort,
    descending: bool,
    after: Option<BoardPlace>,
}

/// What [`walk`] tells of a row that matches.
struct Hit {
    place: BoardPlace,
    created: Millis,
    status: RuntimeStatus,
}

/// How a walk ended.
enum End {
    /// There are no more rows.
    Exhausted,
    /// No more were wanted.
    Enough,
    /// The work came to its limit at this place.
    Tired(BoardPlace),
}

/// A page of a list.
pub(super) fn page(connection: &Connection, query: &BoardQuery) -> rusqlite::Result<BoardPage> {
    // All statements see the same commit.
    let transaction = connection.unchecked_transaction()?;
    let order = Order { sort: query.sort, descending: query.descending, after: query.after };
    let mut places = Vec::new();
    let end = walk(&transaction, &query.filter, order, query.work, &mut |hit| {
        places.push(hit.place);
        places.len() < query.page_size()
    })?;
    let mut rows = shown(&transaction, &places)?;
    let fits = fitting(&rows);
    if fits < rows.len() {
        rows.truncate(fits);
        return Ok(BoardPage { rows, next: places.get(fits - 1).copied(), complete: true });
    }
    Ok(match end {
        End::Exhausted => BoardPage { rows, next: None, complete: true },
        End::Enough => BoardPage { rows, next: places.last().copied(), complete: true },
        End::Tired(place) => BoardPage { rows, next: Some(place), complete: false },
    })
}

/// The counts of a histogram.
pub(super) fn histogram(
    connection: &Connection,
    query: &HistogramQuery,
) -> rusqlite::Result<Histogram> {
    let transaction = connection.unchecked_transaction()?;
    let (buckets, _) = query.layout();
    let mut histogram = Histogram { buckets: vec![Default::default(); buckets], next: None };
    let Some(last) = query.last() else { return Ok(histogram) };
    let filter = BoardFilter {
        created_from: query.filter.created_from.max(Some(query.from)),
        created_to: Some(query.filter.created_to.map_or(last, |to| to.min(last))),
        ..query.filter.clone()
    };
    let after = query.before.map(|key| BoardPlace { at: 0, key });
    let order = Order { sort: BoardSort::Created, descending: true, after };
    let end = walk(&transaction, &filter, order, query.work, &mut |hit| {
        if let Some(bucket) = query.bucket(hit.created) {
            histogram.buckets[bucket][usize::from(hit.status.code())] += 1;
        }
        true
    })?;
    if let End::Tired(place) = end {
        histogram.next = Some(place.key);
    }
    Ok(histogram)
}

/// The rows at these places.
fn shown(connection: &Connection, places: &[BoardPlace]) -> rusqlite::Result<Vec<InstanceRow>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT i.key, i.id, i.name, i.created, i.status, i.updated, i.wake_at, i.busy, i.blocked,
            i.events, i.chunks, i.saga, NULL,
            CASE WHEN octet_length(i.custom_status) <= {MAX_SHOWN_STATUS} THEN i.custom_status END,
            NULL, NULL, i.tags
         FROM instances i WHERE i.key = ?1"
    ))?;
    places.iter().map(|place| statement.query_row([place.key.0], instance)).collect()
}

/// Goes through the rows that match, in order, until `wanted` says that no
/// more are.
fn walk(
    connection: &Connection,
    filter: &BoardFilter,
    order: Order,
    work: Work,
    wanted: &mut dyn FnMut(Hit) -> bool,
) -> rusqlite::Result<End> {
    let matcher = Matcher::new(filter);
    let walk = Walk { matcher, order, work, begun: Instant::now(), looked: 0 };
    if filter.id_prefix.as_deref().is_some_and(|prefix| prefix.starts_with('@')) {
        return Ok(End::Exhausted);
    }
    let Some(mut bounds) = bounds(connection, filter)? else {
        return Ok(End::Exhausted);
    };
    if let (BoardSort::Created, Some(after)) = (order.sort, order.after) {
        match order.descending {
            true => bounds.1 = bounds.1.min(after.key.0),
            false => bounds.0 = bounds.0.max(after.key.0),
        }
    }
    let best = best(connection, filter, bounds, order.sort)?;
    match (best, order.sort) {
        (Some((place, count)), _) if count <= FEW || !place.in_order() => {
            let keys = place.keys(connection, bounds)?;
            walk.few(connection, keys, wanted)
        }
        (best, BoardSort::Created) => {
            let place = best.map_or(Place::Table, |(place, _)| place);
            walk.stream(connection, &place, bounds, wanted)
        }
        (_, BoardSort::Updated) => walk.by_updated(connection, wanted),
    }
}

/// The place with the fewest rows, and how many it has; `usize::MAX` for very
/// many. Those without an order are of use only where their keys can be sorted.
fn best(
    connection: &Connection,
    filter: &BoardFilter,
    bounds: (i64, i64),
    sort: BoardSort,
) -> rusqlite::Result<Option<(Place, usize)>> {
    let mut best: Option<(Place, usize)> = None;
    for place in places(filter) {
        let limit = match sort {
            _ if place.in_order() => MANY,
            BoardSort::Created => SORTED,
            BoardSort::Updated => FEW,
        };
        let count = match place.count(connection, bounds, limit + 1)? {
            count if count <= limit => count,
            _ if place.in_order() => usize::MAX,
            _ => continue,
        };
        if best.as_ref().is_none_or(|(_, least)| count < *least) {
            best = Some((place, count));
        }
        if count == 0 {
            break;
        }
    }
    Ok(best)
}

/// Between which keys all instances are that were created in the time asked
/// for, by the zones: neither end is among them. `None` where there are none.
fn bounds(connection: &Connection, filter: &BoardFilter) -> rusqlite::Result<Option<(i64, i64)>> {
    if filter.created_from.is_none() && filter.created_to.is_none() {
        return Ok(Some((0, i64::MAX)));
    }
    let from = filter.created_from.map_or(0, saturate);
    let to = filter.created_to.map_or(i64::MAX, saturate);
    let zone = |order: &str| {
        connection
            .prepare_cached(&format!(
                "SELECT zone FROM zones WHERE latest >= ?1 AND earliest <= ?2
                 ORDER BY zone {order} LIMIT 1"
            ))?
            .query_row([from, to], |row| row.get::<_, i64>(0))
            .optional()
    };
    let Some((first, last)) = zone("ASC")?.zip(zone("DESC")?) else { return Ok(None) };
    Ok(Some(((first << ZONE_BITS) - 1, (last + 1) << ZONE_BITS)))
}

/// What is read of each row that is looked at. The name and the tags are read
/// only if it is asked for them.
const LOOK: &str = "i.key, i.updated, i.created, i.status, i.saga, i.id";

struct Walk<'f> {
    matcher: Matcher<'f>,
    order: Order,
    work: Work,
    begun: Instant,
    looked: u32,
}

impl Walk<'_> {
    /// The columns of a row that is looked at.
    fn columns(&self) -> String {
        let name = if self.matcher.needs_name() { "i.name" } else { "NULL" };
        let tags = if self.matcher.filter.tags.is_empty() { "NULL" } else { "i.tags" };
        format!("{LOOK}, {name}, {tags}")
    }

    /// Whether the work came to its limit.
    fn tired(&mut self) -> bool {
        self.looked += 1;
        self.looked >= self.work.rows
            || self.looked.is_multiple_of(TICK) && self.begun.elapsed() > self.work.time
    }

    fn place(&self, row: &Row<'_>) -> rusqlite::Result<BoardPlace> {
        let at = match self.order.sort {
            BoardSort::Created => 0,
            BoardSort::Updated => unsigned(row, 1)?,
        };
        Ok(BoardPlace { at, key: InstanceKey(row.get(0)?) })
    }

    fn hit(&self, row: &Row<'_>) -> rusqlite::Result<Hit> {
        Ok(Hit { place: self.place(row)?, created: unsigned(row, 2)?, status: status(row, 3)? })
    }

    /// Looks at each of these.
    fn few(
        mut self,
        connection: &Connection,
        keys: Vec<i64>,
        wanted: &mut dyn FnMut(Hit) -> bool,
    ) -> rusqlite::Result<End> {
        let sql = format!("SELECT {} FROM instances i WHERE i.key = ?1", self.columns());
        let mut statement = connection.prepare_cached(&sql)?;
        match self.order.sort {
            BoardSort::Created => self.few_created(&mut statement, keys, wanted),
            BoardSort::Updated => self.few_updated(&mut statement, keys, wanted),
        }
    }

    fn few_created(
        &mut self,
        statement: &mut CachedStatement<'_>,
        mut keys: Vec<i64>,
        wanted: &mut dyn FnMut(Hit) -> bool,
    ) -> rusqlite::Result<End> {
        keys.sort_unstable();
        if self.order.descending {
            keys.reverse();
        }
        let last = keys.last().copied();
        for key in keys {
            let mut rows = statement.query([key])?;
            let Some(row) = rows.next()? else { continue };
            let enough = self.matcher.matches(row)? && !wanted(self.hit(row)?);
            match (enough || self.tired(), Some(key) == last) {
                (_, true) => return Ok(End::Exhausted),
                (true, _) if enough => return Ok(End::Enough),
                (true, _) => return Ok(End::Tired(self.place(row)?)),
                (false, _) => {}
            }
        }
        Ok(End::Exhausted)
    }

    /// They have to be sorted, so all of them are looked at before the first is
    /// known.
    fn few_updated(
        &mut self,
        statement: &mut CachedStatement<'_>,
        keys: Vec<i64>,
        wanted: &mut dyn FnMut(Hit) -> bool,
    ) -> rusqlite::Result<End> {
        let mut hits = Vec::new();
        for key in keys {
            let mut rows = statement.query([key])?;
            let Some(row) = rows.next()? else { continue };
            let (place, after) = (self.place(row)?, self.order.after);
            let wanted = after.is_none_or(|after| match self.order.descending {
                true => place < after,
                false => place > after,
            });
            if wanted && self.matcher.matches(row)? {
                hits.push(self.hit(row)?);
            }
        }
        hits.sort_unstable_by_key(|hit| hit.place);
        if self.order.descending {
            hits.reverse();
        }
        let mut hits = hits.into_iter().peekable();
        while let Some(hit) = hits.next() {
            if !wanted(hit) && hits.peek().is_some() {
                return Ok(End::Enough);
            }
        }
        Ok(End::Exhausted)
    }

    /// Goes through what is at a place, in the order of the keys.
    fn stream(
        self,
        connection: &Connection,
        place: &Place,
        bounds: (i64, i64),
        wanted: &mut dyn FnMut(Hit) -> bool,
    ) -> rusqlite::Result<End> {
        let direction = if self.order.descending { "DESC" } else { "ASC" };
        let (sql, values) = place.stream(&self.columns(), bounds, direction);
        self.through(connection, &sql, values, wanted)
    }

    /// Goes through all instances, in the order of their last change.
    fn by_updated(
        self,
        connection: &Connection,
        wanted: &mut dyn FnMut(Hit) -> bool,
    ) -> rusqlite::Result<End> {
        let (beyond, direction, start) = match self.order.descending {
            true => ("<", "DESC", BoardPlace { at: u64::MAX, key: InstanceKey(i64::MAX) }),
            false => (">", "ASC", BoardPlace::default()),
        };
        let after = self.order.after.unwrap_or(start);
        let sql = format!(
            "SELECT {} FROM instances i INDEXED BY instances_updated
             WHERE {NO_ENTITY} AND (i.updated, i.key) {beyond} (?1, ?2)
             ORDER BY i.updated {direction}, i.key {direction}",
            self.columns()
        );
        let values = vec![saturate(after.at).into(), after.key.0.into()];
        self.through(connection, &sql, values, wanted)
    }

    fn through(
        mut self,
        connection: &Connection,
        sql: &str,
        values: Vec<Value>,
        wanted: &mut dyn FnMut(Hit) -> bool,
    ) -> rusqlite::Result<End> {
        let mut statement = connection.prepare_cached(sql)?;
        let mut rows = statement.query(params_from_iter(values))?;
        while let Some(row) = rows.next()? {
            let enough = self.matcher.matches(row)? && !wanted(self.hit(row)?);
            if !enough && !self.tired() {
                continue;
            }
            let place = self.place(row)?;
            return Ok(match (rows.next()?.is_some(), enough) {
                (false, _) => End::Exhausted,
                (true, true) => End::Enough,
                (true, false) => End::Tired(place),
            });
        }
        Ok(End::Exhausted)
    }
}

/// Whether a row that is looked at is one of those that are asked for.
struct Matcher<'f> {
    filter: &'f BoardFilter,
    /// What is searched for, in lower case.
    search: Option<Vec<u8>>,
}

impl<'f> Matcher<'f> {
    fn new(filter: &'f BoardFilter) -> Self {
        let search = filter.search.as_ref().filter(|search| !search.is_empty());
        Matcher { filter, search: search.map(|text| text.to_ascii_lowercase().into_bytes()) }
    }

    fn needs_name(&self) -> bool {
        self.filter.name.is_some() || self.search.is_some()
    }

    /// Cheap conditions come first.
    fn matches(&self, row: &Row<'_>) -> rusqlite::Result<bool> {
        let filter = self.filter;
        if filter.created_from.is_some() || filter.created_to.is_some() {
            let created: i64 = row.get(2)?;
            if filter.created_from.is_some_and(|from| created < saturate(from))
                || filter.created_to.is_some_and(|to| created > saturate(to))
            {
                return Ok(false);
            }
        }
        if !filter.statuses.is_empty() && !filter.statuses.contains(&status(row, 3)?)
            || !filter.saga.is_empty() && !filter.saga.contains(&saga(row, 4)?)
        {
            return Ok(false);
        }
        let id = row.get_ref(5)?.as_str()?;
        if id.starts_with('@') || !id.starts_with(filter.id_prefix.as_deref().unwrap_or_default()) {
            return Ok(false);
        }
        if self.needs_name() {
            let name = row.get_ref(6)?.as_str()?;
            if filter.name.as_ref().is_some_and(|wanted| wanted != name)
                || self
                    .search
                    .as_ref()
                    .is_some_and(|text| !has(id.as_bytes(), text) && !has(name.as_bytes(), text))
            {
                return Ok(false);
            }
        }
        if !filter.tags.is_empty() {
            let tags = tags(row, 7)?;
            return Ok(filter.tags.iter().all(|(word, value)| tags.get(word) == Some(value)));
        }
        Ok(true)
    }
}

/// Whether `text`, which is in lower case and not empty, stands in `whole` in
/// any case.
fn has(whole: &[u8], text: &[u8]) -> bool {
    let (first, rest) = match text.split_first() {
        Some((first, rest)) => (*first, rest),
        None => return true,
    };
    let last = whole.len().checked_sub(text.len());
    last.is_some_and(|last| {
        (0..=last).any(|at| {
            whole[at].to_ascii_lowercase() == first
                && whole[at + 1..at + text.len()].eq_ignore_ascii_case(rest)
        })
    })
}

#[cfg(test)]
mod tests;
