//! Language servers: the image's own, started per language and project (contract, toolbox §13).
//!
//! Guarantees: servers, their open files, messages and waits are bounded; a server that ends or hangs fails what waits
//! for it and nothing else.
//! Leaves out: servers of its own. Where the image lacks one, the answer names it and how to install it.

mod dialogue;
mod framing;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod language;
mod project;
mod server;
mod servers;
mod shapes;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::routing::{get, post};
use axum::{Extension, Router};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};

use crate::context::Context;
use crate::http::error::Error;
use crate::http::json::{Body, Json};
use dialogue::Failure;
use language::Language;
use project::{path_of, read, sources, uri_of};
use servers::{Key, Running, Servers};
use shapes::Symbol;

/// Longest search through the files of a project.
const SEARCH: Duration = Duration::from_secs(20);

/// The routes of this module.
pub(crate) fn routes() -> Router<Context> {
    Router::new()
        .route("/lsp/start", post(start))
        .route("/lsp/stop", post(stop))
        .route("/lsp/did-open", post(did_open))
        .route("/lsp/did-close", post(did_close))
        .route("/lsp/completions", post(completions))
        .route("/lsp/document-symbols", get(document_symbols))
        .route("/lsp/workspacesymbols", get(workspace_symbols))
        // The old spelling of some clients (contract, toolbox §1.1).
        .route("/lsp/workspace-symbols", get(workspace_symbols))
        .layer(Extension(Servers::default()))
}

