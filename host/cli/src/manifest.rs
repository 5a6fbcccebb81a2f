//! `sagahost.toml`: what the functions are granted, how the host is set up,
//! and how `sagahost dev` builds.

mod triggers;

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::Result;
use sagahost_core::Json;
use sagahost_engine::{Retention, Schedule};
use sagahost_http::{Traces, Trigger, Webhook};
use sagahost_wasm::{ByteSize, FunctionRule, HumanDuration, Rules};
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use crate::exit::{Exit, fail};
use crate::template::Template;

/// Where the manifest is looked for when nothing is said.
pub(crate) const FILE: &str = "sagahost.toml";

/// The data directory of `dev` when nothing is said.
const DATA: &str = ".sagahost";

/// A manifest. All its paths are relative to its own folder, wherever the
/// program is started.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Manifest {
    pub(crate) host: Host,
    pub(crate) functions: Vec<Spanned<FunctionRule>>,
    pub(crate) routes: Vec<Spanned<triggers::Route>>,
    pub(crate) schedules: Vec<Spanned<triggers::ScheduleOf>>,
    pub(crate) retention: triggers::RetentionOf,
    pub(crate) dev: Dev,
}

/// `[host]`: what can be said on the command line of `serve` and `dev`, too;
/// the command line wins.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Host {
    pub(crate) listen: Option<Listen>,
    pub(crate) data: Option<PathBuf>,
    pub(crate) functions: Option<PathBuf>,
    pub(crate) memory_budget: Option<ByteSize>,
    pub(crate) max_body: Option<ByteSize>,
    pub(crate) grace: Option<HumanDuration>,
    pub(crate) trust_forwarded: bool,
    pub(crate) read_only: bool,
    pub(crate) run_ahead: Option<bool>,
    /// How long a start may wait before others are refused.
    pub(crate) max_delay: Option<HumanDuration>,
    /// How long attempts may wait before that.
    pub(crate) max_queue: Option<HumanDuration>,
    pub(crate) max_activities: Option<u32>,
    pub(crate) max_orchestrators: Option<u32>,
    /// Where it is told that a saga is stuck.
    pub(crate) stuck_webhook: Option<WebhookUrl>,
    /// The variable of the host's environment that has the webhook's token.
    pub(crate) stuck_webhook_token_env: Option<String>,
    /// Where the traces of sagas go.
    pub(crate) otlp_endpoint: Option<TracesUrl>,
}

/// `[dev]`: for `sagahost dev` and `sagahost build` only.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Dev {
    /// Commands that build the components, each a program and its arguments.
    pub(crate) build: Vec<Vec<String>>,
    /// Files and folders whose change makes them run again.
    pub(crate) watch: Vec<PathBuf>,
    /// The components that the commands make. They are copied into the
    /// functions folder; others that lie beside them are not.
    pub(crate) components: Vec<PathBuf>,
    /// The functions folder of `dev`, where it is not the host's.
    pub(crate) functions: Option<PathBuf>,
    /// An input for each function, as JSON text; `{{number}}` and `{{uuid}}` in
    /// it are replaced.
    pub(crate) samples: BTreeMap<String, Spanned<String>>,
}

/// An address to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Listen(pub(crate) SocketAddr);

impl std::str::FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numeric = match text.strip_prefix("localhost:") {
            Some(port) => format!("127.0.0.1:{port}"),
            None => text.to_owned(),
        };
        numeric.parse().map(Listen).map_err(|_| {
            format!("{text:?} is not an address to listen on; write it like 127.0.0.1:7071, 0.0.0.0:7071 or [::]:7071")
        })
    }
}

impl<'de> Deserialize<'de> for Listen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A URL to post to. It may have a secret in it, so nothing shows it whole.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct PostUrl<T> {
    pub(crate) url: String,
    what: PhantomData<T>,
}

/// Where it is told that a saga is stuck.
pub(crate) type WebhookUrl = PostUrl<Webhook>;

/// Where traces go.
pub(crate) type TracesUrl = PostUrl<Traces>;

/// What is posted to a URL.
pub(crate) trait Posted: Sized {
    /// Whether it can be.
    fn check(url: &str) -> Result<(), String>;
}

impl Posted for Webhook {
    fn check(url: &str) -> Result<(), String> {
        Webhook::check(url).map_err(|error| error.to_string())
    }
}

impl Posted for Traces {
    fn check(url: &str) -> Result<(), String> {
        Traces::check(url).map_err(|error| error.to_string())
    }
}

impl<T> std::fmt::Debug for PostUrl<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PostUrl(…)")
    }
}

