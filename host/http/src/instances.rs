//! What is asked about instances, and done to them.

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use sagahost_core::{BlockedReason, Json, Tags};
use sagahost_engine::{CommandError, PurgeFilter};
use sagahost_store::{InstanceRow, ListQuery};
use serde::Serialize;

use crate::app::{Params, Shared};
use crate::error::{ApiError, empty, json};
use crate::history::{self, Show};
use crate::query::Query;
use crate::time::to_seconds;
use crate::{body, pages, stuck, urls};

/// From how many events on a history is made on a thread that may block.
const LARGE_HISTORY: usize = 2000;

const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// The longest idempotency key, in bytes.
const LONGEST_KEY: usize = 256;

/// All keys are always there, but for those of the history and ours.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StatusPayload<'a> {
    name: &'a str,
    instance_id: &'a str,
    runtime_status: &'static str,
    input: Option<&'a Json>,
    custom_status: Option<&'a Json>,
    output: Option<&'a Json>,
    created_time: String,
    last_updated_time: String,
    /// Under both names: the JavaScript client reads the second.
    #[serde(skip_serializing_if = "Option::is_none")]
    history_events: Option<&'a Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    history: Option<&'a Json>,
    /// Ours: the tags that were given at the start.
    #[serde(skip_serializing_if = "no_tags")]
    tags: &'a Tags,
    /// Ours: how far the saga has come with what it did.
    saga_state: &'static str,
    /// Ours: what needs a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    stuck: Option<Json>,
    /// Ours: the instance cannot go on for now.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_blocked: bool,
    /// Ours: why it cannot.
    #[serde(skip_serializing_if = "Option::is_none")]
    blocked: Option<&'a BlockedReason>,
}

fn no_tags(tags: &&Tags) -> bool {
    tags.is_empty()
}

impl<'a> StatusPayload<'a> {
    fn new(row: &'a InstanceRow, show_input: bool) -> Self {
        let summary = &row.summary;
        StatusPayload {
            name: &row.name,
            instance_id: &row.id,
            runtime_status: summary.status.as_str(),
            input: row.input.as_ref().filter(|_| show_input),
            custom_status: summary.custom_status.as_ref(),
            output: summary.output.as_ref(),
            created_time: to_seconds(row.created),
            last_updated_time: to_seconds(summary.updated),
            history_events: None,
            history: None,
            tags: &row.tags,
            saga_state: summary.saga.as_str(),
            stuck: summary.stuck.as_ref().map(stuck::shown),
            is_blocked: summary.blocked,
            blocked: None,
        }
    }
}

pub(crate) async fn status(
    State(app): State<Shared>,
    Params(id): Params<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, _) = request.into_parts();
    let origin = app.origin(&parts);
    status_of(&app, &origin, &id, parts.uri.query()).await
}

/// The status of an instance, as `query` asks for it.
pub(crate) async fn status_of(
    app: &Shared,
    origin: &str,
    id: &str,
    query: Option<&str>,
) -> Result<Response, ApiError> {
    let asked = Query::parse(query);
    let show_history = asked.flag("showHistory", false)?;
    let show_input = asked.flag("showInput", true)?;
    let show = Show { inputs: show_input, outputs: asked.flag("showHistoryOutput", false)? };
    let fail_loudly = asked.flag("returnInternalServerErrorOnFailure", false)?;

    let mut row = app.engine.status(id).await?.ok_or_else(|| ApiError::no_instance(id))?;
    let mut events = None;
    let mut reason = None;
    if show_history || row.summary.blocked {
        // The row is read again with the journal, so that both are of the
        // same moment.
        let (now, records) =
            app.engine.history(id).await?.ok_or_else(|| ApiError::no_instance(id))?;
        row = now;
        reason = history::blocked(&records).filter(|_| row.summary.blocked).cloned();
        if show_history {
            let make = move || {
                let recalled = sagahost_core::recalled(&records).map_err(|e| e.to_string())?;
                Json::of(&history::history(&records, &recalled, show)).map_err(|e| e.to_string())
            };
            let made = if row.summary.events > LARGE_HISTORY as u64 {
                tokio::task::spawn_blocking(make).await.map_err(|_| ApiError::internal())?
            } else {
                make()
            };
            events = Some(made.map_err(CommandError::Store)?);
        }
    }

    let status = row.summary.status;
    let code = if !status.is_terminal() {
        StatusCode::ACCEPTED
    } else if fail_loudly && status == sagahost_core::RuntimeStatus::Failed {
        StatusCode::INTERNAL_SERVER_ERROR
    } else {
        StatusCode::OK
    };
    let payload = StatusPayload {
        history_events: events.as_ref(),
        history: events.as_ref(),
        blocked: reason.as_ref(),
        ..StatusPayload::new(&row, show_input)
    };
    let mut response = json(code, &payload);
    if code == StatusCode::ACCEPTED {
        let headers = response.headers_mut();
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        if let Ok(url) = HeaderValue::try_from(urls::status_url(origin, id, query)) {
            headers.insert(header::LOCATION, url);
        }
    }
    Ok(response)
}

