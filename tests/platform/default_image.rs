//! Without the default image harbor serves what there is, says what is missing, and goes on trying.

use std::time::Duration;

use harbor_tests::{Harbor, docker, try_docker, within};
use reqwest::Method;
use serde_json::json;

const IMAGE: &str = "daytonaio/sandbox:v0.185.0-amd64";

/// A name that no registry has: nothing listens there. The tag is removed with the guard.
struct Missing(String);

impl Missing {
    fn new() -> Self {
        Self(format!("localhost:9/missing-{}:1", std::process::id()))
    }
}

impl Drop for Missing {
    fn drop(&mut self) {
        let _gone_already = std::process::Command::new("docker").args(["rmi", "--no-prune", &self.0]).output();
    }
}

#[tokio::test]
async fn it_serves_without_says_so_and_takes_it_when_it_comes() {
    let missing = Missing::new();
    docker(&["tag", IMAGE, &missing.0]).await;
    let harbor = Harbor::installed().with("HARBOR_DAYTONA_DEFAULT_SNAPSHOT", &missing.0);
    harbor.up().await;
    let sandbox = harbor.client().started().await;
    sandbox.output("echo kept >~/kept").await;
    assert!(harbor.run(&["down"]).await.success);
    // the name goes, the image stays, as it is in use under another one
    docker(&["rmi", "--no-prune", &missing.0]).await;

    harbor.up().await;
    let client = harbor.client();
    assert_eq!(client.sandbox(&sandbox.id).output("cat ~/kept").await, "kept");
    let status = harbor.run(&["status"]).await;
    assert!(!status.success, "{}", status.output);
    assert!(status.output.contains("unhealthy") && status.output.contains(&missing.0), "{}", status.output);
    let again = harbor.run(&["up"]).await;
    assert!(again.success && again.output.contains("cannot make sandboxes yet"), "{again:?}");
    let doctor = harbor.run(&["doctor"]).await;
    let check = doctor.output.lines().find(|line| line.contains(" image ")).expect("a check of the image");
    assert!(check.contains("failed") && check.contains("is not there"), "{check}");
    let refused = client.ask(Method::POST, "/sandbox", Some(&json!({}))).await;
    assert!(refused.status == 400 && refused.to_string().contains("cannot be had from a registry"), "{refused}");

    docker(&["tag", IMAGE, &missing.0]).await;
    within(Duration::from_secs(20), "it notices that the image has come", async || {
        let status = harbor.run(&["status"]).await;
        if status.success { Ok(()) } else { Err(status.output) }
    })
    .await;
    let fresh = client.started().await;
    assert_eq!(fresh.output("echo works").await, "works");
    assert!(try_docker(&["inspect", &missing.0]).await.is_ok());
}
