//! What the manifest grants to functions, and their limits.
//!
//! Rules are read in order, and each applies to the functions its `names`
//! match: grants add up, and of a limit the last one counts. A function that
//! no rule names has the defaults, and nothing is granted to it.

mod http;
mod settings;
mod units;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sagahost_core::RetryPolicy;
use serde::Deserialize;

pub(crate) use http::HttpTarget;
pub use settings::{FunctionSettings, Secret};
pub use units::{ByteSize, HumanDuration, Rate};

use crate::config::MAX_ACTIVITY_MEMORY;

/// One rule of the manifest, as it is written:
///
/// ```toml
/// [[functions]]
/// names = ["PaymentActivity", "Rollback*"]
/// dirs = [{ host = "data/shop", guest = "/shop", access = "write" }]
/// env = { SHOP = "main" }
/// env-from = ["PAYMENT_TOKEN"]
/// http = ["https://api.example.com", { to = "http://127.0.0.1:8080", methods = ["GET"] }]
/// memory = "64MiB"
/// cpu = "5s"
/// timeout = "30s"
/// output = "1MiB"
/// logs = "16KiB"
/// concurrency = 8
/// rate = "100/s"
/// reuse = 1000
/// retry = { max-attempts = 3, first-interval = "1s" }
/// ```
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FunctionRule {
    /// The functions it is for; `*` stands for any characters.
    pub names: Vec<String>,
    /// Directories.
    #[serde(default)]
    pub dirs: Vec<DirGrant>,
    /// Environment variables. They are as secret as `env-from`: never shown.
    #[serde(default)]
    pub env: BTreeMap<String, Secret>,
    /// Environment variables of the host that are passed on, by name.
    #[serde(default)]
    pub env_from: Vec<String>,
    /// Where it may send HTTP requests.
    #[serde(default)]
    pub http: Vec<HttpGrant>,
    /// The memory of one attempt.
    pub memory: Option<ByteSize>,
    /// How long one attempt may compute.
    pub cpu: Option<HumanDuration>,
    /// How long one attempt may take in all; where neither the call nor the
    /// function's own description says it.
    pub timeout: Option<HumanDuration>,
    /// The largest result.
    pub output: Option<ByteSize>,
    /// What is kept of stdout, and of stderr.
    pub logs: Option<ByteSize>,
    /// How many attempts run at the same time.
    pub concurrency: Option<u32>,
    /// How often an attempt may begin.
    pub rate: Option<Rate>,
    /// How many attempts one instance serves, one after the other; each its own
    /// where no rule says it.
    pub reuse: Option<u32>,
    /// How it is retried; where neither the call nor the function's own
    /// description says it.
    pub retry: Option<RetryRule>,
}

/// A directory that a function gets.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DirGrant {
    /// Where it is; relative to the manifest's folder.
    pub host: PathBuf,
    /// What the function calls it.
    pub guest: String,
    /// What the function may do in it.
    #[serde(default)]
    pub access: Access,
}

/// What a function may do in a directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// Read.
    #[default]
    Read,
    /// Read and write. A directory that does not exist is made.
    Write,
}

/// Where a function may send HTTP requests: `"https://api.example.com"`, or
/// a table that names the methods too.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum HttpGrant {
    /// With any method.
    To(String),
    /// With these methods.
    Methods(HttpMethods),
}

/// Where a function may send HTTP requests, and with which methods.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct HttpMethods {
    /// Scheme, host and port.
    pub to: String,
    /// `["GET", "POST"]`.
    pub methods: Vec<String>,
}

/// How functions are retried; what is not given is as in the SDK: 3 attempts,
/// `jitter` 0.1, and the rest as in [`RetryPolicy::default`].
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RetryRule {
    /// Attempts in all; 0 is without limit.
    pub max_attempts: Option<u32>,
    /// Before the second attempt.
    pub first_interval: Option<HumanDuration>,
    /// What each interval is multiplied by to get the next.
    pub backoff: Option<f64>,
    /// The longest interval.
    pub max_interval: Option<HumanDuration>,
    /// No attempt starts later than this.
    pub total_time: Option<HumanDuration>,
    /// 0.0 to 1.0.
    pub jitter: Option<f64>,
    /// Codes that are final at once.
    #[serde(default)]
    pub do_not_retry: Vec<String>,
}

/// By which part an interval varies where a rule does not say it. It keeps
/// what failed together from being tried again together.
const JITTER: f64 = 0.1;

impl RetryRule {
    fn policy(&self) -> RetryPolicy {
        let default = RetryPolicy::default();
        let millis =
            |given: Option<HumanDuration>, default| given.map_or(default, |it| it.millis());
        RetryPolicy {
            max_attempts: self.max_attempts.unwrap_or(3),
            first_interval_ms: millis(self.first_interval, default.first_interval_ms),
            backoff: self.backoff.unwrap_or(default.backoff),
            max_interval_ms: millis(self.max_interval, default.max_interval_ms),
            total_time_ms: self.total_time.map(|it| it.millis()),
            jitter: self.jitter.unwrap_or(JITTER),
            do_not_retry: self.do_not_retry.clone(),
        }
    }
}

