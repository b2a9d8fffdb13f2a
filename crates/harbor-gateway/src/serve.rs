//! Serving a router on a listener: bounded, with deadlines for heads, upgrades, and a drain at the end.

mod pace;

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tower::ServiceExt as _;

use pace::{Pace, Paced, Timed};

/// The most connections of one listener at a time; further ones wait to be accepted.
const MOST_CONNECTIONS: usize = 4096;

/// How long a connection may wait for its next request.
const KEEP_ALIVE: Duration = Duration::from_secs(70);

/// How long what is under way may take once the listener is to stop.
const DRAIN: Duration = Duration::from_secs(30);

/// The most that a connection buffers in either direction, and with it the longest head of a request, bytes.
const BUFFER: usize = 128 * 1024;

/// A silent client is asked after this long, and then every [`PROBE_INTERVAL`], whether it is still there.
const PROBE_AFTER: Duration = Duration::from_mins(1);
const PROBE_INTERVAL: Duration = Duration::from_secs(15);
const PROBES: u32 = 4;

/// A connection's place among the bounded ones. Who keeps the connection beyond its HTTP life keeps this.
#[derive(Clone)]
pub(crate) struct Held {
    _permit: Arc<OwnedSemaphorePermit>,
}

/// Serves `router` on `listener` until `stop` completes, then lets requests under way finish for at most 30 s.
///
/// HTTP/1.1 with upgrades. A request's head must be complete 10 s after its first byte, an idle connection ends after
/// 70 s, nothing else has a limit. At most 4096 connections, tunnels included. Handlers find the client's address as
/// `ConnectInfo<SocketAddr>`.
pub async fn serve(listener: TcpListener, router: Router, stop: impl Future<Output = ()>) {
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let (stopping, stopped) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        let (stream, peer, held) = tokio::select! {
            () = &mut stop => break,
            accepted = accept(&listener, &places) => accepted,
            Some(_) = connections.join_next() => continue,
        };
        connections.spawn(connection(stream, peer, held, router.clone(), stopped.clone()));
    }
    drop(listener);
    let _ = stopping.send(true); // no connection is left: nobody to tell
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN, drained).await.is_err() {
        tracing::warn!("requests were cut off: they took too long to finish");
    }
}

async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> (TcpStream, SocketAddr, Held) {
    loop {
        let Ok(permit) = Arc::clone(places).acquire_owned().await else { std::future::pending().await };
        match listener.accept().await {
            Ok((stream, peer)) => return (stream, peer, Held { _permit: Arc::new(permit) }),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await; // out of file descriptors: they come back
            }
        }
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    held: Held,
    router: Router,
    mut stopped: watch::Receiver<bool>,
) {
    if let Err(error) = tune(&stream) {
        tracing::debug!(%error, "the connection was gone at once");
        return;
    }
    let pace = Arc::new(Pace::default());
    let service = service_fn(|request: Request<Incoming>| {
        let timed = Timed::begin(&pace);
        answer(router.clone(), request, peer, held.clone(), timed)
    });
    let io = TokioIo::new(Paced::new(stream, Arc::clone(&pace)));
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(KEEP_ALIVE).max_buf_size(BUFFER);
    let mut serving = pin!(builder.serve_connection(io, service).with_upgrades());
    let stopping = async { drop(stopped.wait_for(|stop| *stop).await) };
    let outcome = tokio::select! {
        outcome = serving.as_mut() => outcome,
        () = stopping => {
            serving.as_mut().graceful_shutdown();
            serving.as_mut().await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "a connection ended early"); // clients go away as they please
    }
}

async fn answer(
    router: Router,
    request: Request<Incoming>,
    peer: SocketAddr,
    held: Held,
    timed: Timed,
) -> Result<Response<pace::Body>, Infallible> {
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(ConnectInfo(peer));
    request.extensions_mut().insert(held);
    let response = router.oneshot(request).await?;
    let upgraded = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    Ok(response.map(|body| if upgraded { timed.for_good(body) } else { timed.until_the_end_of(body) }))
}

/// Small packets at once, and a way to notice clients that vanished without a word.
fn tune(stream: &TcpStream) -> std::io::Result<()> {
    use rustix::net::sockopt;
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, PROBE_AFTER)?;
    sockopt::set_tcp_keepintvl(stream, PROBE_INTERVAL)?;
    sockopt::set_tcp_keepcnt(stream, PROBES)?;
    Ok(())
}
