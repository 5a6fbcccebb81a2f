//! A store that fails when a test wants it.

use std::sync::atomic::{AtomicU32, Ordering};

use sagahost_core::Millis;
use sagahost_store::memory::MemoryStore;
use sagahost_store::{
    BoardPage, BoardQuery, Counters, Histogram, HistogramQuery, InstanceKey, InstanceRef,
    InstanceRow, ListQuery, Owner, Page, Stats, Store, StoreError, Wakeup, Write, WriteError,
    Written,
};

/// A store whose next commits fail, as on a full disk.
#[derive(Default)]
pub(crate) struct Failing {
    pub(crate) store: MemoryStore,
    /// How many commits fail,
    pub(crate) failures: AtomicU32,
    /// after so many that do not.
    pub(crate) before: AtomicU32,
}

impl Store for Failing {
    fn claim(&self) -> Result<Owner, StoreError> {
        self.store.claim()
    }
    fn commit(
        &self,
        owner: Owner,
        batch: &[Write],
    ) -> Result<Vec<Result<Written, WriteError>>, StoreError> {
        let one_less = |count: &AtomicU32| {
            count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1))
        };
        if one_less(&self.before).is_ok() {
            return self.store.commit(owner, batch);
        }
        match one_less(&self.failures) {
            Ok(_) => Err(StoreError::Full { path: "disk".into(), reason: "no space left".into() }),
            Err(_) => self.store.commit(owner, batch),
        }
    }
    fn find(&self, id: &str) -> Result<Option<InstanceRow>, StoreError> {
        self.store.find(id)
    }
    fn get(&self, key: InstanceKey) -> Result<Option<InstanceRow>, StoreError> {
        self.store.get(key)
    }
    fn journal(&self, key: InstanceKey, from_chunk: u32) -> Result<Vec<Vec<u8>>, StoreError> {
        self.store.journal(key, from_chunk)
    }
    fn list(&self, query: &ListQuery) -> Result<Page, StoreError> {
        self.store.list(query)
    }
    fn board(&self, query: &BoardQuery) -> Result<BoardPage, StoreError> {
        self.store.board(query)
    }
    fn histogram(&self, query: &HistogramQuery) -> Result<Histogram, StoreError> {
        self.store.histogram(query)
    }
    fn span(&self) -> Result<Option<(Millis, Millis)>, StoreError> {
        self.store.span()
    }
    fn busy(&self, after: InstanceKey, limit: u32) -> Result<Vec<InstanceRef>, StoreError> {
        self.store.busy(after, limit)
    }
    fn wakeups(&self) -> Result<Vec<Wakeup>, StoreError> {
        self.store.wakeups()
    }
    fn note(&self, name: &str) -> Result<Option<String>, StoreError> {
        self.store.note(name)
    }
    fn stats(&self) -> Result<Stats, StoreError> {
        self.store.stats()
    }
    fn counters(&self) -> Counters {
        self.store.counters()
    }
    fn check_writable(&self) -> Result<(), StoreError> {
        self.store.check_writable()
    }
    fn checkpoint(&self) -> Result<(), StoreError> {
        self.store.checkpoint()
    }
}
