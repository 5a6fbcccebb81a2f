//! What the pages ask, and whoever watches a host.

use sagahost_core::RuntimeStatus;

use crate::auth::USE;
use crate::openapi::operation::{Operation, get};
use crate::openapi::schema;
use crate::{live, overview};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        get("/api/events", USE, "changes", live::follow)
            .summary("What changes of all instances, as it changes.")
            .query("name", schema::text(), "Only those of this orchestrator.")
            .query("idPrefix", schema::text(), "Only those whose ids begin so.")
            .query(
                "status",
                schema::word(RuntimeStatus::ALL.map(RuntimeStatus::as_str)),
                "Only those that have one of these now, in a comma list.",
            )
            .header("Last-Event-ID", schema::text(), "Goes on after this change.")
            .events(200, "`change`, and `reset` where something was missed."),
        get("/api/session", USE, "session", overview::session)
            .summary("What the key of the request may do.")
            .json(200, schema::of("Session"), "That."),
        get("/api/overview", USE, "overview", overview::overview)
            .summary("How the host does.")
            .json(200, schema::of("Overview"), "The figures."),
        get("/api/functions", USE, "knownFunctions", overview::functions)
            .summary("Every function that is deployed, what it is granted, and how it does.")
            .json(200, schema::list(schema::of("KnownFunction")), "The functions, by name."),
    ]
}
