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

use axum::Router;
use harbor_protocol::remote::{PROGRAM_PATH, PROGRAM_UPGRADE};

use crate::context::Context;
use crate::http::upgrade;

/// Most programs at a time.
const PROGRAMS: usize = 256;

/// The route of this module, harbor's own.
pub(crate) fn routes(context: &Context) -> Router {
    let (chores, context) = (context.processes().chores().clone(), context.clone());
    upgrade::route(PROGRAM_PATH, PROGRAM_UPGRADE, PROGRAMS, "programs", &chores, move |stream| {
        let context = context.clone();
        async move { conversation::hold(&context, stream).await }
    })
}
