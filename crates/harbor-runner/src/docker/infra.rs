//! Infra containers: made ahead of time, started, dialled.

use std::fs;
use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use harbor_model::hex;
use harbor_model::ids::SandboxId;
use harbor_model::secrets::Secret;
use harbor_protocol::infra::{STREAM_PORT, TOKEN_FILE};

use crate::config::Transport;
use crate::dial::{DialError, InfraDialer, Stream};
use crate::docker::handle::DockerEngine;
use crate::docker::lifecycle::FROZEN;
use crate::docker::naming::{self, Role};
use crate::docker::objects::client::QUICK;
use crate::docker::spec;
use crate::error::{EngineError, EngineSaid};

/// How long infra may take from its start to its first answer.
pub(crate) const READY: Duration = Duration::from_secs(10);

/// Between two attempts to reach an infra that was just started.
const PAUSE: Duration = Duration::from_millis(2);

/// What the engine says of a container whose binary is not in the toolbox volume.
const BINARY_MISSING: &str = "no such file or directory";

impl DockerEngine {
    /// Makes and starts the infra container of a sandbox, whose other container may follow much later. Idempotent.
    pub async fn reserve(&self, id: &SandboxId) -> Result<(), EngineError> {
        self.doubt_infra(id);
        let infra = self.infra_made(id).await?;
        self.infra_started(id, &infra).await?;
        self.infra_ready(id).await
    }

    /// Connects to a TCP port on the sandbox's loopback.
    pub async fn dial(&self, id: &SandboxId, port: u16) -> Result<Stream, DialError> {
        let remembered = self.known().get(id).dialer;
        let fresh = remembered.is_none();
        let dialer = match remembered {
            Some(dialer) => dialer,
            None => self.dialer(id).await?,
        };
        match dialer.dial(port).await {
            // infra may have been started anew since, with another published port
            Err(DialError::Gone(_)) if !fresh => {
                self.known().note(id, |entry| entry.dialer = None);
                self.dialer(id).await?.dial(port).await
            }
            outcome => outcome,
        }
    }

    /// Forgets what is remembered of an infra container, so that the engine is asked.
    pub(crate) fn doubt_infra(&self, id: &SandboxId) {
        self.known().note(id, |entry| (entry.infra, entry.infra_runs, entry.dialer) = (None, false, None));
    }

    /// The infra container's id; it is made when missing.
    pub(crate) async fn infra_made(&self, id: &SandboxId) -> Result<String, EngineError> {
        if let Some(infra) = self.known().get(id).infra {
            return Ok(infra);
        }
        let directory = self.socket_directory(id);
        make_private(&directory)?;
        let infra = match self.create_infra(id, &directory).await {
            Err(EngineError::NotFound { .. }) => {
                self.import_infra_image().await?;
                self.create_infra(id, &directory).await
            }
            outcome => outcome,
        }?;
        self.known().note(id, |entry| entry.infra = Some(infra.clone()));
        Ok(infra)
    }

    /// Whether the engine's kernel is known to have IPv6: that of an engine elsewhere is not.
    fn ipv6(&self) -> bool {
        self.client().address().starts_with("unix://") && Path::new("/proc/sys").join(spec::IPV6_LOOPBACK).exists()
    }

    async fn create_infra(&self, id: &SandboxId, directory: &Path) -> Result<String, EngineError> {
        let name = naming::infra(id);
        let new = spec::infra(self.config(), id, self.network(), directory, self.transport(), self.ipv6());
        match self.client().create_container(&name, new).await {
            Ok(made) => {
                if self.transport() == Transport::Streaming {
                    self.give_token(id, &made).await?;
                }
                Ok(made)
            }
            Err(conflict @ EngineError::Conflict { .. }) => match self.adopt_infra(&name, id).await {
                // the engine is still making it, for a harbor that has died since, or has just removed it
                Err(EngineError::NotFound { .. }) => Err(conflict),
                outcome => outcome,
            },
            Err(error) => Err(error),
        }
    }

    /// The id of an infra container that is there already, complete.
    async fn adopt_infra(&self, name: &str, id: &SandboxId) -> Result<String, EngineError> {
        let found = self.inspect_own(name, id, Role::Infra).await?;
        if self.seen_out(&found, name).await? {
            let source = EngineSaid::new("it was being removed");
            return Err(EngineError::NotFound { doing: format!("find container {name}"), source });
        }
        let infra = found.id.unwrap_or_default();
        // harbor may have died before it gave the token; one that runs has read its own, which may be another
        if self.transport() == Transport::Streaming && !found.state.is_some_and(|state| state.running) {
            self.give_token(id, &infra).await?;
        }
        Ok(infra)
    }

    /// Starts the infra container unless it is known to run.
    pub(crate) async fn infra_started(&self, id: &SandboxId, infra: &str) -> Result<(), EngineError> {
        let known = self.known().get(id);
        if known.infra_runs && known.infra.as_deref() == Some(infra) {
            return Ok(());
        }
        // an earlier run may have left one that was not stopped in order
        make_private(&self.socket_directory(id))?;
        match self.start_infra(id, infra).await {
            Err(error) if error.engine_says().is_some_and(|message| message.contains(BINARY_MISSING)) => {
                self.deliver().await?;
                self.start_infra(id, infra).await
            }
            Err(error) if error.engine_says().is_some_and(|message| message.contains(FROZEN)) => self.thaw(infra).await,
            outcome => outcome,
        }?;
        self.known().note(id, |entry| {
            entry.infra = Some(infra.to_owned());
            entry.infra_runs = true;
            entry.dialer = None;
        });
        Ok(())
    }

