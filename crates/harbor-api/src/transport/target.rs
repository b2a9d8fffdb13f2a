//! Addresses as clients send them.

use http::Uri;
use http::uri::PathAndQuery;

/// `uri` with doubled slashes collapsed and without a trailing one: clients join base and path textually
/// (contract, control-plane §1.1). Percent-encoding is left alone.
pub(super) fn normalised(uri: &Uri) -> Option<Uri> {
    let path = uri.path();
    if !path.contains("//") && (path.len() == 1 || !path.ends_with('/')) {
        return None;
    }
    let mut clean = String::with_capacity(path.len());
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        clean.push('/');
        clean.push_str(segment);
    }
    if clean.is_empty() {
        clean.push('/');
    }
    if let Some(query) = uri.query() {
        clean.push('?');
        clean.push_str(query);
    }
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(clean).ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, clean: Option<&str>) {
        let uri: Uri = text.parse().unwrap();
        assert_eq!(normalised(&uri).map(|uri| uri.to_string()).as_deref(), clean, "{text}");
    }

    #[test]
    fn slashes_are_collapsed_and_the_rest_is_left_alone() {
        check("/api/sandbox?x=//", None);
        check("/", None);
        check("/api//sandbox///a?x=//", Some("/api/sandbox/a?x=//"));
        check("/api/volumes/", Some("/api/volumes"));
        check("//", Some("/"));
        check("/api/snapshots/a%2F%2Fb/", Some("/api/snapshots/a%2F%2Fb"));
    }
}
