//! What is known of the functions: what they answer, whether they do anything,
//! and what undoes what.

use std::collections::{BTreeSet, HashMap};

use sagahost_core::{EntityId, HTTP_FUNCTION, Json};
use sagahost_wasm::FunctionKind;
use serde_json::{Value, json};

use crate::checkfile::{Absent, ActivitySpec, EventSpec, Invariant, Matches, Raised, Sample, Spec};
use crate::program::Program;
use crate::samples;

/// The code of a failure that an activity returns, where the check file names
/// none.
const FAILURE: &str = "failed";

/// What is known of an activity.
#[derive(Clone, Debug)]
pub(crate) struct Activity {
    /// Whether it changes anything.
    pub(crate) effect: bool,
    /// What it undoes.
    pub(crate) undoes: BTreeSet<String>,
    /// Whether an activity is known that undoes it.
    pub(crate) has_undo: bool,
    pub(crate) outputs: Vec<Sample>,
    pub(crate) failures: Vec<String>,
    /// Whether it may end so that nobody knows what it did.
    pub(crate) unknown: bool,
    pub(crate) absent: Option<Absent>,
    pub(crate) matches: Option<Matches>,
    pub(crate) any_order: bool,
    /// Whether a saga may commit without it.
    pub(crate) optional: bool,
}

impl Activity {
    fn unheard_of() -> Self {
        Activity {
            effect: true,
            undoes: BTreeSet::new(),
            has_undo: false,
            outputs: vec![Sample { value: Json::null(), applied: true }],
            failures: vec![FAILURE.to_owned()],
            unknown: true,
            absent: None,
            matches: None,
            any_order: false,
            optional: false,
        }
    }

    /// An HTTP request that an orchestrator makes as a step: the other side does
    /// it, or says that something went wrong there, and then it may have done it
    /// or not.
    fn http() -> Self {
        let answer = |status: u16, applied| {
            let value = json!({ "status": status, "headers": {}, "body": null });
            Sample { value: Json::of(&value).unwrap_or_else(|_| Json::null()), applied }
        };
        Activity {
            outputs: vec![answer(200, true), answer(500, false), answer(500, true)],
            failures: vec!["http.unreachable".to_owned()],
            ..Activity::unheard_of()
        }
    }

    /// What the check file says of it goes before what is known.
    fn told(&mut self, said: &ActivitySpec) {
        if let Some(outputs) = &said.outputs {
            self.outputs = outputs.clone();
        }
        if let Some(failures) = &said.failures {
            self.failures = failures.clone();
        }
        self.unknown = said.unknown.unwrap_or(true);
        if let Some(undoes) = &said.undoes {
            self.undoes = undoes.iter().cloned().collect();
        }
        self.absent = said.absent;
        self.matches = said.matches;
        self.any_order = said.any_order;
        self.optional = said.optional;
        self.effect = said.effect.unwrap_or(true);
    }
}

/// What is known of an operation of an entity.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) outputs: Vec<Json>,
    pub(crate) failures: Vec<String>,
}

impl Operation {
    fn answers(schema: Option<&Value>) -> Self {
        Operation { outputs: samples::all(schema), failures: vec![FAILURE.to_owned()] }
    }
}

/// All that a check knows beside the orchestrator's code.
#[derive(Debug)]
pub(crate) struct Model {
    activities: HashMap<String, Activity>,
    unheard_of: Activity,
    /// By the name of the entity, and their own.
    operations: HashMap<(String, String), Operation>,
    any_operation: Operation,
    events: HashMap<String, EventSpec>,
    any_event: EventSpec,
    pub(crate) invariants: Vec<Invariant>,
    /// Activities that were granted nothing, and so can have no effect.
    pub(crate) sandboxed: BTreeSet<String>,
}

