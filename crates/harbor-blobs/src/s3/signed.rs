//! What a right signature does not show by itself: that it is of the one kind that is taken, that it is of all that the
//! request says in headers, and that a link holds no longer than links may.

use http::{HeaderMap, Uri, header};
use s3s::{S3Error, s3_error};
use url::form_urlencoded;

/// The one kind of signature. Version 2 signs with SHA-1, and not the whole request.
const KIND: &str = "AWS4-HMAC-SHA256";

/// What the scope of every credential ends with.
const SERVICE: &str = "/s3/aws4_request";

/// The longest that a link holds: a week, in seconds.
const LONGEST_LINK: u64 = 7 * 24 * 3600;

/// The header that a link's signature never covers: what it says of the body is checked by what else is signed.
const OF_THE_BODY: &str = "x-amz-content-sha256";

/// What signs a link.
const OF_LINKS: &[&str] = &[
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-Security-Token",
    "X-Amz-Signature",
    "X-Amz-SignedHeaders",
];

/// What signs a link of version 2.
const OF_OLD_LINKS: &[&str] = &["AWSAccessKeyId", "Signature"];

/// Why a request is refused although its signature is right.
pub(super) fn flaw(headers: &HeaderMap, uri: &Uri) -> Option<S3Error> {
    let query = Query::of(uri);
    if query.has_any(OF_OLD_LINKS) || OF_LINKS.iter().any(|name| query.all(name).count() > 1) {
        return Some(s3_error!(AccessDenied, "Signatures are taken of one kind alone, and once: {KIND}."));
    }
    let mut authorizations = headers.get_all(header::AUTHORIZATION).iter();
    let signed = match (authorizations.next(), query.has_any(OF_LINKS)) {
        (Some(_), true) => {
            return Some(s3_error!(InvalidArgument, "Only one way of signing is taken: by header or by query."));
        }
        (Some(value), false) => {
            let value = value.to_str().unwrap_or_default();
            let parts = value.strip_prefix(KIND).filter(|parts| parts.starts_with(' ')).unwrap_or_default();
            let part =
                |name: &str| parts.split(',').find_map(|part| part.trim().strip_prefix(name)).unwrap_or_default();
            if authorizations.next().is_some() || !part("Credential=").ends_with(SERVICE) {
                return Some(s3_error!(AccessDenied, "Signatures are taken of one kind alone: {KIND}, for s3."));
            }
            part("SignedHeaders=").to_owned()
        }
        (None, true) => {
            let holds = query.get("X-Amz-Expires").and_then(|seconds| seconds.parse::<u64>().ok());
            if holds.is_none_or(|seconds| seconds > LONGEST_LINK) {
                return Some(s3_error!(AuthorizationQueryParametersError, "X-Amz-Expires is at most a week."));
            }
            let of_s3 = query.get("X-Amz-Credential").is_some_and(|credential| credential.ends_with(SERVICE));
            if query.get("X-Amz-Algorithm") != Some(KIND) || !of_s3 {
                return Some(s3_error!(AccessDenied, "Signatures are taken of one kind alone: {KIND}, for s3."));
            }
            query.get("X-Amz-SignedHeaders").unwrap_or_default().to_owned()
        }
        (None, false) => return Some(s3_error!(AccessDenied, "Signatures are taken of one kind alone: {KIND}.")),
    };
    let is_signed = |name: &str| signed.split(';').any(|one| one.eq_ignore_ascii_case(name));
    // one that is not could be added by whoever passes the request on, and change what it means
    let mut names = headers.keys().map(header::HeaderName::as_str).filter(|name| name.starts_with("x-amz-"));
    let unsigned =
        names.find(|name| *name != OF_THE_BODY && !is_signed(name)).or((!is_signed("host")).then_some("host"));
    unsigned.map(|name| s3_error!(AccessDenied, "The header {name} is not signed."))
}

/// A request's query, read as the library reads it: names are decoded as well.
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn of(uri: &Uri) -> Self {
        Self(form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect())
    }

    fn all(&self, wanted: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(name, _)| name == wanted).map(|(_, value)| value.as_str())
    }

    /// The first value of this name.
    pub(super) fn get(&self, wanted: &str) -> Option<&str> {
        self.all(wanted).next()
    }

    fn has_any(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.get(name).is_some())
    }
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
        const SIGNED: &str = "AWS4-HMAC-SHA256 Credential=a/1/r/s3/aws4_request, SignedHeaders=host;x-amz-date;x-amz-meta-a, \
                              Signature=00";
        let signed = ("authorization", SIGNED);
        check(&[signed, ("x-amz-date", "1"), ("X-Amz-Meta-A", "1"), ("accept", "b")], "", None);
        check(&[signed, ("x-amz-content-sha256", "x")], "", None);
        check(&[signed, ("x-amz-copy-source", "/a/b")], "", Some("AccessDenied"));
        check(&[("authorization", "AWS4-HMAC-SHA1 SignedHeaders=host")], "", Some("AccessDenied"));
        check(&[("authorization", "AWS key:signature")], "", Some("AccessDenied"));
        let elsewhere = "AWS4-HMAC-SHA256 Credential=a/1/r/sts/aws4_request, SignedHeaders=host, Signature=00";
        check(&[("authorization", elsewhere)], "", Some("AccessDenied"));
        let without_host = "AWS4-HMAC-SHA256 Credential=a/1/r/s3/aws4_request, SignedHeaders=x-amz-date, Signature=00";
        check(&[("authorization", without_host)], "", Some("AccessDenied"));
        check(&[], "AWSAccessKeyId=a&Signature=b&Expires=1", Some("AccessDenied"));
        let link = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a%2F1%2Fr%2Fs3%2Faws4_request&X-Amz-Signature=00\
                    &X-Amz-SignedHeaders=host%3Bx-amz-meta-a&X-Amz-Expires=";
        check(&[("x-amz-meta-a", "1")], &format!("{link}604800"), None);
        check(&[("x-amz-meta-b", "1")], &format!("{link}60"), Some("AccessDenied"));
        check(&[], &format!("{link}604801"), Some("AuthorizationQueryParametersError"));
        check(&[], link, Some("AuthorizationQueryParametersError"));
        check(&[signed], &format!("{link}60"), Some("InvalidArgument"));
        // names in another writing are the same names
        check(&[signed], &format!("{link}60").replace("Signature=", "Signatur%65="), Some("InvalidArgument"));
        check(&[], &format!("{link}60&X-Amz-Expir%65s=1"), Some("AccessDenied"));
        check(&[], &format!("{link}60&Signature=x&AWSAccessKeyId=a"), Some("AccessDenied"));
    }
}
