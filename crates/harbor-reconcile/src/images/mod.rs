//! Images that organizations ask for: looked for on the engine, then pulled or built. What that says is kept as a log.

mod context;
mod log;
mod recipe;

use std::sync::Arc;
use std::time::Duration;

use harbor_model::actors::Actor;
use harbor_model::errors::chain;
use harbor_model::ids::ImageId;
use harbor_model::images::WantedImage;
use harbor_model::registries::Registry;
use harbor_runner::{Build, EngineError, EngineSaid, Image, Login};

use crate::Inner;
use crate::OwnImage;
use crate::queue::{Lane, Mark, Queue, Stepped};
use crate::work::Work;
use context::{Flaw, compose};
use log::Log;

pub use recipe::{Authorities, Builder};

/// How long a pull or a build may take, with all that it is tried again (contract, control-plane §6.1).
const PATIENCE: Duration = Duration::from_hours(1);

/// How often a build is tried in which the engine's builder loses a layer: others may clean up again and again.
const BUILD_TRIES: u32 = 12;

/// How much longer it is waited each time before it is tried again.
const BUILD_PAUSE: Duration = Duration::from_millis(100);

/// When one is tried again that the engine did not answer about.
const AGAIN: Duration = Duration::from_secs(5);

/// How often it is looked whether anybody still wants it.
const LOOK: Duration = Duration::from_secs(1);

/// Gets images.
pub(crate) struct Images(pub(crate) Arc<Inner>);

impl Work for Images {
    type Key = ImageId;

    fn queue(&self) -> &Queue<ImageId> {
        &self.0.images
    }

    async fn step(&self, id: ImageId, mark: Mark) -> Stepped {
        let is_turn = mark.lane == Lane::Spare;
        match self.0.get_image(id, is_turn).await {
            Ok(Got::Settled(told)) => Stepped { again: None, outcome: Ok(told) },
            Ok(Got::Absent) => {
                let outcome = Ok(format!("image {id} is to be pulled or built"));
                Stepped { again: Some(Mark::now(Lane::Spare)), outcome }
            }
            Ok(Got::Later(reason)) | Err(reason) => {
                tracing::warn!(image = %id, reason, "image not had yet");
                Stepped { again: Some(Mark::after(AGAIN, Lane::Look)), outcome: Err(reason) }
            }
        }
    }
}

/// What came of a step.
enum Got {
    /// There is nothing left to do.
    Settled(String),
    /// It is not on the engine, and waits for its turn to be pulled or built.
    Absent,
    /// It is worth trying again.
    Later(String),
}

impl Inner {
    /// Marks every image that is still to be had.
    pub(crate) async fn mark_awaited_images(&self) {
        match self.store.awaited_images().await {
            Ok(awaited) => awaited.into_iter().for_each(|id| self.images.mark(id, Mark::now(Lane::Look))),
            Err(error) => tracing::error!(error = chain(&error), "images not read"),
        }
    }

