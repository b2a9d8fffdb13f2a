//! What containers are made of: pure functions from what is wanted to what the engine is asked.

use std::collections::HashMap;
use std::path::Path;

use harbor_model::ids::SandboxId;
use harbor_model::resources::Resources;
use harbor_protocol::{infra, toolbox};

use crate::config::{Config, Transport};
use crate::docker::known::Facts;
use crate::docker::naming::{self, Role};
use crate::docker::objects::containers::{Log, NewContainer, VolumeMount};
use crate::docker::part_labels;
use crate::docker::seccomp;
use crate::image::Image;
use crate::sandbox::SandboxSpec;

const MIB: i64 = 1024 * 1024;
const GIB: i64 = 1024 * MIB;

/// What the engine's machine can give to one sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Host {
    /// Processors that it has.
    pub(crate) processors: u32,
    /// Most open files per process, of [`FILES`].
    pub(crate) files: u32,
}

/// What root in a sandbox may do (design D5). ARCHITECTURE.md has the reason for each, and for those that the engine would
/// give besides: a packet socket (`NET_RAW`) would pass by every network rule, and a device node (`MKNOD`) be opened by a
/// user of the host through `/proc`.
const SANDBOX_CAPABILITIES: [&str; 12] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// Most open files per process of a sandbox, best first; the first that the engine can give is taken.
///
/// Each is below a limit that engines are commonly run with, because infra gets the engine's own and needs more than any
/// sandbox has: the kernel refuses to pass a socket once the descriptors in flight of *all* processes of the same user
/// exceed the sender's limit, and root in a sandbox is the same user as infra.
pub(crate) const FILES: [u32; 4] = [60_000, 16_000, 4_000, 1_000];

/// What switches IPv6 off on a loopback, under `/proc/sys`. Kernels without IPv6 have none, and a container that sets it
/// there does not start.
pub(crate) const IPV6_LOOPBACK: &str = "net/ipv6/conf/lo/disable_ipv6";

/// What a sandbox container's labels will tell its toolbox, and harbor.
pub(crate) fn facts(spec: &SandboxSpec, image: &Image) -> Facts {
    let has_parts = spec.mounts.iter().any(|mount| mount.subpath.is_some());
    Facts {
        entrypoint: if spec.entrypoint.is_empty() { image.entrypoint.clone() } else { spec.entrypoint.clone() },
        home_as_work_dir: image.working_dir.is_empty(),
        mounts: if has_parts { spec.mounts.clone() } else { Vec::new() },
        work_dir: Some(image.working_dir.clone()).filter(|named| has_parts && !named.is_empty()),
    }
}

/// The sandbox container, joined to the network of `infra`. Its limit of memory includes swap.
pub(crate) fn sandbox(config: &Config, spec: &SandboxSpec, facts: &Facts, infra: &str, host: Host) -> NewContainer {
    let mut labels = naming::sandbox_labels(&config.instance, &spec.id, Role::Sandbox);
    let entrypoint = serde_json::Value::from(facts.entrypoint.clone());
    labels.insert(naming::ENTRYPOINT.to_owned(), entrypoint.to_string());
    labels.insert(naming::HOME_AS_WORK_DIR.to_owned(), facts.home_as_work_dir.to_string());
    // always there: an image may carry labels of these names, which the engine would give its containers
    labels.insert(naming::PARTS.to_owned(), part_labels::encoded(&facts.mounts));
    labels.insert(naming::WORK_DIR.to_owned(), facts.work_dir.clone().unwrap_or_default());
    let (nano_cpus, memory) = limits(spec.resources, host);
    NewContainer {
        image: spec.image.clone(),
        entrypoint: toolbox::BINARY.to_owned(),
        labels,
        // the engine would make the image's in what is mounted, before anybody has looked at that
        working_dir: (!facts.mounts.is_empty()).then(|| "/".to_owned()),
        stop_signal: Some("SIGTERM".to_owned()),
        network: format!("container:{infra}"),
        runtime: config.runtime.clone(),
        capabilities: SANDBOX_CAPABILITIES.map(str::to_owned).to_vec(),
        security: vec![format!("seccomp={}", seccomp::PROFILE)],
        volume: toolbox_mount(config, true),
        shared_memory: Some(shared_memory(spec.resources)),
        nano_cpus,
        memory,
        processes: i64::from(config.processes),
        files: Some(i64::from(host.files)),
        log: Log::File(small_log()),
        ..NewContainer::default()
    }
}

