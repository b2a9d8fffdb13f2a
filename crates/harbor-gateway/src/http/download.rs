//! Answers' bodies on their way from the sandbox.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;

use super::activity::Activity;
use super::pool::Lease;

/// An answer's body on its way from the sandbox: notes the use while it flows, and gives the connection back when it
/// has ended. Dropped before that, it ends the connection and with it the request; so does the end of the key.
pub(crate) struct Download {
    body: Incoming,
    lease: Option<Lease>,
    activity: Activity,
    /// The answer is to a `HEAD`: its length is not this body's.
    headless: bool,
}

impl Download {
    pub(crate) fn new(body: Incoming, lease: Lease, activity: Activity, headless: bool) -> Self {
        let mut download = Self { body, lease: Some(lease), activity, headless };
        download.give_back_at_end();
        download
    }

    fn give_back_at_end(&mut self) {
        if self.body.is_end_stream() {
            self.give_back();
        }
    }

    fn give_back(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.give_back();
        }
    }
}

impl http_body::Body for Download {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        if let Poll::Ready(ended) = this.activity.poll(context) {
            drop(this.lease.take());
            return Poll::Ready(Some(Err(axum::Error::new(ended))));
        }
        let frame = ready!(Pin::new(&mut this.body).poll_frame(context));
        match &frame {
            Some(Ok(_)) => this.give_back_at_end(),
            Some(Err(_)) => drop(this.lease.take()),
            None => this.give_back(),
        }
        Poll::Ready(frame.map(|frame| frame.map_err(axum::Error::new)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.headless { SizeHint::default() } else { self.body.size_hint() }
    }
}
