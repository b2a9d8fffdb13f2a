//! `GET /files/find`: lines that contain a text (contract, toolbox §11.9).

use axum::extract::State;
use axum::response::Response;
use rustix::fs::{FileType, Mode, OFlags, openat};
use serde::Serialize;

use super::lines::{Needle, Scan};
use super::query::Query;
use super::stream::{CHUNK, Finder, Items, blocking, json_array};
use super::walk::Walk;
use crate::context::Context;
use crate::http::error::Error;

/// The matching lines of all regular text files below a path.
pub(super) async fn find(State(context): State<Context>, query: Query) -> Result<Response, Error> {
    let target = query.target(&context, "path")?;
    let pattern = query.bytes("pattern").ok_or_else(|| Error::bad_request("pattern is required"))?;
    let needle = Needle::new(pattern);
    let walk = blocking(move || Ok(Walk::from_root(&target.full, &target.given))).await?;
    json_array(Find { needle, walk, file: None, buffer: vec![0; CHUNK] }, "[", "]").await
}

/// One line of the answer.
#[derive(Serialize)]
struct Match<'a> {
    file: &'a str,
    line: u64,
    content: &'a str,
}

struct Find {
    needle: Needle,
    walk: Walk,
    /// The file being read: the walk's current entry.
    file: Option<Scan>,
    buffer: Vec<u8>,
}

impl Finder for Find {
    /// Reads up to a buffer of the current file, or opens the next one.
    fn look(&mut self, found: &mut Items) -> bool {
        if let Some(scan) = &mut self.file {
            let path = self.walk.entry().map_or(&b""[..], |entry| entry.path);
            let more = scan.next_block(&mut self.buffer, &self.needle, |line, content| {
                let (file, content) = (&String::from_utf8_lossy(path), &String::from_utf8_lossy(content));
                found.push(&Match { file, line, content });
            });
            if !more {
                self.file = None;
            }
            return true;
        }
        let Some(entry) = self.walk.next() else { return false };
        if entry.kind == FileType::RegularFile {
            // Without blocking: it may have become a FIFO since the directory was read.
            let how = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::NOCTTY | OFlags::CLOEXEC;
            self.file = openat(entry.directory, entry.name, how, Mode::empty()).ok().map(Scan::new);
        }
        true
    }
}
