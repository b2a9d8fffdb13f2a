//! `GET /files/search`: base names by pattern (contract, toolbox §11.10).

use axum::extract::State;
use axum::response::Response;

use super::glob::Glob;
use super::paths;
use super::query::Query;
use super::stream::{Finder, Items, blocking, json_array};
use super::walk::Walk;
use crate::context::Context;
use crate::http::error::Error;

/// Paths of the files and directories whose names match.
pub(super) async fn search(State(context): State<Context>, query: Query) -> Result<Response, Error> {
    let target = query.target(&context, "path")?;
    let pattern = query.text("pattern").ok_or_else(|| Error::bad_request("pattern is required"))?;
    let glob = Glob::parse(&pattern);
    let walk = blocking(move || Ok(Walk::from_root(&target.full, &target.given))).await?;
    json_array(Search { glob, walk }, "{\"files\":[", "]}").await
}

struct Search {
    /// None for a malformed pattern.
    glob: Option<Glob>,
    walk: Walk,
}

impl Finder for Search {
    fn look(&mut self, found: &mut Items) -> bool {
        let Some(glob) = &self.glob else { return false };
        let Some(entry) = self.walk.next() else { return false };
        if glob.matches(&String::from_utf8_lossy(paths::base(entry.path))) {
            found.push(&String::from_utf8_lossy(entry.path));
        }
        true
    }
}
