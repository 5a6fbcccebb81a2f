//! The attributes of the Sagahost SDK. Use them through the crate
//! `sagahost-sdk`, which documents them: `#[sagahost::activity]`,
//! `#[sagahost::orchestrator]` and `#[sagahost::entity]`.

mod args;
mod entity;
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

/// Makes the methods of a type the operations of an entity of this component.
///
/// ```ignore
/// /// How much of an article there is.
/// #[derive(Default, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
/// struct Stock {
///     left: u32,
/// }
///
/// #[sagahost::entity]
/// impl Stock {
///     /// Puts some there.
///     fn put(&mut self, count: u32) {
///         self.left += count;
///     }
///
///     /// Takes some away, if there is enough.
///     fn take(&mut self, ctx: &mut sagahost::EntityContext, count: u32) -> Result<bool, sagahost::Failure> {
///         let Some(left) = self.left.checked_sub(count) else { return Ok(false) };
///         self.left = left;
///         if left == 0 {
///             ctx.signal(sagahost::EntityId::new("Audit", "all"), "add", ctx.key().to_owned().as_str());
///         }
///         Ok(true)
///     }
///
///     /// How much is left.
///     fn left(&self) -> u32 {
///         self.left
///     }
/// }
/// ```
///
/// The type is the state: `Serialize`, `Deserialize`, `JsonSchema`, and
/// `Default` for an entity that has none yet. Each function that takes `&self`
/// or `&mut self` is an operation of its name. It takes, in this order and both
/// optional, a `&mut sagahost::EntityContext` and one input, and returns `T` or
/// `Result<T, E>`, as an activity does; it may be `async`. What takes `&mut
/// self` changes the state, unless it fails; what takes `&self` does not.
/// Functions that are to be no operations go into another `impl` block. All
/// arguments are optional:
///
/// | Argument | Meaning | Without it |
/// |---|---|---|
/// | `name = "Shelf"` | what callers name it | the type's name |
/// | `description = "..."` | a sentence for people | the doc comment of the `impl` block |
/// | `timeout = "5s"` | the wall time of one attempt of an operation | the manifest's, else the host's |
/// | `retry(...)` | when a failed attempt is repeated | the manifest's, else the host's |
#[proc_macro_attribute]
pub fn entity(args: TokenStream, item: TokenStream) -> TokenStream {
    entity::expand(args.into(), item.into()).into()
}
