//! Reads and writes layers that only the engine can reach, through a short container with infra's program in it.
//!
//! Guarantees: the container has no network, sees nothing but the one layer, and runs no byte of the sandbox's; it is
//! removed whatever happens, by the call or when the next harbor begins.

use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use harbor_model::layers::Layer;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

use super::{Written, fetch, store};
use crate::docker::copies::{LONGEST_COPY, failed, failed_here};
use crate::docker::handle::DockerEngine;
use crate::docker::naming::{self, Role};
use crate::docker::objects::containers::NewContainer;
use crate::docker::objects::streams::{Attached, Output, Said};
use crate::docker::spec::{self, Errand};
use crate::error::{EngineError, EngineSaid};

/// Parts of an archive between the engine and the thread that compresses, each some tens of kilobytes.
const WAITING: usize = 32;

/// Bytes of an archive that are sent to the engine at a time.
const PART: usize = 64 * 1024;

/// The most of its complaints that is repeated, in bytes.
const COMPLAINT: usize = 512;

/// How long a container may take to end that has said all.
const END: Duration = Duration::from_secs(20);

/// Something of an archive on its way to the thread that compresses it.
enum Part {
    Some(Bytes),
    End,
}

impl DockerEngine {
    /// Writes the layer at `directory` of the engine's machine to `file` of ours.
    pub(in crate::docker) async fn carry_out(&self, directory: &Path, file: &Path) -> Result<Written, EngineError> {
        let doing = "read the files of a sandbox on the engine";
        let porter = Porter::made(self, spec::porter(self.config(), directory, Errand::Pack)).await?;
        let Attached { mut output, input: _input } = porter.started(doing).await?;
        let (sender, mut receiver) = mpsc::channel(WAITING);
        let stored = store(move |to, _| write_all(&mut receiver, to), file, LONGEST_COPY);
        let read = async {
            let mut complaint = Vec::new();
            while let Some(said) = output.next().await {
                match said.map_err(|error| refused(doing, &error))? {
                    // who writes has failed and says why
                    Said::Output(part) => _ = sender.send(Part::Some(part)).await,
                    Said::Error(line) => complain(&mut complaint, &line),
                }
            }
            porter.ended(doing, &complaint).await?;
            let _who_writes_says_why = sender.send(Part::End).await;
            drop(sender);
            Ok(())
        };
        let (stored, read) = tokio::join!(stored, read);
        porter.removed().await?;
        read?;
        stored.map_err(|error| failed_here(doing.to_owned(), error))
    }

    /// Writes the stored `layer`, which `file` of ours holds, to `directory` of the engine's machine.
    pub(in crate::docker) async fn carry_in(
        &self,
        layer: &Layer,
        file: &Path,
        directory: &Path,
    ) -> Result<(), EngineError> {
        let doing = "write the files of a sandbox on the engine";
        let porter = Porter::made(self, spec::porter(self.config(), directory, Errand::Unpack)).await?;
        let Attached { mut output, mut input } = porter.started(doing).await?;
        let (sender, mut receiver) = mpsc::channel::<Bytes>(WAITING);
        let fetched = fetch(file, &layer.digest, move |from| read_all(from, &sender), LONGEST_COPY);
        let written = async {
            while let Some(part) = receiver.recv().await {
                // it has ended, and its complaint says why
                if input.write_all(&part).await.is_err() {
                    break;
                }
            }
            receiver.close();
            let _it_may_have_ended = input.shutdown().await;
        };
        let (fetched, (), listened) = tokio::join!(fetched, written, porter.heard_out(&mut output, doing));
        porter.removed().await?;
        match fetched {
            // the container has ended, and knows why
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => listened,
            Err(error) => Err(failed(doing.to_owned(), error)),
            Ok(()) => listened,
        }
    }

