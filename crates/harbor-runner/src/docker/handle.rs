//! The handle that everything else in this crate hangs on.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use harbor_model::ids::{InstanceId, SandboxId};
use tokio::sync::{Mutex, MutexGuard, OnceCell};

use crate::config::{Config, Transport};
use crate::docker::known::{Bases, Images, Known};
use crate::docker::naming;
use crate::docker::objects::client::Client;
use crate::docker::spec::Host;
use crate::error::EngineError;

/// Makes, inspects, stops and dials sandboxes on one engine. Cheap to clone.
#[derive(Clone)]
pub struct DockerEngine(Arc<Inner>);

struct Inner {
    client: Client,
    config: Config,
    network: String,
    transport: OnceLock<Transport>,
    host: OnceCell<Host>,
    delivering: Mutex<()>,
    known: Known,
    images: Images,
    bases: Bases,
}

impl DockerEngine {
    /// Finds the engine and agrees on an API version with it. Makes nothing; see [`DockerEngine::prepare`].
    pub async fn connect(config: Config) -> Result<Self, EngineError> {
        let client = Client::connect(config.docker_host.as_deref()).await?;
        let network = config.network.clone().unwrap_or_else(|| naming::network(&config.instance));
        let transport = config.transport.map_or_else(OnceLock::new, OnceLock::from);
        Ok(Self(Arc::new(Inner {
            client,
            config,
            network,
            transport,
            host: OnceCell::new(),
            delivering: Mutex::new(()),
            known: Known::default(),
            images: Images::default(),
            bases: Bases::default(),
        })))
    }

    pub(crate) fn client(&self) -> &Client {
        &self.0.client
    }

    pub(crate) fn config(&self) -> &Config {
        &self.0.config
    }

    pub(crate) fn instance(&self) -> &InstanceId {
        &self.0.config.instance
    }

    pub(crate) fn known(&self) -> &Known {
        &self.0.known
    }

    pub(crate) fn images(&self) -> &Images {
        &self.0.images
    }

    pub(crate) fn bases(&self) -> &Bases {
        &self.0.bases
    }

    /// Name of the bridge network.
    pub(crate) fn network(&self) -> &str {
        &self.0.network
    }

    /// Held while toolbox and infra are delivered.
    pub(crate) async fn delivering(&self) -> MutexGuard<'_, ()> {
        self.0.delivering.lock().await
    }

    /// What the engine's machine can give; without [`DockerEngine::prepare`] with a limit of files that most engines
    /// allow.
    pub(crate) async fn host(&self) -> Result<Host, EngineError> {
        let ask = || async { Ok(Host { processors: self.about().await?.processors, files: 16_000 }) };
        self.0.host.get_or_try_init(ask).await.copied()
    }

    /// Remembers what the engine's machine can give.
    pub(crate) fn note_host(&self, host: Host) {
        let _known_already = self.0.host.set(host);
    }

    /// How infra is reached; until [`DockerEngine::prepare`] has found out, what the engine's address suggests.
    pub(crate) fn transport(&self) -> Transport {
        self.decided_transport().unwrap_or_else(|| {
            if self.client().address().starts_with("unix://") { Transport::Passing } else { Transport::Streaming }
        })
    }

    /// How infra is reached, if that is decided.
    pub(crate) fn decided_transport(&self) -> Option<Transport> {
        self.0.transport.get().copied()
    }

    /// Decides how infra is reached, for good.
    pub(crate) fn decide_transport(&self, transport: Transport) {
        let _decided_already = self.0.transport.set(transport);
    }

    /// The directory with infra's socket of this sandbox.
    pub(crate) fn socket_directory(&self, id: &SandboxId) -> PathBuf {
        self.config().run_directory.join(id.to_string())
    }
}

impl fmt::Debug for DockerEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DockerEngine").field("engine", &self.client().address()).field("config", self.config()).finish()
    }
}
