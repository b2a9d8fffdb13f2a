//! Making snapshots from images and Dockerfiles, putting them aside and taking them back (contract, control-plane §6).

use std::time::Duration;

use harbor_model::ids::{ImageId, SnapshotId};
use harbor_model::images::check_reference;
use harbor_model::resources::{Asked, Resources};
use harbor_model::snapshots::{Recipe, Snapshot, SnapshotState, check_name};
use harbor_store::{Change, Changes, StoreError};
use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, timeout_at};

use crate::error::Kind;
use crate::{Allowed, Caller, Control, DeleteSnapshots, Error, WriteSnapshots, now};

/// How long a create waits for an image that is there already, so that clients need not ask again.
const AT_ONCE: Duration = Duration::from_millis(800);

/// The longest Dockerfile, in bytes.
const LONGEST_DOCKERFILE: usize = 256 << 10;

/// What a caller asks for.
#[derive(Clone, Debug)]
pub struct NewSnapshot {
    /// Its name.
    pub name: String,
    /// Where its files come from.
    pub source: NewImage,
    /// Sizes; those of [`Resources::DEFAULT`] otherwise.
    pub asked: Asked,
}

/// Where the files of a new snapshot come from.
#[derive(Clone, Debug)]
pub enum NewImage {
    /// From the image of this reference, which runs this instead of its own entrypoint.
    Reference {
        /// As `docker pull` takes it, with a tag or digest.
        reference: String,
        /// Program and arguments.
        entrypoint: Option<Vec<String>>,
    },
    /// From what this Dockerfile builds.
    Dockerfile(String),
}

impl Control {
    /// Records the snapshot that the caller wants; its image is pulled or built by and by. One whose image is there already
    /// is active when this answers.
    pub async fn create_snapshot(&self, caller: &Allowed<WriteSnapshots>, new: NewSnapshot) -> Result<Snapshot, Error> {
        check_name(&new.name).map_err(Error::invalid)?;
        let (image, build, entrypoint) = self.source(new.source)?;
        let resources = self.size(new.asked)?;
        let at = now();
        let name = new.name;
        let snapshot = Snapshot {
            id: SnapshotId::random(),
            organization: caller.organization(),
            name: name.clone(),
            general: false,
            image,
            image_id: None,
            build,
            layer: None,
            source: None,
            entrypoint,
            resources,
            state: SnapshotState::Pending,
            error: None,
            size_bytes: None,
            last_used_at: None,
            created_at: at,
            updated_at: at,
        };
        let changes = self.changes();
        let added = self.store().by(caller.actor()).add_snapshot(snapshot).await.map_err(|error| match error {
            StoreError::NameTaken => {
                Error::conflict(format!("Snapshot with name \"{name}\" already exists for this organization"))
            }
            other => other.into(),
        })?;
        tracing::info!(snapshot = %added.id, image = added.image, "snapshot wanted");
        Ok(wait_active(changes, added).await)
    }

    /// Lets a snapshot be used again that was put aside; its image is looked for first.
    pub async fn activate_snapshot(&self, caller: &Allowed<WriteSnapshots>, text: &str) -> Result<Snapshot, Error> {
        let found = self.own_snapshot(caller, text).await?;
        let changes = self.changes();
        let (activated, outcome) = self
            .store()
            .by(caller.actor())
            .change_snapshot(found.id, |row| row.activate(now()))
            .await?
            .ok_or_else(|| missing(text))?;
        outcome.map_err(|why| Error::invalid(format!("Snapshot {text} {why}")))?;
        Ok(wait_active(changes, activated).await)
    }

    /// Puts a snapshot aside: no sandbox is made of it until it is activated again. A general one is 403.
    pub async fn deactivate_snapshot(&self, caller: &Allowed<WriteSnapshots>, text: &str) -> Result<(), Error> {
        let found = self.own_snapshot(caller, text).await?;
        if found.general {
            let message = format!("Snapshot {text} is for everybody and cannot be deactivated");
            return Err(Error::new(Kind::Forbidden, message));
        }
        let changed = self.store().by(caller.actor()).change_snapshot(found.id, |row| row.deactivate(now())).await?;
        let (_, outcome) = changed.ok_or_else(|| missing(text))?;
        outcome.map_err(|why| Error::invalid(format!("Snapshot {text} cannot be deactivated: {why}")))
    }

