//! Terminals: who sees what, sizes, endings, and clients that misbehave.

use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{Frame, Socket, Toolbox, eventually, long_sleep};

const EXIT_CONTROL: &str = "sec-websocket-protocol: X-Daytona-Pty-Exit-Control\r\n";

#[track_caller]
fn create(toolbox: &Toolbox, id: &str) {
    assert_eq!(toolbox.post("/process/pty", &json!({"id": id})).status, 201);
}

/// Connects; the first frame must say so.
#[track_caller]
fn connect(toolbox: &Toolbox, id: &str, query: &str, headers: &str) -> Socket {
    let mut socket = toolbox.socket(&format!("/process/pty/{id}/connect{query}"), headers);
    assert_eq!(control(socket.next()), json!({"type": "control", "status": "connected"}));
    socket
}

#[track_caller]
fn control(frame: Frame) -> Value {
    let Frame::Text(text) = frame else { panic!("{frame:?}") };
    serde_json::from_str(&text).unwrap()
}

#[test]
fn a_shell_on_a_terminal_ends_with_its_code_behind_all_output() {
    let toolbox = Toolbox::start();
    for (id, command, close) in [
        ("zero", "exit 0", Frame::Close(1000, r#"{"exitCode":0}"#.to_owned())),
        ("three", "exit 3", Frame::Close(1011, r#"{"exitCode":3,"exitReason":"non-zero exit"}"#.to_owned())),
        ("killed", "kill -9 $$", Frame::Close(1011, r#"{"exitCode":137,"exitReason":"SIGKILL"}"#.to_owned())),
    ] {
        create(&toolbox, id);
        let mut client = connect(&toolbox, id, "", "");
        client.text(&format!("test -t 0 && stty size; seq 5000; echo ta''il; {command}\n"));
        let (output, end) = client.rest();
        let output = String::from_utf8_lossy(&output);
        assert!(output.contains("24 80") && output.contains("5000\r\ntail"), "{output}");
        assert_eq!(end, close);
        assert_eq!(toolbox.get(&format!("/process/pty/{id}")).refusal(), (404, "PROCESS_NOT_FOUND".to_owned()));
        let size = json!({"cols": 1, "rows": 1});
        assert_eq!(toolbox.post(&format!("/process/pty/{id}/resize"), &size).refusal().0, 410);
    }
}

#[test]
fn create_connect_makes_and_attaches_at_once() {
    let toolbox = Toolbox::start();
    // {"A":"1 2"}
    let tokens = "sec-websocket-protocol: X-Daytona-Pty-Exit-Control, X-Daytona-Pty-Envs~eyJBIjoiMSAyIn0\r\n";
    let mut client = toolbox.socket("/process/pty/create-connect?id=t&cols=90&rows=20&cwd=/tmp", tokens);
    assert_eq!((client.status, client.protocol.as_deref()), (101, Some("X-Daytona-Pty-Exit-Control")));
    assert_eq!(control(client.next())["status"], "connected");
    let mut seen = String::new();
    client.text("stty size; pwd; echo \"<$A|$TERM>\"; exit 5\n");
    let exited = loop {
        match client.next() {
            Frame::Binary(text) => seen.push_str(&String::from_utf8_lossy(&text)),
            frame => break control(frame),
        }
    };
    for text in ["20 90", "/tmp", "<1 2|xterm-256color>"] {
        assert!(seen.contains(text), "{text} in {seen}");
    }
    let expected = json!({"type": "control", "status": "exited", "exitCode": 5, "exitReason": "non-zero exit"});
    assert_eq!(exited, expected);
    assert_eq!(client.next(), Frame::Close(1011, r#"{"exitCode":5,"exitReason":"non-zero exit"}"#.to_owned()));
    create(&toolbox, "taken");
    for (query, headers, status) in [
        ("id=taken&cols=80&rows=24", "", 409),
        ("id=x&cols=1001&rows=24", "", 400),
        ("id=x&cols=x&rows=24", "", 400),
        ("cols=80&rows=24", "", 400),
        ("id=x&cols=80&rows=24", "sec-websocket-protocol: X-Daytona-Pty-Envs~!!\r\n", 400),
        ("id=x&cols=80&rows=24&cwd=/does/not/exist", "", 500),
    ] {
        let path = format!("/process/pty/create-connect?{query}");
        assert_eq!(toolbox.socket(&path, headers).status, status, "{query}");
    }
    assert_eq!(toolbox.get("/process/pty/create-connect?id=x&cols=80&rows=24").status, 400);
    assert_eq!(toolbox.get("/process/pty/x").status, 404);
}

#[test]
fn clients_share_a_terminal_and_only_who_asks_sees_the_past() {
    let toolbox = Toolbox::start();
    create(&toolbox, "t");
    let mut first = connect(&toolbox, "t", "", "");
    first.text("echo be''fore\n");
    first.until("before\r\n");
    let (mut second, mut third) = (connect(&toolbox, "t", "", EXIT_CONTROL), connect(&toolbox, "t", "?replay=1", ""));
    third.until("before\r\n");
    second.text("echo bo''th\n");
    for client in [&mut first, &mut third] {
        client.until("both\r\n");
    }
    assert!(!second.until("both\r\n").contains("before"));
    drop((first, second, third));
    assert_eq!(toolbox.get("/process/pty/t").json()["active"], true);
    let mut again = connect(&toolbox, "t", "", "");
    again.text("echo sti''ll\n");
    again.until("still");
}

#[test]
fn a_lazy_terminal_waits_and_remembers_its_size() {
    let toolbox = Toolbox::start();
    assert_eq!(toolbox.post("/process/pty", &json!({"id": "t", "lazyStart": true})).status, 201);
    assert_eq!(toolbox.get("/process/pty/t").json()["active"], false);
    let resized = toolbox.post("/process/pty/t/resize", &json!({"cols": 101, "rows": 31}));
    assert_eq!((resized.status, &resized.json()["cols"]), (200, &json!(101)));
    let mut client = connect(&toolbox, "t", "", "");
    client.text("stty size\n");
    client.until("31 101");
    // a program on the terminal, which is told of a new size at once
    client.text("sh -c 'trap \"stty size\" WINCH; echo se\"\"t; while :; do sleep 0.1; done'\n");
    client.until("set\r\n");
    assert_eq!(toolbox.post("/process/pty/t/resize", &json!({"cols": 102, "rows": 32})).status, 200);
    client.until("32 102");
    for size in [json!({"cols": 1001, "rows": 1}), json!({"cols": -1, "rows": 1}), json!({"cols": 1.5, "rows": 1})] {
        assert_eq!(toolbox.post("/process/pty/t/resize", &size).refusal().0, 400, "{size}");
    }
    assert_eq!(toolbox.post("/process/pty", &json!({"id": "f", "lazyStart": true, "cwd": "/no"})).status, 201);
    let mut failing = toolbox.socket("/process/pty/f/connect", "");
    assert_eq!(control(failing.next())["status"], "error");
    assert_eq!(failing.next(), Frame::End);
}

#[test]
fn deletion_kills_what_runs_there_and_frees_the_id() {
    let toolbox = Toolbox::start();
    for _ in 0..10 {
        create(&toolbox, "t");
        let mut client = connect(&toolbox, "t", "", EXIT_CONTROL);
        let (apart, kept) = (long_sleep(4721), long_sleep(4722));
        client.text(&format!("(trap '' HUP TERM; setsid sleep {apart} & sleep {kept}) & echo re''ady\n"));
        client.until("ready");
        assert_eq!(toolbox.delete("/process/pty/t").status, 200);
        let (_, end) = client.rest();
        assert_eq!(end, Frame::Close(1011, r#"{"exitCode":137,"exitReason":"SIGKILL"}"#.to_owned()));
        let left = format!("pgrep -cf '[s]leep ({apart}|{kept})'");
        assert_eq!(toolbox.execute(&left).1, "0\n");
    }
    assert_eq!(toolbox.delete("/process/pty/t").refusal(), (404, "PROCESS_NOT_FOUND".to_owned()));
    assert_eq!(toolbox.get("/process/pty").json(), json!({"sessions": []}));
}

#[test]
fn a_client_that_does_not_read_costs_neither_memory_nor_the_others_time() {
    let toolbox = Toolbox::start();
    create(&toolbox, "t");
    let stalled = connect(&toolbox, "t", "", "");
    let mut reader = connect(&toolbox, "t", "", "");
    reader.text("yes | head -c 20000000; echo e''nd\n");
    reader.until("end\r\n");
    assert!(toolbox.usage().2 < 24 << 10, "{:?}", toolbox.usage());
    drop(reader);
    // Alone, it only holds up the terminal; deletion gets through.
    let mut alone = connect(&toolbox, "t", "", "");
    alone.text("yes\n");
    std::thread::sleep(Duration::from_secs(1));
    assert!(toolbox.usage().2 < 24 << 10, "{:?}", toolbox.usage());
    assert_eq!(toolbox.delete("/process/pty/t").status, 200);
    drop(stalled);
}

#[test]
fn pings_are_answered_in_a_flood_and_control_characters_stop_it() {
    let toolbox = Toolbox::start();
    create(&toolbox, "t");
    let mut client = connect(&toolbox, "t", "", "");
    client.text("yes\n");
    client.until("y\r\ny\r\n");
    client.ping(b"now");
    while client.next() != Frame::Pong(b"now".to_vec()) {}
    client.text("\u{3}");
    client.text("echo af''ter\n");
    client.until("after");
}

#[test]
fn messages_that_cannot_be_typed_are_refused_and_the_terminal_goes_on() {
    let toolbox = Toolbox::start();
    create(&toolbox, "t");
    for (opcode, message, code) in
        [(2, vec![b'x'; 65_537], 1009), (2, vec![b'x'; 2 << 20], 1009), (1, vec![0xFF], 1007)]
    {
        let mut client = connect(&toolbox, "t", "", "");
        client.send(opcode, &message);
        assert!(matches!(client.rest().1, Frame::Close(got, _) if got == code), "{code}");
    }
    let mut client = connect(&toolbox, "t", "", "");
    client.text("echo we''ll\n");
    client.until("well");
}

#[test]
fn what_is_typed_to_a_program_that_does_not_read_is_bounded() {
    let toolbox = Toolbox::start();
    create(&toolbox, "t");
    let mut client = connect(&toolbox, "t", "", "");
    client.text("stty raw -echo; echo ra''w; sleep 1; exit 0\n");
    client.until("raw");
    for _ in 0..12 {
        client.send(2, &vec![b'z'; 60_000]);
    }
    assert_eq!(client.rest().1, Frame::Close(1000, r#"{"exitCode":0}"#.to_owned()));
    assert_eq!(toolbox.get("/process/pty").json(), json!({"sessions": []}));
}

#[test]
fn too_many_terminals_are_refused_and_many_leave_nothing_behind() {
    let toolbox = Toolbox::start();
    let lazy = |number: usize| json!({"id": format!("t{number}"), "lazyStart": true});
    assert!((0..100).all(|number| toolbox.post("/process/pty", &lazy(number)).status == 201));
    assert_eq!(toolbox.post("/process/pty", &lazy(100)).refusal(), (429, "TOO_MANY_REQUESTS".to_owned()));
    for number in 0..100 {
        assert_eq!(toolbox.delete(&format!("/process/pty/t{number}")).status, 200);
    }
    let (descriptors, threads, _) = toolbox.usage();
    for _ in 0..50 {
        create(&toolbox, "t");
        let mut client = connect(&toolbox, "t", "", "");
        client.text("exit 0\n");
        client.rest();
    }
    eventually("connections are closed", || toolbox.usage().0 <= descriptors);
    assert!(toolbox.usage().1 <= threads + 4, "{:?} after {threads} threads", toolbox.usage());
}

#[test]
fn a_terminal_may_have_no_size() {
    let toolbox = Toolbox::start();
    assert_eq!(toolbox.post("/process/pty", &json!({"id": "t", "cols": 0, "rows": 0})).status, 201);
    let shown = toolbox.get("/process/pty/t").json();
    assert_eq!((&shown["cols"], &shown["rows"]), (&json!(0), &json!(0)));
    assert_eq!(toolbox.post("/process/pty", &json!({"id": "u", "cols": 0})).status, 201);
    let shown = toolbox.get("/process/pty/u").json();
    assert_eq!((&shown["cols"], &shown["rows"]), (&json!(0), &json!(24)));
}
