//! The image of the default snapshot, from wherever this machine can get it (design D8).
//!
//! In this order: a local image of that name, a pull, a build from the embedded Dockerfile on a Debian base that is
//! local or can be pulled, and last on a base that debootstrap makes. Says what it is doing all the way; looks at the
//! disk first; when nothing works, the error lists what would. Only an image with a name of harbor's own is built: under
//! another name it would pass for what somebody else publishes.
//! Leaves out: rebuilding a local image whose Dockerfile has changed since (`scripts/default-image` does).

mod base;
mod context;
mod keeper;

pub(crate) use keeper::keep;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail};
use harbor_runner::{Build, DockerEngine, Image};

use crate::config::keys;
use crate::process::Progress;
use crate::process::announce::reasons;

/// Stages, base and image together at their peak, in bytes.
const ROOM: u64 = 4 << 30;

/// How long a registry may take to say its first word; the one that nobody can reach says nothing at all.
const FIRST_WORD: Duration = Duration::from_secs(30);

/// The name that `scripts/default-image` builds under, beside the configured one.
const OWN: &str = "harbor/sandbox:slim";

/// Which stage of the Dockerfile is the default image.
const TARGET: &str = "slim";

/// Makes sure that the engine has the image `reference`, and says how far that is.
pub(crate) async fn ensure(runner: &DockerEngine, reference: &str, progress: &Progress) -> anyhow::Result<Image> {
    if let Some(image) = runner.image(reference).await? {
        return Ok(image);
    }
    check_room(runner).await?;
    let not_pulled = match pull(runner, reference, progress).await {
        Ok(image) => return Ok(image),
        Err(error) => error,
    };
    if !is_own(reference) {
        bail!("{}", foreign(reference, &not_pulled));
    }
    tracing::info!(reason = reasons(&not_pulled), "the default image cannot be pulled: building it");
    let built = build(runner, reference, progress).await;
    built.map_err(|error| anyhow::anyhow!(remedies(reference, &not_pulled, &error)))
}

/// Whether the embedded Dockerfile is what `reference` names.
fn is_own(reference: &str) -> bool {
    let default = keys::find("daytona.default_snapshot").map(|key| key.default);
    reference == OWN || matches!(default, Some(keys::DefaultValue::Is(name)) if name == reference)
}

async fn check_room(runner: &DockerEngine) -> anyhow::Result<()> {
    let about = runner.about().await?;
    match about.free {
        Some(free) if free < ROOM => bail!(
            "getting the default image needs {} free in {}, and there is {}: make room (`docker system df` shows what takes it)",
            gibibytes(ROOM),
            about.root,
            gibibytes(free)
        ),
        _ => Ok(()),
    }
}

/// Pulls `reference`, giving up on a registry that does not say a word.
async fn pull(runner: &DockerEngine, reference: &str, progress: &Progress) -> anyhow::Result<Image> {
    progress.say(format!("asking the registry for {reference}"));
    let spoke = AtomicBool::new(false);
    let mut layers: HashMap<String, (u64, u64)> = HashMap::new();
    let pulled = runner.pull(reference, None, |step| {
        // before it has reached the registry, the engine only repeats what it was asked
        spoke.fetch_or(step.layer.is_some() && !step.status.starts_with("Pulling from"), Ordering::Relaxed);
        if let (Some(layer), Some(bytes), "Downloading") = (step.layer, step.bytes, step.status.as_str()) {
            layers.insert(layer, bytes);
            let (done, whole) = layers.values().fold((0, 0), |sum, (done, whole)| (sum.0 + done, sum.1 + whole));
            progress.part(format!("pulling {reference}"), done, whole);
        }
    });
    let silence = async {
        tokio::time::sleep(FIRST_WORD).await;
        if spoke.load(Ordering::Relaxed) {
            std::future::pending::<()>().await; // from here on the runner watches over it
        }
    };
    tokio::select! {
        pulled = pulled => pulled.context("cannot pull"),
        () = silence => bail!("the registry of {reference} said nothing for {} seconds", FIRST_WORD.as_secs()),
    }
}

