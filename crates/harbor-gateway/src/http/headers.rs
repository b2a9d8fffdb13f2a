//! Which headers travel (contract, edges §1.11).

use std::net::IpAddr;

use http::header::{self, Entry, HeaderMap, HeaderName, HeaderValue};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const SKIP_ACTIVITY: HeaderName = HeaderName::from_static("x-daytona-skip-last-activity-update");

/// Headers between two neighbours only.
const HOP_BY_HOP: [HeaderName; 6] =
    [header::CONNECTION, KEEP_ALIVE, header::TE, header::TRAILER, header::TRANSFER_ENCODING, header::UPGRADE];

/// What an answer may not say to a browser below a path of harbor's own hosts: each would hold for the whole origin or
/// host, which is not the sandbox's.
const ORIGIN_WIDE: [HeaderName; 7] = [
    header::SET_COOKIE,
    header::STRICT_TRANSPORT_SECURITY,
    header::ALT_SVC,
    HeaderName::from_static("clear-site-data"),
    HeaderName::from_static("service-worker-allowed"),
    HeaderName::from_static("nel"),
    HeaderName::from_static("report-to"),
];

/// How a browser says that it fetches the script of a service worker.
const SERVICE_WORKER: HeaderName = HeaderName::from_static("service-worker");

/// Whether a browser asks for the script of a service worker. One registered below a path of harbor's own host could
/// outlive the sandbox and see what is sent to that origin later.
pub(crate) fn asks_for_service_worker(headers: &HeaderMap) -> bool {
    headers.contains_key(SERVICE_WORKER)
}

/// Keeps what a sandbox serves below a path of harbor's own host from becoming an active document of that origin, or
/// from speaking for it.
pub(crate) fn confine(headers: &mut HeaderMap) {
    for name in ORIGIN_WIDE {
        headers.remove(name);
    }
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

/// Takes the header off that asks for the use not to be noted, and answers whether it does.
pub(crate) fn take_skip_activity(headers: &mut HeaderMap) -> bool {
    headers.remove(SKIP_ACTIVITY).is_some_and(|value| value == "true")
}

/// The protocol that the request asks to change to; the token counts wherever it stands in `Connection`.
pub(crate) fn upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let asked = connection_tokens(headers).any(|token| token.eq_ignore_ascii_case("upgrade"));
    headers.get(header::UPGRADE).filter(|_| asked).cloned()
}

/// Removes what was meant for the neighbour only, and what `Connection` names as such.
pub(crate) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = connection_tokens(headers).filter_map(|token| token.parse().ok()).collect();
    for name in named {
        headers.remove(name);
    }
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
    let proxy: Vec<HeaderName> = headers.keys().filter(|name| name.as_str().starts_with("proxy-")).cloned().collect();
    for name in proxy {
        headers.remove(name);
    }
}

/// Restores what an upgrade needs of the headers that [`remove_hop_by_hop`] takes away.
pub(crate) fn insert_upgrade(headers: &mut HeaderMap, protocol: HeaderValue) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, protocol);
}

/// Says where the request came from, behind what others in front have said.
pub(crate) fn insert_forwarded(headers: &mut HeaderMap, client: Option<IpAddr>, host: Option<HeaderValue>) {
    if let Some(client) = client {
        let mut chain: Vec<u8> = Vec::with_capacity(48);
        for earlier in headers.get_all(FORWARDED_FOR) {
            chain.extend_from_slice(earlier.as_bytes());
            chain.extend_from_slice(b", ");
        }
        chain.extend_from_slice(client.to_canonical().to_string().as_bytes());
        if let Ok(chain) = HeaderValue::from_maybe_shared(chain) {
            headers.insert(FORWARDED_FOR, chain);
        }
    }
    if let Some(host) = host {
        headers.append(FORWARDED_HOST, host);
    }
    if let Entry::Vacant(vacant) = headers.entry(FORWARDED_PROTO) {
        vacant.insert(HeaderValue::from_static("http")); // whoever ends TLS in front of harbor says so itself
    }
}

/// Puts `prefix` before a redirect's path-absolute `Location`, unless it is there (contract, edges §1.3).
pub(crate) fn rewrite_location(headers: &mut HeaderMap, prefix: &str) {
    let Some(location) = headers.get(header::LOCATION) else { return };
    let bytes = location.as_bytes();
    if !bytes.starts_with(b"/") || bytes.starts_with(b"//") || is_below(bytes, prefix.as_bytes()) {
        return;
    }
    if let Ok(location) = HeaderValue::from_bytes(&[prefix.as_bytes(), bytes].concat()) {
        headers.insert(header::LOCATION, location);
    }
}

fn is_below(path: &[u8], prefix: &[u8]) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| matches!(rest.first(), None | Some(b'/' | b'?' | b'#')))
}

fn connection_tokens(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn headers_for_the_neighbour_do_not_travel() {
        let mut some = headers(&[
            ("connection", "close, x-private"),
            ("x-private", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("proxy-authorization", "Basic x"),
            ("proxy-anything", "1"),
            ("transfer-encoding", "chunked"),
            ("range", "bytes=0-1"),
        ]);
        remove_hop_by_hop(&mut some);
        assert_eq!(some, headers(&[("range", "bytes=0-1")]));
    }

    #[test]
    fn an_upgrade_needs_both_headers() {
        assert!(upgrade(&headers(&[("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")])).is_some());
        assert!(upgrade(&headers(&[("connection", "keep-alive"), ("upgrade", "h2c")])).is_none());
        assert!(upgrade(&headers(&[("connection", "upgrade")])).is_none());
    }

    #[test]
    fn those_in_front_are_named_first() {
        let mut some = headers(&[("x-forwarded-for", "9.9.9.9"), ("x-forwarded-host", "a.example")]);
        some.insert(FORWARDED_PROTO, HeaderValue::from_static("https"));
        let host = Some(HeaderValue::from_static("localhost:35001"));
        insert_forwarded(&mut some, Some("::ffff:127.0.0.1".parse().unwrap()), host);
        assert_eq!(some[FORWARDED_FOR], "9.9.9.9, 127.0.0.1");
        assert_eq!(some.get_all(FORWARDED_HOST).iter().collect::<Vec<_>>(), ["a.example", "localhost:35001"]);
        assert_eq!(some[FORWARDED_PROTO], "https");
    }

    #[test]
    fn only_path_absolute_locations_get_the_prefix() {
        let check = |from: &'static str, to: &str| {
            let mut some = headers(&[("location", from)]);
            rewrite_location(&mut some, "/toolbox/id");
            assert_eq!(some[header::LOCATION], to);
        };
        check("/files", "/toolbox/id/files");
        check("/", "/toolbox/id/");
        check("/toolbox/id/files", "/toolbox/id/files");
        check("/toolbox/id2", "/toolbox/id/toolbox/id2");
        check("https://example.org/x", "https://example.org/x");
        check("//example.org/x", "//example.org/x");
        check("files", "files");
    }
}
