//! `harbor uninstall`: removes what harbor made on this machine, and nothing else.
//!
//! Guarantees: everything that is to go is listed and asked about first; on the engine only what carries this
//! installation's label goes, and of images only those that a harbor made here and that nothing needs any more; a
//! directory that is not this installation's is not touched. What is left is said.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, BufRead as _, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use harbor_runner::DockerEngine;
use serde_json::json;

use super::arguments::{Down, Uninstall};
use super::{down, service};
use crate::config::directories::Directories;
use crate::config::engine::engine_config;
use crate::config::load::Loaded;
use crate::process::announce::one_line;
use crate::trust::{Outcome, Trust};
use crate::{screen, secrets};

pub(super) fn run(loaded: &Loaded, options: &Uninstall) -> anyhow::Result<ExitCode> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the runtime")?;
    let found = runtime.block_on(Belongings::take(loaded, options.keep_images))?;
    if options.json {
        screen::line(&serde_json::to_string_pretty(&found.object())?)?;
    } else {
        found.show()?;
    }
    if options.dry_run || found.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    if !options.yes && !confirmed()? {
        bail!("nothing was removed");
    }
    down::run(&loaded.config.directories(), &Down { wait: 60, handles: Vec::new() })?;
    runtime.block_on(found.remove())?;
    screen::line("harbor is uninstalled")?;
    Ok(ExitCode::SUCCESS)
}

fn confirmed() -> anyhow::Result<bool> {
    if !io::stdin().is_terminal() {
        bail!("nobody is there to be asked: `harbor uninstall --yes` removes all of this");
    }
    screen::raw("Remove all of this, for good? [y/N] ")?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).context("cannot read the answer")?;
    Ok(["y", "yes"].contains(&answer.trim().to_lowercase().as_str()))
}

/// What there is to remove.
struct Belongings {
    /// The engine, where this installation has ever used one.
    runner: Option<DockerEngine>,
    /// Sandboxes, each with its files.
    sandboxes: usize,
    /// Volumes, each with its files.
    volumes: usize,
    /// Images that were built for users of this installation, and those that a harbor made for itself where no other
    /// installation uses this engine.
    images: Vec<String>,
    /// Directories of this installation.
    directories: Vec<PathBuf>,
    /// Links and service files that point to it.
    files: Vec<PathBuf>,
    /// The certificate that `harbor trust` made this system trust.
    certificate: Option<Trust>,
}

impl Belongings {
    async fn take(loaded: &Loaded, keep_images: bool) -> anyhow::Result<Self> {
        let directories = loaded.config.directories();
        let mut found = Self {
            runner: None,
            sandboxes: 0,
            volumes: 0,
            images: Vec::new(),
            directories: installed(&directories)?,
            files: links().into_iter().chain(service::installed(directories.root())).collect(),
            certificate: trusted(&directories).await,
        };
        let Some(instance) = secrets::existing_instance(&directories) else { return Ok(found) };
        let runner = DockerEngine::connect(engine_config(&loaded.config, instance)).await?;
        let listed = runner.list().await?;
        let sandboxes = listed.held.iter().filter(|held| held.found.sandbox.is_some()).count();
        found.sandboxes = sandboxes + listed.unclear.len();
        found.volumes = runner.volumes()?.len();
        if !keep_images {
            let mut images: BTreeSet<String> = runner.built_images().await?.into_iter().collect();
            if !runner.is_shared().await? {
                images.extend(runner.own_images().await?);
            }
            found.images = images.into_iter().collect();
        }
        found.runner = Some(runner);
        Ok(found)
    }

    fn is_empty(&self) -> bool {
        let Self { runner, sandboxes: _, volumes: _, images: _, directories, files, certificate } = self;
        runner.is_none() && directories.is_empty() && files.is_empty() && certificate.is_none()
    }

