//! `WebSocket`s and other upgrades: once both sides have agreed, bytes both ways until both have ended (contract, edges
//! §1.12). No idle limit: a terminal may be silent for days.

use std::time::Duration;

use http::Response;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional_with_sizes;

use super::activity::Activity;
use super::tasks::Tasks;

/// How long the client's side may take to read that the protocol changes.
const SWITCH: Duration = Duration::from_secs(10);

/// Buffer per direction, bytes.
const BUFFER: usize = 32 * 1024;

/// Joins both ends as soon as the answer, 101, has been sent to the client.
pub(crate) fn dig(tasks: &Tasks, client: OnUpgrade, response: &mut Response<Incoming>, mut activity: Activity) {
    let sandbox = hyper::upgrade::on(response);
    tasks.spawn(async move {
        let both = async { tokio::try_join!(client, sandbox) };
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
    });
}
