//! More connections than there are slots for.

use std::time::Duration;

use axum::Router;
use axum::extract::Extension;
use axum::routing::any;
use harbor_serve::{Budget, ConnectionSlot};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::fixture::{ASK, serve_within, talk};

/// `/` answers; `/wait` is for callers and takes for ever; `/strange` is for anybody and takes for ever.
fn router() -> (Router, mpsc::UnboundedReceiver<()>) {
    let (begun, begins) = mpsc::unbounded_channel();
    let stranger = begun.clone();
    let router = Router::new()
        .route("/", any(async || "answer"))
        .route(
            "/wait",
            any(async move |Extension(slot): Extension<ConnectionSlot>| {
                slot.vouch();
                begun.send(()).unwrap();
                std::future::pending::<()>().await;
            }),
        )
        .route(
            "/strange",
            any(async move || {
                stranger.send(()).unwrap();
                std::future::pending::<()>().await;
            }),
        );
    (router, begins)
}

fn ask(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").into_bytes()
}

#[tokio::test]
async fn silent_connections_lock_nobody_out() {
    let budget = Budget::of_open_files(512).unwrap();
    let server = serve_within(router().0, &budget).await;
    let mut silent = Vec::new();
    for _ in 0..budget.connections() + 50 {
        silent.push(TcpStream::connect(server).await.unwrap());
    }
    let answer = tokio::time::timeout(Duration::from_secs(2), talk(server, ASK)).await.unwrap();
    assert!(answer.ends_with("answer"), "{answer}");
    // those that were there first made room
    let closed = tokio::time::timeout(Duration::from_secs(2), silent[0].read(&mut [0])).await.unwrap();
    assert_eq!(closed.unwrap_or(0), 0);
}

#[tokio::test]
async fn strangers_requests_lock_nobody_out() {
    let budget = Budget::of_open_files(512).unwrap();
    let (router, mut begins) = router();
    let server = serve_within(router, &budget).await;
    let mut strangers = Vec::new();
    for _ in 0..budget.connections() {
        let mut stranger = TcpStream::connect(server).await.unwrap();
        stranger.write_all(&ask("/strange")).await.unwrap();
        begins.recv().await.unwrap();
        strangers.push(stranger);
    }
    assert!(talk(server, ASK).await.ends_with("answer"));
}

#[tokio::test]
async fn where_all_slots_are_in_use_the_next_client_is_told_so() {
    let budget = Budget::of_open_files(512).unwrap();
    let (router, mut begins) = router();
    let server = serve_within(router, &budget).await;
    let mut callers = Vec::new();
    for _ in 0..budget.connections() {
        let mut caller = TcpStream::connect(server).await.unwrap();
        caller.write_all(&ask("/wait")).await.unwrap();
        begins.recv().await.unwrap();
        callers.push(caller);
    }
    let answer = talk(server, ASK).await;
    assert!(answer.starts_with("HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\n"), "{answer}");
    // none of them was disturbed, and one that goes makes room
    let quiet = tokio::time::timeout(Duration::from_millis(100), callers[0].read(&mut [0])).await;
    assert!(quiet.is_err());
    callers.pop();
    for _ in 0..50 {
        if talk(server, ASK).await.ends_with("answer") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("no room was made");
}
