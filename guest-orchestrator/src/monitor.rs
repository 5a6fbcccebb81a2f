//! The pattern of a monitor.

use std::time::Duration;

use sagahost::{Failure, OrchestratorContext, Timestamp, info};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::patterns::seconds;

/// How often it looks before it begins anew: so its journal stays short,
/// however long it goes on.
const LOOKS: u32 = 10;

/// The longest pause between two looks.
const LONGEST: Duration = Duration::from_secs(3600);

/// What [`watch_article`] waits for.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Watch {
    /// The article.
    sku: String,
    /// How much of it there must be.
    at_least: u64,
    /// How long it is worth to wait for that, in seconds.
    seconds: f64,
    /// The pause before the second look, in seconds. Each is twice as long as
    /// the one before, up to an hour.
    #[serde(default = "one")]
    pause_seconds: f64,
    /// When it gives up, in milliseconds since 1970: what it tells itself when
    /// it begins anew.
    #[serde(default)]
    until_ms: Option<u64>,
    /// How often it has looked before.
    #[serde(default)]
    looks: u32,
}

fn one() -> f64 {
    1.0
}

/// How [`watch_article`] ended.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Watched {
    /// Whether there was enough of it.
    in_stock: bool,
    /// How often it has looked.
    looks: u32,
}

/// Looks again and again how much there is of an article, and says when it is enough.
///
/// Between two looks there is a durable timer, so it costs nothing to wait,
/// for weeks if need be. It gives up when the time is over.
#[sagahost::orchestrator]
pub async fn watch_article(ctx: OrchestratorContext, mut watch: Watch) -> Result<Watched, Failure> {
    let until = match watch.until_ms {
        Some(until_ms) => Timestamp::from_millis(until_ms),
        None => ctx.now() + seconds("seconds", watch.seconds)?,
    };
    let mut pause = seconds("pauseSeconds", watch.pause_seconds)?;
    for _ in 0..LOOKS {
        watch.looks += 1;
        let left: Option<u64> = ctx.activity("ArticleLeft", &watch.sku).await?;
        // What has no limit is always enough.
        if left.is_none_or(|left| left >= watch.at_least) {
            let message = format!("there is enough of {} again", watch.sku);
            ctx.activity::<String>("SendReminder", &message).await?;
            return Ok(Watched { in_stock: true, looks: watch.looks });
        }
        if ctx.now() >= until {
            info!(ctx, "{} did not come back in time", watch.sku);
            return Ok(Watched { in_stock: false, looks: watch.looks });
        }
        let next = until.min(ctx.now() + pause);
        ctx.set_custom_status(&format!("looks again at {next}"));
        ctx.timer_until(next).await;
        pause = (pause * 2).min(LONGEST);
    }
    watch.until_ms = Some(until.as_millis());
    watch.pause_seconds = pause.as_secs_f64();
    ctx.continue_as_new(&watch)
}
