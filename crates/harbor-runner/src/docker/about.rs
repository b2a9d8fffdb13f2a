//! Asks the engine what it is and what it can give.

use std::path::Path;

use crate::about::About;
use crate::docker::handle::DockerEngine;
use crate::error::EngineError;

impl DockerEngine {
    /// Asks the engine about itself.
    pub async fn about(&self) -> Result<About, EngineError> {
        let system = self.client().system().await?;
        let local = self.shares_kernel(system.kernel.as_deref());
        let disk = local.then(|| rustix::fs::statvfs(Path::new(&system.root)).ok()).flatten();
        let mut runtimes = system.runtimes;
        runtimes.sort();
        let in_containerd = |pair: &Vec<String>| pair.iter().any(|word| word.starts_with("io.containerd."));
        Ok(About {
            id: system.id,
            version: system.version,
            api: system.api,
            storage: system.storage,
            containerd_store: system.storage_status.iter().any(in_containerd),
            cgroup: system.cgroup,
            processors: system.processors.and_then(|count| u32::try_from(count).ok()).unwrap_or(1),
            memory: system.memory.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0),
            disk: disk.as_ref().map(|found| found.f_blocks.saturating_mul(found.f_frsize)),
            free: disk.as_ref().map(|found| found.f_bavail.saturating_mul(found.f_frsize)),
            root: system.root,
            rootless: system.security.iter().any(|option| option.contains("rootless")),
            architecture: system.architecture,
            kernel: system.kernel.unwrap_or_default(),
            runtimes,
        })
    }

    /// Whether the engine may run on our kernel: a local socket and the same kernel release. Not proof: only a dial is.
    pub(crate) fn shares_kernel(&self, kernel: Option<&str>) -> bool {
        let ours = rustix::system::uname();
        self.client().address().starts_with("unix://")
            && kernel.is_some_and(|kernel| ours.release().to_str() == Ok(kernel))
    }
}
