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
    /// Page faults it has had that needed no disk.
    pub(super) faults: Option<u64>,
    /// The most memory it has had, in bytes.
    pub(super) peak: Option<u64>,
}

impl Sample {
    pub(super) async fn take(remote: &Remote) -> Self {
        let stats = stats(remote).await;
        let pid = stats.filter(|_| remote.is_local()).map(|stats| stats.pid);
        Sample {
            stats,
            cpu: pid.and_then(cpu_of),
            faults: pid.and_then(faults_of),
            peak: pid.and_then(peak_of),
        }
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
    let ticks = numbers(stat, 11, 2)?.into_iter().sum::<u64>();
    // Linux tells user space ticks of 1/100 s on every architecture.
    Some(Duration::from_millis(ticks * 10))
}

/// Page faults of a process that needed no disk, from `/proc/PID/stat`.
fn faults_of(pid: u32) -> Option<u64> {
    parse_faults(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse_faults(stat: &str) -> Option<u64> {
    numbers(stat, 7, 1)?.first().copied()
}

/// So many numbers of a line of `/proc/PID/stat`, from this field after the name on.
fn numbers(stat: &str, from: usize, count: usize) -> Option<Vec<u64>> {
    // The second field is the program's name, which may hold anything; the
    // last bracket ends it.
    let rest = &stat[stat.rfind(')')? + 1..];
    let fields = rest.split_ascii_whitespace().skip(from).take(count);
    let numbers: Vec<u64> = fields.map(str::parse).collect::<Result<_, _>>().ok()?;
    (numbers.len() == count).then_some(numbers)
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
        assert_eq!((parse_faults(stat), parse_faults("1 (x) S 1")), (Some(7), None));
        assert_eq!(parse_peak("Name:\tx\nVmHWM:\t    2048 kB\n"), Some(2 << 20));
        assert!(cpu_of(std::process::id()).is_some());
    }
}
