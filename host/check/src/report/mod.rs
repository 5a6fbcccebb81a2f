//! What a check found, for people and for programs.

mod json;
mod junit;
mod text;

use sagahost_core::{HTTP_FUNCTION, Json};
use sagahost_wasm::FunctionKind;

use crate::bounds::{Bounds, GivenBounds};
use crate::checkfile::CheckFile;
use crate::error::CheckError;
use crate::explore::{Exploration, explore};
use crate::program::Program;
use crate::story::{Story, tell};

/// What was found of one orchestrator with one input, and the stories of it.
#[derive(Clone, Debug)]
pub struct Checked {
    /// What was found.
    pub exploration: Exploration,
    /// The story of each finding.
    pub stories: Vec<Story>,
    /// Which of its orchestrator's inputs it was, from 0.
    pub input: usize,
}

/// What was found of all orchestrators that were to be checked.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// One for each orchestrator and input.
    pub checked: Vec<Checked>,
    /// Orchestrators that the check file leaves out.
    pub skipped: Vec<String>,
}

/// What a report comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing was found, and all was looked at that somebody wanted looked
    /// at.
    Proven,
    /// Something was found.
    Violated,
    /// Nothing was found, but a bound that nobody chose cut something off.
    CutOff,
}

impl Checked {
    /// What it comes to.
    pub fn verdict(&self) -> Verdict {
        let Exploration { findings, cut, bounds, .. } = &self.exploration;
        if !findings.is_empty() {
            Verdict::Violated
        } else if cut.iter().any(|cut| !bounds.is_given(*cut)) {
            Verdict::CutOff
        } else {
            Verdict::Proven
        }
    }
}

impl Report {
    /// What it comes to.
    pub fn verdict(&self) -> Verdict {
        let verdicts: Vec<Verdict> = self.checked.iter().map(Checked::verdict).collect();
        match verdicts.as_slice() {
            all if all.contains(&Verdict::Violated) => Verdict::Violated,
            all if all.contains(&Verdict::CutOff) => Verdict::CutOff,
            _ => Verdict::Proven,
        }
    }
}

/// What is to be checked.
#[derive(Debug)]
pub struct Checks<'a> {
    /// The components.
    pub program: &'a Program,
    /// The check file.
    pub file: &'a CheckFile,
    /// Bounds that go before those of the check file.
    pub bounds: GivenBounds,
    /// An input of an orchestrator for which the check file has none.
    pub samples: &'a dyn Sampler,
}

/// Where inputs come from that the check file does not have.
pub trait Sampler: std::fmt::Debug {
    /// An input of this orchestrator, if there is one.
    fn sample(&self, orchestrator: &str) -> Option<Json>;
}

impl Checks<'_> {
    /// Checks the names in the check file against what there is.
    ///
    /// # Errors
    /// The first name that there is not.
    pub fn check_names(&self) -> Result<(), CheckError> {
        let functions = self.program.functions();
        let orchestrators = self.program.orchestrators();
        let orchestrators: Vec<&str> = orchestrators.iter().map(String::as_str).collect();
        let of_kind = |kind| functions.iter().filter(move |function| function.kind == kind);
        let activities = of_kind(FunctionKind::Activity).map(|function| function.name.as_str());
        let activities: Vec<&str> = activities.chain([HTTP_FUNCTION]).collect();
        let entities = of_kind(FunctionKind::Entity).map(|function| {
            let operations = function.operations.keys().map(String::as_str).collect();
            (function.name.as_str(), operations)
        });
        Ok(self.file.check_names(&activities, &orchestrators, &entities.collect())?)
    }

    /// The inputs that an orchestrator is tried with: those of the check file,
    /// else the sample, else one made from its schema.
    ///
    /// # Errors
    /// When there is no such orchestrator.
    pub fn inputs(&self, orchestrator: &str) -> Result<Vec<Json>, CheckError> {
        self.program.orchestrator(orchestrator)?;
        let inputs = self.file.spec(orchestrator)?.inputs;
        if !inputs.is_empty() {
            return Ok(inputs);
        }
        Ok(vec![match self.samples.sample(orchestrator) {
            Some(sample) => sample,
            None => self.program.made_input(orchestrator)?,
        }])
    }

    /// How far is looked at an orchestrator.
    ///
    /// # Errors
    /// When the check file is wrong.
    pub fn bounds_of(&self, orchestrator: &str) -> Result<Bounds, CheckError> {
        let spec = self.file.spec(orchestrator)?;
        Ok(Bounds::new(self.bounds.or(&spec.bounds)))
    }

    /// Checks these orchestrators; all that the check file does not leave
    /// out, where none is named.
    ///
    /// # Errors
    /// When something cannot be checked at all.
    pub fn run(&self, names: &[String]) -> Result<Report, CheckError> {
        let mut report = Report::default();
        let all = self.program.orchestrators();
        for name in if names.is_empty() { &all } else { names } {
            if names.is_empty() && self.file.skips(name) {
                report.skipped.push(name.clone());
                continue;
            }
            for input in 0..self.inputs(name)?.len() {
                report.checked.push(self.check(name, input)?);
            }
        }
        Ok(report)
    }

    fn check(&self, name: &str, number: usize) -> Result<Checked, CheckError> {
        let spec = self.file.spec(name)?;
        let bounds = self.bounds_of(name)?;
        let input = self.inputs(name)?.swap_remove(number);
        let mut exploration = explore(self.program, name, &input, &spec, &bounds)?;
        let mut stories = Vec::new();
        for finding in &mut exploration.findings {
            let story = tell(self.program, name, &input, &spec, &bounds, &finding.story)?;
            stories.push(story);
            if number > 0 {
                finding.story = format!("input={number} {}", finding.story);
            }
        }
        Ok(Checked { exploration, stories, input: number })
    }

    /// Tells a story of an orchestrator as a report gives it.
    ///
    /// # Errors
    /// When it is not one of this orchestrator.
    pub fn tell(&self, name: &str, story: &str) -> Result<Story, CheckError> {
        let first = story.split_whitespace().next().unwrap_or_default();
        let (number, story) = match first.strip_prefix("input=") {
            None => (0, story),
            Some(number) => {
                let number = number.parse().map_err(|_| {
                    CheckError::Story(format!("`{first}` names no input: write input=1"))
                })?;
                (number, story.trim_start().strip_prefix(first).unwrap_or_default())
            }
        };
        let inputs = self.inputs(name)?;
        let input = inputs.get(number).ok_or_else(|| {
            let count = inputs.len();
            CheckError::Story(format!("there is no input {number}: {name} has {count}, from 0"))
        })?;
        let spec = self.file.spec(name)?;
        tell(self.program, name, input, &spec, &self.bounds_of(name)?, story)
    }
}
