//! The terminals of the sandbox, by id: each is known from its creation until its shell has ended.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::session::{Session, Specification};
use crate::context::Context;
use crate::http::error::Error;

/// Most terminals at a time.
const TERMINALS: usize = 100;

/// The sandbox's terminals. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Terminals {
    pub(super) context: Context,
    sessions: Arc<Mutex<BTreeMap<String, Arc<Session>>>>,
}

impl Terminals {
    /// No terminals yet.
    pub(crate) fn new(context: Context) -> Self {
        Self { context, sessions: Arc::default() }
    }

    /// Makes a terminal; its shell is started at once, unless that is to wait for the first client.
    pub(super) fn create(&self, specification: Specification) -> Result<Arc<Session>, Error> {
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
            let session = Arc::new(Session::new(specification));
            sessions.insert(id, Arc::clone(&session));
            session
        };
        if !lazy {
            self.start(&session).inspect_err(|_| self.remove(&session))?;
        }
        Ok(session)
    }

    /// Starts the shell of a terminal, unless it has been. True: this call did.
    ///
    /// Errors: 500 when it cannot be started (it may be tried again), 410 when it has ended.
    pub(super) fn start(&self, session: &Arc<Session>) -> Result<bool, Error> {
        let Some(run) = session.start(&self.context)? else { return Ok(false) };
        let (terminals, session) = (self.clone(), Arc::clone(session));
        self.context.processes().chores().spawn(async move {
            let code = run.await;
            // Who learns of the end finds the id free.
            terminals.remove(&session);
            session.end(code);
        });
        Ok(true)
    }

    pub(super) fn find(&self, id: &str) -> Option<Arc<Session>> {
        self.sessions().get(id).cloned()
    }

    /// All of them, by id.
    pub(super) fn list(&self) -> Vec<Arc<Session>> {
        self.sessions().values().cloned().collect()
    }

    /// Forgets a terminal, unless another one has its id by now.
    pub(super) fn remove(&self, session: &Arc<Session>) {
        let mut sessions = self.sessions();
        if sessions.get(session.id()).is_some_and(|known| Arc::ptr_eq(known, session)) {
            sessions.remove(session.id());
        }
    }

    fn sessions(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Session>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
