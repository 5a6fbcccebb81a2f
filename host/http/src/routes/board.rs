//! What a dashboard lists.

use sagahost_core::{RuntimeStatus, SagaState};

use crate::auth::USE;
use crate::board;
use crate::openapi::operation::{Operation, get};
use crate::openapi::schema;

pub(super) fn operations() -> Vec<Operation> {
    let list = get("/api/instances", USE, "browse", board::list)
        .summary("Instances, sorted and searched: what was found soon, and where to go on.");
    let histogram = get("/api/instances/histogram", USE, "histogram", board::histogram)
        .summary("How many instances were created when, by status: as many as were counted soon.");
    vec![
        filtered(list)
            .query("sort", schema::word(["created", "updated"]), "By what; by creation.")
            .query("order", schema::word(["desc", "asc"]), "The last first, or the first.")
            .query("top", schema::count(1), "How many at once, at most; 100, and 1,000 at most.")
            .query("token", schema::text(), "The `next` of the page before.")
            .json(200, schema::of("InstanceList"), "A page of them, or a part of one."),
        filtered(histogram)
            .query(
                "buckets",
                schema::count(1),
                "How many intervals, at most; 60, and 1,000 at most.",
            )
            .query("token", schema::text(), "The `next` of the part before.")
            .json(200, schema::of("Histogram"), "The counts, or a part of them, to be added up."),
    ]
}

fn filtered(operation: Operation) -> Operation {
    operation
        .query("search", schema::text(), "Stands in the id or the name, in any case.")
        .query(
            "status",
            schema::word(RuntimeStatus::ALL.map(RuntimeStatus::as_str)),
            "Only those with one of these, in a comma list.",
        )
        .query(
            "saga",
            schema::word(SagaState::ALL.map(SagaState::as_str)),
            "Only those in one of these states, in a comma list.",
        )
        .query("name", schema::text(), "Only those of this orchestrator.")
        .query("idPrefix", schema::text(), "How their ids begin.")
        .query("tag", schema::tag(), "A tag they have; may be given more than once.")
        .query("from", schema::count(0), "Not those created before, in ms since 1970.")
        .query("to", schema::count(0), "Not those created after, in ms since 1970.")
}
