//! Every road into a live sandbox: toolbox proxy, preview proxy, SSH.
//!
//! Each road resolves who is meant, has control admit the caller, connects through the [`Admission`] and moves bytes.
//! Guarantees: nothing is dialled without an admission, which is asked for per request and never cached, so what is
//! revoked opens nothing from then on; bodies stream both ways and are never collected; paths and queries arrive byte
//! by byte as they were sent; a sandbox never sees harbor's credentials, nor a credential that was spent on the way
//! in; a client that goes away takes its request to the sandbox with it.
//! Leaves out: TLS, which ends in front of harbor.
//!
//! `roads` has one module a road: the toolbox by path; previews by host name, where login, cookies and the warning page
//! will go as well; SSH will stand beside them. `http` is what they share, and knows none of them.
//!
//! [`Admission`]: harbor_control::Admission

mod http;
mod roads;

use std::sync::Arc;

use ::http::{HeaderName, Method, StatusCode, header};
use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use harbor_control::Control;

use crate::http::cors::Cors;
use crate::http::forward::Forwarder;
use crate::http::refusal::{Dialect, Refusal};
use crate::roads::preview;
use crate::roads::toolbox::{self, ToolboxRoad};

/// What the gateway has to know of this installation.
#[derive(Clone, Debug)]
pub struct Config {
    /// Port of the toolbox on a sandbox's loopback.
    pub toolbox_port: u16,
    /// Header that carries the sandbox's token to its toolbox.
    pub toolbox_token_header: HeaderName,
    /// Header that asks a toolbox for a log as it is written.
    pub toolbox_follow_header: HeaderName,
    /// Connections into sandboxes that may be kept idle for later requests.
    pub most_idle_connections: usize,
    /// Terminals and other tunnels that may be open at a time.
    pub most_tunnels: usize,
    /// harbor's version, as `GET /health` answers it.
    pub version: String,
}

/// The doors to live sandboxes over HTTP. Clones share one pool of connections into sandboxes; when the last clone
/// goes, so do those connections and all tunnels.
#[derive(Clone)]
pub struct Gateway {
    inner: Arc<Inner>,
}

struct Inner {
    toolbox: ToolboxRoad,
    version: String,
}

impl Gateway {
    /// Doors to the sandboxes that `control` admits to.
    pub fn new(control: Control, config: Config) -> Self {
        let Config {
            toolbox_port,
            toolbox_token_header,
            toolbox_follow_header,
            most_idle_connections,
            most_tunnels,
            version,
        } = config;
        let toolbox = ToolboxRoad {
            control,
            forwarder: Forwarder::new(most_idle_connections, most_tunnels),
            port: toolbox_port,
            token_header: toolbox_token_header,
            follow_header: toolbox_follow_header,
        };
        Self { inner: Arc::new(Inner { toolbox, version }) }
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
        Some(target) => inner.toolbox.pass(target, request).await,
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
    let mut response = inner.toolbox.pass(target, request).await;
    cors.dress(&mut response);
    response
}

fn health(inner: &Inner) -> Response {
    let body = serde_json::json!({ "status": "ok", "version": inner.version }).to_string();
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
