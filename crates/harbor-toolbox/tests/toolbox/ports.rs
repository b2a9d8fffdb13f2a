//! Ports, and the way to servers in the sandbox.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use serde_json::json;

use crate::client::{Frame, TOKEN, Toolbox};

/// Serves one connection after another with `serve`, which gets the request's head; returns the port.
fn server(serve: impl Fn(String, TcpStream) + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut reader = BufReader::new(stream.unwrap());
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                if reader.read_line(&mut head).unwrap() == 0 {
                    break;
                }
            }
            serve(head, reader.into_inner());
        }
    });
    port
}

#[test]
fn listeners_of_both_families_are_seen() {
    let toolbox = Toolbox::start();
    for address in ["127.0.0.1", "[::1]"] {
        let Some(listener) = (3000..=9999).find_map(|port| TcpListener::bind(format!("{address}:{port}")).ok()) else {
            continue; // no IPv6 here
        };
        let port = listener.local_addr().unwrap().port();
        let ports = toolbox.get("/port").json();
        assert!(ports["ports"].as_array().unwrap().contains(&json!(port)), "{port} in {ports}");
        let in_use = || toolbox.get(&format!("/port/{port}/in-use")).json();
        assert_eq!(in_use(), json!({"isInUse": true}));
        drop(listener);
        assert_eq!(in_use(), json!({"isInUse": false}));
    }
    for port in ["2999", "10000", "x", "-1"] {
        assert_eq!(toolbox.get(&format!("/port/{port}/in-use")).refusal(), (400, "BAD_REQUEST".to_owned()));
    }
}

#[test]
fn requests_pass_as_they_are_and_the_token_stays_here() {
    let port = server(|head, mut stream| {
        let length = head.len();
        write!(
            stream,
            "HTTP/1.1 418 Teapot\r\ncontent-length: {length}\r\nx-app: yes\r\nconnection: close\r\n\r\n{head}"
        )
        .unwrap();
    });
    let toolbox = Toolbox::start();
    let answer = toolbox.send("PUT", &format!("/proxy/{port}/a%2Fb/?q=%20&r"), "x-test: t\r\n", b"");
    assert!(answer.status == 418 && answer.header("x-app") == Some("yes"), "{answer:?}");
    let head = String::from_utf8(answer.body).unwrap().to_ascii_lowercase();
    assert!(head.starts_with("put /a%2fb/?q=%20&r http/1.1\r\n"), "{head}");
    assert!(head.contains(&format!("host: localhost:{port}\r\n")) && head.contains("x-test: t"), "{head}");
    assert!(!head.contains("x-harbor-token"), "{head}");
    let moved = toolbox.get(&format!("/proxy/{port}?q"));
    assert!(moved.status == 301 && moved.header("location") == Some(&format!("/proxy/{port}/?q")), "{moved:?}");
    assert_eq!(toolbox.get("/proxy/1/x").refusal(), (502, "BAD_GATEWAY".to_owned()));
    assert_eq!(toolbox.get("/proxy/abc/x").refusal(), (400, "BAD_REQUEST".to_owned()));
}

#[test]
fn an_answer_streams_and_ends_with_its_client() {
    let (told, ended) = std::sync::mpsc::channel();
    let port = server(move |_, mut stream| {
        write!(stream, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n").unwrap();
        // Nothing more: the connection ends when the client goes.
        let _ = told.send(stream.read(&mut [0]));
    });
    let toolbox = Toolbox::start();
    let mut client = toolbox.connect();
    write!(client, "GET /proxy/{port}/ HTTP/1.1\r\nhost: t\r\nx-harbor-token: {TOKEN}\r\n\r\n").unwrap();
    let mut seen = Vec::new();
    while !seen.ends_with(b"first\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte).unwrap();
        seen.extend(byte);
    }
    drop(client);
    assert!(matches!(ended.recv_timeout(crate::client::PATIENCE).unwrap(), Ok(0) | Err(_)));
}

#[test]
fn web_sockets_pass() {
    let port = server(|head, mut stream| {
        assert!(head.to_ascii_lowercase().contains("upgrade: websocket"), "{head}");
        write!(stream, "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: x\r\n\r\n").unwrap();
        // Masked text of one byte in, unmasked text out, then a close.
        let mut frame = [0; 7];
        stream.read_exact(&mut frame).unwrap();
        stream.write_all(&[0x81, 2, b'>', frame[6], 0x88, 2, 3, 0xE8]).unwrap();
    });
    let toolbox = Toolbox::start();
    let mut socket = toolbox.socket(&format!("/proxy/{port}/ws"), "");
    assert_eq!(socket.status, 101);
    socket.text("x");
    assert_eq!((socket.next(), socket.next()), (Frame::Text(">x".to_owned()), Frame::Close(1000, String::new())));
    assert_eq!(socket.next(), Frame::End);
}
