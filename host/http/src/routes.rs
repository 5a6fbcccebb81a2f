//! What is where: every route with its description, in one list. The router,
//! the decision who may use a route, and the OpenAPI document are made from
//! it. What is not in the list is not served, and needs a key that may manage.

mod admin;
mod board;
mod entities;
mod instances;
mod saga;
mod starting;
mod watching;

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};

use crate::app::Shared;
use crate::auth::{self, Access, MANAGE};
use crate::dashboard;
use crate::error::ApiError;
use crate::metrics;
use crate::openapi::operation::Operation;
use crate::text::percent_decode;
use crate::trigger::{self, Trigger};
use crate::urls::BASE;

/// All routes. Each file of `routes/` has those of one heading.
pub(crate) fn operations() -> Vec<Operation> {
    let under = |tag, operations: Vec<Operation>| {
        operations.into_iter().map(move |operation| operation.tagged(tag))
    };
    under("Starting", starting::operations())
        .chain(under("Instances", instances::operations()))
        .chain(under("Entities", entities::operations()))
        .chain(under("Sagas", saga::operations()))
        .chain(under("Watching", watching::operations()))
        .chain(under("Watching", board::operations()))
        .chain(under("Host", admin::operations()))
        .collect()
}

/// All routes, with those of the manifest.
pub(crate) fn all(triggers: &[Trigger]) -> Vec<Operation> {
    let mut operations = operations();
    operations.extend(trigger::operations(triggers));
    operations
}

/// A path of the management API.
fn managed(rest: &str) -> String {
    format!("{BASE}/{rest}")
}

/// The router of all operations, each behind its access decision.
pub(crate) fn router(app: Shared) -> Router {
    let mut operations = all(&app.config.triggers);
    operations.extend(dashboard::operations());
    let gate = Gate { access: Needs::of(&operations), app: app.clone() };
    let mut router = Router::new();
    for operation in operations {
        router = router.route(&operation.path, operation.route);
    }
    router
        // A wrong verb is 404, as in the reference.
        .fallback(nothing_here)
        .method_not_allowed_fallback(nothing_here)
        .layer(from_fn_with_state(Arc::new(gate), guard))
        .layer(map_response(as_it_says))
        .layer(from_fn_with_state(app.clone(), metrics::count))
        .with_state(app)
}

struct Gate {
    access: Needs,
    app: Shared,
}

/// What each operation needs, by its path.
struct Needs(HashMap<String, Vec<(Method, Access)>>);

impl Needs {
    fn of(operations: &[Operation]) -> Self {
        let mut needs: HashMap<String, Vec<_>> = HashMap::new();
        for operation in operations {
            let need = (operation.method.clone(), operation.access);
            needs.entry(operation.path.clone()).or_default().push(need);
        }
        Needs(needs)
    }

    /// What a request needs that was routed to this path. What is not in the
    /// list needs a key that may manage: a route that somebody adds in another
    /// way is closed.
    fn access(&self, method: &Method, path: Option<&str>) -> Access {
        // Where there is a GET, axum answers HEAD with its handler.
        let method = if method == Method::HEAD { &Method::GET } else { method };
        let operations = path.and_then(|path| self.0.get(path));
        operations
            .and_then(|known| known.iter().find(|(known, _)| known == method))
            .map_or(MANAGE, |(_, access)| *access)
    }
}

/// Lets a request through to the handler it was routed to, if it may.
async fn guard(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let access = gate.access.access(request.method(), path);
    let admitted = auth::admit(gate.app.config.keys.as_ref(), access, &request);
    let allowed = admitted.and_then(|()| match gate.app.config.read_only {
        true => only_read(request.method(), path),
        false => Ok(()),
    });
    match allowed.and_then(|()| no_entity(path, request.uri().path())) {
        Ok(()) => next.run(request).await,
        Err(refused) => refused.into_response(),
    }
}

/// Refuses what would change something, on a host that is only read. (A route
/// that there is not is told of as such.)
fn only_read(method: &Method, route: Option<&str>) -> Result<(), ApiError> {
    if route.is_none() || matches!(*method, Method::GET | Method::HEAD) {
        return Ok(());
    }
    Err(ApiError::new(
        StatusCode::FORBIDDEN,
        "ReadOnly",
        "This host is read-only: it answers GET and changes nothing. Ask one that is not, or \
         start it without --read-only, and without `read-only` in its manifest.",
    ))
}

/// Refuses an entity where an instance is asked for: it is kept as one is, but
/// its journal is another. (Where an unknown instance is not 404, the handler
/// does it.)
fn no_entity(route: Option<&str>, path: &str) -> Result<(), ApiError> {
    let of_instance = |route: &&str| {
        let rest = route.strip_prefix(BASE).or_else(|| route.strip_prefix("/api"));
        rest.is_some_and(|rest| rest.starts_with("/instances/{id}") && !rest.ends_with("/restart"))
    };
    let place =
        route.filter(of_instance).and_then(|route| route.split('/').position(|s| s == "{id}"));
    let id = place.and_then(|place| path.split('/').nth(place)).map(percent_decode);
    match id.filter(|id| id.starts_with('@')) {
        Some(id) => Err(ApiError::no_instance(&id).with_hint(&format!(
            "An id that begins with @ is one of an entity; its state is at GET \
             {BASE}/entities/{{name}}/{{key}}."
        ))),
        None => Ok(()),
    }
}

/// Makes browsers take an answer for what its type says: what a guest wrote is
/// no page, whatever it looks like.
async fn as_it_says(mut response: Response) -> Response {
    let name = header::X_CONTENT_TYPE_OPTIONS;
    response.headers_mut().insert(name, HeaderValue::from_static("nosniff"));
    response
}

async fn nothing_here(request: Request) -> ApiError {
    let path: String = request.uri().path().chars().take(200).collect();
    ApiError::new(
        StatusCode::NOT_FOUND,
        "NoSuchRoute",
        format!(
            "There is nothing at {} {path}. Start an orchestration with POST \
             /api/orchestrators/{{name}}, see instances at GET {BASE}/instances, what is deployed \
             at GET /admin/functions, and all routes at GET /openapi.json.",
            request.method()
        ),
    )
}

#[cfg(test)]
mod tests;
