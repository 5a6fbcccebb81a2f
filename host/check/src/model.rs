//! What is known of the functions: what they answer, whether they do anything,
//! and what undoes what.

use std::collections::{BTreeSet, HashMap};

use sagahost_core::Json;
use sagahost_wasm::FunctionKind;

use crate::checkfile::{Absent, EventSpec, Invariant, Matches, Raised, Sample, Spec};
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
}

/// All that a check knows beside the orchestrator's code.
#[derive(Debug)]
pub(crate) struct Model {
    activities: HashMap<String, Activity>,
    unheard_of: Activity,
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
            let said = spec.activities.get(&function.name);
            activity.outputs = match said.and_then(|said| said.outputs.clone()) {
                Some(outputs) => outputs,
                None => {
                    let values = samples::all(function.output_schema.as_ref()).into_iter();
                    values.map(|value| Sample { value, applied: true }).collect()
                }
            };
            activity.undoes.extend(function.undoes.clone());
            if let Some(said) = said {
                activity.failures = said.failures.clone().unwrap_or(activity.failures);
                activity.unknown = said.unknown.unwrap_or(true);
                if let Some(undoes) = &said.undoes {
                    activity.undoes = undoes.iter().cloned().collect();
                }
                activity.absent = said.absent;
                activity.matches = said.matches;
                activity.any_order = said.any_order;
                activity.optional = said.optional;
                activity.effect = said.effect.unwrap_or(true);
            }
            activities.insert(function.name.clone(), activity);
        }
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
            if said.is_none() && !known && program.is_granted_nothing(name) {
                activity.effect = false;
                sandboxed.insert(name.clone());
            }
        }
        let any_event = EventSpec { values: vec![Json::null()], raised: Raised::Always };
        Model {
            activities,
            unheard_of: Activity::unheard_of(),
            events: spec.events.clone().into_iter().collect(),
            any_event,
            invariants: spec.invariants.clone(),
            sandboxed,
        }
    }

    pub(crate) fn of(&self, activity: &str) -> &Activity {
        self.activities.get(activity).unwrap_or(&self.unheard_of)
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
