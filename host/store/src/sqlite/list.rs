//! Listing.
//!
//! Pages come in the order of the keys and go on after a key, so reading all
//! pages looks at each row once; no page sorts or counts what is before or
//! after it. What differs is how much can be skipped:
//!
//! - a prefix that few instances have: only those are looked at;
//! - entities: they have an index in key order, and so few are looked at where
//!   there are few;
//! - only sagas that are compensating, compensated or stuck, or some of these:
//!   they have an index, in which those of one state are in key order;
//! - only open or only unsuccessful ones: those have indexes in key order;
//! - a range of times: zones that cannot have any are skipped;
//! - else every row is looked at until the page is full.

use rusqlite::{Connection, OptionalExtension as _, ToSql, params};
use sagahost_core::{RuntimeStatus, SagaState};

use super::read::{COLUMNS, instance};
use super::schema::{ENTITY, NO_ENTITY, OFF_COURSE, OPEN, UNSUCCESSFUL, ZONE_BITS};
use crate::listing::{fill_page, page_size, prefix_end};
use crate::store::saturate;
use crate::{ListKind, ListQuery, Page};

/// How many instances may have an id prefix for the index of the ids to be
/// used: they have to be sorted for every page.
const FEW: usize = 2_000;

/// What all listings filter by; each says besides where to look, and whether
/// for entities. `?2` to `?11`: created from and to, a bit for each status and
/// one for each saga state, the orchestrator, the id prefix and its end, last
/// changed from and to, and the tags: NULL, or a JSON array of pairs.
const FILTER: &str = "i.created >= ?2 AND i.created <= ?3
    AND ((?4 >> i.status) & 1) AND ((?5 >> i.saga) & 1)
    AND (?6 IS NULL OR i.name = ?6) AND i.id >= ?7 AND (?8 IS NULL OR i.id < ?8)
    AND i.updated >= ?9 AND i.updated <= ?10
    AND (?11 IS NULL OR i.tags IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM json_each(?11) w WHERE NOT EXISTS (
            SELECT 1 FROM json_each(i.tags) t
            WHERE t.key = w.value ->> 0 AND t.value = w.value ->> 1)))";

/// The saga states of [`OFF_COURSE`].
const STRAYED: [SagaState; 3] = [SagaState::Compensating, SagaState::Compensated, SagaState::Stuck];

/// A page of a listing.
pub(super) fn list(connection: &Connection, query: &ListQuery) -> rusqlite::Result<Page> {
    let after = query.after.unwrap_or_default().0;
    let limit = page_size(query);
    let prefix = query.id_prefix.as_deref().unwrap_or_default();
    let entities = query.kind == ListKind::Entities;
    if !prefix.is_empty() && prefix.starts_with('@') != entities {
        return Ok(Page::default());
    }
    let end = prefix_end(prefix);
    let from = query.created_from.map_or(0, saturate);
    let to = query.created_to.map_or(i64::MAX, saturate);
    let updated_from = query.updated_from.map_or(0, saturate);
    let updated_to = query.updated_to.map_or(i64::MAX, saturate);
    let (statuses, sagas) = masks(query);
    let tags = match query.tags.as_slice() {
        [] => None,
        tags => Some(
            serde_json::to_string(tags)
                .map_err(|e| rusqlite::Error::ToSqlConversionFailure(e.into()))?,
        ),
    };
    let filter: [&dyn ToSql; 11] = [
        &query.with_input,
        &from,
        &to,
        &statuses,
        &sagas,
        &query.name,
        &prefix,
        &end,
        &updated_from,
        &updated_to,
        &tags,
    ];

    if let Some(end) = &end
        && let Some(keys) = few(connection, prefix, end, after)?
    {
        // Of the right kind they are: their prefix is.
        let sql = format!("SELECT {COLUMNS} FROM instances i WHERE i.key = ?12 AND {FILTER}");
        let mut statement = connection.prepare_cached(&sql)?;
        let rows = keys.into_iter().filter_map(|key| {
            let mut values = filter.to_vec();
            values.push(&key);
            statement.query_row(values.as_slice(), instance).optional().transpose()
        });
        return fill_page(rows, limit);
    }
    let mut statement = connection.prepare_cached(&select(query))?;
    let mut values = filter.to_vec();
    let rows = limit as i64 + 1;
    values.extend([&after as &dyn ToSql, &rows]);
    let rows = statement.query_map(values.as_slice(), instance)?;
    fill_page(rows, limit)
}

