//! Requests' bodies on their way to the sandbox, repeatable while small.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};

/// Larger bodies are not sent twice (contract, edges §1.12), bytes.
const MOST_REPEATED: u64 = 256 * 1024;

/// A request's body on its way to the sandbox. Never held back; a small one of known length is kept while it passes,
/// so that it can be sent again.
pub(crate) enum Upload {
    Empty,
    Once(Body),
    Repeatable(Turn),
}

impl Upload {
    pub(crate) fn new(body: Body) -> Self {
        if body.is_end_stream() {
            return Self::Empty;
        }
        if body.size_hint().exact().is_none_or(|size| size > MOST_REPEATED) {
            return Self::Once(body);
        }
        let memory = Memory { body, kept: Vec::new(), turn: 0 };
        Self::Repeatable(Turn { memory: Arc::new(Mutex::new(memory)), number: 0, sent: 0 })
    }

    /// Something from which the same body can be made again; none if it cannot.
    pub(crate) fn repeat(&self) -> Option<Repeat> {
        match self {
            Self::Empty => Some(Repeat(None)),
            Self::Once(_) => None,
            Self::Repeatable(turn) => Some(Repeat(Some(Arc::clone(&turn.memory)))),
        }
    }
}

/// A body that can be sent again.
pub(crate) struct Repeat(Option<Arc<Mutex<Memory>>>);

impl Repeat {
    /// The body from its beginning. An earlier sending of it ends here.
    pub(crate) fn again(self) -> Upload {
        let Some(memory) = self.0 else { return Upload::Empty };
        let number = {
            let mut memory = lock(&memory);
            memory.turn += 1;
            memory.turn
        };
        Upload::Repeatable(Turn { memory, number, sent: 0 })
    }
}

/// A body and what of it has passed. The pieces are shared with those that were sent, not copied.
struct Memory {
    body: Body,
    kept: Vec<Bytes>,
    turn: u32,
}

/// One sending of a body.
pub(crate) struct Turn {
    memory: Arc<Mutex<Memory>>,
    number: u32,
    /// How many of the kept pieces this sending has sent.
    sent: usize,
}

fn lock(memory: &Mutex<Memory>) -> MutexGuard<'_, Memory> {
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Turn {
    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let mut memory = lock(&self.memory);
        if memory.turn != self.number {
            return Poll::Ready(Some(Err(axum::Error::new("the body is being sent again"))));
        }
        if let Some(piece) = memory.kept.get(self.sent) {
            self.sent += 1;
            return Poll::Ready(Some(Ok(Frame::data(piece.clone()))));
        }
        let frame = ready!(Pin::new(&mut memory.body).poll_frame(context));
        if let Some(piece) = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref()) {
            memory.kept.push(piece.clone());
            self.sent += 1;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        let memory = lock(&self.memory);
        self.sent == memory.kept.len() && memory.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let memory = lock(&self.memory);
        let rest: usize = memory.kept.iter().skip(self.sent).map(Bytes::len).sum();
        match memory.body.size_hint().exact() {
            Some(size) => SizeHint::with_exact(size + rest as u64),
            None => SizeHint::default(),
        }
    }
}

impl http_body::Body for Upload {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match &mut *self {
            Self::Empty => Poll::Ready(None),
            Self::Once(body) => Pin::new(body).poll_frame(context),
            Self::Repeatable(turn) => turn.poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Once(body) => body.is_end_stream(),
            Self::Repeatable(turn) => turn.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Once(body) => body.size_hint(),
            Self::Repeatable(turn) => turn.size_hint(),
        }
    }
}
