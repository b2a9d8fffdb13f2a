//! What all sandboxes together are given.

use std::time::Duration;

use harbor_tests::{Client, Harbor, Sandbox, state_within};
use reqwest::Method;
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(30);

async fn refusal(client: &Client, body: &Value) -> String {
    client.ask(Method::POST, "/sandbox", Some(body)).await.expect(400).message().to_owned()
}

async fn stopped(sandbox: &Sandbox) {
    let _accepted = sandbox.act("stop").await.expect(200);
    state_within(SOON, sandbox, &["stopped"]).await;
}

#[tokio::test]
async fn no_more_is_promised_than_there_is() {
    let harbor = Harbor::installed().with("HARBOR_CAPACITY_MEMORY_OVERCOMMIT", "1");
    harbor.up().await;
    let client = harbor.client();
    let runner = client.ask(Method::GET, "/runners", None).await.expect(200).body[0].clone();
    let whole = runner["memory"].as_u64().expect("GiB");
    assert_eq!((&runner["state"], &runner["currentAllocatedCpu"]), (&json!("ready"), &json!(0)), "{runner}");

    let large = client.started_as(&json!({"memory": whole})).await;
    let refused = refusal(&client, &json!({"memory": 1})).await;
    for words in [
        "memory of 1 GiB is more than what is left",
        &format!("0 GiB of {whole} GiB, which is 1 times the {whole} GiB"),
        "stop, archive or delete sandboxes",
        "capacity.memory_overcommit",
    ] {
        assert!(refused.contains(words), "{refused}");
    }
    let rows = client.sandboxes().await;
    assert_eq!(rows, [(large.id.clone(), "started".to_owned())], "what is refused leaves no row");

    stopped(&large).await;
    let small = client.started_as(&json!({"memory": 1})).await;
    let refused = large.act("start").await.expect(400);
    assert!(refused.message().contains(&format!("memory of {whole} GiB")), "{refused}");
    let resize = format!("/sandbox/{}/resize", small.id);
    let refused = client.ask(Method::POST, &resize, Some(&json!({"memory": whole + 1}))).await.expect(400);
    assert!(refused.message().contains("more than this host"), "{refused}");
    let fork = format!("/sandbox/{}/fork", large.id);
    let refused = client.ask(Method::POST, &fork, Some(&json!({}))).await.expect(400);
    assert!(refused.message().contains("memory of"), "{refused}");

    // counted anew after a crash
    harbor.kill().await;
    harbor.up().await;
    let client = harbor.client();
    let runner = client.ask(Method::GET, "/runners", None).await.expect(200).body[0].clone();
    assert_eq!(
        (&runner["currentAllocatedMemoryGiB"], &runner["currentStartedSandboxes"]),
        (&json!(1), &json!(1)),
        "{runner}"
    );
    client.sandbox(&small.id).deleted().await;
    client.sandbox(&large.id).start().await;
}

#[tokio::test]
async fn of_a_burst_that_is_too_large_as_many_are_made_as_fit() {
    let harbor = Harbor::installed().with("HARBOR_CAPACITY_CPU_OVERCOMMIT", "1");
    harbor.up().await;
    let client = harbor.client();
    let runner = client.ask(Method::GET, "/runners", None).await.expect(200).body[0].clone();
    let fit = usize::try_from(runner["cpu"].as_u64().expect("processors")).expect("few");
    let asked: Vec<_> = (0..fit + 6)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.ask(Method::POST, "/sandbox", Some(&json!({"cpu": 1}))).await })
        })
        .collect();
    let mut made = 0;
    for answer in asked {
        let answer = answer.await.expect("an answer");
        match answer.status {
            200 => made += 1,
            400 => assert!(answer.message().contains("cpu of 1 is more than what is left"), "{answer}"),
            _ => panic!("{answer}"),
        }
    }
    assert_eq!(made, fit);
}
