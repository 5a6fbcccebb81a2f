//! What is asked about entities, and what they are told.

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use sagahost_core::{EntityId, Json};
use sagahost_engine::{FunctionKind, SignalError};
use sagahost_store::{InstanceRow, ListKind, ListQuery};
use serde::Serialize;

use crate::app::{App, Params, Shared};
use crate::error::{ApiError, empty, json_text, sentence};
use crate::query::Query;
use crate::time::to_ticks;
use crate::{body, pages};

/// An entity in a listing. All keys are always there, as in the reference.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed<'a> {
    entity_id: Id,
    last_operation_time: String,
    /// `null` where it was not asked for.
    state: Option<&'a Json>,
}

#[derive(Serialize)]
struct Id {
    name: String,
    key: String,
}

/// The state itself, whatever it is.
pub(crate) async fn state(
    State(app): State<Shared>,
    Params((name, key)): Params<(String, String)>,
) -> Result<Response, ApiError> {
    let id = entity_id(&app, &name, key)?;
    let row = app.engine.entity(&id).await?;
    match row.and_then(|row| row.summary.output) {
        Some(state) => Ok(json_text(StatusCode::OK, state.as_str().to_owned())),
        None => Err(ApiError::new(
            StatusCode::NOT_FOUND,
            "EntityNotFound",
            format!("There is no entity {id}; it is there once an operation has given it a state."),
        )),
    }
}

pub(crate) async fn list(
    State(app): State<Shared>,
    request: Request,
) -> Result<Response, ApiError> {
    listed(&app, None, &request.into_parts().0).await
}

pub(crate) async fn list_of(
    State(app): State<Shared>,
    Params(name): Params<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let name = known_name(&app, &name);
    listed(&app, Some(name), &request.into_parts().0).await
}

async fn listed(app: &App, name: Option<String>, parts: &Parts) -> Result<Response, ApiError> {
    let asked = Query::parse(parts.uri.query());
    let with_state = asked.flag("fetchState", false)?;
    let (query, filters) = listing(name.as_deref(), &asked, &parts.headers)?;
    let page = app.engine.list(query).await?;
    let rows: Vec<_> = page.rows.iter().filter_map(|row| shown(row, with_state)).collect();
    pages::page(&rows, page.next, &filters)
}

/// The listing asked for, and its filters in one text, which its continuation
/// tokens are bound to.
fn listing(
    name: Option<&str>,
    asked: &Query<'_>,
    headers: &HeaderMap,
) -> Result<(ListQuery, String), ApiError> {
    let mut query = ListQuery {
        kind: ListKind::Entities,
        id_prefix: name.map(|name| format!("@{name}@")),
        updated_from: asked.time("lastOperationTimeFrom")?,
        updated_to: asked.time("lastOperationTimeTo")?,
        limit: pages::size(asked)?,
        ..ListQuery::default()
    };
    let filters = ("entities", &query.id_prefix, query.updated_from, query.updated_to);
    let filters = serde_json::to_string(&filters).map_err(|_| ApiError::internal())?;
    query.after = pages::after(headers, &filters)?;
    Ok((query, filters))
}

/// One that has no state is not there for those who look: it was removed, or
/// something is still to be done that gives it one.
fn shown(row: &InstanceRow, with_state: bool) -> Option<Listed<'_>> {
    let state = row.summary.output.as_ref()?;
    let EntityId { name, key } = EntityId::from_instance_id(&row.id)?;
    Some(Listed {
        entity_id: Id { name, key },
        last_operation_time: to_ticks(row.summary.updated),
        state: Some(state).filter(|_| with_state),
    })
}