    /// Removes the caller's snapshot of this name or id. Sandboxes made from it stay, and its name is free at once. A
    /// general one is 403, and 404 where it is another organization's.
    pub async fn delete_snapshot(&self, caller: &Allowed<DeleteSnapshots>, text: &str) -> Result<(), Error> {
        let found = self.own_snapshot(caller, text).await?;
        if found.general {
            return Err(Error::new(Kind::Forbidden, format!("Snapshot {text} is for everybody and cannot be deleted")));
        }
        let removed = self.store().by(caller.actor()).remove_snapshot(found.id).await?;
        if removed { Ok(()) } else { Err(missing(text)) }
    }

    /// What the build of the caller's snapshot said after its first `seen` pieces. 404 for one that was not built.
    pub async fn snapshot_build_log(&self, caller: &Caller, text: &str, seen: u32) -> Result<BuildLog, Error> {
        let snapshot = self.snapshot(caller, text).await?;
        if snapshot.build.is_none() {
            return Err(Error::not_found(format!("Snapshot {text} has no build")));
        }
        let image = self.store().image_of(snapshot.organization, snapshot.image.clone()).await?;
        let (text, seen) = match &image {
            Some(image) => self.store().image_log(image.id, seen).await?,
            None => (String::new(), seen),
        };
        Ok(BuildLog { state: snapshot.state, text, seen, image: image.map(|image| image.id) })
    }

    /// The snapshot of this name or id that belongs to the caller's organization.
    async fn own_snapshot(&self, caller: &Caller, text: &str) -> Result<Snapshot, Error> {
        let found = self.store().find_snapshot(caller.organization, text.to_owned()).await?;
        found.filter(|found| found.organization == caller.organization).ok_or_else(|| missing(text))
    }

    fn source(&self, source: NewImage) -> Result<(String, Option<Recipe>, Option<Vec<String>>), Error> {
        match source {
            NewImage::Reference { reference, entrypoint } => {
                check_reference(&reference).map_err(Error::invalid)?;
                let entrypoint = entrypoint.map(|words| words.into_iter().filter(|word| !word.is_empty()).collect());
                let entrypoint = entrypoint.filter(|words: &Vec<String>| !words.is_empty());
                if entrypoint.iter().flatten().any(|word| word.contains('\0')) {
                    return Err(Error::invalid("entrypoint holds a NUL character"));
                }
                let alias = super::is_version_of_default(&reference);
                Ok((if alias { self.config().default_snapshot.clone() } else { reference }, None, entrypoint))
            }
            NewImage::Dockerfile(dockerfile) => {
                check_dockerfile(&dockerfile).map_err(Error::invalid)?;
                let recipe = Recipe { dockerfile };
                Ok((reference_of(&recipe), Some(recipe.clone()), Some(entrypoint(&recipe))))
            }
        }
    }

    fn size(&self, asked: Asked) -> Result<Resources, Error> {
        if asked.gpu.is_some_and(|gpu| gpu > 0) {
            return Err(Error::invalid("This host gives no GPU to sandboxes"));
        }
        let resources = Resources::DEFAULT.with(asked);
        let limits = self.config().limits.raised_to(Resources::DEFAULT);
        resources.check(limits).map_err(|too_big| Error::invalid(too_big.to_string()))?;
        Ok(resources)
    }
}

/// A part of what a build said.
#[derive(Clone, Debug)]
pub struct BuildLog {
    /// Where the snapshot stands.
    pub state: SnapshotState,
    /// What was said.
    pub text: String,
    /// How many pieces of the log that is, with those before.
    pub seen: u32,
    /// What is built; `None`: nothing any more.
    pub image: Option<ImageId>,
}

fn missing(text: &str) -> Error {
    Error::not_found(format!("Snapshot {text} not found"))
}

