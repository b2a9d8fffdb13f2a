//! The variable parts of a path; what cannot be decoded is answered in the toolbox's own error shape.

use axum::extract::{FromRequestParts, Path};
use http::request::Parts;
use serde::de::DeserializeOwned;

use crate::http::error::Error;

/// Extracts path parameters like [`Path`]; invalid ones are answered 400 `BAD_REQUEST`.
pub(crate) struct Params<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let path = Path::from_request_parts(parts, state).await;
        path.map(|Path(params)| Self(params)).map_err(|error| Error::bad_request(error.body_text()))
    }
}
