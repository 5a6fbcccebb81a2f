//! One orchestrator for each of the usual patterns.

use std::time::Duration;

use sagahost::{Failure, OrchestratorContext, future, info, select};
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
    let wait = Duration::try_from_secs_f64(input.seconds)
        .map_err(|error| Failure::permanent("bad-input", format!("seconds: {error}")))?;
    let due = ctx.now() + wait;
    ctx.set_custom_status(&format!("waiting until {due}"));
    ctx.timer_until(due).await;
    ctx.activity("SendReminder", &input.message).await
}

/// What [`approval`] waits for.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalInput {
    /// How long, in seconds.
    timeout_seconds: f64,
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
    let timeout = Duration::try_from_secs_f64(input.timeout_seconds)
        .map_err(|error| Failure::permanent("bad-input", format!("timeoutSeconds: {error}")))?;
    ctx.set_custom_status("waiting for approval");
    let mut answer = ctx.event::<Approved>("Approved");
    let mut too_late = ctx.timer(timeout);
    let decision = select! {
        answer = answer => {
            let Approved { approved, by } = answer?;
            let result = if approved { Verdict::Approved } else { Verdict::Rejected };
            Decision { result, by: Some(by) }
        }
        () = too_late => Decision { result: Verdict::TimedOut, by: None },
    };
    Ok(decision)
}
