//! `WebSocket`s and other upgrades (contract, edges §1.12).

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use http::{HeaderValue, StatusCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::fixture::{KEY, MOST_TUNNELS, PREVIEW_TOKEN, Started, ask, bearer};
use crate::scripted;

/// A toolbox that accepts web sockets, picks the last protocol offered, and sends back what it gets.
async fn echo() -> Started {
    let toolbox = scripted::toolbox(|_, stream| async move {
        #[expect(clippy::result_large_err, reason = "the library's signature")]
        let pick = |request: &Request, mut response: Response| {
            assert!(!request.headers().contains_key("authorization"));
            let offered = request.headers().get("sec-websocket-protocol").and_then(|value| value.to_str().ok());
            if let Some(last) = offered.and_then(|offered| offered.split(", ").last()) {
                response.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_str(last).unwrap());
            }
            Ok(response)
        };
        let mut socket = tokio_tungstenite::accept_hdr_async(stream, pick).await.unwrap();
        while let Some(Ok(message)) = socket.next().await {
            if (message.is_text() || message.is_binary()) && socket.send(message).await.is_err() {
                return;
            }
        }
    });
    Started::with_toolbox_at(toolbox.await).await
}

#[tokio::test]
async fn messages_and_protocols_pass_both_ways() {
    let started = echo().await;
    let key = bearer(KEY);
    let preview = format!("?DAYTONA_SANDBOX_AUTH_KEY={PREVIEW_TOKEN}");
    for (address, path, authorization) in [
        (started.proxy, started.path("/process/pty/x/connect"), Some(&key)),
        (started.proxy, started.path("/process/pty/x/connect") + &preview, None),
        (started.api, started.legacy("/process/pty/x/connect"), Some(&key)),
    ] {
        let mut request = format!("ws://{address}{path}").into_client_request().unwrap();
        if let Some(authorization) = authorization {
            request.headers_mut().insert("authorization", authorization.parse().unwrap());
        }
        let offered = "X-Daytona-SDK-Version~0.190.0, X-Daytona-Pty-Exit-Control";
        request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(offered));
        let stream = TcpStream::connect(address).await.unwrap();
        let (mut socket, response) = tokio_tungstenite::client_async(request, stream).await.unwrap();
        assert_eq!(response.headers()["sec-websocket-protocol"], "X-Daytona-Pty-Exit-Control");
        for size in [0, 1, 1000, 1_000_000] {
            let message = Message::binary(vec![7; size]);
            socket.send(message.clone()).await.unwrap();
            assert_eq!(socket.next().await.unwrap().unwrap(), message);
        }
        socket.send(Message::text("grüße")).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("grüße"));
        socket.close(None).await.unwrap();
        assert!(matches!(socket.next().await, Some(Ok(Message::Close(_))) | None));
    }
}

