//! What a pretend engine holds: plain data, changed in one pair.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use harbor_model::ids::{ContainerId, LayerId, SandboxId, VolumeId};
use harbor_model::layers::Layer;
use harbor_model::sandboxes::{Boot, Found, FoundSandbox};
use harbor_protocol::toolbox::PORT;

use crate::error::{EngineError, EngineSaid};
use crate::image::{Image, Login};
use crate::sandbox::{Configuration, Held, HeldInfra, SandboxSpec};

/// Containers and images.
#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) images: HashMap<String, Image>,
    /// Stored layers, and the marks in each.
    pub(super) layers: BTreeMap<LayerId, Vec<u32>>,
    pub(super) volumes: BTreeSet<VolumeId>,
    /// Images that are kept from everybody who cleans up.
    pub(super) kept_images: BTreeSet<String>,
    /// The logins that it was given.
    pub(super) logins: Vec<Login>,
    /// The archive that the last build came with.
    pub(super) last_context: Vec<u8>,
    /// Names of images that were built as the installation's own.
    pub(super) built: BTreeSet<String>,
    sandboxes: BTreeMap<SandboxId, Containers>,
    /// Numbers for containers and boots, so that none is like another.
    last: u64,
}

/// The two containers of one sandbox.
#[derive(Debug, Default)]
struct Containers {
    infra: Option<Infra>,
    container: Option<Container>,
}

#[derive(Debug)]
struct Infra {
    number: u64,
    running: bool,
}

#[derive(Debug)]
struct Container {
    number: u64,
    /// The infra container that it is bound to.
    infra: u64,
    phase: Phase,
    /// It holds files of an earlier container.
    remade: bool,
    token: Option<String>,
    listening: BTreeSet<u16>,
    /// What its one file holds.
    marks: Vec<u32>,
    /// It goes on, but the engine still says that it is frozen.
    waking: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    Made,
    /// `connected`: its infra has run since before this boot.
    Running {
        boot: u64,
        connected: bool,
    },
    /// Frozen by somebody.
    Paused {
        boot: u64,
        connected: bool,
    },
    Exited {
        code: i64,
    },
}

/// What process 1 ends with when it is asked to, and when it is made to.
const ASKED: i64 = 143;

/// The image of this name.
pub(super) fn image(reference: &str) -> Image {
    Image {
        id: format!("sha256:of {reference}"),
        size: 1 << 20,
        entrypoint: Vec::new(),
        working_dir: String::new(),
        user: String::new(),
        volumes: Vec::new(),
        architecture: "amd64".to_owned(),
    }
}

impl World {
    /// The image of this name or id.
    pub(super) fn image(&self, reference: &str) -> Option<Image> {
        let named = self.images.get(reference);
        named.or_else(|| self.images.values().find(|image| image.id == reference)).cloned()
    }

    pub(super) fn reserve(&mut self, id: &SandboxId) {
        self.infra_running(id);
    }

    pub(super) fn create(&mut self, spec: &SandboxSpec) -> Result<ContainerId, EngineError> {
        let image = spec.filling.as_ref().map_or(&spec.image, |layer| &layer.image);
        if !self.images.contains_key(image) && !self.images.values().any(|known| known.id == *image) {
            return Err(EngineError::ImageMissing { image: image.clone() });
        }
        let filling = spec.filling.as_ref().map(|layer| {
            let doing = format!("write the stored files of layer {}", layer.id);
            let missing = EngineError::Files { doing, source: std::io::ErrorKind::NotFound.into() };
            self.layers.get(&layer.id).cloned().ok_or(missing)
        });
        let filling = filling.transpose()?;
        if let Some(link) = spec.link.as_ref().filter(|link| !self.sandboxes.contains_key(&link.to)) {
            let doing = format!("link the sandbox to {}", link.to);
            return Err(EngineError::NotFound { doing, source: EngineSaid::new("it is not there") });
        }
        let infra = self.infra_running(&spec.id);
        self.volumes.extend(spec.mounts.iter().map(|mount| mount.volume));
        let pair = self.sandboxes.entry(spec.id).or_default();
        match &pair.container {
            Some(container) if container.infra == infra => return Ok(name(container.number)),
            Some(container) if container.phase != Phase::Made || container.remade => {
                let source = EngineSaid::new("its infra container was replaced");
                return Err(EngineError::InfraGone { sandbox: spec.id, source });
            }
            _ => {}
        }
        Ok(self.make(&spec.id, infra, filling))
    }

