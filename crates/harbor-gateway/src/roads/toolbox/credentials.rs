//! What a request shows to be let in, and what of it the sandbox does not get to see (contract, edges §1.5).
//!
//! The preview cookie joins the list when it exists.

use std::borrow::Cow;

use axum::extract::Request;
use harbor_control::Credential;
use harbor_model::secrets::Secret;
use http::header::{self, HeaderMap, HeaderName};
use percent_encoding::percent_decode_str;

use super::signed_url::{self, Malformed};

/// Carries the sandbox's preview token.
const PREVIEW_TOKEN: HeaderName = HeaderName::from_static("x-daytona-preview-token");

/// Query parameter that carries the sandbox's preview token.
const PREVIEW_TOKEN_PARAMETER: &str = "DAYTONA_SANDBOX_AUTH_KEY";

/// Where a credential stands in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Carrier {
    Authorization,
    Header,
    Query,
    SignedUrl,
}

impl Carrier {
    /// What is said when the credential there opens nothing.
    fn complaint(self) -> &'static str {
        match self {
            Self::Authorization => "Bearer token is invalid",
            Self::Header => "Auth key header is invalid",
            Self::Query => "Auth key query parameter is invalid",
            Self::SignedUrl => "Signed URL is invalid or expired",
        }
    }
}

/// The credentials of a request, in the order in which they are tried.
#[derive(Debug, Default)]
pub(crate) struct Credentials {
    /// What control is asked with.
    pub(crate) list: Vec<Credential>,
    /// Where each one stood, in the same order; beyond that, where something stood that is no credential at all.
    carriers: Vec<Carrier>,
}

impl Credentials {
    /// Every credential of the request, which is for `route` of the toolbox. A signed URL counts only where nothing
    /// else is shown.
    pub(crate) fn of(request: &Request, route: &str) -> Self {
        let mut found = Self::default();
        if let Some(key) = bearer(request.headers()) {
            found.push(Carrier::Authorization, Credential::Bearer(key));
        }
        if let Some(token) = request.headers().get(PREVIEW_TOKEN) {
            let token = Secret::new(String::from_utf8_lossy(token.as_bytes()));
            found.push(Carrier::Header, Credential::PreviewToken(token));
        }
        if let Some(token) = request.uri().query().and_then(token_parameter) {
            found.push(Carrier::Query, Credential::PreviewToken(token));
        }
        if found.list.is_empty() {
            let query = request.uri().query().unwrap_or_default();
            match signed_url::read(request.method(), route, query) {
                Some(Ok(file)) => found.push(Carrier::SignedUrl, Credential::SignedFile(file)),
                Some(Err(Malformed)) => found.carriers.push(Carrier::SignedUrl),
                None => {}
            }
        }
        found
    }

    fn push(&mut self, carrier: Carrier, credential: Credential) {
        self.carriers.push(carrier);
        self.list.push(credential);
    }

    /// Why nobody was let in.
    pub(crate) fn complaint(&self) -> String {
        if self.carriers.is_empty() {
            return format!(
                "authentication is missing: send the sandbox's preview token (header X-Daytona-Preview-Token, query \
                 {PREVIEW_TOKEN_PARAMETER} or cookie), or an API key or JWT as 'Authorization: Bearer'"
            );
        }
        let complaints: Vec<&str> = self.carriers.iter().map(|carrier| carrier.complaint()).collect();
        format!("authentication failed: {}", complaints.join(", "))
    }

    /// What of the query travels on, now that the credential at `index` has opened the door: nothing of a token, nor of
    /// a signature that was spent.
    pub(crate) fn onward<'a>(&self, index: usize, query: Option<&'a str>) -> Option<Cow<'a, str>> {
        match self.list.get(index) {
            Some(Credential::SignedFile(file)) => Some(Cow::Owned(signed_url::query(file))),
            _ => query.and_then(without_token),
        }
    }

    /// Takes off what the sandbox must not see: the preview token always, `Authorization` when the credential at
    /// `index`, which opened the door, is that one; an application's own stays, which is the first.
    pub(crate) fn strip(&self, index: usize, headers: &mut HeaderMap) {
        if self.carriers.get(index) == Some(&Carrier::Authorization) {
            return strip_key(headers);
        }
        headers.remove(PREVIEW_TOKEN);
        if let Some(first) = headers.remove(header::AUTHORIZATION) {
            headers.insert(header::AUTHORIZATION, first);
        }
    }
}