    /// Looks for an image that somebody waits for, pulls or builds it if it `is_turn`, and records what came of it. It is
    /// given up when nobody waits for it any more.
    async fn get_image(&self, id: ImageId, is_turn: bool) -> Result<Got, String> {
        if self.is_given_up(id).await {
            return Ok(Got::Settled(format!("nobody waits for image {id}")));
        }
        let wanted = self.store.image(id).await.map_err(|error| chain(&error))?;
        let Some(wanted) = wanted.filter(WantedImage::is_awaited) else {
            return Ok(Got::Settled(format!("nobody waits for image {id}")));
        };
        if wanted.updated_at + PATIENCE <= self.now() {
            return self.settle(wanted, Err(too_late())).await;
        }
        if wanted.dockerfile.is_none()
            && let Some(reason) = self.config.registry.refusal(wanted.organization, &wanted.reference)
        {
            return self.settle(wanted, Err(reason)).await;
        }
        match self.image_to_be_had(&wanted).await {
            Ok(Some(found)) => return self.settle(wanted, Ok(found)).await,
            Ok(None) if is_turn => {}
            Ok(None) => return Ok(Got::Absent),
            Err(error) => return Ok(Got::Later(chain(&error))),
        }
        let at = self.now();
        let begun = self.store.by(Actor::Harbor).change_image(id, move |row| row.begin(at)).await;
        let Some(image) = begun.map_err(|error| chain(&error))? else {
            return Ok(Got::Settled(format!("image {id} is wanted no more")));
        };
        let log = Log::new(self.store.clone(), id);
        let left = (image.updated_at + PATIENCE - self.now()).try_into().unwrap_or_default();
        let outcome = tokio::select! {
            outcome = tokio::time::timeout(left, self.have_image(&image, &log)) => outcome,
            () = self.until_given_up(id) => return Ok(Got::Settled(format!("nobody waits for image {id} any more"))),
            never = log.keep() => match never {},
        };
        let outcome = match outcome {
            Ok(Err(error)) if worth_another_try(&error) => return Ok(Got::Later(chain(&error))),
            Ok(outcome) => outcome.map_err(|error| reason(&error, &log)),
            Err(_) => Err(too_late()),
        };
        if let Err(reason) = &outcome {
            log.say(&format!("\n{reason}\n"));
        }
        log.finish().await;
        self.settle(image, outcome).await
    }

    /// Records what came of it, for whoever waits.
    async fn settle(&self, image: WantedImage, outcome: Result<Image, String>) -> Result<Got, String> {
        let outcome = match outcome {
            Ok(image) => self.engine.without_volumes(&image).await.map_err(|error| chain(&error)),
            Err(reason) => Err(reason),
        };
        let told = match &outcome {
            Ok(_) => format!("image {} is there", image.reference),
            Err(reason) => format!("image {} could not be had: {reason}", image.reference),
        };
        tracing::info!(image = image.reference, told, "image settled");
        let (at, had) = (self.now(), outcome.map(|image| (image.id, image.size)));
        let noted = self.store.by(Actor::Harbor).change_image(image.id, move |row| row.receive(had, at)).await;
        noted.map_err(|error| chain(&error))?;
        Ok(Got::Settled(told))
    }

    /// The image, if it is on the engine. What copies from uploads is known by the id that this organization's build gave it:
    /// its name says only what whoever built it claimed of the uploads.
    async fn image_to_be_had(&self, wanted: &WantedImage) -> Result<Option<Image>, EngineError> {
        match (&*wanted.contexts, &wanted.engine_id) {
            ([], _) => self.image_on_engine(&wanted.reference).await,
            (_, Some(id)) => self.image_on_engine(id).await,
            (_, None) => Ok(None),
        }
    }

    async fn image_on_engine(&self, reference: &str) -> Result<Option<Image>, EngineError> {
        let _looking = self.looking_for_images.lock().await;
        self.engine.image(reference).await
    }

    async fn have_image(&self, image: &WantedImage, log: &Log) -> Result<Image, EngineError> {
        let reference = &image.reference;
        let mut registries = self.registries_of(image).await;
        match &image.dockerfile {
            None => {
                let own = self.config.registry.image(image.organization, reference).await;
                let own = own.map_err(|reason| EngineError::Pull {
                    image: reference.clone(),
                    source: EngineSaid::new(reason),
                })?;
                if let Some(own) = own {
                    return self.have_own_image(reference, &own, log).await;
                }
                // the one that says most of the reference
                registries.retain(|registry| registry.has(reference));
                let registry = registries.iter().max_by_key(|registry| registry.prefix().len());
                let login = registry.map(login);
                let as_whom = login.as_ref().map(|login| format!(" as {}", login.username)).unwrap_or_default();
                log.say(&format!("pulling {reference}{as_whom}\n"));
                let mut layers = log::Layers::default();
                self.engine.pull(reference, login.as_ref(), &mut |step| log.say(&layers.line(step))).await
            }
            Some(dockerfile) => {
                let Builder { arguments, .. } = self.config.builder.clone();
                let own = self.config.registry.login(image.organization);
                let own = own.map_err(|reason| unread("of its own registry", reason))?;
                let logins = registries.iter().map(login).chain([own]).collect();
                let _building = self.building.read().await;
                let build = Build { tag: reference.clone(), arguments, own: true, logins, ..Build::default() };
                let mut tries = 1;
                loop {
                    match self.build(&build, dockerfile, image, log).await {
                        Err(error) if error.lost_a_layer() && tries < BUILD_TRIES => {
                            log.say(&format!("{}; it is tried again\n", chain(&error)));
                            tokio::time::sleep(BUILD_PAUSE * tries).await;
                            tries += 1;
                        }
                        outcome => break outcome,
                    }
                }
            }
        }
    }

