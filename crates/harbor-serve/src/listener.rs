//! Accepting connections, and the drain at the end.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::budget::Budget;
use crate::{connection, refusal, tls};

/// How long what is under way may take once the listener is to stop.
const DRAIN: Duration = Duration::from_secs(30);

/// How long no connection is accepted after one could not be: out of open files, which come back.
const PAUSE: Duration = Duration::from_millis(50);

/// Clients that are told at the same time that there is no slot for them; more are closed without a word.
const MOST_TURNED_AWAY: usize = 32;

/// A silent client is asked after this long, and then every [`PROBE_INTERVAL`], whether it is still there.
const PROBE_AFTER: Duration = Duration::from_mins(1);
const PROBE_INTERVAL: Duration = Duration::from_secs(15);
const PROBES: u32 = 4;

/// Serves `router` on `listener` until `stop` completes, then lets requests under way finish for at most 30 s.
///
/// HTTP/1.1 with upgrades. A request's head must be complete 10 s after its first byte, the first one 10 s after the
/// connection; an idle connection ends after 70 s; nothing else has a limit. Handlers find the client's address as
/// `ConnectInfo<SocketAddr>` and the connection's [`ConnectionSlot`](crate::ConnectionSlot) among a request's extensions.
pub async fn serve(listener: TcpListener, router: Router, budget: &Budget, stop: impl Future<Output = ()>) {
    serve_either(listener, router, None, budget, stop).await;
}

/// As [`serve`], for clients that begin with TLS as well: the first byte tells.
pub async fn serve_with_tls(
    listener: TcpListener,
    router: Router,
    acceptor: TlsAcceptor,
    budget: &Budget,
    stop: impl Future<Output = ()>,
) {
    serve_either(listener, router, Some(acceptor), budget, stop).await;
}

async fn serve_either(
    listener: TcpListener,
    router: Router,
    acceptor: Option<TlsAcceptor>,
    budget: &Budget,
    stop: impl Future<Output = ()>,
) {
    let (stopping, stopped) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut turned_away = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        let (stream, peer) = tokio::select! {
            () = &mut stop => break,
            accepted = accept(&listener) => accepted,
            Some(_) = connections.join_next() => continue,
            Some(_) = turned_away.join_next() => continue,
        };
        if let Err(error) = tune(&stream) {
            tracing::debug!(%error, "the connection was gone at once");
            continue;
        }
        match budget.slots.take() {
            Some(slot) => {
                let driven = (slot, router.clone(), stopped.clone());
                match acceptor.clone() {
                    None => _ = connections.spawn(connection::drive(stream, peer, driven)),
                    Some(acceptor) => _ = connections.spawn(tls::drive(stream, peer, acceptor, driven)),
                }
            }
            None if turned_away.len() < MOST_TURNED_AWAY => {
                turned_away.spawn(refusal::turn_away(stream));
            }
            None => {}
        }
    }
    drop(listener);
    let _ = stopping.send(true); // no connection is left: nobody to tell
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN, drained).await.is_err() {
        tracing::warn!("requests were cut off: they took too long to finish");
    }
}

async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
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
