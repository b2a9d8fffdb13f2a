//! The outermost layer: request id, error bodies, headers of every answer, one log line per request.

use std::panic::AssertUnwindSafe;
use std::time::Instant;

use axum::Json;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use harbor_model::Timestamp;
use harbor_model::errors::chain;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Serialize;
use uuid::Uuid;

use super::target::normalised;
use crate::error::ApiError;
use crate::wire::iso;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const API_VERSION: HeaderName = HeaderName::from_static("x-daytona-api-version");

/// The route that a request matched: its template, which unlike its path holds no tokens.
#[derive(Clone, Debug)]
pub(crate) struct Matched(pub(crate) String);

/// The error body (contract, control-plane §3.1). `message` comes before anything that a client wrote: one client takes
/// the first text that looks like it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ErrorBody<'a> {
    status_code: u16,
    error: &'a str,
    message: &'a str,
    code: String,
    source: &'static str,
    path: &'a str,
    timestamp: String,
    request_id: &'a str,
}

/// Seals every answer. `version` goes into `X-Daytona-Api-Version`.
pub(super) async fn seal(version: Option<HeaderValue>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = request_id(request.headers());
    let method = request.method().clone();
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str()).to_owned();
    if let Some(uri) = normalised(request.uri()) {
        *request.uri_mut() = uri;
    }
    let mut response = AssertUnwindSafe(next.run(request)).catch_unwind().await.unwrap_or_else(|_| {
        tracing::error!(request_id = %id, %method, "a handler panicked");
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "Internal server error").into_response()
    });
    let route =
        response.extensions_mut().remove::<Matched>().map_or_else(|| "unmatched".to_owned(), |Matched(route)| route);
    if let Some(error) = response.extensions_mut().remove::<ApiError>() {
        if let Some(cause) = &error.cause {
            tracing::error!(request_id = %id, %method, route, error = %chain(cause), "request failed");
        }
        response = render(&error, &target, &id, response.headers());
    }
    tracing::info!(request_id = %id, %method, route, status = response.status().as_u16(), elapsed = ?started.elapsed(), "answered");
    if let Ok(id) = HeaderValue::try_from(id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    if let Some(version) = version {
        response.headers_mut().insert(API_VERSION, version);
    }
    response
}

/// The caller's request id, when it is one that can stand in a log, or a new one.
fn request_id(headers: &HeaderMap) -> String {
    let sane = |id: &str| {
        (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte))
    };
    let given = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok()).filter(|id| sane(id));
    given.map_or_else(|| Uuid::new_v4().to_string(), str::to_owned)
}

fn render(error: &ApiError, target: &str, request_id: &str, headers: &HeaderMap) -> Response {
    let reason = error.status.canonical_reason().unwrap_or("Error");
    let body = ErrorBody {
        status_code: error.status.as_u16(),
        error: reason,
        message: &error.message,
        code: reason.to_uppercase().replace([' ', '-'], "_"),
        source: "DAYTONA_API",
        path: target,
        timestamp: iso(Timestamp::now_utc()),
        request_id,
    };
    let mut response = (error.status, Json(body)).into_response();
    for (name, value) in headers {
        if name != http::header::CONTENT_LENGTH && name != http::header::CONTENT_TYPE {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ids_that_can_stand_in_a_log_are_kept() {
        let check = |given: &str, kept: bool| {
            let headers = HeaderMap::from_iter([(REQUEST_ID, HeaderValue::from_str(given).unwrap())]);
            assert_eq!(request_id(&headers) == given, kept, "{given}");
        };
        check("abc-123_X.y:z", true);
        check("", false);
        check("a b", false);
        check("a\"b", false);
        check(&"x".repeat(129), false);
    }
}
