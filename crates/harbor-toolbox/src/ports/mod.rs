//! Servers that run in the sandbox: which ports they listen on, and a way to them (contract, toolbox §15).

mod listening;
mod proxy;

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::{any, get};
use serde::Serialize;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::context::Context;
use crate::http::error::Error;
use crate::http::json::Json;
use crate::http::params::Params;

/// Ports that may be asked after.
const ASKABLE: std::ops::RangeInclusive<u16> = 3000..=9999;

/// How long a connection attempt may take where the kernel's tables show nothing.
const KNOCK: Duration = Duration::from_millis(50);

/// The routes of this module.
pub(crate) fn routes() -> Router<Context> {
    Router::new()
        .route("/port", get(list))
        .route("/port/{port}/in-use", get(in_use))
        .route("/proxy/{port}", any(proxy::redirect))
        .route("/proxy/{port}/", any(proxy::forward))
        .route("/proxy/{port}/{*path}", any(proxy::forward))
}

#[derive(Serialize)]
struct Ports {
    ports: Vec<u16>,
}

async fn list() -> Json<Ports> {
    Json(Ports { ports: listening::ports() })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InUse {
    is_in_use: bool,
}

async fn in_use(State(_): State<Context>, Params(port): Params<String>) -> Result<Json<InUse>, Error> {
    let (first, last) = (ASKABLE.start(), ASKABLE.end());
    let port: Option<u16> = port.parse().ok().filter(|port| ASKABLE.contains(port));
    let port = port.ok_or_else(|| Error::bad_request(format!("port must be a number from {first} to {last}")))?;
    Ok(Json(InUse { is_in_use: listening::ports().contains(&port) || answers(port).await }))
}

/// Whether something takes a connection, for systems that do not show their tables.
async fn answers(port: u16) -> bool {
    let knock = async {
        let (four, six) = tokio::join!(
            TcpStream::connect((Ipv4Addr::LOCALHOST, port)),
            TcpStream::connect((Ipv6Addr::LOCALHOST, port))
        );
        four.is_ok() || six.is_ok()
    };
    timeout(KNOCK, knock).await.unwrap_or(false)
}
