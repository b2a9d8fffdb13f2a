//! Asks the engine what it is and what it can give.

use std::path::Path;

use crate::about::About;
use crate::docker::handle::DockerEngine;
use crate::docker::objects::client::QUICK;
use crate::error::EngineError;

impl DockerEngine {
    /// Asks the engine about itself.
    pub async fn about(&self) -> Result<About, EngineError> {
        let docker = self.client().docker();
        let doing = "ask the engine about itself";
        let (info, version) = tokio::try_join!(
            self.client().call(doing, QUICK, docker.info()),
            self.client().call(doing, QUICK, docker.version()),
        )?;
        let status = info.driver_status.unwrap_or_default();
        let root = info.docker_root_dir.unwrap_or_default();
        let local = self.shares_kernel(info.kernel_version.as_deref());
        let mut runtimes: Vec<String> = info.runtimes.unwrap_or_default().into_keys().collect();
        runtimes.sort();
        Ok(About {
            id: info.id.unwrap_or_default(),
            version: version.version.unwrap_or_default(),
            api: docker.client_version().to_string(),
            storage: info.driver.unwrap_or_default(),
            containerd_store: status.iter().any(|pair| pair.iter().any(|word| word.starts_with("io.containerd."))),
            cgroup: if info.cgroup_version.is_some_and(|version| version.to_string() == "2") { 2 } else { 1 },
            processors: info.ncpu.and_then(|count| u32::try_from(count).ok()).unwrap_or(1),
            memory: info.mem_total.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0),
            free: local.then(|| free_bytes(Path::new(&root))).flatten(),
            root,
            rootless: info.security_options.unwrap_or_default().iter().any(|option| option.contains("rootless")),
            architecture: version.arch.unwrap_or_default(),
            kernel: info.kernel_version.unwrap_or_default(),
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

/// Free bytes for ordinary users on the file system of `path`.
fn free_bytes(path: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(path).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}
