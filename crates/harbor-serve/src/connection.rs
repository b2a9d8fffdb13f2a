//! One client's connection, from its first byte to its last.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, watch};
use tower::ServiceExt as _;

use crate::leftover::{Leftover, RequestBody};
use crate::pace::{AnswerBody, Pace, UnderWay};
use crate::slots::ConnectionSlot;
use crate::stream::ClientStream;

/// How long a connection may wait for its next request.
const KEEP_ALIVE: Duration = Duration::from_secs(70);

/// The most that a connection buffers in either direction, and with it the longest head of a request, bytes.
const BUFFER: usize = 128 * 1024;

/// What a connection's requests are answered with, and what they are told of it.
#[derive(Clone)]
struct Answering {
    router: Router,
    peer: SocketAddr,
    pace: Arc<Pace>,
    leftovers: mpsc::Sender<Leftover>,
}

/// Answers the requests on `stream` by `router` until the client has no more, its deadline is over, its slot is wanted,
/// or `stopped` turns true and the request under way is answered.
pub(crate) async fn drive<S>(
    stream: S,
    peer: SocketAddr,
    (slot, router, mut stopped): (ConnectionSlot, Router, watch::Receiver<bool>),
) where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let leave = slot.leave().clone();
    let pace = Arc::new(Pace::new(slot));
    let (leftovers, left) = mpsc::channel(1);
    let answering = Answering { router, peer, pace: Arc::clone(&pace), leftovers };
    let service = service_fn(|request| answering.clone().answer(request));
    let io = TokioIo::new(ClientStream::new(stream, pace));
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(KEEP_ALIVE).max_buf_size(BUFFER);
    let mut serving = pin!(builder.serve_connection(io, service).with_upgrades());
    let mut reading_off = pin!(read_off(left));
    let mut stopping = pin!(async { drop(stopped.wait_for(|stop| *stop).await) });
    let mut asked_to_stop = false;
    let outcome = loop {
        tokio::select! {
            outcome = serving.as_mut() => break outcome,
            () = reading_off.as_mut() => break Ok(()),
            () = leave.cancelled() => break Ok(()),
            () = stopping.as_mut(), if !asked_to_stop => {
                asked_to_stop = true;
                serving.as_mut().graceful_shutdown();
            }
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "a connection ended early"); // clients go away as they please
    }
}

/// Ends with the connection, which holds a sender.
async fn read_off(mut left: mpsc::Receiver<Leftover>) {
    while let Some(leftover) = left.recv().await {
        leftover.read_off().await;
    }
}

impl Answering {
    async fn answer(self, request: Request<Incoming>) -> Result<Response<AnswerBody>, Infallible> {
        let under_way = UnderWay::begin(&self.pace);
        let (mut head, body) = request.into_parts();
        let body = RequestBody::new(body, &head.headers, &under_way, &self.leftovers);
        let (asked, body) = (body.asked(), Body::new(body));
        head.extensions.insert(ConnectInfo(self.peer));
        head.extensions.insert(self.pace.slot().clone());
        let mut response = self.router.oneshot(Request::from_parts(head, body)).await?;
        if !asked.load(Ordering::Relaxed) && response.status() != StatusCode::SWITCHING_PROTOCOLS {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            under_way.last_for_good();
        }
        Ok(response.map(|body| under_way.until_the_end_of(body)))
    }
}
