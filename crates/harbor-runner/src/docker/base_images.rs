//! Keeps the images that stored files lie on: without its image a stored layer is worth nothing, and a clean-up of the engine
//! removes every image that no container is made of.
//!
//! For each there is a container that does nothing, made of the image, running the infra program from the toolbox volume
//! and nothing of the image's. The engine starts it again with itself.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::docker::handle::DockerEngine;
use crate::docker::naming::{self, Role};
use crate::docker::spec;
use crate::error::EngineError;

/// How long the engine may take to give up making a container for somebody who went away.
const GIVING_UP: Duration = Duration::from_secs(10);

/// Between two attempts to make one of that name.
const PAUSE: Duration = Duration::from_millis(20);

impl DockerEngine {
    /// Keeps the images of these ids, and with `only` no others. Idempotent. One that is gone is an error, after all others
    /// were kept.
    pub(crate) async fn keep_base_images(&self, images: &BTreeSet<String>, only: bool) -> Result<(), EngineError> {
        let mut known = self.bases().lock().await;
        let labels = [(naming::INSTANCE, self.instance().to_string()), (naming::ROLE, Role::Base.word().to_owned())];
        let (mut kept, mut useless) = (BTreeSet::new(), Vec::new());
        for found in self.containers(&labels).await? {
            let image = found.labels.get(naming::IMAGE).cloned().unwrap_or_default();
            // what a Dockerfile says of labels is no sign of anything
            let name = naming::base(self.instance(), &image);
            if !found.names.iter().any(|given| given.trim_start_matches('/') == name) {
                continue;
            }
            let needed = !only || images.contains(&image);
            if !(needed && found.running() && kept.insert(image)) {
                useless.extend(found.id);
            }
        }
        known.clone_from(&kept);
        let mut outcome = Ok(());
        for container in useless {
            outcome = self.remove_container(&container).await.and(outcome);
        }
        for image in images.difference(&kept) {
            outcome = self.keep_another(image, &mut known).await.and(outcome);
        }
        outcome
    }

    /// Keeps this image too.
    pub(crate) async fn keep_base_image(&self, image: &str) -> Result<(), EngineError> {
        let mut known = self.bases().lock().await;
        if known.contains(image) { Ok(()) } else { self.keep_another(image, &mut known).await }
    }

    async fn keep_another(&self, image: &str, known: &mut BTreeSet<String>) -> Result<(), EngineError> {
        let name = naming::base(self.instance(), image);
        let begun = Instant::now();
        loop {
            let made = match self.client().create_container(&name, spec::base(self.config(), image)).await {
                // left by a harbor that died, or by a copy that was cut short
                Err(EngineError::Conflict { .. }) => None,
                Err(EngineError::NotFound { .. }) if self.image(image).await?.is_none() => {
                    return Err(EngineError::ImageMissing { image: image.to_owned() });
                }
                made => Some(made?),
            };
            let container = made.as_deref().unwrap_or(&name);
            match self.client().start_container(container, &format!("start container {name}")).await {
                // the engine gives up making one for somebody who went away
                Err(EngineError::NotFound { .. }) if made.is_none() && begun.elapsed() < GIVING_UP => {
                    tokio::time::sleep(PAUSE).await;
                }
                started => break started?,
            }
        }
        known.insert(image.to_owned());
        Ok(())
    }
}
