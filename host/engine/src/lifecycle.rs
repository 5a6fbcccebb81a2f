//! How the engine starts, goes on with what an earlier host left, and stops.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use sagahost_core::{Millis, SagaState};
use sagahost_store::{InstanceKey, ListQuery, Owner, Store, StoreError};
use sagahost_wasm::Runtime;
use tokio::sync::{Notify, Semaphore, broadcast};
use tokio::task::JoinHandle;

use crate::api::{Committed, Engine};
use crate::background::Background;
use crate::cell::{Cells, Message};
use crate::clock::Clock;
use crate::config::EngineConfig;
use crate::entity::Entities;
use crate::entry::Entries;
use crate::error::EngineError;
use crate::flush::HeldBack;
use crate::load_gate::{Bounds, LoadGate};
use crate::metrics::Counters;
use crate::observe::Observer;
use crate::overview::{self, Counted};
use crate::places::{self, Places};
use crate::reads::Reads;
use crate::residents::Residents;
use crate::schedule::Schedule;
use crate::skip;
use crate::stuck::StuckWatchers;
use crate::timers::Timers;
use crate::waiters::Waiters;
use crate::writer::Writer;

/// How many committed turns a slow listener may be behind before it misses
/// some. (It then reads them from the store.)
const LISTENER_BACKLOG: usize = 1024;

/// How many instances that only time, or a start of the host, has woken are
/// loaded at once. There may be very many of them, and who asks for something
/// now is not to wait for all.
const LOADED_AT_ONCE: usize = 4;

/// What all handles of an engine share.
pub(crate) struct Inner {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) writer: Writer,
    pub(crate) background: Background,
    pub(crate) runtime: Runtime,
    pub(crate) config: EngineConfig,
    pub(crate) cells: Cells,
    pub(crate) entities: Entities,
    pub(crate) residents: Residents,
    pub(crate) places: Places,
    pub(crate) gate: Arc<LoadGate>,
    pub(crate) entries: Arc<Entries>,
    pub(crate) reads: Reads,
    /// The places of those that are [`LOADED_AT_ONCE`].
    pub(crate) loading: Semaphore,
    pub(crate) timers: Timers,
    pub(crate) held: HeldBack,
    pub(crate) waiters: Waiters,
    pub(crate) counters: Arc<Counters>,
    pub(crate) committed: broadcast::Sender<Arc<Committed>>,
    pub(crate) observers: RwLock<Vec<Arc<dyn Observer>>>,
    pub(crate) counted: Counted,
    pub(crate) stuck: StuckWatchers,
    /// When this host took over.
    pub(crate) since: Millis,
    /// The schedules, each with the task that follows it.
    pub(crate) schedules: Mutex<Vec<(Arc<Schedule>, JoinHandle<()>)>>,
    /// The task that purges what was kept long enough.
    pub(crate) retention: Mutex<Option<JoinHandle<()>>>,
    pub(crate) stopping: AtomicBool,
    pub(crate) working: Arc<AtomicUsize>,
    /// Something came to its end; looked at while shutting down.
    pub(crate) quiet: Notify,
}

impl Inner {
    /// The time that the journals have.
    pub(crate) fn clock(&self) -> &Clock {
        &self.config.clock
    }
}

impl Engine {
    /// Takes over the store and goes on with what an earlier host left: timers
    /// are set, and attempts that were out are made again. Both begin now, and
    /// go on beside what is asked for meanwhile, however many there are.
    ///
    /// # Errors
    /// When the store cannot be taken over or read.
    pub async fn start(
        store: Arc<dyn Store>,
        runtime: Runtime,
        config: EngineConfig,
    ) -> Result<Self, EngineError> {
        let owner: Owner = store.claim()?;
        skip::resume(&*store, &config.clock)?;
        let counters = Arc::new(Counters::default());
        count_stuck(&*store, &counters)?;
        let working = Arc::new(AtomicUsize::new(0));
        let bounds = Bounds { delay: config.max_delay, queue: config.max_queue };
        let gate = Arc::new(LoadGate::new(bounds));
        let shared = (counters.clone(), gate.clone());
        let writer = Writer::start(store.clone(), owner, shared, working.clone())
            .map_err(EngineError::Thread)?;
        let background = Background::start().map_err(EngineError::Thread)?;
        let inner = Arc::new(Inner {
            writer,
            background,
            places: Places::new(&runtime),
            entries: Entries::new(gate.clone()),
            gate,
            reads: Reads::default(),
            runtime,
            cells: Cells::default(),
            entities: Entities::default(),
            residents: Residents::new(&config),
            loading: Semaphore::new(LOADED_AT_ONCE),
            timers: Timers::default(),
            held: HeldBack::default(),
            waiters: Waiters::default(),
            counters,
            committed: broadcast::channel(LISTENER_BACKLOG).0,
            observers: RwLock::default(),
            counted: Counted::default(),
            stuck: StuckWatchers::default(),
            since: config.clock.now(),
            schedules: Mutex::default(),
            retention: Mutex::default(),
            stopping: AtomicBool::new(false),
            working,
            quiet: Notify::new(),
            config,
            store,
        });
        tokio::spawn({
            let inner = inner.clone();
            async move { set_timers(&inner).await }
        });
        tokio::spawn({
            let inner = inner.clone();
            async move {
                loop {
                    let id = inner.timers.next(inner.clock()).await;
                    inner.wake(&id).await;
                }
            }
        });
        tokio::spawn({
            let inner = inner.clone();
            async move { inner.held.run(inner.config.hold, |cell| inner.flush(cell)).await }
        });
        tokio::spawn({
            let inner = inner.clone();
            async move { recover(&inner).await }
        });
        tokio::spawn(places::attend(inner.clone()));
        tokio::spawn(overview::sample(inner.clone()));
        if inner.clock().is_movable() {
            tokio::spawn(skip::keep_noted(inner.clone()));
        }
        Ok(Engine { inner })
    }

