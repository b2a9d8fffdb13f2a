//! A file server for the SSH gateway: SFTP version 3 as OpenSSH speaks it, on an upgraded stream (contract, edges
//! §2.3).
//!
//! Why here: the toolbox runs as the sandbox's user, so the kernel decides what each request may touch and follows or
//! refuses links, whatever the image holds; no `sftp-server` is needed. Nothing is confined: it is the user's sandbox.
//! Guarantees: names are bytes, UTF-8 or not; no file system work runs on the runtime's thread; FIFOs are never waited
//! for; sessions, handles, packets and answers are bounded; a client that does not read its answers is not served on.
//! Requests are carried out in the order sent. What is no packet ends the session, an unknown request does not.
//! Leaves out: the extensions that only save round trips (`copy-data`, `users-groups-by-id@openssh.com`).

mod attributes;
mod directory;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod reply;
mod request;
mod serve;
mod session;

use axum::Router;
use harbor_protocol::remote::{SFTP_PATH, SFTP_UPGRADE};

use crate::context::Context;
use crate::http::upgrade;
use session::Session;

/// Most sessions at a time.
const SESSIONS: usize = 64;

/// The route of this module, harbor's own.
pub(crate) fn routes(context: &Context) -> Router {
    let (chores, context) = (context.processes().chores().clone(), context.clone());
    upgrade::route(SFTP_PATH, SFTP_UPGRADE, SESSIONS, "SFTP sessions", &chores, move |stream| {
        serve::serve(stream, Session::new(context.work_dir(), context.home()))
    })
}
