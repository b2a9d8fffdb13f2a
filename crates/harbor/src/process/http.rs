//! One GET request to a server on this machine, for commands that ask a running harbor or the engine how it is.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, bail};
use hyper::StatusCode;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use http_body_util::{BodyExt as _, Empty};

/// What `GET path` is answered with, within `limit`.
pub(crate) fn answer(address: SocketAddr, path: &str, limit: Duration) -> anyhow::Result<(StatusCode, Bytes)> {
    answer_to(None, address, path, limit)
}

/// The same for the bearer of `key`.
pub(crate) fn answer_to(
    key: Option<&str>,
    address: SocketAddr,
    path: &str,
    limit: Duration,
) -> anyhow::Result<(StatusCode, Bytes)> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the runtime")?;
    runtime.block_on(async {
        match tokio::time::timeout(limit, get(key, address, path)).await {
            Ok(answer) => answer,
            Err(_) => bail!("{address} did not answer within {limit:?}"),
        }
    })
}

async fn get(key: Option<&str>, address: SocketAddr, path: &str) -> anyhow::Result<(StatusCode, Bytes)> {
    let stream = TcpStream::connect(address).await.with_context(|| format!("cannot connect to {address}"))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let mut request = hyper::Request::get(path).header(hyper::header::HOST, address.to_string());
    if let Some(key) = key {
        request = request.header(hyper::header::AUTHORIZATION, format!("Bearer {key}"));
    }
    let request = request.body(Empty::<Bytes>::new())?;
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