    /// Removes all that is in `directory` of the engine's machine.
    pub(in crate::docker) async fn empty_on_engine(&self, directory: &Path) -> Result<(), EngineError> {
        let doing = "remove the files of a volume on the engine";
        let porter = Porter::made(self, spec::porter(self.config(), directory, Errand::Empty)).await?;
        let Attached { mut output, input: _input } = porter.started(doing).await?;
        let emptied = tokio::time::timeout(LONGEST_COPY, porter.heard_out(&mut output, doing)).await;
        porter.removed().await?;
        emptied.unwrap_or_else(|_| Err(EngineError::TooSlow { doing: doing.to_owned(), limit: LONGEST_COPY }))
    }

    /// Removes what a harbor that died has left of such containers.
    pub(in crate::docker) async fn remove_porters(&self) -> Result<(), EngineError> {
        let labels = [(naming::INSTANCE, self.instance().to_string()), (naming::ROLE, Role::Porter.word().to_owned())];
        for found in self.containers(&labels).await? {
            self.remove_container(found.id.as_deref().unwrap_or_default()).await?;
        }
        Ok(())
    }
}

/// Writes what arrives until its end.
fn write_all(from: &mut mpsc::Receiver<Part>, to: &mut dyn Write) -> io::Result<()> {
    loop {
        match from.blocking_recv() {
            Some(Part::Some(part)) => to.write_all(&part)?,
            Some(Part::End) => return Ok(()),
            None => return Err(io::Error::other("it was cut short")),
        }
    }
}

/// Sends all that can be read.
fn read_all(from: &mut dyn Read, to: &mpsc::Sender<Bytes>) -> io::Result<()> {
    loop {
        let mut part = vec![0; PART];
        let read = from.read(&mut part)?;
        if read == 0 {
            return Ok(());
        }
        part.truncate(read);
        to.blocking_send(part.into()).map_err(|_| io::ErrorKind::BrokenPipe)?;
    }
}

fn complain(complaint: &mut Vec<u8>, line: &[u8]) {
    complaint.extend(line.iter().take(COMPLAINT.saturating_sub(complaint.len())));
}

fn refused(doing: &str, said: &str) -> EngineError {
    EngineError::Refused { doing: doing.to_owned(), source: EngineSaid::new(said.trim()) }
}

/// The container, until it is removed.
struct Porter {
    engine: DockerEngine,
    id: Option<String>,
}

impl Porter {
    async fn made(engine: &DockerEngine, new: NewContainer) -> Result<Self, EngineError> {
        let name = naming::porter(engine.instance());
        let id = engine.client().create_container(&name, new).await?;
        Ok(Self { engine: engine.clone(), id: Some(id) })
    }

    fn id(&self) -> &str {
        self.id.as_deref().unwrap_or_default()
    }

    async fn started(&self, doing: &str) -> Result<Attached, EngineError> {
        let attached = self.engine.client().attach(self.id(), doing).await?;
        self.engine.client().start_container(self.id(), doing).await?;
        Ok(attached)
    }

    /// Listens to its complaint until it has ended.
    async fn heard_out(&self, output: &mut Output, doing: &str) -> Result<(), EngineError> {
        let mut complaint = Vec::new();
        while let Some(said) = output.next().await {
            let (Said::Error(line) | Said::Output(line)) = said.map_err(|error| refused(doing, &error))?;
            complain(&mut complaint, &line);
        }
        self.ended(doing, &complaint).await
    }

    /// It has ended, and well, else its complaint is the error.
    async fn ended(&self, doing: &str, complaint: &[u8]) -> Result<(), EngineError> {
        match self.engine.client().wait_container(self.id(), doing, END).await {
            Err(EngineError::Refused { .. }) => Err(refused(doing, &String::from_utf8_lossy(complaint))),
            outcome => outcome,
        }
    }

    async fn removed(mut self) -> Result<(), EngineError> {
        match self.id.take() {
            Some(id) => self.engine.remove_container(&id).await,
            None => Ok(()),
        }
    }
}

impl Drop for Porter {
    /// Whoever waited for it waits no longer.
    fn drop(&mut self) {
        if let Some(id) = self.id.take() {
            let engine = self.engine.clone();
            tokio::spawn(async move {
                if let Err(error) = engine.remove_container(&id).await {
                    tracing::warn!(%error, container = id, "a container that copied files was not removed");
                }
            });
        }
    }
}