/// Billionths of processors, and bytes of memory with swap; `None` where there is no limit.
pub(crate) fn limits(resources: Resources, host: Host) -> (Option<i64>, Option<i64>) {
    // the engine refuses more processors than there are
    let cpu = i64::from(resources.cpu.min(host.processors.max(1)));
    let memory = i64::from(resources.memory_gib);
    ((cpu > 0).then_some(cpu * 1_000_000_000), (memory > 0).then_some(memory * GIB))
}

/// Half of the memory, at most 512 MiB: a browser needs more than the engine's 64 MiB.
fn shared_memory(resources: Resources) -> i64 {
    match resources.memory_gib {
        0 => 512 * MIB,
        gib => (i64::from(gib) * GIB / 2).min(512 * MIB),
    }
}

/// The infra container, whose socket appears in `directory`.
///
/// With `ipv6` there is a `::1` in it also on engines before 26, which switch IPv6 off where a network has none; servers
/// that bind `localhost` find that name there under `::1` first.
pub(crate) fn infra(
    config: &Config,
    id: &SandboxId,
    network: &str,
    directory: &Path,
    transport: Transport,
    ipv6: bool,
) -> NewContainer {
    let streaming = transport == Transport::Streaming;
    let socket_bind = format!("{}:{}:Z", directory.display(), infra::SOCKET_DIRECTORY);
    NewContainer {
        hostname: Some(id.to_string()),
        image: naming::INFRA_IMAGE.to_owned(),
        entrypoint: infra::BINARY.to_owned(),
        user: Some("0:0".to_owned()),
        labels: naming::sandbox_labels(&config.instance, id, Role::Infra),
        network: network.to_owned(),
        capabilities: vec!["NET_ADMIN".to_owned(), "DAC_OVERRIDE".to_owned()],
        security: vec!["no-new-privileges".to_owned()],
        // files cannot be copied into a read-only container, and the token has to be
        read_only: !streaming,
        // as a bind for the sake of its `Z`: SELinux hosts relabel it for this container alone
        binds: if streaming { Vec::new() } else { vec![socket_bind] },
        volume: toolbox_mount(config, true),
        tmpfs: only(streaming, infra::SOCKET_DIRECTORY, "size=64k"),
        published: streaming.then(|| format!("{}/tcp", infra::STREAM_PORT)),
        memory: Some(64 * MIB),
        processes: 32,
        log: Log::File(small_log()),
        sysctls: only(ipv6, &IPV6_LOOPBACK.replace('/', "."), "0"),
        ..NewContainer::default()
    }
}

/// The pair if there is to be one.
fn only(wanted: bool, name: &str, value: &str) -> HashMap<String, String> {
    wanted.then(|| (name.to_owned(), value.to_owned())).into_iter().collect()
}

/// The container that fills the toolbox volume by running infra out of `directory`.
pub(crate) fn delivery(config: &Config, directory: &str) -> NewContainer {
    let mut labels = naming::instance_labels(&config.instance);
    labels.insert(naming::ROLE.to_owned(), Role::Delivery.word().to_owned());
    NewContainer {
        image: naming::INFRA_IMAGE.to_owned(),
        entrypoint: format!("{}/{directory}/harbor-infra", toolbox::DIRECTORY),
        arguments: vec!["--install".to_owned(), format!("{}/{directory}", toolbox::DIRECTORY)],
        user: Some("0:0".to_owned()),
        labels,
        network: "none".to_owned(),
        security: vec!["no-new-privileges".to_owned()],
        read_only: true,
        volume: toolbox_mount(config, false),
        memory: Some(64 * MIB),
        processes: 32,
        ..NewContainer::default()
    }
}

