//! The list of instances that a dashboard shows, and how many were created when.
//!
//! Other than the listing of the reference, these sort, search, and answer soon
//! however many instances there are: an answer that would take longer comes
//! without what was not looked at yet, and says where to go on.

mod asked;

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use sagahost_core::{Json, Millis, RuntimeStatus, SagaState, Tags};
use sagahost_store::{BoardPage, HistogramQuery, InstanceRow, StatusCounts, Work};
use serde::Serialize;

use self::asked::{Listing, Span};
use crate::app::Shared;
use crate::error::{ApiError, json_text};
use crate::query::Query;

/// What is done for one answer.
const WORK: Work = Work { rows: 500_000, time: Duration::from_millis(60) };

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Page<'a> {
    instances: Vec<Listed<'a>>,
    next: Option<String>,
    /// Whether the page is full, or the last.
    complete: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed<'a> {
    id: &'a str,
    name: &'a str,
    runtime_status: &'static str,
    saga_state: &'static str,
    created: Millis,
    updated: Millis,
    #[serde(skip_serializing_if = "Option::is_none")]
    custom_status: Option<&'a Json>,
    tags: &'a Tags,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stuck: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    blocked: bool,
    events: u64,
}

impl<'a> Listed<'a> {
    fn new(row: &'a InstanceRow) -> Self {
        let summary = &row.summary;
        Listed {
            id: &row.id,
            name: &row.name,
            runtime_status: summary.status.as_str(),
            saga_state: summary.saga.as_str(),
            created: row.created,
            updated: summary.updated,
            custom_status: summary.custom_status.as_ref(),
            tags: &row.tags,
            stuck: summary.saga == SagaState::Stuck,
            blocked: summary.blocked,
            events: summary.events,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Counts {
    from: Millis,
    to: Millis,
    width_ms: Millis,
    buckets: Vec<Bucket>,
    next: Option<String>,
    complete: bool,
}

#[derive(Serialize)]
struct Bucket {
    at: Millis,
    counts: BTreeMap<&'static str, u64>,
}

pub(crate) async fn list(
    State(app): State<Shared>,
    request: Request,
) -> Result<Response, ApiError> {
    let Listing { query, filters } = asked::listing(&Query::parse(request.uri().query()), WORK)?;
    // What is told is written in the background as well.
    let written = app.engine.read_in_background(move |store| {
        let page = store.board(&query)?;
        Ok(serde_json::to_vec(&told(&page, &filters)))
    });
    answer(written.await?)
}

fn told<'a>(page: &'a BoardPage, filters: &str) -> Page<'a> {
    Page {
        instances: page.rows.iter().map(Listed::new).collect(),
        next: page.next.map(|place| asked::page_token(place, filters)),
        complete: page.complete,
    }
}

pub(crate) async fn histogram(
    State(app): State<Shared>,
    request: Request,
) -> Result<Response, ApiError> {
    let asked = asked::counting(&Query::parse(request.uri().query()))?;
    let written = app.engine.read_in_background(move |store| {
        let span = match asked.needs_span() {
            true => store.span()?,
            false => None,
        };
        let (span, before) = asked.resolved(span);
        let query = HistogramQuery {
            filter: asked.filter_within(span),
            from: span.from,
            width: span.width,
            buckets: span.buckets(),
            before,
            work: WORK,
        };
        let histogram = store.histogram(&query)?;
        let next = histogram.next.map(|next| asked.token(next, span));
        Ok(serde_json::to_vec(&counted(span, &histogram.buckets, next)))
    });
    answer(written.await?)
}

fn counted(span: Span, buckets: &[StatusCounts], next: Option<String>) -> Counts {
    let buckets = buckets.iter().enumerate().map(|(place, counts)| {
        let at = span.from.saturating_add(span.width.saturating_mul(place as u64));
        let of = |status: RuntimeStatus| counts[usize::from(status.code())];
        let counts = RuntimeStatus::ALL.into_iter().filter(|status| of(*status) > 0);
        Bucket { at, counts: counts.map(|status| (status.as_str(), of(status))).collect() }
    });
    Counts {
        from: span.from,
        to: span.to,
        width_ms: span.width,
        buckets: buckets.collect(),
        complete: next.is_none(),
        next,
    }
}

fn answer(written: serde_json::Result<Vec<u8>>) -> Result<Response, ApiError> {
    match written {
        Ok(text) => Ok(json_text(StatusCode::OK, text)),
        Err(error) => {
            tracing::error!(%error, "a list could not be written as JSON");
            Err(ApiError::internal())
        }
    }
}

#[cfg(test)]
mod tests;
