//! The one way into a live sandbox: an [`Admission`], which only [`Control::admit`] gives.

use std::fmt;
use std::time::Duration;

use harbor_model::ids::SandboxId;
use harbor_model::names::SandboxRef;
use harbor_model::sandboxes::{Operation, Sandbox, SandboxState, allowed};
use harbor_model::secrets::Secret;
use harbor_store::{Change, Changes};
use subtle::ConstantTimeEq;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Mutex;
use tokio::sync::broadcast::error::RecvError;

use crate::error::Kind;
use crate::key_watch::KeyWatch;
use crate::{Allowed, Caller, Control, Error, SignedFile, WriteSandboxes, now};

/// How long a connection inside a sandbox may take.
const DIAL_DEADLINE: Duration = Duration::from_secs(5);

/// Use is noted this often while an admission is held.
const ACTIVITY_INTERVAL: Duration = Duration::from_secs(45);

/// How long to wait after a look at the database that failed.
const RETRY: Duration = Duration::from_secs(1);

/// What somebody shows to enter a sandbox.
#[derive(Clone, Debug)]
pub enum Credential {
    /// An API key (contract, edges §1.5, 1).
    Bearer(Secret),
    /// The sandbox's preview token (contract, edges §1.5, 2 and 3).
    PreviewToken(Secret),
    /// A signed URL of one file (contract, toolbox §11.15). Whoever holds an admission got with it asks the toolbox
    /// for that operation on that file, and for nothing else.
    SignedFile(SignedFile),
}

/// Bytes to and from a port inside a sandbox.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Connects to ports inside sandboxes. The binary joins it to the runner.
#[async_trait::async_trait]
pub trait Dial: Send + Sync {
    /// Connects to `port` on the sandbox's loopback.
    async fn dial(&self, sandbox: SandboxId, port: u16) -> Result<Box<dyn Stream>, DialFailure>;
}

/// Why a port inside a sandbox was not reached.
#[derive(Debug, thiserror::Error)]
pub enum DialFailure {
    /// Nothing listens on it.
    #[error("nothing listens on this port inside the sandbox")]
    Refused,
    /// The sandbox's network keeper or the engine does not answer.
    #[error("the sandbox cannot be reached: {0}")]
    Unreachable(String),
    /// No answer in time.
    #[error("the sandbox did not answer in time")]
    TimedOut,
}

/// What a sandbox is entered for. An admission for one purpose opens nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Calls of its toolbox.
    Toolbox {
        /// Where the toolbox listens on the sandbox's loopback.
        port: u16,
    },
}

impl Purpose {
    fn port(self) -> u16 {
        match self {
            Self::Toolbox { port } => port,
        }
    }
}

/// Why [`Admission::open`] failed.
pub type DialError = DialFailure;

/// Leave to enter one sandbox for one purpose, as the sandbox was when leave was given.
pub struct Admission {
    control: Control,
    sandbox: Sandbox,
    purpose: Purpose,
    /// The key that opened the way in, if one did.
    key: Option<KeyWatch>,
    /// All that was committed since before the sandbox was read.
    changes: Mutex<Changes>,
}

impl Admission {
    /// The sandbox.
    pub fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    /// Opens the sandbox's toolbox; goes into the toolbox's token header and nowhere else.
    pub fn toolbox_token(&self) -> &Secret {
        &self.sandbox.toolbox_token
    }

    /// Connects to the port that the purpose has on the sandbox's loopback; at most five seconds.
    pub async fn open(&self) -> Result<Box<dyn Stream>, DialFailure> {
        let dial = self.control.inner.dial.dial(self.sandbox.id, self.purpose.port());
        match tokio::time::timeout(DIAL_DEADLINE, dial).await {
            Ok(outcome) => outcome,
            Err(_) => Err(DialFailure::TimedOut),
        }
    }

    /// Refuses in words when the sandbox, which was `started` when leave was given, no longer is.
    pub async fn check_started(&self) -> Result<(), Error> {
        let id = self.sandbox.id;
        let found = self.control.store().sandbox(id).await?;
        allowed(Operation::Enter, &found.ok_or_else(|| gone(id))?, now())?;
        Ok(())
    }

    /// Completes when the key that opened the way in was deleted or has expired; never where something else did. What
    /// goes on by this admission is to end then.
    pub async fn ended(&self) {
        match &self.key {
            Some(key) => self.control.key_ended(key.clone()).await,
            None => std::future::pending().await,
        }
    }

    /// Completes when harbor knows that the sandbox has left `started`, other than by a stop that its toolbox carries
    /// out and tells of. What goes on by this admission is to end then. One at a time may wait for it.
    pub async fn departed(&self) {
        let mut changes = self.changes.lock().await;
        loop {
            let goes_on = match changes.recv().await {
                // what was committed before leave was given may still be on its way
                Ok(Change::Sandbox { after, .. }) => {
                    after.id != self.sandbox.id
                        || after.generation <= self.sandbox.generation
                        || after.goes_on_since(&self.sandbox)
                }
                Ok(
                    Change::Snapshot { .. }
                    | Change::SnapshotRemoved(_)
                    | Change::Volume { .. }
                    | Change::Image(_)
                    | Change::WarmPools,
                ) => true,
                Err(RecvError::Lagged(_)) => self.goes_on().await,
                Err(RecvError::Closed) => std::future::pending().await, // harbor ends, and this with it
            };
            if !goes_on {
                return;
            }
        }
    }

