//! What a caller should know about a request that was accepted (design: unknown fields are reported, never silent).

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{FromRequestParts, MatchedPath, Request};
use axum::middleware::Next;
use axum::response::Response;
use http::request::Parts;
use http::{HeaderName, HeaderValue};

const WARNING: HeaderName = HeaderName::from_static("warning");

/// More than this many are not told of one request.
const MOST: usize = 16;

/// Characters of one that are told.
const LONGEST: usize = 512;

/// Remarks on one request, told in `Warning` headers of its answer and in the log. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Warnings(Arc<Mutex<Vec<String>>>);

impl<S: Sync> FromRequestParts<S> for Warnings {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_default())
    }
}

impl Warnings {
    /// Tells the caller `what`.
    pub(crate) fn add(&self, what: impl Into<String>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() < MOST {
            all.push(what.into());
        }
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Lets handlers warn, and tells what they did. Warnings of a request that was refused are dropped.
pub(crate) async fn tell(mut request: Request, next: Next) -> Response {
    let warnings = Warnings::default();
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    request.extensions_mut().insert(warnings.clone());
    let mut response = next.run(request).await;
    if !response.status().is_success() {
        return response;
    }
    for warning in warnings.take() {
        let text = shown(&warning);
        tracing::info!(route, warning = %text, "a request was accepted with a warning");
        if let Ok(value) = HeaderValue::try_from(format!("299 harbor \"{text}\"")) {
            response.headers_mut().append(WARNING, value);
        }
    }
    response
}

/// `text` as it can stand between quotes in a header and in a log: one line of ASCII.
fn shown(text: &str) -> String {
    text.chars().take(LONGEST).flat_map(char::escape_default).collect::<String>().replace("\\'", "'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_stays_between_its_quotes() {
        assert_eq!(shown("it's plain"), "it's plain");
        assert_eq!(shown("a\"b\\c\r\nd\u{1b}é"), "a\\\"b\\\\c\\r\\nd\\u{1b}\\u{e9}");
        assert_eq!(shown(&"x".repeat(LONGEST + 1)).len(), LONGEST);
        let warnings = Warnings::default();
        (0..=MOST).for_each(|number| warnings.add(number.to_string()));
        assert_eq!(warnings.take().len(), MOST);
    }
}
