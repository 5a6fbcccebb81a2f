//! The check file: what the components do not tell about themselves.

use std::collections::BTreeMap;
use std::ops::Range;

use sagahost_core::Json;
use serde::Deserialize;
use toml::Spanned;

use crate::bounds::GivenBounds;
use crate::error::CheckFileError;
use crate::expr::Expr;

/// What an undo that an orchestrator calls by hand makes of a step that has no
/// effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Absent {
    /// It finds that out by itself, and does nothing.
    Allowed,
    /// It does harm, also where the host calls it.
    Refused,
}

/// Which effect an undo called by hand removes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Matches {
    /// That of the step with the same input.
    Input,
    /// The last one that is in place.
    Any,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Order {
    Reverse,
    Any,
}

/// Whether an awaited event is raised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Raised {
    /// Sooner or later.
    #[default]
    Always,
    /// Perhaps.
    Maybe,
    /// Never.
    Never,
}

/// An output of an activity.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample {
    /// The value.
    pub(crate) value: Json,
    /// Whether the activity's effect is in place then.
    pub(crate) applied: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Names {
    One(String),
    Many(Vec<String>),
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct WrittenActivity {
    effect: Option<bool>,
    pure: Option<bool>,
    outputs: Option<Vec<Spanned<toml::Value>>>,
    failures: Option<Vec<String>>,
    unknown: Option<bool>,
    undoes: Option<Names>,
    absent: Option<Absent>,
    matches: Option<Matches>,
    order: Option<Order>,
    optional: Option<bool>,
}

/// An operation of an entity.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct WrittenOperation {
    outputs: Option<Vec<Spanned<toml::Value>>>,
    failures: Option<Vec<String>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct WrittenEvent {
    values: Option<Vec<Spanned<toml::Value>>>,
    raised: Raised,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct WrittenInvariant {
    name: String,
    #[serde(default)]
    when: When,
    holds: Spanned<String>,
}

/// When an invariant is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum When {
    /// Whenever the saga has ended.
    #[default]
    Ended,
    /// Where it ended with an output.
    Completed,
    /// Where it ended with a failure.
    Failed,
    /// Where it was cancelled.
    Canceled,
    /// After everything that happens.
    Always,
}

type Table<T> = BTreeMap<Spanned<String>, T>;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct WrittenOrchestrator {
    skip: bool,
    input: Option<Spanned<toml::Value>>,
    inputs: Option<Vec<Spanned<toml::Value>>>,
    bounds: GivenBounds,
    activities: Table<WrittenActivity>,
    entities: Table<Table<WrittenOperation>>,
    events: BTreeMap<String, WrittenEvent>,
    invariants: Vec<WrittenInvariant>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct Written {
    input: Option<Spanned<toml::Value>>,
    inputs: Option<Vec<Spanned<toml::Value>>>,
    bounds: GivenBounds,
    activities: Table<WrittenActivity>,
    entities: Table<Table<WrittenOperation>>,
    events: BTreeMap<String, WrittenEvent>,
    invariants: Vec<WrittenInvariant>,
    orchestrators: BTreeMap<Spanned<String>, WrittenOrchestrator>,
}

/// A check file.
#[derive(Clone, Debug, Default)]
pub struct CheckFile {
    text: String,
    written: Written,
}

/// What is known of an activity beside its description.
#[derive(Clone, Debug, Default)]
pub(crate) struct ActivitySpec {
    pub(crate) effect: Option<bool>,
    pub(crate) outputs: Option<Vec<Sample>>,
    pub(crate) failures: Option<Vec<String>>,
    pub(crate) unknown: Option<bool>,
    pub(crate) undoes: Option<Vec<String>>,
    pub(crate) absent: Option<Absent>,
    pub(crate) matches: Option<Matches>,
    pub(crate) any_order: bool,
    pub(crate) optional: bool,
}

/// What is known of an operation of an entity beside its description.
#[derive(Clone, Debug, Default)]
pub(crate) struct OperationSpec {
    pub(crate) outputs: Option<Vec<Json>>,
    pub(crate) failures: Option<Vec<String>>,
}

#[derive(Clone, Debug)]
pub(crate) struct EventSpec {
    pub(crate) values: Vec<Json>,
    pub(crate) raised: Raised,
}

/// An invariant that the saga's author wants to hold.
#[derive(Clone, Debug)]
pub(crate) struct Invariant {
    pub(crate) name: String,
    pub(crate) when: When,
    pub(crate) text: String,
    pub(crate) holds: Expr,
}

/// What a check file says about one orchestrator.
#[derive(Clone, Debug, Default)]
pub struct Spec {
    /// The inputs it is tried with.
    pub inputs: Vec<Json>,
    /// How far is looked.
    pub bounds: GivenBounds,
    pub(crate) activities: BTreeMap<String, ActivitySpec>,
    /// By the name of the entity, and their own.
    pub(crate) operations: BTreeMap<(String, String), OperationSpec>,
    pub(crate) events: BTreeMap<String, EventSpec>,
    pub(crate) invariants: Vec<Invariant>,
}

impl CheckFile {
    /// Reads a check file.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn parse(text: &str) -> Result<Self, CheckFileError> {
        let written: Written = toml::from_str(text).map_err(|error| {
            let reason = error.message().trim().replace('\n', "; ");
            wrong(text, error.span().unwrap_or(0..0), reason)
        })?;
        let file = CheckFile { text: text.to_owned(), written };
        file.spec("")?;
        for name in file.written.orchestrators.keys() {
            file.spec(name.get_ref())?;
        }
        Ok(file)
    }

    /// Whether the file leaves an orchestrator out.
    pub fn skips(&self, orchestrator: &str) -> bool {
        let found = self.written.orchestrators.get(orchestrator);
        found.is_some_and(|written| written.skip)
    }

    /// Checks the names in it against those that there are; of entities, with
    /// their operations. One that names none may have any.
    ///
    /// # Errors
    /// The first name that there is not.
    pub fn check_names(
        &self,
        activities: &[&str],
        orchestrators: &[&str],
        entities: &BTreeMap<&str, Vec<&str>>,
    ) -> Result<(), CheckFileError> {
        let mut tables = vec![&self.written.activities];
        let mut told = vec![&self.written.entities];
        for (name, written) in &self.written.orchestrators {
            self.known(name, orchestrators, "orchestrator")?;
            tables.push(&written.activities);
            told.push(&written.entities);
        }
        let names: Vec<&str> = entities.keys().copied().collect();
        for (entity, operations) in told.into_iter().flatten() {
            self.known(entity, &names, "entity")?;
            let known = entities.get(entity.get_ref().as_str()).filter(|it| !it.is_empty());
            for name in known.into_iter().flat_map(|_| operations.keys()) {
                self.known(name, known.map_or(&[], Vec::as_slice), "operation")?;
            }
        }
        for table in tables {
            for name in table.keys() {
                self.known(name, activities, "activity")?;
            }
        }
        let own = self.written.orchestrators.values().flat_map(|written| &written.invariants);
        for invariant in self.written.invariants.iter().chain(own) {
            let expr = self.expr(&invariant.holds)?;
            let mut names = Vec::new();
            expr.activities(&mut names);
            if let Some(name) = names.into_iter().find(|name| !activities.contains(name)) {
                let known = activities.join(", ");
                let reason = format!("there is no activity `{name}`; there are {known}");
                return Err(wrong(&self.text, invariant.holds.span(), reason));
            }
        }
        Ok(())
    }

    fn known(
        &self,
        name: &Spanned<String>,
        known: &[&str],
        what: &str,
    ) -> Result<(), CheckFileError> {
        if known.contains(&name.get_ref().as_str()) {
            return Ok(());
        }
        let reason =
            format!("there is no {what} `{}`; there are {}", name.get_ref(), known.join(", "));
        Err(wrong(&self.text, name.span(), reason))
    }

    /// What it says about one orchestrator: what stands in its own table goes
    /// before what is said of all.
    ///
    /// # Errors
    /// The first value that is wrong.
    pub fn spec(&self, orchestrator: &str) -> Result<Spec, CheckFileError> {
        let none = WrittenOrchestrator::default();
        let own = self.written.orchestrators.get(orchestrator).unwrap_or(&none);
        let all = &self.written;
        let mut inputs = self.inputs(&own.input, &own.inputs)?;
        if inputs.is_empty() {
            inputs = self.inputs(&all.input, &all.inputs)?;
        }
        let mut activities = BTreeMap::new();
        for (name, written) in all.activities.iter().chain(&own.activities) {
            let spec: &mut ActivitySpec = activities.entry(name.get_ref().clone()).or_default();
            self.activity(written, spec)?;
        }
        let mut operations = BTreeMap::new();
        for (entity, written) in all.entities.iter().chain(&own.entities) {
            for (name, written) in written {
                let name = (entity.get_ref().clone(), name.get_ref().clone());
                let spec: &mut OperationSpec = operations.entry(name).or_default();
                if let Some(outputs) = &written.outputs {
                    let outputs = outputs.iter().map(|output| self.json(output));
                    spec.outputs = Some(outputs.collect::<Result<_, _>>()?);
                }
                spec.failures = written.failures.clone().or(spec.failures.take());
            }
        }
        let mut events = BTreeMap::new();
        for (name, written) in all.events.iter().chain(&own.events) {
            let values = match &written.values {
                None => vec![Json::null()],
                Some(values) => {
                    values.iter().map(|value| self.json(value)).collect::<Result<_, _>>()?
                }
            };
            events.insert(name.clone(), EventSpec { values, raised: written.raised });
        }
        let invariants = all.invariants.iter().chain(&own.invariants).map(|written| {
            Ok(Invariant {
                name: written.name.clone(),
                when: written.when,
                text: written.holds.get_ref().clone(),
                holds: self.expr(&written.holds)?,
            })
        });
        let invariants = invariants.collect::<Result<_, _>>()?;
        let bounds = own.bounds.or(&all.bounds);
        Ok(Spec { inputs, bounds, activities, operations, events, invariants })
    }

    fn inputs(
        &self,
        one: &Option<Spanned<toml::Value>>,
        many: &Option<Vec<Spanned<toml::Value>>>,
    ) -> Result<Vec<Json>, CheckFileError> {
        one.iter().chain(many.iter().flatten()).map(|value| self.json(value)).collect()
    }

    fn activity(
        &self,
        written: &WrittenActivity,
        spec: &mut ActivitySpec,
    ) -> Result<(), CheckFileError> {
        spec.effect = written.effect.or(written.pure.map(|pure| !pure)).or(spec.effect);
        if let Some(outputs) = &written.outputs {
            let outputs = outputs.iter().map(|output| self.sample(output));
            spec.outputs = Some(outputs.collect::<Result<_, _>>()?);
        }
        spec.failures = written.failures.clone().or(spec.failures.take());
        spec.unknown = written.unknown.or(spec.unknown);
        match &written.undoes {
            Some(Names::One(name)) => spec.undoes = Some(vec![name.clone()]),
            Some(Names::Many(names)) => spec.undoes = Some(names.clone()),
            None => {}
        }
        spec.absent = written.absent.or(spec.absent);
        spec.matches = written.matches.or(spec.matches);
        if let Some(order) = written.order {
            spec.any_order = order == Order::Any;
        }
        spec.optional = written.optional.unwrap_or(spec.optional);
        Ok(())
    }

    /// `true`, or `{value = true, applied = false}`.
    fn sample(&self, written: &Spanned<toml::Value>) -> Result<Sample, CheckFileError> {
        let table = written.get_ref().as_table().filter(|table| {
            let known = |key: &String| ["value", "json", "applied"].contains(&key.as_str());
            table.keys().all(known) && (table.contains_key("value") || table.contains_key("json"))
        });
        let Some(table) = table else {
            return Ok(Sample { value: self.json(written)?, applied: true });
        };
        let applied = match table.get("applied") {
            None => true,
            Some(toml::Value::Boolean(applied)) => *applied,
            Some(_) => {
                let reason = "`applied` is true or false".to_owned();
                return Err(wrong(&self.text, written.span(), reason));
            }
        };
        let value = match table.get("value") {
            Some(value) => self.convert(value, written.span())?,
            None => self.json(written)?,
        };
        Ok(Sample { value, applied })
    }

    /// A value as it is written in TOML; `{json = 'null'}` for what TOML cannot
    /// say.
    fn json(&self, written: &Spanned<toml::Value>) -> Result<Json, CheckFileError> {
        self.convert(written.get_ref(), written.span())
    }

    fn convert(&self, value: &toml::Value, span: Range<usize>) -> Result<Json, CheckFileError> {
        let text = value.as_table().and_then(|table| table.get("json")).and_then(|it| it.as_str());
        let json = match text {
            Some(text) => Json::parse(text),
            None => Json::of(value),
        };
        json.map_err(|error| wrong(&self.text, span, format!("this is not JSON: {error}")))
    }

    fn expr(&self, written: &Spanned<String>) -> Result<Expr, CheckFileError> {
        Expr::parse(written.get_ref()).map_err(|error| {
            // Right for what stands on one line without escapes, which is
            // what invariants are.
            let quote = 1;
            let bytes = written.get_ref().chars().take(error.at).map(char::len_utf8).sum::<usize>();
            let at = written.span().start + quote + bytes;
            wrong(&self.text, at..at, error.reason)
        })
    }
}

fn wrong(text: &str, span: Range<usize>, reason: String) -> CheckFileError {
    let before = text.get(..span.start).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    CheckFileError { line, column, reason }
}

#[cfg(test)]
mod tests;
