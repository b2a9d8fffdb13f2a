//! Bodies are streamed, not collected: alone in its process, so that its memory can be looked at.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

#[path = "gateway/fixture.rs"]
#[expect(dead_code, reason = "the other tests use the rest")]
mod fixture;

use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::routing::any;
use futures_util::{StreamExt as _, stream};
use http_body_util::BodyExt as _;

use fixture::{KEY, Started, bearer, connect, request, serve_router};

const PIECE: usize = 64 * 1024;
const PIECES: usize = 1600;
const TOTAL: usize = PIECE * PIECES; // 100 MiB

/// What harbor may grow by, with client and toolbox in the same process.
const MOST_GROWTH: u64 = 16 * 1024;

fn pieces() -> Body {
    let piece = Bytes::from(vec![42; PIECE]);
    Body::from_stream(stream::repeat(piece).take(PIECES).map(Ok::<_, std::io::Error>))
}

async fn length(
    mut body: impl http_body::Body<Data = Bytes, Error: std::fmt::Debug> + Unpin,
    pause: Duration,
) -> usize {
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        length += frame.unwrap().into_data().unwrap().len();
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }
    length
}

/// Peak resident memory so far, KiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_hundred_megabytes_pass_in_little_memory() {
    let routes = Router::new()
        .route("/down", any(async || pieces()))
        .route("/up", any(async |request: Request| length(request.into_body(), Duration::ZERO).await.to_string()))
        .route("/echo", any(async |request: Request| request.into_body()));
    let started = Started::with_toolbox_at(serve_router(routes).await).await;
    let key = bearer(KEY);
    let ask = async |method: &str, rest: &str, headers: &[(&str, &str)], body: Body| {
        let headers = [&[("authorization", &*key)], headers].concat();
        let request = request(method, &started.path(rest), &headers, body);
        connect(started.proxy).await.send_request(request).await.unwrap().into_body()
    };
    let warm = ask("POST", "/echo", &[], Body::from(vec![0; 1_000_000])).await;
    assert_eq!(length(warm, Duration::ZERO).await, 1_000_000);
    let before = peak();

    assert_eq!(length(ask("GET", "/down", &[], Body::empty()).await, Duration::ZERO).await, TOTAL);
    let total = TOTAL.to_string();
    for headers in [&[][..], &[("content-length", &*total)]] {
        let answer = ask("PUT", "/up", headers, pieces()).await.collect().await.unwrap().to_bytes();
        assert_eq!(answer, total);
    }
    assert_eq!(length(ask("POST", "/echo", &[], pieces()).await, Duration::ZERO).await, TOTAL);
    // a client that reads slowly holds the sandbox back, not harbor's memory
    let slow = ask("GET", "/down", &[], Body::empty()).await;
    assert_eq!(length(slow, Duration::from_micros(200)).await, TOTAL);

    let growth = peak() - before;
    assert!(growth < MOST_GROWTH, "grew by {growth} KiB");
}
