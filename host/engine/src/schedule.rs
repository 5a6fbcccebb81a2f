//! Schedules: orchestrations that start by a cron expression.
//!
//! A firing starts one instance, whose id says the schedule and the time. It is
//! begun only where there is none of that id, in whatever state; and how far a
//! schedule has come is noted in the store after that. So a host that ends
//! between the two begins nothing twice, and one that ends before them misses
//! the firing, which the next host learns from the note.

use std::sync::Arc;
use std::time::Duration;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use sagahost_core::{Json, Millis, check_instance_id};
use sagahost_store::Write;
use serde::{Deserialize, Serialize};

use crate::api::{Engine, StartRequest};
use crate::error::StartError;
use crate::lifecycle::Inner;

/// The most missed firings that [`Missed::All`] makes up for: the latest.
pub const MOST_MISSED: usize = 1_000;

/// How late a firing may be, by the machine's clock, before it counts as
/// missed by a host that runs: it was asleep, or its clock was set.
const LATE: Duration = Duration::from_secs(60);

/// Between two tries to read or write what a schedule depends on.
const PAUSE: Duration = Duration::from_secs(1);

/// What becomes of firings that came while no host ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Missed {
    /// Nothing.
    Skip,
    /// The latest one is made up for.
    #[default]
    Once,
    /// Each is made up for, in order; at most the latest [`MOST_MISSED`].
    All,
}

impl Missed {
    /// Of firings that were missed, in order, those to be made up for.
    fn of(self, missed: &[Millis]) -> &[Millis] {
        let keep = match self {
            Missed::Skip => 0,
            Missed::Once => 1,
            Missed::All => MOST_MISSED,
        };
        &missed[missed.len().saturating_sub(keep)..]
    }
}

/// What is wrong with a schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// The expression.
    #[error(
        "{cron:?} is not a cron expression: {why}; write it like \"*/5 * * * *\" (minute, hour, day, month, weekday), or with seconds before them"
    )]
    Cron {
        /// As it was given.
        cron: String,
        /// What is wrong.
        why: String,
    },
    /// The time zone.
    #[error("there is no time zone {zone:?}; name one like \"Europe/Berlin\" or \"UTC\"")]
    Zone {
        /// As it was given.
        zone: String,
    },
    /// The name.
    #[error("{name:?} cannot be the name of a schedule: {why}")]
    Name {
        /// As it was given.
        name: String,
        /// Why not.
        why: String,
    },
    /// It never fires.
    #[error("the cron expression {cron:?} never comes true")]
    Never {
        /// As it was given.
        cron: String,
    },
}

/// When an orchestration is started, and with what.
#[derive(Clone, Debug)]
pub struct Schedule {
    name: String,
    orchestrator: String,
    input: Json,
    cron: Cron,
    zone: TimeZone,
    missed: Missed,
    /// The expression and the zone, as they were given.
    written: (String, String),
}

/// How far a schedule has come, as it is noted.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Noted {
    /// Its firings up to this time are seen to.
    at: Millis,
    cron: String,
    zone: String,
}

