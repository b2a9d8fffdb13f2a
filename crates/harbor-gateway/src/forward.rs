//! An admitted request, there and back.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::response::{IntoResponse, Response};
use harbor_control::Admission;
use http::header::{self, HeaderValue};
use http::request::Parts;
use http::{Method, StatusCode, Uri, Version};
use http_body::Body as _;
use hyper::body::Incoming;

use crate::activity::{Activity, KeyEnded};
use crate::pool::Lease;
use crate::transfer::Download;
use crate::upstream::{self, Failure};
use crate::{Inner, follow, headers, host, tunnel};

/// What a request was admitted to.
pub(crate) struct Passage {
    pub(crate) admission: Arc<Admission>,
    /// What the toolbox is asked for.
    pub(crate) uri: Uri,
    /// What stands before that in the client's path, and has to in redirects.
    pub(crate) prefix: String,
}

/// Passes the request to the toolbox, and its answer back, each body as it comes. 502 without a body when no answer
/// begins (contract, edges §1.13). Refused if the key ends before that.
pub(crate) async fn to_toolbox(inner: &Inner, passage: Passage, mut request: Request) -> Result<Response, KeyEnded> {
    let Passage { admission, uri, prefix } = passage;
    let mut activity = Activity::of(&admission, headers::take_skip_activity(request.headers_mut()));
    let upgrade = headers::upgrade(request.headers());
    let client_side = upgrade.as_ref().map(|_| tunnel::client_side(&mut request));
    let headless = request.method() == Method::HEAD;
    let (mut head, body) = outgoing(request, uri, upgrade);
    follow::ask_for_stream(&inner.config.toolbox_follow_header, &mut head);
    if !authorise(inner, &admission, &mut head) {
        tracing::error!(sandbox = %admission.sandbox().id, "the sandbox's token is no header value");
        return Ok(StatusCode::BAD_GATEWAY.into_response());
    }
    let exchange = upstream::exchange(inner, &admission, head, body);
    let (mut response, lease) = match activity.beside(exchange).await? {
        Ok(answered) => answered,
        Err(failure) => return Ok(unanswered(&admission, &failure)),
    };
    // that of a server in the sandbox, which may be older, is not this one's
    *response.version_mut() = Version::HTTP_11;
    let switched = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    let protocol = headers::upgrade(response.headers());
    headers::remove_hop_by_hop(response.headers_mut());
    if response.status().is_redirection() && response.status() != StatusCode::NOT_MODIFIED {
        headers::rewrite_location(response.headers_mut(), &prefix);
    }
    Ok(match (switched, client_side, protocol) {
        (true, Some(client_side), Some(protocol)) => {
            headers::insert_upgrade(response.headers_mut(), protocol);
            tunnel::dig(inner, client_side, &mut response, activity);
            response.map(|_| Body::empty())
        }
        (true, _, _) => StatusCode::BAD_GATEWAY.into_response(),
        (false, _, _) => answer(response, lease, activity, headless),
    })
}

fn answer(response: http::Response<Incoming>, lease: Lease, activity: Activity, headless: bool) -> Response {
    response.map(|body| Body::new(Download::new(body, lease, activity, headless)))
}

/// The request as the toolbox shall read it, but for harbor's own headers.
fn outgoing(request: Request, uri: Uri, upgrade: Option<HeaderValue>) -> (Parts, Body) {
    let client = client(&request);
    let host = host::of(&request).and_then(|host| HeaderValue::from_str(host).ok());
    let chunked = !request.body().is_end_stream() && request.body().size_hint().exact().is_none();
    let (mut head, body) = request.into_parts();
    head.uri = uri;
    head.version = Version::HTTP_11;
    head.extensions.clear();
    let headers = &mut head.headers;
    headers::remove_hop_by_hop(headers);
    headers.remove(header::EXPECT); // answered by harbor as soon as the sandbox takes the body
    headers::insert_forwarded(headers, client, host);
    if chunked {
        headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    if let Some(protocol) = upgrade {
        headers::insert_upgrade(headers, protocol);
    }
    (head, body)
}

/// Replaces whatever the client sent in the token's header by the sandbox's token.
fn authorise(inner: &Inner, admission: &Admission, head: &mut Parts) -> bool {
    head.headers.insert(header::HOST, inner.toolbox_host.clone());
    let Ok(mut token) = HeaderValue::from_str(admission.toolbox_token().reveal()) else { return false };
    token.set_sensitive(true);
    head.headers.insert(&inner.config.toolbox_token_header, token);
    true
}

fn client(request: &Request) -> Option<IpAddr> {
    request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip())
}

fn unanswered(admission: &Admission, failure: &Failure) -> Response {
    let sandbox = admission.sandbox().id;
    match failure {
        Failure::Dial(error) => tracing::warn!(%sandbox, %error, "the toolbox was not reached"),
        Failure::Broken(error) => tracing::warn!(%sandbox, %error, "the toolbox gave no answer"),
    }
    StatusCode::BAD_GATEWAY.into_response()
}
