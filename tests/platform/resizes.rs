//! Giving a sandbox other limits.

use std::time::Duration;

use harbor_tests::{Harbor, inspect, state_within};
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn what_is_resized_has_other_limits_at_once() {
    let harbor = Harbor::shared().await;
    let client = harbor.client();
    let sandbox = client.started_as(&json!({"cpu": 1, "memory": 1, "disk": 3})).await;
    let path = format!("/sandbox/{}/resize", sandbox.id);
    let process = sandbox.output("sleep 600 >/dev/null 2>&1 & echo $!").await;
    let resized = client.ask(Method::POST, &path, Some(&json!({"cpu": 2, "memory": 2}))).await.expect(200).body;
    assert_eq!((&resized["state"], &resized["cpu"], &resized["memory"]), (&json!("started"), &json!(2), &json!(2)));
    let limits = &inspect(&sandbox.container()).await["HostConfig"];
    assert_eq!(limits["NanoCpus"], 2_000_000_000_i64, "{limits}");
    assert_eq!(limits["Memory"], 2_i64 << 30, "{limits}");
    assert_eq!(limits["MemorySwap"], limits["Memory"], "swap comes on top: {limits}");
    let limit = "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || true";
    assert_eq!(sandbox.output(limit).await, (2_i64 << 30).to_string(), "inside");
    assert_eq!(sandbox.output(&format!("kill -0 {process} && echo alive")).await, "alive");

    for (body, word) in [
        (json!({}), "at least one"),
        (json!({"cpu": 0}), "cpu"),
        (json!({"memory": -1}), "memory"),
        (json!({"memory": 1.5}), "integer"),
        (json!({"cpu": 2, "memory": 2}), "already"),
        (json!({"cpu": 1}), "stop it first"),
        (json!({"disk": 4}), "stopped"),
        (json!({"disk": 2}), "shrink"),
        (json!({"cpu": 4_000_000}), "more than this host"),
    ] {
        let refused = client.ask(Method::POST, &path, Some(&body)).await.expect(400);
        assert!(refused.message().contains(word), "{body}: {refused}");
    }

    let _accepted = sandbox.act("stop").await.expect(200);
    state_within(Duration::from_secs(30), &sandbox, &["stopped"]).await;
    let smaller = client.ask(Method::POST, &path, Some(&json!({"cpu": 1, "memory": 1, "disk": 5}))).await.expect(200);
    assert_eq!((&smaller.body["state"], &smaller.body["disk"]), (&json!("stopped"), &json!(5)));
    sandbox.start().await;
    assert_eq!(sandbox.output(limit).await, (1_i64 << 30).to_string(), "kept over a start");
    let _accepted = sandbox.act("pause").await.expect(200);
    state_within(Duration::from_secs(10), &sandbox, &["paused"]).await;
    let refused = client.ask(Method::POST, &path, Some(&json!({"cpu": 2}))).await.expect(400);
    assert!(refused.message().contains("paused"), "{refused}");
}
