//! What must not get through to a toolbox: requests that different readers read differently, and harbor's own paths.

use axum::extract::Request;
use http::{HeaderMap, header};
use percent_encoding::percent_decode;

/// First segment of the toolbox's paths that are harbor's business alone.
const INTERNAL: &[u8] = b".harbor";

/// First segment of the toolbox's paths that lead on to a port.
const PORTS: &[u8] = b"proxy";

/// Decoding more often than this is no honest path.
const MOST_LAYERS: usize = 4;

/// Why the framing or destination of this request is ambiguous, if it is.
pub(crate) fn ambiguity(request: &Request) -> Option<&'static str> {
    let headers = request.headers();
    if count(headers, &header::HOST) > 1 {
        return Some("more than one Host header");
    }
    if count(headers, &header::CONTENT_LENGTH) > 1 {
        return Some("more than one Content-Length header");
    }
    if let Some(coding) = headers.get(header::TRANSFER_ENCODING) {
        if headers.contains_key(header::CONTENT_LENGTH) {
            return Some("both Content-Length and Transfer-Encoding");
        }
        let chunked = coding.as_bytes().eq_ignore_ascii_case(b"chunked");
        if !chunked || count(headers, &header::TRANSFER_ENCODING) > 1 {
            return Some("a Transfer-Encoding other than chunked");
        }
    }
    None
}

fn count(headers: &HeaderMap, name: &http::HeaderName) -> usize {
    headers.get_all(name).iter().count()
}

/// Whether anybody could read `path` as one below `/.harbor/` of the toolbox that listens on `port`: also through
/// percent-encoding in several layers, doubled slashes, backslashes, dot segments, path parameters, letter case, and
/// through the toolbox's own way to its own port. When in doubt, yes.
pub(crate) fn leads_inside(path: &str, port: u16) -> bool {
    if !path.contains('%') && !path.as_bytes().windows(INTERNAL.len()).any(|part| part.eq_ignore_ascii_case(INTERNAL)) {
        return false; // nearly every path
    }
    let mut path = path.as_bytes().to_vec();
    for _ in 0..MOST_LAYERS {
        if names_internal(&path, port) {
            return true;
        }
        let decoded: Vec<u8> = percent_decode(&path).collect();
        if decoded == path {
            return false;
        }
        path = decoded;
    }
    true
}

/// Walks the path as a file system would and looks at every place it comes through.
fn names_internal(path: &[u8], port: u16) -> bool {
    let mut walked: Vec<&[u8]> = Vec::new();
    for segment in path.split(|byte| matches!(byte, b'/' | b'\\')) {
        let name = segment.split(|byte| *byte == b';').next().unwrap_or_default();
        match name.trim_ascii() {
            b"" | b"." => {}
            b".." => drop(walked.pop()),
            name => walked.push(name),
        }
        if is_internal(&walked, port) {
            return true;
        }
    }
    false
}

fn is_internal(mut walked: &[&[u8]], port: u16) -> bool {
    while let [first, second, rest @ ..] = walked
        && first.eq_ignore_ascii_case(PORTS)
        && str::from_utf8(second).is_ok_and(|text| text.parse() == Ok(port))
    {
        walked = rest;
    }
    walked.first().is_some_and(|first| first.eq_ignore_ascii_case(INTERNAL))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn no_spelling_of_the_internal_paths_gets_through() {
        for path in [
            "/.harbor",
            "/.harbor/configure",
            "//.harbor/configure",
            "/./.harbor/configure",
            "/x/../.harbor/configure",
            "/x/..;/.harbor/configure",
            "/.harbor;a=b/configure",
            "/.harbor/../version",
            "/%2eharbor/configure",
            "/%2Eharbor/configure",
            "/.%68arbor/configure",
            "/%2fx%2f..%2f.harbor/configure",
            "/.harbor%2fconfigure",
            "/%252eharbor/configure",
            "/%25252eharbor/configure",
            "/%252525252525252eharbor/configure",
            "/\\.harbor\\configure",
            "/%5c.harbor/configure",
            "/.HARBOR/configure",
            "/../../.harbor/configure",
            "/proxy/2280/.harbor/configure",
            "/proxy/02280//proxy/2280/.harbor/configure",
            "/proxy/3000/../2280/.harbor/configure",
            "/%20.harbor/configure",
        ] {
            assert!(leads_inside(path, 2280), "{path}");
        }
    }

    #[test]
    fn other_paths_do() {
        for path in [
            "/",
            "/version",
            "/files/download",
            "/harbor",
            "/x.harbor/y",
            "/.harbors/x",
            "/files/.harbor",
            "/proxy/3000/.harbor/configure",
            "/proxy/3000/a%2Fb%20c(local)%40",
            "/100%25",
            "/%zz",
        ] {
            assert!(!leads_inside(path, 2280), "{path}");
        }
    }

    proptest! {
        #[test]
        fn encoding_any_letters_does_not_help(encoded in proptest::collection::vec(any::<bool>(), 8), layers in 1..3) {
            let mut path = "/.harbor".to_owned();
            for _ in 0..layers {
                path = path.bytes().zip(encoded.iter().cycle()).enumerate().map(|(at, (byte, encode))| {
                    if at > 0 && *encode { format!("%{byte:02x}") } else { char::from(byte).to_string() }
                }).collect();
            }
            let path = path + "/configure";
            prop_assert!(leads_inside(&path, 2280), "{}", path);
        }
    }
}
