//! The report for programs.

use serde_json::{Value, json};

use crate::report::{Checked, Report, Verdict};

impl Verdict {
    /// Its name in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Proven => "proven",
            Verdict::Violated => "violated",
            Verdict::CutOff => "cut-off",
        }
    }
}

impl Report {
    /// The report as JSON.
    pub fn json(&self) -> Value {
        json!({
            "verdict": self.verdict().as_str(),
            "skipped": self.skipped,
            "orchestrators": self.checked.iter().map(Checked::json).collect::<Vec<_>>(),
        })
    }
}

impl Checked {
    fn json(&self) -> Value {
        let exploration = &self.exploration;
        let findings = exploration.findings.iter().zip(&self.stories).map(|(finding, story)| {
            json!({
                "invariant": finding.rule.name(),
                "detail": finding.detail,
                "functions": finding.functions,
                "count": finding.count,
                "story": finding.story,
                "lines": story.lines,
                "end": story.end,
                "journal": story.journal,
            })
        });
        let findings: Vec<Value> = findings.collect();
        json!({
            "orchestrator": exploration.orchestrator,
            "input": exploration.input,
            "verdict": self.verdict().as_str(),
            "complete": exploration.cut.is_empty(),
            "cutOff": exploration.cut,
            "bounds": exploration.bounds,
            "paths": exploration.paths,
            "states": exploration.states,
            "steps": exploration.steps,
            "ends": exploration.ends,
            "seconds": exploration.took.as_secs_f64(),
            "invariants": exploration.rules,
            "notes": exploration.notes,
            "faults": findings,
        })
    }
}