    /// Takes no new work and waits until what runs has come to its end, at
    /// most so long. What has not ended by then begins again at the next
    /// start. Says whether everything ended.
    pub async fn shutdown(&self, grace: Duration) -> bool {
        let inner = &self.inner;
        inner.stopping.store(true, Ordering::SeqCst);
        inner.leave_waiting();
        let quiet = async {
            loop {
                let something_ended = inner.quiet.notified();
                for cell in inner.held.take() {
                    inner.flush(cell);
                }
                let attempts = inner.counters.attempts_open.get();
                if attempts == 0 && inner.working.load(Ordering::SeqCst) == 0 {
                    return;
                }
                something_ended.await;
            }
        };
        tokio::time::timeout(grace, quiet).await.is_ok()
    }
}

/// Counts the sagas that need a person already.
fn count_stuck(store: &dyn Store, counters: &Counters) -> Result<(), EngineError> {
    let mut after = None;
    loop {
        let query = ListQuery { saga: vec![SagaState::Stuck], after, ..ListQuery::default() };
        let page = store.list(&query)?;
        for row in &page.rows {
            counters.stuck(&row.name);
            if !row.summary.status.is_terminal() {
                counters.going.found(&row.id);
            }
        }
        after = page.next;
        if after.is_none() {
            return Ok(());
        }
    }
}

impl Inner {
    /// Wakes an instance, and waits where many that were woken are still to be
    /// loaded: else each of them would be a task that waits.
    async fn wake(self: &Arc<Self>, id: &str) {
        self.deliver(id, Message::Wake);
        // An error would mean that it is closed, which it never is.
        drop(self.loading.acquire().await);
    }
}

/// A page of what is stored, tried again until it can be read. `None` where
/// the host is going down.
async fn page<T: Send + 'static>(
    inner: &Inner,
    what: &str,
    read: impl Fn(&dyn Store) -> Result<Vec<T>, StoreError> + Clone + Send + 'static,
) -> Option<Vec<T>> {
    loop {
        let (store, read) = (inner.store.clone(), read.clone());
        match tokio::task::spawn_blocking(move || read(&*store)).await {
            Ok(Ok(page)) => return Some(page),
            Ok(Err(error)) => {
                tracing::error!(%error, "cannot read {what}; trying again");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            Err(_) => return None,
        }
    }
}

/// How many rows are read at once of those that a start goes through.
const PAGE: u32 = 500;

/// Sets the timers that are stored, the earliest first. Those of instances that
/// change meanwhile are set as that is stored; some are set twice, which is
/// harmless.
async fn set_timers(inner: &Inner) {
    let mut after = None;
    loop {
        let read = move |store: &dyn Store| store.wakeups_after(after, PAGE);
        let Some(page) = page(inner, "which timers are set", read).await else { return };
        let Some(last) = page.last() else { return };
        after = Some((last.at, last.key));
        for wakeup in page {
            inner.timers.set(wakeup.at, wakeup.id.into());
        }
    }
}

/// Goes on with the instances whose activities were open when the last host
/// ended.
async fn recover(inner: &Arc<Inner>) {
    let mut after = InstanceKey(0);
    loop {
        let read = move |store: &dyn Store| store.busy(after, PAGE);
        let page = page(inner, "which instances to go on with", read).await;
        let Some(page) = page else { return };
        let Some(last) = page.last() else {
            inner.counters.going.complete();
            return;
        };
        after = last.key;
        inner.counters.going.busy(&page);
        for instance in page {
            inner.wake(&instance.id).await;
        }
    }
}
