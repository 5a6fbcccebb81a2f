//! Tags of instances, and notes of the host.

use sagahost_core::RuntimeStatus::*;
use sagahost_store::*;

use crate::common::*;

on_every_store! {
    tags_are_kept_as_long_as_the_instance
    instances_are_listed_by_their_tags
    tags_of_any_characters_are_found
    tags_count_for_the_size_of_a_page
    notes_are_kept_changed_and_removed
}

fn create_with<const N: usize>(id: &str, of: [(&str, &str); N]) -> Write {
    let new = NewInstance { tags: tags(of), ..new(id, 1) };
    Write::Create { new, chunk: vec![b'0'], summary: summary(Running) }
}

fn listed(store: &dyn Store, of: &[(&str, &str)]) -> String {
    let tags = of.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    ids(&all_pages(store, &ListQuery { tags, limit: 2, ..ListQuery::default() })).join(" ")
}

fn tags_are_kept_as_long_as_the_instance(store: &dyn Store) {
    let owner = store.claim().unwrap();
    let key = created(store, owner, create_with("a", [("shop", "berlin"), ("customer", "c-1")]));
    let plain = created(store, owner, create("b"));
    let seen = |key| store.get(key).unwrap().unwrap().tags;
    let expected = tags([("customer", "c-1"), ("shop", "berlin")]);
    assert_eq!(seen(key), expected);
    assert!(seen(plain).is_empty());
    commit(store, owner, append(key, 1, Running)).unwrap();
    commit(store, owner, replace(key, 2, Running)).unwrap();
    commit(store, owner, append(key, 1, Completed)).unwrap();
    assert_eq!(seen(key), expected);
    assert_eq!(store.list(&ListQuery::default()).unwrap().rows[0].tags, expected);
    // A new instance of the same id has nothing of the one before.
    let key = created(store, owner, create_with("a", [("shop", "bonn")]));
    assert_eq!(seen(key), tags([("shop", "bonn")]));
    commit(store, owner, append(key, 1, Completed)).unwrap();
    let key = created(store, owner, create("a"));
    assert!(seen(key).is_empty());
}

fn instances_are_listed_by_their_tags(store: &dyn Store) {
    let owner = store.claim().unwrap();
    created(store, owner, create_with("a", [("shop", "berlin"), ("customer", "c-1")]));
    created(store, owner, create_with("b", [("shop", "berlin")]));
    created(store, owner, create("c"));
    created(store, owner, create_with("d", [("shop", "berlin"), ("customer", "c-2")]));
    created(store, owner, create_with("e", [("customer", "c-1"), ("z", "")]));
    created(store, owner, create_with("@e@1", [("shop", "berlin")]));
    for (of, expected) in [
        (&[("shop", "berlin")][..], "a b d"),
        (&[("customer", "c-1")], "a e"),
        (&[("customer", "c-1"), ("shop", "berlin")], "a"),
        (&[("shop", "berlin"), ("shop", "berlin")], "a b d"),
        (&[("shop", "berlin"), ("shop", "bonn")], ""),
        (&[("z", "")], "e"),
        // Names and values are compared whole, and with regard to case.
        (&[("shop", "berli")], ""),
        (&[("shop", "Berlin")], ""),
        (&[("Shop", "berlin")], ""),
        (&[("berlin", "shop")], ""),
        (&[("", "")], ""),
        (&[], "a b c d e"),
    ] {
        assert_eq!(listed(store, of), expected, "{of:?}");
    }
}

fn tags_of_any_characters_are_found(store: &dyn Store) {
    let owner = store.claim().unwrap();
    let texts = [
        "", " ", "\"", "\\", "\\\"", ",\":\"", "\u{0}", "\u{0}a", "\n", "é", "e\u{301}", "😀", "1",
        "01", "1.0", "null", "true", "[]", "{}", "$.a", "a.b", "a", "'", "%", "\u{7f}", "\u{ffff}",
    ];
    for (n, name) in texts.into_iter().enumerate() {
        for (m, value) in texts.into_iter().enumerate() {
            created(store, owner, create_with(&format!("{n}-{m}"), [(name, value)]));
        }
    }
    for (n, name) in texts.into_iter().enumerate() {
        for (m, value) in texts.into_iter().enumerate() {
            assert_eq!(listed(store, &[(name, value)]), format!("{n}-{m}"), "{name:?}: {value:?}");
        }
    }
}

fn tags_count_for_the_size_of_a_page(store: &dyn Store) {
    let owner = store.claim().unwrap();
    let fit = MAX_PAGE_BYTES / MAX_TAGS_BYTES;
    let large = "x".repeat(MAX_TAGS_BYTES - 1);
    let batch: Vec<Write> =
        (0..fit + 2).map(|n| create_with(&format!("i{n}"), [("t", &large)])).collect();
    assert!(store.commit(owner, &batch).unwrap().iter().all(Result::is_ok));
    let page = store.list(&ListQuery::default()).unwrap();
    assert_eq!(page.rows.len(), fit);
    assert_eq!(all_pages(store, &ListQuery::default()).len(), fit + 2);
}

fn notes_are_kept_changed_and_removed(store: &dyn Store) {
    let owner = store.claim().unwrap();
    let set = |name, value| commit(store, owner, set_note(name, value));
    let note = |name| store.note(name).unwrap();
    assert_eq!(note("cron"), None);
    assert_eq!(set("cron", None), Ok(Written::Noted), "there is nothing to remove");
    assert_eq!(set("cron", Some("1")), Ok(Written::Noted));
    assert_eq!(set("cron/Daily", Some("")), Ok(Written::Noted));
    assert_eq!(set("", Some("it's \"quoted\" \u{0}é😀")), Ok(Written::Noted));
    assert_eq!(note("cron").as_deref(), Some("1"));
    assert_eq!(note("cron/Daily").as_deref(), Some(""));
    assert_eq!(note("").as_deref(), Some("it's \"quoted\" \u{0}é😀"));
    assert_eq!(note("Cron"), None);
    set("cron", Some("2")).unwrap();
    set("cron/Daily", None).unwrap();
    assert_eq!((note("cron").as_deref(), note("cron/Daily")), (Some("2"), None));

    // They are part of the batch: of the order in it, and of its owner.
    let batch = [set_note("cron", Some("3")), create("a"), set_note("cron", Some("4"))];
    assert!(store.commit(owner, &batch).unwrap().iter().all(Result::is_ok));
    assert_eq!(note("cron").as_deref(), Some("4"));
    let next = store.claim().unwrap();
    let error = store.commit(owner, &[set_note("cron", Some("5"))]).unwrap_err();
    assert!(matches!(error, StoreError::Fenced { .. }), "{error}");
    assert_eq!(note("cron").as_deref(), Some("4"));

    let before = store.counters();
    let large = "x".repeat(MAX_VALUE_BYTES + 1);
    let (bytes, limit) = (large.len(), MAX_VALUE_BYTES);
    assert_eq!(
        commit(store, next, set_note("cron", Some(&large))),
        Err(WriteError::TooLarge { what: "note", bytes, limit })
    );
    commit(store, next, set_note("cron", None)).unwrap();
    assert_eq!(store.counters(), Counters { commits: before.commits + 1, ..before });
    assert_eq!(contents(store).notes, [None, None, Some("it's \"quoted\" \u{0}é😀".to_owned())]);
}
