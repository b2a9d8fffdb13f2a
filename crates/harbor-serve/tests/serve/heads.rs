//! Heads as clients of the reference send them, and heads that cannot be read.

use std::time::Duration;

use axum::Router;
use http::{StatusCode, Uri};

use crate::fixture::{serve, talk};

#[tokio::test]
async fn quotes_and_angle_brackets_in_a_target_are_taken() {
    let server = serve(Router::new().fallback(async |uri: Uri| uri.to_string())).await;
    for (target, read) in [
        ("/api/sandbox?labels={\"a\":\"b\"}", "/api/sandbox?labels={%22a%22:%22b%22}"),
        ("/<a>/\"b\"?x=<y>", "/%3Ca%3E/%22b%22?x=%3Cy%3E"),
    ] {
        let ask = format!("GET {target} HTTP/1.1\r\nhost: x\r\n\r\n");
        let answer = talk(server, ask.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with(read), "{answer}");
        // also as the second request of a connection, and longer than one read
        let long = format!("{ask}GET {target}{} HTTP/1.1\r\nhost: x\r\n\r\n", "\"".repeat(20_000));
        let answer = talk(server, long.as_bytes()).await;
        assert!(answer.contains(read), "{answer}");
    }
    let long = format!("GET /?{} HTTP/1.1\r\nhost: x\r\n\r\n", "\"".repeat(20_000));
    let answer = talk(server, long.as_bytes()).await;
    assert!(answer.ends_with(&"%22".repeat(20_000)), "{}", answer.len());
}

#[tokio::test]
async fn a_head_that_cannot_be_read_is_refused_in_json() {
    let server = serve(Router::new().fallback(async || "answer")).await;
    let endless = format!("GET / HTTP/1.1\r\nhost: x\r\n{}\r\n", "x-y: z\r\n".repeat(60_000));
    for (head, status) in [
        ("GET /\u{1} HTTP/1.1\r\nhost: x\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: x\r\nx: a\0b\r\n\r\n", 400),
        ("\u{16}\u{3}\u{1}\u{2}\r\n\r\n", 400),
        (&endless, 431),
    ] {
        let answer = talk(server, head.as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("content-type: application/json"), "{head}");
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["statusCode"], status);
        assert!(body["error"].is_string() && body["message"].is_string(), "{body}");
    }
}

#[tokio::test]
async fn an_answer_without_a_body_is_no_refusal_of_the_head() {
    let refuses = async |uri: Uri| {
        if uri.path() == "/late" {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        (StatusCode::UNAUTHORIZED, [("www-authenticate", "Basic")], if uri.path() == "/empty" { "" } else { "told" })
    };
    let server = serve(Router::new().fallback(refuses)).await;
    for (method, path) in [("HEAD", "/"), ("HEAD", "/late"), ("GET", "/empty"), ("PUT", "/empty")] {
        let ask = format!("{method} {path} HTTP/1.1\r\nhost: x\r\n\r\n");
        let answers = talk(server, ask.repeat(3).as_bytes()).await;
        let one = answers.split("HTTP/1.1 401 Unauthorized\r\n").skip(1);
        let good = |answer: &str| answer.contains("www-authenticate: Basic\r\n") && answer.ends_with("\r\n\r\n");
        assert_eq!(one.filter(|answer| good(answer)).count(), 3, "{method} {path}: {answers}");
    }
}
