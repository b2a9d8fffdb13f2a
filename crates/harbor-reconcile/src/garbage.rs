//! What nobody needs any more: old rows, stored files, and infra containers of no sandbox.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use harbor_model::actors::Actor;
use harbor_model::errors::chain;
use harbor_model::garbage::{Collected, GarbageKind};
use harbor_model::ids::SandboxId;
use harbor_runner::EngineError;

use crate::orphans::known;
use crate::queue::{Lane, Mark, Queue, Stepped};
use crate::work::Work;
use crate::{Inner, Reconciler};

/// How often old rows are looked for.
const INTERVAL: Duration = Duration::from_hours(1);

/// When stored files are looked at again that could not be removed, or images that could not be kept.
const AGAIN: Duration = Duration::from_mins(1);

/// How often blobs are looked for that nothing needs.
const BLOBS: Duration = Duration::from_mins(5);

/// How long what nobody needs is kept where the disk is nearly full.
const PRESSED: Duration = Duration::from_hours(1);

/// How long a collection waits for the end of builds.
const NO_BUILDS: Duration = Duration::from_secs(2);

/// When the object storage gives back what it let go of: until then, somebody may be about to open it.
const GIVEN_BACK: Duration = Duration::from_secs(61);

/// Removed sandboxes and events are kept this long (contract, control-plane §5.6).
const KEPT: time::Duration = time::Duration::hours(24);

/// Images that were built for sandboxes alone are kept this long after the last one asked (contract, control-plane §5.4).
const IMAGES_KEPT: time::Duration = time::Duration::days(7);

/// Something that may be garbage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum GarbageKey {
    /// Rows of sandboxes that are gone, and of events.
    Rows,
    /// Stored files that nothing needs.
    Layers,
    /// Blobs that neither the object storage nor the registry needs.
    Blobs,
    /// The infra container of a sandbox that no row knows.
    Infra(SandboxId),
}

impl fmt::Display for GarbageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rows => f.write_str("rows"),
            Self::Layers => f.write_str("stored files"),
            Self::Blobs => f.write_str("blobs"),
            Self::Infra(id) => write!(f, "infra of {id}"),
        }
    }
}

/// How far it was looked for images that nobody needs.
enum Looked {
    /// All were looked at.
    AtAll,
    /// Something is being built, which may go on from one of them.
    UntilABuild,
}

/// Removes garbage.
pub(crate) struct Garbage(pub(crate) Arc<Inner>);

impl Work for Garbage {
    type Key = GarbageKey;

    fn queue(&self) -> &Queue<GarbageKey> {
        &self.0.garbage
    }

    async fn step(&self, key: GarbageKey, _: Mark) -> Stepped {
        let (outcome, again) = match key {
            GarbageKey::Rows => {
                // one that could not be read when it was to be marked waits no longer than this
                self.0.mark_awaited_images().await;
                (self.0.purge().await, Some(Mark::after(INTERVAL, Lane::Bulk)))
            }
            GarbageKey::Layers => {
                let outcome = self.0.discard_layers().await;
                let pause = if matches!(outcome, Ok((_, Looked::AtAll))) { INTERVAL } else { AGAIN };
                (outcome.map(|(told, _)| told), Some(Mark::after(pause, Lane::Bulk)))
            }
            GarbageKey::Blobs => {
                self.0.make_space().await;
                let outcome = self.0.config.objects.tidy().await.map(|count| format!("{count} blobs removed"));
                (outcome, Some(Mark::after(BLOBS, Lane::Bulk)))
            }
            // whoever lists the engine finds it again
            GarbageKey::Infra(id) => (self.0.remove_stray_infra(id).await, None),
        };
        if let Err(reason) = &outcome {
            tracing::warn!(%key, reason, "garbage not removed");
        }
        Stepped { again, outcome }
    }
}

impl Reconciler {
    /// Lets go of what nobody has needed for `at_least`, or only finds it, and answers what. The error says what failed, and
    /// why; what went before it is gone.
    pub async fn collect_garbage(&self, at_least: Duration, rehearse: bool) -> Result<Vec<Collected>, String> {
        if !rehearse {
            // first: whoever asked may not wait for the end
            self.inner.mark_collected();
        }
        self.inner.collect(at_least, rehearse).await
    }
}

impl Inner {
    async fn purge(&self) -> Result<String, String> {
        let before = self.now() - KEPT;
        let sandboxes = self.store.by(Actor::Harbor).purge_removed_sandboxes(before).await;
        let events = self.store.by(Actor::Harbor).purge_outbox(before).await.map_err(|error| chain(&error))?;
        let sandboxes = sandboxes.map_err(|error| chain(&error))?;
        let images = self.store.by(Actor::Harbor).purge_images(self.now() - IMAGES_KEPT).await;
        let images = images.map_err(|error| chain(&error))?;
        if images > 0 {
            self.garbage.mark(GarbageKey::Layers, Mark::now(Lane::Bulk));
        }
        Ok(format!("{sandboxes} sandboxes, {events} events and {images} images purged"))
    }

