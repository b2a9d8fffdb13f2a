//! The one error type of the toolbox and its one body on the wire (contract, toolbox §2.2 and §2.3).
//!
//! Handlers return `Result<_, Error>` and name neither path nor method: [`finish`](crate::http::answers::finish) writes the body once
//! the answer is on its way out, because only there both are known.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Class of an error: its status, its default code and the prefix of its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Class {
    status: StatusCode,
    code: &'static str,
    prefix: &'static str,
}

/// A refusal or failure, as told to the caller.
///
/// The message given to a constructor is the part after the class prefix (`not found: `, `bad request: `, …).
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}{message}", class.prefix)]
pub(crate) struct Error {
    class: Class,
    message: String,
    extra: Map<String, Value>,
}

/// Constructors, one per class: status, default code, message prefix.
macro_rules! classes {
    ($($(#[$doc:meta])* $name:ident: $status:ident, $code:literal, $prefix:literal;)*) => {
        impl Error {
            $(
                $(#[$doc])*
                pub(crate) fn $name(message: impl Into<String>) -> Self {
                    Self::new(Class { status: StatusCode::$status, code: $code, prefix: $prefix }, message.into())
                }
            )*
        }
    };
}

classes! {
    /// 404 `NOT_FOUND`.
    not_found: NOT_FOUND, "NOT_FOUND", "not found: ";
    /// 401 `UNAUTHORIZED`.
    unauthorized: UNAUTHORIZED, "UNAUTHORIZED", "unauthorized: ";
    /// 409 `CONFLICT`.
    conflict: CONFLICT, "CONFLICT", "conflict: ";
    /// 400 `BAD_REQUEST`.
    bad_request: BAD_REQUEST, "BAD_REQUEST", "bad request: ";
    /// 400 `INVALID_REQUEST_BODY`.
    invalid_body: BAD_REQUEST, "INVALID_REQUEST_BODY", "invalid body request: ";
    /// 403 `FORBIDDEN`.
    forbidden: FORBIDDEN, "FORBIDDEN", "forbidden: ";
    /// 408 `REQUEST_TIMEOUT`.
    timeout: REQUEST_TIMEOUT, "REQUEST_TIMEOUT", "request timeout: ";
    /// 410 `GONE`.
    gone: GONE, "GONE", "gone: ";
    /// 422 `UNPROCESSABLE_ENTITY`.
    unprocessable: UNPROCESSABLE_ENTITY, "UNPROCESSABLE_ENTITY", "unprocessable entity: ";
    /// 429 `TOO_MANY_REQUESTS`: more of something than this toolbox keeps at a time.
    too_many: TOO_MANY_REQUESTS, "TOO_MANY_REQUESTS", "too many requests: ";
    /// 500 `INTERNAL_SERVER_ERROR`.
    internal: INTERNAL_SERVER_ERROR, "INTERNAL_SERVER_ERROR", "internal server error: ";
    /// 502 `BAD_GATEWAY`: what this toolbox asked on behalf of the caller did not answer.
    bad_gateway: BAD_GATEWAY, "BAD_GATEWAY", "bad gateway: ";
    /// 503 `SERVICE_UNAVAILABLE`: the sandbox is being stopped.
    unavailable: SERVICE_UNAVAILABLE, "SERVICE_UNAVAILABLE", "service unavailable: ";
    /// 501 `NOT_IMPLEMENTED`: a route of the contract that this toolbox does not have yet.
    not_implemented: NOT_IMPLEMENTED, "NOT_IMPLEMENTED", "not implemented: ";
}

impl Error {
    fn new(class: Class, message: String) -> Self {
        Self { class, message, extra: Map::new() }
    }

    /// The same error under a more exact code that newer clients know (§2.3), such as `FILE_NOT_FOUND`.
    #[must_use]
    pub(crate) fn with_code(mut self, code: &'static str) -> Self {
        self.class.code = code;
        self
    }

    /// The same error with the message exactly as given, without the prefix of its class.
    #[must_use]
    pub(crate) fn without_prefix(mut self) -> Self {
        self.class.prefix = "";
        self
    }

    /// The same error with one more member in its body, such as the `errors` list of a failed bulk upload.
    #[must_use]
    pub(crate) fn with_member(mut self, name: &str, value: Value) -> Self {
        self.extra.insert(name.to_owned(), value);
        self
    }

    /// The status this error is answered with.
    pub(crate) fn status(&self) -> StatusCode {
        self.class.status
    }

    /// The superset body of §2.2, for the request with this method and path.
    pub(crate) fn body(&self, method: &str, path: &str) -> Value {
        let message = self.to_string();
        let mut body = Map::new();
        body.insert("statusCode".to_owned(), self.status().as_u16().into());
        body.insert("message".to_owned(), message.clone().into());
        body.insert("code".to_owned(), self.class.code.into());
        body.insert("timestamp".to_owned(), timestamp().into());
        body.insert("path".to_owned(), path.into());
        body.insert("method".to_owned(), method.into());
        body.insert("source".to_owned(), json!("DAYTONA_DAEMON"));
        body.insert("error".to_owned(), message.into());
        body.extend(self.extra.clone());
        Value::Object(body)
    }
}

impl IntoResponse for Error {
    /// Status and the error itself; the body is added on the way out.
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// The present moment as the contract writes times: RFC 3339, UTC.
pub(crate) fn timestamp() -> String {
    OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_else(|_| "0001-01-01T00:00:00Z".to_owned())
}
