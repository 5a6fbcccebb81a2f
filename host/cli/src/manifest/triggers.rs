//! What starts orchestrations by itself, and what removes them: `[[routes]]`,
//! `[[schedules]]` and `[retention]`.

use std::time::Duration;

use sagahost_core::{Json, RuntimeStatus};
use sagahost_engine::{Missed, Retention, Schedule};
use sagahost_http::{IdFrom, Trigger, TriggerInput, TriggerKey};
use sagahost_wasm::HumanDuration;
use serde::{Deserialize, Deserializer};
use toml::Spanned;

/// A route of an orchestrator's own:
///
/// ```toml
/// [[routes]]
/// start = "OrderSaga"
/// method = "POST"
/// path = "/orders/{orderId}"
/// instance-id = "path:orderId"
/// input = "body"
/// wait = "10s"
/// key = "use"
/// ```
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Route {
    /// The orchestrator.
    start: String,
    #[serde(default = "post")]
    method: String,
    path: String,
    instance_id: Option<Text<IdFrom>>,
    #[serde(default)]
    input: InputOf,
    wait: Option<HumanDuration>,
    #[serde(default)]
    key: KeyOf,
}

fn post() -> String {
    "POST".to_owned()
}

/// Something that is written as text.
#[derive(Clone, Debug)]
struct Text<T>(T);

impl<'de, T: std::str::FromStr<Err = String>> Deserialize<'de> for Text<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Text).map_err(serde::de::Error::custom)
    }
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum InputOf {
    #[default]
    Body,
    Request,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum KeyOf {
    None,
    #[default]
    Use,
    Manage,
}

impl Route {
    pub(crate) fn trigger(&self) -> Result<Trigger, String> {
        let input = match self.input {
            InputOf::Body => TriggerInput::Body,
            InputOf::Request => TriggerInput::Request,
        };
        let key = match self.key {
            KeyOf::None => TriggerKey::None,
            KeyOf::Use => TriggerKey::Use,
            KeyOf::Manage => TriggerKey::Manage,
        };
        let mut trigger =
            Trigger::new(&self.start, &self.method, &self.path)?.with_input(input).with_key(key);
        if let Some(Text(id)) = &self.instance_id {
            trigger = trigger.with_id(id.clone())?;
        }
        if let Some(wait) = self.wait {
            trigger = trigger.with_wait(wait.get())?;
        }
        Ok(trigger)
    }
}

/// A time at which an orchestrator is started:
///
/// ```toml
/// [[schedules]]
/// start = "Report"
/// name = "Nightly"
/// cron = "30 2 * * *"
/// zone = "Europe/Berlin"
/// input = { days = 1 }
/// missed = "once"
/// ```
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct ScheduleOf {
    /// The orchestrator.
    start: String,
    /// What its instances are called after; the orchestrator where it is not
    /// said.
    name: Option<String>,
    cron: String,
    zone: Option<String>,
    input: Option<toml::Value>,
    #[serde(default)]
    missed: MissedOf,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum MissedOf {
    Skip,
    #[default]
    Once,
    All,
}

impl ScheduleOf {
    pub(crate) fn schedule(&self) -> Result<Schedule, String> {
        let name = self.name.as_ref().unwrap_or(&self.start);
        let zone = self.zone.as_deref().unwrap_or("UTC");
        let missed = match self.missed {
            MissedOf::Skip => Missed::Skip,
            MissedOf::Once => Missed::Once,
            MissedOf::All => Missed::All,
        };
        let input = match &self.input {
            Some(value) => {
                Json::of(&json(value)?).map_err(|error| format!("`input` is not JSON: {error}"))?
            }
            None => Json::null(),
        };
        Schedule::new(name, &self.start, input, &self.cron, zone, missed)
            .map_err(|error| error.to_string())
    }
}

/// TOML as JSON. A date or time is its text.
fn json(value: &toml::Value) -> Result<serde_json::Value, String> {
    use serde_json::Value;
    Ok(match value {
        toml::Value::String(text) => Value::from(text.as_str()),
        toml::Value::Integer(number) => Value::from(*number),
        toml::Value::Float(number) if number.is_finite() => Value::from(*number),
        toml::Value::Float(number) => {
            return Err(format!("`input` has {number} in it, and JSON has no such number"));
        }
        toml::Value::Boolean(value) => Value::from(*value),
        toml::Value::Datetime(time) => Value::from(time.to_string()),
        toml::Value::Array(items) => items.iter().map(json).collect::<Result<_, _>>()?,
        toml::Value::Table(table) => Value::Object(
            table
                .iter()
                .map(|(name, value)| Ok((name.clone(), json(value)?)))
                .collect::<Result<_, String>>()?,
        ),
    })
}

/// `[retention]`: how long instances are kept after their end, by how they
/// ended.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct RetentionOf {
    completed: Option<Age>,
    failed: Option<Age>,
    canceled: Option<Age>,
    terminated: Option<Age>,
}

/// How long something is kept.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Age(Duration);

impl<'de> Deserialize<'de> for Age {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match HumanDuration::deserialize(deserializer)?.get() {
            Duration::ZERO => Err(serde::de::Error::custom(
                "how long instances are kept must be longer than 0; leave it out to keep them until they are purged by hand",
            )),
            age => Ok(Age(age)),
        }
    }
}

impl RetentionOf {
    pub(crate) fn retention(&self) -> Retention {
        let ages = [
            (RuntimeStatus::Completed, self.completed),
            (RuntimeStatus::Failed, self.failed),
            (RuntimeStatus::Canceled, self.canceled),
            (RuntimeStatus::Terminated, self.terminated),
        ];
        Retention::new(ages.into_iter().filter_map(|(status, age)| Some((status, age?.0))))
    }
}

/// The routes; or where one is wrong (as a place in the manifest), and why.
pub(crate) fn triggers(routes: &[Spanned<Route>]) -> Result<Vec<Trigger>, (usize, String)> {
    let mut all: Vec<Trigger> = Vec::new();
    for route in routes {
        let wrong = |why| (route.span().start, format!("the route of {}: {why}", start(route)));
        let trigger = route.get_ref().trigger().map_err(wrong)?;
        if let Some(why) = all.iter().find_map(|other| trigger.conflict(other)) {
            return Err(wrong(why));
        }
        all.push(trigger);
    }
    Ok(all)
}

fn start(route: &Spanned<Route>) -> &str {
    &route.get_ref().start
}

/// The schedules; or where one is wrong, and why.
pub(crate) fn schedules(
    schedules: &[Spanned<ScheduleOf>],
) -> Result<Vec<Schedule>, (usize, String)> {
    let mut all: Vec<Schedule> = Vec::new();
    for written in schedules {
        let start = &written.get_ref().start;
        let wrong = |why| (written.span().start, format!("the schedule of {start}: {why}"));
        let schedule = written.get_ref().schedule().map_err(wrong)?;
        if all.iter().any(|other| other.name() == schedule.name()) {
            return Err(wrong(format!(
                "there are two with the name {}, after which instances are called; give one a `name` of its own",
                schedule.name()
            )));
        }
        all.push(schedule);
    }
    Ok(all)
}
