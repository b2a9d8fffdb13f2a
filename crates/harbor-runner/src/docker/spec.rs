//! What containers are made of: pure functions from what is wanted to what the engine is asked.

use std::collections::HashMap;
use std::path::Path;

use bollard::models::{
    ContainerCreateBody, HealthConfig, HostConfig, HostConfigLogConfig, Mount, MountType, MountVolumeOptions,
    PortBinding, PortMap, ResourcesUlimits,
};
use harbor_model::ids::SandboxId;
use harbor_model::resources::Resources;
use harbor_protocol::{infra, toolbox};

use crate::config::{Config, Transport};
use crate::docker::known::Facts;
use crate::docker::naming::{self, Role};
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

/// What a sandbox container's labels will tell its toolbox.
pub(crate) fn facts(spec: &SandboxSpec, image: &Image) -> Facts {
    Facts {
        entrypoint: if spec.entrypoint.is_empty() { image.entrypoint.clone() } else { spec.entrypoint.clone() },
        home_as_work_dir: image.working_dir.is_empty(),
    }
}

/// The sandbox container, joined to the network of `infra`.
pub(crate) fn sandbox(
    config: &Config,
    spec: &SandboxSpec,
    facts: &Facts,
    infra: &str,
    host: Host,
) -> ContainerCreateBody {
    let mut labels = naming::sandbox_labels(&config.instance, &spec.id, Role::Sandbox);
    let entrypoint = serde_json::Value::from(facts.entrypoint.clone());
    labels.insert(naming::ENTRYPOINT.to_owned(), entrypoint.to_string());
    labels.insert(naming::HOME_AS_WORK_DIR.to_owned(), facts.home_as_work_dir.to_string());
    ContainerCreateBody {
        image: Some(spec.image.clone()),
        entrypoint: Some(vec![toolbox::BINARY.to_owned()]),
        cmd: Some(Vec::new()),
        labels: Some(labels),
        healthcheck: Some(no_healthcheck()),
        stop_signal: Some("SIGTERM".to_owned()),
        host_config: Some(HostConfig {
            network_mode: Some(format!("container:{infra}")),
            runtime: config.runtime.clone(),
            cap_drop: Some(vec!["ALL".to_owned()]),
            cap_add: Some(SANDBOX_CAPABILITIES.map(str::to_owned).to_vec()),
            security_opt: Some(vec![format!("seccomp={}", seccomp::PROFILE)]),
            mounts: Some(vec![toolbox_mount(config, true)]),
            shm_size: Some(shared_memory(spec.resources)),
            ..limits(spec.resources, config.processes, host)
        }),
        ..ContainerCreateBody::default()
    }
}