    /// Removes stored files that nothing needs, and keeps the images that all others lie on. What is stored is read first: a
    /// layer's id stands in a row before it is.
    async fn discard_layers(&self) -> Result<(String, Looked), String> {
        let mut stored = self.engine.layers().await.map_err(|error| chain(&error))?;
        let needed = self.store.stored_files().await.map_err(|error| chain(&error))?;
        stored.retain(|layer| !needed.layers.contains(layer));
        let (count, mut outcome) = (stored.len(), Ok(()));
        for layer in &stored {
            outcome = outcome.and(self.engine.discard(layer).await);
        }
        // what is just being copied lies on an image that no row names yet
        let kept = self.engine.keep_images(&needed.images, !needed.copying).await;
        if let Err(EngineError::ImageMissing { image }) = &kept {
            let asked = self.store.by(Actor::Harbor).ask_for_lost_image(image.clone(), self.now()).await;
            if let Ok(1..) = asked {
                tracing::warn!(image, "an image was removed by somebody: the snapshots of it ask for it again");
            }
        }
        outcome = kept.and(outcome);
        let images = self.discard_built_images().await;
        outcome.map_err(|error| chain(&error))?;
        let (images, looked) = images?;
        Ok((format!("{count} layers and {images} built images removed"), looked))
    }

    /// Lets go early of what nobody needs, where the disk is nearly full.
    async fn make_space(&self) {
        if !self.config.objects.is_short_of_space() {
            return;
        }
        match self.collect(PRESSED, false).await {
            Ok(all) if all.iter().all(|kind| kind.count == 0) => {}
            Ok(all) => {
                let bytes: u64 = all.iter().map(|kind| kind.bytes).sum();
                self.mark_collected();
                tracing::warn!(bytes, "the disk is nearly full: what nobody has needed for an hour was let go of");
            }
            Err(reason) => tracing::warn!(reason, "the disk is nearly full, and no space was made"),
        }
    }

    /// What was let go of is given back as soon as it can be.
    fn mark_collected(&self) {
        self.garbage.mark(GarbageKey::Blobs, Mark::after(GIVEN_BACK, Lane::Bulk));
        self.garbage.mark(GarbageKey::Layers, Mark::after(GIVEN_BACK, Lane::Bulk));
    }

    /// Lets go of what nobody has needed for `at_least`, or rehearses that, and answers what. The bytes of built images are
    /// free at once, those of the object storage and the registry within two minutes.
    async fn collect(&self, at_least: Duration, rehearse: bool) -> Result<Vec<Collected>, String> {
        // two at once would tell the same bytes
        let _alone = self.collecting.lock().await;
        let images = self.collect_built_images(at_least, rehearse).await;
        let stored = self.config.objects.collect(at_least, rehearse).await;
        Ok([images?].into_iter().chain(stored?).collect())
    }

    async fn collect_built_images(&self, at_least: Duration, rehearse: bool) -> Result<Collected, String> {
        let before = self.now() - at_least;
        let needed = self.store.needed_images(before).await.map_err(|error| chain(&error))?;
        let mut going = self.engine.built_images().await.map_err(|error| chain(&error))?;
        going.retain(|name| !needed.contains(name));
        let freed = self.engine.freed_by(&going).await.map_err(|error| chain(&error))?;
        let mut told = Collected { kind: GarbageKind::BuiltImages, count: 0, bytes: 0, more: false };
        if !rehearse {
            self.store.by(Actor::Harbor).purge_images(before).await.map_err(|error| chain(&error))?;
        }
        let going = going.iter().zip(freed).filter_map(|(name, bytes)| Some((name, bytes?)));
        for (name, bytes) in going {
            if !rehearse {
                let Ok(_no_builds) = tokio::time::timeout(NO_BUILDS, self.building.write()).await else {
                    // what is being built may go on from it: the loop removes it afterwards
                    told.more = true;
                    break;
                };
                if !self.discard_unless_wanted(name).await? {
                    continue;
                }
            }
            told.count += 1;
            told.bytes += bytes;
        }
        Ok(told)
    }

    /// Removes the built images that nobody asks for any more, and answers how many there were.
    async fn discard_built_images(&self) -> Result<(usize, Looked), String> {
        self.engine.tidy_builds().await.map_err(|error| chain(&error))?;
        let mut removed = 0;
        for name in self.engine.built_images().await.map_err(|error| chain(&error))? {
            // an image takes the layers along that nobody else has yet, and a build that goes on from one would lose it
            let Ok(_no_builds) = self.building.try_write() else { return Ok((removed, Looked::UntilABuild)) };
            removed += usize::from(self.discard_unless_wanted(&name).await?);
        }
        Ok((removed, Looked::AtAll))
    }

    /// Removes a built image unless somebody asks for it; answers whether it is gone. Nothing may be built meanwhile.
    async fn discard_unless_wanted(&self, name: &str) -> Result<bool, String> {
        // whoever asks for it again from here on finds it either kept or gone
        let _looking = self.looking_for_images.lock().await;
        if self.store.is_wanted_image(name.to_owned()).await.map_err(|error| chain(&error))? {
            return Ok(false);
        }
        self.engine.remove_built_image(name).await.map_err(|error| chain(&error))
    }

    /// Removes what the engine holds of `id`, if no row knows it.
    async fn remove_stray_infra(&self, id: SandboxId) -> Result<String, String> {
        if known(&self.store).await.map_err(|error| chain(&error))?.contains(&id) {
            return Ok("it is somebody's".to_owned());
        }
        self.engine.remove(&id).await.map_err(|error| chain(&error))?;
        Ok("removed".to_owned())
    }
}
