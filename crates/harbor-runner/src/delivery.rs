//! Puts toolbox, its git, and infra onto the engine: one named volume per instance (design D4a, Delivery).
//!
//! They lie in a directory named by a hash of their contents, with `daytona`, a link to the toolbox, for whoever is in
//! the sandbox; the link `current` names the directory in use. A running sandbox keeps the files that it runs, a starting
//! one gets the newest. Nothing of the host's file system is involved, so a remote engine is no different. `current` is
//! switched by `harbor-infra --install`, inside a short container, because a rename there is atomic and copying a link
//! into a volume is not (seen to be missing in between).

use std::ffi::OsStr;
use std::io::{self, Read};
use std::path::Path;
use std::time::{Duration, Instant};

use bollard::body_full;
use bollard::models::VolumeCreateRequest;
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, DownloadFromContainerOptionsBuilder, LogsOptionsBuilder, StartContainerOptions,
    UploadToContainerOptionsBuilder, WaitContainerOptions,
};
use futures_util::{StreamExt, TryStreamExt};
use harbor_protocol::toolbox;
use sha2::{Digest, Sha256};

use crate::embedded::{DIRECTORY, EMBEDDED, Embedded, hex};
use crate::engine::{LEFT_BEHIND, QUICK, SLOW};
use crate::error::RunnerError;
use crate::naming;
use crate::runner::Runner;
use crate::spec;

/// The most that is read back of one thing in the volume, in bytes.
const MOST: usize = 64 * 1024 * 1024;

/// Between two attempts to make a container whose name is taken.
const PAUSE: Duration = Duration::from_millis(50);

impl Runner {
    /// Makes sure that the volume holds this build's binaries, every byte, and that they are the current ones.
    pub(crate) async fn deliver(&self) -> Result<(), RunnerError> {
        let embedded = EMBEDDED.as_ref().ok_or(RunnerError::Incomplete)?;
        let _one_at_a_time = self.delivering().await;
        self.make_volume().await?;
        let container = self.delivery_container(embedded).await?;
        let delivered = self.deliver_through(&container, embedded).await;
        let removed = self.remove_container(&container).await;
        delivered.and(removed)
    }

    async fn make_volume(&self) -> Result<(), RunnerError> {
        let name = naming::volume(self.instance());
        let labels = naming::instance_labels(self.instance());
        let request =
            VolumeCreateRequest { name: Some(name.clone()), labels: Some(labels.clone()), ..Default::default() };
        let call = self.engine().docker().create_volume(request);
        let made = self.engine().call(&format!("make volume {name}"), QUICK, call).await?;
        if naming::carries(Some(&made.labels), &labels) {
            Ok(())
        } else {
            Err(RunnerError::Foreign { what: "a volume", name })
        }
    }

    /// A container that has the volume; not started.
    async fn delivery_container(&self, embedded: &Embedded) -> Result<String, RunnerError> {
        let name = naming::delivery(self.instance());
        let create = || async {
            let body = spec::delivery(self.config(), embedded.directory);
            let options = CreateContainerOptionsBuilder::new().name(&name).build();
            let call = self.engine().docker().create_container(Some(options), body);
            self.engine().call(&format!("make container {name}"), SLOW, call).await
        };
        let started = Instant::now();
        let mut imported = false;
        loop {
            match create().await {
                // left by a harbor that died; one that the engine is still making has the name, and cannot be removed yet
                Err(RunnerError::Conflict { .. }) if started.elapsed() < LEFT_BEHIND => {
                    self.remove_container(&name).await?;
                    tokio::time::sleep(PAUSE).await;
                }
                Err(RunnerError::NotFound { .. }) if !imported => {
                    self.import_infra_image().await?;
                    imported = true;
                }
                outcome => return Ok(outcome?.id),
            }
        }
    }