impl Model {
    pub(crate) fn new(program: &Program, spec: &Spec) -> Self {
        let functions = program.functions();
        let mut activities = HashMap::new();
        let mut sandboxed = BTreeSet::new();
        for function in functions.iter().filter(|it| it.kind == FunctionKind::Activity) {
            let mut activity = Activity::unheard_of();
            let values = samples::all(function.output_schema.as_ref()).into_iter();
            activity.outputs = values.map(|value| Sample { value, applied: true }).collect();
            activity.undoes.extend(function.undoes.clone());
            if let Some(said) = spec.activities.get(&function.name) {
                activity.told(said);
            }
            activities.insert(function.name.clone(), activity);
        }
        let mut http = Activity::http();
        if let Some(said) = spec.activities.get(HTTP_FUNCTION) {
            http.told(said);
        }
        activities.insert(HTTP_FUNCTION.to_owned(), http);
        for function in &functions {
            if let Some(undo) = &function.undo
                && let Some(undo) = activities.get_mut(undo)
            {
                undo.undoes.insert(function.name.clone());
            }
        }
        let undone: BTreeSet<String> =
            activities.values().flat_map(|activity| activity.undoes.clone()).collect();
        for (name, activity) in &mut activities {
            activity.has_undo = undone.contains(name);
            let said = spec.activities.get(name).and_then(|said| said.effect);
            let known = activity.has_undo || !activity.undoes.is_empty();
            let http = name == HTTP_FUNCTION;
            if said.is_none() && !known && !http && program.is_granted_nothing(name) {
                activity.effect = false;
                sandboxed.insert(name.clone());
            }
        }
        let mut operations = HashMap::new();
        for function in functions.iter().filter(|it| it.kind == FunctionKind::Entity) {
            for (name, operation) in &function.operations {
                let known = Operation::answers(operation.output_schema.as_ref());
                operations.insert((function.name.clone(), name.clone()), known);
            }
        }
        let any_operation = Operation::answers(None);
        for (name, said) in &spec.operations {
            let known = operations.entry(name.clone()).or_insert_with(|| any_operation.clone());
            if let Some(outputs) = &said.outputs {
                known.outputs = outputs.clone();
            }
            if let Some(failures) = &said.failures {
                known.failures = failures.clone();
            }
        }
        let any_event = EventSpec { values: vec![Json::null()], raised: Raised::Always };
        Model {
            activities,
            unheard_of: Activity::unheard_of(),
            operations,
            any_operation,
            events: spec.events.clone().into_iter().collect(),
            any_event,
            invariants: spec.invariants.clone(),
            sandboxed,
        }
    }

    pub(crate) fn of(&self, activity: &str) -> &Activity {
        self.activities.get(activity).unwrap_or(&self.unheard_of)
    }

    pub(crate) fn operation(&self, entity: &EntityId, operation: &str) -> &Operation {
        let name = (entity.name.clone(), operation.to_owned());
        self.operations.get(&name).unwrap_or(&self.any_operation)
    }

    /// Whether a call with this input changes anything. HTTP has methods that
    /// never do.
    pub(crate) fn has_effect(&self, activity: &str, input: &Json) -> bool {
        let safe = || {
            let input = input.to_value();
            let method = input.get("method").and_then(Value::as_str).unwrap_or("GET");
            ["GET", "HEAD", "OPTIONS", "TRACE"].iter().any(|it| it.eq_ignore_ascii_case(method))
        };
        self.of(activity).effect && !(activity == HTTP_FUNCTION && safe())
    }

    pub(crate) fn event(&self, name: &str) -> &EventSpec {
        self.events.get(name).unwrap_or(&self.any_event)
    }

    /// Whether this activity removes that one's effect when the host calls it
    /// for that: not where it is known to undo something else, or that one to
    /// be undone by something else.
    pub(crate) fn removes(&self, undo: &str, activity: &str) -> bool {
        let of = self.of(undo);
        of.undoes.contains(activity) || of.undoes.is_empty()
    }
}
