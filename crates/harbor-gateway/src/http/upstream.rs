//! One request to a server in a sandbox: over an idle connection or a new one, once more where the idle one turns out
//! dead.

use std::error::Error as _;
use std::io;
use std::sync::Arc;

use axum::body::Body;
use harbor_control::{Admission, DialFailure};
use http::request::Parts;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::Builder;
use hyper_util::rt::TokioIo;

use super::dialled::{Dialled, Patience};
use super::pool::{Connection, Lease, Pool};
use super::tasks::Tasks;
use super::upload::Upload;

/// The most that a connection buffers in either direction, and with it the longest head of an answer, bytes.
const BUFFER: usize = 128 * 1024;

/// Why a server in a sandbox gave no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It was not reached.
    Dial(DialFailure),
    /// The connection broke before the answer's head.
    Broken(hyper::Error),
}

/// Sends the request and waits for the head of the answer, however long that takes.
///
/// A request that an idle connection did not take, or took and died over without a word, is sent again on a new one.
/// One whose body cannot be sent again (contract, edges §1.12) has a new one from the start: its server may be about to
/// close an idle one, as those do that answer before a body's end.
pub(crate) async fn exchange(
    pool: &Arc<Pool>,
    tasks: &Tasks,
    admission: &Arc<Admission>,
    head: Parts,
    body: Body,
) -> Result<(Response<Incoming>, Lease), Failure> {
    let upload = Upload::new(body);
    let lease = |connection| Lease::new(pool, admission, connection);
    let idle = upload.repeat().and_then(|repeat| Some((pool.take(admission)?, repeat)));
    let Some((mut connection, repeat)) = idle else {
        let (response, connection) = send_fresh(tasks, admission, Request::from_parts(head, upload)).await?;
        return Ok((response, lease(connection)));
    };
    let spare = head.clone();
    connection.patience.begin();
    let mut refused = match connection.sender.try_send_request(Request::from_parts(head, upload)).await {
        Ok(response) => {
            connection.patience.end();
            return Ok((response, lease(connection)));
        }
        Err(refused) => refused,
    };
    let again = match refused.take_message() {
        Some(untouched) => untouched,
        None if was_dead(refused.error()) => Request::from_parts(spare, repeat.again()),
        None => return Err(Failure::Broken(refused.into_error())),
    };
    tracing::debug!(sandbox = %admission.sandbox().id, "an idle connection was dead; asking again");
    let (response, connection) = send_fresh(tasks, admission, again).await?;
    Ok((response, lease(connection)))
}

async fn send_fresh(
    tasks: &Tasks,
    admission: &Admission,
    request: Request<Upload>,
) -> Result<(Response<Incoming>, Connection), Failure> {
    let stream = admission.open().await.map_err(Failure::Dial)?;
    let patience = Patience::default();
    patience.begin();
    let stream = Dialled::new(stream, patience.clone());
    let (mut sender, driver) =
        Builder::new().max_buf_size(BUFFER).handshake(TokioIo::new(stream)).await.map_err(Failure::Broken)?;
    tasks.spawn(async move {
        if let Err(error) = driver.with_upgrades().await {
            tracing::debug!(%error, "a connection into a sandbox broke"); // its request hears of it
        }
    });
    let response = sender.send_request(request).await.map_err(Failure::Broken)?;
    patience.end();
    Ok((response, Connection { sender, patience }))
}

/// Whether the connection was closed from the other side before anything came back.
fn was_dead(error: &hyper::Error) -> bool {
    let reset = || {
        let kind = error.source()?.downcast_ref::<io::Error>()?.kind();
        Some(matches!(kind, io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe))
    };
    error.is_incomplete_message() || error.is_canceled() || error.is_closed() || reset().unwrap_or(false)
}
