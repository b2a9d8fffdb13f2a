//! What a right signature does not show by itself: that it is of the one kind that is taken, that it is of all that the
//! request says in headers, and that a link holds no longer than links may.

use http::{HeaderMap, Uri, header};
use s3s::{S3Error, s3_error};

/// The one kind of signature. Version 2 signs with SHA-1, and not the whole request.
const KIND: &str = "AWS4-HMAC-SHA256";

/// The longest that a link holds: a week, in seconds.
const LONGEST_LINK: u64 = 7 * 24 * 3600;

/// The header that a link's signature never covers: what it says of the body is checked by what else is signed.
const OF_THE_BODY: &str = "x-amz-content-sha256";

/// Why a request is refused although its signature is right.
pub(super) fn flaw(headers: &HeaderMap, uri: &Uri) -> Option<S3Error> {
    let in_link = query(uri, "X-Amz-Signature").is_some();
    let signed = match (headers.get(header::AUTHORIZATION), in_link) {
        (Some(_), true) => {
            return Some(s3_error!(InvalidArgument, "Only one way of signing is taken: by header or by query."));
        }
        (Some(value), false) => {
            let value = value.to_str().unwrap_or_default();
            let Some(parts) = value.strip_prefix(KIND).filter(|parts| parts.starts_with(' ')) else {
                return Some(s3_error!(AccessDenied, "Signatures are taken of one kind alone: {KIND}."));
            };
            let names = parts.split(',').find_map(|part| part.trim().strip_prefix("SignedHeaders="));
            names.unwrap_or_default().to_owned()
        }
        (None, true) => {
            let holds = query(uri, "X-Amz-Expires").and_then(|seconds| seconds.parse::<u64>().ok());
            if holds.is_none_or(|seconds| seconds > LONGEST_LINK) {
                return Some(s3_error!(AuthorizationQueryParametersError, "X-Amz-Expires is at most a week."));
            }
            query(uri, "X-Amz-SignedHeaders").unwrap_or_default()
        }
        (None, false) => return Some(s3_error!(AccessDenied, "Signatures are taken of one kind alone: {KIND}.")),
    };
    let mut names = headers.keys().map(header::HeaderName::as_str).filter(|name| name.starts_with("x-amz-"));
    // one that is not could be added by whoever passes the request on, and change what it means
    let unsigned =
        names.find(|name| *name != OF_THE_BODY && !signed.split(';').any(|one| one.eq_ignore_ascii_case(name)));
    unsigned.map(|name| s3_error!(AccessDenied, "The header {name} is not signed."))
}

/// The value of this name in the query.
pub(super) fn query(uri: &Uri, wanted: &str) -> Option<String> {
    let pairs = uri.query().unwrap_or_default().split('&');
    let value = pairs.filter_map(|pair| pair.split_once('=')).find(|(name, _)| *name == wanted)?.1;
    percent_encoding::percent_decode_str(value).decode_utf8().ok().map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(headers: &[(&'static str, &'static str)], query: &str, code: Option<&str>) {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        let uri = format!("http://localhost/a/b?{query}").parse().unwrap();
        let found = flaw(&headers, &uri);
        assert_eq!(found.as_ref().map(|flaw| flaw.code().as_str()), code, "{headers:?} {query}");
    }

    #[test]
    fn all_that_a_request_says_is_signed() {
        const SIGNED: &str =
            "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host;x-amz-date;x-amz-meta-a, Signature=00";
        let signed = ("authorization", SIGNED);
        check(&[signed, ("x-amz-date", "1"), ("X-Amz-Meta-A", "1"), ("accept", "b")], "", None);
        check(&[signed, ("x-amz-content-sha256", "x")], "", None);
        check(&[signed, ("x-amz-copy-source", "/a/b")], "", Some("AccessDenied"));
        check(&[("authorization", "AWS4-HMAC-SHA1 SignedHeaders=host")], "", Some("AccessDenied"));
        check(&[("authorization", "AWS key:signature")], "", Some("AccessDenied"));
        check(&[], "AWSAccessKeyId=a&Signature=b&Expires=1", Some("AccessDenied"));
        let link = "X-Amz-Signature=00&X-Amz-SignedHeaders=host%3Bx-amz-meta-a&X-Amz-Expires=";
        check(&[("x-amz-meta-a", "1")], &format!("{link}604800"), None);
        check(&[("x-amz-meta-b", "1")], &format!("{link}60"), Some("AccessDenied"));
        check(&[], &format!("{link}604801"), Some("AuthorizationQueryParametersError"));
        check(&[], link, Some("AuthorizationQueryParametersError"));
        check(&[signed], &format!("{link}60"), Some("InvalidArgument"));
    }
}
