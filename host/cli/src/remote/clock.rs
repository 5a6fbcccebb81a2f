//! `sagahost skip`.

use anyhow::Result;
use bytes::Bytes;
use sagahost_wasm::HumanDuration;
use serde_json::Value;

use crate::client::{RemoteArgs, with_query};
use crate::output;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The clock of `sagahost dev` goes ahead to the next durable timer, retry,
deadline or schedule, or by --by. It stays ahead, also after a restart. That of
`sagahost serve` is the machine's and cannot be skipped.

Examples:
  sagahost skip
  sagahost skip --by 3d

Exit codes: 0 skipped, 3 no host, 4 nothing waits for a time, 6 the host runs by
the machine's clock.")]
pub(crate) struct SkipArgs {
    /// By so much, rather than to what is next
    #[arg(long, value_name = "TIME")]
    by: Option<HumanDuration>,
    #[command(flatten)]
    remote: RemoteArgs,
}

pub(crate) async fn skip(args: SkipArgs) -> Result<()> {
    let by = args.by.map(|by| by.get().as_secs_f64().to_string());
    let path = with_query("/admin/clock/skip", &[("by", by)]);
    let skipped = args.remote.remote()?.post(&path, Bytes::new()).await?.ok()?.value()?;
    match args.remote.json {
        true => output::json(&skipped)?,
        false => output::line(&told(&skipped))?,
    }
    Ok(())
}

/// What a person is told.
fn told(skipped: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let to = &skipped["to"];
    let what = match (to["what"].as_str(), to["instanceId"].as_str()) {
        (Some("schedule"), _) => format!("to the schedule {}", text(&to["name"])),
        (Some("wake"), Some(id)) => format!("to what {} {id} waits for", text(&to["name"])),
        (Some(what), Some(id)) => format!("to the {what} of {} {id}", text(&to["name"])),
        _ => "ahead".to_owned(),
    };
    format!("skipped {what}: it was {} and is {}", text(&skipped["from"]), text(&skipped["now"]))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn it_is_told_what_it_was_skipped_to() {
        let with = |to: Value| told(&json!({ "from": "A", "now": "B", "to": to }));
        let timer = json!({ "what": "timer", "instanceId": "r-1", "name": "Reminder" });
        assert_eq!(with(timer), "skipped to the timer of Reminder r-1: it was A and is B");
        let schedule = json!({ "what": "schedule", "name": "Nightly" });
        assert_eq!(with(schedule), "skipped to the schedule Nightly: it was A and is B");
        assert_eq!(told(&json!({ "from": "A", "now": "B" })), "skipped ahead: it was A and is B");
    }
}
