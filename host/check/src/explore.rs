//! Goes through all that can happen, each state once.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::{Duration, Instant};

use sagahost_core::Json;

use crate::bounds::{Bounds, Cut};
use crate::checkfile::Spec;
use crate::choice::Choice;
use crate::error::CheckError;
use crate::fault::{Fault, Rule};
use crate::model::Model;
use crate::program::Program;
use crate::turn::{Stepped, Stepper};
use crate::world::World;

/// A number of a state that was found.
pub(crate) type State = u32;

/// What was found of one orchestrator with one input.
#[derive(Clone, Debug)]
pub struct Exploration {
    /// The orchestrator.
    pub orchestrator: String,
    /// Its input.
    pub input: Json,
    /// States that are not the same.
    pub states: u64,
    /// Things that happened from one state to another.
    pub steps: u64,
    /// Ways from the beginning to an end; as many as a float can count.
    pub paths: f64,
    /// The ends that are not the same, by how the saga ended.
    pub ends: BTreeMap<String, u64>,
    /// How long it took.
    pub took: Duration,
    /// How often WebAssembly was run.
    pub runs: u64,
    /// How far was looked.
    pub bounds: Bounds,
    /// The bounds that cut something off. Where there is none, all was looked
    /// at.
    pub cut: BTreeSet<Cut>,
    /// What must not be, and was found: one for each cause.
    pub findings: Vec<Finding>,
    /// What was taken to be so.
    pub notes: Vec<String>,
    /// What was checked, by name.
    pub rules: Vec<String>,
}

/// Faults with one cause.
#[derive(Clone, Debug)]
pub struct Finding {
    /// What does not hold.
    pub rule: Rule,
    /// What is wrong, in a sentence.
    pub detail: String,
    /// The functions that it was found with.
    pub functions: BTreeSet<String>,
    /// In how many places it was found.
    pub count: u64,
    /// The shortest way to it, as `--story` reads it.
    pub story: String,
}

impl Exploration {
    /// Whether nothing was found, and nothing was cut off.
    pub fn is_proven(&self) -> bool {
        self.findings.is_empty() && self.cut.is_empty()
    }

    /// States looked at in a second.
    pub fn states_per_second(&self) -> f64 {
        self.states as f64 / self.took.as_secs_f64().max(1e-9)
    }
}

/// How a state was first come to.
pub(crate) struct Arrival {
    from: State,
    choice: Choice,
    depth: u32,
    /// The weight of all that led there.
    weight: u32,
}

pub(crate) struct Explorer<'a> {
    pub(crate) stepper: Stepper<'a>,
    seen: HashMap<u128, State>,
    pub(crate) arrivals: Vec<Option<Arrival>>,
    edges: Vec<(State, State)>,
    /// Those edges along which nothing goes wrong, and the states that are
    /// fine to stay in, or of which nobody knows.
    pub(crate) benign: Vec<(State, State)>,
    pub(crate) ends: BTreeSet<State>,
    pub(crate) looped: HashMap<State, String>,
    ended: BTreeMap<String, u64>,
    pub(crate) unknown: BTreeSet<State>,
    queue: VecDeque<(State, World)>,
    found: Vec<Found>,
    groups: HashMap<(Rule, String), usize>,
    pub(crate) cut: BTreeSet<Cut>,
}

struct Found {
    fault: Fault,
    functions: BTreeSet<String>,
    count: u64,
    choices: Vec<Choice>,
    weight: u32,
}

