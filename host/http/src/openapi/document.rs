//! The document: the operations as OpenAPI spells them.

use std::sync::LazyLock;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::operation::{Answer, Content, Operation, Parameter, Place};
use super::{functions, schema, schemas};
use crate::app::Shared;
use crate::auth::Access;
use crate::error;
use crate::routes;
use crate::trigger;
use crate::urls::BASE;

/// What every host's document says alike. It is long, and asked for by
/// people and tools that look around: made once, then copied.
static FIXED: LazyLock<Fixed> = LazyLock::new(|| Fixed::new(&routes::operations()));

/// `GET /openapi.json`.
pub(crate) async fn serve(State(app): State<Shared>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let mut document = FIXED.clone();
    document.add_functions(&app.engine.deployments());
    document.add(&trigger::operations(&app.config.triggers));
    for trigger in &app.config.triggers {
        if let Some(function) = app.engine.runtime().function(trigger.orchestrator()) {
            functions::give_to_route(&mut document, trigger, &function);
        }
    }
    let keys = app.config.keys.is_some();
    error::json(StatusCode::OK, &document.whole(&app.origin(&parts), keys))
}

/// A document without what depends on the host.
#[derive(Clone)]
pub(super) struct Fixed {
    pub(super) paths: Map<String, Value>,
    pub(super) schemas: Map<String, Value>,
    links: Map<String, Value>,
}

impl Fixed {
    pub(super) fn new(operations: &[Operation]) -> Self {
        let (paths, links) = (Map::new(), links(operations));
        let mut fixed = Fixed { paths, schemas: schemas::all(), links };
        fixed.add(operations);
        fixed
    }

    fn add(&mut self, operations: &[Operation]) {
        for operation in operations {
            let method = operation.method.as_str().to_ascii_lowercase();
            let described = described(operation, &self.links);
            let item = self.paths.entry(&operation.path).or_insert_with(|| json!({}));
            if let Some(item) = item.as_object_mut() {
                item.insert(method, described);
            }
        }
    }

    fn add_functions(&mut self, deployments: &[sagahost_engine::Deployment]) {
        for function in deployments.iter().flat_map(|deployment| &deployment.functions) {
            functions::add(self, function);
        }
    }

    /// The whole document, for a host that is called `origin` and has keys or
    /// has none.
    pub(super) fn whole(self, origin: &str, keys: bool) -> Value {
        let ways = [("header", "x-functions-key"), ("query", "code")];
        let schemes: Map<String, Value> = ways
            .iter()
            .map(|(place, name)| {
                let scheme = json!({ "type": "apiKey", "in": place, "name": name });
                ((*name).to_owned(), scheme)
            })
            .collect();
        let security: Vec<Value> =
            ways.iter().filter(|_| keys).map(|(_, name)| json!({ *name: [] })).collect();
        json!({
            "openapi": "3.1.1",
            "info": {
                "title": "Sagahost",
                "summary": "The HTTP API of Azure Durable Functions, and beside it Sagahost's own.",
                "version": env!("CARGO_PKG_VERSION"),
            },
            "servers": [{ "url": origin }],
            "security": security,
            "paths": self.paths,
            "components": {
                "schemas": self.schemas,
                "parameters": ignored(),
                "securitySchemes": schemes,
            },
        })
    }
}

/// What clients of Durable Functions put into every query.
const IGNORED: [&str; 3] = ["taskHub", "connection", "connectionName"];

fn ignored() -> Map<String, Value> {
    IGNORED
        .iter()
        .map(|name| {
            let parameter = json!({
                "name": name,
                "in": "query",
                "description": "Sent by clients of Durable Functions, and ignored.",
                "schema": schema::text(),
            });
            ((*name).to_owned(), parameter)
        })
        .collect()
}

