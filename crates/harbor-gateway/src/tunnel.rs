//! `WebSocket`s and other upgrades: once both sides have agreed, bytes both ways until both have ended (contract, edges
//! §1.12). No idle limit: a terminal may be silent for days.

use std::time::Duration;

use axum::extract::Request;
use http::Response;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional_with_sizes;

use crate::Inner;
use crate::activity::Activity;
use crate::serve::Held;

/// How long the client's side may take to read that the protocol changes.
const SWITCH: Duration = Duration::from_secs(10);

/// Buffer per direction, bytes.
const BUFFER: usize = 32 * 1024;

/// The client's end of a tunnel to be, with its place among the bounded connections.
pub(crate) struct ClientSide {
    upgrade: OnUpgrade,
    held: Option<Held>,
}

/// Takes the client's end out of a request that asks for an upgrade.
pub(crate) fn client_side(request: &mut Request) -> ClientSide {
    ClientSide { held: request.extensions().get().cloned(), upgrade: hyper::upgrade::on(request) }
}

/// Joins both ends as soon as the answer, 101, has been sent to the client.
pub(crate) fn dig(inner: &Inner, client: ClientSide, response: &mut Response<Incoming>, mut activity: Activity) {
    let sandbox = hyper::upgrade::on(response);
    inner.tasks.spawn(async move {
        let ClientSide { upgrade, held } = client;
        let both = async { tokio::try_join!(upgrade, sandbox) };
        let Ok(Ok((client, sandbox))) = tokio::time::timeout(SWITCH, both).await else {
            tracing::debug!("an upgrade was not completed");
            return;
        };
        let (mut client, mut sandbox) = (TokioIo::new(client), TokioIo::new(sandbox));
        let copy = copy_bidirectional_with_sizes(&mut client, &mut sandbox, BUFFER, BUFFER);
        match activity.beside(copy).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::debug!(%error, "a tunnel broke"),
            Err(ended) => tracing::debug!(error = %ended, "a tunnel was closed"),
        }
        drop(held);
    });
}
