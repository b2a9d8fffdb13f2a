//! `multipart/*` request bodies, of any size, a piece at a time.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use http::{HeaderMap, header};
use multer::{Field, Multipart};
use tokio::time::{Instant, Sleep, sleep};

/// A client that sends nothing for this long has gone away.
const SILENCE: Duration = Duration::from_hours(1);

/// Bytes that may arrive without making up a part or a piece of one: headers, or what is before the first part.
const UNUSED: usize = 16 << 20;

/// A form being received.
pub(super) struct MultipartForm {
    parts: Multipart<'static>,
    pieces: Pieces,
    progress: Progress,
}

/// One part; it must be dropped before the next is asked for.
pub(super) struct Part {
    field: Field<'static>,
    progress: Progress,
}

/// Bytes received since the parser last handed something out.
#[derive(Clone, Default)]
struct Progress(Arc<AtomicUsize>);

impl Progress {
    fn received(&self, bytes: usize) -> bool {
        self.0.fetch_add(bytes, Ordering::Relaxed) + bytes <= UNUSED
    }

    fn made(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

impl MultipartForm {
    /// The form in a request with these headers; the body itself when it is something else.
    pub(super) fn new(headers: &HeaderMap, body: Body) -> Result<Self, Pieces> {
        let (pieces, progress) = (Pieces::new(body), Progress::default());
        let Some(boundary) = boundary(headers) else { return Err(pieces) };
        let counted = progress.clone();
        let limited = pieces.clone().map(move |piece| {
            let piece = piece?;
            if counted.received(piece.len()) { Ok(piece) } else { Err(io::Error::other("headers too long")) }
        });
        Ok(Self { parts: Multipart::new(limited, boundary), pieces, progress })
    }

    /// The next part; none at the end of the form.
    pub(super) async fn next(&mut self) -> Result<Option<Part>, multer::Error> {
        let field = self.parts.next_field().await?;
        self.progress.made();
        Ok(field.map(|field| Part { field, progress: self.progress.clone() }))
    }

    /// Reads and ignores what is left of the body, so that a client still sending is not cut off.
    pub(super) async fn drain(mut self) {
        self.pieces.drain().await;
    }
}

impl Part {
    /// The field's name; empty when there is none.
    pub(super) fn name(&self) -> &str {
        self.field.name().unwrap_or_default()
    }

    /// The file name that the client gave.
    pub(super) fn file_name(&self) -> Option<&str> {
        self.field.file_name()
    }

    /// Reads and ignores the rest.
    pub(super) async fn drain(&mut self) -> Result<(), multer::Error> {
        while let Some(piece) = self.next().await {
            piece?;
        }
        Ok(())
    }

    /// The whole content, at most `limit` bytes; none when it is longer.
    pub(super) async fn small(&mut self, limit: usize) -> Result<Option<Vec<u8>>, multer::Error> {
        let mut content = Vec::new();
        while let Some(piece) = self.next().await {
            let piece = piece?;
            if content.len() + piece.len() > limit {
                return Ok(None);
            }
            content.extend_from_slice(&piece);
        }
        Ok(Some(content))
    }
}

impl Stream for Part {
    type Item = Result<Bytes, multer::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let piece = ready!(Pin::new(&mut self.field).poll_next(context));
        self.progress.made();
        Poll::Ready(piece)
    }
}

/// The pieces of a body as they arrive; clones read from the same body.
#[derive(Clone)]
pub(super) struct Pieces(Arc<Mutex<Incoming>>);

struct Incoming {
    /// None after an error.
    body: Option<BodyDataStream>,
    silence: Pin<Box<Sleep>>,
}

impl Pieces {
    /// The pieces of `body`.
    pub(super) fn new(body: Body) -> Self {
        let incoming = Incoming { body: Some(body.into_data_stream()), silence: Box::pin(sleep(SILENCE)) };
        Self(Arc::new(Mutex::new(incoming)))
    }

    /// Reads and ignores the rest.
    pub(super) async fn drain(&mut self) {
        while let Some(Ok(_)) = self.next().await {}
    }
}

impl Stream for Pieces {
    type Item = io::Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut incoming = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(body) = &mut incoming.body else { return Poll::Ready(None) };
        let error = match body.poll_next_unpin(context) {
            Poll::Ready(Some(Ok(piece))) => {
                incoming.silence.as_mut().reset(Instant::now() + SILENCE);
                return Poll::Ready(Some(Ok(piece)));
            }
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Ready(Some(Err(error))) => io::Error::other(error),
            Poll::Pending => {
                ready!(incoming.silence.as_mut().poll(context));
                io::ErrorKind::TimedOut.into()
            }
        };
        incoming.body = None;
        Poll::Ready(Some(Err(error)))
    }
}

/// Whether these headers announce a form.
pub(super) fn is_form(headers: &HeaderMap) -> bool {
    kind(headers).is_some_and(|kind| kind.get(..10).is_some_and(|start| start.eq_ignore_ascii_case("multipart/")))
}

fn kind(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::CONTENT_TYPE)?.to_str().ok()
}

/// The boundary of any `multipart/*` type (contract, toolbox §11.13).
fn boundary(headers: &HeaderMap) -> Option<String> {
    if !is_form(headers) {
        return None;
    }
    let mut rest = kind(headers)?.split_once(';')?.1;
    loop {
        let (name, after) = rest.split_once('=')?;
        let after = after.trim_start();
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => {
                let (value, next) = quoted.split_once('"')?;
                (value, next.split_once(';').map_or("", |(_, next)| next))
            }
            None => after.split_once(';').unwrap_or((after, "")),
        };
        if name.trim().eq_ignore_ascii_case("boundary") {
            return Some(value.trim().to_owned()).filter(|value| !value.is_empty() && value.len() <= 70);
        }
        rest = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[track_caller]
    fn check(kind: &str, expected: Option<&str>) {
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_str(kind).unwrap())]);
        assert_eq!(boundary(&headers).as_deref(), expected, "{kind}");
    }

    #[test]
    fn boundaries_of_any_multipart_type() {
        check("multipart/form-data; boundary=abc", Some("abc"));
        check("Multipart/Mixed; charset=utf-8; Boundary=\"a b=c;d\"; x=y", Some("a b=c;d"));
        check("multipart/form-data; charset=\"utf-8\";boundary=abc ; x=y", Some("abc"));
        for kind in
            ["multipart/form-data", "multipart/form-data; boundary=", "text/plain; boundary=abc", "application/json"]
        {
            check(kind, None);
        }
    }
}
