//! How the gateway says no, in the shape of the door that was knocked at.

use axum::response::{IntoResponse, Response};
use harbor_control::Kind;
use http::{Method, StatusCode, Uri, header};
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

/// Whose error bodies a door speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// The proxy's (contract, edges §1.13).
    Proxy,
    /// The API's (contract, control-plane §3.1).
    Api,
}

/// A request that is not passed on.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    message: String,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    /// 400: the request itself is wrong.
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// The refusal as an answer to a request with this method and target.
    pub(crate) fn answer(self, dialect: Dialect, method: &Method, uri: &Uri) -> Response {
        let Self { status, message } = self;
        let reason = status.canonical_reason().unwrap_or("Error");
        let timestamp = timestamp(OffsetDateTime::now_utc());
        let body = match dialect {
            Dialect::Proxy => json!({
                "statusCode": status.as_u16(),
                "message": format!("{}: {message}", reason.to_ascii_lowercase()),
                "code": code(reason),
                "timestamp": timestamp,
                "path": uri.path(),
                "method": method.as_str(),
                "source": "DAYTONA_PROXY",
                "error": reason,
            }),
            Dialect::Api => json!({
                "path": uri.path_and_query().map_or("", |target| target.as_str()),
                "timestamp": timestamp,
                "statusCode": status.as_u16(),
                "error": reason,
                "message": message,
                "source": "DAYTONA_API",
            }),
        };
        (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
    }
}

/// The one table from control's refusals to this protocol.
impl From<harbor_control::Error> for Refusal {
    fn from(error: harbor_control::Error) -> Self {
        let status = match error.kind() {
            Kind::Invalid => StatusCode::BAD_REQUEST,
            Kind::Unauthenticated => StatusCode::UNAUTHORIZED,
            Kind::Forbidden => StatusCode::FORBIDDEN,
            Kind::NotFound => StatusCode::NOT_FOUND,
            Kind::Conflict => StatusCode::CONFLICT,
            Kind::NotBuilt => StatusCode::NOT_IMPLEMENTED,
            Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Kind::Internal => return internal(&error),
        };
        Self::new(status, error.to_string())
    }
}

/// 500; what happened goes to the log only.
pub(crate) fn internal(error: &dyn std::error::Error) -> Refusal {
    let source = error.source().map(tracing::field::display);
    tracing::error!(%error, source, "a request into a sandbox failed inside harbor");
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "harbor failed; its log says why")
}

/// `Bad Request` → `BAD_REQUEST`.
fn code(reason: &str) -> String {
    reason.to_ascii_uppercase().replace(' ', "_")
}

const MILLISECONDS: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

fn timestamp(at: OffsetDateTime) -> String {
    at.format(MILLISECONDS).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_codes_have_the_contracts_form() {
        assert_eq!(timestamp(OffsetDateTime::UNIX_EPOCH), "1970-01-01T00:00:00.000Z");
        assert_eq!(code("Internal Server Error"), "INTERNAL_SERVER_ERROR");
    }
}
