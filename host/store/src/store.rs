//! The trait that every store implements.

use sagahost_core::Millis;

use crate::{
    BoardPage, BoardQuery, Counters, Histogram, HistogramQuery, InstanceKey, InstanceRef,
    InstanceRow, ListQuery, MAX_PAGE, Owner, Page, Stats, StoreError, Wakeup, Write, WriteError,
    Written,
};

/// Where sagas are kept.
///
/// All methods block until they are done: call them from threads that may
/// block. [`commit`](Store::commit) is meant for one thread that collects what
/// has queued up; called from several it serialises them.
pub trait Store: Send + Sync + 'static {
    /// Takes the partition: from now on only the owner that is returned can
    /// write.
    ///
    /// # Errors
    /// When the store cannot be written.
    fn claim(&self) -> Result<Owner, StoreError>;

    /// Does all writes of the batch, in their order, in one transaction that
    /// is durable when this returns; the results are in the order of the
    /// writes. Later writes of a batch see what earlier ones did.
    ///
    /// A batch of which every write was refused, or an empty one, has nothing
    /// to make durable and costs no commit.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] when `owner` has lost the partition. Any error
    /// means that nothing of the batch is visible, and that it must not be
    /// acknowledged. (After an I/O error and then a loss of power, what could
    /// not be confirmed may turn out to be there, as a whole.)
    fn commit(
        &self,
        owner: Owner,
        batch: &[Write],
    ) -> Result<Vec<Result<Written, WriteError>>, StoreError>;

    /// The instance of this id.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn find(&self, id: &str) -> Result<Option<InstanceRow>, StoreError>;

    /// The instance of this key.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn get(&self, key: InstanceKey) -> Result<Option<InstanceRow>, StoreError>;

    /// The chunks of a journal from number `from_chunk` on (the first is 0),
    /// in order. Nothing if there is no such instance.
    ///
    /// # Errors
    /// When the store cannot be read, or a chunk is missing.
    fn journal(&self, key: InstanceKey, from_chunk: u32) -> Result<Vec<Vec<u8>>, StoreError>;

    /// A page of the instances, or of the entities, that a query asks for, in the order in which
    /// they were created.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn list(&self, query: &ListQuery) -> Result<Page, StoreError>;

    /// A page of a dashboard's list.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn board(&self, query: &BoardQuery) -> Result<BoardPage, StoreError>;

    /// How many instances were created when.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn histogram(&self, query: &HistogramQuery) -> Result<Histogram, StoreError>;

    /// When the oldest and the newest of all that is kept were created, by the
    /// order of the keys, entities as well; `None` where there is nothing.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn span(&self) -> Result<Option<(Millis, Millis)>, StoreError>;

    /// All that is [busy](crate::Summary::busy), entities and what has ended as
    /// well, in the order of the keys: what has to go on after a restart.
    /// `limit` rows at a time (at least 1); go on after the last one, until
    /// there are none.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn busy(&self, after: InstanceKey, limit: u32) -> Result<Vec<InstanceRef>, StoreError>;

    /// What has to be woken at some time, whatever its status is, entities as
    /// well, in the order of the times, and of the keys where they are the same.
    /// `limit` rows at a time (at least 1); go on after the last one, until
    /// there are none.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn wakeups_after(
        &self,
        after: Option<(Millis, InstanceKey)>,
        limit: u32,
    ) -> Result<Vec<Wakeup>, StoreError>;

    /// All of these.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn wakeups(&self) -> Result<Vec<Wakeup>, StoreError> {
        let mut wakeups: Vec<Wakeup> = Vec::new();
        loop {
            let after = wakeups.last().map(|last| (last.at, last.key));
            let page = self.wakeups_after(after, MAX_PAGE)?;
            if page.is_empty() {
                return Ok(wakeups);
            }
            wakeups.extend(page);
        }
    }

    /// The note of this name; see [`Write::SetNote`].
    ///
    /// # Errors
    /// When the store cannot be read.
    fn note(&self, name: &str) -> Result<Option<String>, StoreError>;

    /// How large the store is.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn stats(&self) -> Result<Stats, StoreError>;

    /// What was committed through this object.
    fn counters(&self) -> Counters;

    /// Whether something can be made durable now: for readiness. Tries it with
    /// a few bytes in a commit of their own, which is not counted; a larger
    /// commit may still find the disk full.
    ///
    /// # Errors
    /// Why it cannot.
    fn check_writable(&self) -> Result<(), StoreError>;

    /// Moves what is in the log to where it belongs, for a quick start and a
    /// small directory. Never needed: the store does so by itself as it grows.
    ///
    /// # Errors
    /// When the store cannot be written.
    fn checkpoint(&self) -> Result<(), StoreError>;
}

/// Times and counts are stored in 63 bits.
pub(crate) fn saturate(number: Millis) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
