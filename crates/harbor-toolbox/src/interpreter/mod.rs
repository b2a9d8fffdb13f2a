//! The code interpreter: Python contexts that keep their state between executions (contract, toolbox §9).
//!
//! A context is a Python process of the image; nothing but `python3` is needed. Leaves out: other languages, and output
//! of the children of the code, which goes nowhere unless the code captures it.

mod channel;
mod contexts;
mod execute;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod output;
mod worker;

use axum::extract::State;
use axum::routing::{delete, get};
use axum::{Extension, Router};
use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::http::error::Error;
use crate::http::json::{Body, Json};
use crate::http::params::Params;
use contexts::{DEFAULT, Description, Interpreters};

/// The routes of this module.
pub(crate) fn routes() -> Router<Context> {
    const CONTEXT: &str = "/process/interpreter/context";
    Router::new()
        .route(CONTEXT, get(list).post(create))
        .route(&format!("{CONTEXT}/{{id}}"), delete(remove))
        .route("/process/interpreter/execute", get(execute::execute))
        .layer(Extension(Interpreters::default()))
}

#[derive(Deserialize)]
struct Creation {
    cwd: Option<String>,
    language: Option<String>,
}

async fn create(
    State(context): State<Context>,
    Extension(interpreters): Extension<Interpreters>,
    Body(wanted): Body<Creation>,
) -> Result<Json<Description>, Error> {
    if let Some(language) = wanted.language.filter(|language| language != "python") {
        return Err(Error::bad_request(format!("unsupported language: {language:?}; only python is")));
    }
    let directory = wanted.cwd.filter(|cwd| !cwd.is_empty());
    let directory = directory.map_or_else(|| context.work_dir(), |cwd| context.resolve(cwd));
    // Not the request's own task: a client that goes away now must not leave a worker that nobody knows of.
    let (owner, starting) = (context.clone(), interpreters.clone());
    let made = context.processes().chores().spawn(async move { starting.create(&owner, &directory).await });
    let made = made.await.map_err(|error| Error::internal(error.to_string()))??;
    Ok(Json(made.describe()))
}

#[derive(Serialize)]
struct List {
    contexts: Vec<Description>,
}

async fn list(Extension(interpreters): Extension<Interpreters>) -> Json<List> {
    Json(List { contexts: interpreters.describe() })
}

#[derive(Serialize)]
struct Message {
    message: &'static str,
}

async fn remove(
    Extension(interpreters): Extension<Interpreters>,
    Params(id): Params<String>,
) -> Result<Json<Message>, Error> {
    if id == DEFAULT {
        return Err(Error::bad_request("the default context cannot be deleted"));
    }
    if interpreters.delete(&id).await {
        Ok(Json(Message { message: "Context deleted" }))
    } else {
        Err(Error::not_found(format!("context not found: {id}")))
    }
}
