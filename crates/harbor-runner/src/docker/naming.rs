//! Names and labels of what harbor makes on an engine.

use std::collections::HashMap;

use harbor_model::ids::{InstanceId, SandboxId};

/// Label: the installation that made it.
pub(crate) const INSTANCE: &str = "harbor.instance";
/// Label: the sandbox that it belongs to.
pub(crate) const SANDBOX: &str = "harbor.sandbox";
/// Label: what it is for, one of [`Role`].
pub(crate) const ROLE: &str = "harbor.role";
/// Label: the arguments that the toolbox runs as the session `entrypoint`, a JSON array.
pub(crate) const ENTRYPOINT: &str = "harbor.entrypoint";
/// Label: `true` when the image names no working directory (contract, toolbox §4.4).
pub(crate) const HOME_AS_WORK_DIR: &str = "harbor.home-as-work-dir";
/// Label: `true` when it holds files of an earlier container, so that it is worth keeping although it never ran.
pub(crate) const REMADE: &str = "harbor.remade";
/// Label of a sandbox container whose toolbox is not started in its image's working directory: that.
pub(crate) const WORK_DIR: &str = "harbor.work-dir";
/// Label of a sandbox container that has a part of a volume: all its volumes.
pub(crate) const PARTS: &str = "harbor.parts";

/// Label of an image: the installation that built it. Not [`INSTANCE`], as containers inherit it.
pub const BUILT_BY: &str = "harbor.built-by";

/// Label: the image that it keeps, by id.
pub(crate) const IMAGE: &str = "harbor.image";

/// Label of a network: the sandbox that the one it belongs to is linked to.
pub(crate) const LINKED: &str = "harbor.linked";
/// Label of a network: the names of the sandbox that it belongs to, a JSON array.
pub(crate) const NAMES: &str = "harbor.names";

/// What a container is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Owns a sandbox's network namespace.
    Infra,
    /// The sandbox itself.
    Sandbox,
    /// Fills the toolbox volume and ends.
    Delivery,
    /// Reads or writes a layer and ends.
    Porter,
    /// Keeps an image that stored files lie on.
    Base,
}

impl Role {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Infra => "infra",
            Self::Sandbox => "sandbox",
            Self::Delivery => "delivery",
            Self::Porter => "porter",
            Self::Base => "base",
        }
    }
}

/// Name of the sandbox container.
pub(crate) fn sandbox(id: &SandboxId) -> String {
    format!("harbor-{id}")
}

/// Name of the infra container.
pub(crate) fn infra(id: &SandboxId) -> String {
    format!("harbor-infra-{id}")
}

/// Name of a sandbox container that is being made anew and is not complete.
pub(crate) fn successor(id: &SandboxId) -> String {
    format!("harbor-{id}-new")
}

/// Name of a sandbox container whose successor is complete.
pub(crate) fn predecessor(id: &SandboxId) -> String {
    format!("harbor-{id}-old")
}

/// Whether a container of a sandbox has one of the names that harbor gives it.
pub(crate) fn is_given(name: &str, id: &SandboxId) -> bool {
    let given = [sandbox(id), infra(id), successor(id), predecessor(id)];
    given.iter().any(|given| given == name.trim_start_matches('/'))
}

/// Repository of images that keep a remade sandbox's files where its layer cannot be written directly.
pub(crate) fn kept_image(id: &SandboxId) -> String {
    format!("harbor/kept:{id}")
}

/// Name of the network by which a sandbox is linked to another one.
pub(crate) fn link(id: &SandboxId) -> String {
    format!("harbor-link-{id}")
}

/// Name of the volume with toolbox and infra.
pub(crate) fn volume(instance: &InstanceId) -> String {
    format!("harbor-toolbox-{instance}")
}

/// Name of the container that fills that volume.
pub(crate) fn delivery(instance: &InstanceId) -> String {
    format!("harbor-delivery-{instance}")
}

/// Name of a container that reads or writes a layer; another one each time.
pub(crate) fn porter(instance: &InstanceId) -> String {
    format!("harbor-porter-{instance}-{}", SandboxId::random())
}

/// Name of the container that keeps an image.
pub(crate) fn base(instance: &InstanceId, image: &str) -> String {
    let digest = image.rsplit(':').next().unwrap_or_default();
    format!("harbor-base-{}-{instance}", digest.get(..12).unwrap_or(digest))
}

/// Name of the container that tries what the engine can.
pub(crate) fn probe(instance: &InstanceId) -> String {
    format!("harbor-probe-{instance}")
}

/// Name of the bridge network unless configured.
pub(crate) fn network(instance: &InstanceId) -> String {
    format!("harbor-{}", &instance.to_string()[..8])
}

/// Name of the network's bridge interface, at most 15 bytes, so that firewall rules can name it.
pub(crate) fn bridge(instance: &InstanceId) -> String {
    format!("hb-{}", &instance.to_string()[..8])
}

/// The empty image of infra containers.
pub(crate) const INFRA_IMAGE: &str = "harbor/infra:empty";

/// Labels of what belongs to the instance as a whole.
pub(crate) fn instance_labels(instance: &InstanceId) -> HashMap<String, String> {
    HashMap::from([(INSTANCE.to_owned(), instance.to_string())])
}

/// Labels of a container of a sandbox.
pub(crate) fn sandbox_labels(instance: &InstanceId, id: &SandboxId, role: Role) -> HashMap<String, String> {
    let mut labels = instance_labels(instance);
    labels.insert(SANDBOX.to_owned(), id.to_string());
    labels.insert(ROLE.to_owned(), role.word().to_owned());
    labels
}

/// Whether `labels` hold every pair of `expected`.
pub(crate) fn carries(labels: &HashMap<String, String>, expected: &HashMap<String, String>) -> bool {
    expected.iter().all(|(name, value)| labels.get(name) == Some(value))
}
