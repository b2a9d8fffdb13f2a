//! The connections into a sandbox: kept, replaced, given up (contract, edges §1.12, §1.13).

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::routing::any;
use futures_util::StreamExt as _;
use futures_util::stream;
use http::StatusCode;
use http_body_util::BodyExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::fixture::{KEY, Started, ask, ask_on, bearer, connect, listener, request, running, serve_router};
use crate::scripted;

async fn post(started: &Started, body: impl Into<Body>) -> (StatusCode, Bytes) {
    let headers = [("authorization", &*bearer(KEY))];
    let answer = ask(started.proxy, "POST", &started.path("/process/execute"), &headers, body).await;
    (answer.status, answer.body)
}

/// A missing answer is told in words.
#[track_caller]
fn check_words(body: &[u8]) {
    let body: serde_json::Value = serde_json::from_slice(body).unwrap();
    assert_eq!((&body["statusCode"], &body["code"]), (&502.into(), &"BAD_GATEWAY".into()), "{body}");
    assert!(body["message"].as_str().is_some_and(|message| message.len() > "bad gateway: ".len()), "{body}");
}

#[tokio::test]
async fn one_connection_serves_many_requests_of_many_clients() {
    let started = Started::with_mirror().await;
    for round in 0..50 {
        let (status, body) = post(&started, "x".repeat(round * 1000)).await;
        assert_eq!(status, StatusCode::OK);
        assert!(body.len() > round * 1000);
    }
    let headers = [("authorization", &*bearer(KEY))];
    let mut client = connect(started.proxy).await;
    for _ in 0..50 {
        assert_eq!(ask_on(&mut client, "GET", &started.path("/x"), &headers, "").await.status, StatusCode::OK);
    }
    // a connection whose driver has not yet seen the end of an answer may be passed over
    assert!(started.dialled() <= 3, "{} connections for 100 requests, one after the other", started.dialled());
}

#[tokio::test]
async fn another_boot_or_token_gets_connections_of_its_own() {
    let started = Started::with_mirror().await;
    started.get("/x").await;
    started.get("/x").await;
    assert_eq!(started.dialled(), 1);
    started.change(|sandbox| sandbox.seen = running("2")).await;
    started.get("/x").await;
    assert_eq!(started.dialled(), 2);
    started.change(|sandbox| sandbox.toolbox_token = harbor_model::secrets::Secret::new("renewed")).await;
    assert_eq!(started.get("/x").await.seen("x-harbor-token"), ["renewed"]);
    assert_eq!(started.dialled(), 3);
}

#[tokio::test]
async fn a_connection_closed_while_idle_costs_nothing() {
    let toolbox = scripted::toolbox(|_, mut stream| async move {
        if let Some((_, body)) = scripted::read(&mut stream).await {
            scripted::answer(&mut stream, &body).await; // and closes
        }
    });
    let started = Started::with_toolbox_at(toolbox.await).await;
    for round in 0..20 {
        let body = format!("round {round}");
        assert_eq!(post(&started, body.clone()).await, (StatusCode::OK, Bytes::from(body)));
    }
}

/// The first connection answers once and dies over its second request, after it has read all of it.
async fn dies_over_its_second_request() -> Started {
    let toolbox = scripted::toolbox(|number, mut stream| async move {
        let mut requests = 0;
        while let Some((_, body)) = scripted::read(&mut stream).await {
            requests += 1;
            if (number, requests) == (0, 2) {
                return;
            }
            scripted::answer(&mut stream, &body).await;
        }
    });
    let started = Started::with_toolbox_at(toolbox.await).await;
    assert_eq!(post(&started, "first").await, (StatusCode::OK, Bytes::from("first")));
    started
}

#[tokio::test]
async fn a_small_request_is_repeated_when_an_idle_connection_was_dead() {
    let started = dies_over_its_second_request().await;
    let body = "b".repeat(256 * 1024);
    assert_eq!(post(&started, body.clone()).await, (StatusCode::OK, Bytes::from(body)));
    assert_eq!(started.dialled(), 2);

    let started = dies_over_its_second_request().await;
    let answer = started.get("/x").await;
    assert_eq!((answer.status, started.dialled()), (StatusCode::OK, 2));
}

#[tokio::test]
async fn a_large_request_which_is_never_repeated_has_a_new_connection() {
    let started = dies_over_its_second_request().await;
    let body = "b".repeat(256 * 1024 + 1);
    assert_eq!(post(&started, body.clone()).await, (StatusCode::OK, Bytes::from(body)));
    assert_eq!(started.dialled(), 2);
}

