//! The routes: one handler parses, calls control and renders.

mod build;
mod keys;
mod object_storage;
mod organizations;
mod pools;
mod regions;
mod registries;
mod runners;
mod sandboxes;
mod snapshots;
mod system;
mod users;
mod volumes;

use axum::Router;
use axum::extract::OriginalUri;
use http::{HeaderValue, Method, StatusCode, Uri};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::authentication::declared;
use crate::error::ApiError;
use crate::state::Api;
use crate::{documents, gaps, refused};

/// All routes, and what `transport` says on every answer.
pub(crate) struct Routes {
    pub(crate) router: Router,
    pub(crate) about: Option<HeaderValue>,
}

/// Every route of the contract but those into a sandbox: built ones, those that nobody may use, and the gaps.
pub(crate) fn all(api: Api) -> Routes {
    let about = HeaderValue::try_from(&api.config.version).ok();
    let (built, document) = built();
    let router = gaps::register(refused::register(built));
    let router = documents::pages(&api.config, document)
        .nest("/api", router)
        .method_not_allowed_fallback(unknown)
        .fallback(unknown)
        .with_state(api);
    Routes { router, about }
}

/// The built routes with the document made from them. Paths are relative to `/api`.
pub(crate) fn built() -> (Router<Api>, OpenApi) {
    let open = OpenApiRouter::new()
        .routes(routes!(system::config))
        .routes(routes!(system::health))
        .routes(routes!(system::health_ready))
        .routes(routes!(system::harbor_ready))
        .routes(routes!(regions::shared));
    /// Adds routes whose handlers say in their first argument who may call them.
    macro_rules! guarded {
        ($router:expr, $($handler:path),+ $(,)?) => { $router$(.routes(declared(routes!($handler), &$handler)))+ };
    }
    guarded!(
        open,
        system::harbor_loops,
        system::harbor_garbage,
        system::collect_harbor_garbage,
        sandboxes::create,
        sandboxes::list,
        sandboxes::list_numbered,
        sandboxes::get,
        sandboxes::delete,
        sandboxes::start,
        sandboxes::stop,
        sandboxes::pause,
        sandboxes::resize,
        sandboxes::archive,
        sandboxes::backup,
        sandboxes::fork,
        sandboxes::snapshot,
        sandboxes::recover,
        sandboxes::forks,
        sandboxes::parent,
        sandboxes::ancestors,
        sandboxes::set_labels,
        sandboxes::set_auto_stop,
        sandboxes::set_auto_pause,
        sandboxes::set_auto_archive,
        sandboxes::set_auto_delete,
        sandboxes::set_public,
        sandboxes::set_ttl,
        sandboxes::toolbox_proxy_url,
        sandboxes::preview_url,
        sandboxes::signing_key,
        sandboxes::rotate_signing_key,
        sandboxes::last_activity,
        keys::create,
        keys::list,
        keys::current,
        keys::get,
        keys::delete,
        keys::delete_of_user,
        organizations::list,
        organizations::get,
        organizations::usage,
        organizations::members,
        organizations::roles,
        organizations::invitations,
        organizations::own_invitations,
        organizations::own_invitation_count,
        pools::create,
        pools::list,
        pools::update,
        pools::delete,
        object_storage::push_access,
        registries::create,
        registries::list,
        registries::push_access,
        registries::get,
        registries::change,
        registries::delete,
        regions::list,
        regions::get,
        runners::list,
        runners::get,
        runners::list_all,
        runners::get_any,
        snapshots::list,
        snapshots::get,
        snapshots::delete,
        snapshots::create,
        snapshots::activate,
        snapshots::deactivate,
        build::snapshot_log,
        build::snapshot_log_url,
        build::sandbox_log,
        build::sandbox_log_url,
        users::me,
        volumes::create,
        volumes::list,
        volumes::get,
        volumes::get_by_name,
        volumes::delete,
    )
    .split_for_parts()
}

/// Unknown routes and wrong methods look alike (recordings, `api-system`).
async fn unknown(method: Method, OriginalUri(uri): OriginalUri) -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, format!("Cannot {method} {}", path(&uri)))
}

fn path(uri: &Uri) -> &str {
    uri.path()
}