    fn object(&self) -> serde_json::Value {
        let Self { runner, sandboxes, volumes, images, directories, files, certificate } = self;
        json!({
            "engine": runner.is_some(),
            "sandboxes": sandboxes,
            "volumes": volumes,
            "images": images,
            "directories": directories,
            "files": files,
            "trusted": certificate.as_ref().map(Trust::place),
        })
    }

    fn show(&self) -> anyhow::Result<()> {
        if self.is_empty() {
            return screen::line("there is nothing of harbor here to remove");
        }
        if self.runner.is_some() {
            let plural = if self.sandboxes == 1 { "" } else { "es" };
            screen::line(&format!("{} sandbox{plural} with all files in them", self.sandboxes))?;
            if self.volumes > 0 {
                let plural = if self.volumes == 1 { "" } else { "s" };
                screen::line(&format!("{} volume{plural} with all files in them", self.volumes))?;
            }
            screen::line("harbor's own containers, network and volume on the engine")?;
        }
        for image in &self.images {
            screen::line(&format!("image      {image}"))?;
        }
        for directory in &self.directories {
            screen::line(&format!("directory  {}", directory.display()))?;
        }
        for file in &self.files {
            screen::line(&format!("file       {}", file.display()))?;
        }
        if let Some(certificate) = &self.certificate {
            screen::line(&format!("trusted    {}", certificate.place().display()))?;
        }
        Ok(())
    }

    /// The engine first: the directory says by which id its part is found.
    async fn remove(&self) -> anyhow::Result<()> {
        if let Some(runner) = &self.runner {
            runner.dismantle().await?;
            for image in &self.images {
                if !runner.remove_image(image).await? {
                    screen::note(&format!("image {image} stays: a container needs it"));
                }
            }
        }
        if let Some(certificate) = &self.certificate {
            distrust(certificate).await;
        }
        for directory in &self.directories {
            remove_directory(directory)?;
        }
        service::forget(&self.files);
        for file in &self.files {
            match fs::remove_file(file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    screen::note(&format!("{} stays: {error}", file.display()));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// The directories of this installation that exist.
fn installed(directories: &Directories) -> anyhow::Result<Vec<PathBuf>> {
    if let Some(foreign) = directories.foreign()? {
        bail!("{} holds {}, which is not harbor's: remove it by hand", directories.root().display(), foreign.display());
    }
    let workspace = [directories.database().parent().map(Path::to_owned), Some(directories.objects())];
    let beside = workspace.into_iter().flatten().filter(|directory| !directory.starts_with(directories.root()));
    Ok(beside.chain([directories.root().to_owned()]).filter(|directory| directory.is_dir()).collect())
}

/// The certificate that `harbor trust` made this system trust; `None` where there is none, or that cannot be told.
async fn trusted(directories: &Directories) -> Option<Trust> {
    let certificate = Trust::open(directories).ok()?;
    certificate.has_added().await.ok()?.then_some(certificate)
}

/// Ends that this system trusts the certificate, or says what ends it: everything else goes all the same.
async fn distrust(certificate: &Trust) {
    match certificate.remove().await {
        Ok(Outcome::Already | Outcome::Done) => {}
        Ok(Outcome::NeedsRoot(commands)) => {
            let commands = commands.join("\n  ");
            screen::note(&format!("this system still trusts harbor's certificates; what ends that:\n  {commands}"));
        }
        Err(error) => screen::note(&format!(
            "this system may still trust the certificate in {}: {}",
            certificate.place().display(),
            one_line(&error)
        )),
    }
}

fn remove_directory(directory: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", directory.display()))
        }
        _ => Ok(()),
    }
}

/// The links to this program that `scripts/up` makes.
fn links() -> Option<PathBuf> {
    let link = PathBuf::from(std::env::var_os("HOME")?).join(".local/bin/harbor");
    let points_here = fs::canonicalize(&link).ok()? == fs::canonicalize(std::env::current_exe().ok()?).ok()?;
    (points_here && link.is_symlink()).then_some(link)
}
