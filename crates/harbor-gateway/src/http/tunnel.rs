//! `WebSocket`s and other upgrades: once both sides have agreed, bytes both ways until both have ended (contract, edges
//! §1.12). No idle limit: a terminal may be silent for days.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use http::{Response, StatusCode};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional_with_sizes};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::activity::Activity;
use super::refusal::Refusal;
use super::tasks::Tasks;

/// How long either side may take to change the protocol.
const SWITCH: Duration = Duration::from_secs(10);

/// How long an answer waits for the first words of a server that speaks first.
const GREETING: Duration = Duration::from_millis(500);

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
///
/// Where the server `greets`, its first words are awaited, so that they follow the answer at once: there are clients that
/// give up 100 ms after it (contract, toolbox §10.4). Refused where the sandbox's side does not change the protocol.
pub(crate) async fn dig(
    tasks: &Tasks,
    client: OnUpgrade,
    response: &mut Response<Incoming>,
    mut activity: Activity,
    place: TunnelPlace,
    greets: bool,
) -> Result<(), Refusal> {
    let Ok(Ok(sandbox)) = tokio::time::timeout(SWITCH, hyper::upgrade::on(response)).await else {
        let message = "the server in the sandbox agreed to change the protocol, and then did not";
        return Err(Refusal::new(StatusCode::BAD_GATEWAY, message));
    };
    let mut sandbox = TokioIo::new(sandbox);
    let mut greeting = BytesMut::new();
    if greets {
        // where it fails or has ended, copying finds out again
        let _ = tokio::time::timeout(GREETING, sandbox.read_buf(&mut greeting)).await;
    }
    tasks.spawn(async move {
        let _place = place;
        let Ok(Ok(client)) = tokio::time::timeout(SWITCH, client).await else {
            tracing::debug!("an upgrade was not completed");
            return;
        };
        let mut client = TokioIo::new(client);
        let copy = async {
            client.write_all(&greeting).await?;
            drop(greeting);
            copy_bidirectional_with_sizes(&mut client, &mut sandbox, BUFFER, BUFFER).await
        };
        match activity.beside(copy).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::debug!(%error, "a tunnel broke"),
            Err(ended) => tracing::debug!(error = %ended, "a tunnel was closed"),
        }
    });
    Ok(())
}
