//! What is ours about one instance: its journal, its undo, its repair.

use crate::auth::{MANAGE, USE};
use crate::openapi::operation::{Operation, get, post};
use crate::openapi::schema;
use crate::{events, instances, saga};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        get("/api/instances/{id}/events", USE, "events", events::follow)
            .summary("The journal of an instance: what is there, then what comes, until it ends.")
            .path("id", schema::instance_id(), THE_INSTANCE)
            .query("after", schema::count(0), "The place of the first event that is wanted.")
            .header("Last-Event-ID", schema::text(), "The last event seen; it goes on after it.")
            .events(200, "Server-sent events, each a JournalLine; the last is `end`, a JournalEnd.")
            .refusal(404, NO_INSTANCE),
        get("/api/instances/{id}/replay", USE, "replay", instances::replay)
            .summary("Runs the orchestrator again over its journal, and changes nothing.")
            .path("id", schema::instance_id(), THE_INSTANCE)
            .json(200, schema::of("Replayed"), "It asks for the same steps.")
            .refusal(404, NO_INSTANCE)
            .refusal(409, "It does not; both sides are shown."),
        get("/api/instances/{id}/undo", USE, "undo", saga::undo)
            .summary("What would be undone now, in order, and what is undone.")
            .path("id", schema::instance_id(), THE_INSTANCE)
            .json(200, schema::of("Undo"), "The undo.")
            .refusal(404, NO_INSTANCE),
        post("/api/instances/{id}/cancel", MANAGE, "cancel", saga::cancel)
            .summary("Undoes what an instance did, without its code, and ends it as Canceled.")
            .path("id", schema::instance_id(), THE_INSTANCE)
            .query("reason", schema::text(), "Why; it is kept in the journal.")
            .body_or_none(schema::of("CancelBody"))
            .empty(202, "It is journaled.")
            .refusal(404, NO_INSTANCE)
            .refusal(409, "It is past its pivot, or is being undone.")
            .refusal(410, ENDED),
        repair(post("/api/instances/{id}/undo/{step}/retry", MANAGE, "retry", saga::retry))
            .summary("Tries what is stuck again.")
            .body(schema::of("RetryBody")),
        repair(post("/api/instances/{id}/undo/{step}/done", MANAGE, "done", saga::done))
            .summary("Takes what is stuck as done by hand.")
            .body(schema::of("DoneBody")),
        repair(post("/api/instances/{id}/undo/{step}/failed", MANAGE, "failed", saga::failed))
            .summary("Takes a step that is stuck as failed: it did nothing.")
            .body(schema::of("FailedBody")),
    ]
}

const THE_INSTANCE: &str = "The instance.";
const NO_INSTANCE: &str = "There is no such instance.";
const ENDED: &str = "It has ended.";

fn repair(operation: Operation) -> Operation {
    operation
        .path("id", schema::instance_id(), THE_INSTANCE)
        .path("step", schema::of("StepId"), "What is stuck.")
        .empty(202, "It is journaled.")
        .refusal(404, "There is no such instance or step.")
        .refusal(409, "It is not stuck, or it is an undo, which has to be done.")
        .refusal(410, ENDED)
}