    /// Whether the sandbox is still what was entered; asks until the database answers.
    async fn goes_on(&self) -> bool {
        loop {
            match self.control.store().sandbox(self.sandbox.id).await {
                Ok(found) => return found.is_some_and(|found| found.goes_on_since(&self.sandbox)),
                Err(error) => tracing::warn!(%error, "not known whether a sandbox in use is still started"),
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Notes that the sandbox is in use, now and every 45 s; never returns. Poll it beside the traffic.
    pub async fn keep_active(&self) {
        loop {
            self.control.inner.activity.note(self.sandbox.id).await;
            tokio::time::sleep(ACTIVITY_INTERVAL).await;
        }
    }

    /// Notes once that the sandbox was used.
    pub async fn note_activity(&self) {
        self.control.inner.activity.note(self.sandbox.id).await;
    }
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Admission({})", self.sandbox.id)
    }
}

impl Control {
    /// Lets the holder of the first valid one of `credentials` into the sandbox. All failures look alike (401), so
    /// that nobody learns which sandboxes exist; one that is not `started` is 400 for those who may enter, and one
    /// that was deleted is 404 for keys of its organization. A key that does not allow it is 403, whatever is there.
    ///
    /// After a key of harbor's that does not open, no other credential is tried: if it opened, the key would travel on
    /// into the sandbox, as the bearer tokens of applications do.
    ///
    /// Answers which of `credentials` it was, so that a door can take it out of what it forwards.
    pub async fn admit(
        &self,
        credentials: &[Credential],
        sandbox: &SandboxRef,
        purpose: Purpose,
    ) -> Result<(Admission, usize), Error> {
        let changes = self.changes();
        for (index, credential) in credentials.iter().enumerate() {
            if let Some((found, key)) = self.try_credential(credential, sandbox).await? {
                return Ok((self.enter(found, key, purpose, changes)?, index));
            }
        }
        let message = if credentials.is_empty() {
            "authentication is missing: send an API key as 'Authorization: Bearer', or the sandbox's preview token \
             as header 'X-Daytona-Preview-Token' or query 'DAYTONA_SANDBOX_AUTH_KEY'"
        } else {
            "authentication failed"
        };
        Err(Error::new(Kind::Unauthenticated, message))
    }

    /// Lets an authenticated caller into a sandbox of its organization.
    pub async fn admit_caller(
        &self,
        caller: &Allowed<WriteSandboxes>,
        sandbox: &SandboxRef,
        purpose: Purpose,
    ) -> Result<Admission, Error> {
        let changes = self.changes();
        let found = self.sandbox(caller, sandbox).await;
        match found {
            Ok(found) => self.enter(found, caller.watch.clone(), purpose, changes),
            Err(error) if error.kind() == Kind::NotFound => Err(self.deleted(caller, sandbox).await?.unwrap_or(error)),
            Err(error) => Err(error),
        }
    }

    /// Says to a caller of its organization that the sandbox was deleted, as long as its row is kept.
    async fn deleted(&self, caller: &Caller, sandbox: &SandboxRef) -> Result<Option<Error>, Error> {
        let Some(id) = sandbox.id() else { return Ok(None) };
        let row = self.store().sandbox(id).await?.filter(|row| row.organization == caller.organization);
        Ok(row.map(|_| gone(id)))
    }

    /// The sandbox if `credential` opens it, and the key that did.
    async fn try_credential(
        &self,
        credential: &Credential,
        sandbox: &SandboxRef,
    ) -> Result<Option<(Sandbox, Option<KeyWatch>)>, Error> {
        match credential {
            Credential::Bearer(key) => match self.authenticate(key.reveal()).await {
                Ok(caller) => {
                    let caller = caller.allow::<WriteSandboxes>()?;
                    match self.sandbox(&caller, sandbox).await {
                        Ok(found) => Ok(Some((found, caller.watch.clone()))),
                        Err(error) if error.kind() == Kind::NotFound => {
                            Err(self.deleted(&caller, sandbox).await?.unwrap_or_else(foreign))
                        }
                        Err(error) => Err(error),
                    }
                }
                Err(error) if error.kind() == Kind::Unauthenticated => Ok(None),
                Err(error) => Err(error),
            },
            Credential::PreviewToken(token) => {
                let Some(id) = sandbox.id() else { return Ok(None) };
                let found = self.store().sandbox(id).await?;
                let opened = found.filter(|found| {
                    found.state() != SandboxState::Destroyed
                        && bool::from(found.preview_token.reveal().as_bytes().ct_eq(token.reveal().as_bytes()))
                });
                Ok(opened.map(|found| (found, None)))
            }
            Credential::SignedFile(file) => {
                let Some(id) = sandbox.id() else { return Ok(None) };
                let key = self.store().signing_key(id).await?;
                if !key.is_some_and(|key| file.is_signed_with(&key, now())) {
                    return Ok(None);
                }
                let found = self.store().sandbox(id).await?;
                Ok(found.filter(|found| found.state() != SandboxState::Destroyed).map(|found| (found, None)))
            }
        }
    }

    /// `changes` must have been listened to before `sandbox` was read.
    fn enter(
        &self,
        sandbox: Sandbox,
        key: Option<KeyWatch>,
        purpose: Purpose,
        changes: Changes,
    ) -> Result<Admission, Error> {
        allowed(Operation::Enter, &sandbox, now())?;
        Ok(Admission { control: self.clone(), sandbox, purpose, key, changes: Mutex::new(changes) })
    }
}

fn gone(id: SandboxId) -> Error {
    Error::not_found(format!("sandbox {id} is gone: it was deleted"))
}

/// What the key of another organization gets: nothing that tells whether the sandbox exists.
fn foreign() -> Error {
    Error::new(Kind::Unauthenticated, "authentication failed")
}
