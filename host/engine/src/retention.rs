//! Retention: instances are purged some time after their end, a few at a time.
//!
//! What is to go is looked for on a connection that only reads. The writer is
//! given small batches with pauses between them, so that the turns of sagas
//! never wait for long.

use std::sync::PoisonError;
use std::time::Duration;

use sagahost_core::{Millis, RuntimeStatus};
use sagahost_store::{InstanceKey, ListQuery, Write, Written};

use crate::api::Engine;
use crate::error::CommandError;

/// The most instances that one write removes.
const BATCH: u32 = 100;

/// The least pause after a batch; and as many times as long as the batch took
/// as leaves most of the writer's time to others.
const PAUSE: Duration = Duration::from_millis(20);
const SHARE: u32 = 4;

/// How long instances are kept after their end. Those of a status that is not
/// named are kept until somebody purges them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    ages: Vec<(RuntimeStatus, Duration)>,
}

impl Retention {
    /// How long those are kept that ended with each of these statuses.
    pub fn new(ages: impl IntoIterator<Item = (RuntimeStatus, Duration)>) -> Self {
        Retention { ages: ages.into_iter().filter(|(status, _)| status.is_terminal()).collect() }
    }

    /// How often it is looked for what is to go: often enough that an instance
    /// is kept about as long as is said.
    fn interval(&self) -> Option<Duration> {
        let shortest = self.ages.iter().map(|(_, age)| *age).min()?;
        Some((shortest / 50).clamp(Duration::from_secs(1), Duration::from_secs(3600)))
    }
}

impl Engine {
    /// Keeps ended instances for so long from now on.
    pub fn set_retention(&self, retention: Retention) {
        let mut running = self.inner.retention.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(old) = running.take() {
            old.abort();
        }
        if let Some(interval) = retention.interval() {
            *running = Some(tokio::spawn(keep(self.clone(), retention, interval)));
        }
    }
}

async fn keep(engine: Engine, retention: Retention, interval: Duration) {
    let clock = engine.inner.clock();
    loop {
        let now = clock.now();
        for (status, age) in &retention.ages {
            let age = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
            let Some(ended_by) = now.checked_sub(age) else { continue };
            match remove(&engine, *status, ended_by).await {
                Ok(0) => {}
                Ok(purged) => {
                    tracing::info!(purged, %status, "instances were kept as long as the manifest says, and are purged");
                }
                Err(error) => {
                    tracing::error!(%error, %status, "old instances cannot be purged; tried again later");
                }
            }
        }
        let interval = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
        clock.reached(clock.now().saturating_add(interval)).await;
    }
}

/// Removes those of a status that ended by then.
async fn remove(
    engine: &Engine,
    status: RuntimeStatus,
    ended_by: Millis,
) -> Result<u64, CommandError> {
    let mut removed = 0;
    let mut after = None;
    loop {
        let query = ListQuery {
            updated_to: Some(ended_by),
            statuses: vec![status],
            limit: 1,
            after,
            ..ListQuery::default()
        };
        let Some(first) = engine.list(query).await?.rows.first().map(|row| row.key) else {
            return Ok(removed);
        };
        let write = Write::PurgeWhere {
            created_from: None,
            created_to: None,
            updated_to: Some(ended_by),
            statuses: vec![status],
            after: InstanceKey(first.0 - 1),
            limit: BATCH,
        };
        let begun = tokio::time::Instant::now();
        let written = engine.inner.writer.write(write).await;
        match written.map_err(|failure| CommandError::Store(failure.to_string()))? {
            Written::PurgedWhere { purged, next } => {
                removed += purged.len() as u64;
                engine.inner.counters.purged.add(purged.len() as u64);
                engine.inner.tell_purged(&purged);
                match next {
                    Some(next) => after = Some(next),
                    None => return Ok(removed),
                }
            }
            _ => return Ok(removed),
        }
        tokio::time::sleep(PAUSE.max(begun.elapsed() * SHARE)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_looked_as_often_as_the_shortest_age_calls_for() {
        let interval = |ages: &[(RuntimeStatus, u64)]| {
            Retention::new(ages.iter().map(|(s, secs)| (*s, Duration::from_secs(*secs)))).interval()
        };
        use RuntimeStatus::{Completed, Failed, Running};
        assert_eq!(interval(&[]), None);
        assert_eq!(interval(&[(Running, 5)]), None, "what runs has not ended");
        let day = 86_400;
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(interval(&[(Completed, 7 * day), (Failed, 30 * day)]), seconds(3600));
        assert_eq!(interval(&[(Completed, 7 * day), (Failed, 100)]), seconds(2));
        assert_eq!(interval(&[(Failed, 1)]), seconds(1));
    }
}