/// The statement for a query: where it looks.
fn select(query: &ListQuery) -> String {
    if query.kind == ListKind::Entities {
        return format!(
            "SELECT {COLUMNS} FROM instances i INDEXED BY instances_entities
             WHERE {ENTITY} AND i.key > ?12 AND {FILTER} ORDER BY i.key LIMIT ?13"
        );
    }
    let (statuses, sagas) = masks(query);
    if sagas & !mask(STRAYED.map(SagaState::code)) == 0 {
        // In the index the states come one after another: of several, SQLite
        // merges what each has in the order of the keys.
        let of_each =
            STRAYED.into_iter().map(SagaState::code).filter(|code| sagas & bit(*code) != 0);
        let selects: Vec<String> = of_each
            .map(|code| {
                format!(
                    "SELECT {COLUMNS} FROM instances i INDEXED BY instances_off_course
                     WHERE {OFF_COURSE} AND {NO_ENTITY} AND i.saga = {code}
                     AND i.key > ?12 AND {FILTER}"
                )
            })
            .collect();
        return format!("{} ORDER BY 1 LIMIT ?13", selects.join(" UNION ALL "));
    }
    let within = |allowed: &dyn Fn(RuntimeStatus) -> bool| {
        RuntimeStatus::ALL
            .into_iter()
            .all(|status| allowed(status) || statuses & bit(status.code()) == 0)
    };
    let (place, order) = if within(&|status| !status.is_terminal()) {
        let place = format!("instances i INDEXED BY instances_open WHERE {OPEN} AND i.key > ?12");
        (place, "i.key")
    } else if within(&|status| status.is_terminal() && status != RuntimeStatus::Completed) {
        let index = "instances_unsuccessful";
        let place = format!("instances i INDEXED BY {index} WHERE {UNSUCCESSFUL} AND i.key > ?12");
        (place, "i.key")
    } else if query.created_from.is_some() || query.created_to.is_some() {
        // The lower bound of the key is one expression: of two, SQLite might
        // take the one that begins each zone after the last page.
        let place = format!(
            "zones z CROSS JOIN instances i NOT INDEXED
             WHERE z.zone >= (?12 >> {ZONE_BITS}) AND z.latest >= ?2 AND z.earliest <= ?3
             AND i.key >= max(z.zone << {ZONE_BITS}, ?12 + 1)
             AND i.key < (z.zone + 1) << {ZONE_BITS}"
        );
        (place, "z.zone, i.key")
    } else {
        ("instances i NOT INDEXED WHERE i.key > ?12".to_owned(), "i.key")
    };
    format!("SELECT {COLUMNS} FROM {place} AND {NO_ENTITY} AND {FILTER} ORDER BY {order} LIMIT ?13")
}

