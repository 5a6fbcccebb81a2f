//! What has to be woken at some time, page by page; and very many that wait.

use sagahost_core::RuntimeStatus::*;
use sagahost_store::*;

use crate::common::*;

on_every_store! {
    pages_go_on_after_their_last_row_whatever_changes_meanwhile
}

fn woken_at(id: &str, wake_at: Option<u64>) -> Write {
    Write::Create {
        new: new(id, 1),
        chunk: vec![b'0'],
        summary: Summary { wake_at, ..summary(Running) },
    }
}

fn pages_go_on_after_their_last_row_whatever_changes_meanwhile(store: &dyn Store) {
    let owner = store.claim().unwrap();
    let at = [7, 3, 7, 0, 7, 9, 3];
    let keys: Vec<InstanceKey> = (0..)
        .zip(at)
        .map(|(n, at)| created(store, owner, woken_at(&format!("i{n}"), Some(at))))
        .collect();
    created(store, owner, woken_at("never", None));
    let page = |after, limit| -> Vec<(u64, String)> {
        let page = store.wakeups_after(after, limit).unwrap();
        page.into_iter().map(|wakeup| (wakeup.at, wakeup.id)).collect()
    };
    let names = |page: &[(u64, &str)]| -> Vec<(u64, String)> {
        page.iter().map(|(at, id)| (*at, (*id).to_owned())).collect()
    };
    assert_eq!(page(None, 0), names(&[(0, "i3")]));
    assert_eq!(page(None, 3), names(&[(0, "i3"), (3, "i1"), (3, "i6")]));
    assert_eq!(page(Some((3, keys[1])), 2), names(&[(3, "i6"), (7, "i0")]));
    let rest = names(&[(7, "i2"), (7, "i4"), (9, "i5")]);
    assert_eq!(page(Some((7, keys[0])), 100), rest);
    // The row after which it goes on need not be there any more.
    commit(store, owner, append(keys[0], 1, Completed)).unwrap();
    assert_eq!(page(Some((7, keys[0])), 100), rest);
    // Between two times.
    assert_eq!(page(Some((7, InstanceKey(i64::MAX))), 100), names(&[(9, "i5")]));
    assert_eq!(page(Some((9, keys[5])), 100), names(&[]));
    assert_eq!(page(Some((u64::MAX, keys[0])), 100), names(&[]));
    let all: Vec<String> = store.wakeups().unwrap().into_iter().map(|w| w.id).collect();
    assert_eq!(all, ["i3", "i1", "i6", "i2", "i4", "i5"]);
}

#[test]
fn copies_stand_where_their_original_does_or_where_it_began() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path()).unwrap();
    let owner = store.claim().unwrap();
    let first = Write::Create {
        new: new("a", 1),
        chunk: b"[1,2,3]".to_vec(),
        summary: Summary { wake_at: Some(7), ..summary(Running) },
    };
    let key = created(&store, owner, first);
    let summary = Summary { wake_at: Some(9), events: 5, ..summary(Suspended) };
    let write = Write::Append { key, expect_chunks: 1, chunk: b"[4,5]".to_vec(), summary };
    commit(&store, owner, write).unwrap();
    drop(store);
    assert_eq!(bench::copies(dir.path(), "b", 1, bench::Copied::Whole).unwrap(), 0);
    assert_eq!(bench::copies(dir.path(), "a", 1_200, bench::Copied::Whole).unwrap(), 1_200);
    assert_eq!(bench::copies(dir.path(), "a-7", 2, bench::Copied::FirstTurn).unwrap(), 2);
    let store = SqliteStore::open(dir.path()).unwrap();
    let original = store.find("a").unwrap().unwrap();
    let copy = store.find("a-1199").unwrap().unwrap();
    assert_eq!((copy.summary, copy.input), (original.summary, original.input));
    assert_eq!(store.journal(copy.key, 0).unwrap(), [&b"[1,2,3]"[..], b"[4,5]"]);
    let cut_off = store.busy(InstanceKey(0), 100).unwrap();
    assert_eq!(cut_off.iter().map(|row| &*row.id).collect::<Vec<_>>(), ["a-7-0", "a-7-1"]);
    let row = store.find("a-7-1").unwrap().unwrap();
    assert_eq!((row.summary.status, row.summary.events), (Running, 3));
    assert_eq!(store.journal(row.key, 0).unwrap(), [b"[1,2,3]"]);
    assert_eq!(store.wakeups().unwrap().len(), 1_201);
}
