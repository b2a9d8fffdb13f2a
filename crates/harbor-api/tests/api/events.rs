//! The event stream as the frames on its websocket (contract, control-plane §15.1).

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::support::{Installation, KEY, OTHER_KEY};

struct Client(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Client {
    /// Connects and sends this connect packet; answers the server's answer to it.
    async fn connect(address: &str, packet: &str) -> (Self, String) {
        let url =
            format!("ws://{address}/api/socket.io/?EIO=4&transport=websocket&source=sdk-python&sdkVersion=0.226.1");
        let (socket, _) = connect_async(url).await.unwrap();
        let mut client = Self(socket);
        let open = client.next().await;
        let open: Value = serde_json::from_str(open.strip_prefix('0').unwrap()).unwrap();
        assert_eq!(open["upgrades"], json!([]));
        assert_eq!((&open["pingInterval"], &open["pingTimeout"]), (&json!(25_000), &json!(20_000)));
        client.0.send(Message::text(packet)).await.unwrap();
        let answer = client.next().await;
        (client, answer)
    }

    /// The next frame that is no ping; pings are answered.
    async fn next(&mut self) -> String {
        self.frame(Duration::from_secs(15)).await.unwrap()
    }

    /// `None`: nothing came in time, or the connection was closed.
    async fn frame(&mut self, patience: Duration) -> Option<String> {
        let deadline = tokio::time::Instant::now() + patience;
        loop {
            let Ok(Some(Ok(Message::Text(text)))) = tokio::time::timeout_at(deadline, self.0.next()).await else {
                return None;
            };
            if text.as_str() != "2" {
                return Some(text.to_string());
            }
            self.0.send(Message::text("3")).await.unwrap();
        }
    }

    async fn event(&mut self) -> (String, Value) {
        let frame = self.next().await;
        let mut event: Vec<Value> = serde_json::from_str(frame.strip_prefix("42").unwrap()).unwrap();
        let payload = event.pop().unwrap();
        (event[0].as_str().unwrap().to_owned(), payload)
    }

    /// Nothing comes for a while, or the connection is closed.
    async fn quiet(&mut self) -> bool {
        self.frame(Duration::from_millis(300)).await.is_none()
    }
}

async fn serve(installation: &mut Installation) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (router, events) = (installation.router.clone(), installation.events.take().unwrap());
    let task = tokio::spawn(async move {
        tokio::join!(async { axum::serve(listener, router).await.unwrap() }, events.publish(std::future::pending()));
    });
    (address, task)
}

#[tokio::test]
async fn a_life_is_told_once_each_step_and_only_to_its_tenant() {
    let mut installation = Installation::new().await;
    let (address, task) = serve(&mut installation).await;
    let (mut mine, answer) = Client::connect(&address, &format!("40{{\"token\":\"{KEY}\"}}")).await;
    assert!(answer.starts_with("40{\"sid\":"), "{answer}");
    let (mut other, _) = Client::connect(&address, &format!("40{{\"token\":\"{OTHER_KEY}\"}}")).await;
    let id = installation.started("told").await;
    let (name, created) = mine.event().await;
    assert_eq!(
        (name.as_str(), &created["state"], &created["kvm"]),
        ("sandbox.created", &json!("creating"), &json!(false))
    );
    assert_eq!(created["id"], id.to_string());
    let mut expect = async |name: &str, from: &str, to: &str, state: &str| {
        let (event, payload) = mine.event().await;
        let (old, new) = if name == "sandbox.state.updated" {
            ("oldState", "newState")
        } else {
            ("oldDesiredState", "newDesiredState")
        };
        assert_eq!(event, name);
        assert_eq!((&payload[old], &payload[new]), (&json!(from), &json!(to)), "{payload}");
        assert_eq!((&payload["sandbox"]["id"], &payload["sandbox"]["state"]), (&json!(id.to_string()), &json!(state)));
    };
    expect("sandbox.state.updated", "creating", "started", "started").await;
    installation.call("POST", "/api/sandbox/told/stop", None).await;
    expect("sandbox.desired-state.updated", "started", "stopped", "stopping").await;
    expect("sandbox.state.updated", "started", "stopping", "stopping").await;
    installation.see(id).await;
    expect("sandbox.state.updated", "stopping", "stopped", "stopped").await;
    installation.call("PUT", "/api/sandbox/told/labels", Some(json!({"labels": {"a": "b"}}))).await;
    installation.call("DELETE", "/api/sandbox/told", None).await;
    expect("sandbox.desired-state.updated", "stopped", "destroyed", "destroying").await;
    expect("sandbox.state.updated", "stopped", "destroying", "destroying").await;
    installation.see(id).await;
    expect("sandbox.state.updated", "destroying", "destroyed", "destroyed").await;
    assert!(mine.quiet().await && other.quiet().await);
    task.abort();
}

#[tokio::test]
async fn who_shows_no_valid_key_is_told_so_and_hears_nothing() {
    let mut installation = Installation::new().await;
    let (address, task) = serve(&mut installation).await;
    for packet in ["40{\"token\":\"dtn_unknown\"}", "40", "40{}", "40{\"token\":7}", "40{\"token\":\"\"}"] {
        let (mut client, answer) = Client::connect(&address, packet).await;
        assert_eq!(answer, "44{\"message\":\"Unauthorized\"}", "{packet}");
        installation.started(&format!("silent-{}", packet.len())).await;
        assert!(client.quiet().await, "{packet}");
    }
    task.abort();
}

#[tokio::test]
async fn long_polling_is_refused_at_once() {
    let installation = Installation::new().await;
    for (query, body) in [
        ("EIO=4&transport=polling", json!({"code": 0, "message": "Transport unknown"})),
        ("", json!({"code": 0, "message": "Transport unknown"})),
        ("EIO=4&transport=websocket", json!({"code": 3, "message": "Bad request"})),
    ] {
        let answer = installation.call_as(None, "GET", &format!("/api/socket.io/?{query}"), None).await;
        assert_eq!((answer.status.as_u16(), answer.json()), (400, body), "{query}");
    }
}

#[tokio::test]
async fn a_key_that_was_deleted_no_longer_hears() {
    let mut installation = Installation::new().await;
    let (address, task) = serve(&mut installation).await;
    let made =
        installation.call("POST", "/api/api-keys", Some(json!({"name": "short", "permissions": []}))).await.json();
    let (mut client, answer) =
        Client::connect(&address, &json!({"token": made["value"]}).to_string().replace('{', "40{")).await;
    assert!(answer.starts_with("40"), "{answer}");
    assert_eq!(installation.call("DELETE", "/api/api-keys/short", None).await.status, 204);
    assert_eq!(client.next().await, "41", "the namespace is left");
    installation.started("unheard").await;
    assert!(client.quiet().await);
    task.abort();
}
