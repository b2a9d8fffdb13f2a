//! Whether a request is under way on a connection.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use crate::slots::ConnectionSlot;

/// What the requests of one connection and its stream know of each other.
pub(crate) struct Pace {
    slot: ConnectionSlot,
    /// How many heads were complete so far.
    heads: AtomicU32,
}

impl Pace {
    pub(crate) fn new(slot: ConnectionSlot) -> Self {
        Self { slot, heads: AtomicU32::new(0) }
    }

    pub(crate) fn slot(&self) -> &ConnectionSlot {
        &self.slot
    }

    pub(crate) fn heads(&self) -> u32 {
        self.heads.load(Ordering::Relaxed)
    }
}

/// A request under way, from its head to the end of its answer and of its own body, whichever is later.
pub(crate) struct UnderWay {
    pace: Arc<Pace>,
    for_good: AtomicBool,
}

impl UnderWay {
    /// A head is complete.
    pub(crate) fn begin(pace: &Arc<Pace>) -> Arc<Self> {
        pace.slot.begin();
        pace.heads.fetch_add(1, Ordering::Relaxed);
        Arc::new(Self { pace: Arc::clone(pace), for_good: AtomicBool::new(false) })
    }

    /// No head follows any more: the connection is a tunnel.
    pub(crate) fn last_for_good(&self) {
        self.for_good.store(true, Ordering::Relaxed);
    }

    /// `body`, which keeps the request under way until it is dropped.
    pub(crate) fn until_the_end_of(self: Arc<Self>, body: axum::body::Body) -> AnswerBody {
        AnswerBody { body, _under_way: self }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if !self.for_good.load(Ordering::Relaxed) {
            self.pace.slot.end();
        }
    }
}

/// An answer's body.
pub(crate) struct AnswerBody {
    body: axum::body::Body,
    _under_way: Arc<UnderWay>,
}

impl http_body::Body for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
