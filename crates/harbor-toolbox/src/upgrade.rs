//! Requests that go on as a stream of harbor's own (see `harbor_protocol::remote`).

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use hyper::upgrade::{self, Upgraded};
use hyper_util::rt::TokioIo;

use crate::error::Error;

/// The stream that a request becomes.
pub(crate) type Stream = TokioIo<Upgraded>;

/// Answers 101 and hands the stream over to `serve`; 400 unless the request upgrades to `protocol`.
pub(crate) fn upgrade<F>(
    mut request: Request,
    protocol: &'static str,
    serve: impl FnOnce(Stream) -> F + Send + 'static,
) -> Result<(Response, impl Future<Output = ()> + Send + 'static), Error>
where
    F: Future<Output = ()> + Send,
{
    let asked = request.headers().get(header::UPGRADE).is_some_and(|value| value == protocol);
    if !asked {
        return Err(Error::bad_request(format!("this is a stream; ask for it with Upgrade: {protocol}")));
    }
    let upgrading = upgrade::on(&mut request);
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static(protocol));
    let task = async move {
        // Otherwise the client has gone, or sent no upgrade after all.
        if let Ok(stream) = upgrading.await {
            serve(TokioIo::new(stream)).await;
        }
    };
    Ok((response, task))
}
