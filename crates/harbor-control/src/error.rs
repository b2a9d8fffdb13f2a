//! The one way control says no.

use std::fmt;

use harbor_model::sandboxes::{Refusal, WhyNot};
use harbor_store::StoreError;

/// What kind of refusal it is; each door has one table from these to its protocol (contract, control-plane §3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The request itself is wrong, or the state does not allow it: 400.
    Invalid,
    /// No valid credential: 401. Never says which part was wrong.
    Unauthenticated,
    /// A valid credential that does not allow this: 403.
    Forbidden,
    /// It is not there, or belongs to somebody else: 404.
    NotFound,
    /// Something is in flight, or the name is taken: 409, try again.
    Conflict,
    /// harbor does not do this yet: 501.
    NotBuilt,
    /// The host cannot do it now: 503.
    Unavailable,
    /// A fault of harbor's: 500. The message is for the log only.
    Internal,
}

/// Why control refused.
pub struct Error {
    kind: Kind,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// A refusal of this kind; `message` says what failed, why and what to do, and holds no secret.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// What kind of refusal it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(Kind::NotFound, message)
    }

    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Self::new(Kind::Conflict, message)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.kind)
            .field("message", &self.message)
            .field("source", &self.source)
            .finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| &**source as &(dyn std::error::Error + 'static))
    }
}

impl From<Refusal> for Error {
    /// 409 while something is in flight, 404 when it is gone, else 400 (contract, control-plane §3.2).
    fn from(refusal: Refusal) -> Self {
        let kind = match refusal.why {
            WhyNot::Busy => Kind::Conflict,
            WhyNot::State => Kind::Invalid,
            WhyNot::Gone => Kind::NotFound,
        };
        Self::new(kind, refusal.to_string())
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        let kind = match error {
            StoreError::Busy | StoreError::Full(_) | StoreError::Stale(_) => Kind::Unavailable,
            StoreError::NoSandbox(_) => Kind::NotFound,
            StoreError::NoRoom(_) | StoreError::NoVolume(_) => Kind::Invalid,
            StoreError::NameTaken | StoreError::Gone => Kind::Conflict,
            StoreError::KeyGone => Kind::Unauthenticated,
            StoreError::ReadOnly
            | StoreError::Panicked
            | StoreError::WrongKey { .. }
            | StoreError::Encryption(_)
            | StoreError::NoKey => Kind::Internal,
            StoreError::Open { .. } | StoreError::Database(_) | StoreError::Unreadable(_) | StoreError::Closed => {
                Kind::Internal
            }
        };
        Self { kind, message: error.to_string(), source: Some(Box::new(error)) }
    }
}
