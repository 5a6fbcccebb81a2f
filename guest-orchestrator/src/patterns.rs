//! Patterns that take one orchestrator and no more: chaining, fan-out and
//! fan-in, an operation that clients poll, and a person's say.

use std::time::Duration;

use sagahost::serde_json::json;
use sagahost::{Failure, OrchestratorContext, future, info};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Greets one city after the other.
#[sagahost::orchestrator]
pub async fn greeting_chain(
    ctx: OrchestratorContext,
    cities: Vec<String>,
) -> Result<Vec<String>, Failure> {
    let mut greetings = Vec::with_capacity(cities.len());
    for city in &cities {
        greetings.push(ctx.activity("Greet", city).await?);
    }
    Ok(greetings)
}

/// What [`fan_out`] works on.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Numbers {
    /// These numbers.
    List(Vec<i64>),
    /// The numbers from 1 on, so many.
    Count {
        /// How many.
        count: u32,
    },
}

/// Squares all numbers at the same time, and adds the squares up.
#[sagahost::orchestrator]
pub async fn fan_out(ctx: OrchestratorContext, numbers: Numbers) -> Result<i64, Failure> {
    let numbers = match numbers {
        Numbers::List(numbers) => numbers,
        Numbers::Count { count } => (1..=i64::from(count)).collect(),
    };
    info!(ctx, "squaring {} numbers", numbers.len());
    let squares = numbers.iter().map(|number| ctx.activity::<i64>("Square", number));
    let mut sum: i64 = 0;
    for square in future::join_all(squares).await {
        sum = sum.wrapping_add(square?);
    }
    Ok(sum)
}

/// What [`reminder`] is to do.
#[derive(Deserialize, JsonSchema)]
pub struct ReminderInput {
    /// When, in seconds from now.
    seconds: f64,
    /// What to say.
    message: String,
}

/// Waits for a while, over any restart, and then sends a reminder.
#[sagahost::orchestrator]
pub async fn reminder(ctx: OrchestratorContext, input: ReminderInput) -> Result<String, Failure> {
    let wait = seconds("seconds", input.seconds)?;
    let due = ctx.now() + wait;
    ctx.set_custom_status(&format!("waiting until {due}"));
    ctx.timer_until(due).await;
    ctx.activity("SendReminder", &input.message).await
}

/// What [`newsletter`] is to send.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Letter {
    /// To whom.
    to: Vec<String>,
    /// What it says.
    text: String,
    /// How long to wait between two of them, in seconds.
    #[serde(default)]
    pause_seconds: f64,
}

/// Sends a letter to one after the other, which may take long.
///
/// Whoever starts it gets 202 and the address of its status, and polls that
/// until it is 200. The custom status says how far it is:
/// `{"sent": 3, "of": 10}`.
#[sagahost::orchestrator]
pub async fn newsletter(ctx: OrchestratorContext, letter: Letter) -> Result<usize, Failure> {
    let pause = seconds("pauseSeconds", letter.pause_seconds)?;
    for (sent, to) in letter.to.iter().enumerate() {
        ctx.set_custom_status(&json!({ "sent": sent, "of": letter.to.len() }));
        if sent > 0 && !pause.is_zero() {
            ctx.timer(pause).await;
        }
        ctx.activity::<String>("SendReminder", &format!("{to}: {}", letter.text)).await?;
    }
    ctx.set_custom_status(&json!({ "sent": letter.to.len(), "of": letter.to.len() }));
    Ok(letter.to.len())
}

/// What [`approval`] waits for.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalInput {
    /// How long, in seconds.
    timeout_seconds: f64,
    /// Who is asked when that has passed, and has as long again. Without it,
    /// nobody is.
    #[serde(default)]
    escalate_to: Option<String>,
}

/// The event `Approved`.
#[derive(Deserialize, JsonSchema)]
struct Approved {
    /// Whether it was.
    approved: bool,
    /// Who says so.
    by: String,
}

/// How [`approval`] ended.
#[derive(Serialize, JsonSchema)]
pub struct Decision {
    /// What was decided.
    result: Verdict,
    /// By whom, if by anybody.
    by: Option<String>,
}

/// What was decided.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Somebody agreed.
    Approved,
    /// Somebody did not agree.
    Rejected,
    /// Nobody said anything in time.
    TimedOut,
}

/// Waits for somebody to raise the event `Approved`, `{"approved": true, "by": "Ada"}`, but not for ever.
#[sagahost::orchestrator]
pub async fn approval(ctx: OrchestratorContext, input: ApprovalInput) -> Result<Decision, Failure> {
    let timeout = seconds("timeoutSeconds", input.timeout_seconds)?;
    ctx.set_custom_status("waiting for approval");
    let mut answer = ctx.event::<Approved>("Approved").timeout(timeout).await;
    if let (Err(failure), Some(boss)) = (&answer, input.escalate_to)
        && failure.is("timeout")
    {
        ctx.set_custom_status(&format!("waiting for {boss}"));
        let please = format!("{boss}: {} waits for an approval", ctx.instance_id());
        ctx.activity::<String>("SendReminder", &please).await?;
        answer = ctx.event("Approved").timeout(timeout).await;
    }
    match answer {
        Ok(Approved { approved: true, by }) => {
            Ok(Decision { result: Verdict::Approved, by: Some(by) })
        }
        Ok(Approved { by, .. }) => Ok(Decision { result: Verdict::Rejected, by: Some(by) }),
        Err(failure) if failure.is("timeout") => {
            Ok(Decision { result: Verdict::TimedOut, by: None })
        }
        Err(failure) => Err(failure),
    }
}

/// A number of seconds from an input.
pub(crate) fn seconds(field: &str, seconds: f64) -> Result<Duration, Failure> {
    Duration::try_from_secs_f64(seconds)
        .map_err(|error| Failure::permanent("bad-input", format!("{field}: {error}")))
}
