//! Deadlines of a client's connection (contract, edges §1.12). Time is faked, sockets are not.

use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::routing::any;
use harbor_serve::Budget;
use http::StatusCode;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

use crate::fixture::{ASK, listener, serve};

/// How many seconds pass until the other side closes.
async fn closed_after(client: &mut TcpStream) -> u64 {
    let begun = Instant::now();
    let mut rest = Vec::new();
    let _ = client.read_to_end(&mut rest).await;
    begun.elapsed().as_secs()
}

#[tokio::test(start_paused = true)]
async fn a_head_has_ten_seconds_and_an_idle_connection_seventy() {
    let server = serve(Router::new().fallback(async || "answer")).await;
    let mut client = TcpStream::connect(server).await.unwrap();
    assert_eq!(closed_after(&mut client).await, 10, "silent from the beginning");

    let mut client = TcpStream::connect(server).await.unwrap();
    client.write_all(b"GET / HT").await.unwrap();
    assert_eq!(closed_after(&mut client).await, 10);

    // also with a byte now and then, and after a request that was answered
    let mut client = TcpStream::connect(server).await.unwrap();
    client.write_all(ASK).await.unwrap();
    client.read_exact(&mut [0; 10]).await.unwrap();
    sleep(Duration::from_secs(30)).await;
    for byte in b"GET " {
        client.write_all(&[*byte]).await.unwrap();
        sleep(Duration::from_secs(2)).await;
    }
    assert!(closed_after(&mut client).await <= 3);

    let mut client = TcpStream::connect(server).await.unwrap();
    client.write_all(ASK).await.unwrap();
    assert_eq!(closed_after(&mut client).await, 70);
}

#[tokio::test(start_paused = true)]
async fn an_answer_takes_as_long_as_it_takes() {
    let slow = any(async || {
        sleep(Duration::from_hours(1)).await;
        "late"
    });
    let server = serve(Router::new().fallback_service(slow)).await;
    let mut client = TcpStream::connect(server).await.unwrap();
    client.write_all(ASK).await.unwrap();
    let mut answer = vec![0; 15];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 200 OK");
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_may_be_silent() {
    let upgrade = any(async |mut request: Request| {
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let mut io = TokioIo::new(upgrade.await.unwrap());
            while let Ok(byte) = io.read_u8().await {
                io.write_u8(byte).await.unwrap();
            }
        });
        (StatusCode::SWITCHING_PROTOCOLS, [("connection", "upgrade"), ("upgrade", "raw")])
    });
    let server = serve(Router::new().fallback_service(upgrade)).await;
    let mut client = TcpStream::connect(server).await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: raw\r\n\r\n").await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.unwrap());
    }
    for byte in 0..3 {
        client.write_u8(byte).await.unwrap();
        assert_eq!(client.read_u8().await.unwrap(), byte);
        sleep(Duration::from_hours(24)).await;
    }
}

#[tokio::test]
async fn what_is_under_way_may_finish_and_nothing_else_begins() {
    let (asked, mut begun) = tokio::sync::mpsc::unbounded_channel();
    let slow = any(async move || {
        asked.send(()).unwrap();
        sleep(Duration::from_millis(300)).await;
        "done"
    });
    let listener = listener().await;
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let stopped = async { drop(stopped.await) };
    let server = tokio::spawn(async move {
        let budget = Budget::of_open_files(1024).unwrap();
        harbor_serve::serve(listener, Router::new().fallback_service(slow), &budget, stopped).await;
    });
    let mut idle = TcpStream::connect(address).await.unwrap();
    let mut busy = TcpStream::connect(address).await.unwrap();
    busy.write_all(ASK).await.unwrap();
    begun.recv().await.unwrap();
    stop.send(()).unwrap();
    assert_eq!(idle.read(&mut [0]).await.unwrap_or(0), 0);
    let mut answer = String::new();
    busy.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("done"), "{answer}");
    timeout(Duration::from_secs(5), server).await.unwrap().unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}