impl Schedule {
    /// Starts `orchestrator` with `input` when `cron` (5 fields, or 6 with
    /// seconds first) says so in the time zone. Instances and the note are
    /// called after `name`.
    ///
    /// # Errors
    /// When the expression, the zone or the name is wrong.
    pub fn new(
        name: &str,
        orchestrator: &str,
        input: Json,
        cron: &str,
        zone: &str,
        missed: Missed,
    ) -> Result<Self, ScheduleError> {
        let parser =
            CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).build();
        let wrong = |why: String| ScheduleError::Cron { cron: cron.to_owned(), why };
        // Names like @daily are not taken: there would be two ways to say it.
        if cron.trim_start().starts_with('@') {
            return Err(wrong("it has to have 5 or 6 fields".to_owned()));
        }
        let parsed = parser.parse(cron).map_err(|error| wrong(error.to_string()))?;
        let known = TimeZone::get(zone);
        let time_zone = known.map_err(|_| ScheduleError::Zone { zone: zone.to_owned() })?;
        let schedule = Schedule {
            name: name.to_owned(),
            orchestrator: orchestrator.to_owned(),
            input,
            cron: parsed,
            zone: time_zone,
            missed,
            written: (cron.to_owned(), zone.to_owned()),
        };
        let id = schedule.instance_id(0);
        check_instance_id(&id).map_err(|error| ScheduleError::Name {
            name: name.to_owned(),
            why: error.to_string(),
        })?;
        // From any leap year on; what does not come true in the years that are
        // looked at never will.
        match schedule.after(1_704_067_200_000) {
            Some(_) => Ok(schedule),
            None => Err(ScheduleError::Never { cron: cron.to_owned() }),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it starts.
    pub fn orchestrator(&self) -> &str {
        &self.orchestrator
    }

    /// What it is started with.
    pub fn input(&self) -> &Json {
        &self.input
    }

    /// When it next fires after this time.
    pub fn after(&self, at: Millis) -> Option<Millis> {
        let at = Timestamp::from_millisecond(i64::try_from(at).ok()?).ok()?;
        let next = self.cron.find_next_occurrence(&at.to_zoned(self.zone.clone()), false).ok()?;
        u64::try_from(next.timestamp().as_millisecond()).ok()
    }

    /// The id of the instance that it starts at this time:
    /// `Nightly-20261123T104500Z`.
    pub fn instance_id(&self, at: Millis) -> String {
        let at = i64::try_from(at).ok().and_then(|at| Timestamp::from_millisecond(at).ok());
        let at = at.unwrap_or(Timestamp::MAX);
        format!("{}-{}", self.name, at.strftime("%Y%m%dT%H%M%SZ"))
    }

    /// Its firings after `after` and up to `now`, at most the latest so many
    /// that any rule makes up for.
    fn due(&self, after: Millis, now: Millis) -> Vec<Millis> {
        // Backwards: a host may have been away for months, and a schedule may
        // fire each second.
        let mut due = Vec::new();
        // In whole seconds, as expressions are.
        let mut before = (now / 1_000).saturating_add(1).saturating_mul(1_000);
        while let Some(at) = self.before(before).filter(|at| *at > after) {
            due.push(at);
            before = at;
            if due.len() > MOST_MISSED {
                break;
            }
        }
        due.reverse();
        due
    }

    /// When it last fired before this time.
    fn before(&self, at: Millis) -> Option<Millis> {
        let at = Timestamp::from_millisecond(i64::try_from(at).ok()?).ok()?;
        let at = at.to_zoned(self.zone.clone());
        let last = self.cron.find_previous_occurrence(&at, false).ok()?;
        u64::try_from(last.timestamp().as_millisecond()).ok()
    }

    fn note_name(&self) -> String {
        format!("schedule/{}", self.name)
    }

    fn noted(&self, at: Millis) -> Noted {
        let (cron, zone) = self.written.clone();
        Noted { at, cron, zone }
    }
}

impl Engine {
    /// Puts these schedules in the place of those there were.
    pub fn set_schedules(&self, schedules: Vec<Schedule>) {
        let inner = &self.inner;
        let mut running = inner.schedules.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for (_, old) in running.drain(..) {
            old.abort();
        }
        for schedule in schedules {
            let schedule = Arc::new(schedule);
            let follow = follow(self.clone(), schedule.clone());
            running.push((schedule, tokio::spawn(follow)));
        }
    }

