//! How this runner is set up; parsed by the binary.

use std::path::PathBuf;

use harbor_model::ids::InstanceId;

/// Which engine, and how sandboxes are made on it.
#[derive(Clone, Debug)]
pub struct Config {
    /// This installation; on everything that is made as the label `harbor.instance`.
    pub instance: InstanceId,
    /// Address of the engine: `unix://…`, `tcp://…` or `http://…`. `None`: `DOCKER_HOST`, else the usual sockets.
    pub docker_host: Option<String>,
    /// Directory for infra's sockets, one of mode 0700 per sandbox; made when missing.
    pub run_directory: PathBuf,
    /// Directory for stored files of sandboxes, made when missing.
    pub layer_directory: PathBuf,
    /// Directory for volumes, made when missing. The engine has to see it at this path, too.
    pub volume_directory: PathBuf,
    /// How harbor reaches into a sandbox's network; `None`: by [`Transport::Passing`] where the engine runs on our kernel,
    /// found out by dialling, else by [`Transport::Streaming`].
    pub transport: Option<Transport>,
    /// Runtime of sandbox containers as registered with the engine; `None`: the engine's default.
    pub runtime: Option<String>,
    /// Name of the bridge network; `None`: `harbor-` and the start of the instance's id.
    pub network: Option<String>,
    /// The bridge network's IPv4 subnet in CIDR form; `None`: the engine picks one.
    pub subnet: Option<String>,
    /// Whether sandboxes may reach private networks. Put in force by infra's policy, not by this crate.
    pub allow_lan: bool,
    /// Most processes and threads in one sandbox.
    pub processes: u32,
}

impl Config {
    /// The defaults, for this instance and run directory.
    pub fn new(instance: InstanceId, run_directory: PathBuf) -> Self {
        Self {
            instance,
            docker_host: None,
            layer_directory: run_directory.with_file_name("layers"),
            volume_directory: run_directory.with_file_name("volumes"),
            run_directory,
            transport: None,
            runtime: None,
            network: None,
            subnet: None,
            allow_lan: false,
            processes: 4096,
        }
    }
}

/// How harbor reaches into a sandbox's network (design D4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Infra passes connected sockets over a unix socket in a shared directory.
    Passing,
    /// Infra streams over a port published on the engine's loopback.
    Streaming,
}
