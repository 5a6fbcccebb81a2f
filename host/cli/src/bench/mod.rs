//! `sagahost bench`.

mod floor;
mod load;
mod report;
mod server;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use sagahost_wasm::HumanDuration;

use self::load::Load;
use self::report::{Report, Whole};
use self::server::Sample;
use crate::client::Remote;
use crate::exit::{Exit, fail, silently};
use crate::input;
use crate::manifest::Loaded;
use crate::output::{self, Paint};
use crate::template::Template;
use crate::units::took;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Starts sagas over so many connections, on each one after the other, and waits
for each saga's result. What is measured:

  sagas/s          sagas that completed within the time, divided by the time
  latency          from sending the start to having read the result
  steps/s          attempts of activities the server counted, divided by the
                   time until the last saga ended; with --chain, the steps of
                   the completed chains
  appends, commits durable appends and transactions the server counted, per
                   saga; several sagas share a commit
  CPU, memory      of the server, from /proc, where it runs on this machine;
                   memory is the most it has had since it was started

The load before (--warm-up) is not counted. {{number}} and {{uuid}} in the input
are replaced for each saga. Without --input, the manifest's sample for NAME is
taken, if ./sagahost.toml has one.

--floor measures in the same run, while no load runs, what the parts allow:

  raw store  S     sagas/s of a row and two chunks of a journal for each saga,
                   as a saga writes whose steps run in parallel, in commits of
                   as many sagas as are in flight, on an empty store in --data,
                   which should be on the server's disk; no wasm, no HTTP. A
                   chunk is as large as those of NAME are on average
  raw wasm   W     sagas/s of the guest calls (the orchestrator and its
                   activities, with what the manifest grants them) on all
                   cores; no store, no HTTP. All get one and the same input
  both             1 / (1/S + 1/W): the rate of a host that spends the time of
                   both on each saga, one after the other, and none on anything
                   else. W uses all cores and S hardly more than one, and so
                   this is a little less than the cores would allow
  the whole        sagas/s measured, as a share of both. The load generator's
                   own CPU time is in it, where it runs on the same cores

The share is given only where the whole and raw wasm made as many steps for each
saga: a saga that fails because its input was used before does other work. Where
the whole made more than two appends for each saga, the report says so: then the
store had more to do than the raw one, and the share is lower for it.

Examples:
  sagahost bench http://127.0.0.1:7071 OrderSaga --in-flight 64 --duration 10s
  sagahost bench http://127.0.0.1:7071 GreetingChain --chain 100 --in-flight 1
  sagahost bench http://127.0.0.1:7071 OrderSaga --floor

Exit codes: 0 measured, 1 some sagas failed, 2 the start was refused, 3 no
host.")]
pub(crate) struct BenchArgs {
    /// Where the host is
    #[arg(required_unless_present = "floor")]
    url: Option<String>,
    /// The orchestrator
    #[arg(required_unless_present = "floor", default_value_if("floor", "true", "OrderSaga"))]
    name: Option<String>,
    /// Sagas in flight at the same time
    #[arg(long, value_name = "N", default_value_t = 64)]
    in_flight: usize,
    /// For how long, in seconds (or 30s, 2m)
    #[arg(long, value_name = "S", default_value = "10", value_parser = seconds)]
    duration: Duration,
    /// Load before the measurement
    #[arg(long, value_name = "S", default_value = "2", value_parser = seconds)]
    warm_up: Duration,
    /// The input: JSON, @FILE, or - for standard input
    #[arg(long, short, value_name = "JSON", conflicts_with = "chain")]
    input: Option<String>,
    /// Measure steps: the input is a list of so many texts, for an
    /// orchestrator that calls one activity for each, one after the other
    #[arg(long, value_name = "STEPS", num_args = 0..=1, default_missing_value = "100")]
    chain: Option<u64>,
    /// Measure the raw store and raw wasm as well
    #[arg(long)]
    floor: bool,
    /// An empty or missing directory for --floor
    #[arg(long, value_name = "DIR", default_value = ".sagahost/bench")]
    data: PathBuf,
    /// The components for --floor [default: the manifest's]
    #[arg(long, value_name = "DIR")]
    functions: Option<PathBuf>,
    /// The manifest [default: ./sagahost.toml]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// An API key, where the host asks for one [default: $SAGAHOST_KEY]
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Print JSON, for programs
    #[arg(long)]
    json: bool,
}

