//! Where a sandbox's files are, apart from its container, and the copies that are made of them (design D7).
//!
//! Archive, backup, fork and snapshot are one thing: a copy of what the sandbox has written, under an id that stands in
//! its row before the copy is begun. What the copy is for decides what follows from its end.

use super::{Desired, Sandbox, Seen, Step};
use crate::Timestamp;
use crate::ids::{LayerId, SandboxId, SnapshotId};
use crate::images::{ImageState, WantedImage};
use crate::layers::Layer;

/// A sandbox's files, apart from its container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    /// What it begins with.
    pub beginning: Beginning,
    /// The sandbox that it is a fork of.
    pub parent: Option<SandboxId>,
    /// Its files as they were last stored.
    pub backup: Option<Backup>,
    /// The copy of its files that is wanted, or being made.
    pub copying: Option<Copying>,
}

/// What a sandbox begins with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Beginning {
    /// Its image.
    #[default]
    Image,
    /// Its image and this on top of it.
    Layer(Layer),
    /// A copy of its parent's files, which is being made.
    Awaited,
    /// Its image, which is still to be built.
    Unbuilt {
        /// Whether the build goes on already.
        begun: bool,
    },
}

/// The files of a sandbox as they were.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// The files.
    pub layer: Layer,
    /// When they were so.
    pub at: Timestamp,
    /// Whether nothing has run in it since: then they are its files.
    pub current: bool,
    /// Whether it was asked for, and is kept when the sandbox runs again; an archive is not.
    pub kept: bool,
}

/// A copy of a sandbox's files that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copying {
    /// What the copy will be called.
    pub layer: LayerId,
    /// What it is for.
    pub purpose: CopyPurpose,
    /// What came of it; such a copy is never stored, see [`Sandbox::end_copy`].
    pub outcome: Option<Result<Layer, String>>,
}

/// What a copy of a sandbox's files is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyPurpose {
    /// To have it, if the sandbox should be lost.
    Backup,
    /// To have it while it is stopped and does not sleep: then a clean-up of the engine removes its container.
    Stopped,
    /// To have it instead of a container.
    Archive,
    /// To be what this sandbox begins with.
    Fork(SandboxId),
    /// To be what this snapshot is made of.
    Snapshot(SnapshotId),
}

/// A copy that has come to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedCopy {
    /// What it was for.
    pub purpose: CopyPurpose,
    /// The copy, or why there is none.
    pub outcome: Result<Layer, String>,
}

impl Files {
    /// Whether what is stored is its files as they are now.
    pub(super) fn stored(&self) -> bool {
        self.backup.as_ref().is_some_and(|backup| backup.current)
    }

    /// Whether a copy is wanted that nobody has asked for.
    pub fn copied_unasked(&self) -> bool {
        self.copying.as_ref().is_some_and(|copying| copying.purpose == CopyPurpose::Stopped)
    }
}

impl Sandbox {
    /// The stored layers that it needs: they must not be removed.
    pub fn layers(&self) -> Vec<LayerId> {
        if self.removed() {
            return Vec::new();
        }
        let Files { beginning: _, parent: _, backup, copying } = &self.files;
        let filling = match self.seen {
            // it is filled with that already
            Seen::Made { .. } if self.files.stored() => None,
            Seen::Absent | Seen::Made { .. } | Seen::Archived { .. } => self.filling().map(|layer| layer.id),
            _ => None,
        };
        let backup = backup.as_ref().map(|backup| backup.layer.id).filter(|backup| filling != Some(*backup));
        let copying = copying.as_ref().map(|copying| copying.layer);
        filling.into_iter().chain(backup).chain(copying).collect()
    }

    /// The images that its stored layers lie on.
    pub fn base_images(&self) -> impl Iterator<Item = &str> {
        let needed = self.layers();
        let beginning = match &self.files.beginning {
            Beginning::Layer(layer) => Some(layer),
            Beginning::Image | Beginning::Awaited | Beginning::Unbuilt { .. } => None,
        };
        let backup = self.files.backup.as_ref().map(|backup| &backup.layer);
        let layers = beginning.into_iter().chain(backup).filter(move |layer| needed.contains(&layer.id));
        layers.map(|layer| layer.image.as_str())
    }

    /// What a container that is made for it now is filled with, on top of its image.
    pub fn filling(&self) -> Option<&Layer> {
        match (&self.seen, &self.files) {
            (Seen::Archived { .. }, Files { backup: Some(backup), .. }) => Some(&backup.layer),
            (_, Files { beginning: Beginning::Layer(layer), .. }) => Some(layer),
            (_, Files { beginning: Beginning::Image | Beginning::Awaited | Beginning::Unbuilt { .. }, .. }) => None,
        }
    }

