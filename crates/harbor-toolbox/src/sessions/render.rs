//! Answers that hold a log, written as they are sent: a log of any size passes in the memory of a few pieces.

use std::io;
use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use http::{StatusCode, header};

use super::demux::{Demux, Part};
use super::log::{Log, PIECE, Reader};
use crate::http::json::escaped;

/// What an answer consists of.
pub(super) enum Section {
    /// Text as it is.
    Literal(String),
    /// A part of the log, as the inside of a JSON string.
    Quoted(Part),
    /// A part of the log as text.
    Plain(Part),
}

/// A 200 of `sections` with `content_type`.
///
/// A log that is no longer kept is an empty one. Errors are those of reading the log's first bytes.
pub(super) fn render(log: &Arc<Log>, content_type: &'static str, sections: Vec<Section>) -> io::Result<Response> {
    let mut pages = Pages::new(log, sections);
    let first = pages.next().transpose()?.unwrap_or_default();
    let body = match pages.next() {
        None => Body::from(first),
        Some(second) => Body::from_stream(stream::iter([Ok(first), second].into_iter().chain(pages))),
    };
    Ok((StatusCode::OK, [(header::CONTENT_TYPE, content_type)], body).into_response())
}

/// The answer, in chunks of about [`PIECE`].
struct Pages {
    log: Arc<Log>,
    sections: std::vec::IntoIter<Section>,
    /// The section that the last chunk ended in.
    within: Option<Reading>,
    /// The log as long as it was when the answer began.
    length: u64,
}

struct Reading {
    reader: Reader,
    demux: Demux,
    quoted: bool,
}

impl Pages {
    fn new(log: &Arc<Log>, sections: Vec<Section>) -> Self {
        let length = log.watch().borrow().length;
        Self { log: Arc::clone(log), sections: sections.into_iter(), within: None, length }
    }

    fn fill(&mut self, page: &mut Vec<u8>) -> io::Result<()> {
        while page.len() < PIECE {
            if let Some(reading) = &mut self.within {
                match reading.next(self.length)? {
                    Some(text) => page.extend(text.into_bytes()),
                    None => self.within = None,
                }
                continue;
            }
            let (part, quoted) = match self.sections.next() {
                None => break,
                Some(Section::Literal(text)) => {
                    page.extend(text.into_bytes());
                    continue;
                }
                Some(Section::Quoted(part)) => (part, true),
                Some(Section::Plain(part)) => (part, false),
            };
            self.within = match self.log.read() {
                Ok(reader) => Some(Reading { reader, demux: Demux::new(part), quoted }),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => return Err(error),
            };
        }
        Ok(())
    }
}

impl Iterator for Pages {
    type Item = io::Result<Bytes>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut page = Vec::new();
        match self.fill(&mut page) {
            Err(error) => Some(Err(error)),
            Ok(()) if page.is_empty() => None,
            Ok(()) => Some(Ok(page.into())),
        }
    }
}

impl Reading {
    fn next(&mut self, length: u64) -> io::Result<Option<String>> {
        let Some(piece) = self.reader.next(length)? else { return Ok(None) };
        let mut wanted = Vec::with_capacity(piece.len());
        self.demux.take(&piece, &mut wanted);
        let text = String::from_utf8_lossy(&wanted);
        Ok(Some(if self.quoted { escaped(&text)? } else { text.into_owned() }))
    }
}
