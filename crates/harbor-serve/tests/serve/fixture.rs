//! A router on a listener, and clients that write bytes.

use std::future::pending;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use harbor_serve::Budget;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

pub(crate) const ASK: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";

pub(crate) async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

/// Serves with as many connections as a small limit of open files allows.
pub(crate) async fn serve(router: Router) -> SocketAddr {
    serve_within(router, &Budget::of_open_files(1024).unwrap()).await
}

pub(crate) async fn serve_within(router: Router, budget: &Budget) -> SocketAddr {
    let listener = listener().await;
    let address = listener.local_addr().unwrap();
    let budget = budget.clone();
    tokio::spawn(async move { harbor_serve::serve(listener, router, &budget, pending()).await });
    address
}

/// Sends the bytes and answers all that comes until the other side closes or is silent for a while.
pub(crate) async fn talk(to: SocketAddr, bytes: &[u8]) -> String {
    let mut client = TcpStream::connect(to).await.unwrap();
    client.write_all(bytes).await.unwrap();
    listen(&mut client).await
}

pub(crate) async fn listen(client: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    while let Ok(Ok(1..)) = tokio::time::timeout(Duration::from_millis(500), client.read_buf(&mut answer)).await {}
    String::from_utf8_lossy(&answer).into_owned()
}
