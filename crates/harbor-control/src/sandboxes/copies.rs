//! What is made of a sandbox's files: archive, backup, fork, snapshot; and what brings one back (design D7).

use harbor_model::ids::{LayerId, SandboxId, SnapshotId};
use harbor_model::names::{DisplayName, SandboxRef};
use harbor_model::sandboxes::{Beginning, CopyPurpose, Files, Operation, Refusal, Sandbox, WhyNot, allowed};
use harbor_model::snapshots::{Snapshot, SnapshotState};
use harbor_store::StoreError;

use super::create::fresh;
use crate::{Allowed, Caller, Control, Error, WriteSandboxes, now, token};

/// Most ancestors that are told of a sandbox (contract, `api-endpoints`).
const MOST_ANCESTORS: usize = 50;

/// Most forks that are told of a sandbox.
const MOST_FORKS: usize = 100;

impl Control {
    /// Wants the sandbox's files stored and its containers removed, and answers at once. Only a stopped one can be, and no
    /// ephemeral one: both 400.
    pub async fn archive_sandbox(
        &self,
        caller: &Allowed<WriteSandboxes>,
        sandbox: &SandboxRef,
    ) -> Result<Sandbox, Error> {
        let found = self.lasting(caller, sandbox, "archived").await?;
        let archive = |row: &mut Sandbox| row.want_archived(LayerId::random(), now());
        self.change(caller, found.id, sandbox, Operation::Archive, archive).await
    }

    /// Wants the sandbox's files stored beside it, and answers at once. An ephemeral one, or one whose files are being
    /// stored already, is 400.
    pub async fn back_up_sandbox(
        &self,
        caller: &Allowed<WriteSandboxes>,
        sandbox: &SandboxRef,
    ) -> Result<Sandbox, Error> {
        let found = self.lasting(caller, sandbox, "backed up").await?;
        if found.files.copying.as_ref().is_some_and(|copying| copying.purpose == CopyPurpose::Backup) {
            return Err(Error::invalid(format!("A backup of sandbox {} is being made already", found.id)));
        }
        let back_up = |row: &mut Sandbox| row.want_copied(LayerId::random(), CopyPurpose::Backup);
        self.change(caller, found.id, sandbox, Operation::Backup, back_up).await
    }

    /// Makes another sandbox, which begins with this one's files as they are now, and waits, as long as the start budget
    /// lasts, for it to be started. What runs is frozen while it is copied.
    pub async fn fork_sandbox(
        &self,
        caller: &Allowed<WriteSandboxes>,
        sandbox: &SandboxRef,
        name: Option<DisplayName>,
    ) -> Result<Sandbox, Error> {
        let found = self.sandbox(caller, sandbox).await?;
        let mut child = fresh(found.organization, found.origin, found.resources, found.settings)?;
        child.files = Files { beginning: Beginning::Awaited, parent: Some(found.id), ..Files::default() };
        let given_name = name.clone();
        let fork = move |parent: &mut Sandbox, id: SandboxId| {
            allowed(Operation::Fork, parent, now())?;
            parent.want_copied(LayerId::random(), CopyPurpose::Fork(id));
            let name = name.unwrap_or_else(|| DisplayName::recorded(id.to_string()));
            let (origin, resources, settings) = (parent.origin.clone(), parent.resources, parent.settings.clone());
            Ok::<_, Refusal>(Sandbox { id, name, origin, resources, settings, ..child })
        };
        let changes = self.changes();
        let forked = self.writer_within_capacity(caller).fork_sandbox(found.id, now(), fork).await;
        let child = refused(forked, sandbox, || match given_name {
            Some(name) => format!("Sandbox with name {name} already exists"),
            None => "The fork's id is taken: try again".to_owned(),
        })?;
        tracing::info!(sandbox = %child.id, parent = %found.id, "fork wanted");
        self.wait_started(changes, child).await
    }

