//! What a request that is refused gets: a status, and a body in the form the
//! clients of Durable Functions read.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sagahost_engine::{CommandError, ReplayError, StartError};
use serde::Serialize;

/// An answer that is not the one that was hoped for. Nothing in it tells of
/// the host's insides: a sentence that says what is wrong and what would do.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    kind: &'static str,
    message: String,
    retry_after: Option<u32>,
}

/// The keys are those of ASP.NET's error object. The Python client reads
/// `ExceptionMessage`, people read `Message`: both say the same.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ErrorBody<'a> {
    message: &'a str,
    exception_message: &'a str,
    exception_type: &'a str,
    stack_trace: Option<()>,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
        ApiError { status, kind, message: message.into(), retry_after: None }
    }

    pub(crate) fn bad_request(kind: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, kind, message)
    }

    pub(crate) fn bad_argument(message: impl Into<String>) -> Self {
        Self::bad_request("BadArgument", message)
    }

    pub(crate) fn no_instance(id: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "InstanceNotFound",
            format!("There is no instance with the id '{id}'."),
        )
    }

    /// The state of the instance does not allow it.
    fn conflict(kind: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, kind, message)
    }

    /// The host cannot do it now, and nothing was done.
    pub(crate) fn unavailable(kind: &'static str, message: impl Into<String>) -> Self {
        ApiError {
            retry_after: Some(5),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, kind, message)
        }
    }

    /// The same refusal, and what else would do.
    pub(crate) fn with_hint(mut self, hint: &str) -> Self {
        self.message = format!("{} {hint}", self.message);
        self
    }

    pub(crate) fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "InternalError",
            "The host made an error while it worked on this request; its log says which.",
        )
    }

    #[cfg(test)]
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }
}

/// An error's words as a sentence.
pub(crate) fn sentence(error: &impl std::fmt::Display) -> String {
    let text = error.to_string();
    let mut chars = text.chars();
    let mut sentence: String =
        chars.next().map_or_else(String::new, |first| first.to_uppercase().collect());
    sentence.push_str(chars.as_str());
    if !sentence.ends_with(['.', '!', '?']) {
        sentence.push('.');
    }
    sentence
}

impl From<StartError> for ApiError {
    fn from(error: StartError) -> Self {
        let message = sentence(&error);
        match error {
            StartError::UnknownOrchestrator { .. } => {
                Self::bad_request("UnknownOrchestrator", message)
            }
            StartError::BadId(_) => Self::bad_request("BadInstanceId", message),
            StartError::BadInput { .. } => Self::bad_request("BadInput", message),
            StartError::Exists { .. } => Self::new(StatusCode::CONFLICT, "InstanceExists", message),
            StartError::Overloaded { retry_after, .. } => {
                let seconds = retry_after.as_millis().div_ceil(1000);
                ApiError {
                    retry_after: Some(u32::try_from(seconds).unwrap_or(u32::MAX)),
                    ..Self::unavailable("Overloaded", message)
                }
            }
            StartError::Store(_) => Self::unavailable("StoreFailed", message),
            StartError::ShuttingDown => Self::unavailable("ShuttingDown", message),
        }
    }
}

impl From<CommandError> for ApiError {
    fn from(error: CommandError) -> Self {
        let message = sentence(&error);
        match error {
            CommandError::NotFound { .. } => {
                Self::new(StatusCode::NOT_FOUND, "InstanceNotFound", message)
            }
            CommandError::Terminal { .. } => Self::new(StatusCode::GONE, "InstanceEnded", message),
            CommandError::NotTerminal { .. } => {
                Self::new(StatusCode::PRECONDITION_FAILED, "InstanceNotEnded", message)
            }
            CommandError::Undelivered { .. } => {
                Self::new(StatusCode::PRECONDITION_FAILED, "Undelivered", message)
            }
            CommandError::NotFailed { .. } => {
                Self::new(StatusCode::PRECONDITION_FAILED, "InstanceNotFailed", message)
            }
            CommandError::PastPivot { .. } => Self::conflict("PastPivot", message),
            CommandError::Undoing { .. } => Self::conflict("BeingUndone", message),
            CommandError::NoSuchStep { .. } => {
                Self::new(StatusCode::NOT_FOUND, "NoSuchStep", message)
            }
            CommandError::UndoFailed { .. } => Self::conflict("UndoHasToBeDone", message),
            CommandError::NotStuck { .. } => Self::conflict("NotStuck", message),
            CommandError::Store(_) => Self::unavailable("StoreFailed", message),
            CommandError::ShuttingDown => Self::unavailable("ShuttingDown", message),
        }
    }
}

impl From<ReplayError> for ApiError {
    fn from(error: ReplayError) -> Self {
        let message = sentence(&error);
        match error {
            ReplayError::Instance(error) => error.into(),
            ReplayError::Unavailable(_) => Self::unavailable("ComponentUnavailable", message),
            ReplayError::Mismatch(_) | ReplayError::Trapped(_) => {
                Self::new(StatusCode::CONFLICT, "JournalMismatch", message)
            }
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = ErrorBody {
            message: &self.message,
            exception_message: &self.message,
            exception_type: self.kind,
            stack_trace: None,
        };
        let mut response = json(self.status, &body);
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("ApiKey header=\"x-functions-key\""),
            );
        }
        response
    }
}

/// A JSON response.
pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(bytes) => json_text(status, bytes),
        Err(error) => {
            tracing::error!(%error, "a response could not be written as JSON");
            json_text(StatusCode::INTERNAL_SERVER_ERROR, Vec::new())
        }
    }
}

/// A response of text that is known to be JSON.
pub(crate) fn json_text(status: StatusCode, text: impl Into<axum::body::Body>) -> Response {
    let mut response = Response::new(text.into());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    response
}

/// A status without a body.
pub(crate) fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(axum::body::Body::empty());
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use serde_json::{Value, json};

    use super::*;

    #[tokio::test]
    async fn an_error_has_the_keys_of_the_reference() {
        let known = vec!["A".to_owned(), "B".to_owned()];
        let error = ApiError::from(StartError::UnknownOrchestrator { name: "X".to_owned(), known });
        let response = error.into_response();
        assert_eq!(response.status(), 400);
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        let body: Value = serde_json::from_slice(&body).expect("JSON");
        let message = "There is no orchestrator 'X'; deployed are: A, B.";
        assert_eq!(
            body,
            json!({"Message": message, "ExceptionMessage": message,
                   "ExceptionType": "UnknownOrchestrator", "StackTrace": null})
        );
    }

    #[test]
    fn what_a_saga_does_not_allow_is_told_apart() {
        let id = || "a".to_owned();
        let step = sagahost_core::UndoId { task: 3, part: 1 };
        for (error, status, kind) in [
            (CommandError::PastPivot { id: id() }, 409, "PastPivot"),
            (CommandError::Undoing { id: id() }, 409, "BeingUndone"),
            (CommandError::NoSuchStep { id: id(), step }, 404, "NoSuchStep"),
            (CommandError::NotStuck { id: id(), step }, 409, "NotStuck"),
            (CommandError::UndoFailed { id: id(), step }, 409, "UndoHasToBeDone"),
        ] {
            let error = ApiError::from(error);
            assert_eq!((error.status.as_u16(), error.kind), (status, kind));
        }
    }

    #[test]
    fn what_may_go_better_later_says_when() {
        let response =
            ApiError::from(CommandError::Store("the disk is full".to_owned())).into_response();
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()["retry-after"], "5");
    }
}