    /// Wants its files stored and its containers removed, from `at` on.
    pub fn want_archived(&mut self, layer: LayerId, at: Timestamp) {
        self.desired = Desired::Archived;
        self.note = None;
        self.last_activity_at = at;
        if self.seen == Seen::Absent {
            self.seen = Seen::Archived { evicted: true };
        } else {
            self.want_copied(layer, CopyPurpose::Archive);
        }
    }

    /// Wants a copy of its files, called `layer`.
    pub fn want_copied(&mut self, layer: LayerId, purpose: CopyPurpose) {
        self.files.copying = Some(Copying { layer, purpose, outcome: None });
    }

    /// Whether a clean-up of the engine would remove its files: it is stopped and does not sleep, its files are stored
    /// nowhere, and no copy of them is wanted.
    pub fn unstored(&self) -> bool {
        let stopped = matches!(self.seen, Seen::Exited { asked: true, .. }) && self.next_step() == Step::Settled;
        let settled = self.desired == Desired::Stopped && stopped && self.failure.is_none();
        settled && !self.files.stored() && self.files.copying.is_none() && !self.settings.ephemeral()
    }

    /// Wants its files stored if they are [`Sandbox::unstored`].
    pub fn want_stored(&mut self, layer: LayerId) {
        if self.unstored() {
            self.want_copied(layer, CopyPurpose::Stopped);
        }
    }

    /// Wants another attempt at what it failed at, or its files as they were last stored if they are lost. With `start`
    /// it is wanted started.
    pub fn want_recovered(&mut self, start: bool, at: Timestamp) {
        self.failure = None;
        self.note = None;
        self.last_activity_at = at;
        match &mut self.seen {
            Seen::Lost => self.seen = Seen::Archived { evicted: false },
            Seen::Exited { asked, .. } | Seen::Frozen { asked, .. } => *asked = true,
            Seen::Absent
            | Seen::Made { .. }
            | Seen::Running { .. }
            | Seen::Asleep { .. }
            | Seen::Archived { .. }
            | Seen::Removed => {}
        }
        self.desired = match &self.seen {
            _ if start => Desired::Started,
            Seen::Archived { .. } => Desired::Archived,
            _ => Desired::Stopped,
        };
    }

    /// Whether [`Sandbox::want_recovered`] may help.
    pub(super) fn recoverable(&self) -> bool {
        match (&self.seen, &self.files.beginning) {
            (Seen::Lost, _) => self.files.backup.is_some(),
            (Seen::Absent, Beginning::Awaited | Beginning::Unbuilt { .. }) => false,
            _ => true,
        }
    }

    /// Takes the copy away that has come to its end in this change, or cannot any more, and does what follows for this
    /// sandbox. Whoever commits the change does what follows for others, in the same transaction:
    /// [`Sandbox::receive`], [`crate::snapshots::Snapshot::receive`].
    pub fn end_copy(&mut self, at: Timestamp) -> Option<EndedCopy> {
        let copying = self.files.copying.as_ref()?;
        let outcome = match &copying.outcome {
            Some(outcome) => outcome.clone(),
            None if self.desired == Desired::Destroyed => Err("the sandbox was deleted".to_owned()),
            None if self.seen == Seen::Lost => Err("the sandbox's container was removed".to_owned()),
            None if self.failure.is_some() => Err("the sandbox failed".to_owned()),
            // a clean-up took the container of what is stored: there is nothing to copy until it is started
            None if self.desired != Desired::Started && matches!(self.seen, Seen::Archived { .. }) => {
                Err("the sandbox's container was removed; start it first".to_owned())
            }
            None => return None,
        };
        let purpose = copying.purpose;
        self.files.copying = None;
        match (purpose, &outcome) {
            (CopyPurpose::Backup | CopyPurpose::Stopped | CopyPurpose::Archive, Ok(layer)) => {
                let current = !self.seen.has_processes();
                // what is newer than a backup that was asked for takes its place
                let kept = purpose == CopyPurpose::Backup || self.files.backup.as_ref().is_some_and(|one| one.kept);
                self.files.backup = Some(Backup { layer: layer.clone(), at, current, kept });
            }
            // its files are stored, which is what these are for
            (CopyPurpose::Backup | CopyPurpose::Stopped | CopyPurpose::Archive, Err(_))
                if matches!(self.seen, Seen::Archived { .. }) => {}
            (CopyPurpose::Archive, Err(reason)) if self.desired == Desired::Archived => {
                self.desired = Desired::Stopped;
                self.note = Some(format!("it could not be archived: {reason}"));
            }
            (CopyPurpose::Backup, Err(reason)) => self.note = Some(format!("it could not be backed up: {reason}")),
            (CopyPurpose::Stopped, Err(reason)) => {
                self.note = Some(format!(
                    "a clean-up of the engine would remove its files, which could not be stored: {reason}"
                ));
            }
            (CopyPurpose::Archive | CopyPurpose::Fork(_) | CopyPurpose::Snapshot(_), _) => {}
        }
        self.keep_what_is_not_stored();
        Some(EndedCopy { purpose, outcome })
    }