/// The keys of the instances with this prefix, sorted, if they are few.
fn few(
    connection: &Connection,
    prefix: &str,
    end: &str,
    after: i64,
) -> rusqlite::Result<Option<Vec<i64>>> {
    let mut keys = connection
        .prepare_cached(
            "SELECT key FROM instances INDEXED BY instances_id
             WHERE id >= ?1 AND id < ?2 LIMIT ?3",
        )?
        .query_map(params![prefix, end, FEW as i64 + 1], |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<i64>>>()?;
    if keys.len() > FEW {
        return Ok(None);
    }
    keys.retain(|key| *key > after);
    keys.sort_unstable();
    Ok(Some(keys))
}

/// A bit for each status and one for each saga state that is asked for. Where
/// none is named, all are.
fn masks(query: &ListQuery) -> (i64, i64) {
    let statuses = match query.statuses.as_slice() {
        [] => &RuntimeStatus::ALL,
        named => named,
    };
    let sagas = match query.saga.as_slice() {
        [] => &SagaState::ALL,
        named => named,
    };
    (mask(statuses.iter().map(|s| s.code())), mask(sagas.iter().map(|s| s.code())))
}

fn mask(codes: impl IntoIterator<Item = u8>) -> i64 {
    codes.into_iter().fold(0, |mask, code| mask | bit(code))
}

fn bit(code: u8) -> i64 {
    1 << code
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::InstanceKey;
    use crate::sqlite::schema;
    use rusqlite::StatementStatus::VmStep;

    const ROWS: i64 = 40 << ZONE_BITS;

    /// Forty zones of instances, created a second apart; one in a thousand is
    /// open, one in a thousand failed, and the rest completed. One in a thousand
    /// is compensating, one compensated and one stuck, and the rest committed.
    /// One in a thousand is an entity.
    fn store() -> Connection {
        let mut connection = Connection::open_in_memory().expect("SQLite opens");
        schema::migrate(&mut connection).expect("the schema is SQL");
        connection
            .execute(
                "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?1)
                 INSERT INTO instances SELECT n, 0,
                    CASE n % 1000 WHEN 0 THEN 1 WHEN 1 THEN 4 ELSE 2 END,
                    n * 1000, 0, NULL, 0, 0,
                    CASE n % 1000 WHEN 2 THEN 3 WHEN 3 THEN 4 WHEN 4 THEN 5 ELSE 6 END,
                    3, 1, CASE n % 1000 WHEN 5 THEN '@e@' ELSE 'id' END || n, 'f',
                    json_object('n', 't' || (n % 500)), NULL, NULL, NULL, '{}' FROM n",
                [ROWS],
            )
            .expect("rows are inserted");
        connection
            .execute_batch(&format!(
                "INSERT INTO zones SELECT key >> {ZONE_BITS}, min(created), max(created)
                 FROM instances GROUP BY 1"
            ))
            .expect("zones are inserted");
        connection
    }

    /// The steps of SQLite's machine to read all pages of a query.
    fn steps(connection: &Connection, mut query: ListQuery) -> i64 {
        let sql = select(&query);
        let count = |reset| {
            let statement = connection.prepare_cached(&sql).expect("it is SQL");
            match reset {
                true => statement.reset_status(VmStep),
                false => statement.get_status(VmStep),
            }
        };
        count(true);
        loop {
            let page = list(connection, &query).expect("the page is read");
            let Some(next) = page.next else { break };
            query.after = Some(next);
        }
        i64::from(count(false))
    }

    fn query(statuses: &[RuntimeStatus]) -> ListQuery {
        ListQuery { statuses: statuses.to_vec(), limit: 20, ..ListQuery::default() }
    }

    fn in_state(saga: &[SagaState]) -> ListQuery {
        ListQuery { saga: saga.to_vec(), ..query(&[]) }
    }

    fn entities() -> ListQuery {
        ListQuery { kind: ListKind::Entities, ..query(&[]) }
    }

    #[test]
    fn a_listing_looks_at_no_more_than_it_must() {
        let connection = store();
        let all = steps(&connection, ListQuery { limit: 1000, ..query(&[]) });
        // Some thirty steps to read a row, and a few more for each page.
        assert!(all < 60 * ROWS, "{all}");

        // An index, and forty rows in two pages.
        for status in [RuntimeStatus::Running, RuntimeStatus::Failed] {
            let some = steps(&connection, query(&[status]));
            assert!(some < 60 * ROWS / 1000 + 1_000, "{status}: {some}");
        }
        // The same for those off course, of one state or of several.
        for saga in [&STRAYED[..1], &STRAYED[1..2], &STRAYED[2..], &STRAYED[..]] {
            let share = saga.len() as i64;
            let some = steps(&connection, in_state(saga));
            assert!(some < share * (60 * ROWS / 1000 + 1_000), "{saga:?}: {some}");
            let some = steps(&connection, ListQuery { created_to: Some(0), ..in_state(saga) });
            assert!(some < share * (60 * ROWS / 1000), "{saga:?}: {some}");
        }
        // The same for entities, with and without a prefix.
        for prefix in [None, Some("@"), Some("@e@"), Some("@none@"), Some("id")] {
            let id_prefix = prefix.map(str::to_owned);
            let some = steps(&connection, ListQuery { id_prefix, ..entities() });
            assert!(some < 60 * ROWS / 1000 + 1_000, "{prefix:?}: {some}");
        }
        // Instances that only entities could be.
        let none = ListQuery { id_prefix: Some("@e@".to_owned()), ..query(&[]) };
        assert_eq!(steps(&connection, none), 0);
        // Ten rows in the last zone, in the first, or across two.
        for first in [ROWS - 100, 100, (20 << ZONE_BITS) - 5] {
            let times = ListQuery {
                created_from: Some(first.unsigned_abs() * 1000),
                created_to: Some((first.unsigned_abs() + 9) * 1000),
                ..query(&[])
            };
            let some = steps(&connection, times);
            assert!(some < 2 * 20 * (1 << ZONE_BITS), "from {first}: {some}");
        }
        // Half of all, in many pages: each row is looked at once.
        let half = steps(
            &connection,
            ListQuery { created_from: Some(ROWS.unsigned_abs() * 500), ..query(&[]) },
        );
        assert!(half < all, "{half} of {all}");
    }

    #[test]
    fn no_listing_sorts() {
        let connection = store();
        for query in [
            query(&[]),
            query(&[RuntimeStatus::Running]),
            query(&[RuntimeStatus::Failed, RuntimeStatus::Canceled]),
            in_state(&STRAYED[2..]),
            in_state(&STRAYED[..2]),
            in_state(&STRAYED),
            in_state(&[SagaState::Stuck, SagaState::Armed]),
            entities(),
            ListQuery { tags: vec![("n".to_owned(), "t7".to_owned())], ..query(&[]) },
            ListQuery { created_to: Some(7), after: Some(InstanceKey(3)), ..query(&[]) },
        ] {
            let sql = format!("EXPLAIN QUERY PLAN {}", select(&query));
            let mut statement = connection.prepare(&sql).expect("it is SQL");
            let mut rows = statement
                .query(params![1, 0, 0, 0, 0, "", "", "", 0, 0, "[]", 0, 0])
                .expect("it can be explained");
            while let Some(row) = rows.next().expect("it can be read") {
                let step: String = row.get(3).expect("it is text");
                assert!(!step.contains("TEMP B-TREE"), "{step}\n{sql}");
            }
        }
    }
}
