//! Puts toolbox, its git, and infra onto the engine: one named volume per instance (design D4a, Delivery).
//!
//! They lie in a directory named by a hash of their contents, with `daytona`, a link to the toolbox, for whoever is in
//! the sandbox; the link `current` names the directory in use. A running sandbox keeps the files that it runs, a starting
//! one gets the newest. Nothing of the host's file system is involved, so a remote engine is no different. `current` is
//! switched by `harbor-infra --install`, inside a short container, because a rename there is atomic and copying a link
//! into a volume is not (seen to be missing in between).
//!
//! A file of the volume may be held by somebody who makes everybody wait that opens it: root in a sandbox that was made
//! before sandboxes had a list of system calls of harbor's own (`seccomp`) can take a lease on it. So reading back has a
//! short deadline, and what cannot be read in time is left as it is: the binaries are delivered once more into a directory
//! that did not exist before, through another container, since the engine keeps a container locked while it reads from it.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::path::Path;
use std::time::{Duration, Instant};

use harbor_model::hex;
use harbor_protocol::toolbox;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use crate::docker::embedded::{DIRECTORY, EMBEDDED, Embedded};
use crate::docker::handle::DockerEngine;
use crate::docker::naming;
use crate::docker::objects::client::LEFT_BEHIND;
use crate::docker::spec;
use crate::error::EngineError;

/// The most that is read back of one thing in the volume, in bytes.
const MOST: usize = 64 * 1024 * 1024;

/// How long the engine may take to read the binaries back, or to make them durable: tens of milliseconds where nobody
/// holds them.
const HELD: Duration = Duration::from_secs(10);

/// How long a container is waited for that the engine still reads from. The engine removes it afterwards all the same.
const LOCKED: Duration = Duration::from_secs(1);

/// How many directories are tried in one delivery.
const DIRECTORIES: u32 = 3;

/// Between two attempts to make a container whose name is taken.
const PAUSE: Duration = Duration::from_millis(50);

impl DockerEngine {
    /// Makes sure that the volume holds this build's binaries, every byte, and that they are the current ones.
    pub(crate) async fn deliver(&self) -> Result<(), EngineError> {
        let embedded = EMBEDDED.as_ref().ok_or(EngineError::Incomplete)?;
        let _one_at_a_time = self.delivering().await;
        self.make_volume().await?;
        let mut fresh = None;
        for attempt in 0..DIRECTORIES {
            let container = self.delivery_container(fresh.as_deref().unwrap_or(embedded.directory)).await?;
            let delivered = self.deliver_through(&container, embedded, fresh.as_deref()).await;
            match delivered {
                Err(EngineError::TooSlow { .. }) if attempt + 1 < DIRECTORIES => {
                    tracing::warn!("the toolbox volume is held by somebody: delivering into another directory of it");
                    let _removed_later = tokio::time::timeout(LOCKED, self.remove_container(&container)).await;
                    fresh = Some(format!("{}-{}", embedded.directory, OffsetDateTime::now_utc().unix_timestamp()));
                }
                delivered => return delivered.and(self.remove_container(&container).await),
            }
        }
        Err(failed("the volume is held by somebody; stop the sandboxes that were made by an older harbor"))
    }

    async fn make_volume(&self) -> Result<(), EngineError> {
        let name = naming::volume(self.instance());
        let labels = naming::instance_labels(self.instance());
        let made = self.client().create_volume(&name, labels.clone()).await?;
        if naming::carries(&made, &labels) { Ok(()) } else { Err(EngineError::Foreign { what: "a volume", name }) }
    }

    /// A container that has the volume and, started, makes `directory` of it the current one; not started.
    async fn delivery_container(&self, directory: &str) -> Result<String, EngineError> {
        let mut name = naming::delivery(self.instance());
        let started = Instant::now();
        let mut imported = false;
        loop {
            match self.client().create_container(&name, spec::delivery(self.config(), directory)).await {
                // left by a harbor that died; one that the engine is still making has the name, and cannot be removed yet
                Err(EngineError::Conflict { .. }) if started.elapsed() < LEFT_BEHIND => {
                    match tokio::time::timeout(LOCKED, self.remove_container(&name)).await {
                        Ok(removed) => removed?,
                        Err(_) => name.push_str("-next"),
                    }
                    tokio::time::sleep(PAUSE).await;
                }
                Err(EngineError::NotFound { .. }) if !imported => {
                    self.import_infra_image().await?;
                    imported = true;
                }
                outcome => return outcome,
            }
        }
    }

