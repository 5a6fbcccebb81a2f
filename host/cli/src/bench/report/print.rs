//! The report for people.

use std::io;
use std::time::Duration;

use super::{Latency, Report, Whole};
use crate::bench::against::Against;
use crate::bench::floor::Floor;
use crate::output::{self, Paint};
use crate::units::{size, took};

impl Report {
    pub(in super::super) fn print(&self, paint: Paint) -> io::Result<()> {
        output::line(&format!(
            "{}, {} in flight, {} cores",
            paint.bold(&self.name),
            self.in_flight,
            self.cores
        ))?;
        if let Some(whole) = &self.whole {
            whole.print(paint)?;
        }
        if let Some(against) = &self.against {
            against.print(paint)?;
        }
        if let Some(floor) = &self.floor {
            floor.print()?;
            self.print_shares(floor, paint)?;
        }
        Ok(())
    }

    fn print_shares(&self, floor: &Floor, paint: Paint) -> io::Result<()> {
        let Some(whole) = &self.whole else {
            return line("steps a raw saga", format!("{:.2}", floor.wasm_steps_per_saga));
        };
        let of_floor = |share: f64| paint.bold(&format!("{:.0} % of that", share * 100.0));
        match self.share_of_floor {
            Some(share) => line("the whole is", of_floor(share))?,
            None => {
                let there = whole
                    .steps_per_saga
                    .map_or("an unknown number of".to_owned(), |steps| format!("{steps:.2}"));
                let raw = floor.wasm_steps_per_saga;
                let why = format!("raw wasm made {raw:.2} steps a saga, the whole {there}");
                line("not comparable", paint.red(&why))?;
            }
        }
        if let Some(share) = self.other_share_of_floor {
            line("the other host is", of_floor(share))?;
        }
        if let Some((cpu, beyond)) = whole.server_cpu_us.zip(self.cpu_beyond_us) {
            line("CPU beyond the parts", format!("{} a saga of {}", us(beyond), us(cpu)))?;
        }
        let Some(alone) = &self.alone else { return Ok(()) };
        let less = match alone.commits {
            1 => "less 1 commit".to_owned(),
            commits => format!("less {commits} commits"),
        };
        line("the median", format!("{less} is {}", paint.bold(&us(alone.beyond_us))))?;
        match alone.step_beyond_us {
            Some(step) => line("", format!("{} a step", us(step))),
            None => Ok(()),
        }
    }
}

impl Whole {
    fn print(&self, paint: Paint) -> io::Result<()> {
        line("sagas", format!("{} completed, {} did not", self.sagas, self.failed))?;
        if let Some(failure) = &self.first_failure {
            line("", paint.red(&format!("the first of those: {failure}")))?;
        }
        if self.refused > 0 {
            let share = self.refused_share * 100.0;
            line(
                "refused",
                format!("{} starts, {:.0}/s, {share:.1} %", self.refused, self.refused_per_s),
            )?;
            let silent = self.refused_without_retry_after;
            if silent > 0 {
                line("", paint.red(&format!("{silent} of those did not say when to come again")))?;
            }
        }
        line("rate", paint.bold(&format!("{:.0} sagas/s", self.sagas_per_s)))?;
        if let Some(steps) = self.steps_per_s {
            line("steps", format!("{steps:.0} steps/s"))?;
        }
        let Latency { p50, p90, p99, max } = self.latency_ms;
        line(
            "start to completion",
            format!("p50 {}  p90 {}  p99 {}  max {}", ms(p50), ms(p90), ms(p99), ms(max)),
        )?;
        if let Some((appends, commits)) = self.appends_per_saga.zip(self.commits_per_saga) {
            line("per saga", format!("{appends:.2} durable appends, in {commits:.2} commits"))?;
        }
        if let Some(cpu) = self.server_cpu_us {
            line("server CPU", format!("{} a saga", us(cpu)))?;
        }
        if let Some(cpu) = self.generator_cpu_us {
            line("this program's CPU", format!("{} a saga", us(cpu)))?;
        }
        if let Some(faults) = self.faults_per_saga {
            line("page faults", format!("{faults:.1} a saga"))?;
        }
        if let Some(peak) = self.server_peak_bytes {
            line("server memory, peak", size(peak))?;
        }
        Ok(())
    }
}

impl Against {
    fn print(&self, paint: Paint) -> io::Result<()> {
        output::line("the other host")?;
        self.other.print(paint)?;
        output::line("the first against the other")?;
        let pairs: Vec<String> = self
            .pairs
            .iter()
            .map(|pair| format!("{:.0}/{:.0}", pair.this_per_s, pair.other_per_s))
            .collect();
        line("pairs, sagas/s", pairs.join("  "))?;
        let ratio = |ratio: Option<f64>| {
            ratio.map_or("unknown".to_owned(), |ratio| format!("{ratio:.2}, the median"))
        };
        line("rate", paint.bold(&ratio(self.ratio)))?;
        line("server CPU a saga", ratio(self.cpu_ratio))
    }
}

impl Floor {
    fn print(&self) -> io::Result<()> {
        let with_cpu = |cpu: Option<f64>| {
            cpu.map_or(String::new(), |cpu| format!(", {} of CPU each", us(cpu)))
        };
        line(
            "raw store",
            format!("{:.0} sagas/s{}", self.store_per_s, with_cpu(self.store_cpu_us)),
        )?;
        line(
            "",
            format!(
                "{:.2} writes a saga, {:.1} a commit, {} each",
                self.writes_per_saga,
                self.writes_per_commit,
                size(self.chunk_bytes as u64)
            ),
        )?;
        line("raw wasm", format!("{:.0} sagas/s{}", self.wasm_per_s, with_cpu(self.wasm_cpu_us)))?;
        line(
            "bare HTTP",
            format!("{:.0} requests/s{}", self.http_per_s, with_cpu(self.http_cpu_us)),
        )?;
        line(
            "all three would allow",
            format!("{:.0} sagas/s{}", self.all_per_s, with_cpu(self.all_cpu_us)),
        )?;
        line(
            "raw commit",
            format!("p50 {}  p99 {}", us(self.commit_p50_us), us(self.commit_p99_us)),
        )
    }
}

fn line(label: &str, value: String) -> io::Result<()> {
    output::line(&format!("  {label:22} {value}"))
}

/// Microseconds, which may be less than none.
fn us(micros: f64) -> String {
    match micros.abs() {
        ..10.0 => format!("{micros:.1} µs"),
        ..10_000.0 => format!("{micros:.0} µs"),
        _ => format!("{:.2} ms", micros / 1e3),
    }
}

/// Milliseconds, to a hundredth where there are few.
fn ms(millis: f64) -> String {
    match millis {
        1.0..100.0 => format!("{millis:.2} ms"),
        _ => took(Duration::from_secs_f64(millis / 1e3)),
    }
}
