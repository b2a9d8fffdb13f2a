//! Requests that two readers would read differently get nowhere.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::fixture::{KEY, Started};

/// Sends the bytes, and reads until the other side closes or has been silent for a while.
async fn talk(started: &Started, bytes: &str) -> String {
    let mut client = TcpStream::connect(started.proxy).await.unwrap();
    client.write_all(bytes.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while let Ok(Ok(1..)) = tokio::time::timeout(Duration::from_millis(300), client.read_buf(&mut answer)).await {}
    String::from_utf8_lossy(&answer).into_owned()
}

fn head(started: &Started, lines: &[&str]) -> String {
    let path = started.path("/process/execute");
    format!("POST {path} HTTP/1.1\r\nauthorization: Bearer {KEY}\r\n{}\r\n\r\n", lines.join("\r\n"))
}

#[tokio::test]
async fn ambiguous_framing_is_refused() {
    let started = Started::with_mirror().await;
    let host = "host: localhost";
    let smuggled = "0\r\n\r\nGET /health HTTP/1.1\r\nhost: localhost\r\n\r\n";
    for lines in [
        &[host, "content-length: 4", "content-length: 5"][..],
        &[host, "content-length: +4"],
        &[host, "content-length: 4, 4"],
        &[host, "transfer-encoding: gzip, chunked"],
        &[host, "transfer-encoding: chunked, identity"],
        &[host, "transfer-encoding: chunked", "transfer-encoding: chunked"],
        &[host, "transfer-encoding: xchunked"],
        &[host, "transfer-encoding : chunked"],
        &[host, "x: 1\r\n folded"],
        &[host, "host: elsewhere"],
        &[host, "x: a\0b"],
    ] {
        let answer = talk(&started, &(head(&started, lines) + smuggled)).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{lines:?}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 200").count(), 0, "{lines:?}: {answer}");
    }
    assert_eq!(started.dialled(), 0);
}

/// Two framings: the HTTP library takes the chunks, forgets the length, and closes, as RFC 9112 §6.3 has it.
#[tokio::test]
async fn of_two_framings_one_travels_and_nothing_follows() {
    let started = Started::with_mirror().await;
    for (first, second) in
        [("content-length: 4", "transfer-encoding: chunked"), ("transfer-encoding: chunked", "content-length: 4")]
    {
        let smuggled = "0\r\n\r\nGET /health HTTP/1.1\r\nhost: localhost\r\n\r\n";
        let answer = talk(&started, &(head(&started, &["host: localhost", first, second]) + smuggled)).await;
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("connection: close\r\n"), "{answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
        assert!(!answer.contains("content-length: 4\n"), "the toolbox read both: {answer}");
    }
}

#[tokio::test]
async fn an_honest_request_of_that_form_passes() {
    let started = Started::with_mirror().await;
    let lines = ["host: localhost", "transfer-encoding: chunked"];
    let answer = talk(&started, &(head(&started, &lines) + "4\r\nbody\r\n0\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("body"), "{answer}");
}

#[tokio::test]
async fn the_target_outweighs_the_host_header() {
    let started = Started::with_mirror().await;
    let path = started.path("/x");
    let absolute = |authority: &str, host: &str| {
        format!("GET http://{authority}{path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {KEY}\r\n\r\n")
    };
    let answer = talk(&started, &absolute("3000-x.proxy.localhost", "localhost")).await;
    assert!(answer.starts_with("HTTP/1.1 501 "), "{answer}");
    let answer = talk(&started, &absolute("localhost:35001", "3000-x.proxy.localhost")).await;
    assert!(answer.contains("GET /x\n") && answer.contains("x-forwarded-host: localhost:35001\n"), "{answer}");
}

#[tokio::test]
async fn other_forms_of_target_lead_nowhere() {
    let started = Started::with_mirror().await;
    for first in ["OPTIONS * HTTP/1.1", "CONNECT localhost:2280 HTTP/1.1"] {
        let answer = talk(&started, &format!("{first}\r\nhost: localhost\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 404 "), "{first}: {answer}");
    }
    assert_eq!(started.dialled(), 0);
}
