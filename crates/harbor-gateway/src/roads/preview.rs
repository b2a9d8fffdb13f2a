//! Preview hosts: `3000-<sandbox>.<domain>` is port 3000 of a sandbox (contract, edges §1.2).
//!
//! Told apart here, before anything else is looked at, so that no path of an application is ever taken for one of
//! harbor's. What serves them (cookies, signed tokens, login, the warning page) is not built yet: 501.

use axum::extract::Request;
use axum::response::Response;
use http::StatusCode;

use crate::http::host;
use crate::http::refusal::{Dialect, Refusal};

/// The answer to a request for a preview host; none for any other.
pub(crate) fn intercept(request: &Request) -> Option<Response> {
    if !host::of(request).is_some_and(host::is_preview) {
        return None;
    }
    let refusal = Refusal::new(StatusCode::NOT_IMPLEMENTED, "this harbor does not serve preview hosts yet");
    Some(refusal.answer(Dialect::Proxy, request.method(), request.uri()))
}
