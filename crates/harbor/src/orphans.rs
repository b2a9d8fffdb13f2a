//! Containers of this installation that its database does not know: listed by `harbor doctor`, removed by
//! `harbor prune --orphans` (design §3a). They may hold files of a user, so nothing else removes them.

use std::sync::Arc;
use std::time::Duration;

use harbor_reconcile::{Config as ReconcileConfig, Orphan, Reconciler, SystemClock};
use harbor_runner::{Config as EngineConfig, DockerEngine};
use harbor_store::Store;

use crate::config::Config;
use crate::secrets;

/// A way to look for orphans and to remove them, beside a harbor that runs or without one.
pub(crate) struct Orphans {
    reconciler: Reconciler,
}

impl Orphans {
    /// `None`: this installation has never been started, or its database is gone, so nothing can be told apart.
    pub(crate) async fn open(config: &Config) -> anyhow::Result<Option<Self>> {
        let directories = config.directories();
        let (Some(instance), true) = (secrets::existing_instance(&directories), directories.database().exists()) else {
            return Ok(None);
        };
        let runner = EngineConfig {
            docker_host: config.docker_host.clone(),
            ..EngineConfig::new(instance, directories.run().join("infra"))
        };
        let runner = DockerEngine::connect(runner).await?;
        let store = Store::open_read_only(&directories.database())?;
        let idle = ReconcileConfig {
            starts: 0,
            infra_stock: 0,
            start_deadline: Duration::ZERO,
            stop_grace: Duration::ZERO,
            clock: Arc::new(SystemClock),
        };
        Ok(Some(Self { reconciler: Reconciler::new(store, Arc::new(runner), idle) }))
    }

    /// What the engine holds and the database does not know, those with files.
    pub(crate) async fn list(&self) -> anyhow::Result<Vec<Orphan>> {
        let all = self.reconciler.orphans().await.map_err(anyhow::Error::msg)?;
        Ok(all.into_iter().filter(|orphan| orphan.files).collect())
    }

    /// Removes one, files and all.
    pub(crate) async fn remove(&self, orphan: &Orphan) -> anyhow::Result<()> {
        self.reconciler.remove_orphan(orphan.sandbox).await.map_err(anyhow::Error::msg)
    }
}
