//! What this process remembers of sandboxes and images, to save engine calls. Every entry may be forgotten at any time.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use harbor_model::ids::{ContainerId, SandboxId};
use harbor_model::volumes::Mount;

use crate::dial::InfraDialer;
use crate::docker::outline::Outline;
use crate::image::Image;
use crate::sandbox::Held;

/// The ids of images that are kept for the files that lie on them. Locked while that changes.
pub(crate) type Bases = tokio::sync::Mutex<BTreeSet<String>>;

/// What is remembered of one sandbox.
#[derive(Clone, Debug, Default)]
pub(crate) struct Entry {
    /// Id of its infra container.
    pub(crate) infra: Option<String>,
    /// That infra container was started and not stopped since, as far as this process knows.
    pub(crate) infra_runs: bool,
    /// Its container was frozen, as far as this process knows.
    pub(crate) frozen: bool,
    /// What its container's labels tell the toolbox.
    pub(crate) facts: Option<(ContainerId, Facts)>,
    /// The run of its container before which everything on the way to its volumes was looked at.
    pub(crate) prepared: Option<Run>,
    /// The run of its container in which every mount was what it should be.
    pub(crate) checked: Option<Run>,
    /// The way into its network.
    pub(crate) dialer: Option<InfraDialer>,
    /// How often something was heard about its containers: what was looked at before is outdated.
    heard: u64,
    /// Its containers in the last listing that looked at them, and what they were.
    listed: Option<(Outline, Held)>,
}

/// One run of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) container: ContainerId,
    /// When it began, as the engine tells.
    pub(crate) began: String,
}

impl Run {
    /// How a file tells it.
    pub(crate) fn line(&self) -> String {
        format!("{} {}\n", self.container, self.began)
    }
}

/// What a sandbox container's labels tell its toolbox, and harbor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Arguments of the session `entrypoint`.
    pub(crate) entrypoint: Vec<String>,
    /// The image names no working directory.
    pub(crate) home_as_work_dir: bool,
    /// Its volumes, if there is only a part of any.
    pub(crate) mounts: Vec<Mount>,
    /// The image's working directory, where the toolbox is not started in it.
    pub(crate) work_dir: Option<String>,
}

/// Most images that are remembered; beyond it all are forgotten.
const IMAGES: usize = 256;

/// Images as last seen, by reference.
#[derive(Debug, Default)]
pub(crate) struct Images(Mutex<HashMap<String, Image>>);

impl Images {
    /// The image as last seen under this reference.
    pub(crate) fn get(&self, reference: &str) -> Option<Image> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(reference).cloned()
    }

    /// Remembers an image.
    pub(crate) fn note(&self, reference: &str, image: &Image) {
        let mut images = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if images.len() >= IMAGES && !images.contains_key(reference) {
            images.clear();
        }
        images.insert(reference.to_owned(), image.clone());
    }

    /// Forgets an image.
    pub(crate) fn forget(&self, reference: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(reference);
    }
}

/// Entries by sandbox.
#[derive(Debug, Default)]
pub(crate) struct Known(Mutex<HashMap<SandboxId, Entry>>);

impl Known {
    /// What is remembered of this sandbox.
    pub(crate) fn get(&self, id: &SandboxId) -> Entry {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned().unwrap_or_default()
    }

    /// Remembers something of this sandbox.
    pub(crate) fn note(&self, id: &SandboxId, change: impl FnOnce(&mut Entry)) {
        change(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(*id).or_default());
    }

    /// Forgets this sandbox.
    pub(crate) fn forget(&self, id: &SandboxId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    /// What was held of this sandbox when its containers were last looked at, if they were as in `outline` and nothing was
    /// heard about them since.
    pub(crate) fn listed(&self, id: &SandboxId, outline: &Outline) -> Option<Held> {
        self.get(id).listed.filter(|(then, _)| then == outline).map(|(_, held)| held)
    }

    /// To be taken before a look, and given to [`Known::note_listed`] after it.
    pub(crate) fn heard(&self, id: &SandboxId) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(*id).or_default().heard
    }

    /// Remembers a look, unless something was heard while it was taken.
    pub(crate) fn note_listed(&self, id: &SandboxId, heard: u64, outline: Outline, held: &Held) {
        self.note(id, |entry| {
            if entry.heard == heard {
                entry.listed = Some((outline, held.clone()));
            }
        });
    }

    /// Something happened to a container of this sandbox.
    pub(crate) fn outdate(&self, id: &SandboxId) {
        if let Some(entry) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get_mut(id) {
            entry.heard += 1;
            entry.listed = None;
        }
    }

    /// Anything may have happened to any container.
    pub(crate) fn outdate_all(&self) {
        for entry in self.0.lock().unwrap_or_else(PoisonError::into_inner).values_mut() {
            entry.heard += 1;
            entry.listed = None;
        }
    }
}
