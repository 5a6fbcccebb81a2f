use rusqlite::StatementStatus::VmStep;
use rusqlite::params;
use sagahost_core::SagaState;

use super::*;
use crate::sqlite::schema;

/// More than [`MANY`] of most kinds.
const ROWS: i64 = 100_000;

/// Instances created a second apart. One in ten failed, one in ten runs, and one
/// in twenty is compensating, compensated or stuck; one in a hundred has another
/// name, and one in five hundred a tag that few have. One in ten is an entity.
fn store() -> Connection {
    let mut connection = Connection::open_in_memory().expect("SQLite opens");
    schema::migrate(&mut connection).expect("the schema is SQL");
    connection
        .execute(
            "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?1)
             INSERT INTO instances SELECT n, 0,
                CASE n % 10 WHEN 0 THEN 1 WHEN 1 THEN 4 ELSE 2 END,
                n * 1000, (n * 7919 % ?1) * 1000, NULL, 0, 0,
                CASE n % 20 WHEN 2 THEN 3 WHEN 3 THEN 4 WHEN 4 THEN 5 ELSE 6 END,
                3, 1, CASE n % 10 WHEN 5 THEN '@e@' WHEN 6 THEN 'Six-' ELSE 'id-' END || n,
                CASE n % 100 WHEN 7 THEN 'Rare' ELSE 'Often' END,
                CASE WHEN n % 10 = 9 THEN json_object('all', 'a', 'few', 'f' || (n % 500)) END,
                NULL, NULL, NULL, '{}' FROM n",
            [ROWS],
        )
        .expect("rows are inserted");
    connection
        .execute_batch(&format!(
            "INSERT INTO tags SELECT t.key, t.value, i.key FROM instances i, json_each(i.tags) t;
             INSERT INTO zones SELECT key >> {ZONE_BITS}, min(created), max(created)
             FROM instances GROUP BY 1;"
        ))
        .expect("it is SQL");
    connection
}

fn query(filter: BoardFilter) -> BoardQuery {
    let sort = BoardSort::Created;
    BoardQuery { filter, sort, descending: true, limit: 100, after: None, work: Work::ANY }
}

fn named(name: &str) -> BoardFilter {
    BoardFilter { name: Some(name.to_owned()), ..BoardFilter::default() }
}

fn tagged(word: &str, value: &str) -> BoardFilter {
    BoardFilter { tags: vec![(word.to_owned(), value.to_owned())], ..BoardFilter::default() }
}

fn in_state(saga: &[SagaState]) -> BoardFilter {
    BoardFilter { saga: saga.to_vec(), ..BoardFilter::default() }
}

fn of_status(status: RuntimeStatus) -> BoardFilter {
    BoardFilter { statuses: vec![status], ..BoardFilter::default() }
}

/// The place that a query is looked up in, and how many rows it has.
fn found(connection: &Connection, filter: &BoardFilter) -> Option<(Place, usize)> {
    let bounds = bounds(connection, filter).expect("it can be read")?;
    best(connection, filter, bounds, BoardSort::Created).expect("it can be read")
}

