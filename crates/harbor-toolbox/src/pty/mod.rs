//! Terminals: interactive shells that clients watch and type into (contract, toolbox §10).
//!
//! Guarantees: a terminal outlives its clients and ends with its shell; everything it has written reaches the clients
//! before they learn of its end; what a client does not read costs a bounded amount of memory and, as long as another
//! client reads, nobody's time.

mod connect;
mod handshake;
mod manage;
mod output;
mod session;
mod terminal;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::routing::{get, post};

use crate::context::Context;
use crate::error::Error;
use session::{Session, Specification};
pub(crate) use terminal::{Size, Terminal};

/// Most terminals at a time.
const TERMINALS: usize = 100;

/// The sandbox's terminals. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Terminals {
    sessions: Arc<Mutex<BTreeMap<String, Arc<Session>>>>,
}

impl Terminals {
    /// Makes a terminal; its shell is started at once, unless that is to wait for the first client.
    fn create(&self, context: &Context, specification: Specification) -> Result<Arc<Session>, Error> {
        let id = specification.id.clone();
        let lazy = specification.lazy_start;
        let session = {
            let mut sessions = self.sessions();
            if sessions.contains_key(&id) {
                return Err(Error::conflict(format!("PTY session with ID '{id}' already exists")));
            }
            if sessions.len() >= TERMINALS {
                return Err(Error::too_many(format!("there are {TERMINALS} PTY sessions already; delete one first")));
            }
            let session = Arc::new(Session::new(context, specification));
            sessions.insert(id, Arc::clone(&session));
            session
        };
        if !lazy {
            session.start(context).inspect_err(|_| self.remove(&session))?;
        }
        Ok(session)
    }

    fn find(&self, id: &str) -> Option<Arc<Session>> {
        self.sessions().get(id).cloned()
    }

    /// Forgets a terminal, unless another one has its id by now.
    fn remove(&self, session: &Arc<Session>) {
        let mut sessions = self.sessions();
        if sessions.get(session.id()).is_some_and(|known| Arc::ptr_eq(known, session)) {
            sessions.remove(session.id());
        }
    }

    fn sessions(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Session>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The routes of this module.
pub(crate) fn routes() -> Router<Context> {
    Router::new()
        .route("/process/pty", get(manage::list).post(manage::create))
        .route("/process/pty/create-connect", get(connect::create_connect))
        .route("/process/pty/{sessionId}", get(manage::describe).delete(manage::delete))
        .route("/process/pty/{sessionId}/connect", get(connect::connect))
        .route("/process/pty/{sessionId}/resize", post(manage::resize))
}
