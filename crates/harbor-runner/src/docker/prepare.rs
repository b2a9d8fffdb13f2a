//! What has to be on the engine before the first sandbox.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::docker::handle::DockerEngine;
use crate::docker::infra::make_private;
use crate::docker::naming;
use crate::docker::objects::client::LEFT_BEHIND;
use crate::docker::objects::networks::NewNetwork;
use crate::error::EngineError;

/// Between two attempts to make a network whose name is taken.
const PAUSE: Duration = Duration::from_millis(50);

impl DockerEngine {
    /// Makes what sandboxes need: the network, the empty image and the toolbox volume, and tries what this engine can.
    /// Idempotent, and quick when all is there.
    pub async fn prepare(&self) -> Result<(), EngineError> {
        make_private(&self.config().run_directory)?;
        make_private(&self.config().layer_directory)?;
        make_private(&self.config().volume_directory)?;
        let (about, (), (), ()) = tokio::try_join!(
            self.about(),
            self.make_network(),
            self.make_infra_image_and_deliver(),
            self.remove_porters()
        )?;
        self.apply(&about).await
    }

    async fn make_infra_image_and_deliver(&self) -> Result<(), EngineError> {
        self.make_infra_image().await?;
        self.deliver().await
    }

    async fn make_infra_image(&self) -> Result<(), EngineError> {
        match self.image(naming::INFRA_IMAGE).await? {
            Some(_) => Ok(()),
            None => self.import_infra_image().await,
        }
    }

    /// Imports an archive without a single file as infra's image; its binary comes from the toolbox volume.
    pub(crate) async fn import_infra_image(&self) -> Result<(), EngineError> {
        let empty = tar::Builder::new(Vec::new()).into_inner();
        let empty = empty.map_err(|source| EngineError::Files { doing: "pack an empty image".to_owned(), source })?;
        let (repository, tag) = naming::INFRA_IMAGE.split_once(':').unwrap_or((naming::INFRA_IMAGE, "latest"));
        self.client().import_image(empty, repository, tag).await
    }

    /// The bridge network: its own interface, no traffic between containers.
    async fn make_network(&self) -> Result<(), EngineError> {
        if self.own_network(self.network()).await? {
            return Ok(());
        }
        let options = [
            ("com.docker.network.bridge.enable_icc", "false".to_owned()),
            ("com.docker.network.bridge.name", naming::bridge(self.instance())),
        ];
        let new = NewNetwork {
            name: self.network().to_owned(),
            subnet: self.config().subnet.clone(),
            internal: false,
            options: HashMap::from(options.map(|(option, value)| (option.to_owned(), value))),
            labels: naming::instance_labels(self.instance()),
        };
        let started = Instant::now();
        loop {
            let Err(refused) = self.client().create_network(&new).await else { return Ok(()) };
            if self.own_network(self.network()).await? {
                return Ok(()); // made in the meantime
            }
            if !taken(&refused) || started.elapsed() >= LEFT_BEHIND {
                return Err(refused);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Whether the network of this name is there; somebody else's is an error.
    pub(crate) async fn own_network(&self, name: &str) -> Result<bool, EngineError> {
        let Some(labels) = self.client().network_labels(name).await? else { return Ok(false) };
        if naming::carries(&labels, &naming::instance_labels(self.instance())) {
            Ok(true)
        } else {
            Err(EngineError::Foreign { what: "a network", name: name.to_owned() })
        }
    }
}

/// Whether a network of that name is there, or is just being made: its bridge has the name first.
fn taken(refused: &EngineError) -> bool {
    matches!(refused, EngineError::Conflict { .. })
        || refused.engine_says().is_some_and(|message| message.contains("same bridge name"))
}
