//! A way to the servers of the sandbox: requests and answers stream through, upgrades included.
//!
//! Guarantees: path and query arrive as they were sent; nothing is buffered; when the client goes away, so does the
//! connection to the server.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version, header};
use hyper::client::conn::http1;
use hyper::upgrade::{self, OnUpgrade};
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::context::Context;
use crate::http::error::Error;

/// How long a server on this machine may take to accept.
const PATIENCE: Duration = Duration::from_secs(5);

/// Headers that concern one connection only, besides those that `Connection` names.
const CONNECTION_HEADERS: [HeaderName; 7] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// `/proxy/{port}` is `/proxy/{port}/`.
pub(super) async fn redirect(request: Request) -> Response {
    let (path, query) = (request.uri().path(), request.uri().query());
    let location = query.map_or_else(|| format!("{path}/"), |query| format!("{path}/?{query}"));
    let status =
        if request.method() == Method::GET { StatusCode::MOVED_PERMANENTLY } else { StatusCode::TEMPORARY_REDIRECT };
    (status, [(header::LOCATION, location)]).into_response()
}

pub(super) async fn forward(State(context): State<Context>, mut request: Request) -> Result<Response, Error> {
    let (port, target) = target(request.uri())?;
    let unreachable =
        |error: &dyn std::error::Error| Error::bad_gateway(format!("port {port} does not answer: {error}"));
    let stream = connect(port).await.map_err(|error| unreachable(&error))?;
    let handshake = http1::Builder::new().preserve_header_case(true).handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| unreachable(&error))?;
    context.processes().chores().spawn(async move {
        // Its errors reach whoever waits for the answer.
        let _ = connection.with_upgrades().await;
    });
    let protocol = upgraded_to(request.headers());
    let client = protocol.is_some().then(|| upgrade::on(&mut request));
    prepare(&mut request, port, target, protocol);
    let mut response = sender.send_request(request).await.map_err(|error| unreachable(&error))?;
    if let Some(client) = client.filter(|_| response.status() == StatusCode::SWITCHING_PROTOCOLS) {
        let server = upgrade::on(&mut response);
        context.processes().chores().spawn(join(client, server));
    } else {
        remove_connection_headers(response.headers_mut());
    }
    Ok(response.map(Body::new))
}

/// The port and what is asked of it.
fn target(uri: &Uri) -> Result<(u16, Uri), Error> {
    let rest = uri.path().strip_prefix("/proxy/").unwrap_or_default();
    let (port, path) = rest.split_once('/').unwrap_or((rest, ""));
    let number = port.parse().ok().filter(|&port| port > 0);
    let number =
        number.ok_or_else(|| Error::bad_request(format!("failed to parse target URL: invalid port {port:?}")))?;
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let target = format!("/{path}{query}").parse();
    Ok((number, target.map_err(|error| Error::bad_request(format!("failed to parse target URL: {error}")))?))
}

async fn connect(port: u16) -> io::Result<TcpStream> {
    let connect = async {
        match TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await {
            Ok(stream) => Ok(stream),
            Err(error) => TcpStream::connect((Ipv6Addr::LOCALHOST, port)).await.map_err(|_| error),
        }
    };
    let stream = timeout(PATIENCE, connect).await??;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The protocol that a request wants to go on with.
fn upgraded_to(headers: &HeaderMap) -> Option<HeaderValue> {
    let named = headers.get_all(header::CONNECTION).into_iter().filter_map(|value| value.to_str().ok());
    let asked = named.flat_map(|value| value.split(',')).any(|word| word.trim().eq_ignore_ascii_case("upgrade"));
    headers.get(header::UPGRADE).filter(|_| asked).cloned()
}

/// Makes a request to the toolbox one to the server.
fn prepare(request: &mut Request, port: u16, target: Uri, protocol: Option<HeaderValue>) {
    *request.uri_mut() = target;
    *request.version_mut() = Version::HTTP_11;
    let headers = request.headers_mut();
    remove_connection_headers(headers);
    if let Some(protocol) = protocol {
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, protocol);
    }
    if let Ok(host) = HeaderValue::from_str(&format!("localhost:{port}")) {
        headers.insert(header::HOST, host);
    }
}

fn remove_connection_headers(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&CONNECTION_HEADERS) {
        headers.remove(name);
    }
}

/// Carries bytes both ways until both sides have ended.
async fn join(client: OnUpgrade, server: OnUpgrade) {
    if let (Ok(client), Ok(server)) = tokio::join!(client, server) {
        // A side that breaks ends both.
        let _ = copy_bidirectional(&mut TokioIo::new(client), &mut TokioIo::new(server)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_and_query_stay_as_they_are() {
        let (port, uri) = target(&"/proxy/3000/a%2Fb/../c?q=%20&r".parse().unwrap()).unwrap();
        assert_eq!((port, uri.to_string().as_str()), (3000, "/a%2Fb/../c?q=%20&r"));
        assert_eq!(target(&"/proxy/80/".parse().unwrap()).unwrap().1, "/");
    }

    #[test]
    fn a_port_is_a_number() {
        for path in ["/proxy/abc/x", "/proxy/0/x", "/proxy/65536/x", "/proxy/-1/x", "/proxy//x"] {
            assert_eq!(target(&path.parse().unwrap()).unwrap_err().status(), StatusCode::BAD_REQUEST, "{path}");
        }
    }
}