    /// The schedule that fires next, and when.
    pub(crate) fn next_firing(&self) -> Option<(Millis, String)> {
        let now = self.clock().now();
        let running =
            self.inner.schedules.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let next = |schedule: &Schedule| Some((schedule.after(now)?, schedule.name.clone()));
        running.iter().filter_map(|(schedule, _)| next(schedule)).min()
    }
}

/// Follows one schedule, for ever.
async fn follow(engine: Engine, schedule: Arc<Schedule>) {
    let inner = &engine.inner;
    let began = inner.clock().now();
    let mut done = match last_noted(inner, &schedule).await {
        Some(Some(noted)) => noted,
        Some(None) if note(inner, &schedule, began).await => began,
        _ => return,
    };
    loop {
        let now = inner.clock().now();
        let due = schedule.due(done, now);
        let on_time = |at: &Millis| *at > began && !is_late(inner, *at, now);
        let first_on_time = due.iter().position(on_time).unwrap_or(due.len());
        let (missed, on_time) = due.split_at(first_on_time);
        // A latest one that is on time makes up for those before it.
        let made_up = match schedule.missed {
            Missed::Once if !on_time.is_empty() => &[],
            rule => rule.of(missed),
        };
        if !missed.is_empty() {
            let (missed, made_up) = (missed.len(), made_up.len());
            tracing::warn!(schedule = schedule.name, missed, made_up, "firings were missed");
        }
        for at in made_up.iter().chain(on_time) {
            if !fire(&engine, &schedule, *at).await || !note(inner, &schedule, *at).await {
                return;
            }
        }
        if let Some(last) = due.last() {
            // Where the last ones were skipped, that is noted too.
            if on_time.is_empty() && !note(inner, &schedule, *last).await {
                return;
            }
            done = *last;
        }
        match schedule.after(done.max(now)) {
            Some(next) => inner.clock().reached(next).await,
            None => {
                tracing::warn!(schedule = schedule.name, "it never fires again");
                return;
            }
        }
    }
}

fn is_late(inner: &Inner, at: Millis, now: Millis) -> bool {
    let late = now.saturating_sub(at) as f64 / inner.clock().factor();
    late > LATE.as_millis() as f64
}

/// How far the schedule had come. `None` in it where nothing is noted, or it
/// was of another expression; `None` where the host goes down.
async fn last_noted(inner: &Inner, schedule: &Schedule) -> Option<Option<Millis>> {
    let name = schedule.note_name();
    loop {
        let (store, name) = (inner.store.clone(), name.clone());
        match tokio::task::spawn_blocking(move || store.note(&name)).await.ok()? {
            Ok(text) => {
                let noted = text.and_then(|text| serde_json::from_str::<Noted>(&text).ok());
                // One whose expression was changed begins anew.
                return Some(noted.filter(|it| *it == schedule.noted(it.at)).map(|it| it.at));
            }
            Err(error) => {
                tracing::error!(schedule = schedule.name, %error, "it cannot be read how far it has come; trying again");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Notes how far the schedule has come. False where the host goes down.
async fn note(inner: &Inner, schedule: &Schedule, at: Millis) -> bool {
    let Ok(value) = serde_json::to_string(&schedule.noted(at)) else { return false };
    loop {
        let write = Write::SetNote { name: schedule.note_name(), value: Some(value.clone()) };
        match inner.writer.write(write).await {
            Ok(_) => return true,
            Err(_) if inner.stopping.load(std::sync::atomic::Ordering::SeqCst) => return false,
            Err(error) => {
                tracing::error!(schedule = schedule.name, %error, "it cannot be noted how far it has come; trying again");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Starts what a firing is for, unless it was. False where the host goes down.
async fn fire(engine: &Engine, schedule: &Schedule, at: Millis) -> bool {
    let id = schedule.instance_id(at);
    loop {
        let request = StartRequest {
            name: schedule.orchestrator.clone(),
            id: Some(id.clone()),
            input: schedule.input.clone(),
            version: None,
            trace_parent: None,
            deadline: None,
            tags: Default::default(),
            start_at: None,
        };
        match engine.start_once(request).await {
            Ok(_) | Err(StartError::Exists { .. }) => return true,
            Err(StartError::ShuttingDown) => return false,
            Err(StartError::Store(error)) => {
                tracing::error!(
                    schedule = schedule.name,
                    instance = id,
                    error,
                    "what is scheduled was not started; trying again"
                );
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => {
                tracing::error!(schedule = schedule.name, instance = id, %error, "what is scheduled cannot be started; this firing is left out");
                return true;
            }
        }
    }
}

#[cfg(test)]
mod tests;
