//! Bodies on their way in, before anybody knows what is in them.
//!
//! Guarantees: whoever shows no credential that opens anything makes harbor read a few KiB and no more, and no time but
//! that of a look at their syntax; a route reads no more than it needs; all bodies together hold no more than a budget;
//! only small ones are looked at on a thread that answers others. Malformed JSON is 400 even without a credential
//! (recordings, `api-system/malformed-json-no-key`), where it is short enough to be read.
//! Leaves out: what a body means, which is its route's matter ([`super::Body`]).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::MatchedPath;
use bytes::{Bytes, BytesMut};
use harbor_serve::{BodyBudget, BodyShare};
use http::header::CONTENT_LENGTH;
use http::request::Parts;
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use serde::de::IgnoredAny;
use tokio::sync::Semaphore;

use crate::error::ApiError;

/// Bytes of a body whose sender shows no credential that opens.
const MOST_FROM_STRANGERS: usize = 8 * 1024;

/// Bytes of a body on most routes.
const MOST: usize = 256 * 1024;

/// Bytes of a body that may hold a Dockerfile (contract, control-plane §1.2).
const MOST_WITH_DOCKERFILE: usize = 16 * 1024 * 1024;

/// The routes whose bodies may hold a Dockerfile.
const WITH_DOCKERFILE: [&str; 2] = ["/api/sandbox", "/api/snapshots"];

/// How long a body may take to arrive.
const DEADLINE: Duration = Duration::from_mins(1);

/// How long the body of a stranger may take to arrive.
const DEADLINE_FOR_STRANGERS: Duration = Duration::from_secs(10);

/// Bytes that are parsed at once; more go to a thread of their own.
const PARSED_AT_ONCE: usize = 16 * 1024;

/// Bodies that are parsed at the same time on threads of their own.
const PARSERS: usize = 2;

/// A request's body that nobody has read yet. It travels beside the head, so that it is read after the credential.
#[derive(Clone)]
pub(crate) struct Unread(Arc<Mutex<Option<Body>>>);

impl Unread {
    pub(crate) fn new(body: Body) -> Self {
        Self(Arc::new(Mutex::new(Some(body))))
    }

    fn take(&self) -> Option<Body> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// What all bodies that are being read share.
#[derive(Clone)]
pub(crate) struct Bodies {
    budget: BodyBudget,
    parsers: Arc<Semaphore>,
}

impl Bodies {
    pub(crate) fn within(budget: BodyBudget) -> Self {
        Self { budget, parsers: Arc::new(Semaphore::new(PARSERS)) }
    }
}

/// Who sends a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sender {
    /// Somebody whose credential was accepted.
    Caller,
    /// Anybody else.
    Stranger,
}

/// A body that is JSON, not yet checked against what its route expects.
#[derive(Clone)]
pub(crate) struct Received {
    json: Bytes,
    parsers: Arc<Semaphore>,
    /// Given back when the last clone goes.
    _share: Arc<BodyShare>,
}

impl Received {
    /// Runs `parse` on the JSON, on a thread that may take its time when there is much of it.
    pub(super) async fn parse<T: Send + 'static>(
        self,
        parse: impl FnOnce(&[u8]) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        if self.json.len() <= PARSED_AT_ONCE {
            return parse(&self.json);
        }
        let failed = || ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "Internal server error");
        let parser = Arc::clone(&self.parsers).acquire_owned().await.map_err(|_| failed())?;
        let parsed = tokio::task::spawn_blocking(move || {
            let _parser = parser;
            parse(&self.json)
        });
        parsed.await.map_err(|_| failed())?
    }
}

/// Reads the body, if the request's method has one, and leaves it in `parts` for [`super::Body`].
///
/// JSON whatever its content type says, so that a client that labels it wrongly or not at all works; forms are not JSON
/// and are refused. What a stranger sends beyond a few KiB is left unread: the credential is refused in any case.
pub(crate) async fn receive(parts: &mut Parts, sender: Sender, bodies: &Bodies) -> Result<(), ApiError> {
    let body = parts.extensions.remove::<Unread>().and_then(|unread| unread.take());
    let Some(body) = body.filter(|_| ![Method::GET, Method::HEAD, Method::OPTIONS].contains(&parts.method)) else {
        return Ok(());
    };
    let (limit, deadline) = match sender {
        Sender::Caller => (limit(parts), DEADLINE),
        Sender::Stranger => (MOST_FROM_STRANGERS, DEADLINE_FOR_STRANGERS),
    };
    let length = parts.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let mut share = bodies.budget.share();
    let collected = if length.is_some_and(|length| length > limit as u64) {
        None
    } else {
        tokio::time::timeout(deadline, collect(body, limit, &mut share))
            .await
            .unwrap_or_else(|_| Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time")))?
    };
    let json = match (collected, sender) {
        (Some(json), _) => json,
        (None, Sender::Stranger) => return Ok(()),
        (None, Sender::Caller) => {
            let message = format!("the body must not be larger than {limit} bytes");
            return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, message));
        }
    };
    if json.iter().all(u8::is_ascii_whitespace) {
        return Ok(());
    }
    let parsers = Arc::clone(&bodies.parsers);
    let received = Received { json, parsers, _share: Arc::new(share) };
    received.clone().parse(check_syntax).await?;
    parts.extensions.insert(received);
    Ok(())
}

