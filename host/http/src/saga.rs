//! The undo of a saga: what would be undone, cancelling, and mending what is
//! stuck.

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use sagahost_core::{
    Cause, Failure, Json, PlannedUndo, Repair, StepOutcome, Stuck, UndoId, UndoState,
};
use sagahost_engine::UndoView;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};

use crate::app::{Params, Shared};
use crate::error::{ApiError, empty, json};
use crate::query::Query;
use crate::stuck::StuckStep;
use crate::time::to_ticks;
use crate::{body, stuck};

/// How much a person may have to say about a repair, in characters.
const MAX_NOTE: usize = 1_000;
const MAX_BY: usize = 200;

/// What would be undone, is being undone and is undone.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct UndoPayload<'a> {
    instance_id: &'a str,
    runtime_status: &'static str,
    saga_state: &'static str,
    /// Why the whole saga is being undone, where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<CausePayload<'a>>,
    undo: Vec<UndoStep<'a>>,
    undone: Vec<UndoStep<'a>>,
    stuck: Vec<StuckStep<'a>>,
    /// Child orchestrations that have not ended: each has a list of its own.
    children: &'a [String],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CausePayload<'a> {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<&'a Failure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

/// One undo.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct UndoStep<'a> {
    step: UndoId,
    /// The lowest is done first, and all of one stage at the same time. Of
    /// what is done this is not known any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    stage: Option<u32>,
    function: &'a str,
    input: &'a Json,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<&'a Failure>,
    of: UndoneOf<'a>,
}

/// The step that it undoes.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct UndoneOf<'a> {
    /// Where it is not a step of this instance itself, but of a child.
    #[serde(skip_serializing_if = "Option::is_none")]
    instance_id: Option<&'a str>,
    step: u32,
    function: &'a str,
    outcome: &'static str,
    input: &'a Json,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<&'a Json>,
    idempotency_key: &'a str,
}

impl<'a> UndoPayload<'a> {
    fn new(view: &'a UndoView) -> Self {
        let planned = |undo: &'a PlannedUndo| UndoStep::new(undo, Some(undo.stage));
        UndoPayload {
            instance_id: &view.row.id,
            runtime_status: view.row.summary.status.as_str(),
            saga_state: view.row.summary.saga.as_str(),
            cause: view.unwinding.as_ref().map(CausePayload::new),
            undo: view.plan.iter().map(planned).collect(),
            undone: view.undone.iter().map(|undo| UndoStep::new(undo, None)).collect(),
            stuck: view.stuck.iter().map(stuck_step).collect(),
            children: &view.open_children,
        }
    }
}

fn stuck_step(stuck: &Stuck) -> StuckStep<'_> {
    StuckStep {
        step: stuck.step,
        forward: stuck.forward,
        function: (&stuck.function).into(),
        attempts: stuck.attempts,
        failure: stuck.failure.clone(),
        since: stuck::Since(stuck.since),
    }
}

impl<'a> CausePayload<'a> {
    fn new(cause: &'a Cause) -> Self {
        let (failure, reason) = match cause {
            Cause::Failed(failure) | Cause::Deadline(failure) => (Some(failure), None),
            Cause::Canceled(reason) | Cause::Terminated(reason) | Cause::Parent(reason) => {
                (None, Some(&**reason))
            }
        };
        CausePayload { kind: cause_word(cause), failure, reason }
    }
}

/// What set off the undo of a whole saga, in a word.
pub(crate) fn cause_word(cause: &Cause) -> &'static str {
    match cause {
        Cause::Failed(_) => "failed",
        Cause::Deadline(_) => "deadline",
        Cause::Canceled(_) => "canceled",
        Cause::Terminated(_) => "terminated",
        Cause::Parent(_) => "parent",
    }
}

/// What became of a step, in a word.
pub(crate) fn outcome_word(outcome: StepOutcome) -> &'static str {
    match outcome {
        StepOutcome::Completed => "completed",
        StepOutcome::Failed => "failed",
        StepOutcome::Unknown => "unknown",
    }
}

