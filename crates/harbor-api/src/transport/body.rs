//! Bodies wait beside the head until the credential was looked at ([`crate::input`]).

use axum::body::Body;
use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::Response;

use super::envelope::Matched;
use crate::input::Unread;

/// Puts the body beside the head, where the credential's reader finds it, and notes which route answered. What no route
/// asks for is never read.
pub(super) async fn set_aside(request: Request, next: Next) -> Response {
    let matched = request.extensions().get::<MatchedPath>().map(|path| Matched(path.as_str().to_owned()));
    let (mut head, body) = request.into_parts();
    head.extensions.insert(Unread::new(body));
    let mut response = next.run(Request::from_parts(head, Body::empty())).await;
    if let Some(matched) = matched {
        response.extensions_mut().insert(matched);
    }
    response
}
