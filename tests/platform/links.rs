//! Sandboxes that share a private network.

use std::time::Duration;

use harbor_tests::{Client, Harbor, Sandbox, docker, state_within, within};
use reqwest::Method;
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(20);

async fn linked_to(client: &Client, target: &str) -> Sandbox {
    let body = json!({"linkedSandbox": target, "autoDeleteInterval": 0});
    let sandbox = client.started_as(&body).await;
    assert!(sandbox.get().await.body["linkedSandboxId"].is_string());
    sandbox
}

/// What a server in one says to the other that asks for it by `host`.
async fn heard(from: &Sandbox, host: &str) -> String {
    from.output(&format!("curl -s --retry 20 --retry-connrefused --retry-delay 1 --max-time 5 http://{host}:8123/word"))
        .await
}

async fn serve(sandbox: &Sandbox, word: &str) {
    let server = "nohup python3 -m http.server --directory /tmp/served 8123 >/dev/null 2>&1 &";
    sandbox.output(&format!("mkdir -p /tmp/served; echo -n {word} >/tmp/served/word; {server}")).await;
}

async fn networks(to: &str) -> String {
    docker(&["network", "ls", "--quiet", "--filter", &format!("label=harbor.linked={to}")]).await
}

#[tokio::test]
async fn linked_ones_find_each_other_by_name_and_nobody_else_does() {
    let harbor = Harbor::shared().await;
    let client = harbor.client();
    let target = client.started_as(&json!({"name": "database-1"})).await;
    let follower = linked_to(&client, "database-1").await;
    let second = linked_to(&client, &target.id).await;
    let stranger = client.started().await;
    serve(&target, "target").await;
    serve(&follower, "follower").await;
    assert_eq!(heard(&follower, "database-1").await, "target");
    assert_eq!(heard(&second, &target.id).await, "target");
    assert_eq!(heard(&target, &follower.id).await, "follower");
    let asked = "curl -s --max-time 3 http://database-1:8123/word; echo $?";
    assert_ne!(stranger.output(asked).await, "target0", "by name");
    let address = target.output("hostname -I | tr ' ' '\\n' | grep . | tail -n 1").await;
    let asked = format!("curl -s --max-time 3 http://{address}:8123/word >/dev/null; echo $?");
    assert_ne!(stranger.output(&asked).await, "0", "by address");

    let refused = async |body: Value| {
        let answer = client.ask(Method::POST, "/sandbox", Some(&body)).await;
        (answer.status, answer.message().to_owned())
    };
    for (body, status, word) in [
        (json!({"linkedSandbox": follower.id, "autoDeleteInterval": 0}), 400, "not chained"),
        (json!({"linkedSandbox": target.id}), 400, "ephemeral"),
        (json!({"linkedSandbox": "nobody", "autoDeleteInterval": 0}), 404, "nobody"),
    ] {
        let (found, message) = refused(body.clone()).await;
        assert!(found == status && message.contains(word), "{body}: {found} {message}");
    }

    target.deleted().await;
    for sandbox in [&follower, &second] {
        within(SOON, "it goes with its target", async || {
            let found = sandbox.get().await;
            if found.status == 404 { Ok(()) } else { Err(found.to_string()) }
        })
        .await;
    }
    assert_eq!(networks(&target.id).await, "", "their networks are gone");
    stranger.deleted().await;
}

#[tokio::test]
async fn a_link_outlives_the_targets_stop_and_a_lost_network() {
    let harbor = Harbor::shared().await;
    let client = harbor.client();
    let target = client.started().await;
    let follower = linked_to(&client, &target.id).await;
    for lost in [false, true] {
        let _accepted = target.act("stop").await.expect(200);
        state_within(SOON, &target, &["stopped"]).await;
        if lost {
            docker(&["rm", "--force", &target.infra()]).await;
        }
        target.start().await;
        serve(&target, "again").await;
        assert_eq!(heard(&follower, &target.id).await, "again", "lost: {lost}");
    }
    // linked to one that is stopped, which it finds once that is started
    let _accepted = target.act("stop").await.expect(200);
    state_within(SOON, &target, &["stopped"]).await;
    let late = linked_to(&client, &target.id).await;
    target.start().await;
    serve(&target, "late").await;
    assert_eq!(heard(&late, &target.id).await, "late");
    target.deleted().await;
}