/// Goes through all that can happen to an orchestrator with this input.
///
/// Not to be called from asynchronous code: it waits.
///
/// # Errors
/// When there is no such orchestrator, or the host cannot run it.
pub fn explore(
    program: &Program,
    orchestrator: &str,
    input: &Json,
    spec: &Spec,
    bounds: &Bounds,
) -> Result<Exploration, CheckError> {
    let begun = Instant::now();
    let function = program.orchestrator(orchestrator)?;
    function.check_input(input).map_err(|reason| CheckError::Input {
        orchestrator: orchestrator.to_owned(),
        input: input.as_str().to_owned(),
        reason,
    })?;
    let model = Model::new(program, spec);
    let mut explorer = Explorer {
        stepper: Stepper::new(program, &model, bounds),
        seen: HashMap::new(),
        arrivals: Vec::new(),
        edges: Vec::new(),
        benign: Vec::new(),
        ends: BTreeSet::new(),
        looped: HashMap::new(),
        ended: BTreeMap::new(),
        unknown: BTreeSet::new(),
        queue: VecDeque::new(),
        found: Vec::new(),
        groups: HashMap::new(),
        cut: BTreeSet::new(),
    };
    explorer.run(orchestrator, input, bounds, begun)?;
    explorer.no_way_out(orchestrator, input)?;
    explorer.outages(orchestrator, input)?;
    let mut notes = Vec::new();
    let called = &explorer.stepper.called;
    let sandboxed: Vec<&str> =
        model.sandboxed.iter().filter(|it| called.contains(*it)).map(String::as_str).collect();
    if !sandboxed.is_empty() {
        let names = sandboxed.join(", ");
        notes.push(format!("the manifest grants nothing to {names}: that can have no effect"));
    }
    if !explorer.stepper.uses_undo {
        let before = explorer.found.len();
        explorer.found.retain(|found| found.fault.rule != Rule::AllOrNothing);
        if before > explorer.found.len() {
            notes.push(
                "no step of this saga has an undo that is known, and none is a pivot: its \
                 activities are taken to have no effect"
                    .to_owned(),
            );
        }
    }
    if explorer.stepper.called.is_empty() {
        notes.push("with this input it calls no activity at all".to_owned());
    }
    notes.extend(explorer.stepper.passed.notes(program));
    let rules = Rule::ALL.iter().map(|rule| rule.name().to_owned());
    let own = model.invariants.iter().map(|invariant| invariant.name.clone());
    let rules = rules.chain(own).collect();
    let paths = explorer.paths();
    let found = std::mem::take(&mut explorer.found);
    let findings = found.into_iter().map(|found| Finding {
        rule: found.fault.rule,
        detail: found.fault.detail,
        functions: found.functions,
        count: found.count,
        story: found.choices.iter().map(Choice::to_string).collect::<Vec<_>>().join(" "),
    });
    Ok(Exploration {
        orchestrator: orchestrator.to_owned(),
        input: input.clone(),
        states: explorer.arrivals.len() as u64,
        steps: explorer.edges.len() as u64,
        paths,
        ends: explorer.ended,
        runs: explorer.stepper.codes.iter().map(|code| code.runs).sum(),
        bounds: bounds.clone(),
        cut: explorer.cut,
        findings: findings.collect(),
        notes,
        rules,
        took: begun.elapsed(),
    })
}

