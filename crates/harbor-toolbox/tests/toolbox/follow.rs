//! Logs over web sockets, and for people in the sandbox.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::json;

use crate::client::{CURRENT, Frame, Toolbox, eventually};

#[test]
fn a_follower_gets_everything_as_it_is_written() {
    let toolbox = Toolbox::start();
    toolbox.session("s");
    let command = toolbox.run_async("s", "echo a; echo b >&2; read go; printf c");
    let path = format!("/process/session/s/command/{command}/logs");
    let mut follower = toolbox.socket(&format!("{path}?follow=true"), CURRENT);
    assert_eq!(follower.status, 101);
    follower.until("a\n");
    follower.ping(b"there?");
    while follower.next() != Frame::Pong(b"there?".to_vec()) {}
    follower.text("ignored");
    let input = format!("/process/session/s/command/{command}/input");
    assert_eq!(toolbox.post(&input, &json!({"data": "go"})).status, 204);
    let (rest, end) = follower.rest();
    // the other stream has a pace of its own
    let rest = String::from_utf8(rest).unwrap().replace("\x02\x02\x02b\n", "");
    assert!(rest.ends_with("\x01\x01\x01go\n\x01\x01\x01c\n"), "{rest:?}");
    assert_eq!(end, Frame::Close(1000, String::new()));
    // Later, and without following.
    for query in ["?follow=true", "", "?follow=1"] {
        let (whole, end) = toolbox.socket(&format!("{path}{query}"), CURRENT).rest();
        assert!(whole.starts_with(b"\x01\x01\x01a\n") || whole.starts_with(b"\x02\x02\x02b\n"), "{whole:?}");
        assert_eq!((whole.len(), end), (21, Frame::Close(1000, String::new())), "{query}");
    }
}

#[test]
fn markers_are_left_out_for_those_who_do_not_know_them() {
    let toolbox = Toolbox::start();
    toolbox.session("s");
    let command = toolbox.run("s", "echo a").json()["cmdId"].as_str().unwrap().to_owned();
    let path = format!("/process/session/s/command/{command}/logs?follow=true");
    for (headers, log) in [
        ("", &b"\x01\x01\x01a\n"[..]),
        ("x-daytona-source: sdk-java\r\n", b"a\n"),
        ("x-daytona-sdk-version: 0.20.0\r\n", b"a\n"),
        ("x-daytona-sdk-version: 0.100.0\r\n", b"\x01\x01\x01a\n"),
        ("sec-websocket-protocol: X-Daytona-SDK-Version~0.20.0\r\n", b"a\n"),
    ] {
        assert_eq!(toolbox.socket(&path, headers).rest().0, log, "{headers:?}");
    }
    let token = "X-Daytona-SDK-Version~0.190.0";
    let socket = toolbox.socket(&path, &format!("sec-websocket-protocol: other, {token}\r\n"));
    assert_eq!(socket.protocol.as_deref(), Some(token));
}

#[test]
fn frames_end_at_line_ends_and_no_character_is_torn() {
    let toolbox = Toolbox::start();
    toolbox.session("s");
    let command = "for i in $(seq 20000); do echo line-$i; done; for i in $(seq 40000); do printf 'a€b'; done; echo";
    let command = toolbox.run("s", command).json()["cmdId"].as_str().unwrap().to_owned();
    let mut follower = toolbox.socket(&format!("/process/session/s/command/{command}/logs?follow=true"), CURRENT);
    let (mut whole, mut torn) = (Vec::new(), 0);
    loop {
        match follower.next() {
            Frame::Binary(frame) => {
                assert!(std::str::from_utf8(&frame).is_ok() && frame.len() <= 1 << 20);
                torn += usize::from(!frame.ends_with(b"\n"));
                whole.extend(frame);
            }
            end => {
                assert_eq!(end, Frame::Close(1000, String::new()));
                break;
            }
        }
    }
    assert!(torn <= 4, "only the long line may be cut: {torn}");
    assert_eq!(whole.split(|&byte| byte == b'\n').count(), 20_002);
}

