//! Where the rows of a query can be looked for.

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};
use sagahost_core::{RuntimeStatus, SagaState};

use crate::BoardFilter;
use crate::listing::prefix_end;
use crate::sqlite::schema::{NO_ENTITY, OFF_COURSE, OPEN, UNSUCCESSFUL};

/// A place that has all rows a query asks for, and maybe others.
#[derive(Debug, PartialEq)]
pub(super) enum Place {
    /// The index of the ids, from a prefix to its end. It is not in the order
    /// of the keys.
    Ids(String, String),
    /// The table of the tags: those of one word and value.
    Tag(String, String),
    /// The index of what is off course: these states.
    OffCourse(Vec<u8>),
    Unsuccessful,
    Open,
    Name(String),
    /// All there is.
    Table,
}

/// The places that there are for these conditions, without the table.
pub(super) fn places(filter: &BoardFilter) -> Vec<Place> {
    let mut places = Vec::new();
    if let Some(prefix) = filter.id_prefix.as_deref()
        && let Some(end) = prefix_end(prefix)
    {
        places.push(Place::Ids(prefix.to_owned(), end));
    }
    let tags = filter.tags.iter().cloned();
    places.extend(tags.map(|(word, value)| Place::Tag(word, value)));
    let strayed = [SagaState::Compensating, SagaState::Compensated, SagaState::Stuck];
    if !filter.saga.is_empty() && filter.saga.iter().all(|state| strayed.contains(state)) {
        let mut codes: Vec<u8> = filter.saga.iter().map(|state| state.code()).collect();
        codes.sort_unstable();
        codes.dedup();
        places.push(Place::OffCourse(codes));
    }
    let only = |allowed: fn(RuntimeStatus) -> bool| {
        !filter.statuses.is_empty() && filter.statuses.iter().copied().all(allowed)
    };
    if only(|status| status.is_terminal() && status != RuntimeStatus::Completed) {
        places.push(Place::Unsuccessful);
    }
    if only(|status| !status.is_terminal()) {
        places.push(Place::Open);
    }
    if let Some(name) = &filter.name {
        places.push(Place::Name(name.clone()));
    }
    places
}

impl Place {
    /// Whether its rows are in the order of the keys.
    pub(super) fn in_order(&self) -> bool {
        !matches!(self, Place::Ids(..))
    }

    /// The tables and the conditions, and the values of these from `?3` on.
    /// `?1` and `?2` are the bounds of the keys.
    fn conditions(&self) -> (String, Vec<Value>) {
        let index = |index: &str, condition: &str| {
            format!("instances i INDEXED BY {index} WHERE {condition} AND {NO_ENTITY}")
        };
        match self {
            Place::Ids(prefix, end) => (
                "instances i INDEXED BY instances_id WHERE i.id >= ?3 AND i.id < ?4".to_owned(),
                vec![prefix.clone().into(), end.clone().into()],
            ),
            Place::Tag(word, value) => (
                // The key is that of the tag, which the table has in order.
                "tags i WHERE i.word = ?3 AND i.value = ?4".to_owned(),
                vec![word.clone().into(), value.clone().into()],
            ),
            Place::OffCourse(codes) => {
                let these = match codes.as_slice() {
                    [code] => format!("i.saga = {code}"),
                    codes => {
                        let codes: Vec<String> = codes.iter().map(u8::to_string).collect();
                        format!("i.saga IN ({})", codes.join(", "))
                    }
                };
                (index("instances_off_course", &format!("{OFF_COURSE} AND {these}")), Vec::new())
            }
            Place::Unsuccessful => (index("instances_unsuccessful", UNSUCCESSFUL), Vec::new()),
            Place::Open => (index("instances_open", OPEN), Vec::new()),
            Place::Name(name) => {
                (index("instances_name", "i.name = ?3"), vec![name.clone().into()])
            }
            Place::Table => ("instances i NOT INDEXED WHERE 1".to_owned(), Vec::new()),
        }
    }

    /// How many rows there are between these keys, up to `limit`.
    pub(super) fn count(
        &self,
        connection: &Connection,
        bounds: (i64, i64),
        limit: usize,
    ) -> rusqlite::Result<usize> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let (from, values) = self.conditions();
        let sql = format!(
            "SELECT count(*) FROM (SELECT 1 FROM {from} AND i.key > ?1 AND i.key < ?2
             LIMIT {limit})"
        );
        let count: i64 = connection
            .prepare_cached(&sql)?
            .query_row(params_from_iter(bound(bounds, values)), |row| row.get(0))?;
        Ok(usize::try_from(count).unwrap_or(usize::MAX))
    }

    /// The keys of all rows between these keys.
    pub(super) fn keys(
        &self,
        connection: &Connection,
        bounds: (i64, i64),
    ) -> rusqlite::Result<Vec<i64>> {
        let (from, values) = self.conditions();
        let sql = format!("SELECT i.key FROM {from} AND i.key > ?1 AND i.key < ?2");
        connection
            .prepare_cached(&sql)?
            .query_map(params_from_iter(bound(bounds, values)), |row| row.get(0))?
            .collect()
    }

    /// The statement that goes through the rows in the order of the keys, and
    /// its values.
    pub(super) fn stream(
        &self,
        columns: &str,
        bounds: (i64, i64),
        direction: &str,
    ) -> (String, Vec<Value>) {
        let between = "i.key > ?1 AND i.key < ?2";
        let (from, values) = self.conditions();
        let sql = match self {
            Place::Tag(..) => format!(
                "SELECT {columns} FROM tags t CROSS JOIN instances i ON i.key = t.key
                 WHERE t.word = ?3 AND t.value = ?4 AND t.key > ?1 AND t.key < ?2
                 ORDER BY t.key {direction}"
            ),
            // In the index the states come one after another: of several,
            // SQLite merges what each has in the order of the keys.
            Place::OffCourse(codes) => {
                let of_each: Vec<String> = codes
                    .iter()
                    .map(|code| {
                        let (from, _) = Place::OffCourse(vec![*code]).conditions();
                        format!("SELECT {columns} FROM {from} AND {between}")
                    })
                    .collect();
                format!("{} ORDER BY 1 {direction}", of_each.join(" UNION ALL "))
            }
            _ => format!("SELECT {columns} FROM {from} AND {between} ORDER BY i.key {direction}"),
        };
        (sql, bound(bounds, values))
    }
}

fn bound((after, before): (i64, i64), values: Vec<Value>) -> Vec<Value> {
    [after.into(), before.into()].into_iter().chain(values).collect()
}
