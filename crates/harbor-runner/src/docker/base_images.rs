//! Keeps the images that stored files lie on: without its image a stored layer is worth nothing, and a clean-up of the engine
//! removes every image that no container is made of.
//!
//! For each there is a container that does nothing, made of the image, running the infra program from the toolbox volume
//! and nothing of the image's. The engine starts it again with itself.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::future::try_join_all;

use crate::docker::handle::DockerEngine;
use crate::docker::naming::{self, Role};
use crate::docker::spec;
use crate::error::EngineError;

/// The images that are kept, as far as this harbor knows.
#[derive(Default)]
pub(crate) struct Bases(Mutex<BTreeSet<String>>);

impl Bases {
    fn lock(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DockerEngine {
    /// Keeps the images of these ids, and no others. Idempotent. One that is gone is an error, after all others were kept.
    pub(crate) async fn keep_base_images(&self, images: &BTreeSet<String>) -> Result<(), EngineError> {
        let labels = [(naming::INSTANCE, self.instance().to_string()), (naming::ROLE, Role::Base.word().to_owned())];
        let (mut kept, mut useless) = (BTreeSet::new(), Vec::new());
        for found in self.containers(&labels).await? {
            let image = found.labels.get(naming::IMAGE).cloned().unwrap_or_default();
            if !(found.running() && images.contains(&image) && kept.insert(image)) {
                useless.extend(found.id);
            }
        }
        try_join_all(useless.iter().map(|container| self.remove_container(container))).await?;
        self.bases().lock().clone_from(&kept);
        let mut failed = Ok(());
        for image in images.difference(&kept) {
            failed = self.keep_base_image(image).await.and(failed);
        }
        failed
    }

    /// Keeps this image too.
    pub(crate) async fn keep_base_image(&self, image: &str) -> Result<(), EngineError> {
        if self.bases().lock().contains(image) {
            return Ok(());
        }
        let name = naming::base(self.instance(), image);
        let made = match self.client().create_container(&name, spec::base(self.config(), image)).await {
            // left by a harbor that died, or just being made by somebody else of this one
            Err(EngineError::Conflict { .. }) => name.clone(),
            Err(EngineError::NotFound { .. }) if self.image(image).await?.is_none() => {
                return Err(EngineError::ImageMissing { image: image.to_owned() });
            }
            made => made?,
        };
        self.client().start_container(&made, &format!("start container {name}")).await?;
        self.bases().lock().insert(image.to_owned());
        Ok(())
    }
}
