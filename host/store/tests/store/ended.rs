//! What has ended and has to go on all the same, what comes back from its end,
//! and what is purged by the time of its end.

use sagahost_core::RuntimeStatus::{self, *};
use sagahost_core::SagaState;
use sagahost_store::*;

use crate::common::*;

on_every_store! {
    what_has_ended_and_is_busy_is_neither_purged_nor_replaced
    what_has_ended_can_run_again
    a_purge_goes_by_the_time_of_the_end
}

fn busy(store: &dyn Store) -> Vec<String> {
    contents(store).busy.into_iter().map(|busy| busy.id).collect()
}

fn what_has_ended_and_is_busy_is_neither_purged_nor_replaced(store: &dyn Store) {
    let owner = store.claim().unwrap();
    let ended = RuntimeStatus::ALL.into_iter().filter(|status| status.is_terminal());
    for status in ended.clone() {
        let id = status.as_str();
        let write = Write::Create { new: new(id, 1), chunk: vec![], summary: summary(Running) };
        let key = created(store, owner, write);
        let (chunk, summary) = (vec![], Summary { wake_at: Some(9), ..summary_busy(status) });
        commit(store, owner, Write::Append { key, expect_chunks: 1, chunk, summary }).unwrap();
        created(store, owner, create_as(&format!("{id} delivered"), 1, status));
        let before = contents(store);
        assert!(before.busy.iter().any(|busy| busy.key == key), "{before:?}");
        assert!(before.wakeups.iter().any(|wakeup| wakeup.key == key), "{before:?}");

        let refused = Err(WriteError::InstanceBusy { id: id.to_owned() });
        assert_eq!(commit(store, owner, create(id)), refused);
        assert_eq!(commit(store, owner, Write::Purge { key }), refused);
        assert_eq!(contents(store), before);
    }
    let all: Vec<&str> = ended.clone().map(RuntimeStatus::as_str).collect();
    assert_eq!(busy(store), all);
    // By condition, only the others go away.
    assert_eq!(purged(commit(store, owner, purge_all())), (4, None));
    assert_eq!(ids(&contents(store).rows), all);

    // Once all is delivered, everything is as with any other.
    for (n, status) in ended.enumerate() {
        let key = store.find(status.as_str()).unwrap().unwrap().key;
        commit(store, owner, append(key, 2, status)).unwrap();
        match n {
            0 => drop(created(store, owner, create(status.as_str()))),
            1 => assert_eq!(commit(store, owner, Write::Purge { key }), Ok(Written::Purged(1))),
            _ => {}
        }
    }
    assert!(busy(store).is_empty() && contents(store).wakeups.is_empty());
    assert_eq!(purged(commit(store, owner, purge_all())), (2, None));
}

fn what_has_ended_can_run_again(store: &dyn Store) {
    let owner = store.claim().unwrap();
    for status in RuntimeStatus::ALL.into_iter().filter(|status| status.is_terminal()) {
        let new = new(status.as_str(), 1);
        let summary_ended = summary_in(status, SagaState::Compensated);
        let key =
            created(store, owner, Write::Create { new, chunk: vec![b'0'], summary: summary_ended });
        let unsuccessful = u64::from(status != Completed);
        let listed = |statuses: &[RuntimeStatus], saga: &[SagaState]| {
            let (statuses, saga) = (statuses.to_vec(), saga.to_vec());
            all_pages(store, &ListQuery { statuses, saga, ..ListQuery::default() }).len()
        };
        assert_eq!(contents(store).counts, (0, unsuccessful, 0));
        assert_eq!((listed(&[status], &[]), listed(&[Running], &[])), (1, 0));

        // Rewound: it runs, is busy, sleeps, and cannot be purged or replaced.
        let again = Summary { wake_at: Some(77), ..summary_busy(Running) };
        let (chunk, summary) = (vec![b'1'], Summary { saga: SagaState::Armed, ..again });
        commit(store, owner, Write::Append { key, expect_chunks: 1, chunk, summary }).unwrap();
        let running = contents(store);
        assert_eq!(running.counts, (1, 0, 0));
        assert_eq!((running.busy.len(), running.wakeups.len()), (1, 1));
        assert_eq!((listed(&[status], &[]), listed(&[Running], &[])), (0, 1));
        assert_eq!(
            (listed(&[], &[SagaState::Compensated]), listed(&[], &[SagaState::Armed])),
            (0, 1)
        );
        assert_eq!(
            commit(store, owner, Write::Purge { key }),
            Err(WriteError::NotTerminal { key, status: Running })
        );
        let taken = commit(store, owner, create(status.as_str())).unwrap_err();
        assert!(matches!(taken, WriteError::InstanceExists { status: Running, .. }), "{taken}");

        // And ends again.
        commit(store, owner, append(key, 2, Completed)).unwrap();
        let ended = contents(store);
        assert_eq!(ended.counts, (0, 0, 0));
        assert_eq!((ended.busy.len(), ended.wakeups.len()), (0, 0));
        assert_eq!(store.journal(key, 0).unwrap().len(), 3);
        commit(store, owner, Write::Purge { key }).unwrap();
    }
}

fn a_purge_goes_by_the_time_of_the_end(store: &dyn Store) {
    let owner = store.claim().unwrap();
    // Created in one order, ended in the other.
    for n in 0..20_u64 {
        let status = [Completed, Failed, Running][n as usize % 3];
        let summary = Summary { updated: 1_000 - n, ..summary(status) };
        let write = Write::Create { new: new(&format!("i{n}"), n), chunk: vec![], summary };
        created(store, owner, write);
    }
    let purge = |created_to, updated_to, statuses: &[RuntimeStatus]| Write::PurgeWhere {
        created_from: None,
        created_to,
        updated_to,
        statuses: statuses.to_vec(),
        after: InstanceKey(0),
        limit: 0,
    };
    let purged = |write| match commit(store, owner, write).unwrap() {
        Written::PurgedWhere { purged, next: None } => purged.len(),
        other => panic!("{other:?}"),
    };
    assert_eq!(purged(purge(None, Some(980), &[])), 0);
    // 981 to 983: i19 to i17, of which i17 runs.
    assert_eq!(purged(purge(None, Some(983), &[])), 2);
    assert_eq!(purged(purge(Some(14), Some(987), &[])), 1, "i13 ended then, i14 runs");
    assert_eq!(purged(purge(None, Some(990), &[Failed])), 2, "i16 and i10");
    assert_eq!(purged(purge(None, Some(u64::MAX), &[])), 9);
    assert!(contents(store).rows.iter().all(|row| row.summary.status == Running));
}
