//! Accepts and serves connections.
//!
//! Guarantees: a connection that says nothing is closed, their number is bounded, and ending waits for requests under
//! way, but not longer than [`DRAIN`].

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tower::ServiceExt as _;

/// Longest wait for the head of a request, an idle connection's time included.
const SILENCE: Duration = Duration::from_secs(70);

/// Most connections at a time.
const CONNECTIONS: usize = 4096;

/// How long requests under way may take to end once the server is told to stop.
const DRAIN: Duration = Duration::from_secs(5);

/// Serves `application` on every listener until `stop`, then drains.
pub(crate) async fn serve(listeners: Vec<TcpListener>, application: Router, stop: impl Future<Output = ()>) {
    let (stopping, stopped) = watch::channel(());
    let mut connections = JoinSet::new();
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    tokio::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            Some(_) = connections.join_next() => {}
            (stream, permit) = accept(&listeners, &permits) => {
                let connection = connection(stream, application.clone(), stopped.clone());
                connections.spawn(async move {
                    connection.await;
                    drop(permit);
                });
            }
        }
    }
    drop(listeners);
    drop(stopping);
    // What is still under way after that ends with this process.
    let _ = timeout(DRAIN, async { while connections.join_next().await.is_some() {} }).await;
}

/// The next connection on any listener.
async fn accept(listeners: &[TcpListener], permits: &Arc<Semaphore>) -> (TcpStream, OwnedSemaphorePermit) {
    loop {
        let accepted = match Arc::clone(permits).acquire_owned().await {
            Ok(permit) => accept_any(listeners).await.map(|stream| (stream, permit)),
            Err(closed) => Err(io::Error::other(closed)),
        };
        match accepted {
            Ok(accepted) => return accepted,
            // Out of file descriptors, or a client that gave up: neither is worth ending for.
            Err(_) => sleep(Duration::from_millis(20)).await,
        }
    }
}

async fn accept_any(listeners: &[TcpListener]) -> io::Result<TcpStream> {
    std::future::poll_fn(|context| {
        for listener in listeners {
            if let std::task::Poll::Ready(accepted) = listener.poll_accept(context) {
                return std::task::Poll::Ready(accepted.map(|(stream, _)| stream));
            }
        }
        std::task::Poll::Pending
    })
    .await
}

/// One connection, to its end; after `stopping` has closed, to the end of its request.
async fn connection(stream: TcpStream, application: Router, mut stopping: watch::Receiver<()>) {
    // Answers are written whole; waiting for more to send only costs time.
    let _ = stream.set_nodelay(true);
    let application = application.map_request(|request: Request<Incoming>| request.map(Body::new));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(SILENCE)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(application))
        .with_upgrades();
    tokio::pin!(connection);
    // An error is a client that went away or sent nonsense; what could be answered has been.
    tokio::select! {
        _ = &mut connection => {}
        _ = stopping.changed() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}
