//! Who may talk to a toolbox, and the rules that hold for every route.

use std::io::{Read as _, Write as _};

use crate::client::{Answer, TOKEN, Toolbox, finish};
use serde_json::{Value, json};

#[track_caller]
fn refused(answer: &Answer) {
    assert_eq!(answer.status, 401, "{answer:?}");
    let body = answer.json();
    assert_eq!(body["code"], "UNAUTHORIZED");
    assert_eq!(body["source"], "DAYTONA_DAEMON");
    assert_eq!(body["statusCode"], 401);
    assert!(body["message"].as_str().unwrap().starts_with("unauthorized: "));
    assert_eq!(body["error"], body["message"]);
}

#[test]
fn nothing_but_configure_is_answered_at_first() {
    let toolbox = Toolbox::unconfigured();
    for path in ["/version", "/nope", "/files", "/.harbor/other"] {
        refused(&toolbox.send_as(None, "GET", path, b""));
        refused(&toolbox.send_as(Some(""), "GET", path, b""));
    }
    let answer = toolbox.configure(None, &json!({}));
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json(), json!({"protocol": 1, "version": env!("CARGO_PKG_VERSION")}));
}

#[test]
fn the_token_is_needed_and_can_be_replaced() {
    let toolbox = Toolbox::start();
    refused(&toolbox.send_as(None, "GET", "/version", b""));
    refused(&toolbox.send_as(Some("the-tokex"), "GET", "/version", b""));
    assert_eq!(toolbox.get("/version").status, 200);

    refused(&toolbox.configure(None, &json!({"token": "other"})));
    refused(&toolbox.configure(Some("wrong"), &json!({"token": "other"})));
    assert_eq!(toolbox.get("/version").status, 200, "a refused configure changes nothing");

    assert_eq!(toolbox.configure(Some(TOKEN), &json!({"token": "other"})).status, 200);
    refused(&toolbox.get("/version"));
    assert_eq!(toolbox.send_as(Some("other"), "GET", "/version", b"").status, 200);
    assert_eq!(toolbox.configure(Some("other"), &json!({"token": "other"})).status, 200, "idempotent");
    refused(&toolbox.configure(Some("third"), &json!({"token": "third"})));
}

#[test]
fn each_configure_replaces_the_environment() {
    let toolbox = Toolbox::unconfigured();
    toolbox.configure(None, &json!({"env": {"A": "1 $B", "B": "2"}}));
    assert_eq!(toolbox.execute("echo \"$A|$B|$HOME\"").1, format!("1 $B|2|{}\n", toolbox.home.path().display()));
    toolbox.configure(Some(TOKEN), &json!({"env": {"B": "3"}}));
    assert_eq!(toolbox.execute("echo \"$A|$B|\"").1, "|3|\n");
}

#[test]
fn the_token_reaches_no_process() {
    let toolbox = Toolbox::start();
    let (_, result) = toolbox.execute("env; tr '\\0' '\\n' < /proc/$PPID/environ; cat /proc/$PPID/cmdline");
    assert!(!result.contains(TOKEN), "{result}");
}

#[test]
fn the_home_directory_is_the_work_dir_when_asked_for() {
    let toolbox = Toolbox::unconfigured_with(|command| command.current_dir("/"));
    toolbox.configure(None, &json!({}));
    assert_eq!(toolbox.get("/work-dir").json()["dir"], "/");
    toolbox.configure(Some(TOKEN), &json!({"home_as_work_dir": true}));
    let home = toolbox.home.path().to_str().unwrap();
    for path in ["/work-dir", "/user-home-dir", "/project-dir"] {
        assert_eq!(toolbox.get(path).json(), json!({"dir": home}));
    }
    assert_eq!(toolbox.execute("pwd").1, format!("{home}\n"));
    // as that of `nobody`
    toolbox.configure(Some(TOKEN), &json!({"home_as_work_dir": true, "env": {"HOME": "/nonexistent"}}));
    assert_eq!(toolbox.execute("pwd"), (0, "/\n".to_owned()));
}

#[test]
fn the_work_dir_of_the_image_is_made_where_it_is_named() {
    let toolbox = Toolbox::unconfigured_with(|command| command.current_dir("/"));
    let named = toolbox.home.path().join("not/there/yet");
    toolbox.configure(None, &json!({"work_dir": named}));
    assert_eq!(toolbox.get("/work-dir").json(), json!({"dir": named}));
    assert_eq!(toolbox.execute("pwd").1, format!("{}\n", named.display()));
    // what cannot be made
    toolbox.configure(Some(TOKEN), &json!({"work_dir": "/proc/nowhere"}));
    assert_eq!(toolbox.execute("pwd"), (0, "/\n".to_owned()));
}

