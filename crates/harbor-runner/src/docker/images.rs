//! Images on the engine: looked at, pulled, built.

use crate::docker::handle::DockerEngine;
use crate::docker::naming;
use crate::error::EngineError;
use crate::image::{Build, Context, Image, Login, Progress};

impl DockerEngine {
    /// The image of this reference or id; `None` when it is not on the engine.
    pub async fn image(&self, reference: &str) -> Result<Option<Image>, EngineError> {
        let Some(image) = self.client().inspect_image(reference).await? else {
            self.images().forget(reference);
            return Ok(None);
        };
        self.images().note(reference, &image);
        Ok(Some(image))
    }

    /// Pulls an image by reference, by this login if there is one; without tag or digest it is `latest`.
    pub async fn pull(
        &self,
        reference: &str,
        login: Option<&Login>,
        progress: impl FnMut(Progress) + Send,
    ) -> Result<Image, EngineError> {
        // without a tag the engine pulls every tag there is
        let reference = if names_version(reference) { reference.to_owned() } else { format!("{reference}:latest") };
        match self.client().pull_image(&reference, login, progress).await {
            Ok(()) => self.present_image(&reference).await,
            Err(
                EngineError::NotFound { source, .. }
                | EngineError::Refused { source, .. }
                | EngineError::Conflict { source, .. },
            ) => Err(EngineError::Pull { image: reference, source }),
            Err(error) => Err(error),
        }
    }

    /// Builds an image with the engine's classic builder, which every supported engine has. `log` gets the build's
    /// output as it comes.
    pub async fn build(
        &self,
        build: &Build,
        context: Context,
        log: impl FnMut(&str) + Send,
    ) -> Result<Image, EngineError> {
        let mut labels = build.labels.clone();
        if build.own {
            labels.insert(naming::BUILT_BY.to_owned(), self.instance().to_string());
        }
        match self.client().build_image(build, labels, context, log).await {
            Ok(()) => self.present_image(&build.tag).await,
            Err(
                EngineError::NotFound { source, .. }
                | EngineError::Refused { source, .. }
                | EngineError::Conflict { source, .. },
            ) => Err(EngineError::Build { image: build.tag.clone(), source }),
            Err(error) => Err(error),
        }
    }
}

/// Whether a reference has a tag or digest. A colon before the last slash belongs to a registry's port.
fn names_version(reference: &str) -> bool {
    let name = reference.rsplit_once('/').map_or(reference, |(_, name)| name);
    name.contains(':') || name.contains('@')
}

#[cfg(test)]
mod tests {
    use super::names_version;

    #[test]
    fn a_registrys_port_is_no_tag() {
        for (reference, version) in [
            ("debian", false),
            ("debian:bookworm", true),
            ("localhost:35009/a/b", false),
            ("localhost:35009/a/b:1", true),
            ("a/b@sha256:00", true),
        ] {
            assert_eq!(names_version(reference), version, "{reference}");
        }
    }
}
