use sagahost_store::memory::MemoryStore;
use sagahost_store::{
    BoardPlace, BoardSort, InstanceKey, MAX_PAGE, NewInstance, Store, Summary, Write,
};
use serde_json::{Value, json};

use super::*;

fn refused<T: std::fmt::Debug>(result: Result<T, ApiError>) -> String {
    let error = result.expect_err("refused");
    assert_eq!(error.status(), 400);
    format!("{error:?}")
}

fn listing(text: &str) -> Result<Listing, ApiError> {
    asked::listing(&Query::parse(Some(text)), WORK)
}

#[test]
fn a_list_is_read_from_its_query() {
    let all = "search=Ord&status=running,Failed&saga=stuck&name=A&idPrefix=o-&tag=shop:7\
               &tag=n:1&from=5&to=9&sort=updated&order=ASC&top=5000";
    let query = listing(all).expect("a list").query;
    assert_eq!(query.filter.search.as_deref(), Some("Ord"));
    assert_eq!(query.filter.statuses, [RuntimeStatus::Running, RuntimeStatus::Failed]);
    assert_eq!(query.filter.saga, [SagaState::Stuck]);
    assert_eq!(query.filter.tags.len(), 2);
    assert_eq!((query.filter.created_from, query.filter.created_to), (Some(5), Some(9)));
    assert_eq!((query.sort, query.descending), (BoardSort::Updated, false));
    assert_eq!((query.limit, query.after), (MAX_PAGE, None));
    let none = listing("search=&status=&sort=&order=&token=").expect("a list").query;
    assert_eq!(none.filter, Default::default());
    assert_eq!((none.sort, none.descending, none.limit), (BoardSort::Created, true, 100));
}

#[test]
fn what_cannot_be_read_is_refused_with_what_would_do() {
    for (text, said) in [
        ("sort=name", "created or updated"),
        ("order=up", "desc or asc"),
        ("top=0", "at least 1"),
        ("top=-1", "whole number"),
        ("from=yesterday", "whole number"),
        ("status=Done", "Completed"),
        ("saga=broken", "past-pivot"),
        ("tag=x", "tag=word:value"),
        ("token=x", "leave it out"),
    ] {
        let refused = refused(listing(text));
        assert!(refused.contains(said), "{text}: {refused}");
    }
    let buckets = asked::counting(&Query::parse(Some("buckets=0")));
    assert!(refused(buckets).contains("at least 1"));
}

#[test]
fn a_token_is_good_for_its_own_list() {
    let Listing { filters, .. } = listing("name=A&sort=updated").expect("a list");
    let place = BoardPlace { at: 77, key: InstanceKey(3) };
    let token = asked::page_token(place, &filters);
    let with = |text: &str| listing(&format!("{text}&token={token}"));
    let goes_on = with("name=A&sort=updated&top=3").expect("another size is the same list");
    assert_eq!(goes_on.query.after, Some(place));
    for other in ["name=B&sort=updated", "name=A", "name=A&sort=updated&order=asc", "search=A"] {
        assert!(refused(with(other)).contains("'token'"), "{other}");
    }
    let histogram = asked::counting(&Query::parse(Some(&format!("name=A&token={token}"))));
    assert!(refused(histogram).contains("'token'"));
}

#[test]
fn intervals_are_as_many_as_were_asked_for_at_most() {
    let resolved = |text: &str, kept| {
        let asked = asked::counting(&Query::parse(Some(text))).expect("a histogram");
        let (span, before) = asked.resolved(kept);
        assert_eq!(before, None);
        (span.from, span.to, span.width, span.buckets())
    };
    assert_eq!(resolved("from=100&to=159&buckets=6", None), (100, 159, 10, 6));
    assert_eq!(resolved("from=100&to=160&buckets=6", None), (100, 160, 11, 6));
    assert_eq!(resolved("from=100&to=102&buckets=60", None), (100, 102, 1, 3));
    assert_eq!(resolved("from=9&to=3", None).3, 0);
    assert_eq!(resolved("", None).3, 0);
    assert_eq!(resolved("buckets=2", Some((10, 29))), (10, 29, 10, 2));
    assert_eq!(resolved("from=20&buckets=2", Some((10, 29))), (20, 29, 5, 2));
    let (from, to, width, buckets) = resolved("to=18446744073709551615", Some((0, 5)));
    assert_eq!((from, to, buckets), (0, i64::MAX as u64, 60));
    assert!(width > to / 61);
    let whole = "from=0&to=9&buckets=99999";
    assert_eq!(resolved(whole, None).3, 10);
}

#[test]
fn a_histogram_goes_on_with_the_same_intervals() {
    let read = |token: &str| {
        asked::counting(&Query::parse(Some(&format!("search=x&buckets=5&token={token}"))))
    };
    let asked = read("").expect("a histogram");
    let (span, _) = asked.resolved(Some((10, 59)));
    let token = asked.token(InstanceKey(9), span);
    let goes_on = read(&token).expect("its own");
    assert!(!goes_on.needs_span());
    assert_eq!(goes_on.resolved(None), (span, Some(InstanceKey(9))));
}

fn store() -> MemoryStore {
    let store = MemoryStore::new();
    let owner = store.claim().expect("a store");
    for (id, saga, blocked) in [("a", SagaState::Stuck, false), ("b", SagaState::None, true)] {
        let summary = Summary {
            status: RuntimeStatus::Running,
            custom_status: (id == "a").then(|| Json::parse("{\"x\": 1.0}").expect("JSON")),
            output: None,
            updated: 20,
            wake_at: None,
            busy: false,
            blocked,
            events: 3,
            saga,
            stuck: None,
        };
        let new = NewInstance {
            id: id.to_owned(),
            name: "Saga".to_owned(),
            input: Json::null(),
            created: 10,
            tags: Tags::from([("shop".to_owned(), id.to_owned())]),
        };
        let write = Write::Create { new, chunk: vec![b'0'], summary };
        assert!(store.commit(owner, &[write]).expect("a commit")[0].is_ok());
    }
    store
}

#[test]
fn a_page_has_the_keys_that_are_documented() {
    let Listing { query, filters } = listing("order=asc").expect("a list");
    let page = store().board(&query).expect("a page");
    let told = serde_json::to_value(told(&page, &filters)).expect("JSON");
    let expected = json!({
        "instances": [
            {"id": "a", "name": "Saga", "runtimeStatus": "Running", "sagaState": "stuck",
             "created": 10, "updated": 20, "customStatus": {"x": 1.0}, "tags": {"shop": "a"},
             "stuck": true, "events": 3},
            {"id": "b", "name": "Saga", "runtimeStatus": "Running", "sagaState": "none",
             "created": 10, "updated": 20, "tags": {"shop": "b"}, "blocked": true, "events": 3},
        ],
        "next": null,
        "complete": true,
    });
    assert_eq!(told, expected);
}

#[test]
fn intervals_show_the_statuses_they_have() {
    let mut some = StatusCounts::default();
    some[usize::from(RuntimeStatus::Failed.code())] = 2;
    let span = Span { from: 100, to: 119, width: 10 };
    let told = counted(span, &[StatusCounts::default(), some], None);
    let told: Value = serde_json::to_value(told).expect("JSON");
    assert_eq!(
        told,
        json!({"from": 100, "to": 119, "widthMs": 10, "next": null, "complete": true, "buckets": [
            {"at": 100, "counts": {}}, {"at": 110, "counts": {"Failed": 2}}]})
    );
}