#[test]
fn unknown_routes_and_methods_are_not_found() {
    let toolbox = Toolbox::start();
    for (method, path) in [
        ("GET", "/nope"),
        ("GET", "/"),
        ("GET", "/Version"),
        ("GET", "/nope/"),
        ("POST", "/version"),
        ("GET", "/process/execute"),
        ("GET", "/process/execute/"),
        ("OPTIONS", "/process/execute"),
    ] {
        let answer = toolbox.send_as(Some(TOKEN), method, path, b"");
        assert_eq!((answer.status, answer.text().as_str()), (404, "404 page not found"), "{method} {path}");
        assert_eq!(answer.header("content-type"), Some("text/plain"));
    }
    assert_eq!(toolbox.send_as(Some(TOKEN), "HEAD", "/version", b"").status, 404);
}

#[test]
fn one_slash_too_many_is_redirected() {
    let toolbox = Toolbox::start();
    let answer = toolbox.get("/version/?a=b");
    assert_eq!((answer.status, answer.header("location")), (301, Some("/version?a=b")));
    let answer = toolbox.post("/process/execute/", &json!({}));
    assert_eq!((answer.status, answer.header("location")), (307, Some("/process/execute")));
}

#[test]
fn every_answer_has_a_request_id() {
    let toolbox = Toolbox::start();
    for path in ["/version", "/nope", "/version/", "/work-dir"] {
        assert!(toolbox.get(path).headers["x-request-id"].len() > 8, "{path}");
    }
}

#[test]
fn what_is_not_built_says_so() {
    let toolbox = Toolbox::start();
    let gaps = include_str!("../../gaps.txt");
    for (method, path) in gaps.lines().map(|line| line.split_once(' ').unwrap()).filter(|(method, _)| *method != "ANY")
    {
        let path = path.replace("{port}", "3000").replace(['{', '}'], "");
        let answer = toolbox.send_as(Some(TOKEN), method, &path, b"{}");
        let body: Value = answer.json();
        assert_eq!((answer.status, &body["code"]), (501, &json!("NOT_IMPLEMENTED")), "{method} {path}");
        assert_eq!((&body["path"], &body["method"]), (&json!(path), &json!(method)));
    }
}

/// As a program in the sandbox that keeps every place taken.
#[test]
fn silent_connections_lock_nobody_out() {
    let toolbox = Toolbox::start();
    let known = toolbox.begin("GET", "/version", &[], 0);
    let mut silent = Vec::new();
    for _ in 0..1000 {
        silent.push(toolbox.connect());
        if silent.len() % 100 == 0 {
            assert_eq!(toolbox.get("/version").status, 200, "after {}", silent.len());
        }
    }
    assert_eq!(finish(known).status, 200);
    // Those that gave way are closed, and so is in the end each that says nothing.
    for mut connection in silent {
        assert_eq!(connection.read(&mut [0]).unwrap_or(0), 0);
    }
}

#[test]
fn a_connection_that_has_shown_the_token_stays() {
    let toolbox = Toolbox::start();
    let mut stream = toolbox.connect();
    let request = format!("GET /version HTTP/1.1\r\nhost: t\r\nx-harbor-token: {TOKEN}\r\n\r\n");
    for pause in [0, 12] {
        std::thread::sleep(std::time::Duration::from_secs(pause));
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"}") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            answer.extend(byte);
        }
    }
}

/// Of a client that looks for answers only when it has sent everything, and then asks again.
#[test]
fn an_answer_before_the_end_of_a_body_costs_neither_itself_nor_the_connection() {
    let toolbox = Toolbox::start();
    let mut stream = toolbox.connect();
    let head = |path: &str, length: usize| {
        format!("POST {path} HTTP/1.1\r\nhost: t\r\nx-harbor-token: {TOKEN}\r\ncontent-length: {length}\r\n\r\n")
    };
    let piece = vec![b'x'; 100_000];
    for path in ["/nowhere", "/version", "/files/upload"] {
        stream.write_all(head(path, 1_000_000).as_bytes()).unwrap();
        for _ in 0..10 {
            stream.write_all(&piece).unwrap();
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        let mut answer = [0; 4096];
        let count = stream.read(&mut answer).unwrap();
        assert!(answer[..count].starts_with(b"HTTP/1.1 40"), "{path}: {}", String::from_utf8_lossy(&answer[..count]));
    }
}
