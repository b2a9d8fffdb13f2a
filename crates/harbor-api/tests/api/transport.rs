//! What holds for every request: heads, bodies, origins, readiness.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use futures_util::StreamExt as _;
use http::Request;
use serde_json::json;

use crate::support::{HEALTH_KEY, Installation, KEY, check_error};

#[tokio::test]
async fn the_transport_is_lenient_where_clients_differ() {
    let installation = Installation::new().await;
    for target in ["/api//sandbox", "/api/sandbox/", "//api///sandbox//"] {
        assert_eq!(installation.call("GET", target, None).await.status, 200, "{target}");
    }
    for (method, target) in [
        ("GET", "/api/unknown"),
        ("DELETE", "/api/config"),
        ("PATCH", "/api/sandbox"),
        ("GET", "/api/toolbox/x"),
        ("POST", "/dashboard"),
    ] {
        let answer = installation.call(method, target, None).await;
        assert_eq!(answer.status, 404, "{method} {target}");
        check_error(target, target, &answer);
        assert_eq!(answer.json()["message"], format!("Cannot {method} {target}"));
    }
    let malformed = Request::post("/api/sandbox?x=1").body(Body::from("{\"name\":")).unwrap();
    let answer = installation.send(malformed).await;
    assert_eq!(answer.status, 400, "before the credential is looked at");
    check_error("malformed", "/api/sandbox?x=1", &answer);
    for (kind, body) in [("application/json", "{}"), ("text/plain", "{}"), ("application/x-www-form-urlencoded", "{}")]
    {
        let request =
            Request::post("/api/sandbox").header("authorization", format!("bearer {KEY}")).header("content-type", kind);
        assert_eq!(installation.send(request.body(Body::from(body)).unwrap()).await.status, 200, "{kind}");
    }
    let form = Request::post("/api/sandbox")
        .header("authorization", format!("Bearer {KEY}"))
        .body(Body::from("name=x"))
        .unwrap();
    assert_eq!(installation.send(form).await.status, 400);
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_413_in_the_error_shape() {
    let installation = Installation::new().await;
    let large = |bytes: usize| format!("{{\"name\":\"{}\"}}", "x".repeat(bytes));
    let post =
        |body: Body| Request::post("/api/sandbox").header("authorization", format!("Bearer {KEY}")).body(body).unwrap();
    let streamed = |text: String| Body::from_stream(futures_util::stream::iter([Ok::<_, std::io::Error>(text)]));
    let answer = installation.send(post(streamed(large(17 << 20)))).await;
    assert_eq!(answer.status, 413);
    check_error("413", "/api/sandbox", &answer);
    let announced = |request: http::request::Builder| {
        installation.send(request.header("content-length", "17000000").body(Body::empty()).unwrap())
    };
    let authorized = Request::post("/api/sandbox").header("authorization", format!("Bearer {KEY}"));
    assert_eq!(announced(authorized).await.status, 413);
    assert_eq!(
        announced(Request::post("/api/sandbox")).await.status,
        401,
        "whose body is too large is told to callers"
    );
    let accepted = installation.send(post(streamed(large(10 << 20)))).await;
    assert_eq!(accepted.status, 400, "10 MiB are read; the name is too long");
}

/// Without a key, a body costs harbor a few KiB, whatever its size (attack 39).
#[tokio::test]
async fn a_stranger_cannot_make_harbor_read() {
    let installation = Installation::new().await;
    for key in [None, Some("dtn_unknown")] {
        for target in ["/api/sandbox", "/api/volumes", "/api/sandbox/nobody/start", "/api/nowhere", "/dashboard"] {
            let read = Arc::new(AtomicUsize::new(0));
            let count = Arc::clone(&read);
            let zeros = futures_util::stream::iter(0..4096).map(move |_| {
                count.fetch_add(4096, Ordering::Relaxed);
                Ok::<_, std::io::Error>("0,".repeat(2048))
            });
            let mut request = Request::post(target);
            if let Some(key) = key {
                request = request.header("authorization", format!("Bearer {key}"));
            }
            let answer = installation.send(request.body(Body::from_stream(zeros)).unwrap()).await;
            let unknown = ["/api/nowhere", "/dashboard"].contains(&target);
            assert_eq!(answer.status, if unknown { 404 } else { 401 }, "{target}");
            assert!(read.load(Ordering::Relaxed) <= 16 * 1024, "{target}: {read:?} bytes were read");
        }
    }
}

/// Where nothing is, nothing is wrong with the body (fault 33).
#[tokio::test]
async fn an_unknown_route_is_unknown_whatever_the_body() {
    let installation = Installation::new().await;
    for (method, target) in [("POST", "/api/nowhere"), ("PATCH", "/api/sandbox"), ("POST", "/dashboard")] {
        for key in [None, Some(KEY)] {
            let mut request = Request::builder().method(method).uri(target);
            if let Some(key) = key {
                request = request.header("authorization", format!("Bearer {key}"));
            }
            let answer = installation.send(request.body(Body::from("name=x")).unwrap()).await;
            assert_eq!(answer.status, 404, "{method} {target}");
            check_error(target, target, &answer);
        }
    }
}

/// Malformed JSON is told to callers on every route that takes a body, and a Dockerfile may be long only where one fits.
#[tokio::test]
async fn a_body_is_read_by_what_its_route_needs() {
    let installation = Installation::new().await;
    let post = async |target: &str, body: String| {
        let request = Request::post(target).header("authorization", format!("Bearer {KEY}"));
        installation.send(request.body(Body::from(body)).unwrap()).await.status
    };
    let long = format!("{{\"unknown\": \"{}\"}}", "x".repeat(300_000));
    assert_eq!(post("/api/sandbox", long.clone()).await, 200);
    assert_eq!(post("/api/api-keys", long).await, 413);
    assert_eq!(post("/api/sandbox/nobody/start", "{".to_owned()).await, 400);
    assert_eq!(post("/api/docker-registry", "{".to_owned()).await, 400);
    assert_eq!(post("/api/organizations", "{".to_owned()).await, 400);
    assert_eq!(post("/api/organizations", "{}".to_owned()).await, 501);
}

#[tokio::test]
async fn browsers_elsewhere_may_ask() {
    let installation = Installation::new().await;
    let preflight = Request::options("/api/sandbox")
        .header("origin", "https://app.example.test")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization,x-daytona-source")
        .body(Body::empty())
        .unwrap();
    let answer = installation.send(preflight).await;
    assert_eq!(answer.status, 204);
    assert_eq!(answer.headers["access-control-allow-origin"], "https://app.example.test");
    assert_eq!(answer.headers["access-control-allow-methods"], "GET,HEAD,PUT,PATCH,POST,DELETE,OPTIONS");
    assert_eq!(answer.headers["access-control-allow-headers"], "authorization,x-daytona-source");
    let plain = Request::get("/api/unknown").header("origin", "https://app.example.test").body(Body::empty()).unwrap();
    let answer = installation.send(plain).await;
    assert_eq!(answer.headers["access-control-allow-origin"], "https://app.example.test");
    assert_eq!(answer.headers["vary"], "Origin");
    assert!(!answer.headers.contains_key("access-control-allow-credentials"));
}

#[tokio::test]
async fn readiness_tells_the_truth_to_those_who_may_ask() {
    let ready = Installation::new().await;
    assert_eq!(ready.call_as(Some(HEALTH_KEY), "GET", "/api/health/ready", None).await.status, 200);
    assert_eq!(ready.call("GET", "/api/health/ready", None).await.status, 403);
    assert_eq!(ready.call_as(None, "GET", "/api/harbor/ready", None).await.json()["status"], "ok");
    let problem = Some("the engine does not answer".to_owned());
    let broken = Installation::with(KEY, std::time::Duration::ZERO, "http://localhost:35000", problem).await;
    for (key, path) in [(Some(HEALTH_KEY), "/api/health/ready"), (None, "/api/harbor/ready")] {
        let answer = broken.call_as(key, "GET", path, None).await;
        assert_eq!(answer.status, 503, "{path}");
        let body = answer.json();
        assert_eq!(body["error"], json!({"engine": {"status": "down", "message": "the engine does not answer"}}));
        assert_eq!(body["info"], json!({"database": {"status": "up"}}));
    }
    assert_eq!(broken.call_as(None, "GET", "/api/health", None).await.status, 200);
}