impl<'a> UndoStep<'a> {
    fn new(undo: &'a PlannedUndo, stage: Option<u32>) -> Self {
        let (state, attempt, retry_at, failure) = match &undo.state {
            UndoState::Armed => ("armed", None, None, None),
            UndoState::Running { attempt } => ("running", Some(*attempt), None, None),
            UndoState::Retrying { attempt, at } => ("retrying", Some(*attempt), Some(*at), None),
            UndoState::Stuck { attempt, failure } => ("stuck", Some(*attempt), None, Some(failure)),
            UndoState::Done => ("done", None, None, None),
            UndoState::Dropped => ("dropped", None, None, None),
        };
        let of = &undo.undone;
        UndoStep {
            step: undo.id,
            stage,
            function: &undo.function,
            input: &undo.input,
            state,
            attempt,
            retry_at: retry_at.map(to_ticks),
            failure,
            of: UndoneOf {
                instance_id: of.instance.as_deref(),
                step: of.task,
                function: &of.function,
                outcome: if undo.runs { "running" } else { outcome_word(of.outcome) },
                input: &of.input,
                output: of.output.as_ref(),
                idempotency_key: &of.key,
            },
        }
    }
}

pub(crate) async fn undo(
    State(app): State<Shared>,
    Params(id): Params<String>,
) -> Result<Response, ApiError> {
    let view = app.engine.undo(&id).await?;
    Ok(json(StatusCode::OK, &UndoPayload::new(&view)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CancelBody {
    #[serde(default)]
    reason: String,
}

pub(crate) async fn cancel(
    State(app): State<Shared>,
    Params(id): Params<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let bytes = body::read(body, app.body()).await?;
    let query = Query::parse(parts.uri.query());
    let reason = match query.get("reason") {
        Some(reason) => reason.to_owned(),
        None if bytes.iter().all(u8::is_ascii_whitespace) => String::new(),
        None => read::<CancelBody>(bytes, "{\"reason\": \"...\"}")?.reason,
    };
    app.engine.cancel(&id, &reason).await?;
    Ok(empty(StatusCode::ACCEPTED))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RetryBody {
    note: String,
    by: String,
    /// An input of `null` is another one than none.
    #[serde(default, deserialize_with = "given")]
    input: Option<Json>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DoneBody {
    note: String,
    by: String,
    #[serde(default, deserialize_with = "given")]
    output: Option<Json>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FailedBody {
    note: String,
    by: String,
}

fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Json>, D::Error> {
    Json::deserialize(deserializer).map(Some)
}

pub(crate) async fn retry(
    State(app): State<Shared>,
    Params((id, step)): Params<(String, String)>,
    request: Request,
) -> Result<Response, ApiError> {
    let bytes = body::read(request.into_body(), app.body()).await?;
    let RetryBody { note, by, input } =
        read(bytes, "{\"note\": \"...\", \"by\": \"...\"}, and \"input\" for another input")?;
    let repair = input.map_or(Repair::Retry, Repair::RetryWith);
    repaired(&app, &id, &step, repair, Said::new(&note, &by)?).await
}

pub(crate) async fn done(
    State(app): State<Shared>,
    Params((id, step)): Params<(String, String)>,
    request: Request,
) -> Result<Response, ApiError> {
    let bytes = body::read(request.into_body(), app.body()).await?;
    let DoneBody { note, by, output } =
        read(bytes, "{\"note\": \"...\", \"by\": \"...\"}, and \"output\" for its result")?;
    let repair = Repair::Done(output.unwrap_or_else(Json::null));
    repaired(&app, &id, &step, repair, Said::new(&note, &by)?).await
}

pub(crate) async fn failed(
    State(app): State<Shared>,
    Params((id, step)): Params<(String, String)>,
    request: Request,
) -> Result<Response, ApiError> {
    let bytes = body::read(request.into_body(), app.body()).await?;
    let FailedBody { note, by } = read(bytes, "{\"note\": \"...\", \"by\": \"...\"}")?;
    repaired(&app, &id, &step, Repair::Failed, Said::new(&note, &by)?).await
}

/// What a person has to say about a repair, and who it is.
#[derive(Debug)]
struct Said<'a> {
    note: &'a str,
    by: &'a str,
}

impl<'a> Said<'a> {
    fn new(note: &'a str, by: &'a str) -> Result<Self, ApiError> {
        let said = |key: &str, text: &'a str, most: usize, what: &str| {
            let text = text.trim();
            match text.chars().count() {
                0 => Err(ApiError::bad_argument(format!("'{key}' says {what}; it is empty."))),
                length if length > most => Err(ApiError::bad_argument(format!(
                    "'{key}' has {length} characters; at most {most} are kept."
                ))),
                _ => Ok(text),
            }
        };
        Ok(Said {
            note: said("note", note, MAX_NOTE, "why, for those who look at it later")?,
            by: said("by", by, MAX_BY, "who does this")?,
        })
    }
}

async fn repaired(
    app: &Shared,
    id: &str,
    step: &str,
    repair: Repair,
    said: Said<'_>,
) -> Result<Response, ApiError> {
    let step: UndoId =
        step.parse().map_err(|error| ApiError::bad_request("BadStep", format!("{error}.")))?;
    app.engine.repair(id, step, repair, said.note, said.by).await?;
    Ok(empty(StatusCode::ACCEPTED))
}

/// The body as an object of this form.
fn read<T: DeserializeOwned>(bytes: Bytes, form: &str) -> Result<T, ApiError> {
    let document = body::document(bytes)?;
    serde_json::from_str(document.as_str()).map_err(|error| {
        ApiError::bad_request("BadBody", format!("The body is to be {form}: {error}."))
    })
}

#[cfg(test)]
mod tests {
    use sagahost_core::{FailureKind, RuntimeStatus, SagaState, UndoneStep};
    use sagahost_engine::InstanceRow;
    use sagahost_store::{InstanceKey, Summary};
    use serde_json::json;

    use super::*;

    fn value(text: &str) -> Json {
        Json::parse(text).expect("JSON")
    }

    fn planned(id: &str, state: UndoState) -> PlannedUndo {
        PlannedUndo {
            id: id.parse().expect("a step"),
            function: "Refund".into(),
            input: value("[1]"),
            undone: UndoneStep {
                instance: None,
                task: 3,
                function: "Pay".into(),
                input: value("{\"order\": 7}"),
                output: Some(value("true")),
                outcome: StepOutcome::Completed,
                key: "k".into(),
            },
            runs: false,
            state,
            stage: 2,
        }
    }

    fn view() -> UndoView {
        let failure = Failure::host(FailureKind::Timeout, "took too long");
        let mut handed = planned("5.1", UndoState::Armed);
        handed.undone.instance = Some("child".into());
        handed.undone.output = None;
        let mut running = planned("4", UndoState::Retrying { attempt: 2, at: 1_519_795_129_345 });
        running.runs = true;
        UndoView {
            row: InstanceRow {
                key: InstanceKey(1),
                id: "a".into(),
                name: "Saga".into(),
                input: None,
                created: 0,
                tags: Default::default(),
                summary: Summary {
                    status: RuntimeStatus::Running,
                    custom_status: None,
                    output: None,
                    updated: 0,
                    wake_at: None,
                    busy: false,
                    blocked: false,
                    events: 1,
                    saga: SagaState::Stuck,
                    stuck: None,
                },
                chunks: 1,
            },
            unwinding: Some(Cause::Canceled("no more".into())),
            plan: vec![
                planned("3", UndoState::Stuck { attempt: 4, failure: failure.clone() }),
                running,
                handed,
            ],
            undone: vec![planned("2", UndoState::Done)],
            stuck: vec![Stuck {
                step: "3".parse().ok(),
                forward: false,
                function: "Refund".into(),
                attempts: 4,
                failure,
                since: 1_519_795_129_345,
            }],
            open_children: vec!["b".into()],
        }
    }

    #[test]
    fn what_would_be_undone_is_told_in_full() {
        let view = view();
        let shown = serde_json::to_value(UndoPayload::new(&view)).expect("JSON");
        let of = json!({"step": 3, "function": "Pay", "outcome": "completed",
                        "input": {"order": 7}, "output": true, "idempotencyKey": "k"});
        let failure = json!({"kind": "timeout", "code": "host.timeout",
                             "message": "took too long", "retryable": true});
        assert_eq!(
            shown["undo"][0],
            json!({"step": "3", "stage": 2, "function": "Refund", "input": [1], "state": "stuck",
                   "attempt": 4, "failure": failure, "of": of})
        );
        assert_eq!(shown["undo"][1]["retryAt"], "2018-02-28T05:18:49.3450000Z");
        assert_eq!(shown["undo"][1]["of"]["outcome"], "running");
        assert_eq!(
            shown["undo"][2],
            json!({"step": "5.1", "stage": 2, "function": "Refund", "input": [1], "state": "armed",
                   "of": {"instanceId": "child", "step": 3, "function": "Pay",
                          "outcome": "completed", "input": {"order": 7}, "idempotencyKey": "k"}})
        );
        assert_eq!(
            shown["undone"],
            json!([{"step": "2", "function": "Refund", "input": [1], "state": "done", "of": of}])
        );
        assert_eq!(
            shown["stuck"],
            json!([{"step": "3", "forward": false, "function": "Refund", "attempts": 4,
                    "failure": failure, "since": "2018-02-28T05:18:49.3450000Z"}])
        );
        assert_eq!(shown["cause"], json!({"kind": "canceled", "reason": "no more"}));
        assert_eq!(
            (&shown["instanceId"], &shown["sagaState"], &shown["children"]),
            (&json!("a"), &json!("stuck"), &json!(["b"]))
        );
    }

    #[test]
    fn a_repair_says_why_and_who() {
        let said = |note: &str, by: &str| Said::new(note, by).map(|said| said.note.to_owned());
        assert_eq!(said(" paid back by hand\n", "Ada").expect("said"), "paid back by hand");
        assert!(said(&"é".repeat(MAX_NOTE), &"é".repeat(MAX_BY)).is_ok());
        for (note, by, why) in [
            ("", "Ada", "'note' says why"),
            (" \n", "Ada", "'note' says why"),
            ("n", "", "'by' says who"),
            (&"x".repeat(MAX_NOTE + 1), "Ada", "'note' has 1001 characters"),
            ("n", &"x".repeat(MAX_BY + 1), "'by' has 201 characters"),
        ] {
            let refused = said(note, by).expect_err("refused");
            assert_eq!(refused.status(), 400);
            assert!(format!("{refused:?}").contains(why), "{refused:?}");
        }
    }

    #[test]
    fn a_body_that_is_spelled_wrong_is_refused() {
        let retry = |body: &'static str| {
            read::<RetryBody>(Bytes::from_static(body.as_bytes()), "so")
                .map(|body| body.input.map(|input| input.as_str().to_owned()))
        };
        assert_eq!(retry(r#"{"note":"n","by":"b"}"#).expect("read"), None);
        let null = retry(r#"{"note":"n","by":"b","input":null}"#).expect("read");
        assert_eq!(null.as_deref(), Some("null"));
        let kept = retry(r#"{"note":"n","by":"b","input":{"a": 1.0}}"#).expect("read");
        assert_eq!(kept.as_deref(), Some(r#"{"a": 1.0}"#));
        for wrong in [
            "",
            "[]",
            r#"{"note":"n"}"#,
            r#"{"note":"n","by":7}"#,
            r#"{"note":"n","by":"b","imput":1}"#,
            r#"{"note":"n","by":"b","output":1}"#,
        ] {
            assert_eq!(retry(wrong).expect_err("refused").status(), 400, "{wrong}");
        }
        let cancel = read::<CancelBody>(Bytes::from_static(br#"{"reason":"enough"}"#), "so");
        assert_eq!(cancel.expect("read").reason, "enough");
    }
}
