//! Making snapshots from images and Dockerfiles, putting them aside and taking them back (contract, control-plane §6).

use std::time::Duration;

use harbor_model::ids::SnapshotId;
use harbor_model::images::{Dockerfile, Recipe, check_reference};
use harbor_model::resources::{Asked, Resources};
use harbor_model::snapshots::{Snapshot, SnapshotState, check_name};
use harbor_store::{Change, Changes, StoreError};
use tokio::time::{Instant, timeout_at};

use super::recipe;
use crate::error::Kind;
use crate::{Allowed, Caller, Control, DeleteSnapshots, Error, WriteSnapshots, now};

/// How long a create waits until it is known whether its image is there already, so that clients need not ask again.
pub(crate) const AT_ONCE: Duration = Duration::from_millis(800);

/// What a caller asks for.
#[derive(Clone, Debug)]
pub struct NewSnapshot {
    /// Its name.
    pub name: String,
    /// Where its files come from.
    pub source: NewImage,
    /// Sizes; those of [`Resources::DEFAULT`] otherwise.
    pub asked: Asked,
}

/// Where the files of a new snapshot come from.
#[derive(Clone, Debug)]
pub enum NewImage {
    /// From the image of this reference, which runs this instead of its own entrypoint.
    Reference {
        /// As `docker pull` takes it, with a tag or digest.
        reference: String,
        /// Program and arguments.
        entrypoint: Option<Vec<String>>,
    },
    /// From what this Dockerfile builds.
    Dockerfile(Dockerfile),
}

/// What a new snapshot is made of.
struct Source {
    /// The reference of its image.
    image: String,
    build: Option<Recipe>,
    entrypoint: Option<Vec<String>>,
}

impl Control {
    /// Records the snapshot that the caller wants; its image is pulled or built by and by. One whose image is there already
    /// is active when this answers; otherwise it is `pulling` or `building`, from which clients begin to follow its log.
    pub async fn create_snapshot(&self, caller: &Allowed<WriteSnapshots>, new: NewSnapshot) -> Result<Snapshot, Error> {
        check_name(&new.name).map_err(Error::invalid)?;
        if super::is_reserved(&new.name) {
            return Err(Error::conflict(format!("Snapshot {} is one of harbor's own: take another name", new.name)));
        }
        let Source { image, build, entrypoint } = self.source(new.source)?;
        let resources = self.size(new.asked)?;
        let at = now();
        let name = new.name;
        let snapshot = Snapshot {
            id: SnapshotId::random(),
            organization: caller.organization(),
            name: name.clone(),
            general: false,
            image,
            image_id: None,
            build,
            layer: None,
            source: None,
            entrypoint,
            resources,
            state: SnapshotState::Pending,
            error: None,
            size_bytes: None,
            last_used_at: None,
            created_at: at,
            updated_at: at,
        };
        let changes = self.changes();
        let added = self.store().by(caller.actor()).add_snapshot(snapshot).await.map_err(|error| match error {
            StoreError::NameTaken => {
                Error::conflict(format!("Snapshot with name \"{name}\" already exists for this organization"))
            }
            other => other.into(),
        })?;
        tracing::info!(snapshot = %added.id, image = added.image, "snapshot wanted");
        Ok(wait_active(changes, added).await)
    }

    /// Lets a snapshot be used again that was put aside; its image is looked for first.
    pub async fn activate_snapshot(&self, caller: &Allowed<WriteSnapshots>, text: &str) -> Result<Snapshot, Error> {
        let found = self.own_snapshot(caller, text).await?;
        let changes = self.changes();
        let (activated, outcome) = self
            .store()
            .by(caller.actor())
            .change_snapshot(found.id, |row| row.activate(now()))
            .await?
            .ok_or_else(|| missing(text))?;
        outcome.map_err(|why| Error::invalid(format!("Snapshot {text} {why}")))?;
        Ok(wait_active(changes, activated).await)
    }

