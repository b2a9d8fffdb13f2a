//! What somebody with `docker` does behind harbor's back: what harbor tells is true again within five seconds, and
//! nothing is lost that was not removed.

use std::time::Duration;

use harbor_tests::{Harbor, Limit, Sandbox, docker, inspect, state_within, within};

/// Within this harbor has seen it.
const SEEN: Limit = Limit::promised(Duration::from_secs(5));

/// Whether its processes run; those of one that sleeps are frozen.
async fn runs(sandbox: &Sandbox) -> bool {
    let state = &inspect(&sandbox.container()).await["State"];
    state["Running"] == true && state["Paused"] == false
}

/// Stopped with this reason, and after a start all is as before.
async fn assert_stopped_and_startable(sandbox: &Sandbox, reason: &str) {
    state_within(SEEN, sandbox, &["stopped"]).await;
    let found = sandbox.get().await;
    let told = found.body["stopReason"].as_str().unwrap_or_default();
    assert!(told.contains(reason), "the reason is {told:?}, not {reason:?}");
    within(SEEN, "nothing of it runs", async || if runs(sandbox).await { Err("it does".to_owned()) } else { Ok(()) })
        .await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(sandbox.get().await.body["state"], "stopped", "it is not started unasked");
    sandbox.start().await;
    assert_eq!(sandbox.output("cat ~/kept").await, "kept");
    assert_eq!(sandbox.get().await.body["stopReason"], serde_json::Value::Null);
}

async fn with_a_file(harbor: &Harbor) -> Sandbox {
    let sandbox = harbor.client().started().await;
    sandbox.output("echo kept >~/kept").await;
    sandbox
}

#[tokio::test]
async fn a_removed_sandbox_container_is_an_error_with_a_reason() {
    let harbor = Harbor::shared().await;
    let sandbox = harbor.client().started().await;
    docker(&["rm", "--force", &sandbox.container()]).await;
    state_within(SEEN, &sandbox, &["error"]).await;
    let found = sandbox.get().await;
    let reason = found.body["errorReason"].as_str().unwrap_or_default();
    assert!(reason.contains("removed") && reason.contains("delete"), "{reason}");
    assert_eq!(found.body["recoverable"], false);
    let refused = sandbox.act("start").await.expect(400);
    assert!(refused.message().contains("removed"), "{refused}");
    assert_eq!(sandbox.toolbox(reqwest::Method::GET, "/work-dir", None).await.status, 400);
    sandbox.deleted().await;
    within(SEEN, "its infra container is gone", async || {
        let infra = harbor.containers("infra").await;
        if infra.iter().any(|(_, id)| *id == sandbox.id) { Err(format!("{infra:?}")) } else { Ok(()) }
    })
    .await;
}

#[tokio::test]
async fn a_stopped_container_removed_is_an_error_too() {
    let harbor = Harbor::shared().await;
    let sandbox = harbor.client().stopped().await;
    docker(&["rm", "--force", &sandbox.container()]).await;
    state_within(SEEN, &sandbox, &["error"]).await;
    sandbox.deleted().await;
}

#[tokio::test]
async fn docker_stop_is_a_stop() {
    let harbor = Harbor::shared().await;
    let sandbox = with_a_file(&harbor).await;
    docker(&["stop", &sandbox.container()]).await;
    assert_stopped_and_startable(&sandbox, "without being asked").await;
}

#[tokio::test]
async fn process_1_killed_is_a_stop() {
    let harbor = Harbor::shared().await;
    let sandbox = with_a_file(&harbor).await;
    docker(&["kill", &sandbox.container()]).await;
    assert_stopped_and_startable(&sandbox, "without being asked").await;
}

