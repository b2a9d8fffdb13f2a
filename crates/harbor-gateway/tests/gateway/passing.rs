//! What travels, and how (contract, edges §1.3, §1.11, §1.12, §1.14).

use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::any;
use futures_util::stream;
use http::StatusCode;
use http_body_util::BodyExt as _;

use crate::fixture::{
    FOLLOW_HEADER, KEY, PREVIEW_TOKEN, Started, TOKEN_HEADER, TOOLBOX_TOKEN, ask, bearer, connect, request,
    serve_router,
};

#[tokio::test]
async fn paths_and_queries_arrive_byte_by_byte() {
    let started = Started::with_mirror().await;
    for rest in [
        "/",
        "//",
        "/a%2Fb%2f%40%5B%5D(local)/[x]",
        "/files/download?path=%2Fhome%2Fa+b&x=%zz&&=",
        "/proxy/3000/_next/static/%5Bslug%5D/@x;y=1?q=a|b{}",
        "/a/../b/./c",
        "/x?",
        "/toolbox/x/y",
        "/%E2%82%AC?u=%E2%82%AC",
    ] {
        let answer = started.get(rest).await;
        assert_eq!((answer.status, answer.target().as_str()), (StatusCode::OK, rest));
        let answer = ask(started.api, "GET", &started.legacy(rest), &[("authorization", &bearer(KEY))], "").await;
        assert_eq!((answer.status, answer.target().as_str()), (StatusCode::OK, rest));
    }
}

#[tokio::test]
async fn harbors_own_paths_are_out_of_reach() {
    let started = Started::with_mirror().await;
    for rest in [
        "/.harbor/configure",
        "//.harbor/configure",
        "/%2eharbor/configure",
        "/%252eharbor/configure",
        "/x/..;/.harbor/configure",
        "/x/%2e%2e/.harbor/configure",
        "/.harbor%2Fconfigure",
        "/proxy/2280/.harbor/configure",
    ] {
        for (listener, path) in [(started.proxy, started.path(rest)), (started.api, started.legacy(rest))] {
            let answer = ask(listener, "POST", &path, &[("authorization", &bearer(KEY))], "{}").await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{rest}");
        }
    }
    assert_eq!(started.dialled(), 0);
}

#[tokio::test]
async fn methods_bodies_and_headers_travel() {
    let started = Started::with_mirror().await;
    let headers = [
        ("authorization", &*bearer(KEY)),
        ("cookie", "a=b"),
        ("range", "bytes=0-9"),
        ("accept-encoding", "gzip"),
        ("x-daytona-skip-preview-warning", "true"),
        ("x-daytona-skip-last-activity-update", "true"),
        ("x-daytona-disable-cors", "true"),
        (TOKEN_HEADER, "forged"),
        (FOLLOW_HEADER, "forged"),
        ("connection", "keep-alive, x-private, x-harbor-token"),
        ("x-private", "1"),
        ("te", "trailers"),
        ("x-forwarded-for", "9.9.9.9"),
    ];
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "PROPFIND"] {
        let answer = ask(started.proxy, method, &started.path("/x"), &headers, "the body").await;
        assert!(answer.text().starts_with(&format!("{method} /x\n")) && answer.text().ends_with("\n\nthe body"));
        assert_eq!(answer.seen("cookie"), ["a=b"]);
        assert_eq!(answer.seen("range"), ["bytes=0-9"]);
        assert_eq!(answer.seen("accept-encoding"), ["gzip"]);
        assert_eq!(answer.seen("x-daytona-skip-preview-warning"), ["true"]);
        assert_eq!(answer.seen(TOKEN_HEADER), [TOOLBOX_TOKEN]);
        assert_eq!(answer.seen("content-length"), ["8"]);
        assert_eq!(answer.seen("host"), ["localhost:2280"]);
        assert_eq!(answer.seen("x-forwarded-host"), ["localhost:35001"]);
        assert_eq!(answer.seen("x-forwarded-for"), ["9.9.9.9, 127.0.0.1"]);
        assert_eq!(answer.seen("x-forwarded-proto"), ["http"]);
        for gone in [
            "x-private",
            "te",
            "connection",
            FOLLOW_HEADER,
            "x-daytona-skip-last-activity-update",
            "x-daytona-disable-cors",
        ] {
            assert_eq!(answer.seen(gone), Vec::<String>::new(), "{gone}");
        }
    }
    // of unknown length, also where that is unusual
    for method in ["GET", "POST"] {
        let pieces = ["one ", "two"].map(|piece| Ok::<_, std::io::Error>(Bytes::from(piece)));
        let mut request = request(method, &started.path("/x"), &headers, Body::from_stream(stream::iter(pieces)));
        request.headers_mut().insert("transfer-encoding", "chunked".parse().unwrap());
        let response = connect(started.proxy).await.send_request(request).await.unwrap();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert!(body.ends_with(b"\n\none two"), "{}", String::from_utf8_lossy(&body));
    }
}