    pub(super) fn remake(&mut self, id: &SandboxId, old: &ContainerId) -> Result<ContainerId, EngineError> {
        let doing = || format!("make sandbox {id} anew");
        let found = self.own(id, old, &doing)?;
        if matches!(found.phase, Phase::Running { .. } | Phase::Paused { .. }) {
            return Err(EngineError::Conflict { doing: doing(), source: EngineSaid::new("it runs; stop it first") });
        }
        let marks = found.marks.clone();
        let infra = self.infra_running(id);
        Ok(self.make(id, infra, Some(marks)))
    }

    pub(super) fn start(&mut self, id: &SandboxId, container: &ContainerId) -> Result<Boot, EngineError> {
        let boot = self.number();
        let doing = || format!("start sandbox {id}");
        self.own(id, container, &doing)?;
        let pair = self.sandboxes.entry(*id).or_default();
        let (Some(container), Some(infra)) = (&mut pair.container, &mut pair.infra) else {
            let source = EngineSaid::new("no such container");
            return Err(EngineError::InfraGone { sandbox: *id, source });
        };
        if container.infra != infra.number {
            let source = EngineSaid::new("no such container");
            return Err(EngineError::InfraGone { sandbox: *id, source });
        }
        if let Phase::Running { boot, connected } | Phase::Paused { boot, connected } = container.phase {
            container.phase = Phase::Running { boot, connected };
            return Ok(boot_of(boot));
        }
        infra.running = true;
        container.phase = Phase::Running { boot, connected: true };
        container.token = None;
        container.listening.clear();
        Ok(boot_of(boot))
    }

    pub(super) fn configure(
        &mut self,
        id: &SandboxId,
        container: &ContainerId,
        configuration: &Configuration,
    ) -> Result<(), EngineError> {
        let found = self.own(id, container, &|| format!("configure sandbox {id}"))?;
        let Phase::Running { connected: true, .. } = found.phase else {
            return Err(EngineError::ToolboxSilent { sandbox: *id, limit: super::DEADLINE, source: None });
        };
        let shown = [configuration.previous.as_ref(), Some(&configuration.token)];
        let known = found.token.as_deref();
        if known.is_some_and(|known| !shown.iter().flatten().any(|token| token.reveal() == known)) {
            return Err(EngineError::ToolboxRefused { sandbox: *id, status: 401 });
        }
        found.token = Some(configuration.token.reveal().to_owned());
        found.listening.insert(PORT);
        Ok(())
    }

    /// Whether it is frozen, asleep or not, and has its network.
    pub(super) fn is_frozen(&self, id: &SandboxId, container: &ContainerId) -> bool {
        let Some(Containers { infra: Some(infra), container: Some(found) }) = self.sandboxes.get(id) else {
            return false;
        };
        let frozen = matches!(found.phase, Phase::Paused { connected: true, .. });
        frozen && infra.running && name(found.number) == *container
    }

    pub(super) fn wake(
        &mut self,
        id: &SandboxId,
        container: &ContainerId,
        configuration: &Configuration,
    ) -> Result<(), EngineError> {
        self.thaw(id);
        self.configure(id, container, configuration)?;
        self.own(id, container, &|| format!("wake sandbox {id}"))?.waking = true;
        Ok(())
    }

    pub(super) fn woken(&mut self, id: &SandboxId) {
        if let Some(container) = self.sandboxes.get_mut(id).and_then(|pair| pair.container.as_mut()) {
            container.waking = false;
        }
    }

    pub(super) fn freeze(&mut self, id: &SandboxId, container: &ContainerId) -> Result<(), EngineError> {
        self.own(id, container, &|| format!("pause sandbox {id}"))?;
        self.pause(id);
        Ok(())
    }

    pub(super) fn sleep(&mut self, id: &SandboxId, container: &ContainerId) -> Result<(), EngineError> {
        let doing = || format!("put sandbox {id} to sleep");
        let found = self.own(id, container, &doing)?;
        let (Phase::Running { boot, connected } | Phase::Paused { boot, connected }) = found.phase else {
            return Err(EngineError::Conflict { doing: doing(), source: EngineSaid::new("it does not run") });
        };
        found.phase = Phase::Paused { boot, connected };
        found.token = None;
        found.listening.clear();
        Ok(())
    }