#[tokio::test]
async fn from_inside_process_1_can_be_asked_to_end_and_not_be_killed() {
    let harbor = Harbor::shared().await;
    let sandbox = with_a_file(&harbor).await;
    for signal in ["KILL", "STOP", "ABRT", "SEGV", "HUP"] {
        for rights in ["", "sudo "] {
            sandbox.run(&format!("{rights}kill -s {signal} 1")).await;
            assert_eq!(sandbox.output("cat ~/kept").await, "kept", "{rights}kill -s {signal} 1");
        }
    }
    // it may be gone before it has answered
    let body = serde_json::json!({"command": "kill -s TERM 1"});
    let _answer = sandbox.toolbox_request(reqwest::Method::POST, "/process/execute").json(&body).send().await;
    assert_stopped_and_startable(&sandbox, "without being asked").await;
}

#[tokio::test]
async fn a_restarted_sandbox_container_is_what_it_is() {
    let harbor = Harbor::shared().await;
    let sandbox = with_a_file(&harbor).await;
    docker(&["restart", "--time", "5", &sandbox.container()]).await;
    tokio::time::sleep(SEEN.time()).await;
    let state = within(SEEN, "what is told is true", async || {
        let state = sandbox.get().await.body["state"].as_str().unwrap_or_default().to_owned();
        let running = runs(&sandbox).await;
        match (state.as_str(), running) {
            ("started", true) | ("stopped", false) => Ok(state),
            _ => Err(format!("{state}, running: {running}")),
        }
    })
    .await;
    if state == "stopped" {
        sandbox.start().await;
    }
    // a new process 1 has no token until harbor configures it
    assert_eq!(sandbox.output("cat ~/kept").await, "kept");
}

#[tokio::test]
async fn a_removed_infra_container_is_made_anew_with_the_next_start() {
    let harbor = Harbor::shared().await;
    let sandbox = with_a_file(&harbor).await;
    let user = sandbox.output("stat --format %U ~/kept").await;
    sandbox.output("ln -s kept ~/link && sudo sh -c 'rm /etc/motd; echo by-root >/opt/by-root'").await;
    docker(&["rm", "--force", &sandbox.infra()]).await;
    assert_stopped_and_startable(&sandbox, "network keeper").await;
    assert_eq!(sandbox.output("stat --format %U ~/kept").await, user);
    assert_eq!(
        sandbox.output("cat ~/link /opt/by-root; ls /etc/motd 2>&1 | grep -c 'No such'").await,
        "kept\nby-root\n1"
    );
    let of_it: Vec<_> = harbor.containers("sandbox").await.into_iter().filter(|(_, id)| *id == sandbox.id).collect();
    assert_eq!(of_it.len(), 1, "the old container is gone: {of_it:?}");
}

#[tokio::test]
async fn infra_removed_while_stopped_is_made_anew_with_the_next_start() {
    let harbor = Harbor::shared().await;
    let sandbox = with_a_file(&harbor).await;
    let _accepted = sandbox.act("stop").await.expect(200);
    state_within(Duration::from_secs(15), &sandbox, &["stopped"]).await;
    docker(&["rm", "--force", &sandbox.infra()]).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(sandbox.get().await.body["state"], "stopped");
    sandbox.start().await;
    assert_eq!(sandbox.output("cat ~/kept").await, "kept");
}

#[tokio::test]
async fn a_killed_or_restarted_infra_container_stops_its_sandbox() {
    let harbor = Harbor::shared().await;
    let sandbox = with_a_file(&harbor).await;
    docker(&["kill", &sandbox.infra()]).await;
    assert_stopped_and_startable(&sandbox, "network keeper").await;
    // an infra container that was started anew has another network namespace than the sandbox
    docker(&["restart", &sandbox.infra()]).await;
    assert_stopped_and_startable(&sandbox, "network keeper").await;
}

#[tokio::test]
async fn a_paused_container_is_a_paused_sandbox_and_goes_on() {
    let harbor = Harbor::shared().await;
    let sandbox = with_a_file(&harbor).await;
    docker(&["pause", &sandbox.container()]).await;
    state_within(Duration::from_secs(20), &sandbox, &["paused"]).await;
    let _accepted = sandbox.act("start").await.expect(200);
    state_within(Duration::from_secs(20), &sandbox, &["started"]).await;
    assert_eq!(sandbox.output("cat ~/kept").await, "kept");
    // and paused it can be deleted
    docker(&["pause", &sandbox.container()]).await;
    state_within(Duration::from_secs(20), &sandbox, &["paused"]).await;
    sandbox.deleted().await;
}