fn described(operation: &Operation, links: &Map<String, Value>) -> Value {
    let mut parameters: Vec<Value> = operation.parameters.iter().map(parameter).collect();
    if operation.path.starts_with(BASE) {
        let ignored =
            IGNORED.map(|name| json!({ "$ref": format!("#/components/parameters/{name}") }));
        parameters.extend(ignored);
    }
    let mut described = json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "tags": [operation.tag],
        "responses": answers(operation, links),
    });
    let Some(object) = described.as_object_mut() else {
        return described;
    };
    if !parameters.is_empty() {
        object.insert("parameters".to_owned(), parameters.into());
    }
    if let Some(body) = &operation.body {
        let body = json!({
            "required": body.required,
            "content": { body.media_type: { "schema": body.schema } },
        });
        object.insert("requestBody".to_owned(), body);
    }
    match operation.access {
        Access::Open => object.insert("security".to_owned(), json!([])),
        Access::Key(kind) => object.insert("x-sagahost-key".to_owned(), kind.to_string().into()),
    };
    described
}

fn parameter(parameter: &Parameter) -> Value {
    let place = match parameter.place {
        Place::Path => "path",
        Place::Query => "query",
        Place::Header => "header",
    };
    json!({
        "name": parameter.name,
        "in": place,
        "required": parameter.required,
        "description": parameter.about,
        "schema": parameter.schema,
    })
}

/// What an operation answers: what its definition says, and the refusals that
/// need no word there.
fn answers(operation: &Operation, links: &Map<String, Value>) -> Map<String, Value> {
    let mut answers = Map::new();
    for said in &operation.answers {
        answers.insert(said.status.to_string(), answer(said, links));
    }
    let asked = !operation.parameters.is_empty() || operation.body.is_some();
    let (keyed, body) = (operation.access != Access::Open, operation.body.is_some());
    for (applies, status, about) in [
        (asked, 400, "Something in the request cannot be read, or is not allowed."),
        (keyed, 401, "There is no key, or it is not one of this host's."),
        (keyed, 403, "The key is not enough, or a browser asks on behalf of another site."),
        (body, 408, "The body did not come in time."),
        (body, 413, "The body is too large."),
        (keyed, 500, "The host made an error."),
        (keyed, 503, "The host cannot do it now, and nothing was done."),
    ] {
        if applies && !answers.contains_key(&status.to_string()) {
            let content = Content::Json(schema::of("Error"));
            let refusal = Answer { status, about, content, headers: Vec::new(), linked: false };
            answers.insert(status.to_string(), answer(&refusal, links));
        }
    }
    answers
}

fn answer(said: &Answer, links: &Map<String, Value>) -> Value {
    let mut answer = json!({ "description": said.about });
    let Some(object) = answer.as_object_mut() else {
        return answer;
    };
    let content = match &said.content {
        Content::Nothing => None,
        Content::Json(schema) => Some(json!({ "application/json": { "schema": schema } })),
        Content::Text(media_types) => {
            let texts = media_types
                .iter()
                .map(|kind| ((*kind).to_owned(), json!({ "schema": schema::text() })));
            Some(Value::Object(texts.collect()))
        }
        Content::Events => Some(json!({ "text/event-stream": { "schema": schema::text() } })),
    };
    if let Some(content) = content {
        object.insert("content".to_owned(), content);
    }
    if !said.headers.is_empty() {
        let header = |(name, schema, about): &(&str, Value, &str)| {
            (
                (*name).to_owned(),
                json!({ "description": about, "required": true, "schema": schema }),
            )
        };
        let headers: Map<String, Value> = said.headers.iter().map(header).collect();
        object.insert("headers".to_owned(), headers.into());
    }
    if said.linked {
        object.insert("links".to_owned(), links.clone().into());
    }
    answer
}

/// Where the id of a new instance leads: to all that is about one instance.
fn links(operations: &[Operation]) -> Map<String, Value> {
    operations
        .iter()
        .filter(|operation| operation.path.contains("/instances/{id}"))
        .map(|Operation { id, .. }| {
            let link = json!({ "operationId": id, "parameters": { "id": "$response.body#/id" } });
            (id.to_string(), link)
        })
        .collect()
}

#[cfg(test)]
mod tests;
