//! Images: got, built, named and removed.

use futures_util::StreamExt as _;

use super::world::image;
use super::{Pretend, Verb};
use crate::error::{EngineError, EngineSaid};
use crate::image::{Build, Context, Image, Login, Progress};

impl Pretend {
    pub(super) async fn pull_image(
        &self,
        reference: &str,
        login: Option<&Login>,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<Image, EngineError> {
        self.lock().world.logins.extend(login.cloned());
        let step = |status: &str| Progress { layer: Some("a".to_owned()), status: status.to_owned(), bytes: None };
        progress(step("Downloading"));
        progress(step("Pull complete"));
        self.call(Verb::Pull, None, false, |world| {
            Ok(world.images.entry(reference.to_owned()).or_insert_with(|| image(reference)).clone())
        })
        .await
    }

    pub(super) fn name(&self, id: &str, reference: &str) -> Result<(), EngineError> {
        let world = &mut self.lock().world;
        let Some(named) = world.image(id) else {
            return Err(EngineError::NotFound {
                doing: format!("name image {id}"),
                source: EngineSaid::new("no such image"),
            });
        };
        world.images.insert(reference.to_owned(), named);
        Ok(())
    }

    pub(super) fn remove_unless_kept(&self, name: &str) -> bool {
        let world = &mut self.lock().world;
        if world.images.get(name).is_some_and(|image| world.kept_images.contains(&image.id)) {
            return false;
        }
        world.built.remove(name);
        world.images.remove(name);
        true
    }

    pub(super) async fn build_image(
        &self,
        build: &Build,
        mut context: Context,
        log: &mut (dyn for<'text> FnMut(&'text str) + Send),
    ) -> Result<Image, EngineError> {
        self.lock().world.logins.extend(build.logins.iter().cloned());
        log("Step 1/1 : ");
        log("pretend\n");
        let mut archive = Vec::new();
        while let Some(chunk) = context.next().await {
            let ended = |error: std::io::Error| EngineError::Build {
                image: build.tag.clone(),
                source: EngineSaid::new(error.kind().to_string()),
            };
            archive.extend_from_slice(&chunk.map_err(ended)?);
        }
        self.call(Verb::Build, None, false, |world| {
            world.last_context = archive;
            world.built.extend(build.own.then(|| build.tag.clone()));
            Ok(world.images.entry(build.tag.clone()).or_insert_with(|| image(&build.tag)).clone())
        })
        .await
    }
}