    /// Calls an archive off whose sandbox ran after its files were copied, or while they were: what is in its container now
    /// is stored nowhere.
    pub(super) fn keep_what_is_not_stored(&mut self) {
        let never_ran = matches!(self.seen, Seen::Made { .. }) && !self.started_once;
        let stored = self.files.stored() || never_ran;
        if self.desired == Desired::Archived && self.files.copying.is_none() && !stored && self.has_container() {
            self.desired = Desired::Stopped;
            self.note = Some("it could not be archived: somebody else let it run meanwhile".to_owned());
        }
    }

    fn has_container(&self) -> bool {
        match self.seen {
            Seen::Made { .. }
            | Seen::Running { .. }
            | Seen::Frozen { .. }
            | Seen::Asleep { .. }
            | Seen::Exited { .. } => true,
            Seen::Absent | Seen::Archived { .. } | Seen::Lost | Seen::Removed => false,
        }
    }

    /// Takes the copy of its parent's files that it waits for.
    pub fn receive(&mut self, outcome: Result<Layer, String>) {
        if self.files.beginning != Beginning::Awaited {
            return;
        }
        match outcome {
            Ok(layer) => self.files.beginning = Beginning::Layer(layer),
            Err(reason) => self.fail(format!("the files of its parent could not be copied: {reason}")),
        }
    }

    /// The image that it is still to be made of, by the engine's id: only this row says that it is needed. One by its name is
    /// looked after by whoever offers it.
    pub fn image_to_come_from(&self) -> Option<&str> {
        let to_come = self.seen == Seen::Absent && self.live();
        Some(&*self.origin.image).filter(|image| to_come && image.starts_with("sha256:"))
    }

    /// Whether it waits for an image that is to be built.
    pub fn awaits_image(&self) -> bool {
        matches!(self.files.beginning, Beginning::Unbuilt { .. }) && self.failure.is_none() && self.live()
    }

    /// Follows the image that it waits for.
    pub fn follow(&mut self, image: &WantedImage) {
        if !self.awaits_image() {
            return;
        }
        match (image.state, &image.engine_id) {
            (ImageState::Pending, _) => self.files.beginning = Beginning::Unbuilt { begun: false },
            (ImageState::UnderWay, _) => self.files.beginning = Beginning::Unbuilt { begun: true },
            (ImageState::Ready, Some(id)) => {
                self.files.beginning = Beginning::Image;
                self.origin.image.clone_from(id);
            }
            (ImageState::Ready, None) => self.fail("its image has no id".to_owned()),
            // it stays unbuilt, which is what makes the failure one of its build
            (ImageState::Failed, _) => {
                self.fail(image.error.clone().unwrap_or_else(|| "its image could not be built".to_owned()));
            }
        }
    }

    /// The copy under way has come to this end; copies of another one are too late.
    pub(super) fn note_copy(&mut self, outcome: Result<Layer, String>) {
        let wanted = |copying: &&mut Copying| outcome.as_ref().map_or(true, |layer| layer.id == copying.layer);
        if let Some(copying) = self.files.copying.as_mut().filter(wanted) {
            copying.outcome = Some(outcome);
        }
        // an attempt that harbor died in may have left it frozen
        if let Seen::Frozen { asked, .. } = &mut self.seen {
            *asked = true;
        }
    }

    /// The step that a wanted copy makes of `step`.
    pub(super) fn with_copy(&self, step: Step) -> Step {
        let frozen_for_it = matches!(step, Step::Accept(super::Ending::Frozen));
        match &self.seen {
            _ if self.files.copying.is_none() => step,
            // it was stopped before it had a container
            Seen::Absent if step == Step::Settled => Step::Create,
            Seen::Made { container }
            | Seen::Running { container, .. }
            | Seen::Frozen { container, .. }
            | Seen::Asleep { container, .. }
            | Seen::Exited { container, .. }
                if matches!(step, Step::Settled | Step::Doze(_) | Step::Evict) || frozen_for_it =>
            {
                Step::Copy(container.clone())
            }
            _ => step,
        }
    }
}
