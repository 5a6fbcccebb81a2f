//! `sagahost bench`.

mod against;
mod floor;
mod limits;
mod load;
mod outcome;
mod report;
mod server;
mod slice;

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use anyhow::Result;
use sagahost_wasm::HumanDuration;

use self::load::Load;
use self::outcome::Answer;
use self::report::{Report, Whole};
use self::slice::Slice;
use crate::client::Remote;
use crate::exit::{Exit, fail, silently};
use crate::input;
use crate::manifest::Loaded;
use crate::output::{self, Paint};
use crate::template::Template;
use crate::units::took;

#[derive(Debug, clap::Args)]
#[command(after_help = include_str!("help.txt"))]
pub(crate) struct BenchArgs {
    /// Where the host is
    #[arg(required_unless_present_any = ["floor", "bare_http"])]
    url: Option<String>,
    /// The orchestrator
    #[arg(required_unless_present_any = ["floor", "bare_http"], default_value_if("floor", "true", "OrderSaga"))]
    name: Option<String>,
    /// Sagas in flight at the same time
    #[arg(long, value_name = "N", default_value_t = 64)]
    in_flight: usize,
    /// For how long, in seconds (or 30s, 2m)
    #[arg(long, value_name = "S", default_value = "10", value_parser = seconds)]
    duration: Duration,
    /// At most so many sagas, from the beginning of the measurement on
    #[arg(long, value_name = "N", conflicts_with = "against")]
    count: Option<u64>,
    /// Measure starts: do not wait for results
    #[arg(long, conflicts_with = "floor")]
    no_wait: bool,
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
    /// A second host, to measure in turn with the first
    #[arg(long, value_name = "URL", requires = "url")]
    against: Option<String>,
    /// In how many pairs of slices, with --against
    #[arg(long, value_name = "N", default_value_t = 5, requires = "against")]
    pairs: u32,
    /// Measure the raw store, raw wasm and bare HTTP as well
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
    /// Write the report to this file as well, as JSON
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Print JSON, for programs
    #[arg(long)]
    json: bool,
    // What --floor starts.
    #[arg(long, hide = true)]
    bare_http: bool,
}

/// `10` or `10s`.
fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string()),
        Err(_) => text.parse().map(HumanDuration::get),
    }
}

pub(crate) fn run(args: BenchArgs) -> Result<()> {
    if args.bare_http {
        return crate::on_all_cores(floor::bare::serve());
    }
    if args.in_flight == 0 || args.duration.is_zero() || args.pairs == 0 {
        return Err(fail(Exit::Usage, "--in-flight, --duration and --pairs must be more than 0"));
    }
    limits::make_room(args.in_flight)?;
    let loaded = Loaded::find(args.config.as_deref())?;
    let name = args.name.clone().unwrap_or_default();
    let input = input_of(&args, &loaded, &name)?;
    let mut report = Report::new(&args, &name);
    let (mut chunk_bytes, mut answer) = (None, None);
    if let Some(url) = &args.url {
        let load = |url: &str| {
            Ok::<_, anyhow::Error>(Load {
                remote: remote(url, &args)?,
                name: name.clone(),
                input: input.clone(),
                in_flight: args.in_flight,
                waits: !args.no_wait,
                counter: AtomicU64::new(1),
            })
        };
        let (this, other) = (load(url)?, args.against.as_deref().map(load).transpose()?);
        // The load is made by one thread, to leave the cores to the server.
        crate::on_one_core(async {
            answer = measure(&this, other.as_ref(), &args, &mut report).await?;
            if args.floor {
                let appends = report.whole.as_ref().and_then(|whole| whole.appends_per_saga);
                chunk_bytes = floor::chunk_bytes(&this.remote, &name, appends).await;
            }
            Ok(())
        })?;
    }
    if args.floor {
        say(&args, "measuring bare HTTP, the raw store and raw wasm");
        let whole = report.whole.as_ref();
        let spec = floor::Spec {
            data: args.data.clone(),
            functions: args.functions.clone(),
            name,
            input,
            in_flight: args.in_flight,
            duration: args.duration,
            chunk_bytes,
            writes: whole.and_then(|whole| whole.appends_per_saga),
            batch: whole.and_then(Whole::appends_per_commit),
            answer,
        };
        let http = crate::on_one_core(floor::http(&spec))?;
        report.floor = Some(crate::on_all_cores(floor::measure(spec, http, &loaded))?);
    }
    report.compare();
    let failed = report.failed() > 0;
    if let Some(path) = &args.save {
        save(path, &report)?;
    }
    match args.json {
        true => output::json(&report.json())?,
        false => report.print(Paint::stdout())?,
    }
    if failed { Err(silently(Exit::Failed)) } else { Ok(()) }
}

fn save(path: &Path, report: &Report) -> Result<()> {
    std::fs::write(path, format!("{:#}\n", report.json()))
        .map_err(|error| fail(Exit::Failed, format!("cannot write {}: {error}", path.display())))
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

/// Measures one host, or two. Gives what the first one answers.
async fn measure(
    this: &Load,
    other: Option<&Load>,
    args: &BenchArgs,
    report: &mut Report,
) -> Result<Option<Answer>> {
    if !args.warm_up.is_zero() {
        say(args, &format!("warming up for {}", took(args.warm_up)));
        for load in std::iter::once(this).chain(other) {
            load.run(args.warm_up, None).await?;
        }
    }
    say(args, &format!("{} sagas in flight for {}", this.in_flight, took(args.duration)));
    let slice = match other {
        None => Slice::measure(this, args.duration, args.count).await?,
        Some(other) => {
            let (slice, against) =
                against::measure(this, other, args.duration, args.pairs, args.chain).await?;
            report.against = Some(against);
            slice
        }
    };
    report.whole = Some(Whole::new(&slice, args.chain));
    Ok(slice.outcome.answer)
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
