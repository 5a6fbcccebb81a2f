//! The guide, the rules for Prometheus and the dashboard for Grafana speak of
//! the metrics that there are, and of no others.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::clients::{python, run_within};
use crate::metrics::Metrics;
use crate::support::*;

/// What a Prometheus adds to every sample.
const ADDED: [&str; 2] = ["instance", "job"];

/// The functions and operators of the expressions.
const WORDS: [&str; 9] = [
    "changes",
    "histogram_quantile",
    "increase",
    "min",
    "min_over_time",
    "rate",
    "sum",
    "time",
    "by",
];

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn the_guide_tells_of_every_metric() {
    let site = Site::new(&[]);
    let server = site.serve();
    let client = server.client();
    client.get("/healthz");
    let metrics = Metrics::of(&client);
    let labels = metrics.labels();
    let mut served = BTreeSet::new();
    for (family, kind) in &metrics.families {
        let (suffix, sample) = match kind.as_str() {
            "counter" => ("_total", "_total"),
            "histogram" => ("", "_bucket"),
            "info" => ("_info", "_info"),
            _ => ("", ""),
        };
        let names = labels[&format!("{family}{sample}")].keys().filter(|name| *name != "le");
        let labels: Vec<String> = names.map(|name| format!("`{name}`")).collect();
        served.insert(format!("| `{family}{suffix}` | {kind} | {} |", labels.join(", ")));
    }
    let guide = read("docs/monitoring.md");
    let told: BTreeSet<String> = guide
        .lines()
        .filter(|line| line.starts_with("| `sagahost_") || line.starts_with("| `process_"))
        .map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            assert!(cells.len() == 6 && !cells[4].is_empty(), "{line}");
            format!("| {} | {} | {} |", cells[1], cells[2], cells[3])
        })
        .collect();
    assert_eq!(told, served);
}

/// What an expression speaks of, as far as that takes no knowledge of its
/// meaning.
#[derive(Debug, Default, PartialEq)]
struct Expression {
    /// Metrics, each with the labels that are asked for, and what for.
    metrics: Vec<(String, Vec<(String, String)>)>,
    /// The labels that are left.
    by: BTreeSet<String>,
}

impl Expression {
    fn of(text: &str) -> Self {
        let mut found = Expression::default();
        let tokens = tokens(text);
        let mut rest = tokens.iter().map(String::as_str).peekable();
        let is_name = |token: &str| token.starts_with(|c: char| c.is_ascii_alphabetic());
        while let Some(token) = rest.next() {
            match token {
                "by" => {
                    assert_eq!(rest.next(), Some("("), "{text}");
                    let labels = rest.by_ref().take_while(|token| *token != ")");
                    found.by.extend(labels.filter(|token| *token != ",").map(str::to_owned));
                }
                "[" => assert!(rest.any(|token| token == "]"), "{text}"),
                "{" => {
                    let inside: Vec<&str> = rest.by_ref().take_while(|it| *it != "}").collect();
                    let (_, labels) = found.metrics.last_mut().unwrap_or_else(|| panic!("{text}"));
                    for label in inside.split(|token| *token == ",") {
                        let [name, operator, value] = *label else { panic!("{text}: {label:?}") };
                        assert!(["=", "!=", "=~", "!~"].contains(&operator), "{text}: {operator}");
                        labels.push((name.to_owned(), value.trim_matches('"').to_owned()));
                    }
                }
                token if is_name(token) && WORDS.contains(&token) => {
                    assert!(matches!(rest.peek(), Some(&("(" | "by"))), "{text}: {token}");
                }
                token if is_name(token) => found.metrics.push((token.to_owned(), Vec::new())),
                _ => {}
            }
        }
        assert!(!found.metrics.is_empty(), "{text}");
        found
    }
}

fn tokens(text: &str) -> Vec<String> {
    let is_word = |letter: char| letter.is_ascii_alphanumeric() || "_.$".contains(letter);
    let is_operator = |letter: char| "=!~<>".contains(letter);
    let (mut tokens, mut letters) = (Vec::new(), text.chars().peekable());
    while let Some(first) = letters.next() {
        let mut token = String::from(first);
        let more: &dyn Fn(char) -> bool = match first {
            '"' => {
                token.extend(letters.by_ref().take_while(|letter| *letter != '"'));
                token.push('"');
                tokens.push(token);
                continue;
            }
            first if first.is_whitespace() => continue,
            first if is_word(first) => &is_word,
            first if is_operator(first) => &is_operator,
            _ => &|_| false,
        };
        while let Some(letter) = letters.next_if(|letter| more(*letter)) {
            token.push(letter);
        }
        tokens.push(token);
    }
    tokens
}

#[test]
fn expressions_are_taken_apart() {
    let found = Expression::of(
        r#"histogram_quantile(0.9, sum by (le, a) (rate(x_bucket{a=~"b|c", d="e, f"}[5m]))) > time() - y"#,
    );
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let metrics = vec![
        ("x_bucket".to_owned(), vec![pair("a", "b|c"), pair("d", "e, f")]),
        ("y".to_owned(), vec![]),
    ];
    let by = ["a", "le"].map(str::to_owned).into();
    assert_eq!(found, Expression { metrics, by });
}