/// What a porter does with the directory that it sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Errand {
    /// Writes it to its output as an archive.
    Pack,
    /// Writes the archive on its input there.
    Unpack,
    /// Removes all that is in it.
    Empty,
}

impl Errand {
    const fn argument(self) -> &'static str {
        match self {
            Self::Pack => "--pack",
            Self::Unpack => "--unpack",
            Self::Empty => "--empty",
        }
    }
}

/// A container that does this with the layer or volume at `directory` of the engine's machine. Beyond what belongs to other users it may do what overlay's own notes take: `SYS_ADMIN` reads and writes
/// `trusted` attributes.
pub(crate) fn porter(config: &Config, directory: &Path, errand: Errand) -> NewContainer {
    const LAYER: &str = "/layer";
    let mut labels = naming::instance_labels(&config.instance);
    labels.insert(naming::ROLE.to_owned(), Role::Porter.word().to_owned());
    let capabilities = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "MKNOD", "SETFCAP", "SYS_ADMIN"];
    NewContainer {
        image: naming::INFRA_IMAGE.to_owned(),
        entrypoint: infra::BINARY.to_owned(),
        arguments: vec![errand.argument().to_owned(), LAYER.to_owned()],
        user: Some("0:0".to_owned()),
        labels,
        network: "none".to_owned(),
        capabilities: capabilities.map(str::to_owned).to_vec(),
        // the layer keeps its sandbox's SELinux label
        security: vec!["no-new-privileges".to_owned(), "label=disable".to_owned()],
        read_only: true,
        binds: vec![format!("{}:{LAYER}{}", directory.display(), if errand == Errand::Pack { ":ro" } else { "" })],
        volume: toolbox_mount(config, true),
        processes: 32,
        log: Log::Nowhere,
        input: errand == Errand::Unpack,
        ..NewContainer::default()
    }
}

/// A container that does nothing for as long as `image` is to be kept.
pub(crate) fn base(config: &Config, image: &str) -> NewContainer {
    let mut labels = naming::instance_labels(&config.instance);
    labels.insert(naming::ROLE.to_owned(), Role::Base.word().to_owned());
    labels.insert(naming::IMAGE.to_owned(), image.to_owned());
    NewContainer {
        image: image.to_owned(),
        entrypoint: infra::BINARY.to_owned(),
        arguments: vec!["--keep".to_owned(), image.to_owned()],
        user: Some("65534:65534".to_owned()),
        stop_signal: Some("SIGTERM".to_owned()),
        labels,
        network: "none".to_owned(),
        security: vec!["no-new-privileges".to_owned()],
        read_only: true,
        volume: toolbox_mount(config, true),
        memory: Some(64 * MIB),
        processes: 8,
        log: Log::Nowhere,
        restarted: true,
        ..NewContainer::default()
    }
}

/// A container that ends as soon as it is started, if so many open files can be given at all.
pub(crate) fn probe(config: &Config, most: u32) -> NewContainer {
    NewContainer {
        arguments: vec!["--directory".to_owned(), "/nowhere".to_owned()],
        volume: toolbox_mount(config, true),
        files: Some(i64::from(most)),
        ..delivery(config, "current")
    }
}

/// The volume with toolbox and infra.
fn toolbox_mount(config: &Config, read_only: bool) -> VolumeMount {
    VolumeMount { name: naming::volume(&config.instance), directory: toolbox::DIRECTORY.to_owned(), read_only }
}

/// Process 1 says little; a bound all the same, since anything in a sandbox may write to its standard output.
fn small_log() -> HashMap<String, String> {
    HashMap::from([("max-size", "1m"), ("max-file", "1")].map(|(name, value)| (name.to_owned(), value.to_owned())))
}
