//! `sagahost key`: who may do what. Works on the data directory, so that the
//! first key can be made before the host runs.

use std::path::{Path, PathBuf};

use anyhow::Result;
use sagahost_http::{KeyKind, Keys};
use serde_json::{Value, json};

use crate::exit::{Exit, fail};
use crate::output::{self, Paint, Table};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
A host on any address but loopback asks for a key with each request, in the
header x-functions-key or the query parameter code. Only the keys' hashes are
kept. A running host reads its keys when it starts.

Examples:
  sagahost key create --data /var/lib/sagahost --kind manage --name admin
  sagahost key create --data /var/lib/sagahost --kind use --name shop
  sagahost key remove --data /var/lib/sagahost --name shop")]
pub(crate) struct KeyArgs {
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(Debug, clap::Subcommand)]
enum KeyCommand {
    /// Make a key and print it, once
    Create {
        #[command(flatten)]
        place: Place,
        /// What it may do
        #[arg(long, value_enum)]
        kind: Kind,
        /// What people call it
        #[arg(long)]
        name: String,
    },
    /// Show which keys there are
    List {
        #[command(flatten)]
        place: Place,
    },
    /// Take a key away
    Remove {
        #[command(flatten)]
        place: Place,
        /// Which
        #[arg(long)]
        name: String,
    },
}

#[derive(Debug, clap::Args)]
struct Place {
    /// The host's data directory
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Print JSON, for programs
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Kind {
    /// Everything: also terminate, purge, deploy, run activities
    Manage,
    /// Start, raise events, signal entities, read
    Use,
}

pub(crate) fn run(args: KeyArgs) -> Result<()> {
    match args.command {
        KeyCommand::Create { place, kind, name } => create(&place, kind, &name),
        KeyCommand::List { place } => list(&place),
        KeyCommand::Remove { place, name } => remove(&place, &name),
    }
}

fn load(dir: &Path) -> Result<Keys> {
    Ok(Keys::load(dir)?.unwrap_or_default())
}

fn create(place: &Place, kind: Kind, name: &str) -> Result<()> {
    sagahost_store::make_dir(&place.data)?;
    let kind = match kind {
        Kind::Manage => KeyKind::Manage,
        Kind::Use => KeyKind::Use,
    };
    let mut keys = load(&place.data)?;
    let key = keys.create(name, kind).map_err(|error| fail(Exit::Conflict, error.to_string()))?;
    keys.save(&place.data)?;
    if place.json {
        return Ok(output::json(&json!({ "name": name, "kind": kind.to_string(), "key": key }))?);
    }
    // The key alone on standard output, so that a script can keep it.
    eprintln!("The key '{name}' ({kind}). It is shown this once:");
    Ok(output::line(&key)?)
}

fn list(place: &Place) -> Result<()> {
    let keys = load(&place.data)?;
    if place.json {
        let list =
            keys.list().iter().map(|key| json!({ "name": key.name, "kind": key.kind.to_string() }));
        return Ok(output::json(&Value::Array(list.collect()))?);
    }
    if keys.is_empty() {
        eprintln!("no keys in {}", place.data.display());
        return Ok(());
    }
    let mut table = Table::new(&["NAME", "KIND"]);
    for key in keys.list() {
        table.row([key.name.clone(), key.kind.to_string()]);
    }
    Ok(table.print(Paint::stdout(), |_, _, cell| cell.to_owned())?)
}

fn remove(place: &Place, name: &str) -> Result<()> {
    let mut keys = load(&place.data)?;
    if !keys.remove(name) {
        return Err(fail(
            Exit::NotFound,
            format!("there is no key named '{name}' in {}", place.data.display()),
        ));
    }
    keys.save(&place.data)?;
    match place.json {
        true => output::json(&json!({ "name": name }))?,
        false => output::line(&format!(
            "removed {name}; a running host forgets it when it is started again"
        ))?,
    }
    Ok(())
}