impl<T: Posted> std::str::FromStr for PostUrl<T> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        T::check(text).map(|()| PostUrl { url: text.to_owned(), what: PhantomData })
    }
}

impl<'de, T: Posted> Deserialize<'de> for PostUrl<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A manifest and where it is.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    pub(crate) manifest: Manifest,
    /// The file; `None` where there is none, and all is default.
    pub(crate) path: Option<PathBuf>,
    /// Its folder.
    pub(crate) folder: PathBuf,
    /// What stands in it.
    pub(crate) text: String,
}

impl Loaded {
    /// Reads the manifest that is named, else `./sagahost.toml` if there is
    /// one.
    pub(crate) fn find(named: Option<&Path>) -> Result<Self> {
        match named {
            Some(path) => Self::read(path),
            None if Path::new(FILE).exists() => Self::read(Path::new(FILE)),
            None => Ok(Loaded { folder: current_dir()?, ..Loaded::default() }),
        }
    }

    /// Reads and checks a manifest.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let path = current_dir()?.join(path);
        let text = std::fs::read_to_string(&path).map_err(|error| {
            fail(Exit::Usage, format!("cannot read the manifest {}: {error}", path.display()))
        })?;
        let folder = path.parent().unwrap_or(Path::new("/")).to_owned();
        let manifest = parse(&text, &folder)
            .map_err(|wrong| fail(Exit::Usage, format!("{}:{wrong}", path.display())))?;
        Ok(Loaded { manifest, path: Some(path), folder, text })
    }

    /// A path of the manifest, as the program needs it.
    pub(crate) fn resolve(&self, path: &Path) -> PathBuf {
        self.folder.join(path)
    }

    /// The data directory: what is named, else the manifest's.
    pub(crate) fn data(&self, named: Option<&Path>) -> PathBuf {
        let written = || self.manifest.host.data.as_deref().map(|path| self.resolve(path));
        named.map(Path::to_owned).or_else(written).unwrap_or_else(|| self.resolve(Path::new(DATA)))
    }

    /// The functions folder of everything but `serve`: what is named, else
    /// that of `[dev]`, else the host's, else one in the data directory.
    pub(crate) fn functions(&self, named: Option<&Path>, data: &Path) -> PathBuf {
        let written =
            self.manifest.dev.functions.as_deref().or(self.manifest.host.functions.as_deref());
        let written = || written.map(|path| self.resolve(path));
        named.map(Path::to_owned).or_else(written).unwrap_or_else(|| data.join("functions"))
    }

    /// What the functions are granted.
    pub(crate) fn rules(&self) -> Result<Rules> {
        let rules = self.manifest.functions.iter().map(|rule| rule.get_ref().clone()).collect();
        Rules::new(rules, &self.folder).map_err(|error| fail(Exit::Usage, error.to_string()))
    }

    /// The routes of orchestrators.
    pub(crate) fn triggers(&self) -> Result<Vec<Trigger>> {
        triggers::triggers(&self.manifest.routes).map_err(|(_, why)| fail(Exit::Usage, why))
    }

    /// When orchestrators are started.
    pub(crate) fn schedules(&self) -> Result<Vec<Schedule>> {
        triggers::schedules(&self.manifest.schedules).map_err(|(_, why)| fail(Exit::Usage, why))
    }

    /// How long instances are kept.
    pub(crate) fn retention(&self) -> Retention {
        self.manifest.retention.retention()
    }

    /// Whether it says the same of schedules and of retention as another one.
    pub(crate) fn keeps_time_as(&self, other: &Loaded) -> bool {
        let schedules = |loaded: &Loaded| -> Vec<triggers::ScheduleOf> {
            loaded.manifest.schedules.iter().map(|it| it.get_ref().clone()).collect()
        };
        schedules(self) == schedules(other) && self.manifest.retention == other.manifest.retention
    }

    /// That there is none, for a command that can do nothing without.
    pub(crate) fn missing(&self, instead: &str) -> anyhow::Error {
        let folder = self.folder.display();
        fail(
            Exit::Usage,
            format!(
                "there is no {FILE} in {folder}: go where there is one, name one with --config FILE, {instead}"
            ),
        )
    }

    /// Makes the directories on this machine that functions were granted.
    pub(crate) fn make_granted_dirs(&self) -> Result<()> {
        let dirs = self.manifest.functions.iter().flat_map(|rule| &rule.get_ref().dirs);
        for dir in dirs {
            let path = self.resolve(&dir.host);
            std::fs::create_dir_all(&path).map_err(|error| {
                fail(
                    Exit::Failed,
                    format!("cannot make the granted directory {}: {error}", path.display()),
                )
            })?;
        }
        Ok(())
    }

    /// Where in the manifest the sample of a function stands.
    pub(crate) fn sample_place(&self, function: &str) -> Option<usize> {
        self.manifest.dev.samples.get(function).map(|text| text.span().start)
    }

    /// The sample input of a function, to be filled in.
    pub(crate) fn sample(&self, function: &str) -> Option<Template> {
        self.manifest.dev.samples.get(function).map(|text| Template::new(text.get_ref()))
    }
}

