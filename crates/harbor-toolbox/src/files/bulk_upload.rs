//! `POST /files/bulk-upload` (contract, toolbox §11.13).

use std::collections::HashMap;

use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use serde::Serialize;
use serde_json::json;

use super::form::{MultipartForm, Part};
use super::query::Target;
use super::sink::{Incomplete, store};
use super::{failure, paths};
use crate::context::Context;
use crate::http::error::Error;
use crate::http::json::Json;

/// Mode of missing parent directories, less the umask.
const PARENTS: u32 = 0o755;

/// Longest destination, in bytes; the kernel takes half of it.
const LONGEST_PATH: usize = 8192;

/// All destinations of a form together, in bytes.
const ALL_PATHS: usize = 16 << 20;

/// Most paths and files of a form, of which a pair makes one stored file.
const PARTS: usize = 200_000;

/// Most bytes of names and reasons in the answer, but for the last one.
const REPORT: usize = 16 << 20;

/// Stores any number of files, within reason; each `files[k].path` comes before its `files[k].file`.
pub(super) async fn bulk_upload(State(context): State<Context>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let mut form = match MultipartForm::new(&head.headers, body) {
        Ok(form) => form,
        Err(mut pieces) => {
            pieces.drain().await;
            return refused(&["invalid multipart form".to_owned()], None, head.uri.path());
        }
    };
    let mut upload = Upload::new(context);
    if let Err(error) = upload.take(&mut form).await {
        upload.fail(format!("reading part: {error}"));
    }
    form.drain().await;
    if upload.errors.is_empty() {
        return Json(json!({ "files": upload.files })).into_response();
    }
    refused(&upload.errors, Some(&upload.files), head.uri.path())
}

fn refused(errors: &[String], files: Option<&[Stored]>, path: &str) -> Response {
    let mut error = Error::bad_request(errors.join(", ")).with_member("errors", json!(errors));
    if let Some(files) = files {
        error = error.with_member("files", json!(files));
    }
    (StatusCode::BAD_REQUEST, Json(error.body("POST", path))).into_response()
}

/// One stored file, in order of arrival.
#[derive(Serialize)]
struct Stored {
    path: String,
    bytes: u64,
}

struct Upload {
    context: Context,
    /// Destination of each key seen so far.
    paths: HashMap<String, Vec<u8>>,
    /// Bytes in `paths`.
    length: usize,
    /// How many paths and files there were.
    parts: usize,
    files: Vec<Stored>,
    errors: Vec<String>,
    /// Bytes in `files` and `errors`.
    report: usize,
}

impl Upload {
    fn new(context: Context) -> Self {
        Self { context, paths: HashMap::new(), length: 0, parts: 0, files: Vec::new(), errors: Vec::new(), report: 0 }
    }

    fn fail(&mut self, reason: String) {
        self.report += reason.len();
        self.errors.push(reason);
    }

    fn succeed(&mut self, path: String, bytes: u64) {
        self.report += path.len();
        self.files.push(Stored { path, bytes });
    }

    /// Takes all parts; what fails for one file is noted, an error is the form's own.
    async fn take(&mut self, form: &mut MultipartForm) -> Result<(), multer::Error> {
        while let Some(mut part) = form.next().await? {
            if self.parts >= PARTS || self.report > REPORT {
                self.fail("too many parts: the rest is ignored; use several requests".to_owned());
                break;
            }
            if let Some(key) = key(part.name(), "].path") {
                self.take_path(key, &mut part).await?;
            } else if let Some(key) = key(part.name(), "].file") {
                self.take_file(&key, &mut part).await?;
            }
            part.drain().await?;
        }
        Ok(())
    }

    async fn take_path(&mut self, key: String, part: &mut Part) -> Result<(), multer::Error> {
        self.parts += 1;
        let text = part.small(LONGEST_PATH).await?;
        let path = text.as_deref().map(<[u8]>::trim_ascii);
        match path {
            Some([]) => self.fail(format!("path[{key}]: empty path")),
            Some(path) if self.length + key.len() + path.len() <= ALL_PATHS => {
                self.length += key.len() + path.len();
                self.paths.insert(key, path.to_owned());
            }
            _ => self.fail(format!("path[{key}]: path too long")),
        }
        Ok(())
    }

    async fn take_file(&mut self, key: &str, part: &mut Part) -> Result<(), multer::Error> {
        self.parts += 1;
        let Some(given) = self.paths.get(key) else {
            self.fail(format!("file[{key}]: missing .path metadata"));
            return Ok(());
        };
        let path = paths::text(given);
        let target = match Target::new(&self.context, given) {
            Ok(target) => target,
            Err(error) => {
                self.fail(format!("{path}: create: {}", error.without_prefix()));
                return Ok(());
            }
        };
        match store(target.full, PARENTS, part).await {
            Ok(bytes) => self.succeed(path, bytes),
            Err(Incomplete::Sink(error)) => {
                self.fail(format!("{path}: {error}: {}", failure::reason(error.cause())));
            }
            Err(Incomplete::Content(error)) => {
                self.fail(format!("{path}: write: {error}"));
                return Err(error);
            }
        }
        Ok(())
    }
}

/// The key in `files[key].path` or `files[key].file`.
fn key(name: &str, end: &str) -> Option<String> {
    name.strip_prefix("files[")?.strip_suffix(end).map(str::to_owned)
}
