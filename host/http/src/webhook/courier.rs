//! Which notice is sent when.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use axum::body::Bytes;
use sagahost_engine::StuckNotice;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::target::Undelivered;
use super::{Webhook, payload};

/// How many requests are under way at once.
const AT_ONCE: usize = 4;

/// How much waits to be delivered.
const MOST_WAITING: usize = 10_000;
const MOST_BYTES: usize = 64 << 20;

/// One notice on its way.
pub(super) struct Delivery {
    id: String,
    body: Bytes,
    begun: Instant,
    pause: Duration,
    tries: u32,
}

/// When it is next tried; the second number tells those of one moment apart.
type Due = (Instant, u64);

pub(super) struct Courier {
    webhook: Webhook,
    origin: Option<String>,
    waiting: BTreeMap<Due, Delivery>,
    /// The one of each instance that waits: a later notice has all that an
    /// earlier one has.
    due: HashMap<String, Due>,
    bytes: usize,
    counted: u64,
    pub(super) under_way: JoinSet<(Delivery, Result<(), Undelivered>)>,
}

impl Courier {
    pub(super) fn new(webhook: Webhook, origin: Option<String>) -> Self {
        Courier {
            webhook,
            origin,
            waiting: BTreeMap::new(),
            due: HashMap::new(),
            bytes: 0,
            counted: 0,
            under_way: JoinSet::new(),
        }
    }

    pub(super) async fn run(mut self, mut notices: UnboundedReceiver<StuckNotice>) {
        let mut open = true;
        while open || !self.waiting.is_empty() || !self.under_way.is_empty() {
            self.send_what_is_due();
            let next = self.waiting.first_key_value().map(|((at, _), _)| *at);
            let next = next.filter(|_| self.under_way.len() < AT_ONCE);
            tokio::select! {
                notice = notices.recv(), if open => match notice {
                    Some(notice) => self.take(&notice),
                    None => open = false,
                },
                Some(tried) = self.under_way.join_next() => match tried {
                    Ok((delivery, outcome)) => self.tried(delivery, outcome),
                    Err(error) => tracing::error!(%error, "a webhook was not sent"),
                },
                () = tokio::time::sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
            }
        }
    }

    pub(super) fn take(&mut self, notice: &StuckNotice) {
        let body = match payload(notice, self.origin.as_deref()) {
            Ok(body) => Bytes::from(body),
            Err(error) => {
                tracing::error!(instance = notice.id, %error, "a webhook cannot be written");
                return;
            }
        };
        let now = Instant::now();
        if let Some(waiting) = self.due.get(&notice.id).and_then(|due| self.waiting.get_mut(due)) {
            self.bytes = self.bytes - waiting.body.len() + body.len();
            waiting.body = body;
            waiting.begun = now;
            return;
        }
        if self.waiting.len() >= MOST_WAITING || self.bytes + body.len() > MOST_BYTES {
            tracing::error!(
                instance = notice.id,
                webhook = %self.webhook.target,
                "too many webhooks wait to be delivered, this one is dropped; `sagahost list --saga stuck` has it"
            );
            return;
        }
        let pause = self.webhook.patience.first_pause;
        let id = notice.id.clone();
        self.wait(now, Delivery { id, body, begun: now, pause, tries: 0 });
    }

    fn wait(&mut self, at: Instant, delivery: Delivery) {
        self.counted += 1;
        let due = (at, self.counted);
        self.bytes += delivery.body.len();
        self.due.insert(delivery.id.clone(), due);
        self.waiting.insert(due, delivery);
    }

    pub(super) fn send_what_is_due(&mut self) {
        let now = Instant::now();
        while self.under_way.len() < AT_ONCE
            && let Some(first) = self.waiting.first_entry()
            && first.key().0 <= now
        {
            let delivery = first.remove();
            self.bytes -= delivery.body.len();
            self.due.remove(&delivery.id);
            let Webhook { target, headers, patience } = self.webhook.clone();
            self.under_way.spawn(async move {
                let body = delivery.body.clone();
                let outcome = target.post(body, &headers, patience).await;
                (delivery, outcome)
            });
        }
    }

    pub(super) fn tried(&mut self, mut delivery: Delivery, outcome: Result<(), Undelivered>) {
        delivery.tries += 1;
        let Delivery { id, tries, .. } = &delivery;
        let (tries, webhook) = (*tries, &self.webhook.target);
        let error = match outcome {
            Ok(()) => {
                tracing::info!(instance = id, tries, %webhook, "told of a stuck saga");
                return;
            }
            Err(error) => error,
        };
        let now = Instant::now();
        let patience = self.webhook.patience;
        if now + delivery.pause > delivery.begun + patience.in_all {
            tracing::error!(
                instance = id, tries, %webhook, %error,
                "nobody could be told of a stuck saga, it is given up; `sagahost list --saga stuck` has it"
            );
            return;
        }
        tracing::warn!(
            instance = id, tries, %webhook, %error, again_in = ?delivery.pause,
            "a stuck saga could not be told of"
        );
        if self.due.contains_key(id) {
            // A later notice of the same saga waits already.
            return;
        }
        let at = now + delivery.pause;
        delivery.pause = (delivery.pause * 2).min(patience.longest_pause);
        self.wait(at, delivery);
    }
}
