//! Containers: made, started, stopped, looked at, removed.

use std::collections::HashMap;
use std::time::Duration;

use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, ContainerState, ContainerStateStatusEnum, ContainerSummary,
    ContainerSummaryStateEnum, ContainerUpdateBody, HealthConfig, HostConfig, HostConfigLogConfig, Mount, MountType,
    MountVolumeOptions, NetworkSettings, PortBinding, ResourcesUlimits, RestartPolicy, RestartPolicyNameEnum,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, InspectContainerOptions, KillContainerOptionsBuilder, ListContainersOptionsBuilder,
    LogsOptionsBuilder, RemoveContainerOptionsBuilder, RenameContainerOptionsBuilder, StartContainerOptions,
    StopContainerOptionsBuilder, WaitContainerOptions,
};
use futures_util::{StreamExt, TryStreamExt};

use crate::docker::objects::client::{Client, QUICK, SLOW};
use crate::error::EngineError;

/// A container that is to be made. It has no health check and none of the engine's own capabilities.
#[derive(Clone, Debug, Default)]
pub(crate) struct NewContainer {
    /// Its host name; `None` leaves it to the engine.
    pub(crate) hostname: Option<String>,
    /// Its image.
    pub(crate) image: String,
    /// What process 1 runs.
    pub(crate) entrypoint: String,
    /// The arguments of process 1.
    pub(crate) arguments: Vec<String>,
    /// Whom process 1 runs as; `None` leaves it to the image.
    pub(crate) user: Option<String>,
    /// Its labels.
    pub(crate) labels: HashMap<String, String>,
    /// The signal that asks process 1 to end; `None` leaves it to the image.
    pub(crate) stop_signal: Option<String>,
    /// Its network.
    pub(crate) network: String,
    /// What runs it; `None` leaves it to the engine.
    pub(crate) runtime: Option<String>,
    /// Its capabilities.
    pub(crate) capabilities: Vec<String>,
    /// Its security options.
    pub(crate) security: Vec<String>,
    /// Whether nobody may write to its own files.
    pub(crate) read_only: bool,
    /// The directory that it starts in; `None`: the image's.
    pub(crate) working_dir: Option<String>,
    /// Directories of the engine's machine in it, which the engine makes where they are missing.
    pub(crate) binds: Vec<String>,
    /// Directories of the engine's machine in it, which have to be there.
    pub(crate) directories: Vec<DirectoryMount>,
    /// The volume in it.
    pub(crate) volume: VolumeMount,
    /// Directories in memory, with their options.
    pub(crate) tmpfs: HashMap<String, String>,
    /// A port, as `80/tcp`, that the engine publishes on a loopback port of its choice.
    pub(crate) published: Option<String>,
    /// Bytes of shared memory; `None` leaves it to the engine.
    pub(crate) shared_memory: Option<i64>,
    /// Processor time in billionths of a processor; `None` leaves it unlimited.
    pub(crate) nano_cpus: Option<i64>,
    /// Bytes of memory, swap included; `None` leaves it unlimited.
    pub(crate) memory: Option<i64>,
    /// The most processes.
    pub(crate) processes: i64,
    /// The most open files per process; `None` leaves it to the engine.
    pub(crate) files: Option<i64>,
    /// Where what it writes is kept.
    pub(crate) log: Log,
    /// Whether it reads what is sent to it, until that ends.
    pub(crate) input: bool,
    /// Whether the engine starts it again when it ended without being asked, and with the engine.
    pub(crate) restarted: bool,
    /// Kernel settings of its namespaces.
    pub(crate) sysctls: HashMap<String, String>,
}

/// Where the engine keeps what a container writes.
#[derive(Clone, Debug, Default)]
pub(crate) enum Log {
    /// Wherever it keeps all.
    #[default]
    Usual,
    /// In a file, with these options.
    File(HashMap<String, String>),
    /// Nowhere: only who is attached reads it.
    Nowhere,
}

/// A volume in a container. The engine copies nothing into it: an empty one would be filled from a user's image.
#[derive(Clone, Debug, Default)]
pub(crate) struct VolumeMount {
    /// The volume's name.
    pub(crate) name: String,
    /// The directory that it appears at.
    pub(crate) directory: String,
    /// Whether the container may not write to it.
    pub(crate) read_only: bool,
}

/// A directory of the engine's machine in a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DirectoryMount {
    /// Its path on the engine's machine.
    pub(crate) source: String,
    /// The directory that it appears at.
    pub(crate) directory: String,
}

