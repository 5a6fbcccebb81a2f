//! `sagahost list`.

use std::collections::VecDeque;

use anyhow::Result;
use bytes::Bytes;
use hyper::Method;
use jiff::Timestamp;
use sagahost_wasm::HumanDuration;
use serde_json::Value;

use super::undo::stuck_line;
use crate::client::{BASE, Remote, RemoteArgs, with_query};
use crate::exit::{Exit, fail};
use crate::output::{self, Paint, Table, shorten};

const TOKEN: &str = "x-ms-continuation-token";

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sagahost list
  sagahost list --status Failed,Running --name OrderSaga
  sagahost list --saga stuck
  sagahost list --from 2h --all --json | jq -r '.[].instanceId'")]
pub(crate) struct ListArgs {
    /// Only instances of this orchestrator
    #[arg(long)]
    name: Option<String>,
    /// Only instances whose ids begin with this
    #[arg(long)]
    prefix: Option<String>,
    /// Only instances of these statuses: Pending, Running, Completed, Failed,
    /// Terminated, Canceled, Suspended (several with commas)
    #[arg(long, value_name = "STATUS")]
    status: Option<String>,
    /// Only instances whose sagas stand so: none, armed, past-pivot,
    /// compensating, compensated, stuck, committed (several with commas)
    #[arg(long, value_name = "STATE")]
    saga: Option<String>,
    /// Only instances created since: a time (2026-01-31T12:00:00Z) or how
    /// long ago (2h)
    #[arg(long, value_name = "WHEN")]
    from: Option<String>,
    /// Only instances created before: as --from
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

/// Pages of instances or entities, fetched as they are asked for.
pub(super) struct Pages {
    remote: Remote,
    path: String,
    token: Option<String>,
    page: VecDeque<Value>,
    begun: bool,
}

impl Pages {
    /// Those of the listing at this path.
    pub(super) fn new(remote: Remote, path: String) -> Self {
        Pages { remote, path, token: None, page: VecDeque::new(), begun: false }
    }

    /// The next ones, so many at most.
    pub(super) async fn take(&mut self, most: usize) -> Result<Vec<Value>> {
        let mut rows = Vec::new();
        while rows.len() < most
            && let Some(row) = self.next().await?
        {
            rows.push(row);
        }
        Ok(rows)
    }

    /// Whether there may be more than were taken.
    pub(super) fn has_more(&self) -> bool {
        self.token.is_some() || !self.page.is_empty()
    }

    async fn next(&mut self) -> Result<Option<Value>> {
        while self.page.is_empty() {
            if self.begun && self.token.is_none() {
                return Ok(None);
            }
            self.begun = true;
            let mut request = self.remote.request(Method::GET, &self.path, Bytes::new())?;
            if let Some(token) = self.token.take() {
                let value = token
                    .parse()
                    .map_err(|_| fail(Exit::Failed, "the host's continuation token is unusable"))?;
                request.headers_mut().insert(TOKEN, value);
            }
            let reply = self.remote.send(request).await?.ok()?;
            let token = reply.headers.get(TOKEN).and_then(|token| token.to_str().ok());
            self.token = token.filter(|token| !token.is_empty()).map(str::to_owned);
            match reply.value()? {
                Value::Array(page) => self.page = page.into(),
                _ => {
                    return Err(fail(
                        Exit::Failed,
                        "the host answered with something that is not a list",
                    ));
                }
            }
        }
        Ok(self.page.pop_front())
    }
}

pub(crate) async fn run(args: ListArgs) -> Result<()> {
    let now = Timestamp::now();
    let most = if args.all { usize::MAX } else { args.top };
    let top = if args.all { 1_000 } else { args.top.clamp(1, 1_000) };
    let parameters = [
        ("name", args.name.clone()),
        ("instanceIdPrefix", args.prefix.clone()),
        ("runtimeStatus", args.status.clone()),
        ("sagaState", args.saga.clone()),
        ("createdTimeFrom", args.from.as_deref().map(|when| time(when, now)).transpose()?),
        ("createdTimeTo", args.to.as_deref().map(|when| time(when, now)).transpose()?),
        ("top", Some(top.to_string())),
        ("showInput", Some(args.remote.json.to_string())),
    ];
    let path = with_query(&format!("{BASE}/instances"), &parameters);
    let mut pages = Pages::new(args.remote.remote()?, path);
    let rows = pages.take(most).await?;
    if args.remote.json {
        return Ok(output::json(&Value::Array(rows))?);
    }
    show(&rows)?;
    if pages.has_more() {
        eprintln!(
            "there are more: --all lists all, --top N the first N; --name, --status, --saga, --prefix, --from and --to choose some"
        );
    }
    Ok(())
}

fn show(rows: &[Value]) -> Result<()> {
    if rows.is_empty() {
        eprintln!("no instances");
        return Ok(());
    }
    let paint = Paint::stdout();
    let mut table = Table::new(&["ID", "NAME", "STATUS", "SAGA", "CREATED", "UPDATED", "OUTPUT"]);
    for row in rows {
        let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
        let result = if row["output"].is_null() { &row["customStatus"] } else { &row["output"] };
        table.row([
            text("instanceId"),
            text("name"),
            text("runtimeStatus"),
            text("sagaState"),
            text("createdTime"),
            text("lastUpdatedTime"),
            match row["stuck"].as_array().and_then(|stuck| stuck.first()) {
                Some(stuck) => shorten(&stuck_line(stuck), 100),
                None if result.is_null() => String::new(),
                None => shorten(&result.to_string(), 60),
            },
        ]);
    }
    Ok(table.print(paint, |_, column, cell| match column {
        0 => paint.bold(cell),
        2 => paint.status(cell),
        3 => paint.saga(cell),
        4 | 5 => paint.dim(cell),
        _ => cell.to_owned(),
    })?)
}

/// A time as the API takes it, from a time or from how long ago it is.
pub(super) fn time(when: &str, now: Timestamp) -> Result<String> {
    if let Ok(ago) = when.parse::<HumanDuration>() {
        let then = jiff::SignedDuration::try_from(ago.get())
            .ok()
            .and_then(|ago| now.checked_sub(ago).ok());
        return then
            .map(|then| then.to_string())
            .ok_or_else(|| fail(Exit::Usage, format!("{when:?} is too long ago")));
    }
    when.parse::<Timestamp>().map(|time| time.to_string()).map_err(|_| {
        fail(
            Exit::Usage,
            format!("{when:?} is not a time; write it like 2026-01-31T12:00:00Z, or 2h for two hours ago"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        let now: Timestamp = "2026-01-31T12:00:00Z".parse().expect("a time");
        assert_eq!(time("2h", now).expect("a time"), "2026-01-31T10:00:00Z");
        assert_eq!(time("2026-01-01T00:00:00Z", now).expect("a time"), "2026-01-01T00:00:00Z");
        assert!(time("yesterday", now).is_err());
    }
}