#[tokio::test]
async fn nothing_is_repeated_over_a_new_connection() {
    let toolbox = scripted::toolbox(|_, mut stream| async move { drop(scripted::read(&mut stream).await) }).await;
    let started = Started::with_toolbox_at(toolbox).await;
    let (status, body) = post(&started, "x").await;
    assert_eq!((status, started.dialled()), (StatusCode::BAD_GATEWAY, 1));
    check_words(&body);
}

#[tokio::test]
async fn a_toolbox_that_does_not_listen_is_a_bad_gateway() {
    let nobody = listener().await.local_addr().unwrap();
    let started = Started::with_toolbox_at(nobody).await;
    let (status, body) = post(&started, "x").await;
    assert_eq!(status, StatusCode::BAD_GATEWAY);
    check_words(&body);
}

#[tokio::test]
async fn an_answer_that_breaks_off_breaks_off() {
    let toolbox = scripted::toolbox(|_, mut stream| async move {
        scripted::read(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this").await.unwrap();
    });
    let started = Started::with_toolbox_at(toolbox.await).await;
    let headers = [("authorization", &*bearer(KEY))];
    let mut client = connect(started.proxy).await;
    let response = client.send_request(request("GET", &started.path("/x"), &headers, Body::empty())).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert!(response.into_body().collect().await.is_err());
}

/// Tells when it is dropped.
struct Told(mpsc::UnboundedSender<()>);

impl Drop for Told {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

#[tokio::test]
async fn a_client_that_goes_away_takes_its_request_along() {
    let (begun, mut begins) = mpsc::unbounded_channel();
    let (gone, mut goes) = mpsc::unbounded_channel();
    let routes = {
        let (waiting, streaming) = ((begun.clone(), gone.clone()), (begun, gone));
        Router::new()
            .route(
                "/waits",
                any(async move || {
                    let _told = Told(waiting.1.clone());
                    waiting.0.send(()).unwrap();
                    std::future::pending::<()>().await;
                }),
            )
            .route(
                "/streams",
                any(async move || {
                    let told = Arc::new(Told(streaming.1.clone()));
                    streaming.0.send(()).unwrap();
                    Body::from_stream(stream::repeat(Bytes::from(vec![0; 65536])).map(move |piece| {
                        let _ = &told;
                        Ok::<_, std::io::Error>(piece)
                    }))
                }),
            )
    };
    let started = Started::with_toolbox_at(serve_router(routes).await).await;
    for rest in ["/waits", "/streams"] {
        let headers = [("authorization", &*bearer(KEY))];
        let head = raw_head("GET", &started.path(rest), &headers);
        let mut client = TcpStream::connect(started.proxy).await.unwrap();
        client.write_all(head.as_bytes()).await.unwrap();
        begins.recv().await.unwrap();
        if rest == "/streams" {
            client.read_exact(&mut vec![0; 200_000]).await.unwrap();
        }
        drop(client);
        tokio::time::timeout(Duration::from_secs(5), goes.recv()).await.expect("the request ends with its client");
    }
}

#[tokio::test]
async fn an_upload_that_breaks_off_breaks_off_inside() {
    let (told, mut outcomes) = mpsc::unbounded_channel();
    let route = any(async move |request: Request| {
        told.send(request.into_body().collect().await.is_err()).unwrap();
    });
    let started = Started::with_toolbox_at(serve_router(Router::new().fallback_service(route)).await).await;
    for size in [1000, 1_000_000] {
        let length = size.to_string();
        let headers = [("authorization", &*bearer(KEY)), ("content-length", &*length)];
        let mut client = TcpStream::connect(started.proxy).await.unwrap();
        client.write_all(raw_head("PUT", &started.path("/x"), &headers).as_bytes()).await.unwrap();
        client.write_all(&[0; 500]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        drop(client);
        let broken = tokio::time::timeout(Duration::from_secs(5), outcomes.recv()).await.unwrap();
        assert_eq!(broken, Some(true));
    }
}

#[tokio::test]
async fn a_client_that_asks_first_is_told_to_go_on_once_it_is_let_in() {
    let started = Started::with_mirror().await;
    let expect = ("expect", "100-continue");
    let first_line = async |client: &mut TcpStream| {
        let mut bytes = vec![0; 1024];
        let count = client.read(&mut bytes).await.unwrap();
        String::from_utf8_lossy(&bytes[..count]).lines().next().unwrap_or_default().to_owned()
    };
    let headers = [("authorization", &*bearer(KEY)), expect, ("content-length", "4")];
    let mut client = TcpStream::connect(started.proxy).await.unwrap();
    client.write_all(raw_head("PUT", &started.path("/x"), &headers).as_bytes()).await.unwrap();
    assert_eq!(first_line(&mut client).await, "HTTP/1.1 100 Continue");
    client.write_all(b"body").await.unwrap();
    assert_eq!(first_line(&mut client).await, "HTTP/1.1 200 OK");

    let mut client = TcpStream::connect(started.proxy).await.unwrap();
    client.write_all(raw_head("PUT", &started.path("/x"), &headers[1..]).as_bytes()).await.unwrap();
    assert_eq!(first_line(&mut client).await, "HTTP/1.1 401 Unauthorized");
}

fn raw_head(method: &str, target: &str, headers: &[(&str, &str)]) -> String {
    let headers: Vec<String> = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("{method} {target} HTTP/1.1\r\nhost: localhost\r\n{}\r\n", headers.concat())
}

/// Answers 404 as soon as it has read the head, and closes, as a server does that does not read the rest.
async fn answers_early() -> Started {
    let toolbox = scripted::toolbox(|_, mut stream| async move {
        let mut head = Vec::new();
        while !head.windows(4).any(|four| four == b"\r\n\r\n") {
            if stream.read_buf(&mut head).await.unwrap_or(0) == 0 {
                return;
            }
        }
        let answer = b"HTTP/1.1 404 Not Found\r\ncontent-length: 4\r\nconnection: close\r\n\r\nnone";
        stream.write_all(answer).await.unwrap();
    });
    Started::with_toolbox_at(toolbox.await).await
}

#[tokio::test]
async fn an_answer_before_the_end_of_the_body_is_passed_on() {
    let started = answers_early().await;
    for _ in 0..25 {
        let answer = post(&started, "x".repeat(1_000_000)).await;
        assert_eq!(answer, (StatusCode::NOT_FOUND, Bytes::from("none")));
    }
}

/// As [`answers_early`], but it does not say that it closes, and does so only when the answer was read.
#[tokio::test]
async fn a_server_that_closes_over_one_large_body_costs_the_next_one_nothing() {
    let toolbox = scripted::toolbox(|_, mut stream| async move {
        let mut head = Vec::new();
        while !head.windows(4).any(|four| four == b"\r\n\r\n") {
            if stream.read_buf(&mut head).await.unwrap_or(0) == 0 {
                return;
            }
        }
        stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 4\r\n\r\nnone").await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    });
    let started = Started::with_toolbox_at(toolbox.await).await;
    for _ in 0..25 {
        let answer = post(&started, "x".repeat(300_000)).await;
        assert_eq!(answer, (StatusCode::NOT_FOUND, Bytes::from("none")));
    }
}

#[tokio::test]
async fn a_sandbox_that_is_stopped_meanwhile_is_told_by_its_state() {
    let (told, mut asked) = mpsc::unbounded_channel();
    let (go, gone) = tokio::sync::watch::channel(());
    let toolbox = scripted::toolbox(move |_, mut stream| {
        let (told, mut gone) = (told.clone(), gone.clone());
        async move {
            scripted::read(&mut stream).await;
            told.send(()).unwrap();
            gone.changed().await.unwrap();
        }
    });
    let started = Started::with_toolbox_at(toolbox.await).await;
    let stops = async {
        asked.recv().await.unwrap();
        started.change(|sandbox| sandbox.desired = harbor_model::sandboxes::Desired::Stopped).await;
        go.send(()).unwrap();
    };
    let ((status, body), ()) = tokio::join!(post(&started, "x"), stops);
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
    assert!(body["message"].as_str().unwrap().contains("not started"), "{body}");
}

#[tokio::test]
async fn interim_answers_end_somewhere() {
    let toolbox = scripted::toolbox(|_, mut stream| async move {
        scripted::read(&mut stream).await;
        let many = "HTTP/1.1 102 Processing\r\n\r\n".repeat(1000);
        while stream.write_all(many.as_bytes()).await.is_ok() {}
    });
    let started = Started::with_toolbox_at(toolbox.await).await;
    let (status, body) = tokio::time::timeout(Duration::from_secs(10), post(&started, "x")).await.unwrap();
    assert_eq!(status, StatusCode::BAD_GATEWAY);
    check_words(&body);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_its_clients_fault() {
    let started = Started::with_mirror().await;
    let headers = [("authorization", &*bearer(KEY)), ("transfer-encoding", "chunked")];
    let mut client = TcpStream::connect(started.proxy).await.unwrap();
    client.write_all(raw_head("POST", &started.path("/x"), &headers).as_bytes()).await.unwrap();
    client.write_all(b"3\r\nabc\r\nnonsense\r\n").await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(Duration::from_secs(5), client.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}