    /// Stores the container's files; its image is known by the one name that it has here.
    pub(super) fn save(
        &mut self,
        id: &SandboxId,
        container: &ContainerId,
        to: LayerId,
        go_on: bool,
    ) -> Result<Layer, EngineError> {
        let found = self.own(id, container, &|| format!("copy the files of sandbox {id}"))?;
        if let (true, Phase::Paused { boot, connected }) = (go_on, &found.phase) {
            found.phase = Phase::Running { boot: *boot, connected: *connected };
        } else if let Phase::Running { boot, connected } = found.phase
            && !go_on
        {
            found.phase = Phase::Paused { boot, connected };
        }
        let marks = found.marks.clone();
        self.layers.insert(to, marks);
        let image = self.images.keys().min().cloned().unwrap_or_default();
        Ok(Layer { id: to, image, digest: to.to_string(), bytes: 1 << 10 })
    }

    pub(super) fn is_there(&mut self, id: &SandboxId, container: &ContainerId) -> Result<(), EngineError> {
        self.own(id, container, &|| format!("resize sandbox {id}")).map(|_| ())
    }

    pub(super) fn stop(&mut self, id: &SandboxId, container: &ContainerId) {
        let Some(pair) = self.sandboxes.get_mut(id) else { return };
        if let Some(found) = pair.container.as_mut().filter(|found| name(found.number) == *container)
            && matches!(found.phase, Phase::Running { .. } | Phase::Paused { .. })
        {
            found.phase = Phase::Exited { code: ASKED };
        }
        if let Some(infra) = &mut pair.infra {
            infra.running = false;
        }
    }

    pub(super) fn remove(&mut self, id: &SandboxId) {
        self.sandboxes.remove(id);
    }

    pub(super) fn clear(&mut self) {
        self.sandboxes.clear();
    }

    pub(super) fn held(&self, id: &SandboxId) -> Held {
        let pair = self.sandboxes.get(id);
        let infra = pair.and_then(|pair| pair.infra.as_ref());
        let sandbox = pair.and_then(|pair| pair.container.as_ref()).and_then(|container| {
            let bound = infra.filter(|infra| infra.number == container.infra);
            let named = name(container.number);
            match &container.phase {
                Phase::Made if bound.is_some() => Some(FoundSandbox::Made(named)),
                Phase::Made if !container.remade => None,
                Phase::Made => Some(FoundSandbox::Exited { container: named, code: 0, connected: false }),
                Phase::Running { boot, connected } if !container.waking => {
                    let connected = *connected && bound.is_some_and(|infra| infra.running);
                    Some(FoundSandbox::Running { container: named, boot: boot_of(*boot), connected })
                }
                Phase::Running { boot, connected } | Phase::Paused { boot, connected } => {
                    let connected = *connected && bound.is_some_and(|infra| infra.running);
                    Some(FoundSandbox::Frozen { container: named, boot: boot_of(*boot), connected })
                }
                Phase::Exited { code } => {
                    Some(FoundSandbox::Exited { container: named, code: *code, connected: bound.is_some() })
                }
            }
        });
        let infra = infra.map(|infra| HeldInfra { container: name(infra.number), running: infra.running });
        Held { sandbox: *id, found: Found { sandbox }, infra }
    }

    pub(super) fn ids(&self) -> Vec<SandboxId> {
        self.sandboxes.keys().copied().collect()
    }

    /// Whether something listens on the port; `None` when the sandbox cannot be reached.
    pub(super) fn listens(&self, id: &SandboxId, port: u16) -> Option<bool> {
        let pair = self.sandboxes.get(id)?;
        let reached = pair.infra.as_ref().is_some_and(|infra| infra.running);
        let container = pair.container.as_ref().filter(|_| reached)?;
        match container.phase {
            Phase::Running { connected: true, .. } => Some(container.listening.contains(&port)),
            _ => None,
        }
    }

    pub(super) fn listen(&mut self, id: &SandboxId, port: u16) {
        if let Some(container) = self.sandboxes.get_mut(id).and_then(|pair| pair.container.as_mut()) {
            container.listening.insert(port);
        }
    }

