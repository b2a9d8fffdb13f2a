//! Requests that go on as a stream of harbor's own (see `harbor_protocol::remote`).

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::get;
use http::{HeaderValue, StatusCode, header};
use hyper::upgrade::{self, OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::http::error::Error;

/// The stream that a request becomes.
pub(crate) type Stream = TokioIo<Upgraded>;

/// A route whose requests become streams of `protocol`, each served by `serve` in a task of `chores`.
///
/// At most `most` at a time, which `what` names where one more is refused (429); 400 without the upgrade to `protocol`.
pub(crate) fn route<F>(
    path: &str,
    protocol: &'static str,
    most: usize,
    what: &'static str,
    chores: &TaskTracker,
    serve: impl Fn(Stream) -> F + Clone + Send + Sync + 'static,
) -> Router
where
    F: Future<Output = ()> + Send + 'static,
{
    let (permits, chores) = (Arc::new(Semaphore::new(most)), chores.clone());
    let open = async move |mut request: Request| -> Result<Response, Error> {
        let permit = permits.try_acquire_owned();
        let permit = permit.map_err(|_| Error::too_many(format!("{most} {what} are open; close one first")))?;
        let (response, upgrading) = switch(&mut request, protocol)?;
        chores.spawn(async move {
            // Otherwise the client has gone, or sent no upgrade after all.
            if let Ok(stream) = upgrading.await {
                serve(TokioIo::new(stream)).await;
            }
            drop(permit);
        });
        Ok(response)
    };
    Router::new().route(path, get(open))
}

/// The 101 to a request that upgrades to `protocol`, and what its connection becomes.
fn switch(request: &mut Request, protocol: &'static str) -> Result<(Response, OnUpgrade), Error> {
    let asked = request.headers().get(header::UPGRADE).is_some_and(|value| value == protocol);
    if !asked {
        return Err(Error::bad_request(format!("this is a stream; ask for it with Upgrade: {protocol}")));
    }
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static(protocol));
    Ok((response, upgrade::on(request)))
}
