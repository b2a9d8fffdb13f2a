//! Every road into a live sandbox: toolbox proxy, preview proxy, SSH.
//!
//! Each road resolves who is meant, has control admit the caller, connects through the [`Admission`] and moves bytes.
//! Guarantees: nothing is dialled without an admission, which is asked for per request and never cached, so what is
//! revoked opens nothing from then on; bodies stream both ways and are never collected; paths and queries arrive byte
//! by byte as they were sent; a sandbox never sees harbor's credentials, nor a credential that was spent on the way
//! in; a client that goes away takes its request to the sandbox with it.
//! Leaves out: TLS, which ends in front of harbor.
//!
//! Roads: [`toolbox`] by path; [`preview`] by host name, where login, cookies and the warning page will go as well.
//! SSH becomes a module `ssh` beside them.
//!
//! [`Admission`]: harbor_control::Admission

mod activity;
mod cors;
mod credentials;
mod follow;
mod forward;
mod guard;
mod headers;
mod host;
mod pool;
mod preview;
mod refusal;
mod serve;
mod signed_url;
mod tasks;
mod toolbox;
mod transfer;
mod tunnel;
mod upstream;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use harbor_control::Control;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};

pub use serve::serve;

use crate::cors::Cors;
use crate::pool::Pool;
use crate::refusal::{Dialect, Refusal};
use crate::tasks::Tasks;
use crate::toolbox::Target;

/// What the gateway has to know of this installation.
#[derive(Clone, Debug)]
pub struct Config {
    /// Port of the toolbox on a sandbox's loopback.
    pub toolbox_port: u16,
    /// Header that carries the sandbox's token to its toolbox.
    pub toolbox_token_header: HeaderName,
    /// Header that asks a toolbox for a log as it is written.
    pub toolbox_follow_header: HeaderName,
    /// harbor's version, as `GET /health` answers it.
    pub version: String,
}

/// The doors to live sandboxes over HTTP. Clones share one pool of connections into sandboxes; when the last clone
/// goes, so do those connections and all tunnels.
#[derive(Clone)]
pub struct Gateway {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) control: Control,
    pub(crate) config: Config,
    /// What a toolbox reads as `Host`.
    pub(crate) toolbox_host: HeaderValue,
    pub(crate) pool: Arc<Pool>,
    pub(crate) tasks: Arc<Tasks>,
}

impl Gateway {
    /// Doors to the sandboxes that `control` admits to.
    pub fn new(control: Control, config: Config) -> Self {
        let toolbox_host = HeaderValue::from_str(&format!("localhost:{}", config.toolbox_port))
            .unwrap_or(HeaderValue::from_static("localhost"));
        let tasks = Arc::new(Tasks::default());
        let pool = Arc::new(Pool::new(Arc::clone(&tasks)));
        Self { inner: Arc::new(Inner { control, config, toolbox_host, pool, tasks }) }
    }

    /// Everything that the proxy's listener answers (contract, edges §1.1): preview hosts, `/toolbox/{sandboxId}/…`,
    /// `GET /health`, 404 for the rest.
    pub fn proxy(&self) -> Router {
        Router::new().fallback(on_proxy).with_state(self.clone())
    }

    /// `api` with the doors that its listener has as well, looked at before `api` is: preview hosts,
    /// `/toolbox/{sandboxId}/…` and `/api/toolbox/{sandboxId}/toolbox/…` (contract, edges §1.1, §1.3).
    ///
    /// Layers that are to see these requests too go around the result.
    pub fn beside(&self, api: Router) -> Router {
        api.layer(from_fn_with_state(self.clone(), on_api))
    }
}

async fn on_proxy(State(Gateway { inner }): State<Gateway>, mut request: Request) -> Response {
    if let Some(answer) = preview::intercept(&request) {
        return answer;
    }
    let cors = Cors::of(&mut request);
    if let Some(answer) = cors.preflight(&request) {
        return answer;
    }
    let mut response = match toolbox::direct(request.uri().path()) {
        Some(target) => pass(&inner, target, request).await,
        None if request.uri().path() == "/health" && is_read(request.method()) => health(&inner),
        None => not_found(&request),
    };
    cors.dress(&mut response);
    response
}

async fn on_api(State(Gateway { inner }): State<Gateway>, mut request: Request, next: Next) -> Response {
    if let Some(answer) = preview::intercept(&request) {
        return answer;
    }
    let path = request.uri().path();
    let Some(target) = toolbox::direct(path).or_else(|| toolbox::legacy(path)) else {
        return next.run(request).await;
    };
    let cors = Cors::of(&mut request);
    if let Some(answer) = cors.preflight(&request) {
        return answer;
    }
    let mut response = pass(&inner, target, request).await;
    cors.dress(&mut response);
    response
}

async fn pass(inner: &Inner, target: Target, request: Request) -> Response {
    toolbox::pass(inner, target, request).await
}

fn health(inner: &Inner) -> Response {
    let body = serde_json::json!({ "status": "ok", "version": inner.config.version }).to_string();
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn not_found(request: &Request) -> Response {
    Refusal::new(StatusCode::NOT_FOUND, "nothing is served at this path").answer(
        Dialect::Proxy,
        request.method(),
        request.uri(),
    )
}

fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}
