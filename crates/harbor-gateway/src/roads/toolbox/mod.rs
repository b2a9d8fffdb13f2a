//! The toolbox by path: `/toolbox/{sandboxId}/…` and the older `/api/toolbox/{sandboxId}/toolbox/…` (contract, edges
//! §1.3). Finds out who is meant and who asks, and passes on what is admitted.

mod credentials;
mod follow;
mod signed_url;
mod terminal;

use std::borrow::Cow;
use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use harbor_control::{Admission, Control, Kind, Purpose};
use harbor_model::names::SandboxRef;
use harbor_serve::ConnectionSlot;
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, StatusCode, Uri, header};
use percent_encoding::percent_decode_str;

use crate::http::forward::{Forwarder, Passage};
use crate::http::refusal::{Dialect, Refusal, internal};
use crate::http::{guard, headers};
use credentials::Credentials;

const DIRECT: &str = "/toolbox/";
const LEGACY: &str = "/api/toolbox/";
const LEGACY_MIDDLE: &str = "/toolbox";

/// One route of the toolbox that the older path spells otherwise.
const LEGACY_SYMBOLS: (&str, &str) = ("/lsp/workspace-symbols", "/lsp/workspacesymbols");

/// A path that leads to a sandbox's toolbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    dialect: Dialect,
    sandbox: SandboxRef,
    /// How many bytes of the path do not travel.
    prefix: usize,
}

/// Reads `/toolbox/{sandboxId}/…`.
pub(crate) fn direct(path: &str) -> Option<Target> {
    let (segment, _) = path.strip_prefix(DIRECT)?.split_once('/')?;
    target(Dialect::Proxy, segment, DIRECT.len() + segment.len())
}

/// Reads `/api/toolbox/{sandboxId}/toolbox/…`.
pub(crate) fn legacy(path: &str) -> Option<Target> {
    let (segment, _) = path.strip_prefix(LEGACY)?.split_once('/')?;
    let prefix = LEGACY.len() + segment.len() + LEGACY_MIDDLE.len();
    let rest = path.get(LEGACY.len() + segment.len()..)?.strip_prefix(LEGACY_MIDDLE)?;
    rest.starts_with('/').then(|| target(Dialect::Api, segment, prefix))?
}

fn target(dialect: Dialect, segment: &str, prefix: usize) -> Option<Target> {
    let sandbox = SandboxRef::new(percent_decode_str(segment).decode_utf8().ok()?);
    (!segment.is_empty()).then_some(Target { dialect, sandbox, prefix })
}

/// The way to toolboxes.
pub(crate) struct ToolboxRoad {
    pub(crate) control: Control,
    pub(crate) forwarder: Forwarder,
    /// Port of the toolbox on a sandbox's loopback.
    pub(crate) port: u16,
    /// Header that carries the sandbox's token to its toolbox.
    pub(crate) token_header: HeaderName,
    /// Header that asks a toolbox for a log as it is written.
    pub(crate) follow_header: HeaderName,
}

impl ToolboxRoad {
    /// Lets the request in, or not, and passes it to the toolbox.
    pub(crate) async fn pass(&self, target: Target, mut request: Request) -> Response {
        let (method, uri) = (request.method().clone(), request.uri().clone());
        if let Some(what) = guard::ambiguity(&request) {
            let refusal = Refusal::bad_request(format!("the request has {what}"));
            let mut answer = refusal.answer(target.dialect, &method, &uri);
            // where this request ends is in doubt, and with it what follows on the connection
            answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            return answer;
        }
        if headers::asks_for_service_worker(request.headers()) {
            let message = "a sandbox cannot have a service worker below a path of harbor's own host";
            return Refusal::new(StatusCode::FORBIDDEN, message).answer(target.dialect, &method, &uri);
        }
        let passed = match self.enter(&target, &mut request).await {
            Ok(passage) => self.forwarder.pass(passage, request).await,
            Err(refusal) => Err(refusal),
        };
        let mut answer = passed.unwrap_or_else(|refusal| refusal.answer(target.dialect, &method, &uri));
        headers::confine(answer.headers_mut());
        answer
    }

    async fn enter(&self, target: &Target, request: &mut Request) -> Result<Passage, Refusal> {
        let (prefix, rest) = request.uri().path().split_at(target.prefix);
        if guard::leads_inside(rest, self.port) {
            return Err(Refusal::new(StatusCode::NOT_FOUND, "the toolbox serves nothing at this path"));
        }
        let prefix = prefix.to_owned();
        let (admission, query) = match target.dialect {
            Dialect::Proxy => self.admit(target, request).await?,
            Dialect::Api => {
                let admission = self.admit_key(target, request).await?;
                let query = request.uri().query().and_then(credentials::without_token);
                (admission, query.map(Cow::into_owned))
            }
        };
        if let Some(slot) = request.extensions().get::<ConnectionSlot>() {
            slot.vouch();
        }
        let uri = remainder(request.uri().path(), query.as_deref(), target)?;
        let mut token = HeaderValue::from_str(admission.toolbox_token().reveal()).map_err(|error| internal(&error))?;
        token.set_sensitive(true);
        let follows = follow::is_promised(request.method(), &uri, request.headers());
        let own = vec![
            (self.token_header.clone(), Some(token)),
            (self.follow_header.clone(), follows.then(|| HeaderValue::from_static("true"))),
        ];
        let host = HeaderValue::try_from(format!("localhost:{}", self.port)).map_err(|error| internal(&error))?;
        let greets = terminal::greets(&uri);
        Ok(Passage { admission: Arc::new(admission), uri, prefix, host, own, greets })
    }

