//! `GET /files` and `GET /files/info` (contract, toolbox §11.2 and §11.3).

use std::os::unix::ffi::OsStrExt as _;

use axum::extract::State;
use axum::response::Response;
use rustix::fs::{AtFlags, statat};

use super::failure;
use super::info::FileInfo;
use super::query::{Query, Target};
use super::stream::{Finder, Items, blocking, json_array};
use super::walk::Walk;
use crate::context::Context;
use crate::http::error::Error;
use crate::http::json::Json;

/// What is in a directory, sorted by name; with `depth`, each directory is followed by what is in it.
pub(super) async fn list(State(context): State<Context>, query: Query) -> Result<Response, Error> {
    let depth = depth(&query)?;
    let target = Target::new(&context, query.bytes("path").unwrap_or(b"."))?;
    let walk =
        blocking(move || Walk::inside(&target.full, depth).map_err(|error| failure::with_path(&target.given, &error)));
    json_array(Listing(walk.await?), "[", "]").await
}

fn depth(query: &Query) -> Result<usize, Error> {
    let Some(text) = query.text("depth") else { return Ok(1) };
    match text.parse() {
        Ok(depth) if depth >= 1 => Ok(depth),
        _ => Err(Error::bad_request(format!("depth must be an integer of at least 1, not {text:?}"))),
    }
}

/// One file, links followed.
pub(super) async fn info(State(context): State<Context>, query: Query) -> Result<Json<FileInfo>, Error> {
    let target = query.target(&context, "path")?;
    let info = blocking(move || match rustix::fs::stat(&target.full) {
        Ok(stat) => Ok(FileInfo::new(&target.given, target.full.as_os_str().as_bytes(), &stat)),
        Err(error) => Err(failure::with_path(&target.given, &error.into())),
    });
    Ok(Json(info.await?))
}

struct Listing(Walk);

impl Finder for Listing {
    fn look(&mut self, found: &mut Items) -> bool {
        let Some(entry) = self.0.next() else { return false };
        if let Ok(stat) = statat(entry.directory, entry.name, AtFlags::empty()) {
            found.push(&FileInfo::new(entry.path, entry.path, &stat));
        }
        true
    }
}
