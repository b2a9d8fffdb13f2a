//! An answer that is ready while the request's body is still coming reaches the client.

use std::time::Duration;

use axum::Router;
use http::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::fixture::{ASK, listen, serve};

fn refusing() -> Router {
    Router::new().fallback(async || (StatusCode::NOT_FOUND, "no such route"))
}

fn head(length: usize) -> String {
    format!("POST /nowhere HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n")
}

#[tokio::test]
async fn a_client_that_sends_all_of_its_body_first_gets_the_answer_and_may_go_on() {
    let server = serve(refusing()).await;
    for bytes in [1 << 10, 1 << 20, 16 << 20] {
        let mut client = TcpStream::connect(server).await.unwrap();
        for _ in 0..3 {
            client.write_all(head(bytes).as_bytes()).await.unwrap();
            client.write_all(&vec![b'x'; bytes]).await.unwrap();
            let mut answer = vec![0; 24];
            client.read_exact(&mut answer).await.unwrap();
            assert_eq!(answer, b"HTTP/1.1 404 Not Found\r\n");
            listen(&mut client).await;
        }
    }
}

#[tokio::test]
async fn the_answer_does_not_wait_for_the_body() {
    let server = serve(refusing()).await;
    let mut client = TcpStream::connect(server).await.unwrap();
    client.write_all(head(1000).as_bytes()).await.unwrap();
    let answer = tokio::time::timeout(Duration::from_secs(2), async {
        let mut answer = vec![0; 24];
        client.read_exact(&mut answer).await.unwrap();
        answer
    });
    assert_eq!(answer.await.unwrap(), b"HTTP/1.1 404 Not Found\r\n");
}

#[tokio::test]
async fn a_body_without_end_ends_the_connection() {
    let server = serve(refusing()).await;
    let mut client = TcpStream::connect(server).await.unwrap();
    client.write_all(head(1 << 40).as_bytes()).await.unwrap();
    let flood = async {
        let piece = vec![b'x'; 1 << 20];
        let mut sent = 0_usize;
        while client.write_all(&piece).await.is_ok() {
            sent += piece.len();
        }
        sent
    };
    let sent = tokio::time::timeout(Duration::from_secs(20), flood).await.unwrap();
    assert!(sent < 100 << 20, "{sent} bytes were taken");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_ends_the_connection_soon() {
    let server = serve(refusing()).await;
    let mut client = TcpStream::connect(server).await.unwrap();
    client.write_all(head(1000).as_bytes()).await.unwrap();
    let begun = tokio::time::Instant::now();
    let mut answer = Vec::new();
    let _ = client.read_to_end(&mut answer).await;
    assert!(begun.elapsed() < Duration::from_secs(11), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_body_that_was_not_asked_for_is_not_waited_for() {
    let server = serve(refusing()).await;
    let mut client = TcpStream::connect(server).await.unwrap();
    let asks = "POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n";
    client.write_all(asks.as_bytes()).await.unwrap();
    let answer = listen(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 404 ") && !answer.contains("100 Continue"), "{answer}");
    // what comes next could be that body, or another request
    assert!(answer.contains("connection: close"), "{answer}");
    let _ = client.write_all(ASK).await;
}