    async fn deliver_through(&self, container: &str, embedded: &Embedded) -> Result<(), RunnerError> {
        if self.holds(container, embedded).await? {
            return Ok(());
        }
        let archive = pack(embedded).map_err(|error| failed(&format!("cannot unpack them: {error}")))?;
        let options = UploadToContainerOptionsBuilder::new().path(DIRECTORY).build();
        let call = self.engine().docker().upload_to_container(container, Some(options), body_full(archive.into()));
        self.engine().call("copy toolbox and infra to the engine", SLOW, call).await?;
        self.install(container).await?;
        if self.holds(container, embedded).await? { Ok(()) } else { Err(failed("what was written reads differently")) }
    }

    /// Runs the container, which makes what was copied durable and current.
    async fn install(&self, container: &str) -> Result<(), RunnerError> {
        let docker = self.engine().docker();
        let doing = "install toolbox and infra on the engine";
        self.engine().call(doing, SLOW, docker.start_container(container, None::<StartContainerOptions>)).await?;
        let mut wait = docker.wait_container(container, None::<WaitContainerOptions>).boxed();
        let ended = self.engine().call(doing, SLOW, async { wait.next().await.transpose() }).await;
        match ended {
            Ok(_) => Ok(()),
            Err(RunnerError::Engine { .. }) => {
                let options = LogsOptionsBuilder::new().stdout(true).stderr(true).tail("5").build();
                let lines =
                    docker.logs(container, Some(options)).map_ok(|line| line.to_string()).try_collect::<Vec<_>>();
                let said = self.engine().call(doing, QUICK, lines).await?.concat();
                Err(failed(said.trim()))
            }
            Err(error) => Err(error),
        }
    }

    /// Whether the volume holds every byte of this build, as the current one.
    async fn holds(&self, container: &str, embedded: &Embedded) -> Result<bool, RunnerError> {
        let directory = format!("{DIRECTORY}/{}", embedded.directory);
        let link = format!("{DIRECTORY}/current");
        let (directory, link) = tokio::try_join!(self.read(container, &directory), self.read(container, &link))?;
        let (Some(directory), Some(link)) = (directory, link) else { return Ok(false) };
        Ok(is_whole(&directory, embedded).unwrap_or(false) && is_link(&link, embedded.directory).unwrap_or(false))
    }

    /// What lies at `path` in the volume, as an archive; `None` when nothing does.
    async fn read(&self, container: &str, path: &str) -> Result<Option<Vec<u8>>, RunnerError> {
        let options = DownloadFromContainerOptionsBuilder::new().path(path).build();
        let parts = self.engine().docker().download_from_container(container, Some(options));
        let whole = parts.try_fold(Vec::new(), |mut whole, part| async move {
            // more than there should be is not read on, and so taken for something else
            if whole.len() + part.len() <= MOST {
                whole.extend_from_slice(&part);
            }
            Ok(whole)
        });
        self.engine().look("read toolbox and infra back", whole).await
    }
}

fn failed(reason: &str) -> RunnerError {
    RunnerError::Delivery { reason: reason.to_owned() }
}

/// An archive of the directory with the binaries and the command's link.
fn pack(embedded: &Embedded) -> io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Directory);
    header.set_mode(0o755);
    header.set_size(0);
    archive.append_data(&mut header, embedded.directory, io::empty())?;
    for binary in embedded.binaries {
        let bytes = binary.unpack()?;
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o755);
        header.set_size(bytes.len() as u64);
        archive.append_data(&mut header, Path::new(embedded.directory).join(binary.name), bytes.as_slice())?;
    }
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_mode(0o777);
    header.set_size(0);
    archive.append_link(&mut header, Path::new(embedded.directory).join(toolbox::COMMAND), command_target())?;
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

/// Whether an archive has a link to `target` and nothing else.
fn is_link(archive: &[u8], target: &str) -> io::Result<bool> {
    let mut archive = tar::Archive::new(archive);
    let first = archive.entries()?.next().transpose()?;
    Ok(first.is_some_and(|entry| entry.link_name().is_ok_and(|name| name.as_deref() == Some(Path::new(target)))))
}