/// Builds `reference` from the embedded Dockerfile.
async fn build(runner: &DockerEngine, reference: &str, progress: &Progress) -> anyhow::Result<Image> {
    let base = base::find(runner, progress).await?;
    progress.say(format!("building {reference} on {base} (2 to 5 minutes)"));
    let mut arguments = crate::builds::proxies();
    arguments.insert("BASE".to_owned(), base);
    let what = Build {
        target: Some(TARGET.to_owned()),
        tag: reference.to_owned(),
        arguments,
        labels: HashMap::from([("harbor.dockerfile".to_owned(), context::dockerfile_hash())]),
        ..Build::default()
    };
    let context = context::sandbox().context("cannot pack the build context")?;
    let mut tail = String::new();
    let outcome = runner.build(&what, context, |text| {
        for line in text.lines().map(str::trim_end).filter(|line| !line.is_empty()) {
            tracing::debug!(target: "harbor::default_image", line, "build");
            if let Some(heading) = line.strip_prefix("== ") {
                progress.say(format!("building {reference}: {heading}"));
            }
            line.clone_into(&mut tail);
        }
    });
    outcome.await.with_context(|| format!("the build failed after {tail:?}"))
}

fn gibibytes(bytes: u64) -> String {
    // one decimal without floating point
    format!("{}.{} GiB", bytes >> 30, ((bytes & ((1 << 30) - 1)) * 10) >> 30)
}

fn foreign(reference: &str, not_pulled: &anyhow::Error) -> String {
    format!(
        "the default image {reference} is not on the engine and cannot be had from a registry: {}. Any one of these helps:\n  \
         - check the name: `harbor config get daytona.default_snapshot`, or the variable HARBOR_DAYTONA_DEFAULT_SNAPSHOT\n  \
         - get it, with your login to its registry: docker pull {reference}\n  \
         - go back to harbor's own image: unset that variable, and `harbor config set daytona.default_snapshot \"\"`",
        reasons(not_pulled)
    )
}

fn remedies(reference: &str, not_pulled: &anyhow::Error, not_built: &anyhow::Error) -> String {
    format!(
        "there is no way to the default image {reference} from here. Any one of these helps; a running harbor notices:\n  \
         - let the engine reach a registry (a mirror: \"registry-mirrors\" in /etc/docker/daemon.json); it said: {}\n  \
         - let this machine reach a Debian mirror, and run `harbor pull` as root once; building said: {}\n  \
         - bring it from a machine that has it: docker save {reference} | ssh HERE docker load\n  \
         - use an image that is here: harbor config set daytona.default_snapshot NAME:TAG",
        reasons(not_pulled),
        reasons(not_built)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_for_people() {
        assert_eq!(gibibytes(4 << 30), "4.0 GiB");
        assert_eq!(gibibytes((1 << 30) + (1 << 29)), "1.5 GiB");
    }

    #[test]
    fn only_an_image_of_our_own_is_built() {
        for name in ["daytonaio/sandbox:v0.185.0-amd64", "harbor/sandbox:slim"] {
            assert!(is_own(name), "{name}");
        }
        for name in ["no/such:img", "daytonaio/sandbox:v0.185.0", "debian:bookworm", ""] {
            assert!(!is_own(name), "{name}");
        }
    }

    #[test]
    fn another_image_that_cannot_be_had_says_why() {
        let text = foreign("a/b:1", &anyhow::anyhow!("no such manifest"));
        assert!(text.contains("a/b:1") && text.contains("no such manifest") && text.contains("docker pull a/b:1"));
        assert_eq!(crate::process::announce::one_line(&anyhow::anyhow!(text.clone())).lines().count(), 4, "{text}");
    }

    #[test]
    fn the_list_of_remedies_names_both_reasons() {
        let text = remedies("a/b:1", &anyhow::anyhow!("no route"), &anyhow::anyhow!("no mirror"));
        assert!(
            text.contains("no route") && text.contains("no mirror") && text.contains("docker save a/b:1"),
            "{text}"
        );
        assert_eq!(crate::process::announce::one_line(&anyhow::anyhow!(text.clone())).lines().count(), 5, "{text}");
    }
}
