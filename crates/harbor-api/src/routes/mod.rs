//! The routes: one handler parses, calls control and renders.

mod keys;
mod organizations;
mod regions;
mod sandboxes;
mod snapshots;
mod system;
mod users;

use axum::Router;
use axum::extract::OriginalUri;
use http::{HeaderValue, Method, StatusCode, Uri};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::error::ApiError;
use crate::state::Api;
use crate::{documents, gaps, service_only};

/// All routes, and what `transport` says on every answer.
pub(crate) struct Routes {
    pub(crate) router: Router,
    pub(crate) about: Option<HeaderValue>,
}

/// Every route of the contract but those into a sandbox: built ones, those that only services may use, and the gaps.
pub(crate) fn all(api: Api) -> Routes {
    let about = HeaderValue::try_from(&api.config.version).ok();
    let (built, document) = built();
    let router = gaps::register(service_only::register(built));
    let router = documents::pages(&api.config, document)
        .nest("/api", router)
        .method_not_allowed_fallback(unknown)
        .fallback(unknown)
        .with_state(api);
    Routes { router, about }
}

/// The built routes with the document made from them. Paths are relative to `/api`.
pub(crate) fn built() -> (Router<Api>, OpenApi) {
    OpenApiRouter::new()
        .routes(routes!(system::config))
        .routes(routes!(system::health))
        .routes(routes!(system::health_ready))
        .routes(routes!(system::harbor_ready))
        .routes(routes!(sandboxes::create, sandboxes::list))
        .routes(routes!(sandboxes::list_numbered))
        .routes(routes!(sandboxes::get, sandboxes::delete))
        .routes(routes!(sandboxes::start))
        .routes(routes!(sandboxes::stop))
        .routes(routes!(sandboxes::set_labels))
        .routes(routes!(sandboxes::toolbox_proxy_url))
        .routes(routes!(sandboxes::preview_url))
        .routes(routes!(sandboxes::signing_key))
        .routes(routes!(sandboxes::rotate_signing_key))
        .routes(routes!(sandboxes::last_activity))
        .routes(routes!(keys::create, keys::list))
        .routes(routes!(keys::current))
        .routes(routes!(keys::get, keys::delete))
        .routes(routes!(keys::delete_of_user))
        .routes(routes!(organizations::list))
        .routes(routes!(organizations::get))
        .routes(routes!(organizations::members))
        .routes(routes!(organizations::roles))
        .routes(routes!(organizations::invitations))
        .routes(routes!(organizations::own_invitations))
        .routes(routes!(organizations::own_invitation_count))
        .routes(routes!(regions::list))
        .routes(routes!(regions::get))
        .routes(routes!(regions::shared))
        .routes(routes!(snapshots::list))
        .routes(routes!(snapshots::get))
        .routes(routes!(users::me))
        .split_for_parts()
}

/// Unknown routes and wrong methods look alike (recordings, `api-system`).
async fn unknown(method: Method, OriginalUri(uri): OriginalUri) -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, format!("Cannot {method} {}", path(&uri)))
}

fn path(uri: &Uri) -> &str {
    uri.path()
}
