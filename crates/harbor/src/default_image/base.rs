//! A Debian image to build the default image on.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use harbor_runner::{Build, DockerEngine};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use super::context;
use crate::process::Progress;
use crate::process::announce::reasons;

const PUBLIC: &str = "debian:bookworm";
const LOCAL: &str = "harbor/debian:bookworm";
const SUITE: &str = "bookworm";

/// How long debootstrap may take.
const PATIENCE: Duration = Duration::from_mins(20);

/// A base that is on the engine: local, pulled, or made by debootstrap.
pub(super) async fn find(runner: &DockerEngine, progress: &Progress) -> anyhow::Result<String> {
    for candidate in [PUBLIC, LOCAL] {
        if runner.image(candidate).await?.is_some() {
            return Ok(candidate.to_owned());
        }
    }
    match super::pull(runner, PUBLIC, progress).await {
        Ok(_) => return Ok(PUBLIC.to_owned()),
        Err(error) => tracing::info!(reason = reasons(&error), "no Debian base from a registry: debootstrap"),
    }
    let archive = bootstrap(progress).await?;
    progress.say(format!("importing {LOCAL}"));
    let build = Build { tag: LOCAL.to_owned(), ..Build::default() };
    let context = context::base(&archive).with_context(|| format!("cannot read {}", archive.display()))?;
    runner.build(&build, context, |_| {}).await.context("cannot import the Debian base")?;
    Ok(LOCAL.to_owned())
}

/// Runs the embedded `scripts/base-image`, which makes a root file system's archive and prints its path.
async fn bootstrap(progress: &Progress) -> anyhow::Result<PathBuf> {
    progress.say("making a Debian base with debootstrap");
    let scripts = Scripts::unpack()?;
    let mut child = Command::new("bash")
        .arg(scripts.0.join("base-image"))
        .args(["--tar", SUITE])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("cannot run bash, which making a Debian base needs")?;
    let messages = child.stderr.take().context("no error output")?;
    let relay = async {
        let mut lines = BufReader::new(messages).lines();
        let mut last = String::new();
        while let Ok(Some(line)) = lines.next_line().await {
            progress.say(line.trim());
            last = line;
        }
        last
    };
    let run = async { tokio::join!(relay, child.wait_with_output()) };
    let (last, output) = tokio::time::timeout(PATIENCE, run).await.context("debootstrap took more than 20 minutes")?;
    let output = output.context("cannot run the script that makes a Debian base")?;
    if !output.status.success() {
        bail!("{}", last.trim().trim_start_matches("base-image: "));
    }
    let path = String::from_utf8_lossy(&output.stdout);
    Ok(PathBuf::from(path.lines().next_back().unwrap_or_default()))
}

/// The embedded scripts in a directory of their own, removed when dropped.
struct Scripts(PathBuf);

impl Scripts {
    fn unpack() -> anyhow::Result<Self> {
        let directory = std::env::temp_dir().join(format!("harbor-scripts-{:016x}", rand::random::<u64>()));
        // fails rather than uses a directory of somebody else
        std::fs::DirBuilder::new().mode(0o700).create(&directory).context("cannot make a temporary directory")?;
        let scripts = Self(directory);
        for (name, content) in [
            ("base-image", include_str!("../../../../scripts/base-image")),
            ("lib.sh", include_str!("../../../../scripts/lib.sh")),
        ] {
            std::fs::write(scripts.0.join(name), content).with_context(|| format!("cannot write {name}"))?;
        }
        Ok(scripts)
    }
}

impl Drop for Scripts {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all::<&Path>(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The script is another part of the tree: what is relied on here must hold there.
    #[tokio::test]
    async fn the_embedded_script_runs_by_itself() {
        let scripts = Scripts::unpack().unwrap();
        let script = scripts.0.join("base-image");
        let help = Command::new("bash").arg(&script).arg("--help").output().await.unwrap();
        assert!(help.status.success() && String::from_utf8_lossy(&help.stdout).contains("--tar"), "{help:?}");
        let refused = Command::new("bash").arg(&script).args(["--tar", "No Suite"]).output().await.unwrap();
        assert!(!refused.status.success());
        assert!(String::from_utf8_lossy(&refused.stderr).contains("not a Debian suite"), "{refused:?}");
        let path = scripts.0.clone();
        drop(scripts);
        assert!(!path.exists());
    }
}