/// Sends an operation to an entity, for which nobody waits.
pub(crate) async fn signal(
    State(app): State<Shared>,
    Params((name, key)): Params<(String, String)>,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let bytes = body::read(body, app.body()).await?;
    let id = entity_id(&app, &name, key)?;
    let sent = operation_input(&parts.headers, bytes)?;
    let asked = Query::parse(parts.uri.query());
    let at = asked.time("at")?;
    // In the reference, no `op` is an operation with an empty name.
    let operation = asked.get("op").unwrap_or_default();
    let function = app.engine.runtime().function(&id.name);
    // Where there is no such entity or operation the engine says so.
    let fits = |input: &Json| {
        function.as_ref().is_none_or(|entity| entity.check_operation(operation, input).is_ok())
    };
    let input = body::meant_input(&parts.headers, sent, fits);
    match app.engine.signal_entity(&id, operation, input, at).await {
        Ok(()) => Ok(empty(StatusCode::ACCEPTED)),
        Err(error @ SignalError::BadOperation { .. }) if operation.is_empty() => {
            Err(ApiError::from(error).with_hint("Say with 'op' which operation is meant."))
        }
        Err(error) => Err(error.into()),
    }
}

/// What comes with an operation: JSON if it says so, else text, as in the
/// reference. Nothing counts as `null`, whatever it calls itself.
fn operation_input(headers: &HeaderMap, bytes: Bytes) -> Result<Json, ApiError> {
    if bytes.iter().all(u8::is_ascii_whitespace) || body::is_json(headers) {
        return body::input(bytes);
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) => Json::of(text).map_err(|_| ApiError::internal()),
        Err(error) => Err(ApiError::bad_request(
            "BodyNotText",
            format!(
                "The body is not UTF-8 after the first {} bytes. Without the content type \
                 application/json it is taken for text.",
                error.valid_up_to()
            ),
        )),
    }
}

fn entity_id(app: &App, name: &str, key: String) -> Result<EntityId, ApiError> {
    EntityId::new(known_name(app, name), key)
        .map_err(|error| ApiError::bad_request("BadEntityId", sentence(&error)))
}

/// The name that a deployed entity has. In the reference these names have no
/// case, and some clients send them in lower case; functions here have.
fn known_name(app: &App, asked: &str) -> String {
    let runtime = app.engine.runtime();
    if runtime.function(asked).is_some_and(|function| function.kind == FunctionKind::Entity) {
        return asked.to_owned();
    }
    let functions = runtime.functions();
    let entities = functions.iter().filter(|function| function.kind == FunctionKind::Entity);
    let names = entities.map(|entity| entity.name.as_str());
    spelled(names, asked).unwrap_or(asked).to_owned()
}

/// The only one that is spelled like this but for its case.
fn spelled<'a>(names: impl Iterator<Item = &'a str>, asked: &str) -> Option<&'a str> {
    let mut alike = names.filter(|name| name.eq_ignore_ascii_case(asked));
    alike.next().filter(|_| alike.next().is_none())
}