    async fn start_infra(&self, id: &SandboxId, infra: &str) -> Result<(), EngineError> {
        self.client().start_container(infra, &format!("start container {}", naming::infra(id))).await
    }

    /// Waits for infra's first answer.
    async fn infra_ready(&self, id: &SandboxId) -> Result<(), EngineError> {
        let started = Instant::now();
        loop {
            let outcome = match self.dialer(id).await {
                Ok(dialer) => dialer.ready().await,
                Err(error) => Err(error),
            };
            match outcome {
                Ok(_version) => return Ok(()),
                Err(DialError::Gone(_)) if started.elapsed() < READY => tokio::time::sleep(PAUSE).await,
                Err(source) => return Err(EngineError::InfraSilent { sandbox: *id, source }),
            }
        }
    }

    /// The way into a sandbox's network, found anew.
    async fn dialer(&self, id: &SandboxId) -> Result<InfraDialer, DialError> {
        let dialer = match self.transport() {
            Transport::Passing => InfraDialer::passing(&self.socket_directory(id)),
            Transport::Streaming => {
                self.streaming_dialer(id).await.map_err(|error| DialError::Gone(io::Error::other(error)))?
            }
        };
        self.known().note(id, |entry| entry.dialer = Some(dialer.clone()));
        Ok(dialer)
    }

    async fn streaming_dialer(&self, id: &SandboxId) -> Result<InfraDialer, EngineError> {
        let name = naming::infra(id);
        let mut found = self.client().inspect_container(&name, &format!("inspect container {name}")).await?;
        let published = found.published.remove(&format!("{STREAM_PORT}/tcp")).unwrap_or_default();
        let port = published.into_iter().find_map(|port| port.parse().ok());
        let port = port.ok_or_else(|| EngineError::InfraSilent {
            sandbox: *id,
            source: DialError::Gone(io::Error::other("it has no published port: it does not run")),
        })?;
        let token = match read_token(&self.socket_directory(id)) {
            Some(token) => token,
            None => self.fetch_token(&name).await?,
        };
        Ok(InfraDialer::streaming(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), token))
    }

    /// Copies the stream token into the container, which has not been started yet.
    async fn give_token(&self, id: &SandboxId, infra: &str) -> Result<(), EngineError> {
        let doing = "make a stream token".to_owned();
        let token = make_token(&self.socket_directory(id)).map_err(|source| EngineError::Files { doing, source })?;
        let archive = token_archive(&token)
            .map_err(|source| EngineError::Files { doing: "pack a stream token".to_owned(), source })?;
        self.client().upload(infra, "/", archive, &format!("copy a file into {}", naming::infra(id))).await
    }

    /// Reads the stream token back from the container that holds it.
    async fn fetch_token(&self, name: &str) -> Result<Secret, EngineError> {
        let doing = format!("copy a file out of {name}");
        let archive = self.client().download(name, TOKEN_FILE, usize::MAX, &doing, QUICK).await?;
        let unpack = || -> io::Result<String> {
            let mut archive = tar::Archive::new(archive.as_slice());
            let entry = archive.entries()?.next().ok_or(io::ErrorKind::NotFound)??;
            let mut token = String::new();
            entry.take(4096).read_to_string(&mut token)?;
            Ok(token)
        };
        let doing = format!("read the stream token of {name}");
        Ok(Secret::new(unpack().map_err(|source| EngineError::Files { doing, source })?.trim()))
    }
}

/// Makes a directory that only this user may enter.
pub(crate) fn make_private(directory: &Path) -> Result<(), EngineError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(|source| {
        let doing = format!("make the directory {}; it must be writable for harbor's user", directory.display());
        EngineError::Files { doing, source }
    })
}

fn read_token(directory: &Path) -> Option<Secret> {
    let text = fs::read_to_string(directory.join("token")).ok()?;
    (!text.is_empty()).then(|| Secret::new(text))
}

/// The stream token kept in `directory`; made when there is none.
fn make_token(directory: &Path) -> io::Result<Secret> {
    if let Some(token) = read_token(directory) {
        return Ok(token);
    }
    let mut random = [0_u8; 32];
    fs::File::open("/dev/urandom")?.read_exact(&mut random)?;
    let token = hex(&random);
    let mut file =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(directory.join("token"))?;
    io::Write::write_all(&mut file, token.as_bytes())?;
    Ok(Secret::new(token))
}

fn token_archive(token: &Secret) -> io::Result<Vec<u8>> {
    let mut header = tar::Header::new_gnu();
    header.set_size(token.reveal().len() as u64);
    header.set_mode(0o600);
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_data(&mut header, TOKEN_FILE.trim_start_matches('/'), token.reveal().as_bytes())?;
    archive.into_inner()
}
