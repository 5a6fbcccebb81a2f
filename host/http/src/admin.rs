//! What is deployed, deploying, and running one activity by itself.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use sagahost_core::{Failure, FailureKind, Json, Logs};
use sagahost_engine::{DeployError, InvokeError};
use serde::Serialize;

use crate::app::{Params, Shared};
use crate::auth;
use crate::body;
use crate::error::{ApiError, json, sentence};
use crate::time::to_ticks;

/// A component. `F` is a list of functions, each as it describes itself.
#[derive(Serialize)]
struct Component<'a, F> {
    component: &'a str,
    digest: &'a str,
    functions: &'a F,
    imports: &'a [String],
}

/// Every function, by name.
pub(crate) async fn functions(State(app): State<Shared>) -> Response {
    let deployments = app.engine.deployments();
    let mut functions: Vec<_> =
        deployments.iter().flat_map(|deployment| &deployment.functions).collect();
    functions.sort_unstable_by_key(|function| &function.name);
    json(StatusCode::OK, &functions)
}

/// Every component, by name.
pub(crate) async fn components(State(app): State<Shared>) -> Response {
    let deployments = app.engine.deployments();
    let mut components: Vec<_> = deployments
        .iter()
        .map(|there| Component {
            component: &there.component,
            digest: &there.digest,
            functions: &there.functions,
            imports: &there.imports,
        })
        .collect();
    components.sort_unstable_by_key(|component| component.component);
    json(StatusCode::OK, &components)
}

/// 201 where no component of this name was there, else 200.
pub(crate) async fn deploy(
    State(app): State<Shared>,
    Params(name): Params<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let by = auth::name_of(app.config.keys.as_ref(), request.headers(), request.uri().query());
    let bytes = body::read(request.into_body(), app.component()).await?;
    let known = app.engine.deployments().iter().any(|there| there.component == name);
    let deployed = app.engine.deploy(&name, Vec::from(bytes), by.as_deref()).await?;
    let status = if known { StatusCode::OK } else { StatusCode::CREATED };
    let component = Component {
        component: &deployed.component,
        digest: &deployed.digest,
        functions: &deployed.functions,
        imports: &deployed.imports,
    };
    Ok(json(status, &component))
}

impl From<DeployError> for ApiError {
    fn from(error: DeployError) -> Self {
        let message = sentence(&error);
        match error {
            DeployError::Refused(_) => Self::bad_request("ComponentRefused", message),
            DeployError::File { .. } => Self::unavailable("ComponentNotStored", message),
            DeployError::Interrupted => Self::unavailable("CheckInterrupted", message),
        }
    }
}

pub(crate) async fn stats(State(app): State<Shared>) -> Response {
    json(StatusCode::OK, &app.engine.stats())
}

/// How one run of an activity went.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Invoked<'a> {
    function: &'a str,
    started: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<&'a Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<&'a Failure>,
    logs: &'a Logs,
    cpu_ms: f64,
    peak_memory_bytes: u64,
}

pub(crate) async fn invoke(
    State(app): State<Shared>,
    Params(name): Params<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let input = body::input(body::read(request.into_body(), app.body()).await?)?;
    let report = app.engine.invoke_activity(&name, input).await?;
    let status = match &report.outcome {
        Ok(_) => StatusCode::OK,
        Err(failure) => failed(failure.kind),
    };
    let invoked = Invoked {
        function: &name,
        started: to_ticks(report.started_at),
        output: report.outcome.as_ref().ok(),
        failure: report.outcome.as_ref().err(),
        logs: &report.logs,
        cpu_ms: report.cpu.as_secs_f64() * 1e3,
        peak_memory_bytes: report.peak_memory,
    };
    Ok(json(status, &invoked))
}

/// The status for an activity that gave no result: it refused, it did not
/// answer in time, it could not be begun, or it broke.
fn failed(kind: FailureKind) -> StatusCode {
    match kind {
        FailureKind::Returned => StatusCode::UNPROCESSABLE_ENTITY,
        FailureKind::Timeout => StatusCode::GATEWAY_TIMEOUT,
        FailureKind::NotStarted | FailureKind::HostLost => StatusCode::SERVICE_UNAVAILABLE,
        FailureKind::Trap
        | FailureKind::MemoryLimit
        | FailureKind::CpuLimit
        | FailureKind::OutputLimit
        | FailureKind::BadOutput => StatusCode::BAD_GATEWAY,
        // An activity that runs by itself belongs to no saga and is never
        // ended with one.
        FailureKind::Cancelled
        | FailureKind::Deadline
        | FailureKind::CodeLost
        | FailureKind::StepsOpen
        | FailureKind::Terminated => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl From<InvokeError> for ApiError {
    fn from(error: InvokeError) -> Self {
        let message = sentence(&error);
        match error {
            InvokeError::UnknownActivity { .. } => {
                Self::new(StatusCode::NOT_FOUND, "UnknownActivity", message)
            }
            InvokeError::BadInput { .. } => Self::bad_request("BadInput", message),
            InvokeError::ShuttingDown => Self::unavailable("ShuttingDown", message),
        }
    }
}
