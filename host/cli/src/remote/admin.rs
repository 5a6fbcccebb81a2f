//! `sagahost deploy` and `functions`.

use std::path::PathBuf;

use anyhow::Result;
use bytes::Bytes;
use hyper::Method;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use serde_json::Value;

use crate::client::{RemoteArgs, encode};
use crate::exit::{Exit, fail};
use crate::output::{self, Paint, Table, shorten};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The host checks the component before it takes effect, and keeps the old one
where it refuses the new one. Orchestrations that run stay on the component
they began with.

Examples:
  sagahost deploy target/wasm32-wasip2/release/shop.wasm
  sagahost deploy build/out.wasm --name shop

Exit codes: 0 deployed, 2 refused, 3 no host, 5 the key does not allow it.")]
pub(crate) struct DeployArgs {
    /// The component, a .wasm file
    file: PathBuf,
    /// What it is called, and what it replaces [default: the file's name]
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    remote: RemoteArgs,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sagahost functions
  sagahost functions --json | jq '.[] | select(.name == \"OrderSaga\")'")]
pub(crate) struct FunctionsArgs {
    #[command(flatten)]
    pub(crate) remote: RemoteArgs,
}

pub(crate) async fn deploy(args: DeployArgs) -> Result<()> {
    let bytes = std::fs::read(&args.file).map_err(|error| {
        fail(Exit::Usage, format!("cannot read {}: {error}", args.file.display()))
    })?;
    let stem = || args.file.file_stem()?.to_str().map(str::to_owned);
    let name = args
        .name
        .clone()
        .or_else(stem)
        .ok_or_else(|| fail(Exit::Usage, "this file has no name to go by; give --name"))?;
    let remote = args.remote.remote()?;
    let path = format!("/admin/components/{}", encode(&name));
    let mut request = remote.request(Method::PUT, &path, Bytes::from(bytes))?;
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/wasm"));
    let deployed = remote.send(request).await?.ok()?.value()?;
    if args.remote.json {
        return Ok(output::json(&deployed)?);
    }
    let digest = deployed["digest"].as_str().unwrap_or_default();
    output::line(&format!("deployed {name} {}", Paint::stdout().dim(&shorten(digest, 13))))?;
    let functions = deployed["functions"].as_array().into_iter().flatten();
    for function in functions {
        let text = |key: &str| function[key].as_str().unwrap_or_default().to_owned();
        output::line(&format!("  {:12} {}", text("kind"), text("name")))?;
    }
    Ok(())
}

pub(crate) async fn functions(args: FunctionsArgs) -> Result<()> {
    let functions = args.remote.remote()?.get("/admin/functions").await?.ok()?.value()?;
    if args.remote.json {
        return Ok(output::json(&functions)?);
    }
    let list = functions.as_array().or_else(|| functions["functions"].as_array());
    show(list.map(Vec::as_slice).unwrap_or_default())
}

fn show(functions: &[Value]) -> Result<()> {
    if functions.is_empty() {
        eprintln!("no functions are deployed");
        return Ok(());
    }
    let paint = Paint::stdout();
    let mut table = Table::new(&["NAME", "KIND", "COMPONENT", "DESCRIPTION"]);
    for function in functions {
        let text = |key: &str| function[key].as_str().unwrap_or_default().to_owned();
        let about = text("description");
        let first = about.lines().next().unwrap_or_default();
        table.row([text("name"), text("kind"), text("component"), shorten(first, 80)]);
    }
    Ok(table.print(paint, |_, column, cell| match column {
        0 => paint.bold(cell),
        _ => cell.to_owned(),
    })?)
}