pub(crate) async fn list(
    State(app): State<Shared>,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, _) = request.into_parts();
    let asked = Query::parse(parts.uri.query());
    let (query, filters) = listing(&asked, &parts.headers)?;
    let page = app.engine.list(query.clone()).await?;
    let rows: Vec<_> =
        page.rows.iter().map(|row| StatusPayload::new(row, query.with_input)).collect();
    pages::page(&rows, page.next, &filters)
}

/// The listing asked for, and its filters in one text, which its continuation
/// tokens are bound to.
fn listing(asked: &Query<'_>, headers: &HeaderMap) -> Result<(ListQuery, String), ApiError> {
    let text = |name| asked.get(name).filter(|text| !text.is_empty()).map(str::to_owned);
    let mut query = ListQuery {
        id_prefix: text("instanceIdPrefix"),
        created_from: asked.time("createdTimeFrom")?,
        created_to: asked.time("createdTimeTo")?,
        statuses: asked.statuses()?,
        saga: asked.saga_states()?,
        name: text("name"),
        tags: asked.tags()?,
        with_input: asked.flag("showInput", true)?,
        limit: pages::size(asked)?,
        ..ListQuery::default()
    };
    let filters = serde_json::to_string(&(
        &query.id_prefix,
        query.created_from,
        query.created_to,
        &query.statuses,
        &query.saga,
        &query.name,
        &query.tags,
    ))
    .map_err(|_| ApiError::internal())?;
    query.after = pages::after(headers, &filters)?;
    Ok((query, filters))
}

pub(crate) async fn raise_event(
    State(app): State<Shared>,
    Params((id, name)): Params<(String, String)>,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let bytes = body::read(body, app.body()).await?;
    let input = match event_input(&parts.headers, bytes) {
        Ok(input) => input,
        Err(refused) => {
            // As in the reference, an instance that is not there or has ended
            // weighs more than a body that is wrong: the JavaScript client
            // takes 410 for success.
            let row = app.engine.status(&id).await?.ok_or_else(|| ApiError::no_instance(&id))?;
            let status = row.summary.status;
            return Err(if status.is_terminal() {
                CommandError::Terminal { id, status }.into()
            } else {
                refused
            });
        }
    };
    match idempotency_key(&parts.headers)? {
        Some(key) => app.engine.raise_event_once(&id, &name, input, key).await?,
        None => app.engine.raise_event(&id, &name, input).await?,
    }
    Ok(empty(StatusCode::ACCEPTED))
}

/// What a client calls a request that it may make again.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, ApiError> {
    let Some(key) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    match key.to_str() {
        Ok(key) if (1..=LONGEST_KEY).contains(&key.len()) => Ok(Some(key)),
        _ => Err(ApiError::bad_request(
            "BadIdempotencyKey",
            "The header Idempotency-Key has 1 to 256 visible ASCII characters.",
        )),
    }
}