fn current_dir() -> Result<PathBuf> {
    std::env::current_dir().map_err(|error| {
        fail(Exit::Failed, format!("the current directory cannot be used: {error}"))
    })
}

/// Reads a manifest. What is wrong with it is said as `LINE:COLUMN: why`.
fn parse(text: &str, folder: &Path) -> Result<Manifest, String> {
    let manifest: Manifest = toml::from_str(text).map_err(|error| {
        let what = error.message().trim().replace('\n', "; ");
        format!("{}: {what}", position(text, error.span().unwrap_or(0..0)))
    })?;
    for rule in &manifest.functions {
        // One at a time, to know which one is wrong.
        Rules::new(vec![rule.get_ref().clone()], folder)
            .map_err(|error| format!("{}: {error}", position(text, rule.span())))?;
    }
    let placed = |(start, why): (usize, String)| format!("{}: {why}", position(text, start..start));
    triggers::triggers(&manifest.routes).map_err(placed)?;
    triggers::schedules(&manifest.schedules).map_err(placed)?;
    for (at, command) in manifest.dev.build.iter().enumerate() {
        if command.first().is_none_or(String::is_empty) {
            return Err(format!("1:1: command {} of dev.build is empty; name a program", at + 1));
        }
    }
    for (name, sample) in &manifest.dev.samples {
        let filled = Template::new(sample.get_ref()).fill(1);
        Json::parse(filled).map_err(|error| {
            let place = position(text, sample.span());
            format!("{place}: the sample for {name} is not JSON: {error}; put it into '…', as dev.samples.{name} = '{{\"id\": 1}}'")
        })?;
    }
    Ok(manifest)
}

