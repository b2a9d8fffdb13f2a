//! The engine, as anybody with `docker` sees it.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::process::Command;

/// How long a clean-up waits for those of other tests.
const PRUNES_OF_OTHERS: Duration = Duration::from_secs(30);

/// Runs `docker`, which must succeed; answers what it printed.
pub async fn docker(arguments: &[&str]) -> String {
    try_docker(arguments).await.unwrap_or_else(|said| panic!("docker {}: {said}", arguments.join(" ")))
}

/// Runs `docker`; what it printed, or what it complained of.
pub async fn try_docker(arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("docker").args(arguments).output().await.expect("docker is needed and not on PATH");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// Removes all containers with the label that do not run. The engine refuses a clean-up while another one is under way,
/// and tests beside this one clean up too.
pub async fn prune_containers(label: &str) {
    let filter = format!("label={label}");
    let deadline = Instant::now() + PRUNES_OF_OTHERS;
    loop {
        match try_docker(&["container", "prune", "--force", "--filter", &filter]).await {
            Ok(_removed) => return,
            Err(said) if said.contains("a prune operation is already running") && Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(said) => panic!("docker container prune of {label}: {said}"),
        }
    }
}

/// What the engine tells of a container, network or image.
pub async fn inspect(name: &str) -> Value {
    let told: Value = serde_json::from_str(&docker(&["inspect", name]).await).expect("docker inspect prints JSON");
    told[0].clone()
}

/// The unix socket of the engine that these tests run on.
pub fn engine_socket() -> PathBuf {
    let host = std::env::var("DOCKER_HOST").unwrap_or_default();
    let path = if host.is_empty() { "/var/run/docker.sock" } else { host.strip_prefix("unix://").unwrap_or_default() };
    assert!(!path.is_empty(), "DOCKER_HOST={host}: this test needs an engine on a unix socket");
    PathBuf::from(path)
}
