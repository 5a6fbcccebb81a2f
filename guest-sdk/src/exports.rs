//! The exports of the component: this crate has them, so that a guest needs
//! no macro for them.

use crate::bindings::exports::sagahost::saga::{activities, describe, orchestrators};
use crate::bindings::sagahost::saga::types;
use crate::registry;

struct Component;

impl describe::Guest for Component {
    fn describe() -> String {
        registry::describe()
    }
}

impl activities::Guest for Component {
    fn run_activity(name: String, input: String) -> Result<String, types::Failure> {
        let result = registry::run_activity(&name, input).map_err(Into::into);
        flush();
        result
    }
}

impl orchestrators::Guest for Component {
    fn run_orchestrator(name: String, input: String) -> Result<String, types::Failure> {
        let result = registry::run_orchestrator(&name, input).map_err(Into::into);
        flush();
        result
    }
}

/// A component's function returns, it does not exit: what was printed without
/// a line's end is still in the buffer.
fn flush() {
    // Where nobody takes it there is nobody to tell.
    let _ = std::io::Write::flush(&mut std::io::stdout());
}

crate::bindings::export_component!(Component with_types_in crate::bindings);
