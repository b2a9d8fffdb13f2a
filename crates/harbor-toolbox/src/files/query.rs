//! Query parameters as bytes: a path need not be UTF-8, and `+` is a blank.

use std::borrow::Cow;
use std::convert::Infallible;
use std::path::PathBuf;

use axum::extract::FromRequestParts;
use http::request::Parts;
use percent_encoding::percent_decode;

use super::{failure, paths};
use crate::context::Context;
use crate::http::error::Error;

/// The decoded query of a request; of a repeated parameter the first counts.
#[derive(Debug, Default)]
pub(super) struct Query {
    pairs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// A path of a request: as the caller spelled it, and what it means here.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// The bytes sent, not empty and without NUL.
    pub(super) given: Vec<u8>,
    /// The same from the root directory; a relative path starts at the work dir.
    pub(super) full: PathBuf,
}

impl Target {
    /// Refuses what cannot name a file: nothing, or a NUL.
    pub(super) fn new(context: &Context, given: &[u8]) -> Result<Self, Error> {
        if given.is_empty() {
            return Err(failure::invalid_path("path is required"));
        }
        if given.contains(&0) {
            return Err(failure::invalid_path("path contains a NUL byte"));
        }
        Ok(Self { given: given.to_owned(), full: context.resolve(paths::from_bytes(given)) })
    }
}

impl Query {
    fn parse(query: &str) -> Self {
        let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        });
        Self { pairs: pairs.collect() }
    }

    /// The value of a parameter that is there and not empty.
    pub(super) fn bytes(&self, name: &str) -> Option<&[u8]> {
        let found = self.pairs.iter().find(|(known, _)| known == name.as_bytes());
        found.map(|(_, value)| value.as_slice()).filter(|value| !value.is_empty())
    }

    /// The value as text, when it is there and not empty.
    pub(super) fn text(&self, name: &str) -> Option<Cow<'_, str>> {
        self.bytes(name).map(String::from_utf8_lossy)
    }

    /// A required path.
    pub(super) fn target(&self, context: &Context, name: &str) -> Result<Target, Error> {
        match self.bytes(name) {
            Some(given) => Target::new(context, given),
            None => Err(failure::invalid_path(format!("{name} is required"))),
        }
    }

    /// An octal mode of which only the nine permission bits count (contract, toolbox §11.7).
    pub(super) fn mode(&self) -> Result<Option<u32>, Error> {
        let Some(text) = self.text("mode") else { return Ok(None) };
        let octal = text.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
        match u32::from_str_radix(&text, 8) {
            Ok(mode) if octal => Ok(Some(mode & 0o777)),
            _ => Err(Error::bad_request(format!("invalid mode {text:?}"))),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self::parse(parts.uri.query().unwrap_or_default()))
    }
}

fn decode(text: &str) -> Vec<u8> {
    let blanks: Vec<u8> = text.bytes().map(|byte| if byte == b'+' { b' ' } else { byte }).collect();
    percent_decode(&blanks).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded_bytes_and_the_first_one_counts() {
        let query = Query::parse("path=%2Fa+b%2B%FF&path=x&&empty=&flag");
        assert_eq!(query.bytes("path"), Some(&b"/a b+\xff"[..]));
        assert_eq!((query.bytes("empty"), query.bytes("flag"), query.bytes("none")), (None, None, None));
    }

    #[test]
    fn modes_are_octal_digits() {
        for (text, expected) in [("755", 0o755), ("0755", 0o755), ("4755", 0o755), ("0", 0)] {
            assert_eq!(Query::parse(&format!("mode={text}")).mode().unwrap(), Some(expected), "{text}");
        }
        for text in ["888", "9z", "-1", "%2B755", "99999999999999"] {
            Query::parse(&format!("mode={text}")).mode().unwrap_err();
        }
        assert_eq!(Query::parse("mode=").mode().unwrap(), None);
    }
}