impl From<SignalError> for ApiError {
    fn from(error: SignalError) -> Self {
        let message = sentence(&error);
        match error {
            SignalError::UnknownEntity { .. } => {
                Self::new(StatusCode::NOT_FOUND, "UnknownEntity", message)
            }
            SignalError::BadOperation { .. } => Self::bad_request("BadOperation", message),
            SignalError::Store(_) => Self::unavailable("StoreFailed", message),
            SignalError::ShuttingDown => Self::unavailable("ShuttingDown", message),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderValue, header};
    use sagahost_core::{RuntimeStatus, SagaState};
    use sagahost_store::{InstanceKey, Summary};
    use serde_json::json;

    use super::*;
    use crate::pages::CONTINUATION;
    use crate::token;

    fn row(id: &str, state: Option<&str>) -> InstanceRow {
        InstanceRow {
            key: InstanceKey(1),
            id: id.to_owned(),
            name: "Account".to_owned(),
            input: None,
            created: 0,
            tags: Default::default(),
            summary: Summary {
                status: RuntimeStatus::Completed,
                custom_status: Json::parse("{\"queued\":1}").ok(),
                output: state.and_then(|state| Json::parse(state).ok()),
                updated: 1_519_795_130_999,
                wake_at: None,
                busy: true,
                blocked: false,
                events: 3,
                saga: SagaState::None,
                stuck: None,
            },
            chunks: 2,
        }
    }

    #[test]
    fn an_entity_is_listed_with_the_keys_of_the_reference() {
        let there = row("@Account@a@b", Some("{\"balance\": 1.0}"));
        let told = |with_state| serde_json::to_value(shown(&there, with_state)).expect("JSON");
        let mut expected = json!({"entityId": {"name": "Account", "key": "a@b"},
            "lastOperationTime": "2018-02-28T05:18:50.9990000Z", "state": null});
        assert_eq!(told(false), expected);
        expected["state"] = json!({"balance": 1.0});
        assert_eq!(told(true), expected);
        assert!(shown(&row("@Account@a", None), true).is_none(), "it was removed");
    }

    #[test]
    fn a_token_is_good_for_its_own_listing_only() {
        let headers = |filters: &str| {
            let token = HeaderValue::try_from(token::encode(7, filters)).expect("ascii");
            HeaderMap::from_iter([(CONTINUATION, token)])
        };
        let asked = Query::parse(Some("lastOperationTimeFrom=2026-01-01&top=5&fetchState=True"));
        let (query, filters) = listing(Some("A"), &asked, &HeaderMap::new()).expect("a listing");
        assert_eq!((query.kind, query.id_prefix.as_deref()), (ListKind::Entities, Some("@A@")));
        assert_eq!((query.limit, query.after), (5, None));
        assert_eq!(query.updated_from, Some(1_767_225_600_000));
        let headers = headers(&filters);
        let (query, _) = listing(Some("A"), &asked, &headers).expect("continued");
        assert_eq!(query.after, Some(InstanceKey(7)));
        for (name, filter) in [
            (Some("B"), "lastOperationTimeFrom=2026-01-01"),
            (None, "lastOperationTimeFrom=2026-01-01"),
            (Some("A"), "lastOperationTimeTo=2026-01-01"),
            (Some("A"), "top=0"),
            (Some("A"), "lastOperationTimeFrom=soon"),
        ] {
            let refused = listing(name, &Query::parse(Some(filter)), &headers);
            assert_eq!(refused.expect_err("refused").status(), 400, "{name:?} {filter}");
        }
    }

    #[test]
    fn names_are_found_in_any_case() {
        let names = ["Account", "Shelf", "shelf"];
        let find = |asked| spelled(names.into_iter(), asked);
        assert_eq!(find("account"), Some("Account"));
        assert_eq!(find("ACCOUNT"), Some("Account"));
        assert_eq!(find("SHELF"), None, "it could be either");
        assert_eq!(find("Accounts"), None);
    }

    #[test]
    fn an_input_is_json_if_it_says_so() {
        let input = |media_type: &str, body: &'static [u8]| {
            let mut headers = HeaderMap::new();
            if !media_type.is_empty() {
                let value = HeaderValue::from_str(media_type).expect("ascii");
                headers.insert(header::CONTENT_TYPE, value);
            }
            operation_input(&headers, Bytes::from_static(body)).map(|json| json.to_value())
        };
        let form = "application/x-www-form-urlencoded";
        for (media_type, body, expected) in [
            ("application/json", "5", json!(5)),
            ("Application/JSON; charset=utf-8", "\"x\"", json!("x")),
            ("application/json", "", json!(null)),
            ("", "", json!(null)),
            (form, " \n", json!(null)),
            (form, "5", json!("5")),
            ("", "a \"b\"", json!("a \"b\"")),
        ] {
            let got = input(media_type, body.as_bytes()).expect("is taken");
            assert_eq!(got, expected, "{media_type:?} {body:?}");
        }
        for (media_type, body) in [("application/json", &b"nope"[..]), ("text/plain", b"a\xff")] {
            assert_eq!(input(media_type, body).expect_err("refused").status(), 400);
        }
    }
}
