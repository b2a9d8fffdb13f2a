//! Volumes: directories that outlive sandboxes (contract, control-plane §7).

use harbor_model::ids::VolumeId;
use harbor_model::names::DisplayName;
use harbor_model::volumes::{Mount, Volume, VolumeState};
use harbor_store::StoreError;

use crate::{Allowed, Caller, Control, DeleteVolumes, Error, ReadVolumes, WriteVolumes, now};

/// A volume that a new sandbox is to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMount {
    /// Name or id of the volume.
    pub volume: String,
    /// Where it appears.
    pub path: String,
    /// The directory of the volume that is to appear there, which is not built; blank or absent: all of it.
    pub subpath: Option<String>,
}

impl Control {
    /// Makes a volume, which is ready at once; without a name it is called by its id. A name that is taken is 400.
    pub async fn create_volume(
        &self,
        caller: &Allowed<WriteVolumes>,
        name: Option<DisplayName>,
    ) -> Result<Volume, Error> {
        let (id, at) = (VolumeId::random(), now());
        let name = name.unwrap_or_else(|| DisplayName::recorded(id.to_string()));
        let volume = Volume {
            id,
            organization: caller.organization(),
            name: name.clone(),
            state: VolumeState::Ready,
            error: None,
            last_used_at: None,
            created_at: at,
            updated_at: at,
        };
        let added = self.store().by(caller.actor()).add_volume(volume).await.map_err(|error| match error {
            StoreError::NameTaken => Error::invalid(format!("Volume with name {name} already exists")),
            other => other.into(),
        })?;
        tracing::info!(volume = %id, "volume made");
        Ok(added)
    }

    /// The volumes of the caller's organization, those used last first; with `deleted` also those that are gone.
    pub async fn volumes(&self, caller: &Allowed<ReadVolumes>, deleted: bool) -> Result<Vec<Volume>, Error> {
        let mut all = self.store().volumes(caller.organization()).await?;
        all.retain(|volume| deleted || volume.state != VolumeState::Deleted);
        Ok(all)
    }

    /// The organization's volume with this id, in whatever state.
    pub async fn volume(&self, caller: &Allowed<ReadVolumes>, id: &str) -> Result<Volume, Error> {
        self.own_volume(caller, id).await
    }

    /// The organization's volume of this name. The message of a 404 is what clients look for (contract, control-plane §7.2).
    pub async fn volume_named(&self, caller: &Allowed<ReadVolumes>, name: &str) -> Result<Volume, Error> {
        let found = self.store().volume_named(caller.organization(), name.to_owned()).await?;
        found.ok_or_else(|| Error::not_found(format!("Volume with name {name} not found")))
    }

    /// Wants a volume gone, with all that is in it; its name is free at once. 409 while a sandbox has it.
    pub async fn delete_volume(&self, caller: &Allowed<DeleteVolumes>, id: &str) -> Result<(), Error> {
        let missing = || Error::not_found(format!("Volume with ID {id} not found"));
        let found = self.own_volume(caller, id).await?;
        let (id, at) = (found.id, now());
        let delete = move |volume: &mut Volume, has: Option<DisplayName>| {
            if volume.state != VolumeState::Ready {
                let state = volume.state.word();
                return Err(Error::invalid(format!("Volume {id} is {state} and cannot be deleted again")));
            }
            if let Some(sandbox) = has {
                let message = format!("Volume {} is in use by sandbox {sandbox}: delete that first", volume.name);
                return Err(Error::conflict(message));
            }
            volume.delete(at);
            Ok(())
        };
        self.store().by(caller.actor()).change_volume(id, delete).await?.ok_or_else(missing)??;
        tracing::info!(volume = %id, "volume to be removed");
        Ok(())
    }

    /// The volumes of a new sandbox, by the contract's rules (control-plane §5.4, §5.9).
    pub(crate) async fn mounts(&self, caller: &Caller, wanted: Vec<NewMount>) -> Result<Vec<Mount>, Error> {
        let mut found = Vec::new();
        for NewMount { volume, path, subpath } in wanted {
            found.push((self.mountable_volume(caller, &volume).await?, path, subpath));
        }
        let (mut mounts, mut problems) = (Vec::new(), Vec::new());
        for (volume, path, subpath) in found {
            match Mount::checked(volume, &path, subpath.as_deref()) {
                Ok(mount) => mounts.push(mount),
                Err(wrong) => problems.extend(wrong),
            }
        }
        if !problems.is_empty() {
            return Err(Error::invalid(problems.join(", ")));
        }
        Mount::fit(&mounts).map_err(Error::invalid)?;
        Ok(mounts)
    }

    /// The volume that `text` is the name or the id of, which must be ready.
    async fn mountable_volume(&self, caller: &Caller, text: &str) -> Result<VolumeId, Error> {
        let missing = || Error::not_found(format!("Volume '{text}' not found"));
        let named = self.store().volume_named(caller.organization(), text.to_owned()).await?;
        let by_id = match text.parse() {
            Ok(id) => self.store().volume(id).await?,
            Err(_) => None,
        };
        let own =
            |volume: &Volume| volume.organization == caller.organization() && volume.state != VolumeState::Deleted;
        match (named, by_id.filter(own)) {
            (Some(one), Some(other)) if one.id != other.id => Err(Error::invalid(format!(
                "Volume '{text}' is the name of one volume and the id of another: give the id {}",
                one.id
            ))),
            (Some(volume), _) | (None, Some(volume)) if volume.state == VolumeState::Ready => Ok(volume.id),
            (Some(volume), _) | (None, Some(volume)) => {
                let (name, state) = (volume.name, volume.state.word());
                Err(Error::invalid(format!("Volume '{name}' is not in a ready state. Current state: {state}")))
            }
            (None, None) => Err(missing()),
        }
    }

    async fn own_volume(&self, caller: &Caller, text: &str) -> Result<Volume, Error> {
        let missing = || Error::not_found(format!("Volume with ID {text} not found"));
        let id = text.parse().map_err(|_| missing())?;
        let found = self.store().volume(id).await?;
        found.filter(|volume| volume.organization == caller.organization()).ok_or_else(missing)
    }
}
