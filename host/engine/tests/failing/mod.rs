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
    /// How often it cannot be read what has to go on after a start.
    pub(crate) unreadable: AtomicU32,
}

/// Whether there was one left.
fn one_less(count: &AtomicU32) -> bool {
    count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok()
}

fn full() -> StoreError {
    StoreError::Full { path: "disk".into(), reason: "no space left".into() }
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
        if !one_less(&self.before) && one_less(&self.failures) {
            return Err(full());
        }
        self.store.commit(owner, batch)
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
        if one_less(&self.unreadable) {
            return Err(full());
        }
        self.store.busy(after, limit)
    }
    fn wakeups_after(
        &self,
        after: Option<(Millis, InstanceKey)>,
        limit: u32,
    ) -> Result<Vec<Wakeup>, StoreError> {
        if one_less(&self.unreadable) {
            return Err(full());
        }
        self.store.wakeups_after(after, limit)
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