/// What is read of a container that was looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Container {
    /// Its id.
    pub(crate) id: Option<String>,
    /// Its name, after a slash.
    pub(crate) name: Option<String>,
    /// The id of its image.
    pub(crate) image: Option<String>,
    /// Its labels.
    pub(crate) labels: HashMap<String, String>,
    /// Its network.
    pub(crate) network: Option<String>,
    /// Its state.
    pub(crate) state: Option<State>,
    /// The published ports on the engine's machine, by the container's port as `80/tcp`.
    pub(crate) published: HashMap<String, Vec<String>>,
    /// The directory of its writable layer on the engine's machine, where the engine tells.
    pub(crate) layer: Option<String>,
}

impl Container {
    /// The engine's word for its state.
    pub(crate) fn status(&self) -> Option<Status> {
        self.state.as_ref()?.status
    }
}

/// The state of a container that was looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    /// The engine's word for it.
    pub(crate) status: Option<Status>,
    /// Whether it runs, frozen or not.
    pub(crate) running: bool,
    /// Whether it is frozen.
    pub(crate) paused: bool,
    /// When its last run began.
    pub(crate) started_at: Option<String>,
    /// When its last run ended.
    pub(crate) finished_at: Option<String>,
    /// How its last run ended.
    pub(crate) exit_code: Option<i64>,
}

/// The engine's word for a container's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Status {
    /// It has never run.
    Created,
    /// It runs.
    Running,
    /// It is frozen.
    Paused,
    /// The engine starts it again.
    Restarting,
    /// The engine ends it.
    Stopping,
    /// The engine removes it.
    Removing,
    /// It has ended.
    Exited,
    /// It has ended, and the engine could not remove it.
    Dead,
}

impl Status {
    /// Whether it is being removed, or was to be: the engine starts it no more, and what it held is going or gone.
    pub(crate) const fn is_going(self) -> bool {
        matches!(self, Self::Removing | Self::Dead)
    }
}

/// What a listing tells of a container.
#[derive(Clone, Debug, Default)]
pub(crate) struct ListedContainer {
    /// Its id.
    pub(crate) id: Option<String>,
    /// Its names.
    pub(crate) names: Vec<String>,
    /// The id of its image.
    pub(crate) image: Option<String>,
    /// Its labels.
    pub(crate) labels: HashMap<String, String>,
    /// The engine's word for its state.
    pub(crate) state: Option<Status>,
    /// The engine's sentence about its state.
    pub(crate) status: Option<String>,
}

impl ListedContainer {
    /// Whether it runs, not frozen.
    pub(crate) fn running(&self) -> bool {
        self.state == Some(Status::Running)
    }
}

impl Client {
    /// Makes a container and returns its id.
    pub(crate) async fn create_container(&self, name: &str, new: NewContainer) -> Result<String, EngineError> {
        let options = CreateContainerOptionsBuilder::new().name(name).build();
        let call = self.docker().create_container(Some(options), new.into());
        Ok(self.call(&format!("make container {name}"), SLOW, call).await?.id)
    }

    /// Starts a container.
    pub(crate) async fn start_container(&self, container: &str, doing: &str) -> Result<(), EngineError> {
        let call = self.docker().start_container(container, None::<StartContainerOptions>);
        self.call(doing, SLOW, call).await
    }

    /// Asks a container to end, and ends it after so many `seconds`.
    pub(crate) async fn stop_container(
        &self,
        container: &str,
        seconds: i32,
        doing: &str,
        limit: Duration,
    ) -> Result<(), EngineError> {
        let options = StopContainerOptionsBuilder::new().t(seconds).build();
        self.call(doing, limit, self.docker().stop_container(container, Some(options))).await
    }

    /// Ends a container at once.
    pub(crate) async fn kill_container(&self, container: &str, doing: &str) -> Result<(), EngineError> {
        let options = KillContainerOptionsBuilder::new().signal("SIGKILL").build();
        self.call(doing, SLOW, self.docker().kill_container(container, Some(options))).await
    }

    /// Freezes a container.
    pub(crate) async fn pause_container(&self, container: &str, doing: &str) -> Result<(), EngineError> {
        self.call(doing, SLOW, self.docker().pause_container(container)).await
    }

    /// Gives a container other limits: billionths of processors, and bytes of memory, swap included. `None` leaves one as
    /// it is.
    pub(crate) async fn update_container(
        &self,
        container: &str,
        nano_cpus: Option<i64>,
        memory: Option<i64>,
        doing: &str,
    ) -> Result<(), EngineError> {
        let body = ContainerUpdateBody { nano_cpus, memory, memory_swap: memory, ..ContainerUpdateBody::default() };
        self.call(doing, SLOW, self.docker().update_container(container, body)).await
    }

