//! Activities that need nothing from the world.

use sagahost::{ActivityContext, Failure, info};

/// Greets somebody.
#[sagahost::activity]
pub async fn greet(name: String) -> String {
    format!("Hello, {name}!")
}

/// Multiplies a number by itself.
#[sagahost::activity]
pub async fn square(number: i64) -> Result<i64, Failure> {
    number.checked_mul(number).ok_or_else(|| {
        Failure::permanent("too-large", format!("{number} squared does not fit into 64 bits"))
    })
}

/// Sends a reminder: to the log, as this shop has no other way.
#[sagahost::activity]
pub async fn send_reminder(ctx: ActivityContext, message: String) -> String {
    info!(ctx, "reminder: {message}");
    format!("reminded: {message}")
}
