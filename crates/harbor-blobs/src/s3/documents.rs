//! The MD5 of documents, such as the list of objects to remove, which the S3 library does not look at.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Method, Request};
use http_body::Frame;
use s3s::crypto::{Checksum as _, Md5};

/// What was found of a document once it was read.
#[derive(Clone, Default)]
pub(super) struct Digest(Arc<AtomicBool>);

impl Digest {
    /// Whether it is not the document whose MD5 was sent.
    pub(super) fn is_wrong(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The request, whose document ends in an error where its MD5 is not the one that was sent.
pub(super) fn checked(request: Request<Body>) -> (Request<Body>, Digest) {
    let digest = Digest::default();
    let promised = request.headers().get("content-md5").filter(|_| request.method() == Method::POST);
    // what is no MD5 is that of no document
    let Some(promised) = promised.map(|value| STANDARD.decode(value).unwrap_or_default()) else {
        return (request, digest);
    };
    let wrong = digest.clone();
    (request.map(|body| Body::new(Document { body, md5: Some(Md5::new()), promised, wrong })), digest)
}

struct Document {
    body: Body,
    md5: Option<Md5>,
    promised: Vec<u8>,
    wrong: Digest,
}

impl http_body::Body for Document {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        match &frame {
            Some(Ok(frame)) => {
                if let (Some(md5), Some(bytes)) = (&mut self.md5, frame.data_ref()) {
                    md5.update(bytes);
                }
            }
            Some(Err(_)) => {}
            None => {
                let found = self.md5.take().map(Md5::finalize);
                if found.is_some_and(|found| found.as_ref() != self.promised) {
                    self.wrong.0.store(true, Ordering::Relaxed);
                    return Poll::Ready(Some(Err(axum::Error::new(std::io::Error::other("another document")))));
                }
            }
        }
        Poll::Ready(frame)
    }
}