/// Size limits: memory includes swap.
fn limits(resources: Resources, processes: u32, host: Host) -> HostConfig {
    // the engine refuses more processors than there are
    let cpu = i64::from(resources.cpu.min(host.processors.max(1)));
    let memory = (resources.memory_gib > 0).then(|| i64::from(resources.memory_gib) * GIB);
    HostConfig {
        nano_cpus: (cpu > 0).then_some(cpu * 1_000_000_000),
        memory,
        memory_swap: memory,
        pids_limit: Some(i64::from(processes)),
        ulimits: Some(vec![files(host.files)]),
        log_config: Some(small_log()),
        ..HostConfig::default()
    }
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
) -> ContainerCreateBody {
    let streaming = transport == Transport::Streaming;
    let port = format!("{}/tcp", infra::STREAM_PORT);
    ContainerCreateBody {
        hostname: Some(id.to_string()),
        image: Some(naming::INFRA_IMAGE.to_owned()),
        entrypoint: Some(vec![infra::BINARY.to_owned()]),
        cmd: Some(Vec::new()),
        user: Some("0:0".to_owned()),
        labels: Some(naming::sandbox_labels(&config.instance, id, Role::Infra)),
        healthcheck: Some(no_healthcheck()),
        exposed_ports: streaming.then(|| vec![port.clone()]),
        host_config: Some(HostConfig {
            network_mode: Some(network.to_owned()),
            cap_drop: Some(vec!["ALL".to_owned()]),
            cap_add: Some(vec!["NET_ADMIN".to_owned(), "DAC_OVERRIDE".to_owned()]),
            security_opt: Some(vec!["no-new-privileges".to_owned()]),
            // files cannot be copied into a read-only container, and the token has to be
            readonly_rootfs: Some(!streaming),
            // as a bind for the sake of its `Z`: SELinux hosts relabel it for this container alone
            binds: (!streaming).then(|| vec![format!("{}:{}:Z", directory.display(), infra::SOCKET_DIRECTORY)]),
            mounts: Some(vec![toolbox_mount(config, true)]),
            tmpfs: streaming.then(|| HashMap::from([(infra::SOCKET_DIRECTORY.to_owned(), "size=64k".to_owned())])),
            port_bindings: streaming.then(|| loopback(port)),
            memory: Some(64 * MIB),
            memory_swap: Some(64 * MIB),
            pids_limit: Some(32),
            log_config: Some(small_log()),
            sysctls: ipv6.then(|| HashMap::from([(IPV6_LOOPBACK.replace('/', "."), "0".to_owned())])),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}

/// The container that fills the toolbox volume by running infra out of `directory`.
pub(crate) fn delivery(config: &Config, directory: &str) -> ContainerCreateBody {
    let mut labels = naming::instance_labels(&config.instance);
    labels.insert(naming::ROLE.to_owned(), Role::Delivery.word().to_owned());
    ContainerCreateBody {
        image: Some(naming::INFRA_IMAGE.to_owned()),
        entrypoint: Some(vec![format!("{}/{directory}/harbor-infra", toolbox::DIRECTORY)]),
        cmd: Some(vec!["--install".to_owned(), format!("{}/{directory}", toolbox::DIRECTORY)]),
        user: Some("0:0".to_owned()),
        labels: Some(labels),
        healthcheck: Some(no_healthcheck()),
        host_config: Some(HostConfig {
            network_mode: Some("none".to_owned()),
            cap_drop: Some(vec!["ALL".to_owned()]),
            security_opt: Some(vec!["no-new-privileges".to_owned()]),
            readonly_rootfs: Some(true),
            mounts: Some(vec![toolbox_mount(config, false)]),
            memory: Some(64 * MIB),
            memory_swap: Some(64 * MIB),
            pids_limit: Some(32),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}

/// A container that ends as soon as it is started, if so many open files can be given at all.
pub(crate) fn probe(config: &Config, most: u32) -> ContainerCreateBody {
    let body = delivery(config, "current");
    ContainerCreateBody {
        cmd: Some(vec!["--directory".to_owned(), "/nowhere".to_owned()]),
        host_config: body.host_config.map(|host| HostConfig {
            mounts: Some(vec![toolbox_mount(config, true)]),
            ulimits: Some(vec![files(most)]),
            ..host
        }),
        ..body
    }
}

/// The volume with toolbox and infra. `nocopy`: an empty one would be filled from a user's image.
fn toolbox_mount(config: &Config, read_only: bool) -> Mount {
    Mount {
        target: Some(toolbox::DIRECTORY.to_owned()),
        source: Some(naming::volume(&config.instance)),
        typ: Some(MountType::VOLUME),
        read_only: Some(read_only),
        volume_options: Some(MountVolumeOptions { no_copy: Some(true), ..MountVolumeOptions::default() }),
        ..Mount::default()
    }
}

/// A port of the engine's choice on its loopback.
fn loopback(port: String) -> PortMap {
    let binding = PortBinding { host_ip: Some("127.0.0.1".to_owned()), host_port: Some(String::new()) };
    HashMap::from([(port, Some(vec![binding]))])
}

fn no_healthcheck() -> HealthConfig {
    HealthConfig { test: Some(vec!["NONE".to_owned()]), ..HealthConfig::default() }
}

/// Process 1 says little; a bound all the same, since anything in a sandbox may write to its standard output.
fn small_log() -> HostConfigLogConfig {
    let options = [("max-size", "1m"), ("max-file", "1")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    HostConfigLogConfig { typ: Some("json-file".to_owned()), config: Some(HashMap::from(options)) }
}

fn files(most: u32) -> ResourcesUlimits {
    let most = Some(i64::from(most));
    ResourcesUlimits { name: Some("nofile".to_owned()), soft: most, hard: most }
}
