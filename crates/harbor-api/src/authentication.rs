//! Who calls: the one place where a request's credential is read (contract, control-plane §2).

use axum::extract::FromRequestParts;
use harbor_control::Caller;
use http::header::AUTHORIZATION;
use http::request::Parts;

use crate::error::ApiError;
use crate::state::Api;

/// The key behind `Authorization: Bearer <key>`: the scheme in any case, one blank, no blanks in the key.
pub(crate) fn bearer(parts: &Parts) -> Option<&str> {
    let (scheme, key) = parts.headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && !key.is_empty() && !key.contains(' ')).then_some(key)
}

impl FromRequestParts<Api> for Identified {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let key = bearer(parts).ok_or_else(ApiError::unauthenticated)?;
        Ok(Self(api.control.authenticate(key).await?))
    }
}

/// A caller whose credential was accepted. First among a handler's arguments, so that nothing else is read before.
pub(crate) struct Identified(pub(crate) Caller);
