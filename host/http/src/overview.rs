//! What the pages show of the host: who asks, how it does, and its functions.

use std::collections::HashMap;
use std::num::NonZeroU32;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use sagahost_core::Millis;
use sagahost_engine::{Access, Function, FunctionFigures, FunctionKind, FunctionSettings};
use serde::Serialize;

use crate::app::Shared;
use crate::auth;
use crate::error::{ApiError, json};
use crate::keys::KeyKind;

/// Who asks, and what that key may do.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Session {
    version: &'static str,
    read_only: bool,
    may_use: bool,
    may_manage: bool,
    keys_configured: bool,
}

pub(crate) async fn session(State(app): State<Shared>, request: Request) -> Response {
    let kind = kind_of(&app, &request);
    let session = Session {
        version: env!("CARGO_PKG_VERSION"),
        read_only: app.config.read_only,
        may_use: kind >= Some(KeyKind::Use),
        may_manage: kind >= Some(KeyKind::Manage),
        keys_configured: app.config.keys.is_some(),
    };
    json(StatusCode::OK, &session)
}

fn kind_of(app: &Shared, request: &Request) -> Option<KeyKind> {
    auth::kind_of(app.config.keys.as_ref(), request.headers(), request.uri().query())
}

pub(crate) async fn overview(State(app): State<Shared>) -> Result<Response, ApiError> {
    Ok(json(StatusCode::OK, &app.engine.overview().await?))
}

/// A function with all that is known about it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Known<'a> {
    #[serde(flatten)]
    function: &'a Function,
    imports: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    deployed_at: Option<Millis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deployed_by: Option<&'a str>,
    /// `api`, or `folder` where somebody put the file there.
    deployed_via: &'static str,
    capabilities: Capabilities<'a>,
    /// Of an activity: whether its attempts may begin before their steps are
    /// stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    runs_ahead: Option<bool>,
    stats: FunctionFigures,
}

/// What the manifest grants. The values of variables are secrets, and where a
/// directory is on the machine is for those who manage it.
#[derive(Serialize)]
struct Capabilities<'a> {
    http: Vec<String>,
    files: Vec<Directory<'a>>,
    env: Vec<&'a str>,
    limits: Limits,
}

#[derive(Serialize)]
struct Directory<'a> {
    guest: &'a str,
    access: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Limits {
    memory_bytes: u64,
    cpu_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout_ms: Option<u64>,
    output_bytes: u64,
    logs_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    concurrency: Option<u32>,
    /// As it stands in the manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reuse: Option<u32>,
}

/// Every function, by name.
pub(crate) async fn functions(
    State(app): State<Shared>,
    request: Request,
) -> Result<Response, ApiError> {
    let may_manage = kind_of(&app, &request) == Some(KeyKind::Manage);
    let engine = &app.engine;
    let deployments = engine.deployments();
    let mut deployed = HashMap::new();
    for deployment in &deployments {
        deployed.insert(deployment.component.as_str(), engine.deployed(deployment).await?);
    }
    let mut functions: Vec<_> = deployments
        .iter()
        .flat_map(|deployment| deployment.functions.iter().map(move |it| (deployment, it)))
        .map(|(deployment, function)| {
            let settings = engine.runtime().settings(&function.name);
            (deployment, function, settings)
        })
        .collect();
    functions.sort_unstable_by_key(|(_, function, _)| &function.name);
    let known: Vec<Known<'_>> = functions
        .iter()
        .map(|(deployment, function, settings)| {
            let deployed = deployed.get(deployment.component.as_str());
            let over_network = deployed.is_some_and(|deployed| deployed.over_network);
            Known {
                function,
                imports: &deployment.imports,
                deployed_at: deployed.and_then(|deployed| deployed.at),
                deployed_by: deployed.and_then(|deployed| deployed.by.as_deref()),
                deployed_via: if over_network { "api" } else { "folder" },
                capabilities: capabilities(settings, may_manage),
                runs_ahead: (function.kind == FunctionKind::Activity)
                    .then(|| engine.runs_ahead() && settings.may_run_ahead()),
                stats: engine.function_figures(&function.name, function.kind),
            }
        })
        .collect();
    Ok(json(StatusCode::OK, &known))
}

fn capabilities(settings: &FunctionSettings, may_manage: bool) -> Capabilities<'_> {
    let millis = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let directories = settings.dirs.iter().map(|dir| Directory {
        guest: &dir.guest,
        access: match dir.access {
            Access::Read => "read",
            Access::Write => "write",
        },
        host: may_manage.then(|| dir.host.display().to_string()),
    });
    Capabilities {
        http: settings.http_targets().collect(),
        files: directories.collect(),
        env: settings.env.iter().map(|(name, _)| name.as_str()).collect(),
        limits: Limits {
            memory_bytes: settings.memory,
            cpu_ms: millis(settings.cpu),
            timeout_ms: settings.timeout.map(millis),
            output_bytes: settings.output,
            logs_bytes: settings.logs,
            concurrency: settings.concurrency,
            rate: settings.rate.map(|rate| rate.to_string()),
            reuse: settings.reuse.map(NonZeroU32::get),
        },
    }
}
