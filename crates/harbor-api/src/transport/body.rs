//! Bodies are read and parsed before anything else looks at the request: malformed JSON is 400 even without a
//! credential (recordings, `api-system/malformed-json-no-key`).

use std::time::Duration;

use axum::body::Body;
use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_LENGTH;
use http::{Method, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::envelope::Matched;
use crate::error::ApiError;
use crate::input::Parsed;

/// Bytes of one body: Dockerfiles may be long (contract, control-plane §1.2).
const LIMIT: usize = 16 * 1024 * 1024;

/// How long a body may take to arrive.
const DEADLINE: Duration = Duration::from_mins(1);

/// Parses the body as JSON whatever its content type says, so that a client that labels it wrongly or not at all works;
/// forms are not JSON and are refused.
pub(super) async fn parse(mut request: Request, next: Next) -> Response {
    let matched = request.extensions().get::<MatchedPath>().map(|path| Matched(path.as_str().to_owned()));
    let parsed = if [Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method()) {
        Ok(Parsed(None))
    } else {
        let length = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        read(length, std::mem::take(request.body_mut())).await
    };
    let mut response = match parsed {
        Ok(parsed) => {
            request.extensions_mut().insert(parsed);
            next.run(request).await
        }
        Err(error) => error.into_response(),
    };
    if let Some(matched) = matched {
        response.extensions_mut().insert(matched);
    }
    response
}

async fn read(length: Option<u64>, body: Body) -> Result<Parsed, ApiError> {
    let too_large =
        || ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body must not be larger than {LIMIT} bytes"));
    if length.is_some_and(|length| length > LIMIT as u64) {
        return Err(too_large());
    }
    let collected = tokio::time::timeout(DEADLINE, Limited::new(body, LIMIT).collect()).await;
    let bytes = match collected {
        Ok(Ok(collected)) => collected.to_bytes(),
        Ok(Err(error)) if is_length(&*error) => return Err(too_large()),
        Ok(Err(_)) => return Err(ApiError::invalid("the body ended early")),
        Err(_) => return Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time")),
    };
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(Parsed(None));
    }
    serde_json::from_slice(&bytes)
        .map(|value| Parsed(Some(value)))
        .map_err(|error| ApiError::invalid(format!("the body is not JSON: {error}")))
}

fn is_length(error: &(dyn std::error::Error + 'static)) -> bool {
    error.is::<LengthLimitError>() || error.source().is_some_and(is_length)
}
