//! `sagahost entity`: reads entities, and tells them what to do.

use anyhow::Result;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::list::{Pages, time};
use crate::client::{BASE, RemoteArgs, encode, with_query};
use crate::input;
use crate::output::{self, Paint, Table, shorten};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sagahost entity signal Shelf lamp put --input 10
  sagahost entity get Shelf lamp
  sagahost entity list Shelf --from 1h

Exit codes: 0 done, 2 the operation or its input is wrong, 3 no host, 4 there is
no such entity.")]
pub(crate) struct EntityArgs {
    #[command(subcommand)]
    command: EntityCommand,
}

#[derive(Debug, clap::Subcommand)]
enum EntityCommand {
    /// Print the state of an entity
    Get {
        /// What it is: the function
        name: String,
        /// Which one it is
        key: String,
        #[command(flatten)]
        remote: RemoteArgs,
    },
    /// Tell an entity to do something, and do not wait for it
    Signal {
        /// What it is: the function
        name: String,
        /// Which one it is
        key: String,
        /// What it is to do
        operation: String,
        /// What comes with it: JSON, @FILE, or - for standard input
        #[arg(long, short, value_name = "JSON")]
        input: Option<String>,
        /// When it is to do it: a time (2026-01-31T12:00:00Z) [default: now]
        #[arg(long, value_name = "WHEN")]
        at: Option<String>,
        #[command(flatten)]
        remote: RemoteArgs,
    },
    /// List entities with their states
    List(ListArgs),
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    /// Only those of this function
    name: Option<String>,
    /// Only those that did something since: a time (2026-01-31T12:00:00Z) or
    /// how long ago (2h)
    #[arg(long, value_name = "WHEN")]
    from: Option<String>,
    /// Only those that did something last before: as --from
    #[arg(long, value_name = "WHEN")]
    to: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50)]
    top: usize,
    /// All of them, page after page
    #[arg(long, conflicts_with = "top")]
    all: bool,
    #[command(flatten)]
    remote: RemoteArgs,
}

pub(crate) async fn run(args: EntityArgs) -> Result<()> {
    match args.command {
        EntityCommand::Get { name, key, remote } => {
            let state = remote.remote()?.get(&path(&name, &key)).await?.ok()?.value()?;
            match remote.json {
                true => output::json(&state)?,
                false => output::line(&state.to_string())?,
            }
            Ok(())
        }
        EntityCommand::Signal { name, key, operation, input, at, remote } => {
            let body = input::read_or_null(input.as_deref())?;
            let path =
                with_query(&path(&name, &key), &[("op", Some(operation.clone())), ("at", at)]);
            remote.remote()?.post(&path, body.as_str().to_owned()).await?.ok()?;
            match remote.json {
                true => output::json(&json!({ "name": name, "key": key }))?,
                false => output::line(&format!("told {name} {key} to {operation}"))?,
            }
            Ok(())
        }
        EntityCommand::List(args) => list(args).await,
    }
}

fn path(name: &str, key: &str) -> String {
    format!("{BASE}/entities/{}/{}", encode(name), encode(key))
}

async fn list(args: ListArgs) -> Result<()> {
    let now = Timestamp::now();
    let most = if args.all { usize::MAX } else { args.top };
    let parameters = [
        ("lastOperationTimeFrom", args.from.as_deref().map(|when| time(when, now)).transpose()?),
        ("lastOperationTimeTo", args.to.as_deref().map(|when| time(when, now)).transpose()?),
        ("fetchState", Some("true".to_owned())),
        ("top", Some(most.clamp(1, 1_000).to_string())),
    ];
    let of = args.name.as_deref().map(|name| format!("/{}", encode(name))).unwrap_or_default();
    let path = with_query(&format!("{BASE}/entities{of}"), &parameters);
    let mut pages = Pages::new(args.remote.remote()?, path);
    let rows = pages.take(most).await?;
    if args.remote.json {
        return Ok(output::json(&Value::Array(rows))?);
    }
    if rows.is_empty() {
        eprintln!("no entities");
        return Ok(());
    }
    let paint = Paint::stdout();
    let mut table = Table::new(&["NAME", "KEY", "LAST OPERATION", "STATE"]);
    for row in &rows {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        table.row([
            text(&row["entityId"]["name"]),
            text(&row["entityId"]["key"]),
            text(&row["lastOperationTime"]),
            shorten(&row["state"].to_string(), 80),
        ]);
    }
    table.print(paint, |_, column, cell| match column {
        0 | 1 => paint.bold(cell),
        2 => paint.dim(cell),
        _ => cell.to_owned(),
    })?;
    if pages.has_more() {
        eprintln!(
            "there may be more: --all lists all, --top N the first N; NAME, --from and --to choose some"
        );
    }
    Ok(())
}
