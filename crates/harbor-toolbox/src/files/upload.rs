//! `POST /files/upload` and `POST /files/upload-v2` (contract, toolbox §11.11 and §11.12).

use axum::extract::{Request, State};
use serde_json::{Value, json};

use super::form::{self, MultipartForm, Part, Pieces};
use super::query::{Query, Target};
use super::sink::{Incomplete, store};
use super::stream::blocking;
use super::{failure, paths};
use crate::context::Context;
use crate::http::error::Error;
use crate::http::json::Json;

/// Mode of missing parent directories, less the umask.
const PARENTS: u32 = 0o750;

/// Stores the form's field `file` at the path, or inside it when it is a directory.
pub(super) async fn upload(State(context): State<Context>, query: Query, request: Request) -> Result<(), Error> {
    let target = query.target(&context, "path")?;
    store_form(target, request).await.map(drop)
}

/// The same for a raw body too, and says where the content went.
pub(super) async fn upload_v2(
    State(context): State<Context>,
    query: Query,
    request: Request,
) -> Result<Json<Value>, Error> {
    let target = query.target(&context, "path")?;
    let stored = if form::is_form(request.headers()) {
        store_form(target, request).await?
    } else {
        store_raw(target, request).await?
    };
    let (name, path) = (paths::text(paths::base(&stored.given)), paths::text(&stored.given));
    Ok(Json(json!({ "name": name, "path": path, "type": "file" })))
}

/// Stores the first field `file` and reads the rest, so that a client still sending is not cut off.
async fn store_form(target: Target, request: Request) -> Result<Target, Error> {
    let (parts, body) = request.into_parts();
    let mut form = match MultipartForm::new(&parts.headers, body) {
        Ok(form) => form,
        Err(mut pieces) => {
            pieces.drain().await;
            return Err(Error::bad_request("invalid multipart form"));
        }
    };
    let stored = store_first(&target, &mut form).await;
    form.drain().await;
    stored.unwrap_or_else(|error| Err(incomplete(&error)))
}

async fn store_first(target: &Target, form: &mut MultipartForm) -> Result<Result<Target, Error>, multer::Error> {
    let mut stored = None;
    while let Some(mut part) = form.next().await? {
        if stored.is_none() && part.name() == "file" {
            stored = Some(store_part(target.clone(), &mut part).await);
        }
        part.drain().await?;
    }
    Ok(stored.unwrap_or_else(|| Err(Error::bad_request("field file is required"))))
}

async fn store_part(target: Target, part: &mut Part) -> Result<Target, Error> {
    let name = part.file_name().filter(|name| paths::is_plain_name(name)).map(str::to_owned);
    let destination = inside_directory(target, name).await?;
    match store(destination.full.clone(), PARENTS, part).await {
        Ok(_) => Ok(destination),
        Err(Incomplete::Sink(error)) => Err(failure::with_path(&destination.given, error.cause())),
        Err(Incomplete::Content(error)) => Err(incomplete(&error)),
    }
}

async fn store_raw(target: Target, request: Request) -> Result<Target, Error> {
    let mut pieces = Pieces::new(request.into_body());
    let stored = store(target.full.clone(), PARENTS, &mut pieces).await;
    pieces.drain().await;
    match stored {
        Ok(_) => Ok(target),
        Err(Incomplete::Sink(error)) => Err(failure::with_path(&target.given, error.cause())),
        Err(Incomplete::Content(error)) => Err(Error::bad_request(format!("reading body: {error}"))),
    }
}

/// An existing directory gets a file of the part's name; anything else is the file itself.
async fn inside_directory(target: Target, name: Option<String>) -> Result<Target, Error> {
    blocking(move || match name {
        Some(name) if target.full.is_dir() => {
            let mut given = target.given;
            if !given.ends_with(b"/") {
                given.push(b'/');
            }
            given.extend_from_slice(name.as_bytes());
            Ok(Target { given, full: target.full.join(name) })
        }
        _ => Ok(target),
    })
    .await
}

fn incomplete(error: &multer::Error) -> Error {
    Error::bad_request(format!("invalid multipart form: {error}"))
}
