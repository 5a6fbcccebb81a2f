//! A store in memory, for tests: short and plain, and so the measure of the
//! others.

mod board;

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use sagahost_core::{Json, Millis, RuntimeStatus, SagaState};

use crate::listing::{fill_page, page_size};
use crate::store::saturate;
use crate::types::check_sizes;
use crate::{
    BoardPage, BoardQuery, Counters, Gone, Histogram, HistogramQuery, InstanceKey, InstanceRef,
    InstanceRow, ListKind, ListQuery, MAX_CHUNKS, MAX_KEY, MAX_PURGE, MAX_PURGE_SCAN, NewInstance,
    Owner, Page, Stats, Store, StoreError, Summary, Wakeup, Write, WriteError, Written,
};

/// Keeps everything in memory, and nothing longer than itself.
#[derive(Debug, Default)]
pub struct MemoryStore {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    epoch: u64,
    last_key: i64,
    instances: BTreeMap<InstanceKey, Instance>,
    ids: HashMap<String, InstanceKey>,
    notes: HashMap<String, String>,
    counters: Counters,
}

#[derive(Debug)]
struct Instance {
    row: InstanceRow,
    journal: Vec<Vec<u8>>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemoryStore {
    fn claim(&self) -> Result<Owner, StoreError> {
        let mut state = self.state();
        state.epoch += 1;
        Ok(Owner { partition: 0, epoch: state.epoch })
    }

    fn commit(
        &self,
        owner: Owner,
        batch: &[Write],
    ) -> Result<Vec<Result<Written, WriteError>>, StoreError> {
        let mut state = self.state();
        if (owner.partition, owner.epoch) != (0, state.epoch) {
            return Err(StoreError::Fenced {
                partition: owner.partition,
                held: owner.epoch,
                current: if owner.partition == 0 { state.epoch } else { 0 },
            });
        }
        let results: Vec<_> = batch.iter().map(|write| state.write(write)).collect();
        if results.iter().any(Result::is_ok) {
            state.counters.commits += 1;
        }
        Ok(results)
    }

    fn find(&self, id: &str) -> Result<Option<InstanceRow>, StoreError> {
        let state = self.state();
        Ok(state.ids.get(id).map(|key| state.instances[key].row.clone()))
    }

    fn get(&self, key: InstanceKey) -> Result<Option<InstanceRow>, StoreError> {
        Ok(self.state().instances.get(&key).map(|i| i.row.clone()))
    }

    fn journal(&self, key: InstanceKey, from_chunk: u32) -> Result<Vec<Vec<u8>>, StoreError> {
        let state = self.state();
        let chunks = state.instances.get(&key).map(|i| i.journal.as_slice());
        let from = from_chunk as usize;
        Ok(chunks.unwrap_or_default().iter().skip(from).cloned().collect())
    }

    fn list(&self, query: &ListQuery) -> Result<Page, StoreError> {
        let state = self.state();
        let prefix = query.id_prefix.as_deref().unwrap_or_default();
        let rows = state
            .after(query.after.unwrap_or_default())
            .map(|instance| &instance.row)
            .filter(|row| {
                row.id.starts_with(prefix)
                    && is_entity(row) == (query.kind == ListKind::Entities)
                    && query.created_from.is_none_or(|from| row.created >= from.min(saturated()))
                    && query.created_to.is_none_or(|to| row.created <= to)
                    && query
                        .updated_from
                        .is_none_or(|from| row.summary.updated >= from.min(saturated()))
                    && query.updated_to.is_none_or(|to| row.summary.updated <= to)
                    && (query.statuses.is_empty() || query.statuses.contains(&row.summary.status))
                    && (query.saga.is_empty() || query.saga.contains(&row.summary.saga))
                    && query.name.as_ref().is_none_or(|name| *name == row.name)
                    && query.tags.iter().all(|(name, value)| row.tags.get(name) == Some(value))
            })
            .map(|row| {
                let mut row = row.clone();
                row.input = row.input.filter(|_| query.with_input);
                Ok(row)
            });
        fill_page(rows, page_size(query))
    }

    fn board(&self, query: &BoardQuery) -> Result<BoardPage, StoreError> {
        Ok(self.state().board(query))
    }

    fn histogram(&self, query: &HistogramQuery) -> Result<Histogram, StoreError> {
        Ok(self.state().histogram(query))
    }

    fn span(&self) -> Result<Option<(Millis, Millis)>, StoreError> {
        let state = self.state();
        let created = |instance: &Instance| instance.row.created;
        let oldest = state.instances.values().next().map(created);
        Ok(oldest.zip(state.instances.values().next_back().map(created)))
    }

    fn busy(&self, after: InstanceKey, limit: u32) -> Result<Vec<InstanceRef>, StoreError> {
        let state = self.state();
        Ok(state
            .after(after)
            .map(|instance| &instance.row)
            .filter(|row| row.summary.busy)
            .take(limit.max(1) as usize)
            .map(|row| {
                let open = !row.summary.status.is_terminal() && !is_entity(row);
                InstanceRef { key: row.key, id: row.id.clone(), open }
            })
            .collect())
    }

    fn wakeups_after(
        &self,
        after: Option<(Millis, InstanceKey)>,
        limit: u32,
    ) -> Result<Vec<Wakeup>, StoreError> {
        let state = self.state();
        let mut wakeups: Vec<Wakeup> = state
            .instances
            .values()
            .map(|instance| &instance.row)
            .filter_map(|row| {
                Some(Wakeup { key: row.key, id: row.id.clone(), at: row.summary.wake_at? })
            })
            .filter(|wakeup| after.is_none_or(|after| (wakeup.at, wakeup.key) > after))
            .collect();
        wakeups.sort_by_key(|wakeup| (wakeup.at, wakeup.key));
        wakeups.truncate(limit.max(1) as usize);
        Ok(wakeups)
    }

    fn note(&self, name: &str) -> Result<Option<String>, StoreError> {
        Ok(self.state().notes.get(name).cloned())
    }

    fn stats(&self) -> Result<Stats, StoreError> {
        let state = self.state();
        let rows = || state.instances.values().map(|i| &i.row);
        let summaries = || rows().filter(|row| !is_entity(row)).map(|row| &row.summary);
        let statuses = || summaries().map(|summary| summary.status);
        let of_saga = |saga| summaries().filter(|summary| summary.saga == saga).count() as u64;
        let ended_well = |status: &RuntimeStatus| *status == RuntimeStatus::Completed;
        Ok(Stats {
            open: statuses().filter(|status| !status.is_terminal()).count() as u64,
            unsuccessful: statuses()
                .filter(|status| status.is_terminal() && !ended_well(status))
                .count() as u64,
            stuck: of_saga(SagaState::Stuck),
            compensating: of_saga(SagaState::Compensating),
            ..Stats::default()
        })
    }

    fn counters(&self) -> Counters {
        self.state().counters
    }

    fn check_writable(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn checkpoint(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

impl State {
    fn after(&self, key: InstanceKey) -> impl Iterator<Item = &Instance> {
        self.instances.range((Bound::Excluded(key), Bound::Unbounded)).map(|(_, instance)| instance)
    }

    fn write(&mut self, write: &Write) -> Result<Written, WriteError> {
        check_sizes(write)?;
        match write {
            Write::Create { new, chunk, summary } => self.create(new, chunk, summary),
            Write::Append { key, expect_chunks, chunk, summary } => {
                self.append(*key, *expect_chunks, chunk, summary)
            }
            Write::Replace { key, expect_chunks, input, chunk, summary } => {
                self.replace(*key, *expect_chunks, input, chunk, summary)
            }
            Write::Purge { key } => {
                let instance = self.instances.get(key);
                let row = &instance.ok_or(WriteError::NoSuchInstance { key: *key })?.row;
                let status = row.summary.status;
                if !status.is_terminal() {
                    return Err(WriteError::NotTerminal { key: *key, status });
                }
                if row.summary.busy {
                    return Err(WriteError::InstanceBusy { id: row.id.clone() });
                }
                self.delete(*key);
                Ok(Written::Purged(1))
            }
            Write::PurgeWhere { created_from, created_to, updated_to, statuses, after, limit } => {
                let (from, to) = (created_from.map(saturate), created_to.map(saturate));
                let ended = updated_to.map(saturate);
                let limit = if *limit == 0 { MAX_PURGE } else { *limit.min(&MAX_PURGE) };
                let (mut victims, mut next) = (Vec::new(), None);
                for (scanned, instance) in self.after(*after).enumerate() {
                    let row = &instance.row;
                    let (created, status) = (saturate(row.created), row.summary.status);
                    if status.is_terminal()
                        && !row.summary.busy
                        && !is_entity(row)
                        && (statuses.is_empty() || statuses.contains(&status))
                        && from.is_none_or(|from| created >= from)
                        && to.is_none_or(|to| created <= to)
                        && ended.is_none_or(|to| saturate(row.summary.updated) <= to)
                    {
                        let gone = Gone {
                            id: row.id.clone(),
                            name: row.name.clone(),
                            created: row.created,
                            status,
                            saga: row.summary.saga,
                        };
                        victims.push((row.key, gone));
                    }
                    if victims.len() == limit as usize || scanned + 1 == MAX_PURGE_SCAN as usize {
                        next = Some(row.key);
                        break;
                    }
                }
                victims.iter().for_each(|(key, _)| self.delete(*key));
                let purged = victims.into_iter().map(|(_, gone)| gone).collect();
                Ok(Written::PurgedWhere { purged, next })
            }
            Write::SetNote { name, value } => {
                match value {
                    Some(value) => self.notes.insert(name.clone(), value.clone()),
                    None => self.notes.remove(name),
                };
                Ok(Written::Noted)
            }
        }
    }

    fn create(
        &mut self,
        new: &NewInstance,
        chunk: &[u8],
        summary: &Summary,
    ) -> Result<Written, WriteError> {
        if self.last_key == MAX_KEY {
            return Err(WriteError::OutOfKeys);
        }
        if let Some(&key) = self.ids.get(&new.id) {
            let Summary { status, busy, .. } = self.instances[&key].row.summary;
            let id = new.id.clone();
            if !status.is_terminal() {
                return Err(WriteError::InstanceExists { id, key, status });
            }
            if busy {
                return Err(WriteError::InstanceBusy { id });
            }
            self.delete(key);
        }
        self.last_key += 1;
        let key = InstanceKey(self.last_key);
        let row = InstanceRow {
            key,
            id: new.id.clone(),
            name: new.name.clone(),
            input: Some(new.input.clone()),
            created: new.created.min(saturated()),
            tags: new.tags.clone(),
            summary: stored(summary),
            chunks: 1,
        };
        let journal = vec![chunk.to_vec()];
        self.instances.insert(key, Instance { row, journal });
        self.ids.insert(new.id.clone(), key);
        self.counters.creates += 1;
        Ok(Written::Created(key))
    }

    fn append(
        &mut self,
        key: InstanceKey,
        expected: u32,
        chunk: &[u8],
        summary: &Summary,
    ) -> Result<Written, WriteError> {
        let instance = self.expected(key, expected)?;
        if instance.row.chunks == MAX_CHUNKS {
            return Err(WriteError::JournalFull { key });
        }
        instance.journal.push(chunk.to_vec());
        instance.row.chunks += 1;
        instance.row.summary = stored(summary);
        self.counters.appends += 1;
        Ok(Written::Appended)
    }

    fn replace(
        &mut self,
        key: InstanceKey,
        expected: u32,
        input: &Json,
        chunk: &[u8],
        summary: &Summary,
    ) -> Result<Written, WriteError> {
        let instance = self.expected(key, expected)?;
        instance.journal = vec![chunk.to_vec()];
        instance.row.chunks = 1;
        instance.row.input = Some(input.clone());
        instance.row.summary = stored(summary);
        self.counters.replaces += 1;
        Ok(Written::Appended)
    }

    /// The instance, if its journal is as long as the caller thinks.
    fn expected(&mut self, key: InstanceKey, expected: u32) -> Result<&mut Instance, WriteError> {
        let instance = self.instances.get_mut(&key);
        let instance = instance.ok_or(WriteError::NoSuchInstance { key })?;
        let found = instance.row.chunks;
        if found != expected {
            return Err(WriteError::Conflict { key, expected, found });
        }
        Ok(instance)
    }

    fn delete(&mut self, key: InstanceKey) {
        if let Some(instance) = self.instances.remove(&key) {
            self.ids.remove(&instance.row.id);
            self.counters.purged += 1;
        }
    }
}

fn is_entity(row: &InstanceRow) -> bool {
    row.id.starts_with('@')
}

/// The largest time or count there is in a store.
fn saturated() -> u64 {
    i64::MAX.unsigned_abs()
}

/// A summary as it is read back.
fn stored(summary: &Summary) -> Summary {
    Summary {
        updated: summary.updated.min(saturated()),
        wake_at: summary.wake_at.map(|at| at.min(saturated())),
        events: summary.events.min(saturated()),
        ..summary.clone()
    }
}
