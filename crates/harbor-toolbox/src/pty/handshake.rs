//! What clients offer as WebSocket subprotocols (contract, toolbox §10.6).

use std::collections::BTreeMap;

use axum::extract::ws::WebSocketUpgrade;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, header};

use crate::http::client::version_token;
use crate::http::error::Error;

/// Offered by clients that want to be told the exit code in a frame of its own.
const EXIT_CONTROL: &str = "X-Daytona-Pty-Exit-Control";

/// What stands before the environment variables.
const ENVIRONMENT: &str = "X-Daytona-Pty-Envs~";

/// Most bytes of a message, for the WebSocket library: more than a client may send, so that it can be told so.
const LARGEST_MESSAGE: usize = 1 << 20;

/// The subprotocols a client offers.
pub(super) struct Offered {
    tokens: Vec<String>,
    version: Option<String>,
}

impl Offered {
    /// Those of a request.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let values = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).into_iter();
        let values = values.filter_map(|value| value.to_str().ok());
        let tokens = values.flat_map(|value| value.split(',')).map(|token| token.trim().to_owned()).collect();
        Self { tokens, version: version_token(headers).map(str::to_owned) }
    }

    /// Whether the client wants to be told the exit code in a frame.
    pub(super) fn exit_control(&self) -> bool {
        self.tokens.iter().any(|token| token == EXIT_CONTROL)
    }

    /// The environment variables; none offered: none.
    pub(super) fn environment(&self) -> Result<BTreeMap<String, Option<String>>, Error> {
        let Some(encoded) = self.tokens.iter().find_map(|token| token.strip_prefix(ENVIRONMENT)) else {
            return Ok(BTreeMap::new());
        };
        let decoded = URL_SAFE_NO_PAD.decode(encoded.trim_end_matches('=')).ok();
        let variables = decoded.and_then(|text| serde_json::from_slice(&text).ok());
        variables.ok_or_else(|| Error::bad_request("the environment variables cannot be decoded"))
    }

    /// Selects one of them: libraries refuse a connection when they offered some and none comes back.
    pub(super) fn select(&self, upgrade: WebSocketUpgrade) -> WebSocketUpgrade {
        let environment = self.tokens.iter().find(|token| token.starts_with(ENVIRONMENT)).cloned();
        let exit_control = self.exit_control().then(|| EXIT_CONTROL.to_owned());
        upgrade.max_message_size(LARGEST_MESSAGE).protocols(exit_control.or(self.version.clone()).or(environment))
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn offered(value: &'static str) -> Offered {
        Offered::of(&[(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(value))].into_iter().collect())
    }

    #[test]
    fn variables_come_in_a_token() {
        // {"A":"1"} as in the contract's example (§22.3)
        let offered = offered("X-Daytona-Pty-Exit-Control, X-Daytona-Pty-Envs~eyJBIjoiMSJ9");
        assert!(offered.exit_control());
        assert_eq!(offered.environment().unwrap(), [("A".to_owned(), Some("1".to_owned()))].into());
    }

    #[test]
    fn without_the_token_there_are_none_and_broken_ones_are_refused() {
        assert!(offered("X-Daytona-SDK-Version~0.190.0").environment().unwrap().is_empty());
        for broken in ["X-Daytona-Pty-Envs~!!", "X-Daytona-Pty-Envs~W10", "X-Daytona-Pty-Envs~eyJBIjoxfQ"] {
            assert!(offered(broken).environment().is_err(), "{broken}");
        }
    }
}