    /// By any credential; answers also what of the query travels on.
    async fn admit(&self, target: &Target, request: &mut Request) -> Result<(Admission, Option<String>), Refusal> {
        let credentials = Credentials::of(request, &request.uri().path()[target.prefix..]);
        match self.control.admit(&credentials.list, &target.sandbox, self.purpose()).await {
            Ok((admission, index)) => {
                credentials.strip(index, request.headers_mut());
                Ok((admission, credentials.onward(index, request.uri().query()).map(Cow::into_owned)))
            }
            Err(error) if error.kind() == Kind::Unauthenticated => {
                Err(Refusal::new(StatusCode::UNAUTHORIZED, credentials.complaint()))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// By an API key that allows it, as every route of the API.
    async fn admit_key(&self, target: &Target, request: &mut Request) -> Result<Admission, Refusal> {
        let Some(key) = credentials::bearer(request.headers()) else {
            let message = "Invalid credentials: send an API key as 'Authorization: Bearer'";
            return Err(Refusal::new(StatusCode::UNAUTHORIZED, message));
        };
        let caller = self.control.authenticate(key.reveal()).await?.allow()?;
        let admission = self.control.admit_caller(&caller, &target.sandbox, self.purpose()).await?;
        credentials::strip_key(request.headers_mut());
        Ok(admission)
    }

    fn purpose(&self) -> Purpose {
        Purpose::Toolbox { port: self.port }
    }
}

/// What the toolbox is asked for: the rest of the path, byte by byte, with this query.
fn remainder(path: &str, query: Option<&str>, target: &Target) -> Result<Uri, Refusal> {
    let mut rest = &path[target.prefix..];
    if target.dialect == Dialect::Api && rest == LEGACY_SYMBOLS.0 {
        rest = LEGACY_SYMBOLS.1;
    }
    let rest = query.map_or(Cow::Borrowed(rest), |query| Cow::Owned(format!("{rest}?{query}")));
    let rest = PathAndQuery::try_from(&*rest).map_err(|_| Refusal::bad_request("the path cannot be passed on"))?;
    Ok(Uri::from(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, expected: Option<(Dialect, &str, &str)>) {
        let found = direct(path).or_else(|| legacy(path));
        let found = found.as_ref().map(|found| (found.dialect, found.sandbox.as_str(), &path[found.prefix..]));
        assert_eq!(found, expected, "{path}");
    }

    #[test]
    fn the_prefix_is_found_and_nothing_else_of_the_path_touched() {
        check("/toolbox/x/", Some((Dialect::Proxy, "x", "/")));
        check("/toolbox/x/a%2Fb//(c)", Some((Dialect::Proxy, "x", "/a%2Fb//(c)")));
        check("/toolbox/my%20box/toolbox/y/z", Some((Dialect::Proxy, "my box", "/toolbox/y/z")));
        check("/api/toolbox/x/toolbox/files", Some((Dialect::Api, "x", "/files")));
        check("/api/toolbox/x/toolbox/", Some((Dialect::Api, "x", "/")));
    }

    #[test]
    fn a_path_that_ends_at_the_id_leads_nowhere() {
        for path in ["/toolbox", "/toolbox/", "/toolbox/x", "/toolbox//x", "/toolbox/%ff/x", "/api/toolbox/x/toolbox"] {
            check(path, None);
        }
        check("/api/toolbox/x/toolboxes/y", None);
        check("/api/toolbox//toolbox/y", None);
    }

    #[test]
    fn the_other_spelling_is_accepted_on_the_older_path_only() {
        let rest = |path: &str| {
            let target = direct(path).or_else(|| legacy(path)).unwrap();
            let uri: Uri = path.parse().unwrap();
            remainder(uri.path(), uri.query(), &target).unwrap().to_string()
        };
        assert_eq!(rest("/api/toolbox/x/toolbox/lsp/workspace-symbols?q=1"), "/lsp/workspacesymbols?q=1");
        assert_eq!(rest("/api/toolbox/x/toolbox/lsp/workspace-symbolsx"), "/lsp/workspace-symbolsx");
        assert_eq!(rest("/toolbox/x/lsp/workspace-symbols"), "/lsp/workspace-symbols");
    }
}
