//! What time brings about, with nobody asking for it.

use std::time::{Duration, Instant};

use harbor_tests::{Harbor, Sandbox, within};
use reqwest::Method;
use serde_json::{Value, json};

/// How late a timer of one minute may be, on a busy machine.
const LATE: Duration = Duration::from_secs(15);

async fn state(sandbox: &Sandbox) -> Value {
    sandbox.get().await.body["state"].clone()
}

#[tokio::test]
async fn idle_ones_are_stopped_or_deleted_after_their_minute_and_used_ones_are_not() {
    let harbor = Harbor::shared().await;
    let client = harbor.client();
    let made = Instant::now();
    let idle = client.started_as(&json!({"autoStopInterval": 1})).await;
    let ephemeral = client.started_as(&json!({"autoStopInterval": 1, "autoDeleteInterval": 0})).await;
    let ending = client.started_as(&json!({"autoStopInterval": 0, "ttlMinutes": 1})).await;
    let used = client.started_as(&json!({"autoStopInterval": 1})).await;
    assert!(ending.get().await.body["autoDestroyAt"].is_string());
    while made.elapsed() < Duration::from_secs(55) {
        assert_eq!(used.output("echo alive").await, "alive");
        tokio::time::sleep(Duration::from_secs(10)).await;
        if made.elapsed() < Duration::from_secs(55) {
            // looking is no use of it
            for sandbox in [&idle, &ephemeral, &ending] {
                assert_eq!(state(sandbox).await, "started");
            }
        }
    }
    within(Duration::from_secs(10) + LATE, "one that nobody used is stopped", async || {
        let row = idle.get().await.body;
        if row["state"] == "stopped" && row["stopReason"].as_str().is_some_and(|reason| reason.contains("1 minute")) {
            return Ok(());
        }
        Err(row.to_string())
    })
    .await;
    for sandbox in [ephemeral, ending] {
        within(LATE, "one whose time is over is gone", async || match sandbox.get().await {
            gone if gone.status == 404 => Ok(()),
            there => Err(there.to_string()),
        })
        .await;
    }
    assert_eq!(used.output("echo alive").await, "alive");
    let path = |what: &str| format!("/sandbox/{}/{what}", idle.id);
    assert_eq!(client.ask(Method::POST, &path("autodelete/0"), None).await.expect(200).body["autoDeleteInterval"], 0);
    within(LATE, "a stopped one that became ephemeral is gone", async || match idle.get().await {
        gone if gone.status == 404 => Ok(()),
        there => Err(there.to_string()),
    })
    .await;
}

#[tokio::test]
async fn intervals_are_set_and_wrong_ones_refused() {
    let harbor = Harbor::shared().await;
    let client = harbor.client();
    let sandbox = client.started().await;
    let set = async |what: &str| client.ask(Method::POST, &format!("/sandbox/{}/{what}", sandbox.id), None).await;
    assert_eq!(set("autostop/20.0").await.expect(200).body["autoStopInterval"], 20);
    assert_eq!(set("autodelete/-7").await.expect(200).body["autoDeleteInterval"], -1);
    assert!(set("ttl/5").await.expect(200).body["autoDestroyAt"].is_string());
    assert!(set("ttl/0").await.expect(200).body["autoDestroyAt"].is_null());
    for wrong in ["autostop/-1", "autostop/soon", "autostop/1.5", "autodelete/x", "ttl/-1", "ttl/1e3", "ttl/9999999999"]
    {
        let refused = set(wrong).await.expect(400);
        assert!(
            refused.message().contains("autoStop")
                || refused.message().contains("autoDelete")
                || refused.message().contains("ttlMinutes"),
            "{refused}"
        );
    }
    let nobody = client.ask(Method::POST, "/sandbox/nobody/autostop/5", None).await;
    assert_eq!(nobody.status, 404);
}
