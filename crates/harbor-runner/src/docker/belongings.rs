//! What harbor made on the engine beside containers, network and volume: images, which all installations share.

use std::collections::{BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::SystemTime;

use harbor_model::images::is_recipe;

use crate::docker::handle::DockerEngine;
use crate::docker::naming;
use crate::docker::objects::images::ImageStep;
use crate::error::EngineError;

/// Label of an image that was built from harbor's Dockerfile.
const BUILT_HERE: &str = "harbor.dockerfile";

/// What a build left is removed once it is this old, in seconds: until then, one may be under way.
const LEFT_FOR: u64 = 3600;

/// Repositories that only harbor makes images for.
const REPOSITORIES: [&str; 3] = ["harbor/infra:", "harbor/debian:", "harbor/kept:"];

impl DockerEngine {
    /// Names of the images on this engine that a harbor made: imported or built here, not pulled.
    pub async fn own_images(&self) -> Result<BTreeSet<String>, EngineError> {
        let listed = self.client().list_images().await?;
        let names = listed.into_iter().flat_map(|image| {
            let built_here = image.labels.contains_key(BUILT_HERE);
            let is_own = move |name: &String| built_here || REPOSITORIES.iter().any(|own| name.starts_with(own));
            image.names.into_iter().filter(is_own)
        });
        Ok(names.collect())
    }

    /// Names of the images that were built as this installation's own.
    pub async fn built_images(&self) -> Result<Vec<String>, EngineError> {
        let ours = self.instance().to_string();
        let listed = self.client().list_images().await?.into_iter();
        let built = listed.filter(|image| image.labels.get(naming::BUILT_BY) == Some(&ours));
        // images that others made of them have the label too
        Ok(built.flat_map(|image| image.names).filter(|name| is_recipe(name)).collect())
    }

    /// How many bytes each of these images frees by its name, if they are removed in this order: the layers that no image has
    /// that stays, or goes before it. One that has other names too frees nothing; `None`: a container is made of it.
    pub async fn freed_by(&self, going: &[String]) -> Result<Vec<Option<u64>>, EngineError> {
        if going.is_empty() {
            return Ok(Vec::new());
        }
        let held = self.client().list_containers(Vec::new()).await?;
        let held: HashSet<_> = held.into_iter().filter_map(|found| found.image).collect();
        let (mut layers, mut leaving, mut staying) = (Layers::default(), Vec::new(), HashSet::new());
        for image in self.client().list_images().await? {
            let steps = match self.client().image_history(&image.id).await {
                // it was removed meanwhile
                Err(EngineError::NotFound { .. }) => continue,
                outcome => outcome?,
            };
            let goes = !image.names.is_empty() && image.names.iter().all(|name| going.contains(name));
            if goes && held.contains(&image.id) {
                staying.extend(image.names);
                layers.add(&steps);
            } else if goes {
                leaving.push((image.names, steps));
            } else {
                layers.add(&steps);
            }
        }
        // a layer that several have goes with the last of them
        let freed = going.iter().rev().map(|name| {
            let left = leaving.iter().position(|(names, _)| names.contains(name));
            let bytes = left.map_or(0, |index| layers.add(&leaving.swap_remove(index).1));
            (!staying.contains(name)).then_some(bytes)
        });
        let mut freed: Vec<_> = freed.collect();
        freed.reverse();
        Ok(freed)
    }

    /// Removes images without a name that carry the label of this installation's builds and are an hour old. One by one: when
    /// it is asked to prune, an engine with containerd's image store breaks whatever is being built or pulled.
    pub(crate) async fn tidy_builds(&self) -> Result<(), EngineError> {
        let label = format!("{}={}", naming::BUILT_BY, self.instance());
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        for (id, made) in self.client().nameless_images(&label).await? {
            if u64::try_from(made).is_ok_and(|made| made + LEFT_FOR < now) {
                // one that something is made of stays
                self.remove_image(&id).await?;
            }
        }
        Ok(())
    }

    /// Removes an image by name. `false`: a container still needs it. Idempotent.
    pub async fn remove_image(&self, name: &str) -> Result<bool, EngineError> {
        match self.client().remove_image(name, false).await {
            Ok(()) | Err(EngineError::NotFound { .. }) => Ok(true),
            Err(EngineError::Conflict { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether another installation of harbor has containers on this engine.
    pub async fn is_shared(&self) -> Result<bool, EngineError> {
        let held = self.client().list_containers(vec![naming::INSTANCE.to_owned()]).await?;
        let ours = self.instance().to_string();
        let mut instances = held.iter().filter_map(|found| found.labels.get(naming::INSTANCE));
        Ok(instances.any(|instance| *instance != ours))
    }
}

/// The layers of some images: each is told by all steps up to it.
#[derive(Default)]
struct Layers(HashSet<u64>);

impl Layers {
    /// Adds those of an image, and answers how many bytes are new.
    fn add(&mut self, steps: &[ImageStep]) -> u64 {
        let (mut so_far, mut bytes) = (DefaultHasher::new(), 0);
        for step in steps {
            step.hash(&mut so_far);
            if self.0.insert(so_far.finish()) {
                bytes += step.size;
            }
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(by: &str, size: u64) -> ImageStep {
        ImageStep { made: 1, by: by.to_owned(), size }
    }

    #[test]
    fn layers_count_once() {
        let base = [step("base", 100), step("ENV a=b", 0)];
        let built = |by: &str, size| [base.to_vec(), vec![step(by, size)]].concat();
        let mut layers = Layers::default();
        assert_eq!(layers.add(&base), 100);
        assert_eq!(layers.add(&built("RUN one", 7)), 7);
        assert_eq!(layers.add(&built("RUN two", 8)), 8);
        assert_eq!(layers.add(&built("RUN one", 7)), 0, "the same again");
        // the same step upon something else is another layer
        assert_eq!(layers.add(&[step("RUN one", 7)]), 7);
    }
}
