//! Entities: kept like instances, and apart from them wherever there are many.

use sagahost_core::RuntimeStatus::{self, *};
use sagahost_core::SagaState;
use sagahost_store::*;

use crate::common::*;

on_every_store! {
    a_listing_shows_instances_or_entities
    the_entities_of_one_name_are_a_prefix
    entities_are_not_counted_and_not_purged_by_condition
    an_entity_with_something_to_do_is_found
}

fn listed(store: &dyn Store, query: &ListQuery) -> String {
    ids(&all_pages(store, query)).join(" ")
}

fn fill(store: &dyn Store) -> Owner {
    let owner = store.claim().unwrap();
    for (n, id) in ["a", "@cart@1", "b", "@cart@2", "@carts@1", "?", "@stock@@1", "A", "a@b@c"]
        .into_iter()
        .enumerate()
    {
        let mut new = new(id, n as u64);
        new.name = if n % 2 == 0 { "Even" } else { "Odd" }.into();
        let summary = Summary { updated: 100 - n as u64, ..summary(Completed) };
        created(store, owner, Write::Create { new, chunk: vec![b'0'], summary });
    }
    owner
}

fn a_listing_shows_instances_or_entities(store: &dyn Store) {
    fill(store);
    let (any, entities) =
        (ListQuery::default, || ListQuery { kind: ListKind::Entities, ..ListQuery::default() });
    assert_eq!(listed(store, &any()), "a b ? A a@b@c");
    assert_eq!(listed(store, &entities()), "@cart@1 @cart@2 @carts@1 @stock@@1");
    for limit in 1..5 {
        assert_eq!(listed(store, &ListQuery { limit, ..any() }), "a b ? A a@b@c");
        let all = listed(store, &ListQuery { limit, ..entities() });
        assert_eq!(all, "@cart@1 @cart@2 @carts@1 @stock@@1");
    }
    // With every other condition.
    let statuses = vec![Completed];
    assert_eq!(listed(store, &ListQuery { statuses: statuses.clone(), ..any() }), "a b ? A a@b@c");
    let all = listed(store, &ListQuery { statuses, ..entities() });
    assert_eq!(all, "@cart@1 @cart@2 @carts@1 @stock@@1");
    for statuses in [vec![Running], vec![Failed]] {
        assert_eq!(listed(store, &ListQuery { statuses, ..entities() }), "");
    }
    let name = Some("Odd".to_owned());
    assert_eq!(listed(store, &ListQuery { name: name.clone(), ..any() }), "? A");
    assert_eq!(listed(store, &ListQuery { name, ..entities() }), "@cart@1 @cart@2");
    let (created_from, created_to) = (Some(2), Some(4));
    assert_eq!(listed(store, &ListQuery { created_from, created_to, ..any() }), "b");
    let some = listed(store, &ListQuery { created_from, created_to, ..entities() });
    assert_eq!(some, "@cart@2 @carts@1");
    let (updated_from, updated_to) = (Some(94), Some(97));
    assert_eq!(listed(store, &ListQuery { updated_from, updated_to, ..any() }), "?");
    let some = listed(store, &ListQuery { updated_from, updated_to, ..entities() });
    assert_eq!(some, "@cart@2 @carts@1 @stock@@1");
    assert_eq!(listed(store, &ListQuery { updated_from, ..any() }), "a b ?");
    assert_eq!(listed(store, &ListQuery { updated_to, ..any() }), "? A a@b@c");
}

fn the_entities_of_one_name_are_a_prefix(store: &dyn Store) {
    fill(store);
    let with = |kind, prefix: &str| {
        listed(
            store,
            &ListQuery { kind, id_prefix: Some(prefix.to_owned()), ..ListQuery::default() },
        )
    };
    for (prefix, expected) in [
        ("", "@cart@1 @cart@2 @carts@1 @stock@@1"),
        ("@", "@cart@1 @cart@2 @carts@1 @stock@@1"),
        ("@cart@", "@cart@1 @cart@2"),
        ("@cart", "@cart@1 @cart@2 @carts@1"),
        ("@cart@2", "@cart@2"),
        ("@cat@", ""),
        ("a", ""),
    ] {
        assert_eq!(with(ListKind::Entities, prefix), expected, "{prefix:?}");
    }
    for (prefix, expected) in [("a", "a a@b@c"), ("@", ""), ("@cart@", ""), ("", "a b ? A a@b@c")] {
        assert_eq!(with(ListKind::Instances, prefix), expected, "{prefix:?}");
    }
}

fn entities_are_not_counted_and_not_purged_by_condition(store: &dyn Store) {
    let owner = store.claim().unwrap();
    // Of every status, whatever one that is no entity would come to.
    for status in RuntimeStatus::ALL {
        let summary = summary_in(status, SagaState::Stuck);
        let write = Write::Create { new: new(&format!("@e@{status}"), 1), chunk: vec![], summary };
        created(store, owner, write);
    }
    assert_eq!(contents(store).counts, (0, 0, 0));
    for query in [
        ListQuery::default(),
        ListQuery { statuses: vec![Running], ..ListQuery::default() },
        ListQuery { statuses: vec![Failed], ..ListQuery::default() },
        ListQuery { saga: vec![SagaState::Stuck], ..ListQuery::default() },
        ListQuery { created_from: Some(0), ..ListQuery::default() },
    ] {
        assert_eq!(listed(store, &query), "", "{query:?}");
        let query = ListQuery { kind: ListKind::Entities, ..query };
        assert!(!listed(store, &query).is_empty(), "{query:?}");
    }
    created(store, owner, create_as("a", 1, Failed));
    assert_eq!(purged(commit(store, owner, purge_all())), (1, None));
    assert_eq!(contents(store).entities.len(), 8);
    // One by one they can be.
    let key = store.find("@e@Completed").unwrap().unwrap().key;
    assert_eq!(commit(store, owner, Write::Purge { key }), Ok(Written::Purged(1)));
    assert_eq!(contents(store).entities.len(), 7);
}

fn an_entity_with_something_to_do_is_found(store: &dyn Store) {
    let owner = store.claim().unwrap();
    let entity = created(store, owner, create_as("@e@1", 1, Completed));
    created(store, owner, create_as("@e@2", 1, Completed));
    // In the order of the keys, whatever each of them is.
    let mut keys = Vec::new();
    for (id, status) in [("a", Running), ("@e@3", Completed), ("b", Failed), ("c", Pending)] {
        let write = Write::Create { new: new(id, 1), chunk: vec![], summary: summary_busy(status) };
        keys.push(created(store, owner, write));
    }
    let found = || contents(store).busy.into_iter().map(|busy| busy.key).collect::<Vec<_>>();
    assert_eq!(found(), keys);

    let (input, chunk) = (json("null"), vec![b'1']);
    let summary = Summary { wake_at: Some(3), ..summary_busy(Completed) };
    let write = Write::Replace { key: entity, expect_chunks: 1, input, chunk, summary };
    commit(store, owner, write).unwrap();
    keys.insert(0, entity);
    assert_eq!(found(), keys);
    let wakeups = store.wakeups().unwrap();
    assert_eq!(wakeups, [Wakeup { key: entity, id: "@e@1".into(), at: 3 }]);
    let refused = WriteError::InstanceBusy { id: "@e@1".into() };
    assert_eq!(commit(store, owner, Write::Purge { key: entity }), Err(refused));
    commit(store, owner, append(entity, 1, Completed)).unwrap();
    assert_eq!(found(), keys[1..]);
    assert!(store.wakeups().unwrap().is_empty());
}
