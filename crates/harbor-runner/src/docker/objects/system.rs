//! The engine itself: what it is, and its clock.

use crate::docker::objects::client::{Client, QUICK};
use crate::error::EngineError;

/// What an engine says of itself and its machine.
#[derive(Clone, Debug)]
pub(crate) struct System {
    /// Its id.
    pub(crate) id: String,
    /// Its version.
    pub(crate) version: String,
    /// Version of the interface that was agreed on.
    pub(crate) api: String,
    /// Its storage driver.
    pub(crate) storage: String,
    /// Details of the storage driver, in pairs.
    pub(crate) storage_status: Vec<Vec<String>>,
    /// Version of the control groups that it uses.
    pub(crate) cgroup: u8,
    /// Processors of its machine.
    pub(crate) processors: Option<i64>,
    /// Memory of its machine in bytes.
    pub(crate) memory: Option<i64>,
    /// The directory that it keeps everything in.
    pub(crate) root: String,
    /// Security options that it has.
    pub(crate) security: Vec<String>,
    /// Architecture of its machine.
    pub(crate) architecture: String,
    /// Release of its kernel.
    pub(crate) kernel: Option<String>,
    /// Names of its runtimes.
    pub(crate) runtimes: Vec<String>,
}

impl Client {
    /// Asks the engine about itself.
    pub(crate) async fn system(&self) -> Result<System, EngineError> {
        let doing = "ask the engine about itself";
        let (info, version) = tokio::try_join!(
            self.call(doing, QUICK, self.docker().info()),
            self.call(doing, QUICK, self.docker().version()),
        )?;
        Ok(System {
            id: info.id.unwrap_or_default(),
            version: version.version.unwrap_or_default(),
            api: self.docker().client_version().to_string(),
            storage: info.driver.unwrap_or_default(),
            storage_status: info.driver_status.unwrap_or_default(),
            cgroup: if info.cgroup_version.is_some_and(|version| version.to_string() == "2") { 2 } else { 1 },
            processors: info.ncpu,
            memory: info.mem_total,
            root: info.docker_root_dir.unwrap_or_default(),
            security: info.security_options.unwrap_or_default(),
            architecture: version.arch.unwrap_or_default(),
            kernel: info.kernel_version,
            runtimes: info.runtimes.unwrap_or_default().into_keys().collect(),
        })
    }

    /// Asks the engine for its time, as it writes it.
    pub(crate) async fn system_time(&self) -> Result<Option<String>, EngineError> {
        let info = self.call("ask the engine for its time", QUICK, self.docker().info()).await?;
        Ok(info.system_time)
    }
}
