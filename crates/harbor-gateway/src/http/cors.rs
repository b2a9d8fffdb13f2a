//! Calls from pages of other origins (contract, edges §1.10): any origin may, with credentials.

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::header::{self, HeaderName, HeaderValue};
use http::{Method, StatusCode};

use super::host;

/// `true` leaves all this to what answers inside the sandbox.
const DISABLE: HeaderName = HeaderName::from_static("x-daytona-disable-cors");

const METHODS: HeaderValue = HeaderValue::from_static("GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS");

/// Seconds that a browser may remember a preflight.
const MAX_AGE: HeaderValue = HeaderValue::from_static("43200");

/// What a request's origin asks for.
pub(crate) struct Cors {
    /// The origin, where it is another one than the request's host.
    origin: Option<HeaderValue>,
}

impl Cors {
    /// Reads the request, and takes the header off it that is meant for this module.
    pub(crate) fn of(request: &mut Request) -> Self {
        let disabled = request.headers_mut().remove(DISABLE).is_some_and(|value| value == "true");
        if disabled {
            return Self { origin: None };
        }
        let origin = request.headers().get(header::ORIGIN).filter(|origin| !same_origin(origin, host::of(request)));
        Self { origin: origin.cloned() }
    }

    /// The answer to a cross-origin `OPTIONS`, which never reaches a sandbox and needs no credential.
    pub(crate) fn preflight(&self, request: &Request) -> Option<Response> {
        if self.origin.is_none() || request.method() != Method::OPTIONS {
            return None;
        }
        let mut response = StatusCode::NO_CONTENT.into_response();
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        if let Some(names) = allowed_headers(request) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, names);
        }
        self.dress(&mut response);
        Some(response)
    }

    /// Lets the page read the answer. What the answer says about origins itself gives way.
    pub(crate) fn dress(&self, response: &mut Response) {
        let Some(origin) = &self.origin else { return };
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
    }
}

fn same_origin(origin: &HeaderValue, host: Option<&str>) -> bool {
    let Some((_, origin)) = origin.to_str().ok().and_then(|origin| origin.split_once("://")) else { return false };
    host.is_some_and(|host| host.eq_ignore_ascii_case(origin))
}

/// The names of all headers of the request, and those that it asks for.
fn allowed_headers(request: &Request) -> Option<HeaderValue> {
    let headers = request.headers();
    let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
    let asked = headers.get_all(header::ACCESS_CONTROL_REQUEST_HEADERS);
    let asked = asked.iter().filter_map(|value| value.to_str().ok());
    names.extend(asked.flat_map(|value| value.split(',')).map(str::trim).filter(|name| !name.is_empty()));
    HeaderValue::from_str(&names.join(",")).ok()
}
