//! What a sandbox serves below a path of harbor's own hosts is never an active document of that origin (attack 40).

use axum::Router;
use axum::routing::any;
use http::StatusCode;

use crate::fixture::{KEY, Started, ask, bearer, serve_router};

/// An application that asks for all that a document of this origin could have.
async fn greedy() -> Started {
    let page = any(async || {
        let headers = [
            ("content-type", "text/html"),
            ("set-cookie", "session=stolen; Path=/"),
            ("set-cookie", "other=stolen; Path=/"),
            ("clear-site-data", "\"*\""),
            ("service-worker-allowed", "/"),
            ("strict-transport-security", "max-age=31536000"),
            ("alt-svc", "h2=\"attacker.example:443\""),
            ("nel", "{}"),
            ("report-to", "{}"),
            ("content-security-policy", "default-src *"),
            ("content-security-policy", "script-src 'unsafe-inline'"),
            ("content-disposition", "attachment; filename=\"a b\""),
            ("x-own", "kept"),
        ];
        let mut response = axum::response::Response::new(axum::body::Body::from("<script>attack()</script>"));
        for (name, value) in headers {
            response.headers_mut().append(name, value.parse().unwrap());
        }
        response
    });
    Started::with_toolbox_at(serve_router(Router::new().fallback_service(page)).await).await
}

/// The same page by every road that has a path: both listeners, both spellings.
fn roads(started: &Started, rest: &str) -> Vec<(std::net::SocketAddr, String)> {
    vec![(started.proxy, started.path(rest)), (started.api, started.path(rest)), (started.api, started.legacy(rest))]
}

#[tokio::test]
async fn a_page_of_a_sandbox_gets_nothing_of_the_origin() {
    let started = greedy().await;
    for (listener, path) in roads(&started, "/proxy/3000/") {
        let answer = ask(listener, "GET", &path, &[("authorization", &bearer(KEY))], "").await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        for gone in [
            "set-cookie",
            "clear-site-data",
            "service-worker-allowed",
            "strict-transport-security",
            "alt-svc",
            "nel",
            "report-to",
        ] {
            assert!(!answer.headers.contains_key(gone), "{path}: {gone}");
        }
        let policies: Vec<_> = answer.headers.get_all("content-security-policy").iter().collect();
        assert_eq!(policies, ["sandbox"], "{path}");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff", "{path}");
        // and what a client reads stays
        assert_eq!(answer.headers["x-own"], "kept");
        assert_eq!(answer.headers["content-type"], "text/html");
        assert_eq!(answer.headers["content-disposition"], "attachment; filename=\"a b\"");
        assert_eq!(answer.text(), "<script>attack()</script>");
    }
}

#[tokio::test]
async fn no_service_worker_is_served() {
    let started = greedy().await;
    for (listener, path) in roads(&started, "/proxy/3000/worker.js") {
        for value in ["script", "Script"] {
            let headers = [("authorization", &*bearer(KEY)), ("service-worker", value)];
            let answer = ask(listener, "GET", &path, &headers, "").await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}");
            assert_eq!(answer.json()["statusCode"], 403, "{path}");
        }
    }
    assert_eq!(started.dialled(), 0);
}
