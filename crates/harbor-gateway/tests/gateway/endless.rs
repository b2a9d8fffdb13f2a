//! A toolbox that never comes to an end by itself, and what is open through it.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::fixture::{Started, bearer};
use crate::scripted;

/// What ends is to end within this time.
pub(crate) const SOON: Duration = Duration::from_secs(3);

const SWITCHING: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: raw/1\r\n\r\n";

/// A toolbox that begins an answer and goes on for ever: `/upgrade` is a tunnel, `/silent` no answer at all.
pub(crate) async fn endless() -> SocketAddr {
    scripted::toolbox(|_, mut stream| async move {
        let (head, _) = scripted::read(&mut stream).await.unwrap();
        let beginning = match head.split_whitespace().nth(1).unwrap() {
            "/upgrade" => [SWITCHING, b"hello"].concat(),
            "/silent" => Vec::new(),
            _ => b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n".to_vec(),
        };
        stream.write_all(&beginning).await.unwrap();
        let _ = stream.read_to_end(&mut Vec::new()).await; // until harbor lets go
    })
    .await
}

/// A tunnel with its first bytes read.
pub(crate) async fn tunnel(started: &Started, key: &str) -> TcpStream {
    let mut client = TcpStream::connect(started.proxy).await.unwrap();
    let head = format!(
        "GET {} HTTP/1.1\r\nhost: localhost\r\nauthorization: {}\r\nconnection: Upgrade\r\nupgrade: raw/1\r\n\r\n",
        started.path("/upgrade"),
        bearer(key)
    );
    client.write_all(head.as_bytes()).await.unwrap();
    let mut read = Vec::new();
    while !read.ends_with(b"hello") {
        read.push(tokio::time::timeout(SOON, client.read_u8()).await.expect("the tunnel opens").unwrap());
    }
    client
}

pub(crate) async fn ends(tunnel: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    let reading = tokio::time::timeout(SOON, tunnel.read_to_end(&mut rest)).await;
    reading.is_ok() && rest.is_empty()
}
