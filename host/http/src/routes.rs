//! What is where.

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::routing::{get, post, put};

use crate::app::Shared;
use crate::error::ApiError;
use crate::urls::BASE;
use crate::{admin, events, health, instances, pause, saga, start};

/// All routes. Who may use them is decided in [`crate::auth`], by path.
pub(crate) fn router(app: Shared) -> Router {
    let managed = |rest: &str| format!("{BASE}/{rest}");
    Router::new()
        .route("/api/orchestrators/{name}", post(start::start))
        .route("/api/orchestrators/{name}/{id}", post(start::start_with_id))
        .route("/api/instances/{id}/events", get(events::follow))
        .route("/api/instances/{id}/replay", get(instances::replay))
        .route("/api/instances/{id}/cancel", post(saga::cancel))
        .route("/api/instances/{id}/undo", get(saga::undo))
        .route("/api/instances/{id}/undo/{step}/retry", post(saga::retry))
        .route("/api/instances/{id}/undo/{step}/done", post(saga::done))
        .route("/api/instances/{id}/undo/{step}/failed", post(saga::failed))
        .route(&managed("orchestrators/{name}"), post(start::start))
        .route(&managed("orchestrators/{name}/{id}"), post(start::start_with_id))
        .route(&managed("instances"), get(instances::list).delete(instances::purge_where))
        .route(&managed("instances/{id}"), get(instances::status).delete(instances::purge))
        .route(&managed("instances/{id}/terminate"), post(instances::terminate))
        .route(&managed("instances/{id}/suspend"), post(pause::suspend))
        .route(&managed("instances/{id}/resume"), post(pause::resume))
        .route(&managed("instances/{id}/restart"), post(pause::restart))
        .route(&managed("instances/{id}/raiseEvent/{event}"), post(instances::raise_event))
        .route("/admin/functions", get(admin::functions))
        .route("/admin/functions/{name}", post(admin::invoke))
        .route("/admin/components", get(admin::components))
        .route("/admin/components/{name}", put(admin::deploy))
        .route("/admin/stats", get(admin::stats))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        // A wrong verb is 404, as in the reference.
        .fallback(nothing_here)
        .method_not_allowed_fallback(nothing_here)
        .with_state(app)
}

async fn nothing_here(request: Request) -> ApiError {
    let path: String = request.uri().path().chars().take(200).collect();
    ApiError::new(
        StatusCode::NOT_FOUND,
        "NoSuchRoute",
        format!(
            "There is nothing at {} {path}. Start an orchestration with POST \
             /api/orchestrators/{{name}}, see instances at GET {BASE}/instances, and what is \
             deployed at GET /admin/functions.",
            request.method()
        ),
    )
}
