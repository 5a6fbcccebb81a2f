//! Entities: what they are, and what they are told.

use serde_json::json;

use super::managed;
use crate::auth::USE;
use crate::entities;
use crate::openapi::operation::{Operation, get, post};
use crate::openapi::schema;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        list(get(managed("entities"), USE, "entities", entities::list))
            .summary("Entities that have a state, oldest first."),
        list(
            get(managed("entities/{name}"), USE, "entitiesOf", entities::list_of)
                .summary("Entities of one kind that have a state, oldest first.")
                .path("name", schema::name(), THE_NAME),
        ),
        get(managed("entities/{name}/{key}"), USE, "entityState", entities::state)
            .summary("The state of an entity.")
            .path("name", schema::name(), THE_NAME)
            .path("key", key(), THE_KEY)
            .json(200, schema::any(), "The state.")
            .refusal(404, "It has none."),
        post(managed("entities/{name}/{key}"), USE, "signalEntity", entities::signal)
            .summary("Sends an operation to an entity, without a result.")
            .path("name", schema::name(), THE_NAME)
            .path("key", key(), THE_KEY)
            .query("op", schema::text(), "The operation.")
            .query("at", schema::time(), "When it begins, where that is later.")
            .body_or_none(schema::any())
            .empty(202, "It is journaled, and is done once.")
            .refusal(400, "It has no such operation, or the input does not fit.")
            .refusal(404, "No such entity is deployed."),
    ]
}

const THE_NAME: &str = "What the entity is: the function.";
const THE_KEY: &str = "Which one it is.";

/// The key of an entity.
fn key() -> serde_json::Value {
    json!({
        "type": "string",
        "minLength": 1,
        "maxLength": 200,
        "pattern": r"^[^/\\#?\x00-\x1f\x7f-\x9f]+$",
    })
}

fn list(operation: Operation) -> Operation {
    operation
        .query("lastOperationTimeFrom", schema::time(), "Not those whose last was before.")
        .query("lastOperationTimeTo", schema::time(), "Not those whose last was after.")
        .query("fetchState", schema::flag(false), "Whether states are told.")
        .query("top", schema::count(1), "How many at once, at most.")
        .header("x-ms-continuation-token", schema::text(), "Where to go on.")
        .json(200, schema::list(schema::of("Entity")), "A page of them, which may be short.")
        .with("x-ms-continuation-token", schema::text(), "For the next page; empty at the end.")
}
