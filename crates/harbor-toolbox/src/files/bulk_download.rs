//! `POST /files/bulk-download`: any number of files as one form (contract, toolbox §11.14 and §22.4).

use std::fs::File;
use std::io::{self, Write as _};
use std::ops::Range;
use std::vec::IntoIter;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::header;
use serde::Deserialize;

use super::buffers::Buffers;
use super::content::read_some;
use super::query::Target;
use super::stream::{self, CHUNK, Source};
use super::{disposition, failure, media_type, open};
use crate::context::Context;
use crate::http::error::Error;
use crate::http::json::Body;

/// Content type of the answer; clients know this boundary.
const KIND: &str = "multipart/form-data; boundary=DAYTONA-FILE-BOUNDARY";

/// The request.
#[derive(Deserialize)]
pub(super) struct Order {
    paths: Option<Vec<String>>,
}

/// One part per path in the order asked for; a file that cannot be read is a part that says why.
pub(super) async fn bulk_download(State(context): State<Context>, Body(order): Body<Order>) -> Result<Response, Error> {
    let paths = order.paths.filter(|paths| !paths.is_empty());
    let paths = paths.ok_or_else(|| Error::bad_request("request body must be {paths: [string, ...]} and non-empty"))?;
    let form =
        DownloadForm { context, paths: paths.into_iter(), file: None, ended: false, buffers: Buffers::default() };
    Ok(([(header::CONTENT_TYPE, KIND)], stream::body(form)).into_response())
}

struct DownloadForm {
    context: Context,
    paths: IntoIter<String>,
    /// The file whose content is being sent, and what is left of it.
    file: Option<(File, Range<u64>)>,
    ended: bool,
    buffers: Buffers,
}

impl Source for DownloadForm {
    /// A chunk holds as many parts as fit. When a file fails in the middle, the answer ends without its last boundary:
    /// that is how clients notice.
    fn next_chunk(&mut self) -> io::Result<Option<Bytes>> {
        if self.ended {
            return Ok(None);
        }
        let mut chunk = self.buffers.take();
        while chunk.len() < CHUNK && !self.ended {
            if let Some((file, left)) = &mut self.file {
                let limit = CHUNK - chunk.len();
                if left.is_empty() {
                    chunk.extend_from_slice(b"\r\n");
                    self.file = None;
                } else if read_some(file, left, &mut chunk, limit).is_err() {
                    self.ended = true;
                }
            } else if let Some(path) = self.paths.next() {
                self.start(&path, &mut chunk)?;
            } else {
                chunk.extend_from_slice(b"--DAYTONA-FILE-BOUNDARY--\r\n");
                self.ended = true;
            }
        }
        Ok(Some(self.buffers.lend(chunk)))
    }
}

impl DownloadForm {
    /// Begins the part of one path.
    fn start(&mut self, path: &str, chunk: &mut Vec<u8>) -> io::Result<()> {
        let opened = Target::new(&self.context, path.as_bytes()).and_then(|target| {
            open::regular_file(&target.full).map_err(|error| failure::of_part(path.as_bytes(), &error))
        });
        match opened {
            Ok(opened) => {
                let (kind, length) = (media_type::of(path), opened.size);
                part(chunk, "file", path, &format!("{kind}\r\nContent-Length: {length}"))?;
                let left = match opened.content {
                    Some(content) => {
                        chunk.extend_from_slice(&content);
                        0..0
                    }
                    None => 0..length,
                };
                self.file = Some((opened.file, left));
            }
            Err(error) => {
                part(chunk, "error", path, "application/json; charset=utf-8")?;
                writeln!(chunk, "{}\r", error.body("POST", path))?;
            }
        }
        Ok(())
    }
}

/// The boundary and headers of a part; `kind` may carry further headers.
fn part(chunk: &mut Vec<u8>, field: &str, path: &str, kind: &str) -> io::Result<()> {
    let disposition = disposition::form_data(field, path);
    write!(chunk, "--DAYTONA-FILE-BOUNDARY\r\nContent-Disposition: {disposition}\r\nContent-Type: {kind}\r\n\r\n")
}