fn position(text: &str, span: Range<usize>) -> String {
    let before = text.get(..span.start).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("{line}:{column}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> String {
        parse(text, Path::new("/x")).expect_err("is wrong")
    }

    #[test]
    fn a_manifest_is_read() {
        let text = r#"
            [host]
            listen = "localhost:8080"
            data = "state"
            memory-budget = "512MiB"
            grace = "5s"
            stuck-webhook = "https://alerts.example.com/s3cr3t"
            stuck-webhook-token-env = "TOKEN"
            otlp-endpoint = "http://localhost:4318/s3cr3t"

            [[functions]]
            names = ["Order*"]
            dirs = [{ host = "shop", guest = "/shop", access = "write" }]
            env = { LIMIT = "5" }

            [[routes]]
            start = "OrderSaga"
            path = "/orders/{orderId}"
            instance-id = "path:orderId"
            wait = "10s"

            [[schedules]]
            start = "Report"
            cron = "30 2 * * *"
            zone = "Europe/Berlin"
            input = { days = 1, since = 2026-01-01, parts = ["a"] }

            [retention]
            completed = "7d"

            [dev]
            build = [["cargo", "build"]]
            watch = ["src"]
            samples.Saga = '{"id": "{{uuid}}", "n": {{number}}}'
        "#;
        let manifest = parse(text, Path::new("/x")).expect("is right");
        assert_eq!(manifest.host.listen, "127.0.0.1:8080".parse().ok());
        assert_eq!(manifest.host.memory_budget.map(ByteSize::bytes), Some(512 << 20));
        assert!(manifest.host.stuck_webhook.is_some());
        assert!(manifest.host.otlp_endpoint.is_some());
        assert!(!format!("{manifest:?}").contains("s3cr3t"), "{manifest:?}");
        assert_eq!(manifest.functions.len(), 1);
        let schedule = manifest.schedules[0].get_ref().schedule().expect("is right");
        assert_eq!((schedule.name(), schedule.orchestrator()), ("Report", "Report"));
        let input = r#"{"days":1,"parts":["a"],"since":"2026-01-01"}"#;
        assert_eq!(schedule.input().as_str(), input);
        let week = std::time::Duration::from_secs(7 * 86_400);
        let kept = Retention::new([(sagahost_core::RuntimeStatus::Completed, week)]);
        assert_eq!(manifest.retention.retention(), kept);
        assert_eq!(manifest.dev.build, [["cargo", "build"]]);
    }

    #[test]
    fn samples_keep_the_order_in_which_they_are_written() {
        let manifest = parse("[dev.samples]\nZ = '1'\nB = '2'\nA = '3'\n", Path::new("/x"));
        let loaded = Loaded { manifest: manifest.expect("is right"), ..Loaded::default() };
        let mut names = ["A", "B", "Z"];
        names.sort_by_key(|name| loaded.sample_place(name));
        assert_eq!(names, ["Z", "B", "A"]);
        assert_eq!(loaded.sample_place("Other"), None);
    }

    #[test]
    fn an_empty_manifest_is_one() {
        assert!(parse("", Path::new("/x")).expect("is right").functions.is_empty());
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let unknown = wrong("[host]\nlisten = \"127.0.0.1:1\"\nmemory = 1\n");
        assert!(unknown.starts_with("3:1: unknown field `memory`, expected one of"), "{unknown}");
        let listen = wrong("[host]\nlisten = \"here\"\n");
        assert!(
            listen.starts_with("2:10: ") && listen.contains("write it like 127.0.0.1:7071"),
            "{listen}"
        );
        let webhook = wrong("[host]\nstuck-webhook = \"ftp://h/s3cr3t\"\n");
        assert!(webhook.starts_with("2:17: a webhook's URL is like https://"), "{webhook}");
        assert!(!webhook.contains("s3cr3t"), "{webhook}");
        let otlp = wrong("[host]\notlp-endpoint = \"localhost\"\n");
        assert!(otlp.starts_with("2:17: the OTLP endpoint is like http://"), "{otlp}");
        let syntax = wrong("[host]\ndata = \n");
        assert!(syntax.starts_with("2:"), "{syntax}");
        let rule = wrong("\n[[functions]]\nnames = []\n");
        assert!(rule.starts_with("2:1: the rule for"), "{rule}");
        let sample = wrong("[dev.samples]\nA = \"{no\"\n");
        assert!(sample.starts_with("2:5: the sample for A is not JSON"), "{sample}");
        let route = wrong("\n[[routes]]\nstart = \"A\"\npath = \"/admin/x\"\n");
        assert!(
            route.starts_with("2:1: the route of A: \"/admin/x\" cannot be a route"),
            "{route}"
        );
        let twice = "[[routes]]\nstart = \"A\"\npath = \"/a\"\n".repeat(2);
        let twice = wrong(&twice);
        assert!(twice.starts_with("4:1: ") && twice.contains("POST /a is there twice"), "{twice}");
        for (line, said) in [
            ("method = \"GET\"", "POST, PUT, PATCH or DELETE"),
            ("instance-id = \"query:id\"", "write it like \"path:orderId\""),
            ("instance-id = \"path:id\"", "has no {id}"),
            ("wait = \"2h\"", "at most 1h"),
            ("input = \"all\"", "expected `body` or `request`"),
            ("key = \"some\"", "expected one of `none`, `use`, `manage`"),
        ] {
            let route = wrong(&format!("[[routes]]\nstart = \"A\"\npath = \"/a\"\n{line}\n"));
            assert!(route.contains(said), "{line}: {route}");
        }
        for (lines, said) in [
            ("cron = \"* * *\"", "1:1: the schedule of A: \"* * *\" is not a cron expression"),
            ("cron = \"0 0 * * *\"\nzone = \"Berlin\"", "there is no time zone \"Berlin\""),
            ("cron = \"0 0 * * *\"\nmissed = \"some\"", "4:10: unknown variant `some`"),
            ("cron = \"0 0 * * *\"\nname = \"a/b\"", "cannot be the name of a schedule"),
            ("cron = \"0 0 * * *\"\ninput = { a = nan }", "JSON has no such number"),
        ] {
            let schedule = wrong(&format!("[[schedules]]\nstart = \"A\"\n{lines}\n"));
            assert!(schedule.contains(said), "{lines}: {schedule}");
        }
        let twice = "[[schedules]]\nstart = \"A\"\ncron = \"* * * * *\"\n".repeat(2);
        let twice = wrong(&twice);
        assert!(twice.starts_with("4:1: ") && twice.contains("give one a `name`"), "{twice}");
        let kept = wrong("[retention]\ncompleted = \"0s\"\n");
        assert!(kept.starts_with("2:13: ") && kept.contains("longer than 0"), "{kept}");
        let command = wrong("[dev]\nbuild = [[]]\n");
        assert!(command.contains("command 1 of dev.build is empty"), "{command}");
    }
}
