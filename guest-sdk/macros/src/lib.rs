//! The attributes of the Sagahost SDK. Use them through the crate
//! `sagahost-sdk`, which documents them: `#[sagahost::activity]` and
//! `#[sagahost::orchestrator]`.

mod args;
mod expand;

use proc_macro::TokenStream;

/// Makes an `async fn` an activity of this component.
///
/// ```ignore
/// /// Takes an order's items out of stock.
/// #[sagahost::activity(timeout = "5s", retry(max_attempts = 3))]
/// async fn order_activity(ctx: sagahost::ActivityContext, order: Order) -> Result<bool, sagahost::Failure> {
///     // ...
/// }
/// ```
///
/// The function takes, in this order and both optional, a
/// `sagahost::ActivityContext` and one input (`Deserialize + JsonSchema`). It
/// returns `T` or `Result<T, E>` with `T: Serialize + JsonSchema` and
/// `E: Into<sagahost::Failure>`. It stays an ordinary function that tests can
/// call.
///
/// All arguments are optional:
///
/// | Argument | Meaning | Without it |
/// |---|---|---|
/// | `name = "Charge"` | what callers name it | the function's name in PascalCase: `order_activity` is `OrderActivity` |
/// | `description = "..."` | a sentence for people | the doc comment |
/// | `timeout = "5s"` | the wall time of one attempt | the manifest's, else the host's |
/// | `retry(...)` | when a failed attempt is repeated | the manifest's, else the host's |
/// | `undo = "RollbackOrderActivity"` | the activity that undoes this one, wherever it is called without another word about it | the host does not undo it |
/// | `undoes = "OrderActivity"` | the activity that this one undoes, for people and tools | |
///
/// The activity that `undo` names gets the input of the one it undoes, and is
/// told more by `sagahost::ActivityContext::undone`.
///
/// `retry` takes, all optional, `max_attempts = 3` (0: without limit),
/// `first_interval = "1s"`, `backoff = 2.0`, `max_interval = "1m"`,
/// `total_time = "10m"` (not limited if left out), `jitter = 0.1` and
/// `do_not_retry = ["card-declined"]`; the values shown are the defaults
/// where there is one. Durations are numbers with a unit: `ms`, `s`, `m`,
/// `h`, `d`, and may be put together: `"1m30s"`.
///
/// What the call in the orchestrator says goes before what is said here.
#[proc_macro_attribute]
pub fn activity(args: TokenStream, item: TokenStream) -> TokenStream {
    expand::expand(expand::Kind::Activity, args.into(), item.into()).into()
}

/// Makes an `async fn` an orchestrator of this component.
///
/// ```ignore
/// /// Places an order and charges for it, or does neither.
/// #[sagahost::orchestrator]
/// async fn order_saga(ctx: sagahost::OrchestratorContext, order: Order) -> Result<bool, sagahost::Failure> {
///     ctx.activity::<bool>("OrderActivity", &order).await
/// }
/// ```
///
/// The function takes, in this order and both optional, a
/// `sagahost::OrchestratorContext` and one input, and returns `T` or
/// `Result<T, E>`, as an activity does. All arguments are optional:
///
/// | Argument | Meaning | Without it |
/// |---|---|---|
/// | `name = "Order"` | what callers name it | the function's name in PascalCase: `order_saga` is `OrderSaga` |
/// | `description = "..."` | a sentence for people | the doc comment |
/// | `timeout = "1h"` | the deadline of the whole saga: when it passes, what was done is undone | none |
#[proc_macro_attribute]
pub fn orchestrator(args: TokenStream, item: TokenStream) -> TokenStream {
    expand::expand(expand::Kind::Orchestrator, args.into(), item.into()).into()
}
