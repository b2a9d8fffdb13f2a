//! File endpoints (contract, toolbox §11).
//!
//! Why here: the toolbox runs as the sandbox's user, so the kernel itself decides what each call may touch.
//! Guarantees: content of any size passes in bounded memory; no file system work runs on the runtime's thread; FIFOs,
//! sockets and devices are never waited for; names that are not UTF-8 are shown with U+FFFD and can be asked for
//! percent-encoded; an upload that fails leaves no new file behind.
//! Leaves out: signed URLs (§11.15), which the proxy in front verifies.

mod accounts;
mod buffers;
mod bulk_download;
mod bulk_upload;
mod change;
mod conditions;
mod content;
mod disposition;
mod download;
mod failure;
mod find;
mod form;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod glob;
mod info;
mod lines;
mod list;
mod media_type;
mod open;
mod paths;
mod query;
mod relocate;
mod remove;
mod replace;
mod replacement;
mod search;
mod sink;
mod spool;
mod stream;
mod upload;
mod walk;

use axum::Router;
use axum::routing::{get, post};

use crate::context::Context;

/// The routes of this module; listing and deletion exist with and without the last slash (contract, toolbox §2.1).
pub(crate) fn routes() -> Router<Context> {
    Router::new()
        .route("/files", get(list::list).delete(change::delete))
        .route("/files/", get(list::list).delete(change::delete))
        .route("/files/info", get(list::info))
        .route("/files/folder", post(change::make_folder))
        .route("/files/move", post(relocate::relocate))
        .route("/files/permissions", post(change::set_permissions))
        .route("/files/replace", post(replace::replace))
        .route("/files/find", get(find::find))
        .route("/files/search", get(search::search))
        .route("/files/upload", post(upload::upload))
        .route("/files/upload-v2", post(upload::upload_v2))
        .route("/files/bulk-upload", post(bulk_upload::bulk_upload))
        .route("/files/download", get(download::download))
        .route("/files/bulk-download", post(bulk_download::bulk_download))
}
