//! The management API of Durable Functions, as far as it is about instances.

use sagahost_core::{RuntimeStatus, SagaState};

use super::managed;
use crate::auth::{MANAGE, USE};
use crate::openapi::operation::{Operation, delete, get, post};
use crate::openapi::schema;
use crate::{instances, pause};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        status(),
        list(),
        delete(managed("instances/{id}"), MANAGE, "purge", instances::purge)
            .summary("Deletes what is kept of an instance that has ended.")
            .path("id", schema::instance_id(), THE_INSTANCE)
            .json(200, schema::of("Purged"), "It is deleted.")
            .refusal(404, NO_INSTANCE)
            .refusal(412, "It has not ended."),
        delete(managed("instances"), MANAGE, "purgeWhere", instances::purge_where)
            .summary("Deletes instances that have ended.")
            .query("createdTimeFrom", schema::time(), "Not those from before.")
            .required()
            .query("createdTimeTo", schema::time(), "Not those from after.")
            .query("runtimeStatus", statuses(), "Only those with one of these, in a comma list.")
            .json(200, schema::of("Purged"), "How many were deleted.")
            .refusal(404, "There was none."),
        post(
            managed("instances/{id}/raiseEvent/{event}"),
            USE,
            "raiseEvent",
            instances::raise_event,
        )
        .summary("Raises an event for an instance.")
        .path("id", schema::instance_id(), THE_INSTANCE)
        .path("event", schema::segment(), "The event's name.")
        .header(
            "Idempotency-Key",
            schema::idempotency_key(),
            "An event with the same key is taken once.",
        )
        .body(schema::any())
        .empty(202, "It is journaled.")
        .refusal(404, NO_INSTANCE)
        .refusal(410, ENDED),
        told(post(managed("instances/{id}/terminate"), MANAGE, "terminate", instances::terminate))
            .summary("Ends an instance where it is.")
            .query("compensate", schema::flag(false), "Whether what it did is undone first.")
            .refusal(410, ENDED)
            .refusal(409, "It is being undone, or it is to be undone and is past its pivot."),
        told(post(managed("instances/{id}/suspend"), MANAGE, "suspend", pause::suspend))
            .summary("Stops an instance's orchestrator until it is resumed.")
            .refusal(410, ENDED),
        told(post(managed("instances/{id}/resume"), MANAGE, "resume", pause::resume))
            .summary("Lets a suspended instance go on.")
            .refusal(410, ENDED),
        told(post(managed("instances/{id}/rewind"), MANAGE, "rewind", pause::rewind))
            .summary("Lets an instance that failed begin again, and keep what it has done.")
            .refusal(412, "It has not failed."),
        post(managed("instances/{id}/restart"), MANAGE, "restart", pause::restart)
            .summary("Starts the same orchestrator with the same input.")
            .path("id", schema::instance_id(), THE_INSTANCE)
            .query("restartWithNewInstanceId", schema::flag(true), "Whether it gets another id.")
            .check_status()
            .refusal(400, NO_INSTANCE)
            .refusal(409, "It has not ended and is to be replaced."),
    ]
}

const THE_INSTANCE: &str = "The instance.";
const NO_INSTANCE: &str = "There is no such instance.";
const ENDED: &str = "It has ended.";

fn told(operation: Operation) -> Operation {
    operation
        .path("id", schema::instance_id(), THE_INSTANCE)
        .query("reason", schema::text(), "Why; it is kept in the journal.")
        .empty(202, "It is journaled.")
        .refusal(404, NO_INSTANCE)
}

/// Of this, a query may have several, in a comma list.
fn statuses() -> serde_json::Value {
    schema::word(RuntimeStatus::ALL.map(RuntimeStatus::as_str))
}

fn status() -> Operation {
    get(managed("instances/{id}"), USE, "status", instances::status)
        .summary("The status of an instance.")
        .path("id", schema::instance_id(), THE_INSTANCE)
        .query("showHistory", schema::flag(false), "Whether its history is told.")
        .query("showHistoryOutput", schema::flag(false), "Whether outputs are in the history.")
        .query("showInput", schema::flag(true), "Whether inputs are told.")
        .query(
            "returnInternalServerErrorOnFailure",
            schema::flag(false),
            "Whether the status of one that failed comes with 500.",
        )
        .json(200, schema::of("Status"), "It has ended.")
        .json(202, schema::of("Status"), "It has not ended.")
        .with("Location", schema::url(), "Where to ask again.")
        .with("Retry-After", schema::whole(), "When to ask again, in seconds.")
        .refusal(404, NO_INSTANCE)
        .json(
            500,
            schema::either(["Status", "Error"]),
            "It failed, and returnInternalServerErrorOnFailure is set; or the host made an error.",
        )
}

fn list() -> Operation {
    get(managed("instances"), USE, "list", instances::list)
        .summary("Instances, oldest first.")
        .query("instanceIdPrefix", schema::text(), "How their ids begin.")
        .query("createdTimeFrom", schema::time(), "Not those from before.")
        .query("createdTimeTo", schema::time(), "Not those from after.")
        .query("runtimeStatus", statuses(), "Only those with one of these, in a comma list.")
        .query("name", schema::text(), "Only those of this orchestrator.")
        .query(
            "sagaState",
            schema::word(SagaState::ALL.map(SagaState::as_str)),
            "Only those with one of these, in a comma list.",
        )
        .query("showInput", schema::flag(true), "Whether inputs are told.")
        .query("top", schema::count(1), "How many at once, at most.")
        .header("x-ms-continuation-token", schema::text(), "Where to go on.")
        .json(200, schema::list(schema::of("Status")), "A page of them.")
        .with("x-ms-continuation-token", schema::text(), "For the next page; empty at the end.")
}
