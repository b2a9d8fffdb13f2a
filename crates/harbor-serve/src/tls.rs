//! Connections that may begin with TLS.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::connection;
use crate::slots::ConnectionSlot;

/// How long a client may take until it has said what it speaks.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// The first byte of TLS: a record of a handshake. No HTTP method begins with it.
const TLS: u8 = 0x16;

/// Answers the requests on a connection that may begin with TLS.
pub(crate) async fn drive(
    stream: TcpStream,
    peer: SocketAddr,
    acceptor: TlsAcceptor,
    driven: (ConnectionSlot, Router, watch::Receiver<bool>),
) {
    let leave = driven.0.leave().clone();
    let greeting = async {
        let mut first = [0];
        let read = stream.peek(&mut first).await?;
        if read == 1 && first[0] == TLS {
            let stream = acceptor.accept(stream).await?;
            return io::Result::Ok(Greeted::Tls(Box::new(stream)));
        }
        Ok(Greeted::Plain(stream))
    };
    let mut stopped = driven.2.clone();
    let greeted = tokio::select! {
        greeted = timeout(HANDSHAKE, greeting) => greeted,
        () = leave.cancelled() => return,
        _ = stopped.wait_for(|stop| *stop) => return,
    };
    match greeted {
        Ok(Ok(Greeted::Plain(stream))) => connection::drive(stream, peer, driven).await,
        Ok(Ok(Greeted::Tls(stream))) => connection::drive(*stream, peer, driven).await,
        // clients that do not know the authority end here
        Ok(Err(error)) => tracing::debug!(%error, "a connection did not get as far as HTTP"),
        Err(_) => tracing::debug!("a connection said nothing in time"),
    }
}

enum Greeted {
    Plain(TcpStream),
    Tls(Box<tokio_rustls::server::TlsStream<TcpStream>>),
}