fn check_dockerfile(text: &str) -> Result<(), String> {
    let from = |line: &str| line.trim().get(..5).is_some_and(|word| word.eq_ignore_ascii_case("from "));
    match text {
        text if text.len() > LONGEST_DOCKERFILE => {
            Err(format!("dockerfileContent must not be longer than {} KiB", LONGEST_DOCKERFILE >> 10))
        }
        text if text.contains('\0') => Err("dockerfileContent holds a NUL character".to_owned()),
        text if !text.lines().any(from) => Err("dockerfileContent names no image: it needs a line FROM".to_owned()),
        _ => Ok(()),
    }
}

/// What the image of a Dockerfile is called: the same for the same text (contract, control-plane §5.4).
fn reference_of(recipe: &Recipe) -> String {
    let digest = Sha256::digest(recipe.dockerfile.as_bytes());
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("daytona-{digest}:daytona")
}

/// What the last `ENTRYPOINT` says, `sleep infinity` without one (contract, control-plane §5.4).
fn entrypoint(recipe: &Recipe) -> Vec<String> {
    let joined = recipe.dockerfile.replace("\\\r\n", " ").replace("\\\n", " ");
    let said = joined.lines().map(str::trim).filter_map(|line| {
        let (word, rest) = line.split_once(char::is_whitespace)?;
        word.eq_ignore_ascii_case("entrypoint").then(|| rest.trim())
    });
    let words: Vec<String> = match said.last() {
        None => Vec::new(),
        Some(list) if list.starts_with('[') => serde_json::from_str(list).unwrap_or_default(),
        Some(line) => ["/bin/sh", "-c", line].map(str::to_owned).into(),
    };
    if words.is_empty() { ["sleep", "infinity"].map(str::to_owned).into() } else { words }
}

/// The snapshot once it is active, or as it was before it came to another end: `pending`, `pulling` or `building`, if that
/// takes long or fails, which clients look for themselves.
async fn wait_active(mut changes: Changes, mut snapshot: Snapshot) -> Snapshot {
    let deadline = Instant::now() + AT_ONCE;
    while snapshot.awaits_image() {
        match timeout_at(deadline, changes.recv()).await {
            Ok(Ok(Change::Snapshot { after, .. })) if after.id == snapshot.id => {
                if !after.awaits_image() && after.state != SnapshotState::Active {
                    break;
                }
                snapshot = (*after).clone();
            }
            Ok(Ok(_)) => {}
            Ok(Err(_)) | Err(_) => break,
        }
    }
    snapshot
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipe_has_the_name_that_clients_compute() {
        // printf 'FROM debian:12\n' | sha256sum
        let recipe = Recipe { dockerfile: "FROM debian:12\n".to_owned() };
        assert_eq!(
            reference_of(&recipe),
            "daytona-89c354c6a7d7d29fd6b01d527cdc9832aae244b1727da1521ad792cd69ee2be5:daytona"
        );
    }

    #[test]
    fn a_dockerfile_names_an_image() {
        assert!(check_dockerfile("ARG A=1\n from debian:12").is_ok());
        for text in ["", "RUN true", "# FROM debian:12", "FROM a\nRUN \0", &"FROM a\n".repeat(100_000)] {
            assert!(check_dockerfile(text).is_err(), "{}", &text[..text.len().min(40)]);
        }
    }

    #[test]
    fn the_last_entrypoint_counts() {
        for (dockerfile, words) in [
            ("FROM a", vec!["sleep", "infinity"]),
            ("FROM a\nENTRYPOINT [\"x\"]\nentrypoint [ \"a b\" , \"\\\"c\\\"\" ]\n", vec!["a b", "\"c\""]),
            ("FROM a\nENTRYPOINT run \\\n  me", vec!["/bin/sh", "-c", "run    me"]),
            ("FROM a\nENTRYPOINT [\"x\"]\nENTRYPOINT []", vec!["sleep", "infinity"]),
        ] {
            assert_eq!(entrypoint(&Recipe { dockerfile: dockerfile.to_owned() }), words, "{dockerfile}");
        }
    }
}