/// What is wrong with a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the rule for {names}: {reason}")]
pub struct RuleError {
    /// The names the rule is for.
    pub names: String,
    /// What is wrong, and what would be right.
    pub reason: String,
}

/// All rules, checked.
#[derive(Debug, Default)]
pub struct Rules {
    rules: Vec<Rule>,
}

/// A rule with everything in it that can be found out beforehand.
#[derive(Debug)]
struct Rule {
    written: FunctionRule,
    dirs: Vec<DirGrant>,
    env: Vec<(String, Secret)>,
    http: Vec<HttpTarget>,
}

impl Rules {
    /// Checks the rules. Relative directories are in `folder`, which is the
    /// manifest's; `env-from` is read from this process's environment.
    ///
    /// # Errors
    /// The first rule that is wrong, and why.
    pub fn new(rules: Vec<FunctionRule>, folder: &Path) -> Result<Self, RuleError> {
        Self::with_env(rules, folder, |name| std::env::var(name).ok())
    }

    /// As [`Self::new`], with another environment than this process's.
    ///
    /// # Errors
    /// The first rule that is wrong, and why.
    pub fn with_env(
        rules: Vec<FunctionRule>,
        folder: &Path,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, RuleError> {
        let rules = rules
            .into_iter()
            .map(|rule| {
                let names = rule.names.join(", ");
                check(rule, folder, &env).map_err(|reason| RuleError { names, reason })
            })
            .collect::<Result<_, _>>()?;
        Ok(Rules { rules })
    }

    /// What a function was granted, and its limits.
    pub fn settings(&self, function: &str) -> FunctionSettings {
        let mut settings = FunctionSettings::default();
        let matching = self.rules.iter().filter(|rule| {
            let mut names = rule.written.names.iter();
            names.any(|name| matches(name, function))
        });
        for rule in matching {
            settings.apply(rule);
        }
        settings
    }

    /// The names and patterns of the rules that match none of these
    /// functions: most likely misspelt.
    pub fn unused<'a>(&'a self, functions: &[&str]) -> Vec<&'a str> {
        let names = self.rules.iter().flat_map(|rule| &rule.written.names);
        names
            .filter(|name| !functions.iter().any(|function| matches(name, function)))
            .map(String::as_str)
            .collect()
    }
}

fn check(
    rule: FunctionRule,
    folder: &Path,
    from_host: &impl Fn(&str) -> Option<String>,
) -> Result<Rule, String> {
    if rule.names.is_empty() {
        return Err("`names` is empty: name the functions it is for, or \"*\" for all".to_owned());
    }
    let mut dirs = Vec::new();
    for dir in &rule.dirs {
        if dir.guest.is_empty() || dir.host.as_os_str().is_empty() {
            return Err("`dirs` has an empty path: give `host` and `guest`".to_owned());
        }
        dirs.push(DirGrant { host: folder.join(&dir.host), ..dir.clone() });
    }
    let mut env: Vec<(String, Secret)> = rule.env.clone().into_iter().collect();
    for name in &rule.env_from {
        let value = from_host(name).ok_or_else(|| {
            format!("`env-from` names {name}, which is not set in the host's environment (or is not UTF-8): set it, or take it out")
        })?;
        env.push((name.clone(), Secret::new(value)));
    }
    if let Some((name, _)) =
        env.iter().find(|(name, _)| name.is_empty() || name.contains(['=', '\0']))
    {
        return Err(format!("{name:?} cannot be the name of an environment variable"));
    }
    let http = rule.http.iter().map(HttpTarget::parse).collect::<Result<_, _>>()?;
    if let Some(memory) = rule.memory
        && !(64 << 10..=MAX_ACTIVITY_MEMORY).contains(&memory.bytes())
    {
        return Err("`memory` must be between 64KiB and 4GiB".to_owned());
    }
    if rule.concurrency == Some(0) {
        return Err(
            "`concurrency` must be at least 1: with 0 the function could never run".to_owned()
        );
    }
    if rule.reuse == Some(0) {
        return Err("`reuse` must be at least 1: an instance serves one attempt".to_owned());
    }
    for (name, duration) in [("cpu", rule.cpu), ("timeout", rule.timeout)] {
        if duration.is_some_and(|duration| duration.millis() == 0) {
            return Err(format!("`{name}` must be longer than 0"));
        }
    }
    if let Some(retry) = &rule.retry {
        if retry.backoff.is_some_and(|backoff| !(1.0..=1000.0).contains(&backoff)) {
            return Err("`retry.backoff` must be between 1.0 and 1000.0".to_owned());
        }
        if retry.jitter.is_some_and(|jitter| !(0.0..=1.0).contains(&jitter)) {
            return Err("`retry.jitter` must be between 0.0 and 1.0".to_owned());
        }
    }
    Ok(Rule { written: rule, dirs, env, http })
}

/// Whether a pattern, in which `*` stands for any characters, matches.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(mut name) = name.strip_prefix(first) else {
        return false;
    };
    let mut parts = rest.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return name.ends_with(part);
        }
        match name.find(part) {
            Some(at) => name = &name[at + part.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests;
