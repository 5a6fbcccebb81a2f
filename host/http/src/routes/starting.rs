//! Starting orchestrations.

use super::managed;
use crate::auth::USE;
use crate::openapi::operation::{Operation, post};
use crate::openapi::schema;
use crate::start;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        start(post("/api/orchestrators/{name}", USE, "start", start::start)),
        start_as(post("/api/orchestrators/{name}/{id}", USE, "startAs", start::start_with_id)),
        start(post(managed("orchestrators/{name}"), USE, "startManaged", start::start)),
        start_as(post(
            managed("orchestrators/{name}/{id}"),
            USE,
            "startManagedAs",
            start::start_with_id,
        )),
    ]
}

fn start(operation: Operation) -> Operation {
    let named = operation.summary("Starts an orchestration.").path(
        "name",
        schema::name(),
        "The orchestrator.",
    );
    rest(named)
}

fn start_as(operation: Operation) -> Operation {
    let named = operation
        .summary("Starts an orchestration under an id of the caller's choice.")
        .path("name", schema::name(), "The orchestrator.")
        .path("id", schema::instance_id(), "The id of the new instance.");
    rest(named).refusal(409, "An instance of this id has not ended.")
}

fn rest(operation: Operation) -> Operation {
    operation
        .query("version", schema::text(), "The version that the orchestrator is told.")
        .query("deadline", schema::more_seconds(), "When all of it is undone that has not ended.")
        .query("tag", schema::tag(), "A tag of the instance; may be given more than once.")
        .query("startAt", schema::time(), "When its code begins to run, where that is later.")
        .query("timeout", schema::seconds(), "How long to wait for the end, with pollingInterval.")
        .query(
            "pollingInterval",
            schema::seconds(),
            "That the caller waits; the host polls nothing.",
        )
        .query(
            "returnInternalServerErrorOnFailure",
            schema::flag(false),
            "Whether a waiting start that ends as Failed is answered with 500.",
        )
        .query("showInput", schema::flag(true), "Of a waiting start that did not complete.")
        .query("showHistory", schema::flag(false), "Of a waiting start that did not complete.")
        .query(
            "showHistoryOutput",
            schema::flag(false),
            "Of a waiting start that did not complete.",
        )
        .header("traceparent", schema::text(), "The trace it belongs to (W3C Trace Context).")
        .body_or_none(schema::any())
        .check_status()
        .json(
            200,
            schema::any(),
            "Of a waiting start: its output, or its status if it did not complete.",
        )
        .refusal(
            400,
            "No such orchestrator, an id that is not allowed, or an input that does not fit.",
        )
        .json(
            500,
            schema::either(["Status", "Error"]),
            "It failed, and returnInternalServerErrorOnFailure is set; or the host made an error.",
        )
}