/// What there is: each sample's name with its labels and their values.
type Served = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// All that the expression speaks of is there, and so is what the text shows
/// of its result.
fn check(served: &Served, expression: &str, shown: &BTreeSet<String>) {
    let found = Expression::of(expression);
    let mut known: BTreeSet<&str> = ADDED.into();
    // A Prometheus makes that itself.
    let up = BTreeMap::new();
    for (metric, labels) in &found.metrics {
        let there = if metric == "up" { Some(&up) } else { served.get(metric) };
        let there = there.unwrap_or_else(|| panic!("{expression}: there is no {metric}"));
        known.extend(there.keys().map(String::as_str));
        for (label, value) in labels.iter().filter(|(label, _)| !ADDED.contains(&&**label)) {
            let values = there.get(label);
            let values = values.unwrap_or_else(|| panic!("{expression}: {metric} has no {label}"));
            for value in value.split('|') {
                assert!(values.contains(value), "{expression}: no {label} is {value}: {values:?}");
            }
        }
    }
    let known_by = found.by.iter().all(|label| known.contains(&**label));
    assert!(known_by, "{expression}: of {:?} there are {known:?}", found.by);
    let sums = expression.contains("sum") || expression.contains("min(");
    let is_left = |label: &str| if sums { found.by.contains(label) } else { known.contains(label) };
    let unknown: Vec<&String> = shown.iter().filter(|label| !is_left(label)).collect();
    assert!(unknown.is_empty(), "{expression}: {unknown:?} is shown");
}

/// The labels in a text, between braces.
fn shown(text: &str) -> BTreeSet<String> {
    let parts = text.split("{{").skip(1).filter_map(|part| part.split("}}").next());
    let labels = parts.map(|part| part.trim().trim_start_matches("$labels."));
    labels.filter(|label| !label.starts_with("$value")).map(str::to_owned).collect()
}

/// What is served after something has happened.
fn served() -> Served {
    let site = Site::new(&["guest_activities", "guest_orchestrator"]);
    let server = site.serve();
    let client = server.client();
    client.run("FanOut", &json!([1]));
    Metrics::of(&client).labels()
}

fn text_of<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().filter(|text| !text.is_empty()).unwrap_or_else(|| panic!("{key}: {value}"))
}

#[test]
fn the_rules_are_of_metrics_that_there_are() {
    let mut script = python("yaml_to_json.py");
    script.arg(root().join("docs/alerts.yml"));
    let (status, printed) = run_within(script, PATIENCE).unwrap();
    assert!(status.success(), "{printed}");
    let rules: Value = serde_json::from_str(&printed).unwrap();
    let only = |value: &Value, keys: &[&str]| {
        let odd = value.as_object().unwrap().keys().find(|key| !keys.contains(&&***key));
        assert_eq!(odd, None, "Prometheus refuses what it does not know: {value}");
    };
    only(&rules, &["groups"]);
    let (served, mut names) = (served(), BTreeSet::new());
    for group in rules["groups"].as_array().unwrap() {
        only(group, &["name", "rules"]);
        text_of(group, "name");
        for rule in group["rules"].as_array().unwrap() {
            only(rule, &["alert", "expr", "for", "labels", "annotations"]);
            assert!(names.insert(text_of(rule, "alert").to_owned()), "twice: {rule}");
            assert!(["critical", "warning"].contains(&text_of(&rule["labels"], "severity")));
            if let Some(time) = rule.get("for") {
                let time = time.as_str().unwrap().split_at(time.as_str().unwrap().len() - 1);
                assert!(time.0.parse::<u32>().is_ok() && "smhd".contains(time.1), "{rule}");
            }
            text_of(&rule["annotations"], "summary");
            let mut labels = BTreeSet::new();
            for text in rule["annotations"].as_object().unwrap().values() {
                labels.extend(shown(text.as_str().unwrap()));
            }
            check(&served, text_of(rule, "expr"), &labels);
        }
    }
    assert!(names.len() > 5, "{names:?}");
}

#[test]
fn the_dashboard_is_of_metrics_that_there_are() {
    let dashboard: Value = serde_json::from_str(&read("docs/grafana-dashboard.json")).unwrap();
    text_of(&dashboard, "title");
    text_of(&dashboard, "uid");
    assert!(dashboard["schemaVersion"].as_u64() >= Some(36), "before, queries were others");
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let variables: Vec<&str> = variables.iter().map(|it| text_of(it, "name")).collect();
    let (served, mut ids, mut taken) = (served(), BTreeSet::new(), BTreeSet::new());
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels.len() > 8);
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "twice: {panel}");
        assert!(["stat", "timeseries"].contains(&text_of(panel, "type")), "{panel}");
        text_of(panel, "title");
        let source = &panel["datasource"];
        assert_eq!((&source["type"], &source["uid"]), (&json!("prometheus"), &json!("${source}")));
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_u64().unwrap());
        assert!(w > 0 && h > 0 && x + w <= 24, "{panel}");
        for place in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(taken.insert(place), "it lies on another: {panel}");
        }
        let mut queries = BTreeSet::new();
        for target in panel["targets"].as_array().unwrap() {
            assert!(queries.insert(text_of(target, "refId")), "twice: {panel}");
            let expression = text_of(target, "expr");
            for used in expression.split('$').skip(1) {
                let end =
                    used.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
                let name = &used[..end.unwrap_or(used.len())];
                assert!(variables.contains(&name) || name == "__rate_interval", "{expression}");
            }
            check(&served, expression, &shown(text_of(target, "legendFormat")));
        }
        assert!(!queries.is_empty(), "{panel}");
    }
}
