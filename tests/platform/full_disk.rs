//! A full disk under the data directory: clear errors, nothing half-done, and all works again once there is space.
//!
//! The disk is a small tmpfs, which only root can mount: without root or a sudo that asks nothing these tests fail.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use harbor_tests::{Client, Harbor, within};
use reqwest::Method;
use serde_json::json;
use tokio::process::Command;

use crate::MIB;

/// What takes the space. harbor refuses a data directory that holds what is not its own.
const BALLAST: &str = "logs/ballast";

/// A harbor that has never been started, on a disk of its own.
async fn on_a_small_disk() -> Harbor {
    let harbor = Harbor::installed();
    std::fs::create_dir(harbor.data()).expect("a directory");
    let owner = std::fs::metadata(harbor.data()).expect("the directory");
    let options = format!("size=8m,mode=700,uid={},gid={}", owner.uid(), owner.gid());
    let mut mount = if owner.uid() == 0 { Command::new("mount") } else { Command::new("sudo") };
    if owner.uid() != 0 {
        mount.args(["--non-interactive", "mount"]);
    }
    let mounted = mount.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(harbor.data()).output().await;
    let mounted = mounted.expect("mount (for others than root: sudo) is on PATH");
    let complaint = String::from_utf8_lossy(&mounted.stderr);
    assert!(mounted.status.success(), "a small disk needs root, or sudo without a password: {complaint}");
    harbor
}

/// Takes all the space there is.
fn fill(data: &Path) {
    std::fs::create_dir_all(data.join("logs")).expect("a directory");
    let mut file = File::create(data.join(BALLAST)).expect("a file");
    for size in [MIB, 4096, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
}

fn empty(data: &Path) {
    std::fs::remove_file(data.join(BALLAST)).expect("the ballast");
}

async fn names(client: &Client) -> Vec<String> {
    let mut ids: Vec<_> = client.sandboxes().await.into_iter().map(|(id, _)| id).collect();
    ids.sort();
    ids
}

#[tokio::test]
async fn a_full_disk_is_an_error_that_says_so_and_passes() {
    let harbor = on_a_small_disk().await;
    harbor.up().await;
    let client = harbor.client();
    let sandbox = client.started().await;
    fill(harbor.data());
    let before = names(&client).await;
    let containers = harbor.containers("sandbox").await;
    // SQLite may find room in pages it has: sooner or later there is none
    let refused = within(Duration::from_secs(20), "a create is refused", async || {
        let made = client.ask(Method::POST, "/sandbox", Some(&json!({}))).await;
        if made.status == 200 { Err(made.to_string()) } else { Ok(made) }
    })
    .await;
    assert!([503, 507].contains(&refused.status), "{refused}");
    let said = refused.message().to_lowercase();
    assert!(said.contains("disk") || said.contains("space"), "it says why: {refused}");
    assert_eq!(sandbox.output("echo works").await, "works", "what runs can be used");
    let known = names(&client).await;
    assert!(before.iter().all(|id| known.contains(id)), "{before:?} {known:?}");
    assert!(containers.len() <= known.len() + 1);
    // times of use that cannot be written fail nothing; they are written when the one before is ten seconds old
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(names(&client).await, known);
    let stop = sandbox.act("stop").await;
    assert!([200, 503, 507].contains(&stop.status), "{stop}");
    assert!(harbor.run(&["ps"]).await.success, "harbor ended");

    empty(harbor.data());
    let made = client.started().await;
    assert_eq!(made.output("echo works").await, "works");
    within(Duration::from_secs(40), "all settles", async || {
        let moving: Vec<_> = client
            .sandboxes()
            .await
            .into_iter()
            .filter(|(_, state)| !["started", "stopped", "error"].contains(&state.as_str()))
            .collect();
        if moving.is_empty() { Ok(()) } else { Err(format!("{moving:?}")) }
    })
    .await;
    within(Duration::from_secs(20), "a container for every sandbox and no other", async || {
        let mut held: Vec<_> = harbor.containers("sandbox").await.into_iter().map(|(_, id)| id).collect();
        held.sort();
        let failed: Vec<_> = client.sandboxes().await.into_iter().filter(|(_, state)| state == "error").collect();
        let known = names(&client).await;
        if held == known || !failed.is_empty() { Ok(()) } else { Err(format!("{held:?} {known:?}")) }
    })
    .await;
    harbor.kill().await;
    harbor.up().await;
    assert_eq!(harbor.client().sandbox(&made.id).output("echo works").await, "works");
}

#[tokio::test]
async fn a_stop_on_a_full_disk_lets_requests_finish() {
    let harbor = on_a_small_disk().await;
    harbor.up().await;
    let sandbox = harbor.client().started().await;
    fill(harbor.data());
    let finishes = sandbox.output("sleep 2; echo finished");
    let stops = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        harbor.run(&["down"]).await
    };
    let (output, stopped) = tokio::join!(finishes, stops);
    assert_eq!(output, "finished", "the request was cut off");
    assert!(stopped.success, "{}", stopped.error);
}

#[tokio::test]
async fn a_start_on_a_full_disk_is_one_line_and_works_with_space() {
    let harbor = on_a_small_disk().await;
    fill(harbor.data());
    let said = harbor.run(&["up"]).await;
    let line = said.one_line();
    assert!(line.contains("space") || line.contains("full"), "{line}");
    assert!(!harbor.run(&["status"]).await.success, "something runs");
    empty(harbor.data());
    harbor.up().await;
    let sandbox = harbor.client().started().await;
    harbor.kill().await;
    fill(harbor.data());
    let said = harbor.run(&["up", "--wait", "30"]).await;
    if !said.success {
        assert!(said.one_line().contains("space") || said.error.contains("full"), "{}", said.error);
    }
    empty(harbor.data());
    let _stopped = harbor.run(&["down"]).await;
    harbor.up().await;
    assert_eq!(harbor.client().sandbox(&sandbox.id).output("echo works").await, "works");
}

#[tokio::test]
async fn a_push_without_space_says_so_and_leaves_nothing() {
    let harbor = on_a_small_disk().await;
    harbor.up().await;
    let port = harbor.run(&["config", "get", "daytona.registry_host_port"]).await.output;
    let registry = format!("http://localhost:{}/v2/daytona/app", port.trim());
    let begun = reqwest::Client::new().post(format!("{registry}/blobs/uploads/")).send().await.expect("an answer");
    // harbor leaves half a GiB of every disk to everything else, and this one has less
    let refused = if begun.status() == 202 {
        let place = begun.headers()["location"].to_str().expect("a place").to_owned();
        let place = format!("http://localhost:{}{place}", port.trim());
        reqwest::Client::new().patch(place).body(vec![7; 1 << 20]).send().await.expect("an answer")
    } else {
        begun
    };
    assert_eq!(refused.status(), 507);
    let said = refused.text().await.expect("text").to_lowercase();
    assert!(said.contains("space") || said.contains("disk"), "{said}");
    let tags = reqwest::get(format!("{registry}/tags/list")).await.expect("an answer");
    assert_eq!(tags.status(), 404, "nothing of it is seen");
    let left = std::fs::read_dir(harbor.data().join("objects/blobs")).map_or(0, Iterator::count);
    assert_eq!(left, 0, "nothing of it is left");
}
