//! What all rules together say about one function.

use std::num::NonZeroU32;
use std::time::Duration;

use sagahost_core::RetryPolicy;
use serde::{Deserialize, Deserializer};

use super::{DirGrant, HttpTarget, Rate, Rule};

/// A value that is never shown, in no error and no debug output.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value.
    pub fn new(value: impl Into<String>) -> Self {
        Secret(value.into())
    }

    /// The value, for the guest.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(secret)")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // An error of serde's own would quote a value of the wrong type.
        String::deserialize(deserializer).map(Secret).map_err(|_| {
            serde::de::Error::custom("the value of an environment variable must be a string")
        })
    }
}

/// What a function was granted, and its limits.
#[derive(Clone, Debug)]
pub struct FunctionSettings {
    /// Directories, with absolute paths where the manifest's folder is.
    pub dirs: Vec<DirGrant>,
    /// Environment variables.
    pub env: Vec<(String, Secret)>,
    pub(crate) http: Vec<HttpTarget>,
    /// The memory of one attempt, in bytes. 128 MiB by default.
    pub memory: u64,
    /// How long one attempt may compute. 10 seconds by default.
    pub cpu: Duration,
    /// The wall time of one attempt, if a rule says so.
    pub timeout: Option<Duration>,
    /// The largest result, in bytes. 1 MiB by default.
    pub output: u64,
    /// What is kept of stdout, and of stderr, in bytes. 16 KiB by default.
    pub logs: u64,
    /// How many attempts run at the same time; as many as there is room for
    /// where no rule says so.
    pub concurrency: Option<u32>,
    /// How often an attempt may begin, if a rule says so.
    pub rate: Option<Rate>,
    /// How many attempts one instance serves, one after the other, if that is
    /// more than one.
    pub reuse: Option<NonZeroU32>,
    /// How it is retried, if a rule says so.
    pub retry: Option<RetryPolicy>,
}

impl Default for FunctionSettings {
    fn default() -> Self {
        FunctionSettings {
            dirs: Vec::new(),
            env: Vec::new(),
            http: Vec::new(),
            memory: 128 << 20,
            cpu: Duration::from_secs(10),
            timeout: None,
            output: 1 << 20,
            logs: 16 << 10,
            concurrency: None,
            rate: None,
            reuse: None,
            retry: None,
        }
    }
}

impl FunctionSettings {
    /// Whether nothing was granted: no directory, no environment, no network.
    /// Such a function has no effect but its result.
    pub fn grants_nothing(&self) -> bool {
        self.dirs.is_empty() && self.env.is_empty() && self.http.is_empty()
    }

    /// Whether an attempt may run before its step is durable: nothing leaves
    /// its sandbox but its result, and the sandbox ends with it.
    pub fn may_run_ahead(&self) -> bool {
        self.grants_nothing() && self.reuse.is_none()
    }

    /// Where it may send HTTP requests, each as people write it.
    pub fn http_targets(&self) -> impl Iterator<Item = String> {
        self.http.iter().map(HttpTarget::shown)
    }

    pub(super) fn apply(&mut self, rule: &Rule) {
        let written = &rule.written;
        self.dirs.extend(rule.dirs.iter().cloned());
        for (name, value) in &rule.env {
            self.env.retain(|(known, _)| known != name);
            self.env.push((name.clone(), value.clone()));
        }
        self.http.extend(rule.http.iter().cloned());
        if let Some(memory) = written.memory {
            self.memory = memory.bytes();
        }
        if let Some(cpu) = written.cpu {
            self.cpu = cpu.get();
        }
        if let Some(timeout) = written.timeout {
            self.timeout = Some(timeout.get());
        }
        if let Some(output) = written.output {
            self.output = output.bytes();
        }
        if let Some(logs) = written.logs {
            self.logs = logs.bytes();
        }
        if let Some(concurrency) = written.concurrency {
            self.concurrency = Some(concurrency);
        }
        if let Some(rate) = written.rate {
            self.rate = Some(rate);
        }
        if let Some(reuse) = written.reuse {
            self.reuse = NonZeroU32::new(reuse).filter(|most| most.get() > 1);
        }
        if let Some(retry) = &written.retry {
            self.retry = Some(retry.policy());
        }
    }
}