#[tokio::test]
async fn a_stopped_container_that_somebody_starts_is_stopped_again() {
    let harbor = Harbor::installed().with("HARBOR_STOPPED_ASLEEP", "0");
    harbor.up().await;
    let sandbox = harbor.client().stopped().await;
    docker(&["start", &sandbox.infra()]).await;
    docker(&["start", &sandbox.container()]).await;
    within(Duration::from_secs(15), "it is stopped, as its owner wants it", async || {
        let running = inspect(&sandbox.container()).await["State"]["Running"].clone();
        let state = sandbox.get().await.body["state"].clone();
        if running == false && state == "stopped" { Ok(()) } else { Err(format!("{state}, running {running}")) }
    })
    .await;
}

#[tokio::test]
async fn stock_that_somebody_removed_is_not_handed_out() {
    let harbor = Harbor::started().await;
    let client = harbor.client();
    let spare = within(Duration::from_secs(10), "the stock is full", async || {
        let infra = harbor.containers("infra").await;
        if infra.len() >= 2 { Ok(infra) } else { Err(format!("{infra:?}")) }
    })
    .await;
    for (name, _) in &spare {
        docker(&["rm", "--force", name]).await;
    }
    // at once, before anybody has looked, and a little later
    let first = client.started().await;
    assert_eq!(first.output("echo works").await, "works");
    let second = client.started().await;
    assert_eq!(second.output("echo works").await, "works");
}

#[tokio::test]
async fn what_a_call_left_that_harbor_died_in_is_removed() {
    let harbor = Harbor::started().await;
    let nobody = "5f0c1f5e-95a4-4f0e-8a3c-0d7f6c1b2a39";
    let label = format!("harbor.instance={}", harbor.instance());
    let (sandbox, name) = (format!("harbor.sandbox={nobody}"), format!("harbor-infra-{nobody}"));
    let labels = ["--label", &label, "--label", &sandbox, "--label", "harbor.role=infra"];
    docker(&[&["create", "--name", &name], &labels[..], &["harbor/infra:empty", "x"]].concat()).await;
    within(SEEN, "it is gone", async || {
        let infra = harbor.containers("infra").await;
        if infra.iter().any(|(found, _)| *found == name) { Err(format!("{infra:?}")) } else { Ok(()) }
    })
    .await;
}

#[tokio::test]
async fn a_missing_image_is_named() {
    let harbor = Harbor::installed();
    let image =
        format!("harbor-test/gone:{}", harbor.place().file_name().and_then(|name| name.to_str()).unwrap_or("x"));
    let image = image.replace("harbor-platform.", "").to_lowercase();
    docker(&["tag", "daytonaio/sandbox:v0.185.0-amd64", &image]).await;
    let harbor = harbor.with("HARBOR_DAYTONA_DEFAULT_SNAPSHOT", &image);
    harbor.up().await;
    let client = harbor.client();
    let before = client.started().await;
    docker(&["rmi", &image]).await;
    let refused = client.ask(reqwest::Method::POST, "/sandbox", Some(&serde_json::json!({}))).await.expect(400);
    assert!(refused.message().contains(&image), "the image is named: {refused}");
    let failed: Vec<_> = client.sandboxes().await.into_iter().filter(|(_, state)| state == "error").collect();
    assert_eq!(failed.len(), 1, "its row stays, with the reason");
    let failed = client.sandbox(&failed[0].0);
    assert!(failed.get().await.body["errorReason"].to_string().contains(&image));
    failed.deleted().await;
    // what exists is not touched by that
    let _accepted = before.act("stop").await.expect(200);
    state_within(Duration::from_secs(15), &before, &["stopped"]).await;
    before.start().await;
    assert_eq!(before.output("echo works").await, "works");
}
