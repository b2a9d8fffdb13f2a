//! What the host name of a request means (contract, edges §1.1). It is looked at before the path.

use axum::extract::Request;
use http::header;

/// The host that the request is for, with its port as written: from an absolute request target, else from `Host`.
pub(crate) fn of(request: &Request) -> Option<&str> {
    match request.uri().authority() {
        Some(authority) => Some(authority.as_str()),
        None => request.headers().get(header::HOST)?.to_str().ok(),
    }
}

/// Whether `host` is that of a preview, `{port}-{sandbox or token}.{domain}`: two labels or more, the first of which
/// begins with an integer and a dash.
pub(crate) fn is_preview(host: &str) -> bool {
    let Some((label, _)) = host.split_once('.') else { return false };
    let Some((port, _)) = label.split_once('-') else { return false };
    !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preview_host_begins_with_an_integer_and_a_dash() {
        for host in
            ["3000-67e55044-10b1-426f-9247-bb680e5fe0c8.proxy.localhost:35001", "1-x.y", "3000-.proxy.localhost"]
        {
            assert!(is_preview(host), "{host}");
        }
        for host in ["localhost:35001", "127.0.0.1:35001", "proxy.localhost:35001", "3000-x:35001", "-x.y", "a1-x.y"] {
            assert!(!is_preview(host), "{host}");
        }
        assert!(!is_preview("[::1]:35001"));
    }
}
