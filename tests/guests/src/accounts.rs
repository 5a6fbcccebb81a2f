//! An entity, and orchestrators that lock some of them.

use std::time::Duration;

use sagahost::{Failure, OrchestratorContext};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How many operations an account remembers.
const REMEMBERED: usize = 1_000;

#[derive(Default, Serialize, Deserialize, JsonSchema)]
struct Account {
    balance: i64,
    /// What was done, the last of it.
    log: Vec<String>,
}

impl Account {
    fn note(&mut self, line: String) {
        self.log.push(line);
        let surplus = self.log.len().saturating_sub(REMEMBERED);
        self.log.drain(..surplus);
    }
}

/// Money, or whatever can be added.
#[sagahost::entity]
impl Account {
    /// Adds to the balance, and answers with it.
    fn add(&mut self, amount: i64) -> i64 {
        self.balance += amount;
        self.note(format!("add {amount}"));
        self.balance
    }

    /// The balance.
    fn get(&self) -> i64 {
        self.balance
    }

    /// Takes the place of the balance.
    fn set(&mut self, balance: i64) {
        self.balance = balance;
        self.note(format!("set {balance}"));
    }

    /// Empties the account, and fails with `asked`: so it does not.
    fn fail(&mut self) -> Result<(), Failure> {
        self.balance = 0;
        self.note("fail".to_owned());
        Err(Failure::permanent("asked", "it was to fail"))
    }

    /// What was added and set, in order.
    fn log(&self) -> &[String] {
        &self.log
    }
}

fn yes() -> bool {
    true
}

#[derive(Deserialize, JsonSchema)]
struct Order {
    from: String,
    to: String,
    amount: i64,
    /// Milliseconds between reading and writing.
    #[serde(default)]
    ms: u64,
    /// Without locks, transfers at the same time undo each other.
    #[serde(default = "yes")]
    locks: bool,
    /// Whether it fails, with `ended`, while it has the locks.
    #[serde(default)]
    fail: bool,
}

/// Reads two accounts, waits, and writes both: `{"from", "to", "amount", "ms", "locks", "fail"}`. Answers with what it
/// wrote. It locks them before, unless `locks` is false.
#[sagahost::orchestrator]
async fn transfer(ctx: OrchestratorContext, input: Order) -> Result<(i64, i64), Failure> {
    if input.from == input.to {
        return Err(Failure::permanent("bad-input", "from and to are the same account"));
    }
    let (from, to) = (ctx.entity("Account", &input.from), ctx.entity("Account", &input.to));
    let guard = match input.locks {
        true => Some(ctx.lock([&from, &to]).await?),
        false => None,
    };
    let before: (i64, i64) = (from.call("get", &()).await?, to.call("get", &()).await?);
    ctx.timer(Duration::from_millis(input.ms)).await;
    if input.fail {
        return Err(Failure::permanent("ended", "it was to fail"));
    }
    let after = (before.0 - input.amount, before.1 + input.amount);
    from.call::<()>("set", &after.0).await?;
    to.call::<()>("set", &after.1).await?;
    if let Some(guard) = guard {
        guard.unlock();
    }
    Ok(after)
}

#[derive(Deserialize, JsonSchema)]
struct Pair {
    held: String,
    other: String,
}

/// Locks the account `held`, and calls `other`, `{"held", "other"}`; answers with the code of the failure.
#[sagahost::orchestrator]
async fn calls_unlocked(ctx: OrchestratorContext, input: Pair) -> Result<String, Failure> {
    let _guard = ctx.lock([ctx.entity("Account", input.held)]).await?;
    match ctx.entity("Account", input.other).call::<i64>("get", &()).await {
        Ok(balance) => Ok(format!("no failure: {balance}")),
        Err(failure) => Ok(failure.code),
    }
}
