//! How the engine starts, goes on with what an earlier host left, and stops.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use sagahost_core::{Millis, SagaState};
use sagahost_store::{InstanceKey, ListQuery, Owner, Store};
use sagahost_wasm::Runtime;
use tokio::sync::{Notify, broadcast};
use tokio::task::JoinHandle;

use crate::api::{Committed, Engine};
use crate::background::Background;
use crate::cell::{Cells, Message};
use crate::clock::Clock;
use crate::config::EngineConfig;
use crate::entity::Entities;
use crate::error::EngineError;
use crate::flush::HeldBack;
use crate::metrics::Counters;
use crate::observe::Observer;
use crate::overview::{self, Counted};
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
    /// are set, and attempts that were out are made again.
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
        let writer = Writer::start(store.clone(), owner, counters.clone(), working.clone())
            .map_err(EngineError::Thread)?;
        let background = Background::start().map_err(EngineError::Thread)?;
        let inner = Arc::new(Inner {
            writer,
            background,
            runtime,
            cells: Cells::default(),
            entities: Entities::default(),
            residents: Residents::new(&config),
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
        for wakeup in inner.store.wakeups()? {
            inner.timers.set(wakeup.at, wakeup.id.into());
        }
        tokio::spawn({
            let inner = inner.clone();
            async move { inner.timers.run(inner.clock(), |id| inner.deliver(&id, Message::Wake)).await }
        });
        tokio::spawn({
            let inner = inner.clone();
            async move { inner.held.run(inner.config.hold, |cell| inner.flush(cell)).await }
        });
        tokio::spawn({
            let inner = inner.clone();
            async move { recover(&inner).await }
        });
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

/// Goes on with the instances whose activities were open when the last host
/// ended.
async fn recover(inner: &Arc<Inner>) {
    const PAGE: u32 = 500;
    let mut after = InstanceKey(0);
    loop {
        let store = inner.store.clone();
        let page = tokio::task::spawn_blocking(move || store.busy(after, PAGE)).await;
        let page = match page {
            Ok(Ok(page)) => page,
            Ok(Err(error)) => {
                tracing::error!(%error, "cannot read which instances to go on with; trying again");
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
            Err(_) => return,
        };
        let Some(last) = page.last() else {
            inner.counters.going.complete();
            return;
        };
        after = last.key;
        inner.counters.going.busy(&page);
        for instance in page {
            inner.deliver(&instance.id, Message::Wake);
        }
    }
}