#[tokio::test]
async fn a_refused_upgrade_comes_back_as_it_is() {
    let toolbox = scripted::toolbox(|_, mut stream| async move {
        while let Some((head, _)) = scripted::read(&mut stream).await {
            assert!(head.contains("upgrade: websocket") && head.contains("connection: upgrade"), "{head}");
            let answer = "HTTP/1.1 409 Conflict\r\ncontent-length: 6\r\nx-why: taken\r\n\r\nin use";
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    let started = Started::with_toolbox_at(toolbox.await).await;
    for _ in 0..2 {
        let mut request = format!("ws://{}{}", started.proxy, started.path("/x")).into_client_request().unwrap();
        request.headers_mut().insert("authorization", bearer(KEY).parse().unwrap());
        let stream = TcpStream::connect(started.proxy).await.unwrap();
        let Err(Error::Http(response)) = tokio_tungstenite::client_async(request, stream).await else {
            panic!("the upgrade was refused")
        };
        assert_eq!(
            (response.status(), &response.headers()["x-why"]),
            (StatusCode::CONFLICT, &"taken".parse().unwrap())
        );
        assert_eq!(response.body().as_deref(), Some(&b"in use"[..]));
    }
}

/// Asks for a change to a protocol of its own, and reads the head of the answer.
async fn raw_upgrade(started: &Started) -> TcpStream {
    let mut client = TcpStream::connect(started.proxy).await.unwrap();
    ask_for_upgrade(started, "/x", &mut client).await;
    read_agreement(&mut client).await;
    client
}

async fn ask_for_upgrade(started: &Started, path: &str, client: &mut TcpStream) {
    let head = format!(
        "GET {} HTTP/1.1\r\nhost: localhost\r\nauthorization: {}\r\nconnection: keep-alive, Upgrade\r\n\
         upgrade: raw/1\r\n\r\n",
        started.path(path),
        bearer(KEY)
    );
    client.write_all(head.as_bytes()).await.unwrap();
}

async fn read_agreement(client: &mut TcpStream) {
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(client.read_u8().await.unwrap());
    }
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 101 ") && answer.contains("upgrade: raw/1\r\n"), "{answer}");
}

const SWITCHING: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: raw/1\r\n\r\n";

#[tokio::test]
async fn a_terminal_is_answered_together_with_its_first_words() {
    let may_speak = Arc::new(Notify::new());
    let may = Arc::clone(&may_speak);
    let toolbox = scripted::toolbox(move |_, mut stream| {
        let may = Arc::clone(&may);
        async move {
            scripted::read(&mut stream).await.unwrap();
            stream.write_all(SWITCHING).await.unwrap();
            may.notified().await;
            stream.write_all(b"connected").await.unwrap();
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
    });
    let started = Started::with_toolbox_at(toolbox.await).await;
    let mut client = TcpStream::connect(started.proxy).await.unwrap();
    ask_for_upgrade(&started, "/process/pty/x/connect", &mut client).await;
    let early = tokio::time::timeout(Duration::from_millis(100), client.readable()).await;
    assert!(early.is_err(), "an answer without the first words");
    may_speak.notify_one();
    read_agreement(&mut client).await;
    let mut words = [0; 9];
    client.read_exact(&mut words).await.unwrap();
    assert_eq!(&words, b"connected");
    // one that stays silent is answered all the same
    let mut client = TcpStream::connect(started.proxy).await.unwrap();
    ask_for_upgrade(&started, "/process/pty/create-connect", &mut client).await;
    read_agreement(&mut client).await;
}

#[tokio::test]
async fn tunnels_beyond_their_share_are_refused_until_one_ends() {
    let toolbox = scripted::toolbox(|_, mut stream| async move {
        let (head, _) = scripted::read(&mut stream).await.unwrap();
        if head.contains("upgrade: raw/1") {
            stream.write_all(SWITCHING).await.unwrap();
            let _ = stream.read_to_end(&mut Vec::new()).await;
        } else {
            scripted::answer(&mut stream, b"plain").await;
        }
    });
    let started = Started::with_toolbox_at(toolbox.await).await;
    let mut open = Vec::new();
    for _ in 0..MOST_TUNNELS {
        open.push(raw_upgrade(&started).await);
    }
    let headers = [("authorization", &*bearer(KEY)), ("connection", "upgrade"), ("upgrade", "raw/1")];
    let refused = ask(started.proxy, "GET", &started.path("/x"), &headers, "").await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    let message = refused.json()["message"].as_str().unwrap().to_owned();
    assert!(message.contains("all 8 terminals") && message.contains("close some, or raise the limit"), "{message}");
    assert_eq!(started.get("/x").await.text(), "plain", "requests have the rest");
    drop(open.pop());
    let again = async || ask(started.proxy, "GET", &started.path("/x"), &headers, "").await.status;
    let given_back = async {
        while again().await != StatusCode::SWITCHING_PROTOCOLS {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), given_back).await.expect("a tunnel that ended leaves its place");
}

#[tokio::test]
async fn each_direction_ends_by_itself() {
    let toolbox = scripted::toolbox(|_, mut stream| async move {
        scripted::read(&mut stream).await.unwrap();
        stream.write_all(SWITCHING).await.unwrap();
        let mut received = Vec::new();
        stream.read_to_end(&mut received).await.unwrap(); // until the client ends its half
        stream.write_all(format!("got {}", received.len()).as_bytes()).await.unwrap();
    });
    let started = Started::with_toolbox_at(toolbox.await).await;
    let mut client = raw_upgrade(&started).await;
    client.write_all(&vec![1; 3_000_000]).await.unwrap();
    client.shutdown().await.unwrap();
    let mut answer = String::new();
    let reading = client.read_to_string(&mut answer);
    tokio::time::timeout(Duration::from_secs(10), reading).await.unwrap().unwrap();
    assert_eq!(answer, "got 3000000");
}

#[tokio::test]
async fn a_client_that_vanishes_ends_the_tunnel() {
    let (told, mut ended) = tokio::sync::mpsc::unbounded_channel();
    let toolbox = scripted::toolbox(move |_, mut stream| {
        let told = told.clone();
        async move {
            scripted::read(&mut stream).await.unwrap();
            stream.write_all(SWITCHING).await.unwrap();
            let mut received = Vec::new();
            let _ = stream.read_to_end(&mut received).await;
            told.send(received).unwrap();
        }
    });
    let started = Started::with_toolbox_at(toolbox.await).await;
    let mut client = raw_upgrade(&started).await;
    client.write_all(b"last words").await.unwrap();
    drop(client);
    let received = tokio::time::timeout(Duration::from_secs(5), ended.recv()).await.unwrap().unwrap();
    assert_eq!(received, b"last words");
}
