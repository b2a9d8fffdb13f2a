//! Answers made by blocking work, a chunk at a time.
//!
//! Guarantees: file system work runs on the blocking pool only and in short steps, so nobody else waits for it, a slow
//! reader occupies no thread, and dropping the answer stops the work after the step at hand. At most one chunk is made
//! ahead of the reader.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use http::{HeaderValue, header};
use serde::Serialize;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::http::error::Error;

/// How much one step reads or writes at most, in bytes.
pub(super) const CHUNK: usize = 256 * 1024;

/// An answer up to this size, in bytes, is sent whole, with its length.
const SMALL_ANSWER: usize = 64 * 1024;

/// How long one step of a listing works before others get their turn on its thread.
const STEP: Duration = Duration::from_millis(50);

/// Runs blocking work off the runtime.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    spawn_blocking(work).await.unwrap_or_else(|error| Err(Error::internal(error.to_string())))
}

/// Bytes made by blocking work.
pub(super) trait Source: Send + 'static {
    /// The next chunk; an empty one when there is nothing to send yet, none at the end.
    fn next_chunk(&mut self) -> io::Result<Option<Bytes>>;
}

/// A body fed by `source`; an error cuts the answer short.
pub(super) fn body(source: impl Source) -> Body {
    Body::from_stream(Ahead::start(source))
}

type Step<S> = (S, io::Result<Option<Bytes>>);

/// Keeps one step of a source running ahead of the reader.
struct Ahead<S> {
    step: Option<JoinHandle<Step<S>>>,
}

impl<S: Source> Ahead<S> {
    fn start(source: S) -> Self {
        Self { step: Some(advance(source)) }
    }
}

fn advance<S: Source>(mut source: S) -> JoinHandle<Step<S>> {
    spawn_blocking(move || {
        let result = source.next_chunk();
        (source, result)
    })
}

impl<S: Source> Stream for Ahead<S> {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        while let Some(step) = &mut self.step {
            let finished = ready!(Pin::new(step).poll(context));
            self.step = None;
            match finished {
                Ok((source, Ok(Some(chunk)))) => {
                    self.step = Some(advance(source));
                    if !chunk.is_empty() {
                        return Poll::Ready(Some(Ok(chunk)));
                    }
                }
                Ok((_, Ok(None))) => {}
                Ok((_, Err(error))) => return Poll::Ready(Some(Err(error))),
                Err(error) => return Poll::Ready(Some(Err(io::Error::other(error)))),
            }
        }
        Poll::Ready(None)
    }
}

/// Something that finds one item after the other by short pieces of blocking work.
pub(super) trait Finder: Send + 'static {
    /// Looks at a little more and adds what it found; false once there is nothing left to look at.
    fn look(&mut self, found: &mut Items) -> bool;
}

/// The items of a JSON array as text.
#[derive(Default)]
pub(super) struct Items {
    text: Vec<u8>,
    any: bool,
}

impl Items {
    /// Adds one item to the array.
    pub(super) fn push(&mut self, item: &impl Serialize) {
        let end = self.text.len();
        if self.any {
            self.text.push(b',');
        }
        match serde_json::to_writer(&mut self.text, item) {
            Ok(()) => self.any = true,
            Err(_) => self.text.truncate(end),
        }
    }
}

/// A JSON array of what `finder` finds, between `before` and `after`; streamed once it gets large.
pub(super) async fn json_array(
    finder: impl Finder,
    before: &'static str,
    after: &'static str,
) -> Result<Response, Error> {
    let items = Items { text: before.as_bytes().to_vec(), any: false };
    let mut chunks = Ahead::start(Array { finder: Some(finder), items, after });
    let mut start = Vec::new();
    let body = loop {
        match chunks.next().await {
            None => break Body::from(start),
            Some(Err(error)) => return Err(Error::internal(error.to_string())),
            Some(Ok(chunk)) => start.extend_from_slice(&chunk),
        }
        if start.len() > SMALL_ANSWER {
            let start = futures_util::stream::iter([Ok(Bytes::from(start))]);
            break Body::from_stream(start.chain(chunks));
        }
    };
    let kind = HeaderValue::from_static("application/json; charset=utf-8");
    Ok(([(header::CONTENT_TYPE, kind)], body).into_response())
}

struct Array<F> {
    /// None once everything is found.
    finder: Option<F>,
    items: Items,
    after: &'static str,
}

impl<F: Finder> Source for Array<F> {
    fn next_chunk(&mut self) -> io::Result<Option<Bytes>> {
        let Some(finder) = &mut self.finder else { return Ok(None) };
        let started = Instant::now();
        let mut more = true;
        while more && self.items.text.len() < SMALL_ANSWER && started.elapsed() < STEP {
            more = finder.look(&mut self.items);
        }
        if !more {
            self.finder = None;
            self.items.text.extend_from_slice(self.after.as_bytes());
        }
        Ok(Some(std::mem::take(&mut self.items.text).into()))
    }
}