    /// Puts a snapshot aside: no sandbox is made of it until it is activated again. A general one is 403.
    pub async fn deactivate_snapshot(&self, caller: &Allowed<WriteSnapshots>, text: &str) -> Result<(), Error> {
        let found = self.own_snapshot(caller, text).await?;
        if found.general {
            let message = format!("Snapshot {text} is for everybody and cannot be deactivated");
            return Err(Error::new(Kind::Forbidden, message));
        }
        let changed = self.store().by(caller.actor()).change_snapshot(found.id, |row| row.deactivate(now())).await?;
        let (_, outcome) = changed.ok_or_else(|| missing(text))?;
        outcome.map_err(|why| Error::invalid(format!("Snapshot {text} cannot be deactivated: {why}")))
    }

    /// Removes the caller's snapshot of this name or id. Sandboxes made from it stay, and its name is free at once. A
    /// general one is 403, and 404 where it is another organization's.
    pub async fn delete_snapshot(&self, caller: &Allowed<DeleteSnapshots>, text: &str) -> Result<(), Error> {
        let found = self.own_snapshot(caller, text).await?;
        if found.general {
            return Err(Error::new(Kind::Forbidden, format!("Snapshot {text} is for everybody and cannot be deleted")));
        }
        let removed = self.store().by(caller.actor()).remove_snapshot(found.id).await?;
        if removed { Ok(()) } else { Err(missing(text)) }
    }

    /// The snapshot of this name or id that belongs to the caller's organization.
    async fn own_snapshot(&self, caller: &Caller, text: &str) -> Result<Snapshot, Error> {
        let found = self.store().find_snapshot(caller.organization, text.to_owned()).await?;
        found.filter(|found| found.organization == caller.organization).ok_or_else(|| missing(text))
    }

    fn source(&self, source: NewImage) -> Result<Source, Error> {
        match source {
            NewImage::Reference { reference, entrypoint } => {
                check_reference(&reference).map_err(Error::invalid)?;
                let entrypoint = entrypoint.map(|words| words.into_iter().filter(|word| !word.is_empty()).collect());
                let entrypoint = entrypoint.filter(|words: &Vec<String>| !words.is_empty());
                if entrypoint.iter().flatten().any(|word| word.contains('\0')) {
                    return Err(Error::invalid("entrypoint holds a NUL character"));
                }
                let alias = super::is_version_of_default(&reference);
                let image = if alias { self.config().default_snapshot.clone() } else { reference };
                Ok(Source { image, build: None, entrypoint })
            }
            NewImage::Dockerfile(dockerfile) => {
                let recipe = recipe::of(dockerfile)?;
                let entrypoint = recipe::entrypoint(&recipe);
                Ok(Source { image: recipe.reference.clone(), build: Some(recipe), entrypoint: Some(entrypoint) })
            }
        }
    }

    /// The size of what is made of an image, which brings none.
    pub(crate) fn size(&self, asked: Asked) -> Result<Resources, Error> {
        if asked.gpu.is_some_and(|gpu| gpu > 0) {
            return Err(Error::invalid("This host gives no GPU to sandboxes"));
        }
        let resources = Resources::DEFAULT.with(asked);
        let limits = self.config().limits.raised_to(Resources::DEFAULT);
        resources.check(limits).map_err(|too_big| Error::invalid(too_big.to_string()))?;
        Ok(resources)
    }
}

fn missing(text: &str) -> Error {
    Error::not_found(format!("Snapshot {text} not found"))
}

/// The snapshot once it is active or its image is pulled or built, which clients look for themselves; as it was if that is
/// not known soon, or it has failed already.
async fn wait_active(mut changes: Changes, snapshot: Snapshot) -> Snapshot {
    let deadline = Instant::now() + AT_ONCE;
    if snapshot.state != SnapshotState::Pending {
        return snapshot;
    }
    loop {
        match timeout_at(deadline, changes.recv()).await {
            Ok(Ok(Change::Snapshot { after, .. })) if after.id == snapshot.id => match after.state {
                SnapshotState::Pending => {}
                SnapshotState::Error | SnapshotState::BuildFailed => return snapshot,
                _ => return (*after).clone(),
            },
            Ok(Ok(_)) => {}
            Ok(Err(_)) | Err(_) => return snapshot,
        }
    }
}
