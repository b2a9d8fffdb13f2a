//! What holds for every answer: the routing rules, error bodies, and request ids (contract, toolbox §2.1 and §24).

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use uuid::Uuid;

use crate::http::error::Error;

/// Names a request in answers.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Below this prefix every method is the business of the server behind it.
const PORT_PROXY: &str = "/proxy/";

/// Gives an answer its request id and, when it is an [`Error`], its body.
pub(crate) async fn finish(request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let id = request.headers().get(REQUEST_ID).cloned().unwrap_or_else(new_id);
    let mut response = next.run(request).await;
    if let Some(error) = response.extensions_mut().remove::<Error>() {
        let body = error.body(method.as_str(), &path).to_string();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response.headers_mut().remove(header::CONTENT_LENGTH);
        *response.body_mut() = Body::from(body);
    }
    response.headers_mut().entry(REQUEST_ID).or_insert(id);
    response
}

/// Cuts a request off when the sandbox is stopped, and says so.
pub(crate) async fn until_stopped(State(stopping): State<CancellationToken>, request: Request, next: Next) -> Response {
    tokio::select! {
        // first: what ends now ends because of it
        biased;
        () = stopping.cancelled() => {
            Error::unavailable("the sandbox is being stopped, which cut this request off").into_response()
        }
        response = next.run(request) => response,
    }
}

fn new_id() -> HeaderValue {
    HeaderValue::from_str(&Uuid::new_v4().to_string()).unwrap_or(HeaderValue::from_static("-"))
}

/// HEAD and OPTIONS are no methods of any route, though the router would answer them.
pub(crate) async fn only_listed_methods(request: Request, next: Next) -> Response {
    let listed = !matches!(*request.method(), Method::HEAD | Method::OPTIONS);
    if listed || request.uri().path().starts_with(PORT_PROXY) { next.run(request).await } else { not_found() }
}

/// 404 for an unknown route, and for a known path with another method.
pub(crate) fn not_found() -> Response {
    (StatusCode::NOT_FOUND, [(header::CONTENT_TYPE, "text/plain")], "404 page not found").into_response()
}

/// The router itself, asked where a path that it does not know should have gone.
#[derive(Clone)]
pub(crate) struct Redirector {
    known: Router,
}

impl Redirector {
    /// Redirects to the routes of `known`.
    pub(crate) fn new(known: Router) -> Self {
        Self { known }
    }

    /// Whether a request with this method and path would reach a handler.
    async fn knows(&self, method: &Method, path: &str) -> bool {
        let allowed = allowed_methods(&self.known, path).await;
        allowed.is_some_and(|allowed| allowed.split(',').any(|name| name == method.as_str()))
    }
}

/// A path with one slash too many is redirected when the path without it exists; anything else is unknown.
pub(crate) async fn redirect_or_not_found(State(redirector): State<Redirector>, request: Request) -> Response {
    let (method, uri) = (request.method(), request.uri());
    let Some(path) = uri.path().strip_suffix('/').filter(|path| !path.is_empty()) else { return not_found() };
    if path.starts_with("//") || !redirector.knows(method, path).await {
        return not_found();
    }
    let location = uri.query().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    let status = if method == Method::GET { StatusCode::MOVED_PERMANENTLY } else { StatusCode::TEMPORARY_REDIRECT };
    match HeaderValue::from_str(&location) {
        Ok(location) => (status, [(header::LOCATION, location)]).into_response(),
        Err(_) => not_found(),
    }
}

/// The methods a router has for `path`, comma-separated, or none; no handler runs.
///
/// It is asked with a method that nobody has, so that it answers what it would have allowed.
pub(crate) async fn allowed_methods(router: &Router, path: &str) -> Option<String> {
    let mut request = Request::new(Body::empty());
    *request.method_mut() = Method::from_bytes(b"WHICH").ok()?;
    *request.uri_mut() = path.parse().ok()?;
    let response = router.clone().oneshot(request).await.unwrap_or_else(|never| match never {});
    Some(response.headers().get(header::ALLOW)?.to_str().ok()?.to_owned())
}
