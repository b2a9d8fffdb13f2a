//! Images of one's own on a real engine: pinned, kept from clean-ups, built through crashes, given up, and gone when
//! nobody needs them.

use std::time::Duration;

use harbor_tests::{Client, Harbor, docker, try_docker, within};
use reqwest::Method;
use serde_json::{Value, json};

const BASE: &str = "daytonaio/sandbox:v0.185.0-amd64";
const SOON: Duration = Duration::from_mins(1);

/// The name of a test's own image, which goes with the guard.
struct Name(String);

impl Name {
    fn new(what: &str) -> Self {
        Self(format!("localhost:9/{what}-{}:1", std::process::id()))
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let _gone_already = std::process::Command::new("docker").args(["rmi", "--no-prune", &self.0]).output();
    }
}

async fn wanted(client: &Client, body: &Value) -> String {
    let made = client.ask(Method::POST, "/snapshots", Some(body)).await.expect(200);
    made.body["id"].as_str().expect("an id").to_owned()
}

async fn built(client: &Client, name: &str, commands: &str) -> String {
    let dockerfile = format!("FROM {BASE}\nRUN {commands}\n");
    wanted(client, &json!({"name": name, "buildInfo": {"dockerfileContent": dockerfile}})).await
}

async fn reaches(client: &Client, id: &str, state: &str) -> Value {
    within(SOON, &format!("the snapshot is {state}"), async || {
        let found = client.ask(Method::GET, &format!("/snapshots/{id}"), None).await.expect(200).body;
        if found["state"] == state { Ok(found) } else { Err(found.to_string()) }
    })
    .await
}

/// The command lines of containers that have `mark` in them.
async fn running(mark: &str) -> Vec<String> {
    let listed = docker(&["ps", "--no-trunc", "--format", "{{.Command}}"]).await;
    listed.lines().filter(|line| line.contains(mark)).map(str::to_owned).collect()
}

#[tokio::test]
async fn an_image_is_pinned_and_kept_while_its_snapshot_is_active() {
    let name = Name::new("pinned");
    docker(&["tag", BASE, &name.0]).await;
    let harbor = Harbor::shared().await;
    let client = harbor.client();
    let id = wanted(&client, &json!({"name": "pinned", "imageName": name.0})).await;
    reaches(&client, &id, "active").await;
    // the name goes, and then means another image
    docker(&["rmi", "--no-prune", &name.0]).await;
    docker(&["tag", "harbor/infra:empty", &name.0]).await;
    let sandbox = client.started_as(&json!({"snapshot": "pinned"})).await;
    assert_eq!(sandbox.output("whoami").await, "daytona");
    sandbox.deleted().await;
    let _removed = client.ask(Method::DELETE, &format!("/snapshots/{id}"), None).await.expect(200);
}

#[tokio::test]
async fn a_build_survives_a_crash_is_kept_and_goes_with_its_snapshot() {
    let harbor = Harbor::started().await;
    let mark = format!("mark-{}", std::process::id());
    let id = built(&harbor.client(), "built", &format!("sleep 3 && echo {mark} >/home/daytona/made")).await;
    reaches(&harbor.client(), &id, "building").await;
    harbor.kill().await;
    harbor.up().await;
    let client = harbor.client();
    let reference = reaches(&client, &id, "active").await["ref"].as_str().expect("a reference").to_owned();
    let sandbox = client.started_as(&json!({"snapshot": "built"})).await;
    assert_eq!(sandbox.output("cat ~/made").await, mark);
    sandbox.deleted().await;
    within(SOON, "it is kept", async || match try_docker(&["rmi", &reference]).await {
        Err(said) if said.contains("conflict") => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    let _removed = client.ask(Method::DELETE, &format!("/snapshots/{id}"), None).await.expect(200);
    within(SOON, "it is removed", async || match try_docker(&["image", "inspect", &reference]).await {
        Err(_) => Ok(()),
        Ok(found) => Err(found),
    })
    .await;
}

#[tokio::test]
async fn a_build_without_end_is_given_up_with_whoever_waits_for_it() {
    let harbor = Harbor::started().await;
    let client = harbor.client();
    let mark = format!("endless-{}", std::process::id());
    let dockerfile = format!("FROM {BASE}\nRUN echo {mark} && sleep 600\n");
    let made = client.created(&json!({"buildInfo": {"dockerfileContent": dockerfile}})).await;
    let state = async || made.get().await.expect(200).body["state"].clone();
    within(SOON, "the build runs", async || match (state().await, running(&mark).await.len()) {
        (state, 1) if state == "building_snapshot" => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    let refused = made.try_act("start").await.expect("an answer");
    assert!(refused.status == 409 && refused.message().contains("building_snapshot"), "{refused}");
    made.deleted().await;
    within(SOON, "the build ends", async || match running(&mark).await {
        left if left.is_empty() => Ok(()),
        left => Err(format!("{left:?}")),
    })
    .await;
}

#[tokio::test]
async fn a_dockerfile_reaches_nothing_of_the_machine() {
    let harbor = Harbor::shared().await;
    let client = harbor.client();
    for (name, line) in [
        ("outside", "COPY ../../etc/passwd /tmp/passwd"),
        ("absolute", "COPY /etc/hostname /tmp/hostname"),
        ("unknown", "LAUNCH rockets"),
    ] {
        let dockerfile = format!("FROM {BASE}\n{line}\n");
        let body = json!({"name": name, "buildInfo": {"dockerfileContent": dockerfile}});
        let id = wanted(&client, &body).await;
        let failed = reaches(&client, &id, "build_failed").await;
        assert!(failed["errorReason"].as_str().is_some_and(|reason| reason.contains("could not build")), "{failed}");
        let _removed = client.ask(Method::DELETE, &format!("/snapshots/{id}"), None).await.expect(200);
    }
}

#[tokio::test]
async fn a_volume_of_an_image_is_a_directory_of_its_sandboxes() {
    let harbor = Harbor::started().await;
    let client = harbor.client();
    let base = Name::new("volume");
    // a small one, if it is there: all of it is written out and read again
    let small = "harbor/debian:bookworm";
    let from = if try_docker(&["image", "inspect", small]).await.is_ok() { small } else { BASE };
    let dockerfile = format!(
        "FROM {from}\nUSER root\nRUN mkdir /data && echo seed >/data/seed\nVOLUME /data\nVOLUME [\"/opt/harbor/current\"]\n"
    );
    let id = wanted(&client, &json!({"name": "built", "buildInfo": {"dockerfileContent": dockerfile}})).await;
    let built = reaches(&client, &id, "active").await;
    // as an image that was pulled
    docker(&["tag", built["ref"].as_str().expect("a reference"), &base.0]).await;
    let id = wanted(&client, &json!({"name": "named", "imageName": base.0})).await;
    reaches(&client, &id, "active").await;
    for snapshot in ["built", "named"] {
        let sandbox = client.started_as(&json!({"snapshot": snapshot})).await;
        assert_eq!(sandbox.output("cat /data/seed && echo mine >/data/mine && id -un").await, "seed\nroot");
        let fork = sandbox.act("fork").await.expect(200);
        let fork = client.sandbox(fork.body["id"].as_str().expect("an id"));
        fork.start().await;
        assert_eq!(fork.output("cat /data/seed /data/mine").await, "seed\nmine", "{snapshot}");
        fork.deleted().await;
        sandbox.deleted().await;
    }
}