/// Takes off an API key that has opened the door, and the preview token.
pub(crate) fn strip_key(headers: &mut HeaderMap) {
    headers.remove(PREVIEW_TOKEN);
    headers.remove(header::AUTHORIZATION);
}

/// The key in `Authorization: Bearer <key>`.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<Secret> {
    let value = headers.get(header::AUTHORIZATION)?;
    let value = String::from_utf8_lossy(value.as_bytes());
    let (scheme, key) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| Secret::new(key.trim()))
}

fn token_parameter(query: &str) -> Option<Secret> {
    let pair = query.split('&').find(|pair| is_token(pair))?;
    let value = pair.split_once('=').map_or("", |(_, value)| value).replace('+', " ");
    Some(Secret::new(percent_decode_str(&value).decode_utf8_lossy()))
}

fn is_token(pair: &str) -> bool {
    let name = pair.split('=').next().unwrap_or_default();
    percent_decode_str(name).eq(PREVIEW_TOKEN_PARAMETER.bytes())
}

/// `query` without the token, every other parameter byte by byte as it was; none when nothing is left.
pub(crate) fn without_token(query: &str) -> Option<Cow<'_, str>> {
    if !query.split('&').any(is_token) {
        return Some(Cow::Borrowed(query));
    }
    let rest: Vec<&str> = query.split('&').filter(|pair| !is_token(pair)).collect();
    (!rest.is_empty()).then(|| Cow::Owned(rest.join("&")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_found_under_any_spelling_and_taken_out_alone() {
        let token = |query| token_parameter(query).map(|token| token.reveal().to_owned());
        assert_eq!(token("a=1&DAYTONA_SANDBOX_AUTH_KEY=x%2Dy&b=%40").as_deref(), Some("x-y"));
        assert_eq!(token("%44AYTONA_SANDBOX_AUTH_KEY=x").as_deref(), Some("x"));
        assert_eq!(token("DAYTONA_SANDBOX_AUTH_KEYS=x&q=DAYTONA_SANDBOX_AUTH_KEY"), None);
        assert_eq!(without_token("a=1&DAYTONA_SANDBOX_AUTH_KEY=x&b=%40(c)").as_deref(), Some("a=1&b=%40(c)"));
        assert_eq!(without_token("DAYTONA_SANDBOX_AUTH_KEY=x"), None);
        assert_eq!(without_token("a=1&&b").as_deref(), Some("a=1&&b"));
    }

    #[test]
    fn of_several_authorizations_no_other_travels_than_was_looked_at() {
        let mut headers = HeaderMap::new();
        for value in ["Bearer of-the-application", "Bearer a-key"] {
            headers.append(header::AUTHORIZATION, http::HeaderValue::from_static(value));
        }
        let by_token = Credentials { carriers: vec![Carrier::Header], ..Credentials::default() };
        by_token.strip(0, &mut headers);
        let left: Vec<_> = headers.get_all(header::AUTHORIZATION).iter().collect();
        assert_eq!(left, ["Bearer of-the-application"]);
    }

    #[test]
    fn only_the_bearer_scheme_carries_a_key() {
        let key = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, http::HeaderValue::from_static(value));
            bearer(&headers).map(|key| key.reveal().to_owned())
        };
        assert_eq!(key("Bearer abc").as_deref(), Some("abc"));
        assert_eq!(key("bearer  abc ").as_deref(), Some("abc"));
        assert_eq!(key("Basic abc"), None);
        assert_eq!(key("Bearer"), None);
    }
}