    /// Lets a frozen container run again.
    pub(crate) async fn unpause_container(&self, container: &str) -> Result<(), EngineError> {
        let call = self.docker().unpause_container(container);
        self.call(&format!("unpause container {container}"), SLOW, call).await
    }

    /// Renames a container.
    pub(crate) async fn rename_container(&self, from: &str, to: &str) -> Result<(), EngineError> {
        let options = RenameContainerOptionsBuilder::new().name(to).build();
        let call = self.docker().rename_container(from, options);
        self.call(&format!("rename container {from} to {to}"), QUICK, call).await
    }

    /// Removes a container, running or not, with its anonymous volumes.
    pub(crate) async fn remove_container(&self, name: &str) -> Result<(), EngineError> {
        let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        let call = self.docker().remove_container(name, Some(options));
        self.call(&format!("remove container {name}"), SLOW, call).await
    }

    /// Waits until a container has ended. One that ended with another code than 0 is an error.
    pub(crate) async fn wait_container(
        &self,
        container: &str,
        doing: &str,
        limit: Duration,
    ) -> Result<(), EngineError> {
        let mut wait = self.docker().wait_container(container, None::<WaitContainerOptions>).boxed();
        self.call(doing, limit, async { wait.next().await.transpose() }).await.map(drop)
    }

    /// Reads the last five lines of a container's log.
    pub(crate) async fn log_end(&self, container: &str, doing: &str) -> Result<String, EngineError> {
        let options = LogsOptionsBuilder::new().stdout(true).stderr(true).tail("5").build();
        let lines = self.docker().logs(container, Some(options)).map_ok(|line| line.to_string());
        Ok(self.call(doing, QUICK, lines.try_collect::<Vec<_>>()).await?.concat())
    }

    /// Looks at a container by name or id.
    pub(crate) async fn inspect_container(&self, container: &str, doing: &str) -> Result<Container, EngineError> {
        let call = self.docker().inspect_container(container, None::<InspectContainerOptions>);
        self.call(doing, QUICK, call).await.map(Container::from)
    }

    /// Looks at a container by name or id; `None` when there is none.
    pub(crate) async fn find_container(&self, container: &str, doing: &str) -> Result<Option<Container>, EngineError> {
        let call = self.docker().inspect_container(container, None::<InspectContainerOptions>);
        Ok(self.look(doing, call).await?.map(Container::from))
    }

    /// Lists the containers, in any state, that carry all of these labels: `name`, or `name=value`.
    pub(crate) async fn list_containers(&self, labels: Vec<String>) -> Result<Vec<ListedContainer>, EngineError> {
        let filters = HashMap::from([("label", labels)]);
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        let listed = self.call("list containers", QUICK, self.docker().list_containers(Some(options))).await?;
        Ok(listed.into_iter().map(ListedContainer::from).collect())
    }
}

impl From<NewContainer> for ContainerCreateBody {
    fn from(new: NewContainer) -> Self {
        let port_bindings = new.published.clone().map(|port| {
            let binding = PortBinding { host_ip: Some("127.0.0.1".to_owned()), host_port: Some(String::new()) };
            HashMap::from([(port, Some(vec![binding]))])
        });
        let ulimit = |most| ResourcesUlimits { name: Some("nofile".to_owned()), soft: Some(most), hard: Some(most) };
        let log = match new.log {
            Log::Usual => None,
            Log::File(options) => {
                Some(HostConfigLogConfig { typ: Some("json-file".to_owned()), config: Some(options) })
            }
            Log::Nowhere => Some(HostConfigLogConfig { typ: Some("none".to_owned()), config: None }),
        };
        let host = HostConfig {
            network_mode: Some(new.network),
            runtime: new.runtime,
            cap_drop: Some(vec!["ALL".to_owned()]),
            cap_add: (!new.capabilities.is_empty()).then_some(new.capabilities),
            security_opt: Some(new.security),
            readonly_rootfs: new.read_only.then_some(true),
            binds: (!new.binds.is_empty()).then_some(new.binds),
            mounts: Some([new.volume.into()].into_iter().chain(new.directories.into_iter().map(Mount::from)).collect()),
            tmpfs: (!new.tmpfs.is_empty()).then_some(new.tmpfs),
            port_bindings,
            shm_size: new.shared_memory,
            nano_cpus: new.nano_cpus,
            memory: new.memory,
            memory_swap: new.memory,
            pids_limit: Some(new.processes),
            ulimits: new.files.map(|most| vec![ulimit(most)]),
            log_config: log,
            restart_policy: new.restarted.then(|| RestartPolicy {
                name: Some(RestartPolicyNameEnum::UNLESS_STOPPED),
                ..RestartPolicy::default()
            }),
            sysctls: (!new.sysctls.is_empty()).then_some(new.sysctls),
            ..HostConfig::default()
        };
        Self {
            hostname: new.hostname,
            attach_stdin: Some(new.input),
            open_stdin: Some(new.input),
            stdin_once: Some(new.input),
            image: Some(new.image),
            entrypoint: Some(vec![new.entrypoint]),
            cmd: Some(new.arguments),
            user: new.user,
            labels: Some(new.labels),
            healthcheck: Some(HealthConfig { test: Some(vec!["NONE".to_owned()]), ..HealthConfig::default() }),
            stop_signal: new.stop_signal,
            working_dir: new.working_dir,
            exposed_ports: new.published.map(|port| vec![port]),
            host_config: Some(host),
            ..Self::default()
        }
    }
}