impl Explorer<'_> {
    fn run(
        &mut self,
        name: &str,
        input: &Json,
        bounds: &Bounds,
        begun: Instant,
    ) -> Result<(), CheckError> {
        let Stepped { world, faults, .. } = self.stepper.begin(name, input)?;
        self.report(faults, None, None);
        self.arrive(world, None);
        while let Some((state, world)) = self.queue.pop_front() {
            if self.arrivals.len() as u64 >= bounds.states {
                self.cut.insert(Cut::States);
                break;
            }
            if state % 64 == 0 && begun.elapsed() > bounds.time() {
                self.cut.insert(Cut::Seconds);
                break;
            }
            let depth = self.arrivals[state as usize].as_ref().map_or(0, |it| it.depth);
            let faults = self.stepper.replays(&world);
            self.report(faults, Some(state), None);
            let (choices, goes_on) = world.choices(self.stepper.model, bounds);
            if !goes_on {
                let fault = stands_still(&world);
                self.report(vec![fault], Some(state), None);
                self.unknown.insert(state);
            }
            if choices.is_empty() {
                self.unknown.insert(state);
            }
            if depth >= bounds.depth && !choices.is_empty() {
                self.cut.insert(Cut::Depth);
                self.unknown.insert(state);
                continue;
            }
            for choice in choices {
                let stepped = self.stepper.step(&world, &choice);
                if let Some(error) = self.stepper.error.take() {
                    return Err(error);
                }
                if !stepped.same {
                    self.follow(state, depth, choice, stepped);
                }
            }
        }
        Ok(())
    }

    /// Notes where a choice led to.
    fn follow(&mut self, from: State, depth: u32, choice: Choice, stepped: Stepped) {
        let Stepped { world, faults, looped, .. } = stepped;
        self.report(faults, Some(from), Some(&choice));
        if let Some(function) = looped {
            self.cut.insert(Cut::Loops);
            self.looped.entry(from).or_insert(function);
            return;
        }
        let faults = match world.has_ended() {
            true => world.judge(self.stepper.model),
            false => world.invariants(self.stepper.model, false),
        };
        self.report(faults, Some(from), Some(&choice));
        let benign = choice.is_benign();
        let weight = self.weight(from) + choice.weight();
        let to = self.arrive(world, Some(Arrival { from, choice, depth: depth + 1, weight }));
        self.edges.push((from, to));
        if benign {
            self.benign.push((from, to));
        }
    }

    fn arrive(&mut self, world: World, arrival: Option<Arrival>) -> State {
        let fingerprint = world.fingerprint();
        if let Some(state) = self.seen.get(&fingerprint) {
            return *state;
        }
        let state = self.arrivals.len() as State;
        self.seen.insert(fingerprint, state);
        self.arrivals.push(arrival);
        if world.has_ended() {
            self.ends.insert(state);
            *self.ended.entry(world.status()).or_default() += 1;
        } else {
            self.queue.push_back((state, world));
        }
        state
    }

    fn report(&mut self, faults: Vec<Fault>, state: Option<State>, choice: Option<&Choice>) {
        for fault in faults {
            let group = (fault.rule.clone(), fault.group.clone());
            let weight =
                state.map_or(0, |state| self.weight(state)) + choice.map_or(0, Choice::weight);
            let known = self.groups.get(&group).copied();
            if let Some(at) = known {
                let found = &mut self.found[at];
                found.count += 1;
                found.functions.extend(fault.functions.iter().cloned());
                if found.weight <= weight {
                    continue;
                }
            }
            let mut choices = state.map_or_else(Vec::new, |state| self.way_to(state));
            choices.extend(choice.cloned());
            match known {
                Some(at) => {
                    let found = &mut self.found[at];
                    (found.fault, found.choices, found.weight) = (fault, choices, weight);
                }
                None => {
                    self.groups.insert(group, self.found.len());
                    let functions = fault.functions.iter().cloned().collect();
                    self.found.push(Found { fault, functions, count: 1, choices, weight });
                }
            }
        }
    }

    fn weight(&self, state: State) -> u32 {
        self.arrivals[state as usize].as_ref().map_or(0, |arrival| arrival.weight)
    }

    /// Reports what was found on a way of its own.
    pub(crate) fn report_way(&mut self, fault: Fault, choices: Vec<Choice>) {
        let group = (fault.rule.clone(), fault.group.clone());
        if let std::collections::hash_map::Entry::Vacant(free) = self.groups.entry(group) {
            free.insert(self.found.len());
            let functions = fault.functions.iter().cloned().collect();
            let weight = choices.iter().map(Choice::weight).sum();
            self.found.push(Found { fault, functions, count: 1, choices, weight });
        }
    }

    /// What leads to a state.
    pub(crate) fn way_to(&self, state: State) -> Vec<Choice> {
        let mut choices = Vec::new();
        let mut at = state;
        while let Some(Arrival { from, choice, .. }) = &self.arrivals[at as usize] {
            choices.push(choice.clone());
            at = *from;
        }
        choices.reverse();
        choices
    }

    /// How many ways there are from the beginning to an end.
    fn paths(&self) -> f64 {
        let mut ways = vec![0.0f64; self.arrivals.len()];
        let mut next: HashMap<State, Vec<State>> = HashMap::new();
        let mut open = vec![0u32; self.arrivals.len()];
        for (from, to) in &self.edges {
            next.entry(*from).or_default().push(*to);
            open[*to as usize] += 1;
        }
        if let Some(first) = ways.first_mut() {
            *first = 1.0;
        }
        let mut queue: Vec<State> = vec![0];
        while let Some(state) = queue.pop() {
            for to in next.get(&state).into_iter().flatten() {
                ways[*to as usize] += ways[state as usize];
                open[*to as usize] -= 1;
                if open[*to as usize] == 0 {
                    queue.push(*to);
                }
            }
        }
        self.ends.iter().map(|end| ways[*end as usize]).sum()
    }
}

/// The saga waits, and nothing comes.
fn stands_still(world: &World) -> Fault {
    let mut events = Vec::new();
    for machine in &world.machines {
        for name in machine.orchestration.instance().awaited_events() {
            events.push(name.to_owned());
        }
    }
    let locked = world.waits_for_locked();
    let detail = match events.as_slice() {
        [] if locked.is_some() => locked.unwrap_or_default(),
        [] => "the saga waits, and nothing is under way that it could wait for".to_owned(),
        events => format!("the saga waits for {}, which nobody raises", events.join(", ")),
    };
    let name = &world.root().name;
    Fault { rule: Rule::NoEnd, group: events.join(","), functions: vec![name.to_string()], detail }
}
