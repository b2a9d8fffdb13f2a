//! Who may do what: identity, intent, queries, admission into a sandbox.
//!
//! Control writes what is wanted and waits, where a caller wants to wait, on the store's committed changes. It never
//! touches an engine: making intent true is another crate's work, woken by the same changes (design D1). A caller that
//! goes away takes nothing with it: what was committed is carried out.

mod activity;
mod admission;
mod caller;
mod capacity;
mod error;
#[cfg(feature = "fixture")]
pub mod fixture;
mod identity;
mod key_watch;
mod keys;
mod object_storage;
mod organizations;
mod own_registry;
mod pools;
mod registries;
pub mod sandboxes;
mod signed_files;
mod snapshots;
mod temporary;
mod token;
mod users;
mod volumes;

use std::sync::Arc;
use std::time::Duration;

use harbor_model::Timestamp;
use harbor_model::capacity::Capacity;
use harbor_model::ids::{RegionId, UserId};
use harbor_model::resources::Resources;
use harbor_model::secrets::Secret;
use harbor_store::{Changes, Store};

pub use admission::{Admission, Credential, Dial, DialError, DialFailure, Purpose, Stream};
pub use caller::{
    Administer, Allowed, Caller, DeleteRegistries, DeleteSandboxes, DeleteSnapshots, DeleteVolumes, Grant, MakeImages,
    OwnOrganization, ReadMachine, ReadVolumes, Requirement, WriteRegistries, WriteSandboxes, WriteSnapshots,
    WriteVolumes,
};
pub use capacity::{Machine, MachineUsage};
pub use error::{Error, Kind};
pub use harbor_store::Change;
pub use identity::hash_key;
pub use keys::{IssuedKey, NewKey};
pub use object_storage::{ObjectScope, ObjectStorage, PushAccess};
pub use organizations::{Member, Usage};
pub use own_registry::{RegistryDenial, RegistryLogin, RegistryScope};
pub use pools::PoolInUse;
pub use registries::NewRegistry;
pub use signed_files::{FileOperation, SignedFile};
pub use snapshots::{BuildLog, Built, NewImage, NewSnapshot};
pub use temporary::{TemporaryDenial, TemporaryKey};
pub use users::NewUser;
pub use volumes::NewMount;

use activity::Activity;
use key_watch::Deletions;

/// What control has to know of this installation.
#[derive(Clone, Debug)]
pub struct Config {
    /// The one region; its name is the same text.
    pub region: RegionId,
    /// Name of the snapshot that a create without one means.
    pub default_snapshot: String,
    /// Id of the first user, which owns this installation.
    pub administrator: UserId,
    /// Name of the first user.
    pub administrator_name: String,
    /// Its e-mail address.
    pub administrator_email: String,
    /// Its key.
    pub administrator_key: Secret,
    /// The most that one sandbox may have: what the host can give.
    pub limits: Resources,
    /// What all sandboxes together may be promised.
    pub capacity: Capacity,
    /// Refuse sizes together with a snapshot, as the reference does (`compat.strict`).
    pub strict: bool,
    /// How many sandboxes of the default snapshot are kept ready for everybody.
    pub default_warm: u32,
    /// How long a create or start waits for `started` before it answers with the state it has.
    pub start_budget: Duration,
    /// What the object storage is opened with.
    pub object_storage: ObjectStorage,
    /// What temporary credentials are computed with.
    pub temporary_key: TemporaryKey,
}

/// What every caller of harbor asks things of. Clones share it.
#[derive(Clone)]
pub struct Control {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    config: Config,
    dial: Arc<dyn Dial>,
    machine: Arc<dyn Machine>,
    activity: Activity,
    deletions: Deletions,
}

impl Control {
    /// Control over `store`, entering sandboxes through `dial`, which run on `machine`. Makes the first user, its organization and its key,
    /// and brings them in line with `config` when they are there.
    pub async fn new(
        store: Store,
        config: Config,
        dial: Arc<dyn Dial>,
        machine: Arc<dyn Machine>,
    ) -> Result<Self, Error> {
        let (activity, deletions) = (Activity::new(store.clone()), Deletions::new());
        let control = Self { inner: Arc::new(Inner { store, config, dial, machine, activity, deletions }) };
        control.ensure_administrator().await?;
        control.discard_warm_members().await?;
        Ok(control)
    }

    /// What this installation is configured to be.
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// Listens to everything committed from now on.
    pub fn changes(&self) -> Changes {
        self.inner.store.changes()
    }

    pub(crate) fn store(&self) -> &Store {
        &self.inner.store
    }
}

/// The present, to the millisecond.
pub(crate) fn now() -> Timestamp {
    harbor_model::to_millisecond(Timestamp::now_utc())
}