    /// Gets an image of harbor's own registry, and calls it what it was asked for by.
    async fn have_own_image(&self, reference: &str, own: &OwnImage, log: &Log) -> Result<Image, EngineError> {
        log.say(&format!("pulling {reference} from harbor's own registry\n"));
        let mut layers = log::Layers::default();
        let pulled =
            self.engine.pull(&own.reference, Some(&own.login), &mut |step| log.say(&layers.line(step))).await?;
        // what is asked for by digest is called by it from the pull on
        if own.reference != reference {
            self.engine.name_image(&pulled.id, reference).await?;
        }
        Ok(pulled)
    }

    async fn build(
        &self,
        build: &Build,
        dockerfile: &str,
        image: &WantedImage,
        log: &Log,
    ) -> Result<Image, EngineError> {
        let flawed = |what: String| EngineError::Build { image: build.tag.clone(), source: EngineSaid::new(what) };
        let mut uploads = Vec::new();
        for name in &image.contexts {
            match self.config.objects.upload(image.organization, name).await {
                Ok(Some(upload)) => uploads.push((name.clone(), upload)),
                Ok(None) => return Err(flawed(format!("the files {name} that it copies from were not uploaded"))),
                Err(reason) => return Err(unread(name, reason)),
            }
        }
        let (context, composition) = compose(self.config.builder.files(dockerfile), uploads);
        let outcome = self.engine.build(build, context, &mut |text| log.say(text)).await;
        // the engine only knows that its input ended, if it has noticed at all
        match composition.flaw() {
            None => outcome,
            Some(Flaw { reason, is_final: true }) => Err(flawed(reason)),
            Some(Flaw { reason, is_final: false }) => Err(unread(&image.contexts.join(", "), reason)),
        }
    }

    /// The registries that whoever wants the image has logins to; none if they cannot be read, as most images need none.
    async fn registries_of(&self, image: &WantedImage) -> Vec<Registry> {
        self.store.registries(image.organization).await.unwrap_or_else(|error| {
            tracing::warn!(error = chain(&error), "registries not read");
            Vec::new()
        })
    }

    /// Ends once nobody waits for the image any more.
    async fn until_given_up(&self, id: ImageId) {
        loop {
            tokio::time::sleep(LOOK).await;
            if self.is_given_up(id).await {
                return;
            }
        }
    }

    async fn is_given_up(&self, id: ImageId) -> bool {
        matches!(self.store.by(Actor::Harbor).give_up_image(id).await, Ok(true))
    }
}

fn too_late() -> String {
    format!("it was not there after {} minutes", PATIENCE.as_secs() / 60)
}

/// What was uploaded is there, and cannot be read now.
fn unread(names: &str, reason: String) -> EngineError {
    EngineError::Files { doing: format!("read the uploaded files {names}"), source: std::io::Error::other(reason) }
}

fn login(registry: &Registry) -> Login {
    let Registry { username, password, .. } = registry;
    Login { registry: registry.prefix().to_owned(), username: username.clone(), password: password.clone() }
}

/// Whether the engine or the disk, and not the image, is to blame.
fn worth_another_try(error: &EngineError) -> bool {
    matches!(error, EngineError::Unreachable { .. } | EngineError::Files { .. })
}

/// Why an image could not be had: for a build with the last line of its log, which says more than how it ended.
fn reason(error: &EngineError, log: &Log) -> String {
    let last = log.last_line();
    match error {
        EngineError::Build { .. } if !last.is_empty() => format!("{}: after {last:?}", chain(error)),
        _ => chain(error),
    }
}