#[test]
fn the_place_with_fewest_rows_is_taken() {
    let connection = store();
    let often = || named("Often");
    let failed = vec![RuntimeStatus::Failed];
    let (stuck, strayed) = ([SagaState::Stuck], [SagaState::Stuck, SagaState::Compensated]);
    for (filter, expected) in [
        (BoardFilter::default(), None),
        (of_status(RuntimeStatus::Completed), None),
        (named("Rare"), Some((Place::Name("Rare".into()), 1_000))),
        (named("None"), Some((Place::Name("None".into()), 0))),
        (often(), Some((Place::Name("Often".into()), usize::MAX))),
        (BoardFilter { statuses: failed.clone(), ..often() }, Some((Place::Unsuccessful, 10_000))),
        (
            BoardFilter { statuses: failed, ..named("Rare") },
            Some((Place::Name("Rare".into()), 1_000)),
        ),
        (of_status(RuntimeStatus::Running), Some((Place::Open, 10_000))),
        (tagged("all", "a"), Some((Place::Tag("all".into(), "a".into()), 10_000))),
        (tagged("few", "f9"), Some((Place::Tag("few".into(), "f9".into()), 200))),
        (in_state(&stuck), Some((Place::OffCourse(vec![5]), 5_000))),
        (in_state(&strayed), Some((Place::OffCourse(vec![4, 5]), 10_000))),
        (in_state(&[SagaState::Stuck, SagaState::Armed]), None),
        (
            BoardFilter { id_prefix: Some("id-9999".into()), ..often() },
            Some((Place::Ids("id-9999".into(), "id-999:".into()), 9)),
        ),
        (
            BoardFilter { id_prefix: Some("Six-".into()), ..often() },
            Some((Place::Ids("Six-".into(), "Six.".into()), 10_000)),
        ),
        // The zones leave few of the rows of a place.
        (
            BoardFilter { created_from: Some(90_000_000), created_to: Some(90_100_000), ..often() },
            Some((Place::Name("Often".into()), 3_646)),
        ),
    ] {
        assert_eq!(found(&connection, &filter), expected, "{filter:?}");
    }
}

#[test]
fn what_is_in_no_order_is_sorted_where_it_is_not_too_much() {
    let connection = store();
    let prefixed = |prefix: &str| {
        let filter = BoardFilter { id_prefix: Some(prefix.into()), ..BoardFilter::default() };
        [BoardSort::Created, BoardSort::Updated].map(|sort| {
            let best = best(&connection, &filter, (0, i64::MAX), sort).expect("it can be read");
            best.map(|(_, count)| count)
        })
    };
    assert_eq!(prefixed("id-"), [Some(80_000), None]);
    assert_eq!(prefixed("id-99"), [Some(889), Some(889)]);
    connection
        .execute_batch(
            "INSERT INTO instances SELECT key + 100000, partition, status, created, updated,
                wake_at, busy, blocked, saga, events, chunks, id || 'x', name, tags, stuck,
                custom_status, output, input FROM instances",
        )
        .expect("it is SQL");
    assert_eq!(prefixed("id-"), [None, None]);
}

/// The rows of a page in the order of creation, and how many steps SQLite made
/// for going through what is at the best place.
fn steps(connection: &Connection, query: &BoardQuery) -> (usize, i32) {
    connection.flush_prepared_statement_cache();
    let filter = &query.filter;
    let place = found(connection, filter).map_or(Place::Table, |(place, _)| place);
    let order = Order { sort: query.sort, descending: query.descending, after: query.after };
    let matcher = Matcher::new(filter);
    let walk = Walk { matcher, order, work: query.work, begun: Instant::now(), looked: 0 };
    let (sql, _) = place.stream(&walk.columns(), (0, i64::MAX), "DESC");
    let rows = page(connection, query).expect("a page").rows.len();
    // The statement that the page was read with is in the cache.
    let steps = connection.prepare_cached(&sql).expect("it is SQL").get_status(VmStep);
    assert!(steps > 100, "{place:?} is not where it was looked: {steps}");
    (rows, steps)
}

