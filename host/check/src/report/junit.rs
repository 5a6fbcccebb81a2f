//! The report as JUnit's XML, which CI systems read: a test suite for each
//! orchestrator, and in it a test for each invariant.

use std::fmt::Write as _;

use crate::report::{Checked, Report};

impl Report {
    /// The report as JUnit's XML.
    pub fn junit(&self) -> String {
        let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
        for checked in &self.checked {
            checked.write_junit(&mut xml);
        }
        xml.push_str("</testsuites>\n");
        xml
    }
}

impl Checked {
    fn write_junit(&self, xml: &mut String) {
        let exploration = &self.exploration;
        let mut name = exploration.orchestrator.clone();
        if self.input > 0 {
            let _ = write!(name, " input {}", self.input);
        }
        let cut = !exploration.cut.is_empty();
        let mut cases = String::new();
        let mut failed = 0;
        for rule in &exploration.rules {
            let found = exploration.findings.iter().zip(&self.stories);
            let found: Vec<_> = found.filter(|(finding, _)| finding.rule.name() == rule).collect();
            let _ = write!(
                cases,
                "    <testcase classname=\"{}\" name=\"{}\"",
                escape(&name),
                escape(rule)
            );
            if let Some((finding, _)) = found.first() {
                failed += 1;
                let mut told = String::new();
                for (finding, story) in &found {
                    let _ = writeln!(told, "{}\n{}", finding.detail, story.text());
                    let _ = writeln!(told, "--story \"{}\"\n", finding.story);
                }
                let _ = writeln!(
                    cases,
                    ">\n      <failure message=\"{}\">{}</failure>\n    </testcase>",
                    escape(&finding.detail),
                    escape(&told)
                );
            } else {
                cases.push_str("/>\n");
            }
        }
        let complete = "the search was not cut off";
        let _ = write!(cases, "    <testcase classname=\"{}\" name=\"{complete}\"", escape(&name));
        let wanted = exploration.cut.iter().all(|cut| exploration.bounds.is_given(*cut));
        if cut && !wanted {
            failed += 1;
            let at: Vec<&str> = exploration.cut.iter().map(|cut| cut.as_str()).collect();
            let _ = writeln!(
                cases,
                ">\n      <failure message=\"cut off at {}\"/>\n    </testcase>",
                at.join(", ")
            );
        } else {
            cases.push_str("/>\n");
        }
        let _ = writeln!(
            xml,
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{failed}\" time=\"{:.3}\">\n{cases}  </testsuite>",
            escape(&name),
            exploration.rules.len() + 1,
            exploration.took.as_secs_f64(),
        );
    }
}

/// Text as XML has it. Characters that XML cannot have at all are left out.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(c),
            c if c.is_control() => {}
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn nothing_breaks_the_xml() {
        assert_eq!(escape("a<b>&\"\u{1b}[0m\n"), "a&lt;b&gt;&amp;&quot;[0m\n");
    }
}
