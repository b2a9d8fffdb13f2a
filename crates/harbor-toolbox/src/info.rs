//! What this toolbox is and where it works (contract, toolbox §5).

use std::path::PathBuf;

use axum::Router;
use axum::extract::{Request, State};
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::http::error::Error;
use crate::http::json::{self, Json};

/// Version of this toolbox.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The routes of this module.
pub(crate) fn routes() -> Router<Context> {
    Router::new()
        .route("/version", get(async || Json(Version { version: VERSION })))
        .route("/user-home-dir", get(home))
        .route("/project-dir", get(home))
        .route("/work-dir", get(work_dir))
        .route("/init", post(init))
}

#[derive(Serialize)]
struct Version {
    version: &'static str,
}

#[derive(Serialize)]
struct Directory {
    dir: String,
}

impl From<PathBuf> for Directory {
    fn from(path: PathBuf) -> Self {
        Self { dir: path.to_string_lossy().into_owned() }
    }
}

async fn home(State(context): State<Context>) -> Json<Directory> {
    Json(context.home().into())
}

async fn work_dir(State(context): State<Context>) -> Json<Directory> {
    Json(context.work_dir().into())
}

/// Body of `/init`; the token served telemetry, which harbor does not have.
#[derive(Deserialize)]
struct Init {
    #[serde(rename = "token")]
    _token: Option<String>,
}

#[derive(Serialize)]
struct Message {
    message: &'static str,
}

async fn init(request: Request) -> Result<Json<Message>, Error> {
    let Init { _token: _ } =
        json::decode(&json::read(request).await?).map_err(|error| Error::bad_request(error.to_string()))?;
    Ok(Json(Message { message: "Toolbox initialized; harbor exports no telemetry" }))
}