#[tokio::test]
async fn redirects_stay_below_the_prefix() {
    let routes = Router::new()
        .route("/see", any(async || (StatusCode::FOUND, [("location", "/files/")], "")))
        .route("/away", any(async || (StatusCode::FOUND, [("location", "https://example.org/x")], "")))
        .route("/same", any(async || (StatusCode::NOT_MODIFIED, [("location", "/x")], "")))
        .route("/made", any(async || (StatusCode::CREATED, [("location", "/x")], "")));
    let started = Started::with_toolbox_at(serve_router(routes).await).await;
    let location = async |rest: &str| started.get(rest).await.headers["location"].to_str().unwrap().to_owned();
    assert_eq!(location("/see").await, started.path("/files/"));
    assert_eq!(location("/away").await, "https://example.org/x");
    assert_eq!(location("/same").await, "/x");
    assert_eq!(location("/made").await, "/x");
    let answer = ask(started.api, "GET", &started.legacy("/see"), &[("authorization", &bearer(KEY))], "").await;
    assert_eq!(answer.headers["location"], started.legacy("/files/"));
}

#[tokio::test]
async fn head_answers_keep_their_length() {
    let route = any(async || ([("content-length", "12345")], Body::empty()));
    let started = Started::with_toolbox_at(serve_router(Router::new().fallback_service(route)).await).await;
    let answer = ask(started.proxy, "HEAD", &started.path("/x"), &[("authorization", &bearer(KEY))], "").await;
    assert_eq!((answer.status, answer.body.len()), (StatusCode::OK, 0));
    assert_eq!(answer.headers["content-length"], "12345");
}

#[tokio::test]
async fn pieces_of_an_answer_arrive_as_they_are_sent() {
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Bytes, std::io::Error>>(1);
    let receiver = std::sync::Arc::new(tokio::sync::Mutex::new(Some(receiver)));
    let route = any(async move || {
        let receiver = receiver.lock().await.take().unwrap();
        Body::from_stream(stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver))))
    });
    let started = Started::with_toolbox_at(serve_router(Router::new().fallback_service(route)).await).await;
    let headers = [("authorization", &*bearer(KEY))];
    let mut client = connect(started.proxy).await;
    let response = client.send_request(request("GET", &started.path("/x"), &headers, Body::empty())).await.unwrap();
    let mut body = response.into_body();
    for piece in ["data: 1\n\n", "data: 2\n\n"] {
        sender.send(Ok(Bytes::from(piece))).await.unwrap();
        let frame = tokio::time::timeout(Duration::from_secs(5), body.frame()).await.unwrap().unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), piece);
    }
    // the sandbox breaks off: so does the answer, instead of looking complete
    sender.send(Err(std::io::Error::other("broken"))).await.unwrap();
    assert!(body.frame().await.unwrap().is_err());
}

#[tokio::test]
async fn use_is_noted_unless_asked_not_to_be() {
    let started = Started::with_mirror().await;
    let noted = async || started.store.sandbox(started.sandbox.id).await.unwrap().unwrap().last_activity_at;
    let before = noted().await;
    let refused = ask(started.proxy, "GET", &started.path("/x"), &[("x-daytona-preview-token", "wrong")], "").await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    let skip = [("x-daytona-preview-token", PREVIEW_TOKEN), ("x-daytona-skip-last-activity-update", "true")];
    assert_eq!(ask(started.proxy, "GET", &started.path("/x"), &skip, "").await.status, StatusCode::OK);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(noted().await, before);
    assert_eq!(started.get("/x").await.status, StatusCode::OK);
    for _ in 0..100 {
        if noted().await > before {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the use was not noted");
}
