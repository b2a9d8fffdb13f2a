//! Removes everything of a sandbox.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use harbor_model::ids::SandboxId;

use crate::docker::find::sandbox_of;
use crate::docker::handle::DockerEngine;
use crate::docker::naming::{self, Role};
use crate::docker::objects::containers::{Container, ListedContainer, Status};
use crate::error::EngineError;

/// How long a removal that somebody else began may take.
const REMOVAL: Duration = Duration::from_mins(1);

impl DockerEngine {
    /// Removes a sandbox's containers, running or not, their anonymous volumes, the network by which it is linked to
    /// another one, and the socket directory. Idempotent.
    pub async fn remove(&self, id: &SandboxId) -> Result<(), EngineError> {
        let labels = [(naming::INSTANCE, self.instance().to_string()), (naming::SANDBOX, id.to_string())];
        let held = self.containers(&labels).await?;
        let of_role =
            |labels: &&HashMap<_, _>| labels.get(naming::ROLE).is_some_and(|role| role == Role::Sandbox.word());
        let sandboxes: Vec<_> = held.iter().map(|found| &found.labels).filter(of_role).collect();
        // without a sandbox container nobody knows: a removal before this one may have died behind it
        let kept = sandboxes.is_empty() || sandboxes.iter().any(|labels| labels.contains_key(naming::REMADE));
        let ids = held.iter().filter_map(|found| found.id.as_deref());
        try_join_all(ids.map(|container| self.remove_container(container))).await?;
        if kept {
            self.remove_kept_image(id).await?;
        }
        self.unlink(id).await?;
        self.known().forget(id);
        let directory = self.socket_directory(id);
        match fs::remove_dir_all(&directory) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(EngineError::Files { doing: format!("remove the directory {}", directory.display()), source })
            }
            _ => Ok(()),
        }
    }

    /// Removes everything of this instance: every container, sandboxes included, the volumes of users, the network and the
    /// toolbox volume. Images stay. Idempotent.
    pub async fn dismantle(&self) -> Result<(), EngineError> {
        let held = self.containers(&[(naming::INSTANCE, self.instance().to_string())]).await?;
        for id in held.iter().filter_map(sandbox_of).collect::<BTreeSet<_>>() {
            self.remove(&id).await?;
        }
        for volume in self.volumes()? {
            self.remove_volume(&volume).await?;
        }
        let others = held.iter().filter(|found| sandbox_of(found).is_none()).filter_map(|found| found.id.as_deref());
        try_join_all(others.map(|container| self.remove_container(container))).await?;
        self.client().remove_volume(&naming::volume(self.instance())).await?;
        if self.own_network(self.network()).await? {
            self.client().remove_network(self.network()).await?;
        }
        Ok(())
    }

    /// Containers that carry all of these labels, in any state.
    pub(crate) async fn containers(&self, labels: &[(&str, String)]) -> Result<Vec<ListedContainer>, EngineError> {
        self.client().list_containers(labels.iter().map(|(name, value)| format!("{name}={value}")).collect()).await
    }

    /// Removes the image that kept a remade sandbox's files, if there is one.
    pub(crate) async fn remove_kept_image(&self, id: &SandboxId) -> Result<(), EngineError> {
        let name = naming::kept_image(id);
        match self.client().remove_image(&name, true).await {
            // a conflict: stored files lie on it, and it is kept for them
            Ok(()) | Err(EngineError::NotFound { .. } | EngineError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Whether a container was on its way out, and then gone.
    pub(crate) async fn seen_out(&self, found: &Container, name: &str) -> Result<bool, EngineError> {
        match found.status() {
            Some(Status::Removing) => self.gone(name).await?,
            // the engine ended, or failed, in the middle of it, and starts it no more
            Some(Status::Dead) => self.remove_container(name).await?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Waits for a removal that is under way.
    pub(crate) async fn gone(&self, name: &str) -> Result<(), EngineError> {
        let started = Instant::now();
        let doing = format!("remove container {name}");
        while started.elapsed() < REMOVAL {
            if self.client().find_container(name, &doing).await?.is_none() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Err(EngineError::TooSlow { doing, limit: REMOVAL })
    }
}
