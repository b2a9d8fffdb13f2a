//! Sandboxes that are started before anybody asks for them.

use std::collections::BTreeSet;
use std::time::Duration;

use harbor_tests::{Client, Harbor, Sandbox, within};
use reqwest::Method;
use serde_json::{Value, json};

/// What the first user of a sandbox finds, and every later one would not.
const FIRST_USE: &str = "if [ -e /tmp/used ] || [ -e ~/used ] || [ -e /dev/shm/used ]; then echo used; fi; touch /tmp/used ~/used /dev/shm/used; \
     hostname; pgrep -c .; stat -c %Y /proc/1";

/// Filling a pool on a busy machine.
const FILLED: Duration = Duration::from_secs(30);

async fn pools(client: &Client) -> Vec<Value> {
    client.ask(Method::GET, "/warm-pools", None).await.expect(200).body.as_array().expect("a list").clone()
}

/// How many sandbox containers there are that no sandbox in lists has.
async fn waiting(harbor: &Harbor) -> BTreeSet<String> {
    let listed: BTreeSet<String> = harbor.client().sandboxes().await.into_iter().map(|(id, _)| id).collect();
    let containers = harbor.containers("sandbox").await.into_iter().map(|(_, id)| id);
    containers.filter(|id| !listed.contains(id)).collect()
}

