//! Git repositories of the sandbox (contract, toolbox §12), driven by a git: the image's own, or the one delivered
//! with the toolbox (`engine`).

mod branches;
mod changes;
mod clone;
mod credentials;
mod engine;
mod failure;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod history;
mod request;
mod run;
mod settings;
mod source;
mod status;
mod sync;

use axum::Router;
use axum::routing::{get, post};

use crate::context::Context;
pub(crate) use credentials::answer_git;

/// The routes of this module.
pub(crate) fn routes() -> Router<Context> {
    Router::new()
        .route("/git/clone", post(clone::clone))
        .route("/git/init", post(clone::init))
        .route("/git/status", get(status::status))
        .route("/git/history", get(history::history))
        .route("/git/branches", get(branches::list).post(branches::create).delete(branches::delete))
        .route("/git/checkout", post(branches::checkout))
        .route("/git/add", post(changes::add))
        .route("/git/commit", post(changes::commit))
        .route("/git/reset", post(changes::reset))
        .route("/git/restore", post(changes::restore))
        .route("/git/push", post(sync::push))
        .route("/git/pull", post(sync::pull))
        .route("/git/remotes", get(settings::remotes).post(settings::add_remote))
        .route("/git/config", get(settings::config).post(settings::set_config))
        .route("/git/config/user", post(settings::set_user))
        .route("/git/credentials", post(settings::store_login))
}
