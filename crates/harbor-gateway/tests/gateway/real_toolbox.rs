//! Against the toolbox itself, run on this machine.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use axum::body::Body;
use http::StatusCode;
use http_body_util::BodyExt as _;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::fixture::{KEY, Started, TOKEN_HEADER, TOOLBOX_TOKEN, ask, bearer, connect, listener, request};

/// A configured toolbox, ended with this value.
struct Toolbox {
    address: SocketAddr,
    _process: Child,
}

impl Toolbox {
    async fn start() -> Self {
        let binary = binary();
        let address = listener().await.local_addr().unwrap(); // free again for the toolbox
        let process = Command::new(&binary)
            .args(["--listen", &address.to_string()])
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}; build it: cargo build -p harbor-toolbox", binary.display()));
        for _ in 0..200 {
            if TcpStream::connect(address).await.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let configure = json!({"protocol": 1, "sandbox": "x", "token": TOOLBOX_TOKEN, "env": {"GREETING": "hello"}});
        let answer = ask(address, "POST", "/.harbor/configure", &[], configure.to_string()).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        Self { address, _process: process }
    }
}

/// The newer one of those that `scripts/test` and that plain cargo put near this test.
fn binary() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let debug = test.parent().and_then(|deps| deps.parent()).unwrap();
    let candidates = [debug.join("../tests/debug/harbor-toolbox"), debug.join("harbor-toolbox")];
    let written = |file: &PathBuf| file.metadata().and_then(|metadata| metadata.modified()).ok();
    candidates.into_iter().max_by_key(written).unwrap()
}

#[tokio::test]
async fn a_command_runs_and_its_answer_comes_back() {
    let toolbox = Toolbox::start().await;
    let started = Started::with_toolbox_at(toolbox.address).await;
    let key = bearer(KEY);
    let headers = [("authorization", &*key), ("content-type", "application/json"), (TOKEN_HEADER, "forged")];
    for (address, path) in
        [(started.proxy, started.path("/process/execute")), (started.api, started.legacy("/process/execute"))]
    {
        let answer = ask(address, "POST", &path, &headers, r#"{"command":"echo $GREETING"}"#).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        assert_eq!((&answer.json()["result"], &answer.json()["exitCode"]), (&json!("hello\n"), &json!(0)));
    }
    for rest in ["/files?path=/", "/files/?path=/"] {
        for (address, path) in [(started.proxy, started.path(rest)), (started.api, started.legacy(rest))] {
            let answer = ask(address, "GET", &path, &headers, "").await;
            assert!(answer.status == StatusCode::OK && answer.json().is_array(), "{path}: {}", answer.text());
        }
    }
    // without harbor the toolbox answers nobody
    let answer = ask(toolbox.address, "GET", "/version", &headers, "").await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_log_is_followed_without_a_web_socket() {
    let toolbox = Toolbox::start().await;
    let started = Started::with_toolbox_at(toolbox.address).await;
    let key = bearer(KEY);
    let json_body = [("authorization", &*key), ("content-type", "application/json")];
    let post = async |rest: &str, body: serde_json::Value| {
        ask(started.proxy, "POST", &started.path(rest), &json_body, body.to_string()).await
    };
    assert_eq!(post("/process/session", json!({"sessionId": "s"})).await.status, StatusCode::CREATED);
    for (address, prefix) in [(started.proxy, started.path("")), (started.api, started.legacy(""))] {
        // the second line comes only once the first has been seen
        let order = json!({"command": "echo a; read go; echo b >&2", "runAsync": true, "suppressInputEcho": true});
        let command = post("/process/session/s/exec", order).await.json()["cmdId"].as_str().unwrap().to_owned();
        let rest = format!("/process/session/s/command/{command}");
        // a version of the caller's makes no difference: no markers
        let headers = [("authorization", &*key), ("x-daytona-sdk-version", "0.190.0")];
        let followed = request("GET", &format!("{prefix}{rest}/logs?follow=true"), &headers, Body::empty());
        let response = connect(address).await.send_request(followed).await.unwrap();
        assert_eq!(response.headers()["content-type"], "application/octet-stream");
        let mut body = response.into_body();
        assert_eq!(read_to(&mut body, b"a\n").await, "a\n");
        assert_eq!(post(&format!("{rest}/input"), json!({"data": "go"})).await.status, StatusCode::NO_CONTENT);
        assert_eq!(String::from_utf8_lossy(&body.collect().await.unwrap().to_bytes()), "b\n");
        let snapshot = ask(address, "GET", &format!("{prefix}{rest}/logs"), &headers, "").await;
        assert_eq!(snapshot.json()["stdout"], "a\n", "without `follow` nothing is different");
    }
}

/// What comes, until it ends with `end`.
async fn read_to(body: &mut hyper::body::Incoming, end: &[u8]) -> String {
    let mut seen = Vec::new();
    while !seen.ends_with(end) {
        let frame = tokio::time::timeout(Duration::from_mins(1), body.frame()).await.unwrap().unwrap().unwrap();
        seen.extend(frame.into_data().unwrap());
    }
    String::from_utf8(seen).unwrap()
}

/// How much harbor adds to a command; run by hand on a quiet machine, with the figures printed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "its bounds are times, which a busy machine breaks: `just bench` reports the same two of the whole product"]
async fn a_command_costs_little_more_than_directly() {
    use crate::fixture::{Client, ask_on};
    let toolbox = Toolbox::start().await;
    let started = Started::with_toolbox_at(toolbox.address).await;
    let (key, body) = (bearer(KEY), r#"{"command":"true"}"#);
    let own = [(TOKEN_HEADER, TOOLBOX_TOKEN), ("content-type", "application/json")];
    let ours = [("authorization", &*key), ("content-type", "application/json")];
    let time = async |client: &mut Client, path: &str, headers: &[(&str, &str)]| {
        let begun = std::time::Instant::now();
        assert_eq!(ask_on(client, "POST", path, headers, body).await.status, StatusCode::OK);
        begun.elapsed()
    };
    let (mut direct, mut proxied) = (connect(toolbox.address).await, connect(started.proxy).await);
    let (mut floor, mut with) = (Vec::new(), Vec::new());
    for _ in 0..1000 {
        floor.push(time(&mut direct, "/process/execute", &own).await);
        with.push(time(&mut proxied, &started.path("/process/execute"), &ours).await);
    }
    floor.sort();
    with.sort();
    println!("direct p50 {:?} p95 {:?}; proxied p50 {:?} p95 {:?}", floor[500], floor[950], with[500], with[950]);
    assert!(with[500] <= floor[500].mul_f64(1.5) && with[950] <= Duration::from_millis(4));
}