async fn filled(harbor: &Harbor, count: usize) {
    within(FILLED, "as many wait as shall", async || match waiting(harbor).await {
        enough if enough.len() == count => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
}

/// Fails where somebody has used it before.
async fn assert_unused(sandbox: &Sandbox, seen: &mut BTreeSet<String>) {
    let found = sandbox.output(FIRST_USE).await;
    let lines: Vec<&str> = found.lines().collect();
    assert!(!found.contains("used") && lines[0] == sandbox.id, "{}: {found}", sandbox.id);
    assert!(seen.insert(sandbox.id.clone()), "{} was given twice", sandbox.id);
}

#[tokio::test]
async fn none_is_given_twice_whenever_harbor_is_killed() {
    let harbor = Harbor::installed().with("HARBOR_WARM_POOL_SIZE", "2");
    harbor.up().await;
    filled(&harbor, 2).await;
    let mut seen = BTreeSet::new();
    for round in 0..4_u64 {
        let client = harbor.client();
        let creates: Vec<_> = (0..4)
            .map(|_| {
                let client = client.clone();
                tokio::spawn(async move { client.try_ask(Method::POST, "/sandbox", Some(&json!({}))).await })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(round * 15)).await;
        harbor.kill_and_go_on().await;
        harbor.up().await;
        for create in creates {
            _ = create.await.expect("it ends"); // answered or cut off
        }
        let client = harbor.client();
        within(FILLED, "all settle", async || {
            let moving: Vec<_> = client.sandboxes().await.into_iter().filter(|(_, state)| state != "started").collect();
            if moving.is_empty() { Ok(()) } else { Err(format!("{moving:?}")) }
        })
        .await;
        for (id, _) in client.sandboxes().await {
            if !seen.contains(&id) {
                assert_unused(&client.sandbox(&id), &mut seen).await;
            }
        }
    }
    filled(&harbor, 2).await;
    let client = harbor.client();
    for id in &seen {
        client.sandbox(id).deleted().await;
    }
}

#[tokio::test]
async fn a_member_is_given_started_with_what_was_asked_for() {
    let harbor = Harbor::installed().with("HARBOR_WARM_POOL_SIZE", "1");
    harbor.up().await;
    let client = harbor.client();
    within(FILLED, "one is ready", async || {
        let loops = client.ask(Method::GET, "/harbor/loops", None).await.expect(200);
        if loops.body.to_string().contains("1 of 1 ready") { Ok(()) } else { Err(loops.to_string()) }
    })
    .await;
    let expected = waiting(&harbor).await;
    let id = expected.iter().next().expect("one waits");
    let hidden = client.sandbox(id).get().await;
    assert_eq!(hidden.status, 404, "it is nobody's: {hidden}");
    let body = json!({"name": "warm", "labels": {"a": "b"}, "autoStopInterval": 5, "ttlMinutes": 60});
    let made = client.ask(Method::POST, "/sandbox", Some(&body)).await.expect(200).body;
    assert_eq!((&made["id"], &made["state"]), (&json!(id), &json!("started")), "{made}");
    assert_eq!(
        (&made["name"], &made["labels"]["a"], &made["autoStopInterval"]),
        (&json!("warm"), &json!("b"), &json!(5))
    );
    assert!(made["warmPoolId"].is_null() && made["autoDestroyAt"].is_string(), "{made}");
    assert_unused(&client.sandbox(id), &mut BTreeSet::new()).await;
}

#[tokio::test]
async fn pools_of_an_organization_are_made_changed_and_removed() {
    let harbor = Harbor::installed().with("HARBOR_WARM_POOL_SIZE", "0");
    harbor.up().await;
    let client = harbor.client();
    assert_eq!(pools(&client).await, Vec::<Value>::new(), "the installation's own is not the organization's");
    let wanted = json!({"snapshot": "daytona-small", "pool": 1});
    let pool = client.ask(Method::POST, "/warm-pools", Some(&wanted)).await.expect(201).body;
    assert_eq!(
        (&pool["snapshot"], &pool["pool"], &pool["cpu"], &pool["mem"]),
        (&json!("daytona-small"), &json!(1), &json!(1), &json!(1))
    );
    _ = client.ask(Method::POST, "/warm-pools", Some(&wanted)).await.expect(409);
    within(FILLED, "the pool is filled", async || match pools(&client).await {
        one if one.len() == 1 && one[0]["currentSize"] == 1 => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    let listed = client.ask(Method::GET, "/sandbox?includeWarm=true", None).await.expect(200).body["items"].clone();
    let member = &listed.as_array().expect("a list")[0];
    assert_eq!(member["warmPoolId"], pool["id"]);
    assert_eq!(member["organizationId"], "00000000-0000-0000-0000-000000000000");
    assert!(client.sandboxes().await.is_empty());
    let made = client.started_as(&json!({"snapshot": "daytona-small"})).await;
    assert_eq!(json!(made.id), member["id"]);

    let path = format!("/warm-pools/{}", pool["id"].as_str().expect("an id"));
    let drained = client.ask(Method::PATCH, &path, Some(&json!({"pool": 0}))).await.expect(200).body;
    assert_eq!(drained["pool"], 0);
    filled(&harbor, 0).await;
    for (method, path, body, status) in [
        (Method::POST, "/warm-pools", json!({"snapshot": "daytona-small", "pool": 0}), 400),
        (Method::POST, "/warm-pools", json!({"snapshot": "daytona-small", "pool": 1.5}), 400),
        (Method::POST, "/warm-pools", json!({"snapshot": "daytona-small", "pool": 100_000}), 400),
        (Method::POST, "/warm-pools", json!({"snapshot": "no/such", "pool": 1}), 400),
        (Method::POST, "/warm-pools", json!({"snapshot": "daytona-small"}), 400),
        (Method::PATCH, path.as_str(), json!({"pool": -1}), 400),
        (Method::PATCH, "/warm-pools/nothing", json!({"pool": 1}), 404),
        (Method::DELETE, "/warm-pools/5f0c1f5e-95a4-4f0e-8a3c-0d7f6c1b2a39", json!({}), 404),
    ] {
        let refused = client.ask(method.clone(), path, Some(&body)).await;
        assert_eq!(refused.status, status, "{method} {path} {body}: {refused}");
    }
    _ = client.ask(Method::DELETE, &path, None).await.expect(204);
    assert_eq!(pools(&client).await, Vec::<Value>::new());
    assert_eq!(made.output("echo still here").await, "still here");
}
