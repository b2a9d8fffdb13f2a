//! How the engine is used, by the harbor that runs and by commands beside it.

use harbor_model::ids::InstanceId;

use super::Config;

/// The engine of this instance, as this configuration has it.
pub(crate) fn engine_config(config: &Config, instance: InstanceId) -> harbor_runner::Config {
    harbor_runner::Config {
        docker_host: config.docker_host.clone(),
        runtime: config.runtime.clone(),
        allow_lan: config.allow_lan,
        layer_directory: config.directories().archives(),
        volume_directory: config.directories().volumes(),
        ..harbor_runner::Config::new(instance, config.directories().run().join("infra"))
    }
}
