//! Checks that ask the engine.

use std::time::Duration;

use harbor_model::ids::InstanceId;
use harbor_runner::{About, DockerEngine};
use harbor_store::StoreError;

use super::{Finding, gibibytes};
use crate::config::Config;
use crate::config::engine::engine_config;
use crate::orphans::Orphans;
use crate::process::announce::reasons;
use crate::process::presence::Presence;
use crate::secrets;

/// How long the engine may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Free space under which images and sandboxes soon do not fit, in bytes.
const LITTLE: u64 = 5 << 30;

/// The oldest API that harbor speaks.
const OLDEST: (u32, u32) = (1, 41);

pub(super) async fn examine(config: &Config, presence: &Presence) -> Vec<Finding> {
    let instance = secrets::existing_instance(&config.directories()).unwrap_or_else(InstanceId::random);
    let asked = async {
        let runner = DockerEngine::connect(engine_config(config, instance)).await?;
        let about = runner.about().await?;
        Ok::<_, harbor_runner::EngineError>((runner, about))
    };
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok((runner, about))) => {
            let mut findings = vec![version(&about), runtime(config, &about), disk(&about), transport(config, &about)];
            findings.push(image(&runner, &config.daytona.default_snapshot, presence).await);
            findings.push(prune(config));
            findings
        }
        Ok(Err(error)) => vec![unreachable(config, &reasons(&anyhow::Error::new(error)))],
        Err(_) => vec![unreachable(config, &format!("no answer within {} seconds", PATIENCE.as_secs()))],
    }
}

/// Containers and volumes that the database does not know; nothing where there is no engine or no database to ask.
pub(super) async fn orphans(config: &Config) -> Option<Finding> {
    let orphans = match tokio::time::timeout(PATIENCE, Orphans::open(config)).await.ok()? {
        Ok(opened) => opened?,
        // an engine that does not answer is another check's finding
        Err(error) => return error.downcast_ref().map(unreadable),
    };
    let all = tokio::time::timeout(PATIENCE, orphans.list()).await.ok()?.ok()?;
    let volumes = tokio::time::timeout(PATIENCE, orphans.volumes()).await.ok()?.ok()?;
    let volumes = volumes.iter().map(|volume| format!("volume {volume}"));
    let ids: Vec<String> = all.iter().map(|orphan| orphan.sandbox.to_string()).chain(volumes).collect();
    if ids.is_empty() {
        return Some(Finding::fine("orphans", "every sandbox and volume is in the database"));
    }
    let found = format!("on the engine and not in the database: {}", ids.join(", "));
    Some(Finding::warning("orphans", found, "`harbor prune --orphans`, which deletes them with their files"))
}

fn unreadable(error: &StoreError) -> Finding {
    Finding::warning("database", error.to_string(), "`harbor down && harbor up`, with the newest harbor that you have")
}

fn unreachable(config: &Config, reason: &str) -> Finding {
    let reason = reason.to_owned();
    let configured = config.docker_host.is_some() || std::env::var_os("DOCKER_HOST").is_some();
    let remedy = if configured {
        "check the address: `harbor config get docker_host`, or the variable DOCKER_HOST"
    } else if reason.to_lowercase().contains("permission denied") {
        "sudo usermod -aG docker \"$USER\", then log in again"
    } else {
        "start the engine: sudo systemctl start docker (install it with: sudo apt-get install docker.io)"
    };
    Finding::failed("engine", reason, remedy)
}

fn version(about: &About) -> Finding {
    let found = format!("version {}, API {}, {}, cgroup v{}", about.version, about.api, about.storage, about.cgroup);
    let mut numbers = about.api.split('.').filter_map(|part| part.parse::<u32>().ok());
    match (numbers.next(), numbers.next()) {
        (Some(major), Some(minor)) if (major, minor) < OLDEST => {
            Finding::failed("engine", found, "install Docker 20.10 or newer: sudo apt-get install docker.io")
        }
        _ => Finding::fine("engine", found),
    }
}