/// `10` or `10s`.
fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string()),
        Err(_) => text.parse().map(HumanDuration::get),
    }
}

pub(crate) fn run(args: BenchArgs) -> Result<()> {
    if args.in_flight == 0 || args.duration.is_zero() {
        return Err(fail(Exit::Usage, "--in-flight and --duration must be more than 0"));
    }
    let loaded = Loaded::find(args.config.as_deref())?;
    let name = args.name.clone().unwrap_or_default();
    let input = input_of(&args, &loaded, &name)?;
    let mut report = Report::new(&args, &name);
    let mut chunk = None;
    if let Some(url) = &args.url {
        let remote = remote(url, &args)?;
        let load = Load {
            remote: remote.clone(),
            name: name.clone(),
            input: input.clone(),
            in_flight: args.in_flight,
            counter: AtomicU64::new(1),
        };
        // The load is made by one thread, to leave the cores to the server.
        let whole = crate::on_one_core(async {
            let whole = measure(&load, &args).await?;
            chunk = floor::chunk_bytes(&remote, &name, whole.appends_per_saga).await;
            Ok(whole)
        })?;
        report.whole = Some(whole);
    }
    if args.floor {
        say(&args, "measuring the raw store and raw wasm");
        let spec = floor::Spec {
            data: args.data.clone(),
            functions: args.functions.clone(),
            name,
            input,
            in_flight: args.in_flight,
            chunk_bytes: chunk,
        };
        report.floor = Some(crate::on_all_cores(floor::measure(spec, &loaded))?);
    }
    let failed = report.whole.as_ref().is_some_and(|whole| whole.failed > 0);
    match args.json {
        true => output::json(&report.json())?,
        false => report.print(Paint::stdout())?,
    }
    if failed { Err(silently(Exit::Failed)) } else { Ok(()) }
}

fn remote(url: &str, args: &BenchArgs) -> Result<Remote> {
    let key = args.key.clone().or_else(|| std::env::var("SAGAHOST_KEY").ok());
    Remote::new(url, key.filter(|key| !key.is_empty()))
}

fn input_of(args: &BenchArgs, loaded: &Loaded, name: &str) -> Result<Template> {
    if let Some(steps) = args.chain {
        let texts: Vec<String> = (1..=steps).map(|step| format!("\"{step}\"")).collect();
        return Ok(Template::new(&format!("[{}]", texts.join(","))));
    }
    match &args.input {
        // A template need not be JSON before it is filled: `{"n": {{number}}}`.
        Some(text) if !text.starts_with('@') && text != "-" => {
            let template = Template::new(text);
            input::read(&template.fill(1))?;
            Ok(template)
        }
        Some(argument) => Ok(Template::new(input::read(argument)?.as_str())),
        None => Ok(loaded.sample(name).unwrap_or_else(|| Template::new("null"))),
    }
}

fn say(args: &BenchArgs, what: &str) {
    if !args.json {
        eprintln!("{what}");
    }
}

async fn measure(load: &Load, args: &BenchArgs) -> Result<Whole> {
    if !args.warm_up.is_zero() {
        say(args, &format!("warming up for {}", took(args.warm_up)));
        load.run(args.warm_up).await?;
    }
    say(args, &format!("{} sagas in flight for {}", load.in_flight, took(args.duration)));
    let own = std::process::id();
    let before = (Sample::take(&load.remote).await, server::cpu_of(own));
    let outcome = load.run(args.duration).await?;
    let after = (Sample::take(&load.remote).await, server::cpu_of(own));
    tracing::debug!(sagas = load.counter.load(Ordering::Relaxed), "load ended");
    Ok(Whole::new(&outcome, args.duration, args.chain, before, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_may_be_plain_seconds() {
        assert_eq!(seconds("2.5"), Ok(Duration::from_millis(2_500)));
        assert_eq!(seconds("2m"), Ok(Duration::from_secs(120)));
        assert!(seconds("soon").is_err() && seconds("-1").is_err());
    }
}