#[test]
fn no_statement_sorts_or_leaves_its_index() {
    let connection = store();
    let bounds = (0, i64::MAX);
    let filters = [
        BoardFilter::default(),
        BoardFilter { id_prefix: Some("id-9999".into()), ..BoardFilter::default() },
        named("Often"),
        tagged("all", "a"),
        in_state(&[SagaState::Stuck]),
        in_state(&[SagaState::Stuck, SagaState::Compensating, SagaState::Compensated]),
        of_status(RuntimeStatus::Failed),
        of_status(RuntimeStatus::Suspended),
    ];
    for filter in filters {
        let mut places = places(&filter);
        places.push(Place::Table);
        for place in places {
            for direction in ["ASC", "DESC"] {
                if place.in_order() {
                    let (sql, values) = place.stream(LOOK, bounds, direction);
                    explained(&connection, &sql, values);
                }
            }
            assert!(place.count(&connection, bounds, 10).expect("a count") <= 10);
            let keys = place.keys(&connection, (5, 50)).expect("keys");
            assert!(keys.iter().all(|key| (6..50).contains(key)), "{place:?}: {keys:?}");
        }
    }
    for (beyond, direction) in [("<", "DESC"), (">", "ASC")] {
        let sql = format!(
            "SELECT i.key FROM instances i INDEXED BY instances_updated
             WHERE {NO_ENTITY} AND (i.updated, i.key) {beyond} (?1, ?2)
             ORDER BY i.updated {direction}, i.key {direction}"
        );
        let plan = explained(&connection, &sql, vec![0.into(), 0.into()]);
        assert!(plan.contains("instances_updated (updated"), "{plan}");
    }
}

fn explained(connection: &Connection, sql: &str, values: Vec<Value>) -> String {
    let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).expect("SQL");
    let steps = statement.query_map(params_from_iter(values), |row| row.get::<_, String>(3));
    let plan: Vec<String> = steps.expect("a plan").collect::<Result<_, _>>().expect("texts");
    let plan = plan.join("\n");
    assert!(!plan.contains("TEMP B-TREE"), "{plan}\n{sql}");
    plan
}

#[test]
fn work_has_a_limit_and_goes_on_where_it_ended() {
    let connection = store();
    let none = BoardFilter { search: Some("nowhere".into()), ..BoardFilter::default() };
    for sort in [BoardSort::Created, BoardSort::Updated] {
        for descending in [false, true] {
            let work = Work { rows: 9_000, ..Work::ANY };
            let mut query = BoardQuery { sort, descending, work, ..query(none.clone()) };
            let mut calls = 0;
            loop {
                let page = page(&connection, &query).expect("a page");
                assert!(page.rows.is_empty());
                assert_eq!(page.complete, page.next.is_none());
                calls += 1;
                if page.complete {
                    break;
                }
                query.after = page.next;
            }
            // By the table, entities are looked at as well.
            let expected = if sort == BoardSort::Created { 12 } else { 10 };
            assert_eq!(calls, expected, "{sort:?} {descending}");
        }
    }
    let no_time = Work { time: std::time::Duration::ZERO, ..Work::ANY };
    let tired = page(&connection, &BoardQuery { work: no_time, ..query(none) }).expect("a page");
    assert_eq!(
        tired.next,
        Some(BoardPlace { at: 0, key: InstanceKey(ROWS - i64::from(TICK) + 1) })
    );
}

#[test]
fn a_page_costs_what_is_on_it() {
    let connection = store();
    let all = connection
        .query_row("SELECT count(*) FROM instances", params![], |row| row.get::<_, i64>(0))
        .expect("a count");
    assert_eq!(all, ROWS);
    for filter in [
        BoardFilter::default(),
        named("Often"),
        tagged("all", "a"),
        in_state(&[SagaState::Stuck]),
        in_state(&[SagaState::Stuck, SagaState::Compensating]),
        of_status(RuntimeStatus::Running),
        of_status(RuntimeStatus::Failed),
    ] {
        let (rows, steps) = steps(&connection, &query(filter.clone()));
        assert_eq!(rows, 100, "{filter:?}");
        assert!(steps < 10_000, "{filter:?}: {steps}");
    }
}

#[test]
fn a_text_is_found_in_any_case() {
    for (whole, text, expected) in [
        ("OrderSaga", "saga", true),
        ("OrderSaga", "ordersaga", true),
        ("OrderSaga", "ordersagas", false),
        ("aab", "ab", true),
        ("", "a", false),
        ("a", "", true),
        ("Ärger", "\u{e4}rger", false),
        ("Ärger", "Ärger", true),
    ] {
        let text = text.to_ascii_lowercase();
        assert_eq!(has(whole.as_bytes(), text.as_bytes()), expected, "{whole} {text}");
    }
}
