//! Stopped sandboxes that sleep: nothing of them runs, nobody's clean-up removes them, and they wake as after any start.

use std::time::Duration;

use harbor_tests::{Harbor, Sandbox, docker, inspect, prune_containers, state_within, within};
use reqwest::Method;
use serde_json::json;

const SOON: Duration = Duration::from_secs(10);

async fn stopped(sandbox: &Sandbox) {
    let _accepted = sandbox.act("stop").await.expect(200);
    state_within(SOON, sandbox, &["stopped"]).await;
}

async fn asleep(sandbox: &Sandbox) -> bool {
    inspect(&sandbox.container()).await["State"]["Paused"] == true
}

#[tokio::test]
async fn a_sleeping_sandbox_outlives_a_prune_and_remembers_only_its_files() {
    let harbor = Harbor::shared().await;
    let sandbox = harbor.client().started().await;
    sandbox.output("echo kept >~/kept; echo gone >/dev/shm/gone; : >/dev/mqueue/gone").await;
    // of its user, of root, and one that does not want to end
    sandbox.output("nohup sleep 1000 >/dev/null 2>&1 & sudo nohup sleep 1000 >/dev/null 2>&1 & sleep 0.2").await;
    sandbox.output("nohup sh -c 'trap \"\" TERM HUP; while :; do sleep 1; done' >/dev/null 2>&1 &").await;
    let session = json!({"sessionId": "work"});
    let _made = sandbox.toolbox(Method::POST, "/process/session", Some(&session)).await.expect(201);
    let _accepted = sandbox.act("stop?force=true").await.expect(200);
    state_within(SOON, &sandbox, &["stopped"]).await;
    assert!(asleep(&sandbox).await);
    let top = docker(&["top", &sandbox.container(), "-o", "pid"]).await;
    assert_eq!(top.lines().count(), 2, "{top}");
    let refused = sandbox.toolbox(Method::GET, "/work-dir", None).await.expect(400);
    assert!(refused.message().contains("stopped"), "{refused}");

    prune_containers(&format!("harbor.sandbox={}", sandbox.id)).await;
    sandbox.start().await;
    assert_eq!(
        sandbox.output("cat ~/kept; ls -A /dev/shm; find /dev/mqueue -type f; pgrep -cfx 'sleep 1000' || true").await,
        "kept\n0"
    );
    let sessions = sandbox.toolbox(Method::GET, "/process/session", None).await.expect(200);
    let left = sessions.body.as_array().expect("a list").iter().filter(|one| one["sessionId"] == "work").count();
    assert_eq!(left, 0, "{sessions}");
    sandbox.deleted().await;
}

#[tokio::test]
async fn a_call_under_way_is_told_that_its_sandbox_is_stopped() {
    let harbor = Harbor::shared().await;
    let sandbox = harbor.client().started().await;
    let call = sandbox.begin("sleep 60");
    tokio::time::sleep(Duration::from_millis(500)).await;
    stopped(&sandbox).await;
    assert!(asleep(&sandbox).await);
    let ended = tokio::time::timeout(SOON, call).await.expect("it ends").expect("an answer");
    assert!([400, 503].contains(&ended.status) && ended.message().contains("stop"), "{ended}");
    sandbox.deleted().await;
}

#[tokio::test]
async fn a_sleeping_sandbox_outlives_harbor_and_somebody_who_wakes_it() {
    let harbor = Harbor::started().await;
    let sandbox = harbor.client().started().await;
    sandbox.output("echo kept >~/kept").await;
    let _accepted = sandbox.act("stop").await.expect(200);
    harbor.kill_and_go_on().await;
    harbor.up().await;
    let sandbox = harbor.client().sandbox(&sandbox.id);
    state_within(SOON, &sandbox, &["stopped"]).await;
    docker(&["unpause", &sandbox.container()]).await;
    within(
        SOON,
        "it sleeps again",
        async || {
            if asleep(&sandbox).await { Ok(()) } else { Err("it is awake".to_owned()) }
        },
    )
    .await;
    // its row says so a moment after the engine
    state_within(SOON, &sandbox, &["stopped"]).await;
    sandbox.start().await;
    assert_eq!(sandbox.output("cat ~/kept").await, "kept");
}

#[tokio::test]
async fn those_that_the_engine_ended_sleep_before_anybody_cleans_up() {
    let harbor = Harbor::started().await;
    let client = harbor.client();
    let (asleep_before, awake) = (client.started().await, client.started().await);
    for sandbox in [&asleep_before, &awake] {
        sandbox.output("echo kept >~/kept").await;
    }
    stopped(&asleep_before).await;
    // as an engine does that is restarted with its machine
    harbor.kill_and_go_on().await;
    docker(&["unpause", &asleep_before.container()]).await;
    for sandbox in [&asleep_before, &awake] {
        docker(&["kill", &sandbox.container(), &sandbox.infra()]).await;
    }
    harbor.up().await;
    let client = harbor.client();
    for id in [&asleep_before.id, &awake.id] {
        let sandbox = client.sandbox(id);
        within(SOON, "it sleeps", async || if asleep(&sandbox).await { Ok(()) } else { Err("it does not".to_owned()) })
            .await;
        assert_eq!(sandbox.get().await.body["state"], "stopped");
        prune_containers(&format!("harbor.sandbox={id}")).await;
        sandbox.start().await;
        assert_eq!(sandbox.output("cat ~/kept").await, "kept");
    }
}

#[tokio::test]
async fn one_that_does_not_sleep_outlives_a_prune_too() {
    let harbor = Harbor::installed().with("HARBOR_STOPPED_ASLEEP", "1");
    harbor.up().await;
    let client = harbor.client();
    stopped(&client.started().await).await;
    let sandbox = client.started().await;
    sandbox.output("echo kept >~/kept").await;
    stopped(&sandbox).await;
    within(SOON, "its files are stored", async || {
        let told = sandbox.get().await.body["backupState"].clone();
        if told == "Completed" { Ok(()) } else { Err(told.to_string()) }
    })
    .await;
    assert_eq!(inspect(&sandbox.container()).await["State"]["Running"], false);
    prune_containers(&format!("harbor.sandbox={}", sandbox.id)).await;
    state_within(SOON, &sandbox, &["archived"]).await;
    sandbox.start().await;
    assert_eq!(sandbox.output("cat ~/kept").await, "kept");
    assert_eq!(sandbox.get().await.body["backupState"], "None");
}
