//! The engine, as anybody with `docker` sees it.

use std::path::PathBuf;

use serde_json::Value;
use tokio::process::Command;

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
