//! Volumes on a real engine: files outlive sandboxes, harbor and clean-ups, and go when they are to go.

use std::path::PathBuf;
use std::time::Duration;

use harbor_tests::{Client, Harbor, Sandbox, prune_containers, state_within, within};
use reqwest::Method;
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(20);

async fn volume(client: &Client, name: &str) -> String {
    let made = client.ask(Method::POST, "/volumes", Some(&json!({"name": name}))).await.expect(200);
    made.body["id"].as_str().expect("an id").to_owned()
}

async fn with_volume(client: &Client, name: &str) -> Sandbox {
    client.started_as(&json!({"volumes": [{"volumeId": name, "mountPath": "/mnt/v"}]})).await
}

fn directory(harbor: &Harbor, volume: &str) -> PathBuf {
    harbor.data().join("volumes").join(volume)
}

async fn gone(client: &Client, harbor: &Harbor, id: &str) {
    within(SOON, "the volume is removed", async || {
        let found = client.ask(Method::GET, &format!("/volumes/{id}"), None).await.expect(200);
        match (found.body["state"].as_str(), directory(harbor, id).exists()) {
            (Some("deleted"), false) => Ok(()),
            (state, there) => Err(format!("{state:?}, directory there: {there}")),
        }
    })
    .await;
}

#[tokio::test]
async fn files_outlive_stops_archives_prunes_and_kills() {
    let harbor = Harbor::started().await;
    let client = harbor.client();
    let id = volume(&client, "data").await;
    let sandbox = with_volume(&client, "data").await;
    sandbox.output("echo 1 >>/mnt/v/file; sudo sh -c 'mkdir /mnt/v/of-root; chmod 700 /mnt/v/of-root; echo x >/mnt/v/of-root/f'").await;
    let _accepted = sandbox.act("stop").await.expect(200);
    state_within(SOON, &sandbox, &["stopped"]).await;
    prune_containers(&format!("harbor.instance={}", harbor.instance())).await;
    sandbox.start().await;
    sandbox.output("echo 2 >>/mnt/v/file").await;
    harbor.kill_and_go_on().await;
    harbor.up().await;
    let (client, sandbox) = (harbor.client(), harbor.client().sandbox(&sandbox.id));
    sandbox.output("echo 3 >>/mnt/v/file").await;
    let _accepted = sandbox.act("stop").await.expect(200);
    state_within(SOON, &sandbox, &["stopped"]).await;
    let _accepted = sandbox.act("archive").await.expect(200);
    state_within(SOON, &sandbox, &["archived"]).await;
    let _busy = client.ask(Method::DELETE, &format!("/volumes/{id}"), None).await.expect(409);
    sandbox.start().await;
    sandbox.output("echo 4 >>/mnt/v/file").await;
    let fork = sandbox.act("fork").await.expect(200);
    let fork = client.sandbox(fork.body["id"].as_str().expect("an id"));
    state_within(SOON, &fork, &["started"]).await;
    assert_eq!(fork.output("cat /mnt/v/file").await.split_whitespace().collect::<Vec<_>>(), ["1", "2", "3", "4"]);

    fork.deleted().await;
    sandbox.deleted().await;
    let other = with_volume(&client, &id).await;
    assert_eq!(other.output("ls /mnt/v; sudo cat /mnt/v/of-root/f").await.trim(), "file\nof-root\nx");
    other.deleted().await;
    let _accepted = client.ask(Method::DELETE, &format!("/volumes/{id}"), None).await.expect(200);
    gone(&client, &harbor, &id).await;
}

#[tokio::test]
async fn a_volume_is_removed_whenever_harbor_is_killed() {
    let harbor = Harbor::started().await;
    for milliseconds in [0, 5, 40] {
        let client = harbor.client();
        let id = volume(&client, "data").await;
        let sandbox = with_volume(&client, "data").await;
        sandbox
            .output("mkdir -p $(seq -s/ 1 200 | sed s,^,/mnt/v/,); for n in $(seq 500); do echo x >/mnt/v/$n-; done")
            .await;
        sandbox.deleted().await;
        let _accepted = client.ask(Method::DELETE, &format!("/volumes/{id}"), None).await.expect(200);
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
        harbor.kill_and_go_on().await;
        harbor.up().await;
        gone(&harbor.client(), &harbor, &id).await;
    }
}

#[tokio::test]
async fn the_command_line_lists_makes_and_removes_volumes() {
    let harbor = Harbor::started().await;
    let made = harbor.run(&["volume", "create", "my data"]).await;
    let id = made.output.trim().to_owned();
    let listed = harbor.run(&["volume", "ls", "--json"]).await;
    let listed: Value = serde_json::from_str(&listed.output).expect("JSON");
    assert_eq!(
        (&listed[0]["id"], &listed[0]["name"], &listed[0]["state"]),
        (&json!(id), &json!("my data"), &json!("ready"))
    );
    let taken = harbor.run(&["volume", "create", "my data"]).await;
    assert!(taken.one_line().contains("already exists"), "{}", taken.error);
    let sandbox = with_volume(&harbor.client(), "my data").await;
    let busy = harbor.run(&["volume", "rm", "my data"]).await;
    assert!(busy.one_line().contains("in use"), "{}", busy.error);
    sandbox.deleted().await;
    let nothing = harbor.run(&["volume", "rm", "my data", "nothing"]).await;
    assert!(nothing.one_line().contains("there is no volume nothing"), "{}", nothing.error);
    assert_eq!(harbor.run(&["volume", "rm", "my data"]).await.output.trim(), "removed volume my data");
    gone(&harbor.client(), &harbor, &id).await;

    // one that the database does not know is nobody's, and stays until somebody says otherwise
    let stray = directory(&harbor, "00000000-0000-4000-8000-000000000001");
    std::fs::create_dir(&stray).expect("made");
    let doctor = harbor.run(&["doctor"]).await;
    assert!(doctor.output.contains("volume 00000000-0000-4000-8000-000000000001"), "{}", doctor.output);
    let pruned = harbor.run(&["prune", "--orphans"]).await;
    assert!(pruned.output.contains("removed volume 00000000-0000-4000-8000-000000000001"), "{}", pruned.output);
    assert!(!stray.exists());
}
