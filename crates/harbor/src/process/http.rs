//! One request to a server on this machine, for commands that ask something of a running harbor.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, bail};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::{Method, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// How often it is looked whether waiting still makes sense.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What a server is asked.
pub(crate) struct Question<'a> {
    /// The method.
    pub(crate) method: Method,
    /// The path, with what follows it.
    pub(crate) path: &'a str,
    /// Whose bearer asks.
    pub(crate) key: Option<&'a str>,
    /// The body.
    pub(crate) body: Option<serde_json::Value>,
}

impl<'a> Question<'a> {
    const fn get(key: Option<&'a str>, path: &'a str) -> Self {
        Self { method: Method::GET, path, key, body: None }
    }
}

/// What this is answered with, within `limit`.
pub(crate) fn ask(
    question: &Question<'_>,
    address: SocketAddr,
    limit: Duration,
) -> anyhow::Result<(StatusCode, Bytes)> {
    ask_while(|| true, question, address, limit)
}

/// What `GET path` is answered with, within `limit`.
pub(crate) fn answer(address: SocketAddr, path: &str, limit: Duration) -> anyhow::Result<(StatusCode, Bytes)> {
    ask(&Question::get(None, path), address, limit)
}

/// The same for the bearer of `key`.
pub(crate) fn answer_to(
    key: &str,
    address: SocketAddr,
    path: &str,
    limit: Duration,
) -> anyhow::Result<(StatusCode, Bytes)> {
    ask(&Question::get(Some(key), path), address, limit)
}

/// The same as [`answer`], for as long as `makes_sense`, which is asked every 20 ms.
pub(crate) fn answer_while(
    makes_sense: impl Fn() -> bool,
    address: SocketAddr,
    path: &str,
    limit: Duration,
) -> anyhow::Result<(StatusCode, Bytes)> {
    ask_while(makes_sense, &Question::get(None, path), address, limit)
}

fn ask_while(
    makes_sense: impl Fn() -> bool,
    question: &Question<'_>,
    address: SocketAddr,
    limit: Duration,
) -> anyhow::Result<(StatusCode, Bytes)> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the runtime")?;
    let over = async {
        while makes_sense() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    runtime.block_on(async {
        tokio::select! {
            answer = tokio::time::timeout(limit, exchange(question, address)) => match answer {
                Ok(answer) => answer,
                Err(_) => bail!("{address} did not answer within {limit:?}"),
            },
            () = over => bail!("{address} was given up before it answered"),
        }
    })
}

async fn exchange(question: &Question<'_>, address: SocketAddr) -> anyhow::Result<(StatusCode, Bytes)> {
    let Question { method, path, key, body } = question;
    let stream = TcpStream::connect(address).await.with_context(|| format!("cannot connect to {address}"))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let mut request =
        hyper::Request::builder().method(method).uri(*path).header(hyper::header::HOST, address.to_string());
    if let Some(key) = key {
        request = request.header(hyper::header::AUTHORIZATION, format!("Bearer {key}"));
    }
    if body.is_some() {
        request = request.header(hyper::header::CONTENT_TYPE, "application/json");
    }
    let body = body.as_ref().map(serde_json::Value::to_string).unwrap_or_default();
    let request = request.body(Full::new(Bytes::from(body)))?;
    let answer = async {
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        drop(sender); // ends the connection, and with it the other half of this join
        anyhow::Ok((status, body))
    };
    let (answer, _) = tokio::join!(answer, connection);
    answer.with_context(|| format!("{address} did not answer"))
}
