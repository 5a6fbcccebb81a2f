//! The report for people.

use std::fmt::Write as _;

use crate::explore::Exploration;
use crate::report::{Checked, Report, Verdict};

/// How much of an event is shown; all of it is with `--story` and in JSON.
const LONGEST: usize = 140;

impl Report {
    /// The report for people. `command` is how the check was called, so that
    /// a story can be told again.
    pub fn text(&self, command: &str) -> String {
        let mut text = String::new();
        for checked in &self.checked {
            checked.write(command, &mut text);
        }
        let count = |verdict| self.checked.iter().filter(|it| it.verdict() == verdict).count();
        let _ = writeln!(
            text,
            "{} proven, {} with faults, {} cut off",
            count(Verdict::Proven),
            count(Verdict::Violated),
            count(Verdict::CutOff)
        );
        if !self.skipped.is_empty() {
            let _ = writeln!(text, "left out by the check file: {}", self.skipped.join(", "));
        }
        text
    }
}

impl Checked {
    fn write(&self, command: &str, text: &mut String) {
        let Exploration { orchestrator, input, findings, .. } = &self.exploration;
        let verdict = match (self.verdict(), findings.len()) {
            (Verdict::Proven, _) => "proven".to_owned(),
            (Verdict::CutOff, _) => "NOT PROVEN: the search was cut off".to_owned(),
            (Verdict::Violated, 1) => "1 fault".to_owned(),
            (Verdict::Violated, count) => format!("{count} faults"),
        };
        let _ = write!(text, "{orchestrator}: {verdict}");
        if self.input > 0 {
            let _ = write!(text, ", with input {} ({})", self.input, input.as_str());
        }
        text.push('\n');
        self.exploration.write(text);
        for (number, (finding, story)) in findings.iter().zip(&self.stories).enumerate() {
            let _ = writeln!(
                text,
                "\n  Fault {}, {}: {}",
                number + 1,
                finding.rule.name(),
                finding.detail
            );
            let places = match finding.count {
                1 => "found in one place".to_owned(),
                count => format!("found in {count} places, this is the shortest way to one"),
            };
            let functions: Vec<&str> = finding.functions.iter().map(String::as_str).collect();
            let _ = writeln!(text, "  {places}; with {}", functions.join(", "));
            for line in story.text().lines() {
                let _ = writeln!(text, "  {line}");
            }
            text.push_str("  The journal, with each event's beginning:\n");
            for line in &story.journal {
                let event = serde_json::to_string(&line.record).unwrap_or_default();
                let event = event.chars().take(LONGEST).collect::<String>();
                let _ = match line.instance.as_str() {
                    "check" => writeln!(text, "    {event}"),
                    instance => writeln!(text, "    {instance} {event}"),
                };
            }
            let _ =
                writeln!(text, "  Again: {command} {orchestrator} --story \"{}\"", finding.story);
        }
        text.push('\n');
    }
}

impl Exploration {
    fn write(&self, text: &mut String) {
        let ends: Vec<String> =
            self.ends.iter().map(|(status, count)| format!("{count} {status}")).collect();
        let ends = if ends.is_empty() { "none".to_owned() } else { ends.join(", ") };
        let _ = writeln!(
            text,
            "  {} paths, {} states, {} steps in {:.2} s; ends: {ends}",
            paths(self.paths),
            self.states,
            self.steps,
            self.took.as_secs_f64(),
        );
        let own: Vec<&str> =
            self.rules.iter().skip(crate::fault::Rule::ALL.len()).map(String::as_str).collect();
        let _ =
            write!(text, "  checked: {}", self.rules[..self.rules.len() - own.len()].join(", "));
        if !own.is_empty() {
            let _ = write!(text, "; {}", own.join(", "));
        }
        text.push('\n');
        if self.cut.is_empty() {
            let _ = writeln!(text, "  complete: {}", self.bounds);
        } else {
            for cut in &self.cut {
                let chosen = match self.bounds.is_given(*cut) {
                    true => ", as was wanted",
                    false => {
                        ": what lies beyond was not looked at; raise it, or say that it is enough"
                    }
                };
                let name = cut.as_str();
                let _ = writeln!(text, "  CUT OFF at the bound `{name}`{chosen}");
            }
            let _ = writeln!(text, "  looked at: {}", self.bounds);
        }
        for note in &self.notes {
            let _ = writeln!(text, "  note: {note}");
        }
    }
}

/// A number of paths, which may be astronomical.
fn paths(paths: f64) -> String {
    if paths < 1e6 { format!("{paths:.0}") } else { format!("{paths:.1e}") }
}