    /// Delivers unless the volume has it all; into the directory `fresh` when one is given, whatever the volume has.
    async fn deliver_through(
        &self,
        container: &str,
        embedded: &Embedded,
        fresh: Option<&str>,
    ) -> Result<(), EngineError> {
        if fresh.is_none() && self.holds(container, embedded).await? {
            return Ok(());
        }
        let directory = fresh.unwrap_or(embedded.directory);
        let archive = pack(embedded, directory).map_err(|error| failed(&format!("cannot unpack them: {error}")))?;
        self.client().upload(container, DIRECTORY, archive, "copy toolbox and infra to the engine").await?;
        self.install(container).await?;
        if self.holds(container, embedded).await? { Ok(()) } else { Err(failed("what was written reads differently")) }
    }

    /// Runs the container, which makes what was copied durable and current.
    async fn install(&self, container: &str) -> Result<(), EngineError> {
        let doing = "install toolbox and infra on the engine";
        self.client().start_container(container, doing).await?;
        match self.client().wait_container(container, doing, HELD).await {
            Err(EngineError::Refused { .. }) => {
                let said = self.client().log_end(container, doing).await?;
                Err(failed(said.trim()))
            }
            outcome => outcome,
        }
    }

    /// Whether the volume holds every byte of this build, in a directory of it that is the current one.
    async fn holds(&self, container: &str, embedded: &Embedded) -> Result<bool, EngineError> {
        let Some(link) = self.read(container, &format!("{DIRECTORY}/current")).await? else { return Ok(false) };
        let Some(current) = link_target(&link).ok().flatten() else { return Ok(false) };
        if !is_of(&current, embedded) {
            return Ok(false);
        }
        let directory = self.read(container, &format!("{DIRECTORY}/{current}")).await?;
        Ok(directory.is_some_and(|directory| is_whole(&directory, embedded).unwrap_or(false)))
    }

    /// What lies at `path` in the volume, as an archive; `None` when nothing does.
    async fn read(&self, container: &str, path: &str) -> Result<Option<Vec<u8>>, EngineError> {
        // more than there should be is not read on, and so taken for something else
        match self.client().download(container, path, MOST, "read toolbox and infra back", HELD).await {
            Ok(whole) => Ok(Some(whole)),
            Err(EngineError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn failed(reason: &str) -> EngineError {
    EngineError::Delivery { reason: reason.to_owned() }
}

/// An archive of `directory` with the binaries and the command's link.
fn pack(embedded: &Embedded, directory: &str) -> io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Directory);
    header.set_mode(0o755);
    header.set_size(0);
    archive.append_data(&mut header, directory, io::empty())?;
    for binary in embedded.binaries {
        let bytes = binary.unpack()?;
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o755);
        header.set_size(bytes.len() as u64);
        archive.append_data(&mut header, Path::new(directory).join(binary.name), bytes.as_slice())?;
    }
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_mode(0o777);
    header.set_size(0);
    archive.append_link(&mut header, Path::new(directory).join(toolbox::COMMAND), command_target())?;
    archive.into_inner()
}

/// The toolbox's file, as the link beside it names it.
fn command_target() -> &'static Path {
    let binary = Path::new(toolbox::BINARY);
    binary.file_name().map_or(binary, Path::new)
}

/// Whether an archive of the directory has all binaries and the command's link as they should be.
fn is_whole(archive: &[u8], embedded: &Embedded) -> io::Result<bool> {
    let mut archive = tar::Archive::new(archive);
    let mut good = 0;
    for entry in archive.entries()? {
        let mut entry = entry?;
        let name = entry.path()?.file_name().map(ToOwned::to_owned);
        if name.as_deref() == Some(OsStr::new(toolbox::COMMAND)) {
            good += usize::from(entry.link_name()?.as_deref() == Some(command_target()));
            continue;
        }
        let binary = embedded.binaries.iter().find(|binary| name.as_deref() == Some(OsStr::new(binary.name)));
        let Some(binary) = binary else { continue };
        let mut bytes = Vec::with_capacity(binary.size);
        entry.read_to_end(&mut bytes)?;
        let runs = entry.header().mode()? & 0o111 == 0o111;
        good += usize::from(hex(&Sha256::digest(&bytes)) == binary.sha256 && runs);
    }
    Ok(good == embedded.binaries.len() + 1)
}

/// What the link in an archive names.
fn link_target(archive: &[u8]) -> io::Result<Option<String>> {
    let mut archive = tar::Archive::new(archive);
    let Some(entry) = archive.entries()?.next().transpose()? else { return Ok(None) };
    Ok(entry.link_name()?.and_then(|name| Some(name.to_str()?.to_owned())))
}

/// Whether a directory of the volume was made for this build: its own, or one that took its place.
fn is_of(directory: &str, embedded: &Embedded) -> bool {
    directory.strip_prefix(embedded.directory).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}
