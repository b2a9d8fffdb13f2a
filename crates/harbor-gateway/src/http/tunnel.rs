//! `WebSocket`s and other upgrades: once both sides have agreed, bytes both ways until both have ended (contract, edges
//! §1.12). No idle limit: a terminal may be silent for days.

use std::sync::Arc;
use std::time::Duration;

use http::{Response, StatusCode};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional_with_sizes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::activity::Activity;
use super::refusal::Refusal;
use super::tasks::Tasks;

/// How long the client's side may take to read that the protocol changes.
const SWITCH: Duration = Duration::from_secs(10);

/// Buffer per direction, bytes.
const BUFFER: usize = 32 * 1024;

/// How many tunnels there may be: each keeps its connections for as long as its client likes, so that without a bound
/// they could take those of all other calls.
pub(crate) struct Tunnels {
    most: usize,
    free: Arc<Semaphore>,
}

/// A tunnel's place, given back when it is dropped.
pub(crate) struct TunnelPlace {
    _permit: OwnedSemaphorePermit,
}

impl Tunnels {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, free: Arc::new(Semaphore::new(most)) }
    }

    /// A place for a tunnel that is asked for; 503 where all are taken.
    pub(crate) fn take(&self) -> Result<TunnelPlace, Refusal> {
        let taken = Arc::clone(&self.free).try_acquire_owned();
        taken.map(|permit| TunnelPlace { _permit: permit }).map_err(|_| {
            let message = format!(
                "all {} terminals and other tunnels that harbor's limit of open files allows are in use: close some, or \
                 raise the limit, for example with `ulimit -Hn 65536` or LimitNOFILE in a systemd unit, and restart harbor",
                self.most
            );
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, message)
        })
    }
}

/// Joins both ends as soon as the answer, 101, has been sent to the client.
pub(crate) fn dig(
    tasks: &Tasks,
    client: OnUpgrade,
    response: &mut Response<Incoming>,
    mut activity: Activity,
    place: TunnelPlace,
) {
    let sandbox = hyper::upgrade::on(response);
    tasks.spawn(async move {
        let _place = place;
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