impl From<VolumeMount> for Mount {
    fn from(volume: VolumeMount) -> Self {
        Self {
            target: Some(volume.directory),
            source: Some(volume.name),
            typ: Some(MountType::VOLUME),
            read_only: Some(volume.read_only),
            volume_options: Some(MountVolumeOptions { no_copy: Some(true), ..MountVolumeOptions::default() }),
            ..Self::default()
        }
    }
}

impl From<DirectoryMount> for Mount {
    fn from(mount: DirectoryMount) -> Self {
        Self {
            target: Some(mount.directory),
            source: Some(mount.source),
            typ: Some(MountType::BIND),
            ..Self::default()
        }
    }
}

impl From<ContainerInspectResponse> for Container {
    fn from(found: ContainerInspectResponse) -> Self {
        Self {
            id: found.id,
            name: found.name,
            image: found.image,
            labels: found.config.and_then(|config| config.labels).unwrap_or_default(),
            network: found.host_config.and_then(|host| host.network_mode),
            state: found.state.map(State::from),
            published: found.network_settings.map(published).unwrap_or_default(),
            layer: found.graph_driver.and_then(|mut driver| driver.data.remove("UpperDir")),
        }
    }
}

fn published(network: NetworkSettings) -> HashMap<String, Vec<String>> {
    let ports = network.ports.unwrap_or_default().into_iter();
    let of_host = |bindings: Vec<PortBinding>| bindings.into_iter().filter_map(|binding| binding.host_port).collect();
    ports.map(|(port, bindings)| (port, bindings.map(of_host).unwrap_or_default())).collect()
}

impl From<ContainerState> for State {
    fn from(state: ContainerState) -> Self {
        Self {
            status: state.status.and_then(status),
            running: state.running == Some(true),
            paused: state.paused == Some(true),
            started_at: state.started_at,
            finished_at: state.finished_at,
            exit_code: state.exit_code,
        }
    }
}

impl From<ContainerSummary> for ListedContainer {
    fn from(found: ContainerSummary) -> Self {
        Self {
            id: found.id,
            names: found.names.unwrap_or_default(),
            image: found.image_id,
            labels: found.labels.unwrap_or_default(),
            state: found.state.and_then(listed_status),
            status: found.status,
        }
    }
}

const fn status(word: ContainerStateStatusEnum) -> Option<Status> {
    use ContainerStateStatusEnum as Word;
    match word {
        Word::EMPTY => None,
        Word::CREATED => Some(Status::Created),
        Word::RUNNING => Some(Status::Running),
        Word::PAUSED => Some(Status::Paused),
        Word::RESTARTING => Some(Status::Restarting),
        Word::STOPPING => Some(Status::Stopping),
        Word::REMOVING => Some(Status::Removing),
        Word::EXITED => Some(Status::Exited),
        Word::DEAD => Some(Status::Dead),
    }
}

const fn listed_status(word: ContainerSummaryStateEnum) -> Option<Status> {
    use ContainerSummaryStateEnum as Word;
    match word {
        Word::EMPTY => None,
        Word::CREATED => Some(Status::Created),
        Word::RUNNING => Some(Status::Running),
        Word::PAUSED => Some(Status::Paused),
        Word::RESTARTING => Some(Status::Restarting),
        Word::STOPPING => Some(Status::Stopping),
        Word::REMOVING => Some(Status::Removing),
        Word::EXITED => Some(Status::Exited),
        Word::DEAD => Some(Status::Dead),
    }
}