fn limit(parts: &Parts) -> usize {
    let route = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
    if WITH_DOCKERFILE.contains(&route) { MOST_WITH_DOCKERFILE } else { MOST }
}

/// All of the body; none when it is longer than `limit` bytes.
async fn collect(mut body: Body, limit: usize, share: &mut BodyShare) -> Result<Option<Bytes>, ApiError> {
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| ApiError::invalid("the body ended early"))?;
        let Ok(piece) = frame.into_data() else { continue };
        if whole.len() + piece.len() > limit {
            return Ok(None);
        }
        let covered = share.cover(whole.len() + piece.len()).await;
        covered.map_err(|spent| ApiError::new(StatusCode::SERVICE_UNAVAILABLE, spent.to_string()))?;
        whole.extend_from_slice(&piece);
    }
    Ok(Some(whole.freeze()))
}

/// Looks at every byte and keeps none, however deep the body is nested.
fn check_syntax(json: &[u8]) -> Result<(), ApiError> {
    let text = str::from_utf8(json)
        .map_err(|error| ApiError::invalid(format!("the body is not JSON: it is no text: {error}")))?;
    serde_json::from_str::<IgnoredAny>(text)
        .map(|_| ())
        .map_err(|error| ApiError::invalid(format!("the body is not JSON: {error}")))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::{StreamExt as _, stream};
    use http::Request;

    use super::*;

    const PIECE: usize = 4096;

    /// A body of `pieces` pieces of spaces, and the number of those that were asked for.
    fn endless(pieces: usize) -> (Body, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let pieces = stream::repeat(Bytes::from(vec![b' '; PIECE])).take(pieces).map(move |piece| {
            count.fetch_add(1, Ordering::Relaxed);
            Ok::<_, std::io::Error>(piece)
        });
        (Body::from_stream(pieces), asked)
    }

    async fn check(sender: Sender, body: Body, bodies: &Bodies) -> Result<bool, u16> {
        let mut parts = Request::post("/").body(()).unwrap().into_parts().0;
        parts.extensions.insert(Unread::new(body));
        receive(&mut parts, sender, bodies).await.map_err(|error| error.status.as_u16())?;
        Ok(parts.extensions.get::<Received>().is_some())
    }

    #[tokio::test]
    async fn of_a_stranger_a_few_kilobytes_are_read() {
        let (body, asked) = endless(4096);
        assert_eq!(check(Sender::Stranger, body, &Bodies::within(BodyBudget::default())).await, Ok(false));
        assert!(asked.load(Ordering::Relaxed) * PIECE <= MOST_FROM_STRANGERS + PIECE);
        for (body, outcome) in [("{\"name\":", Err(400)), ("{}", Ok(true)), (" ", Ok(false)), ("name=x", Err(400))] {
            assert_eq!(
                check(Sender::Stranger, Body::from(body), &Bodies::within(BodyBudget::default())).await,
                outcome,
                "{body}"
            );
        }
    }

    #[tokio::test]
    async fn of_a_caller_as_much_as_the_route_needs() {
        let (body, asked) = endless(4096);
        assert_eq!(check(Sender::Caller, body, &Bodies::within(BodyBudget::default())).await, Err(413));
        assert!(asked.load(Ordering::Relaxed) * PIECE <= MOST + PIECE);
        let long = format!("[{}0]", "0,".repeat(100_000));
        assert_eq!(check(Sender::Caller, Body::from(long), &Bodies::within(BodyBudget::default())).await, Ok(true));
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        assert_eq!(check(Sender::Caller, Body::from(deep), &Bodies::within(BodyBudget::default())).await, Ok(true));
        assert_eq!(
            check(Sender::Caller, Body::from("[".repeat(100_000)), &Bodies::within(BodyBudget::default())).await,
            Err(400)
        );
        assert_eq!(
            check(Sender::Caller, Body::from(&b"{\"a\":\"\xff\"}"[..]), &Bodies::within(BodyBudget::default())).await,
            Err(400)
        );
    }
}
