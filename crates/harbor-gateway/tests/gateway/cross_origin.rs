//! Calls from pages of other origins (contract, edges §1.10).

use axum::Router;
use http::StatusCode;

use crate::fixture::{KEY, Started, ask, bearer, serve_router};

const PAGE: (&str, &str) = ("origin", "https://page.example");

#[tokio::test]
async fn every_options_from_elsewhere_is_answered_by_the_proxy() {
    let started = Started::with_mirror().await;
    for path in [started.path("/process/execute"), "/nothing".to_owned()] {
        let asked = [PAGE, ("access-control-request-headers", "authorization, x-thing"), ("x-own", "1")];
        let answer = ask(started.proxy, "OPTIONS", &path, &asked, "").await;
        assert_eq!((answer.status, answer.body.len()), (StatusCode::NO_CONTENT, 0));
        assert_eq!(answer.headers["access-control-allow-origin"], PAGE.1);
        assert_eq!(answer.headers["access-control-allow-credentials"], "true");
        assert_eq!(answer.headers["access-control-allow-methods"], "GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS");
        assert_eq!(answer.headers["access-control-max-age"], "43200");
        assert_eq!(answer.headers["vary"], "Origin");
        let names = answer.headers["access-control-allow-headers"].to_str().unwrap();
        let names: Vec<&str> = names.split(',').collect();
        assert!(["authorization", "x-thing", "x-own"].iter().all(|name| names.contains(name)), "{names:?}");
    }
    assert_eq!(started.dialled(), 0);
}

#[tokio::test]
async fn the_proxy_speaks_for_the_sandbox_unless_told_not_to() {
    let own = [("access-control-allow-origin", "https://only.example"), ("vary", "Accept")];
    let toolbox = serve_router(Router::new().fallback(async move || (own, "answer"))).await;
    let started = Started::with_toolbox_at(toolbox).await;
    let key = bearer(KEY);
    let check = async |method: &str, headers: &[(&str, &str)]| {
        let headers = [&[("authorization", &*key)], headers].concat();
        ask(started.proxy, method, &started.path("/x"), &headers, "").await
    };
    let answer = check("GET", &[PAGE]).await;
    let origins: Vec<_> = answer.headers.get_all("access-control-allow-origin").iter().collect();
    assert_eq!(origins, [PAGE.1]);
    assert_eq!(answer.headers.get_all("vary").iter().collect::<Vec<_>>(), ["Accept", "Origin"]);

    let disabled = ("x-daytona-disable-cors", "true");
    for answer in [check("GET", &[PAGE, disabled]).await, check("OPTIONS", &[PAGE, disabled]).await] {
        assert_eq!((answer.text().as_str(), answer.status), ("answer", StatusCode::OK));
        assert_eq!(answer.headers["access-control-allow-origin"], "https://only.example");
    }
    // the same origin, and no origin
    for headers in [&[("origin", "http://localhost:35001")][..], &[]] {
        assert_eq!(check("OPTIONS", headers).await.text(), "answer");
    }
}

#[tokio::test]
async fn a_page_can_read_refusals() {
    let started = Started::with_mirror().await;
    let answer = ask(started.proxy, "GET", &started.path("/x"), &[PAGE], "").await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(answer.headers["access-control-allow-origin"], PAGE.1);
    let answer = ask(started.api, "GET", "/api/sandbox", &[PAGE], "").await;
    assert!(!answer.headers.contains_key("access-control-allow-origin"), "the API's own business");
}