/// What requests say; which of it is required differs.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Order {
    language_id: String,
    path_to_project: String,
    uri: String,
    query: String,
    position: Option<Position>,
    context: Option<Trigger>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Position {
    line: u32,
    character: u32,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Trigger {
    trigger_kind: Option<u32>,
    trigger_character: Option<String>,
}

impl Order {
    fn key(&self, context: &Context) -> Result<Key, Error> {
        Key::new(context, &self.language_id, &self.path_to_project)
    }

    /// The file that the request is about.
    fn file(&self, context: &Context, key: &Key) -> Result<PathBuf, Error> {
        if self.uri.is_empty() { Err(required("uri")) } else { Ok(path_of(context, &key.project, &self.uri)) }
    }

    /// That file and the server for it, which must run.
    fn file_and_server(&self, context: &Context, servers: &Servers) -> Result<(Key, PathBuf, Arc<Running>), Error> {
        let key = self.key(context)?;
        let path = self.file(context, &key)?;
        let running = servers.find(&key)?;
        Ok((key, path, running))
    }
}

fn required(name: &str) -> Error {
    Error::bad_request(format!("{name} is required"))
}

async fn start(
    State(context): State<Context>,
    Extension(servers): Extension<Servers>,
    Body(order): Body<Order>,
) -> Result<StatusCode, Error> {
    servers.start(&context, &order.key(&context)?).await?;
    Ok(StatusCode::OK)
}

async fn stop(
    State(context): State<Context>,
    Extension(servers): Extension<Servers>,
    Body(order): Body<Order>,
) -> Result<StatusCode, Error> {
    if servers.stop(&order.key(&context)?).await {
        Ok(StatusCode::OK)
    } else {
        Err(Error::internal(format!("no {} server runs for {}", order.language_id, order.path_to_project)))
    }
}

/// Gives the server the file as it is now; a file that is open already is opened anew.
async fn did_open(
    State(context): State<Context>,
    Extension(servers): Extension<Servers>,
    Body(order): Body<Order>,
) -> Result<StatusCode, Error> {
    let (key, path, running) = order.file_and_server(&context, &servers)?;
    let turn = running.turn().await?;
    open(&running, key.language, &path).await?;
    drop(turn);
    Ok(StatusCode::OK)
}

/// Gives a server a file. The caller has the turn.
async fn open(running: &Running, language: Language, path: &Path) -> Result<(), Error> {
    let document = path.to_owned();
    let text = spawn_blocking(move || read(&document)).await.map_err(|error| Error::internal(error.to_string()))?;
    let text = text.map_err(|error| Error::bad_request(format!("cannot open {}: {error}", path.display())))?;
    let uri = uri_of(path);
    if !running.note_open(path)? {
        running.server.tell("textDocument/didClose", json!({"textDocument": {"uri": uri}})).await?;
    }
    let document = json!({"uri": uri, "languageId": language.of_document(path), "version": 1, "text": text});
    Ok(running.server.tell("textDocument/didOpen", json!({"textDocument": document})).await?)
}

/// Takes a file from a server. The caller has the turn.
async fn close(running: &Running, path: &Path) -> Result<(), Failure> {
    if running.note_closed(path) {
        running.server.tell("textDocument/didClose", json!({"textDocument": {"uri": uri_of(path)}})).await?;
    }
    Ok(())
}

/// Closing what is not open is no error, and nothing that the server is told of.
async fn did_close(
    State(context): State<Context>,
    Extension(servers): Extension<Servers>,
    Body(order): Body<Order>,
) -> Result<StatusCode, Error> {
    let (_, path, running) = order.file_and_server(&context, &servers)?;
    let turn = running.turn().await?;
    close(&running, &path).await?;
    drop(turn);
    Ok(StatusCode::OK)
}

async fn completions(
    State(context): State<Context>,
    Extension(servers): Extension<Servers>,
    Body(order): Body<Order>,
) -> Result<Json<Value>, Error> {
    let key = order.key(&context)?;
    let path = order.file(&context, &key)?;
    let Position { line, character } = order.position.ok_or_else(|| required("position"))?;
    let running = servers.find(&key)?;
    let mut params = json!({
        "textDocument": {"uri": uri_of(&path)},
        "position": {"line": line, "character": character},
    });
    if let Some(Trigger { trigger_kind, trigger_character }) = order.context {
        params["context"] = json!({"triggerKind": trigger_kind.filter(|&kind| kind > 0).unwrap_or(1)});
        if let Some(character) = trigger_character {
            params["context"]["triggerCharacter"] = character.into();
        }
    }
    let answer = running.server.request("textDocument/completion", params).await?;
    Ok(Json(shapes::completions(&answer)))
}

async fn document_symbols(
    State(context): State<Context>,
    Extension(servers): Extension<Servers>,
    Query(order): Query<Order>,
) -> Result<Json<Vec<Symbol>>, Error> {
    let (_, path, running) = order.file_and_server(&context, &servers)?;
    Ok(Json(symbols_of(&running, &path).await?))
}

async fn symbols_of(running: &Running, path: &Path) -> Result<Vec<Symbol>, Failure> {
    let uri = uri_of(path);
    let params = json!({"textDocument": {"uri": uri}});
    let answer = running.server.request("textDocument/documentSymbol", params).await?;
    Ok(shapes::symbols(&answer, &uri))
}

/// Symbols of the project by name; where the server cannot look for them, those of the project's files.
async fn workspace_symbols(
    State(context): State<Context>,
    Extension(servers): Extension<Servers>,
    Query(order): Query<Order>,
) -> Result<Json<Vec<Symbol>>, Error> {
    let key = order.key(&context)?;
    if order.query.is_empty() {
        return Err(required("query"));
    }
    let running = servers.find(&key)?;
    if running.server.can("workspaceSymbolProvider") {
        match ask_for(&running, &key, &order.query).await? {
            Ok(answer) => return Ok(Json(shapes::symbols(&answer, &uri_of(&key.project)))),
            Err(Failure::Refused(_)) => {}
            Err(failure) => return Err(failure.into()),
        }
    }
    search(&running, &key, &order.query).await.map(Json)
}

/// Asks the server for symbols of the project. There are servers that know of a project only through its open files:
/// where none is open, a source is for as long as that takes.
async fn ask_for(running: &Running, key: &Key, query: &str) -> Result<Result<Value, Failure>, Error> {
    let ask = async || running.server.request("workspace/symbol", json!({"query": query})).await;
    if !running.open().is_empty() {
        return Ok(ask().await);
    }
    let Some(first) = listed(key).await?.into_iter().next() else { return Ok(ask().await) };
    let turn = running.turn().await?;
    open(running, key.language, &first).await?;
    let answer = ask().await;
    close(running, &first).await?;
    drop(turn);
    Ok(answer)
}

/// The sources of a project.
async fn listed(key: &Key) -> Result<Vec<PathBuf>, Error> {
    let (project, language) = (key.project.clone(), key.language);
    let sources = spawn_blocking(move || sources(&project, language)).await;
    sources.map_err(|error| Error::internal(error.to_string()))
}

/// Symbols whose name holds `query` in any letter case: of open files first, then of others, as far as time allows.
async fn search(running: &Running, key: &Key, query: &str) -> Result<Vec<Symbol>, Error> {
    let deadline = Instant::now() + SEARCH;
    let mut files = running.open();
    for file in listed(key).await? {
        if !files.contains(&file) {
            files.push(file);
        }
    }
    let query = query.to_lowercase();
    let mut found = Vec::new();
    for file in files {
        match timeout_at(deadline, symbols_of(running, &file)).await {
            Ok(Ok(symbols)) => {
                found.extend(symbols.into_iter().filter(|symbol| symbol.name.to_lowercase().contains(&query)));
            }
            Ok(Err(Failure::Refused(_))) => {} // a file that the server cannot read
            Ok(Err(failure)) => return Err(failure.into()),
            Err(_) => break,
        }
    }
    Ok(found)
}