/// What comes with an event. It must call itself JSON; where it does and there
/// is nothing, it is `null`: the client for JavaScript sends an event without
/// a value so.
fn event_input(headers: &HeaderMap, bytes: Bytes) -> Result<Json, ApiError> {
    if !body::is_json(headers) {
        return Err(ApiError::bad_request(
            "BadContentType",
            "Only application/json request content is supported.",
        ));
    }
    Ok(body::meant(headers, body::input(bytes)?))
}

pub(crate) async fn terminate(
    State(app): State<Shared>,
    Params(id): Params<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    // Nothing in a body counts here, but one that is left unread would cost
    // the client its connection.
    body::read(body, app.body()).await?;
    let query = Query::parse(parts.uri.query());
    let compensate = query.flag("compensate", false)?;
    let reason = query.get("reason").unwrap_or_default();
    app.engine.terminate(&id, reason, compensate).await.map_err(|error| match error {
        CommandError::Undoing { .. } => ApiError::from(error)
            .with_hint("With compensate=true it ends once all of it is undone."),
        error => error.into(),
    })?;
    Ok(empty(StatusCode::ACCEPTED))
}

/// Runs the orchestrator's code again over its journal, changing nothing. 200
/// where it asks for the same steps, 409 with both sides where it does not.
pub(crate) async fn replay(
    State(app): State<Shared>,
    Params(id): Params<String>,
) -> Result<Response, ApiError> {
    let replayed = app.engine.replay(&id).await?;
    Ok(json(StatusCode::OK, &replayed))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Purged {
    instances_deleted: u64,
}

pub(crate) async fn purge(
    State(app): State<Shared>,
    Params(id): Params<String>,
) -> Result<Response, ApiError> {
    app.engine.purge(&id).await?;
    Ok(json(StatusCode::OK, &Purged { instances_deleted: 1 }))
}

pub(crate) async fn purge_where(
    State(app): State<Shared>,
    request: Request,
) -> Result<Response, ApiError> {
    let asked = Query::parse(request.uri().query());
    let filter = PurgeFilter {
        created_from: asked.time("createdTimeFrom")?.ok_or_else(|| {
            ApiError::bad_argument("Please provide value for 'createdTimeFrom' parameter.")
        })?,
        created_to: asked.time("createdTimeTo")?,
        statuses: asked.statuses()?,
    };
    match app.engine.purge_where(filter).await? {
        0 => Err(ApiError::new(
            StatusCode::NOT_FOUND,
            "NothingPurged",
            "No instance that has ended was created in that time with one of these statuses.",
        )),
        instances_deleted => Ok(json(StatusCode::OK, &Purged { instances_deleted })),
    }
}

#[cfg(test)]
mod tests {
    use sagahost_core::{RuntimeStatus, SagaState};
    use sagahost_store::{InstanceKey, Summary};
    use serde_json::{Value, json};

    use super::*;
    use crate::pages::CONTINUATION;
    use crate::token;

    fn row() -> InstanceRow {
        InstanceRow {
            key: InstanceKey(1),
            id: "a".into(),
            name: "Saga".into(),
            input: Json::parse("{\"n\": 1.0}").ok(),
            created: 1_519_795_129_345,
            tags: Default::default(),
            summary: Summary {
                status: RuntimeStatus::Running,
                custom_status: None,
                output: None,
                updated: 1_519_795_130_999,
                wake_at: None,
                busy: false,
                blocked: false,
                events: 1,
                saga: SagaState::PastPivot,
                stuck: None,
            },
            chunks: 1,
        }
    }

    #[test]
    fn a_status_has_all_keys_of_the_reference_always() {
        let value = serde_json::to_value(StatusPayload::new(&row(), true)).expect("JSON");
        assert_eq!(
            value,
            json!({"name": "Saga", "instanceId": "a", "runtimeStatus": "Running",
                   "input": {"n": 1.0}, "customStatus": null, "output": null,
                   "createdTime": "2018-02-28T05:18:49Z",
                   "lastUpdatedTime": "2018-02-28T05:18:50Z", "sagaState": "past-pivot"})
        );
        let value = serde_json::to_value(StatusPayload::new(&row(), false)).expect("JSON");
        assert_eq!(value.get("input"), Some(&Value::Null));
    }

    #[test]
    fn a_stuck_saga_says_what_needs_a_person() {
        let mut row = row();
        row.summary.saga = SagaState::Stuck;
        row.summary.stuck = Json::parse(
            r#"[{"step":"3","forward":false,"function":"Refund","attempts":4,"since":1519795129345,
                 "failure":{"kind":"returned","code":"closed","message":"m","retryable":false}}]"#,
        )
        .ok();
        let value = serde_json::to_value(StatusPayload::new(&row, true)).expect("JSON");
        assert_eq!(value["sagaState"], "stuck");
        assert_eq!(value["stuck"][0]["step"], "3");
        assert_eq!(value["stuck"][0]["failure"]["code"], "closed");
        assert_eq!(value["stuck"][0]["since"], "2018-02-28T05:18:49.3450000Z");
    }

    #[test]
    fn a_blocked_instance_shows_both_sides() {
        let mut row = row();
        row.summary.blocked = true;
        let reason = BlockedReason::Mismatch {
            position: 2,
            journal: "activity A".into(),
            code: "activity B".into(),
        };
        let payload = StatusPayload { blocked: Some(&reason), ..StatusPayload::new(&row, true) };
        let value = serde_json::to_value(payload).expect("JSON");
        assert_eq!(value["isBlocked"], true);
        assert_eq!(value["blocked"]["journal"], "activity A");
        assert_eq!(value["blocked"]["code"], "activity B");
    }

    #[test]
    fn a_listing_is_continued_with_its_own_token() {
        let asked = Query::parse(Some("instanceIdPrefix=a&runtimeStatus=Failed&top=5000"));
        let mut headers = HeaderMap::new();
        let (query, filters) = listing(&asked, &headers).expect("a listing");
        assert_eq!(query.id_prefix.as_deref(), Some("a"));
        assert_eq!(query.statuses, [RuntimeStatus::Failed]);
        assert_eq!(query.limit, 1000);
        assert!(query.with_input && query.after.is_none());

        let token = token::encode(7, &filters);
        headers.insert(CONTINUATION, HeaderValue::from_str(&token).expect("ascii"));
        let (query, _) = listing(&asked, &headers).expect("continued");
        assert_eq!(query.after, Some(InstanceKey(7)));
        let larger = Query::parse(Some("top=1&instanceIdPrefix=a&runtimeStatus=Failed"));
        assert!(listing(&larger, &headers).is_ok(), "the page size may change");
        for other in [
            "instanceIdPrefix=b&runtimeStatus=Failed",
            "instanceIdPrefix=a&runtimeStatus=Failed&sagaState=stuck",
        ] {
            assert!(listing(&Query::parse(Some(other)), &headers).is_err(), "{other}");
        }

        headers.insert(CONTINUATION, HeaderValue::from_static(""));
        assert!(listing(&asked, &headers).expect("a first page").0.after.is_none());
        assert!(listing(&Query::parse(Some("top=0")), &HeaderMap::new()).is_err());
    }

    #[test]
    fn an_event_says_that_it_is_json_and_is() {
        let input = |media_type: &str, body: &'static str| {
            let mut headers = HeaderMap::new();
            if !media_type.is_empty() {
                headers.insert(
                    header::CONTENT_TYPE,
                    HeaderValue::from_str(media_type).expect("ascii"),
                );
            }
            event_input(&headers, Bytes::from_static(body.as_bytes()))
        };
        assert!(input("application/json", "true").is_ok());
        assert!(input("Application/JSON; charset=utf-8", "\"x\"").is_ok());
        assert_eq!(input("application/json", "").expect("nothing"), Json::null());
        for (media_type, body) in
            [("", ""), ("", "true"), ("text/plain", "true"), ("application/json", "nope")]
        {
            assert_eq!(input(media_type, body).expect_err("refused").status(), 400);
        }
    }
}
