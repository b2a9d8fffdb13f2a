//! Path segments, percent-decoded after routing, so that a name may hold `/` as `%2F` (contract, control-plane §6.3).

use axum::extract::{FromRequestParts, Path};
use http::request::Parts;
use serde::de::DeserializeOwned;

use crate::error::ApiError;

/// The variable segments of the path.
pub(crate) struct Segments<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Segments<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Path(segments) = Path::from_request_parts(parts, state)
            .await
            .map_err(|rejection| ApiError::invalid(format!("the path cannot be read: {}", rejection.body_text())))?;
        Ok(Self(segments))
    }
}