/// What is wrong with the configured runtime, given the names that the engine knows.
pub(crate) fn unknown_runtime(config: &Config, known: &[String]) -> Option<String> {
    let name = config.runtime.as_ref()?;
    // newer engines also take a containerd shim by its dotted name or path, without listing it
    let is_shim = name.contains(['.', '/']);
    let unknown = !is_shim && !known.contains(name);
    unknown.then(|| format!("{name} is not registered with the engine ({})", known.join(", ")))
}

/// What to do about an unknown runtime.
pub(crate) const DEFAULT_RUNTIME: &str = "`harbor config set runtime \"\"`";

fn runtime(config: &Config, about: &About) -> Finding {
    match (unknown_runtime(config, &about.runtimes), &config.runtime) {
        (Some(found), _) => Finding::failed("runtime", found, DEFAULT_RUNTIME),
        (None, Some(name)) => Finding::fine("runtime", name.clone()),
        (None, None) => Finding::fine("runtime", "the engine's default"),
    }
}

fn disk(about: &About) -> Finding {
    match about.free {
        None => Finding::fine("engine disk", format!("{} is not on this machine", about.root)),
        Some(free) if free < LITTLE => Finding::warning(
            "engine disk",
            format!("{} free in {}", gibibytes(free), about.root),
            "docker image prune (asks first; `docker system df` shows what takes the room)",
        ),
        Some(free) => Finding::fine("engine disk", format!("{} free in {}", gibibytes(free), about.root)),
    }
}

/// Stopped sandboxes that do not sleep are stopped containers, and the engine's prune removes all of those (design D15).
fn prune(config: &Config) -> Finding {
    if config.stopped.asleep > 0 {
        return Finding::fine(
            "prune",
            "stopped sandboxes sleep, and files of those beyond `stopped.asleep` are stored",
        );
    }
    Finding::warning(
        "prune",
        "`docker container prune` and `docker system prune` delete stopped sandboxes, with their files: `stopped.asleep` is 0, \
         so none sleep and none are stored",
        "docker image prune, when room is needed while sandboxes are stopped; or harbor config set stopped.asleep 20",
    )
}

/// Which way harbor reaches into sandboxes (design D4). Both work: the first is faster.
fn transport(config: &Config, about: &About) -> Finding {
    let ours = rustix::system::uname().release().to_string_lossy().into_owned();
    let socket = config.docker_host.clone().or_else(|| std::env::var("DOCKER_HOST").ok());
    let local = socket.is_none_or(|address| address.is_empty() || address.starts_with("unix://"));
    let found = if local && about.kernel == ours {
        "passed sockets: harbor and the engine share a kernel"
    } else {
        "streams over a published port: the engine has a kernel of its own"
    };
    Finding::fine("transport", found)
}

async fn image(runner: &DockerEngine, reference: &str, presence: &Presence) -> Finding {
    match runner.image(reference).await {
        Ok(Some(image)) => Finding::fine("image", format!("{reference}, {} MB", image.size / 1_000_000)),
        Ok(None) if presence.ready().is_some() => {
            let found = format!("{reference} is not there: no sandbox can be made from the default snapshot");
            Finding::failed("image", found, "`harbor pull`")
        }
        Ok(None) => {
            Finding::warning("image", format!("{reference} is not there yet; `harbor up` gets it"), "`harbor pull`")
        }
        Err(error) => Finding::failed("image", reasons(&anyhow::Error::new(error)), "`harbor pull`"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::load::{Given, load};

    #[test]
    fn a_runtime_that_the_engine_does_not_know_is_told() {
        let unknown = |runtime: &str| {
            let variables = [("HARBOR_DATA_DIR", "/nonexistent"), ("HARBOR_RUNTIME", runtime)];
            let environment = BTreeMap::from(variables.map(|(name, value)| (name.to_owned(), value.to_owned())));
            let config = load(&Given { environment, ..Given::default() }).unwrap().config;
            unknown_runtime(&config, &["runc".to_owned(), "runsc".to_owned()])
        };
        assert_eq!(unknown("nosuch").as_deref(), Some("nosuch is not registered with the engine (runc, runsc)"));
        for name in ["", "runsc", "io.containerd.kata.v2", "/usr/bin/containerd-shim-kata-v2"] {
            assert_eq!(unknown(name), None, "{name}");
        }
    }
}
