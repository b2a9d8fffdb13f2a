//! The one table that makes refusals HTTP (contract, control-plane §3).

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use harbor_control::{Error, Kind};
use http::StatusCode;

/// Why a request is refused, until `transport` renders it with path, time and request id.
#[derive(Clone, Debug)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    /// For the caller.
    pub(crate) message: String,
    /// For the log, when the caller learns nothing.
    pub(crate) cause: Option<Arc<Error>>,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), cause: None }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(crate) fn unauthenticated() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Invalid credentials")
    }

    pub(crate) fn not_built(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, message)
    }

    /// All problems of one request, as one message (contract, control-plane §3.1).
    pub(crate) fn all(problems: &[String]) -> Result<(), Self> {
        if problems.is_empty() { Ok(()) } else { Err(Self::invalid(problems.join(", "))) }
    }
}

/// The contract's status for each kind of refusal.
fn status(kind: Kind) -> StatusCode {
    match kind {
        Kind::Invalid => StatusCode::BAD_REQUEST,
        Kind::Unauthenticated => StatusCode::UNAUTHORIZED,
        Kind::Forbidden => StatusCode::FORBIDDEN,
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::Conflict => StatusCode::CONFLICT,
        Kind::NotBuilt => StatusCode::NOT_IMPLEMENTED,
        Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        let status = status(error.kind());
        match error.kind() {
            Kind::Unauthenticated => Self::unauthenticated(),
            Kind::Internal => {
                Self { status, message: "Internal server error".to_owned(), cause: Some(Arc::new(error)) }
            }
            _ => Self::new(status, error.to_string()),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}
