//! Which answers a client understands, by the version it states (contract, toolbox §3).

use http::{HeaderMap, header};

/// Header in which SDKs state their version.
const VERSION: &str = "x-daytona-sdk-version";

/// What stands before the version in an offered WebSocket subprotocol.
const VERSION_TOKEN: &str = "X-Daytona-SDK-Version~";

/// How a client takes the output of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OutputForm {
    /// Standard output and standard error as one text without markers.
    Combined,
    /// One text with markers; the client takes it apart.
    Raw,
    /// The text with markers, and both streams as texts of their own.
    Split,
}

/// The form for the client that sent these headers.
pub(crate) fn output_form(headers: &HeaderMap) -> OutputForm {
    match version(headers) {
        None if headers.get("x-daytona-split-output").is_some_and(|value| value == "true") => OutputForm::Raw,
        None => OutputForm::Combined,
        Some(version) if version.contains("dev") => OutputForm::Split,
        Some(version) => match numbers(version) {
            Some(numbers) if numbers >= [0, 167, 0] => OutputForm::Split,
            Some(numbers) if numbers < [0, 27, 0] => OutputForm::Combined,
            _ => OutputForm::Raw,
        },
    }
}

/// Whether a log over a WebSocket carries markers though the version asks for none: without a version they are left
/// out only for a client that names itself, because one that names nothing takes the streams apart itself (§8.8).
pub(crate) fn wants_markers(headers: &HeaderMap) -> bool {
    version(headers).is_none() && !headers.contains_key("x-daytona-source")
}

/// Whether a session begins in the home directory instead of the work dir (§3).
pub(crate) fn starts_in_home(headers: &HeaderMap) -> bool {
    let version = version(headers).filter(|&version| version != "0.0.0-dev");
    version.and_then(numbers).is_some_and(|numbers| numbers < [0, 103, 0])
}

/// Whether the client states a version at all.
pub(crate) fn states_version(headers: &HeaderMap) -> bool {
    version(headers).is_some()
}

/// The offered WebSocket subprotocol that carries the version; the server then selects exactly that one.
pub(crate) fn version_token(headers: &HeaderMap) -> Option<&str> {
    let offered = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).into_iter().filter_map(|value| value.to_str().ok());
    offered.flat_map(|value| value.split(',')).map(str::trim).find(|token| token.starts_with(VERSION_TOKEN))
}

fn version(headers: &HeaderMap) -> Option<&str> {
    let stated = headers.get(VERSION).and_then(|value| value.to_str().ok()).filter(|value| !value.is_empty());
    stated.or_else(|| version_token(headers)?.strip_prefix(VERSION_TOKEN))
}

/// Major, minor and patch; what is glued to the patch makes a pre-release, which counts as the release itself.
fn numbers(version: &str) -> Option<[u32; 3]> {
    let mut parts = version.strip_prefix('v').unwrap_or(version).splitn(3, '.');
    let mut whole = || parts.next()?.parse().ok();
    let (major, minor) = (whole()?, whole()?);
    let patch = parts.next()?;
    let digits = patch.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(patch.len());
    Some([major, minor, patch[..digits].parse().ok()?])
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[track_caller]
    fn check(headers: &[(&'static str, &'static str)], form: OutputForm) {
        let headers = headers.iter().map(|&(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)));
        assert_eq!(output_form(&headers.collect()), form);
    }

    #[test]
    fn the_version_decides() {
        for version in ["0.167.0", "0.167.0a1", "0.190.0", "1.0.0", "0.0.0-dev", "v0.226.1"] {
            check(&[(VERSION, version)], OutputForm::Split);
        }
        for version in ["0.27.0", "0.166.9", "0.27.0-alpha.1", "nonsense", "0.x.1"] {
            check(&[(VERSION, version)], OutputForm::Raw);
        }
        for version in ["0.26.9", "0.1.0"] {
            check(&[(VERSION, version)], OutputForm::Combined);
        }
    }

    #[test]
    fn without_a_version_it_is_combined_unless_asked_otherwise() {
        check(&[], OutputForm::Combined);
        check(&[("x-daytona-split-output", "true")], OutputForm::Raw);
        check(&[("x-daytona-split-output", "1")], OutputForm::Combined);
    }

    #[test]
    fn the_version_may_stand_in_the_subprotocol() {
        check(&[("sec-websocket-protocol", "other, X-Daytona-SDK-Version~0.190.0")], OutputForm::Split);
    }
}
