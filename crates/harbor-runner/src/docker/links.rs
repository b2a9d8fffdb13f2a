//! Private networks between two sandboxes each (contract, control-plane §5.10), without a way out. In it either finds the
//! other by its names.
//!
//! The names are the engine's link aliases, which it looks up before everything else: a sandbox's id is its host name, by
//! which the engine would answer with the address in the network that all share, where nobody reaches anybody.

use std::collections::HashMap;

use harbor_model::ids::SandboxId;

use crate::docker::handle::DockerEngine;
use crate::docker::naming;
use crate::docker::objects::networks::NewNetwork;
use crate::error::EngineError;
use crate::sandbox::Link;

impl DockerEngine {
    /// Puts the sandbox, whose infra container exists, and the one it is linked to into a network. Idempotent.
    pub(crate) async fn link(&self, id: &SandboxId, link: &Link) -> Result<(), EngineError> {
        let network = naming::link(id);
        if !self.own_network(&network).await? {
            self.make_link(&network, id, link).await?;
        }
        self.join_link(&network, &link.to, id, &link.names).await?;
        self.join_link(&network, id, &link.to, &link.names_of_target).await
    }

    /// Puts the sandbox, whose infra container was made anew, back into the networks of those that are linked to it.
    pub(crate) async fn link_again(&self, id: &SandboxId) -> Result<(), EngineError> {
        let instance = format!("{}={}", naming::INSTANCE, self.instance());
        let target = format!("{}={id}", naming::LINKED);
        for (network, labels) in self.client().networks(vec![instance, target]).await? {
            let names = labels.get(naming::NAMES).map(String::as_str).unwrap_or_default();
            let names: Vec<String> = serde_json::from_str(names).unwrap_or_default();
            let Some(other) = labels.get(naming::SANDBOX).and_then(|other| other.parse().ok()) else { continue };
            self.join_link(&network, id, &other, &names).await?;
        }
        Ok(())
    }

    /// Removes the network by which the sandbox is linked to another one, whoever is in it. One that is gone is fine.
    pub(crate) async fn unlink(&self, id: &SandboxId) -> Result<(), EngineError> {
        let network = naming::link(id);
        if !self.own_network(&network).await? {
            return Ok(());
        }
        for member in self.client().members_of_network(&network).await? {
            self.client().leave_network(&network, &member).await?;
        }
        self.client().remove_network(&network).await
    }

    /// Lets `id` in, for whom `other` has these names.
    async fn join_link(
        &self,
        network: &str,
        id: &SandboxId,
        other: &SandboxId,
        names: &[String],
    ) -> Result<(), EngineError> {
        let other = naming::infra(other);
        let links = names.iter().map(|name| format!("{other}:{name}")).collect();
        self.client().join_network(network, &naming::infra(id), links).await
    }

    async fn make_link(&self, network: &str, id: &SandboxId, link: &Link) -> Result<(), EngineError> {
        let mut labels = naming::instance_labels(self.instance());
        labels.insert(naming::SANDBOX.to_owned(), id.to_string());
        labels.insert(naming::LINKED.to_owned(), link.to.to_string());
        labels.insert(naming::NAMES.to_owned(), serde_json::Value::from(link.names.clone()).to_string());
        let (name, options) = (network.to_owned(), HashMap::new());
        let new = NewNetwork { name, subnet: None, internal: true, options, labels };
        self.client().create_network(&new).await
    }
}