    pub(super) fn write(&mut self, id: &SandboxId, mark: u32) -> bool {
        let container = self.sandboxes.get_mut(id).and_then(|pair| pair.container.as_mut());
        let running = container.filter(|container| matches!(container.phase, Phase::Running { .. }));
        running.map(|container| container.marks.push(mark)).is_some()
    }

    pub(super) fn marks(&self, id: &SandboxId) -> Option<Vec<u32>> {
        let container = self.sandboxes.get(id)?.container.as_ref()?;
        matches!(container.phase, Phase::Running { .. }).then(|| container.marks.clone())
    }

    pub(super) fn pause(&mut self, id: &SandboxId) {
        if let Some(container) = self.sandboxes.get_mut(id).and_then(|pair| pair.container.as_mut())
            && let Phase::Running { boot, connected } = container.phase
        {
            container.phase = Phase::Paused { boot, connected };
        }
    }

    pub(super) fn thaw(&mut self, id: &SandboxId) {
        if let Some(container) = self.sandboxes.get_mut(id).and_then(|pair| pair.container.as_mut())
            && let Phase::Paused { boot, connected } = container.phase
        {
            container.phase = Phase::Running { boot, connected };
        }
    }

    pub(super) fn kill(&mut self, id: &SandboxId, code: i64) {
        if let Some(container) = self.sandboxes.get_mut(id).and_then(|pair| pair.container.as_mut()) {
            container.phase = Phase::Exited { code };
        }
    }

    pub(super) fn kill_infra(&mut self, id: &SandboxId) {
        let Some(pair) = self.sandboxes.get_mut(id) else { return };
        if let Some(infra) = &mut pair.infra {
            infra.running = false;
        }
        if let Some(Container { phase: Phase::Running { connected, .. } | Phase::Paused { connected, .. }, .. }) =
            &mut pair.container
        {
            *connected = false;
        }
    }

    pub(super) fn lose(&mut self, id: &SandboxId) {
        if let Some(pair) = self.sandboxes.get_mut(id) {
            pair.container = None;
        }
    }

    pub(super) fn lose_infra(&mut self, id: &SandboxId) {
        self.kill_infra(id);
        if let Some(pair) = self.sandboxes.get_mut(id) {
            pair.infra = None;
        }
    }

    /// Every process ends, as with the engine's machine.
    pub(super) fn power_cut(&mut self) {
        for pair in self.sandboxes.values_mut() {
            if let Some(infra) = &mut pair.infra {
                infra.running = false;
            }
            if let Some(container) =
                pair.container.as_mut().filter(|one| matches!(one.phase, Phase::Running { .. } | Phase::Paused { .. }))
            {
                container.phase = Phase::Exited { code: 255 };
            }
        }
    }

    fn own(
        &mut self,
        id: &SandboxId,
        container: &ContainerId,
        doing: &dyn Fn() -> String,
    ) -> Result<&mut Container, EngineError> {
        let found = self.sandboxes.get_mut(id).and_then(|pair| pair.container.as_mut());
        found.filter(|found| name(found.number) == *container).ok_or_else(|| EngineError::NotFound {
            doing: doing(),
            source: EngineSaid::new(format!("no such container: {}", container.as_str())),
        })
    }

    fn infra_running(&mut self, id: &SandboxId) -> u64 {
        let number = self.number();
        let infra = self.sandboxes.entry(*id).or_default().infra.get_or_insert(Infra { number, running: true });
        infra.running = true;
        infra.number
    }

    /// Makes a container, with the files of an earlier one if there are any.
    fn make(&mut self, id: &SandboxId, infra: u64, files: Option<Vec<u32>>) -> ContainerId {
        let number = self.number();
        let container = Container {
            number,
            infra,
            phase: Phase::Made,
            remade: files.is_some(),
            token: None,
            listening: BTreeSet::new(),
            marks: files.unwrap_or_default(),
            waking: false,
        };
        self.sandboxes.entry(*id).or_default().container = Some(container);
        name(number)
    }

    fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }
}

fn name(number: u64) -> ContainerId {
    ContainerId::new(format!("pretend-{number}"))
}

fn boot_of(number: u64) -> Boot {
    Boot(format!("boot-{number}"))
}