    /// Makes a snapshot of the sandbox's files as they are now, and answers at once with the sandbox, which is
    /// `snapshotting` until the snapshot is there.
    pub async fn snapshot_sandbox(
        &self,
        caller: &Allowed<WriteSandboxes>,
        sandbox: &SandboxRef,
        name: DisplayName,
    ) -> Result<Sandbox, Error> {
        let found = self.sandbox(caller, sandbox).await?;
        let taken = format!("Snapshot with name {name} already exists");
        let snapshot = move |row: &mut Sandbox| {
            allowed(Operation::Snapshot, row, now())?;
            let id = SnapshotId::random();
            row.want_copied(LayerId::random(), CopyPurpose::Snapshot(id));
            Ok::<_, Refusal>(Snapshot {
                id,
                organization: row.organization,
                name: name.as_str().to_owned(),
                general: false,
                image: row.origin.image.clone(),
                image_id: None,
                build: None,
                layer: None,
                source: Some(row.id),
                entrypoint: row.origin.entrypoint.clone(),
                resources: row.resources,
                state: SnapshotState::Snapshotting,
                error: None,
                size_bytes: None,
                last_used_at: None,
                created_at: now(),
                updated_at: now(),
            })
        };
        let outcome = self.store().by(caller.actor()).snapshot_sandbox(found.id, now(), snapshot).await;
        refused(outcome, sandbox, || taken)
    }

    /// Tries again what the sandbox failed at, or brings its files back as they were last stored if they are lost; with
    /// `start` it is started and waited for. Only one in `error` whose failure may pass can be recovered; others are 400.
    pub async fn recover_sandbox(
        &self,
        caller: &Allowed<WriteSandboxes>,
        sandbox: &SandboxRef,
        start: bool,
    ) -> Result<Sandbox, Error> {
        let id = self.sandbox(caller, sandbox).await?.id;
        let token = token::token()?;
        let changes = self.changes();
        let recover = move |row: &mut Sandbox| {
            row.want_recovered(start, now());
            if start {
                row.preview_token = token;
            }
        };
        let recovered = self.change(caller, id, sandbox, Operation::Recover, recover).await?;
        self.wait_started(changes, recovered).await
    }

    /// The forks of the sandbox that are not on their way out, oldest first; with `gone` also those that are or have been
    /// destroyed, as long as their rows are kept.
    pub async fn forks(&self, caller: &Caller, sandbox: &SandboxRef, gone: bool) -> Result<Vec<Sandbox>, Error> {
        let id = self.sandbox(caller, sandbox).await?.id;
        let forks = self.store().forks_of(id).await?.into_iter();
        Ok(forks.filter(|fork| gone || fork.live()).take(MOST_FORKS).collect())
    }

    /// The sandbox that this one is a fork of; 404 when it is none's, or its parent is gone.
    pub async fn parent(&self, caller: &Caller, sandbox: &SandboxRef) -> Result<Sandbox, Error> {
        let found = self.sandbox(caller, sandbox).await?;
        let parent = self.living_parent(&found).await?;
        parent.ok_or_else(|| Error::not_found(format!("Sandbox {} is not the fork of another sandbox", found.id)))
    }

    /// The sandboxes that this one descends from, the first one first.
    pub async fn ancestors(&self, caller: &Caller, sandbox: &SandboxRef) -> Result<Vec<Sandbox>, Error> {
        let mut ancestors = Vec::new();
        let mut next = self.living_parent(&self.sandbox(caller, sandbox).await?).await?;
        while let Some(parent) = next.filter(|_| ancestors.len() < MOST_ANCESTORS) {
            next = self.living_parent(&parent).await?;
            ancestors.push(parent);
        }
        ancestors.reverse();
        Ok(ancestors)
    }

    /// The caller's sandbox, which is to be `done`: an ephemeral one is 400.
    async fn lasting(&self, caller: &Caller, sandbox: &SandboxRef, done: &str) -> Result<Sandbox, Error> {
        let found = self.sandbox(caller, sandbox).await?;
        if found.settings.ephemeral() {
            let why = "it is deleted as soon as it stops";
            return Err(Error::invalid(format!("An ephemeral sandbox cannot be {done}: {why}")));
        }
        Ok(found)
    }

    async fn living_parent(&self, sandbox: &Sandbox) -> Result<Option<Sandbox>, Error> {
        let Some(parent) = sandbox.files.parent else { return Ok(None) };
        Ok(self.store().sandbox(parent).await?.filter(Sandbox::live))
    }
}

/// What was recorded, or the error that a refusal is.
fn refused<T>(
    outcome: Result<Result<T, Refusal>, StoreError>,
    sandbox: &SandboxRef,
    taken: impl FnOnce() -> String,
) -> Result<T, Error> {
    match outcome {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(refusal)) if refusal.why == WhyNot::Gone => Err(super::missing(sandbox)),
        Ok(Err(refusal)) => Err(refusal.into()),
        Err(StoreError::NameTaken) => Err(Error::conflict(taken())),
        Err(error) => Err(error.into()),
    }
}
