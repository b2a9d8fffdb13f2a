//! Accepts and serves connections.
//!
//! Guarantees: a connection that says nothing is closed, and soon unless it has shown the token (`strangers`); their
//! number is bounded, whatever they have been upgraded to; ending waits for answers on their way, but not longer than
//! [`DRAIN`].

mod bounded;
mod leftover;
mod strangers;

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
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tower::ServiceExt as _;

use bounded::BoundedConnection;
use leftover::{RequestBody, read_off};
pub(crate) use strangers::Introduction;
use strangers::Strangers;

/// Longest wait for the head of a request, an idle connection's time included.
const SILENCE: Duration = Duration::from_secs(70);

/// Most connections at a time.
const CONNECTIONS: usize = 4096;

/// How long answers on their way may take once the server is told to stop.
const DRAIN: Duration = Duration::from_secs(5);

/// Serves `application` on every listener until `stop`, then drains.
pub(crate) async fn serve(listeners: Vec<TcpListener>, application: Router, stop: impl Future<Output = ()>) {
    let (stopping, stopped) = watch::channel(());
    let mut connections = JoinSet::new();
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    let strangers = Strangers::default();
    tokio::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            Some(_) = connections.join_next() => {}
            stream = accept(&listeners, &permits) => {
                connections.spawn(connection(stream, strangers.welcome(), application.clone(), stopped.clone()));
            }
        }
    }
    drop(listeners);
    drop(stopping);
    // What is still under way after that ends with this process.
    let _ = timeout(DRAIN, async { while connections.join_next().await.is_some() {} }).await;
}

/// The next connection on any listener.
async fn accept(listeners: &[TcpListener], permits: &Arc<Semaphore>) -> BoundedConnection {
    loop {
        let accepted = match Arc::clone(permits).acquire_owned().await {
            Ok(permit) => accept_any(listeners).await.map(|stream| {
                // Answers are written whole; waiting for more to send only costs time.
                let _ = stream.set_nodelay(true);
                BoundedConnection::new(stream, permit)
            }),
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
async fn connection(
    stream: BoundedConnection,
    introduction: Introduction,
    application: Router,
    mut stopping: watch::Receiver<()>,
) {
    let carried = introduction.clone();
    let (leftovers, left) = mpsc::channel(1);
    let application = application.map_request(move |request: Request<Incoming>| {
        let (head, body) = request.into_parts();
        let body = Body::new(RequestBody::new(body, &head.headers, leftovers.clone()));
        let mut request = Request::from_parts(head, body);
        request.extensions_mut().insert(carried.clone());
        request
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(SILENCE)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(application))
        .with_upgrades();
    tokio::pin!(connection);
    let mut reading_off = Box::pin(read_off(left));
    // An error is a client that went away or sent nonsense; what could be answered has been.
    tokio::select! {
        _ = &mut connection => {}
        () = &mut reading_off => {}
        () = introduction.turned_away() => {}
        _ = stopping.changed() => {
            drop(reading_off); // the rest of a body holds up no stop
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
    introduction.leave();
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use axum::routing::get;
    use hyper::upgrade::{OnUpgrade, on};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn a_connection_keeps_its_place_after_an_upgrade() {
        const PATIENCE: Duration = Duration::from_mins(1);
        let listeners = [TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap()];
        let address = listeners[0].local_addr().unwrap();
        let permits = Arc::new(Semaphore::new(1));
        let client = TcpStream::connect(address);
        let (held, client) = tokio::join!(accept(&listeners, &permits), client);
        let mut client = client.unwrap();

        let (taken, upgrading) = tokio::sync::oneshot::channel::<OnUpgrade>();
        let taken = Arc::new(std::sync::Mutex::new(Some(taken)));
        let switch = async move |mut request: axum::extract::Request| {
            let taken = taken.lock().unwrap().take().unwrap();
            taken.send(on(&mut request)).unwrap();
            let headers = [(http::header::CONNECTION, "upgrade"), (http::header::UPGRADE, "x")];
            (http::StatusCode::SWITCHING_PROTOCOLS, headers)
        };
        let (_stopping, stopped) = watch::channel(());
        let serving = tokio::spawn(connection(
            held,
            Strangers::default().welcome(),
            Router::new().route("/", get(switch)),
            stopped,
        ));
        client.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n").await.unwrap();
        let mut upgraded = TokioIo::new(upgrading.await.unwrap().await.unwrap());
        timeout(PATIENCE, serving).await.unwrap().unwrap();

        upgraded.write_all(b"hello").await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"hello") {
            assert!(client.read_buf(&mut answer).await.unwrap() > 0);
        }
        assert_eq!(permits.available_permits(), 0, "the connection is there, so it counts");
        drop(upgraded);
        assert_eq!(permits.available_permits(), 1);
    }
}
