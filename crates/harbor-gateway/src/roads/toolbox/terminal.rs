//! Connections to terminals (contract, toolbox §10.4).

use http::Uri;

/// Whether the toolbox speaks first on this route: it says that the terminal is connected.
pub(crate) fn greets(uri: &Uri) -> bool {
    let segments: Vec<&str> = uri.path().split('/').take(6).collect();
    matches!(segments[..], ["", "process", "pty", "create-connect"] | ["", "process", "pty", _, "connect"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_connections_to_terminals_are_greeted() {
        for uri in ["/process/pty/a%2Fb/connect", "/process/pty/create-connect?id=x"] {
            assert!(greets(&Uri::from_static(uri)), "{uri}");
        }
        for uri in ["/process/pty", "/process/pty/a", "/process/pty/a/resize", "/process/pty/a/connect/x", "/x/connect"]
        {
            assert!(!greets(&Uri::from_static(uri)), "{uri}");
        }
    }
}
