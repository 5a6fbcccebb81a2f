//! What the server says about itself, and what the system says about it.

use std::time::Duration;

use serde::Deserialize;

use crate::client::Remote;

/// What is read of `GET /admin/stats`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Stats {
    pub(super) pid: u32,
    pub(super) appends: u64,
    pub(super) commits: u64,
    pub(super) attempts: u64,
}

/// The server at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    pub(super) stats: Option<Stats>,
    /// CPU time it has used, where it runs on this machine.
    pub(super) cpu: Option<Duration>,
    /// The most memory it has had, in bytes.
    pub(super) peak: Option<u64>,
}

impl Sample {
    pub(super) async fn take(remote: &Remote) -> Self {
        let stats = stats(remote).await;
        let pid = stats.filter(|_| remote.is_local()).map(|stats| stats.pid);
        Sample { stats, cpu: pid.and_then(cpu_of), peak: pid.and_then(peak_of) }
    }
}

/// `None` where the key may not read them.
async fn stats(remote: &Remote) -> Option<Stats> {
    let reply = remote.get("/admin/stats").await.ok()?.ok().ok()?;
    serde_json::from_slice(&reply.body).ok()
}

/// CPU time of a process, from `/proc/PID/stat`.
pub(super) fn cpu_of(pid: u32) -> Option<Duration> {
    parse_cpu(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse_cpu(stat: &str) -> Option<Duration> {
    // The second field is the program's name, which may hold anything; the
    // last bracket ends it.
    let rest = &stat[stat.rfind(')')? + 1..];
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    // Linux tells user space ticks of 1/100 s on every architecture.
    Some(Duration::from_millis((user + system) * 10))
}

/// The most memory a process has had, from `/proc/PID/status`.
fn peak_of(pid: u32) -> Option<u64> {
    parse_peak(&std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?)
}

fn parse_peak(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_is_read() {
        let stat = "12 (a ) b) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 9 0 1";
        assert_eq!(parse_cpu(stat), Some(Duration::from_secs(2)));
        assert_eq!(parse_peak("Name:\tx\nVmHWM:\t    2048 kB\n"), Some(2 << 20));
        assert!(cpu_of(std::process::id()).is_some());
    }
}