#[test]
fn a_follower_that_does_not_read_holds_up_nobody() {
    let toolbox = Toolbox::start();
    toolbox.session("s");
    let command = toolbox.run_async("s", "yes | head -c 100000000");
    let path = format!("/process/session/s/command/{command}");
    let stalled = toolbox.socket(&format!("{path}/logs?follow=true"), CURRENT);
    eventually("the command is done", || toolbox.get(&path).json()["exitCode"] == json!(0));
    assert!(toolbox.usage().2 < 24 << 10, "{:?}", toolbox.usage());
    drop(stalled);
    let deleted = toolbox.delete("/process/session/s").status;
    assert_eq!(deleted, 204);
}

#[test]
fn harbors_proxy_may_have_the_stream_without_a_web_socket() {
    let toolbox = Toolbox::start();
    toolbox.session("s");
    let command = toolbox.run_async("s", "echo a; sleep 0.5; echo b >&2");
    let path = format!("/process/session/s/command/{command}/logs?follow=true");
    let stream = toolbox.send("GET", &path, &format!("{CURRENT}x-harbor-follow: 1\r\n"), b"");
    assert_eq!((stream.status, stream.body.as_slice()), (200, &b"a\nb\n"[..]));
    assert!(stream.header("content-type") == Some("application/octet-stream"), "{stream:?}");
    assert!(toolbox.get(&path).json()["stdout"].is_string(), "for others it is a snapshot");
}

#[test]
fn a_log_that_was_removed_costs_its_text_only() {
    let toolbox = Toolbox::start();
    toolbox.session("s");
    let answer = toolbox.run("s", "echo a; rm -rf ~/.daytona; (exit 3)");
    assert_eq!((answer.status, &answer.json()["exitCode"]), (200, &json!(3)));
    let command = answer.json()["cmdId"].as_str().unwrap().to_owned();
    let log = toolbox.get(&format!("/process/session/s/command/{command}/logs"));
    assert_eq!(log.refusal(), (404, "NOT_FOUND".to_owned()));
    assert_eq!(toolbox.run("s", "echo on").json()["stdout"], "on\n");
}

#[test]
fn deletion_closes_followers_and_unknown_ids_are_refused_before() {
    let toolbox = Toolbox::start();
    toolbox.session("s");
    let command = toolbox.run_async("s", "echo up; sleep 100");
    let mut follower = toolbox.socket(&format!("/process/session/s/command/{command}/logs?follow=true"), CURRENT);
    follower.until("up\n");
    assert_eq!(toolbox.delete("/process/session/s").status, 204);
    assert_eq!(follower.rest().1, Frame::Close(1000, String::new()));
    for path in ["/process/session/s/command/x/logs?follow=true", "/process/session/entrypoint/logs?follow=true"] {
        assert_eq!(toolbox.socket(path, CURRENT).status, 404, "{path}");
    }
}

#[test]
fn the_entrypoints_output_is_shown_inside_the_sandbox() {
    let entrypoint = json!({"entrypoint": ["sh", "-c", "echo out; echo err >&2; read never"]});
    let toolbox = Toolbox::start_with(&entrypoint);
    let mut follower = toolbox.socket("/process/session/entrypoint/logs?follow=true", CURRENT);
    if !follower.until("out\n").contains("err\n") {
        follower.until("err\n"); // a frame of its own
    }
    assert!(follower.is_quiet(Duration::from_millis(1500)), "it runs, so the log goes on");
    let program = toolbox.home.path().join("daytona");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_harbor-toolbox"), &program).unwrap();
    let mut command = Command::new(&program);
    command.args(["entrypoint", "logs"]).env("HOME", toolbox.home.path());
    let mut shown = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(shown.stdout.take().unwrap()).read_line(&mut line).unwrap();
    BufReader::new(shown.stderr.take().unwrap()).read_line(&mut line).unwrap();
    shown.kill().unwrap();
    shown.wait().unwrap();
    assert_eq!(line, "out\nerr\n");
    let lost = command.env("HOME", "/nonexistent").output().unwrap();
    assert!(!lost.status.success() && lost.stderr.starts_with(b"harbor-toolbox: cannot read the entrypoint's log"));
    let other = Command::new(&program).output().unwrap();
    assert!(!other.status.success() && other.stderr.ends_with(b"usage: daytona entrypoint logs\n"), "{other:?}");
}
