//! One GET request to a server on this machine, for commands that ask a running harbor how it is.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, bail};
use http_body_util::{BodyExt as _, Empty};
use hyper::StatusCode;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// How often it is looked whether waiting still makes sense.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What `GET path` is answered with, within `limit`.
pub(crate) fn answer(address: SocketAddr, path: &str, limit: Duration) -> anyhow::Result<(StatusCode, Bytes)> {
    ask(|| true, None, address, path, limit)
}

/// The same for the bearer of `key`.
pub(crate) fn answer_to(
    key: &str,
    address: SocketAddr,
    path: &str,
    limit: Duration,
) -> anyhow::Result<(StatusCode, Bytes)> {
    ask(|| true, Some(key), address, path, limit)
}

/// The same as [`answer`], for as long as `makes_sense`, which is asked every 20 ms.
pub(crate) fn answer_while(
    makes_sense: impl Fn() -> bool,
    address: SocketAddr,
    path: &str,
    limit: Duration,
) -> anyhow::Result<(StatusCode, Bytes)> {
    ask(makes_sense, None, address, path, limit)
}

fn ask(
    makes_sense: impl Fn() -> bool,
    key: Option<&str>,
    address: SocketAddr,
    path: &str,
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
            answer = tokio::time::timeout(limit, get(key, address, path)) => match answer {
                Ok(answer) => answer,
                Err(_) => bail!("{address} did not answer within {limit:?}"),
            },
            () = over => bail!("{address} was given up before it answered"),
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
