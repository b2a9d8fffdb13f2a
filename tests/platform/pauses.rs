//! Freezing a sandbox, and letting it go on.

use std::time::Duration;

use harbor_tests::{Harbor, inspect, state_within, within};
use reqwest::Method;
use serde_json::json;

const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn processes_stand_still_and_go_on() {
    let harbor = Harbor::shared().await;
    let sandbox = harbor.client().started().await;
    let count = "sh -c 'while :; do echo x >>~/ticks; sleep 0.05; done' >/dev/null 2>&1 & echo $!";
    let process = sandbox.output(count).await;
    let preview = format!("/sandbox/{}/ports/3000/preview-url", sandbox.id);
    let token = harbor.client().ask(Method::GET, &preview, None).await.expect(200).body["token"].clone();
    let paused = sandbox.act("pause").await.expect(200);
    assert_eq!((&paused.body["state"], &paused.body["desiredState"]), (&json!("pausing"), &json!("paused")));
    state_within(SOON, &sandbox, &["paused"]).await;
    assert_eq!(inspect(&sandbox.container()).await["State"]["Paused"], true);
    let refused = sandbox.toolbox(Method::GET, "/work-dir", None).await.expect(400);
    assert!(refused.message().contains("paused"), "{refused}");
    for verb in ["pause", "archive", "resize"] {
        let refused = sandbox.act(verb).await;
        assert!([400, 501].contains(&refused.status), "{verb}: {refused}");
    }
    sandbox.start().await;
    let before: u64 = sandbox.output("wc -l <~/ticks").await.parse().expect("a number");
    assert_eq!(sandbox.output(&format!("kill -0 {process} && echo alive")).await, "alive");
    within(SOON, "it counts on", async || {
        let now: u64 = sandbox.output("wc -l <~/ticks").await.parse().expect("a number");
        if now > before { Ok(()) } else { Err(format!("{before} {now}")) }
    })
    .await;
    let later = harbor.client().ask(Method::GET, &preview, None).await.expect(200).body["token"].clone();
    assert_eq!(later, token, "only another run has another token");
}

#[tokio::test]
async fn a_call_under_way_ends_when_its_sandbox_is_paused() {
    let harbor = Harbor::shared().await;
    let sandbox = harbor.client().started().await;
    let call = sandbox.begin("sleep 60");
    tokio::time::sleep(Duration::from_millis(500)).await;
    let _accepted = sandbox.act("pause").await.expect(200);
    let ended = tokio::time::timeout(SOON, call).await.expect("it ends").expect("an answer");
    assert_eq!(ended.status, 400, "{ended}");
    assert!(ended.message().contains("paus"), "{ended}");
}

#[tokio::test]
async fn a_paused_sandbox_outlives_harbor_and_can_be_ended() {
    let harbor = Harbor::started().await;
    let (kept, deleted) = (harbor.client().started().await, harbor.client().started().await);
    for sandbox in [&kept, &deleted] {
        let _accepted = sandbox.act("pause").await.expect(200);
    }
    // in the middle of it
    harbor.kill_and_go_on().await;
    harbor.up().await;
    let client = harbor.client();
    let (kept, deleted) = (client.sandbox(&kept.id), client.sandbox(&deleted.id));
    for sandbox in [&kept, &deleted] {
        state_within(SOON, sandbox, &["paused"]).await;
    }
    let _accepted = kept.act("stop").await.expect(200);
    state_within(SOON, &kept, &["stopped"]).await;
    kept.start().await;
    assert_eq!(kept.output("echo works").await, "works");
    deleted.deleted().await;
}
