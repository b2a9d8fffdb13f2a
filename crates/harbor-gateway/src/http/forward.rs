//! An admitted request, there and back.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::response::Response;
use harbor_control::Admission;
use http::header::{self, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, StatusCode, Uri, Version};
use http_body::Body as _;

use super::activity::{Activity, Ended};
use super::download::Download;
use super::pool::Pool;
use super::refusal::Refusal;
use super::tasks::Tasks;
use super::tunnel::Tunnels;
use super::upstream::{self, Failure};
use super::{headers, host, tunnel};

/// What a request was admitted to, and how it arrives there.
pub(crate) struct Passage {
    pub(crate) admission: Arc<Admission>,
    /// What the server in the sandbox is asked for.
    pub(crate) uri: Uri,
    /// What stands before that in the client's path, and has to in redirects.
    pub(crate) prefix: String,
    /// What the server reads as `Host`.
    pub(crate) host: HeaderValue,
    /// Headers between harbor and that server: set, or taken off, whatever the client sent in them.
    pub(crate) own: Vec<(HeaderName, Option<HeaderValue>)>,
    /// Whether that server speaks first once the protocol has changed.
    pub(crate) greets: bool,
}

/// Passes requests on; keeps the connections into sandboxes and what outlives a request. When it goes, so do they.
pub(crate) struct Forwarder {
    pool: Arc<Pool>,
    tasks: Arc<Tasks>,
    tunnels: Tunnels,
}

impl Forwarder {
    /// Keeps at most `most_idle` connections into sandboxes for later requests, and lets in `most_tunnels`.
    pub(crate) fn new(most_idle: usize, most_tunnels: usize) -> Self {
        let tasks = Arc::new(Tasks::default());
        let pool = Arc::new(Pool::new(Arc::clone(&tasks), most_idle));
        Self { pool, tasks, tunnels: Tunnels::new(most_tunnels) }
    }

    /// Passes the request on, and its answer back, each body as it comes. Refused when no answer begins (contract, edges
    /// §1.13), also if the key or the sandbox's run ends before that.
    pub(crate) async fn pass(&self, passage: Passage, mut request: Request) -> Result<Response, Refusal> {
        let Passage { admission, uri, prefix, host, own, greets } = passage;
        let mut activity = Activity::of(&admission, headers::take_skip_activity(request.headers_mut()));
        let upgrade = headers::upgrade(request.headers());
        let place = upgrade.as_ref().map(|_| self.tunnels.take()).transpose()?;
        let client_side = upgrade.as_ref().map(|_| hyper::upgrade::on(&mut request));
        let headless = request.method() == Method::HEAD;
        let (mut head, body) = outgoing(request, uri, upgrade);
        head.headers.insert(header::HOST, host);
        for (name, value) in own {
            match value {
                Some(value) => {
                    head.headers.insert(name, value);
                }
                None => {
                    head.headers.remove(name);
                }
            }
        }
        let exchange = upstream::exchange(&self.pool, &self.tasks, &admission, head, body);
        let (mut response, lease) = match activity.beside(exchange).await {
            Ok(Ok(answered)) => answered,
            Ok(Err(failure)) => return Err(whose_fault(&admission, failure).await),
            Err(Ended::Key) => return Err(Refusal::new(StatusCode::UNAUTHORIZED, Ended::Key.to_string())),
            Err(Ended::Sandbox) => return Err(no_longer_started(&admission).await),
        };
        // that of a server in the sandbox, which may be older, is not this one's
        *response.version_mut() = Version::HTTP_11;
        let switched = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        let protocol = headers::upgrade(response.headers());
        headers::remove_hop_by_hop(response.headers_mut());
        if response.status().is_redirection() && response.status() != StatusCode::NOT_MODIFIED {
            headers::rewrite_location(response.headers_mut(), &prefix);
        }
        match (switched, client_side.zip(place), protocol) {
            (true, Some((client_side, place)), Some(protocol)) => {
                headers::insert_upgrade(response.headers_mut(), protocol);
                tunnel::dig(&self.tasks, client_side, &mut response, activity, place, greets).await?;
                Ok(response.map(|_| Body::empty()))
            }
            (true, _, _) => {
                Err(Refusal::new(StatusCode::BAD_GATEWAY, "the server in the sandbox changed the protocol unasked"))
            }
            (false, _, _) => Ok(response.map(|body| Body::new(Download::new(body, lease, activity, headless)))),
        }
    }
}

/// The request as the server shall read it, but for harbor's own headers.
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

fn client(request: &Request) -> Option<IpAddr> {
    request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip())
}

/// Why no answer came, for whoever it is who has to do something about it: the client whose body broke off, the owner of
/// a sandbox that is no longer started, or the owner of the server in it.
async fn whose_fault(admission: &Admission, failure: Failure) -> Refusal {
    let sandbox = admission.sandbox().id;
    let message = match failure {
        Failure::Broken(error) if error.is_user() => {
            tracing::debug!(%sandbox, %error, "a request's body broke off");
            return Refusal::bad_request("the request's body ended early");
        }
        Failure::Broken(error) => {
            tracing::warn!(%sandbox, %error, "the server in a sandbox gave no answer");
            "the server in the sandbox closed the connection without an answer".to_owned()
        }
        Failure::Dial(error) => {
            tracing::warn!(%sandbox, %error, "the server in a sandbox was not reached");
            error.to_string()
        }
    };
    match admission.check_started().await {
        Ok(()) => Refusal::new(StatusCode::BAD_GATEWAY, message),
        Err(error) => error.into(),
    }
}

/// Why what was asked of the sandbox ended without an answer: it is no longer what was entered.
async fn no_longer_started(admission: &Admission) -> Refusal {
    match admission.check_started().await {
        Ok(()) => Refusal::bad_request("the sandbox was stopped and started again before it answered"),
        Err(error) => error.into(),
    }
}
