//! Programs for the SSH gateway: shells and commands on an upgraded stream (contract, edges §2.3 and §2.4).
//!
//! `harbor_protocol::remote` has the protocol.
//! Guarantees: standard output and standard error stay apart; what either side does not read waits in bounded memory
//! and holds up nothing else, so that signals, sizes and the end of input always arrive; a stream that is closed takes
//! its process group with it; the answer says truly how a program ended.
//! Leaves out: SSH's encoded terminal modes, agents, X11; forwarded ports are dialled by other ways.

mod conversation;
mod ends;
mod program;

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};
use harbor_protocol::remote::{PROGRAM_PATH, PROGRAM_UPGRADE};
use tokio::sync::Semaphore;

use crate::context::Context;
use crate::error::Error;
use crate::upgrade::upgrade;

/// Most programs at a time.
const PROGRAMS: usize = 256;

/// The route of this module, harbor's own.
pub(crate) fn routes() -> Router<Context> {
    let permits = Arc::new(Semaphore::new(PROGRAMS));
    Router::new().route(PROGRAM_PATH, get(open)).layer(Extension(permits))
}

async fn open(
    State(context): State<Context>,
    Extension(permits): Extension<Arc<Semaphore>>,
    request: Request,
) -> Result<Response, Error> {
    let permit = permits.try_acquire_owned();
    let permit = permit.map_err(|_| Error::too_many(format!("{PROGRAMS} programs are open; close one first")))?;
    let chores = context.processes().chores().clone();
    let (response, task) = upgrade(request, PROGRAM_UPGRADE, async move |stream| {
        conversation::hold(&context, stream).await;
        drop(permit);
    })?;
    chores.spawn(task);
    Ok(response)
}
