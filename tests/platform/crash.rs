//! `kill -9` of harbor, and clients that go away.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use harbor_tests::{Client, Harbor, Limit, within};
use reqwest::Method;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// What may take its time after a crash: everything that was begun.
const SETTLED: Limit = Limit::promised(Duration::from_secs(30));

/// Milliseconds that differ from run to run, below `most`.
fn jitter(most: u64) -> u64 {
    u64::from(SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").subsec_nanos()) / 1000 % most
}

/// Every container, directory and row belongs together: no orphan, and nothing half-done.
async fn assert_consistent(harbor: &Harbor, when: &str) {
    let client = harbor.client();
    within(SETTLED, &format!("settled after {when}"), async || {
        let rows = client.sandboxes().await;
        for (id, state) in &rows {
            match state.as_str() {
                "started" => {}
                "error" => {
                    let reason = client.sandbox(id).get().await.body["errorReason"].to_string();
                    assert!(reason.len() > 10, "{id} is in error without a reason: {reason}");
                }
                other => return Err(format!("{id} is {other}")),
            }
        }
        let live: BTreeSet<&str> = rows.iter().map(|(id, _)| id.as_str()).collect();
        let sandboxes = harbor.containers("sandbox").await;
        let containers: BTreeSet<&str> = sandboxes.iter().map(|(_, id)| id.as_str()).collect();
        if containers != live || sandboxes.len() != live.len() {
            return Err(format!("sandboxes {live:?}, their containers {sandboxes:?}"));
        }
        let infra = harbor.containers("infra").await;
        let spare = infra.iter().filter(|(_, id)| !live.contains(id.as_str())).count();
        if infra.len() - spare != live.len() || spare != harbor.full_stock().await? {
            return Err(format!("{spare} spare infra, {} of {} in use", infra.len() - spare, live.len()));
        }
        let owned: BTreeSet<&str> = infra.iter().map(|(_, id)| id.as_str()).collect();
        let sockets = std::fs::read_dir(harbor.data().join("run/infra")).expect("a directory of sockets");
        let sockets = sockets.map(|entry| entry.expect("an entry")).filter(|entry| entry.path().is_dir());
        let sockets: Vec<_> = sockets.map(|entry| entry.file_name()).collect();
        match sockets.iter().find(|name| !owned.contains(name.to_str().unwrap_or_default())) {
            Some(left) => Err(format!("a socket directory of nobody: {}", left.display())),
            None => Ok(()),
        }
    })
    .await;
}

#[tokio::test]
async fn killed_at_any_point_of_a_create_nothing_leaks() {
    let harbor = Harbor::started().await;
    for round in 0..15 {
        let delay = round * 27 + jitter(27);
        let client = harbor.client();
        let create = tokio::spawn({
            let client = client.clone();
            async move { client.try_ask(Method::POST, "/sandbox", Some(&json!({"name": format!("round-{round}")}))).await }
        });
        tokio::time::sleep(Duration::from_millis(delay)).await;
        harbor.kill().await;
        let _cut_off = create.await;
        harbor.up().await;
        assert_consistent(&harbor, &format!("kill -9 {delay} ms into a create")).await;
        let client = harbor.client();
        for (id, state) in client.sandboxes().await {
            if state == "started" {
                assert_eq!(client.sandbox(&id).output("echo works").await, "works", "after {delay} ms");
            }
            client.sandbox(&id).deleted().await;
        }
    }
}

#[tokio::test]
async fn killed_at_any_point_of_stop_start_and_delete_it_goes_on() {
    let harbor = Harbor::started().await;
    let sandbox = harbor.client().started().await;
    sandbox.output("echo kept >~/kept").await;
    let id = sandbox.id;
    for round in 0..4 {
        for (verb, settled) in [("stop", "stopped"), ("start", "started")] {
            let delay = round * 50 + jitter(50);
            let sandbox = harbor.client().sandbox(&id);
            let act = tokio::spawn(async move { sandbox.try_act(verb).await });
            tokio::time::sleep(Duration::from_millis(delay)).await;
            harbor.kill().await;
            let _cut_off = act.await;
            harbor.up().await;
            // whether it was asked before it died is not known: asked again it must get there
            let sandbox = harbor.client().sandbox(&id);
            within(SETTLED, &format!("{verb} cut off after {delay} ms"), async || {
                let state = sandbox.get().await.body["state"].as_str().unwrap_or_default().to_owned();
                if state == settled {
                    return Ok(());
                }
                let _asked = sandbox.act(verb).await;
                Err(state)
            })
            .await;
        }
    }
    let sandbox = harbor.client().sandbox(&id);
    assert_eq!(sandbox.output("cat ~/kept").await, "kept");
    let act = tokio::spawn({
        let sandbox = sandbox.clone();
        async move { sandbox.try_delete().await }
    });
    tokio::time::sleep(Duration::from_millis(20)).await;
    harbor.kill().await;
    let _cut_off = act.await;
    harbor.up().await;
    let sandbox = harbor.client().sandbox(&id);
    let _asked_again = sandbox.delete().await;
    within(SETTLED, "gone", async || {
        let found = sandbox.get().await;
        if found.status == 404 { Ok(()) } else { Err(found.to_string()) }
    })
    .await;
    assert_consistent(&harbor, "a delete").await;
}

#[tokio::test]
async fn killed_at_any_point_of_the_first_start_the_next_one_works() {
    for round in 0..8 {
        let harbor = Harbor::installed();
        let delay = round * 40 + jitter(40);
        let mut first = harbor.command(&["up", "--foreground"]).spawn().expect("the binary starts");
        tokio::time::sleep(Duration::from_millis(delay)).await;
        let _ended_already = first.kill().await;
        harbor.up().await;
        let sandbox = harbor.client().started().await;
        assert_eq!(sandbox.output("echo works").await, "works", "after {delay} ms");
        assert_consistent(&harbor, &format!("kill -9 {delay} ms into the first start")).await;
    }
}

/// Sends a create and does not wait for its answer: dropping the connection hangs up.
async fn ask_for(client: &Client, name: &str) -> TcpStream {
    let body = json!({"name": name}).to_string();
    let authority = client.authority();
    let request = format!(
        "POST /api/sandbox HTTP/1.1\r\nHost: {authority}\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        client.key(),
        body.len()
    );
    let mut connection = TcpStream::connect(authority).await.expect("a connection");
    connection.write_all(request.as_bytes()).await.expect("it takes the request");
    connection
}

#[tokio::test]
async fn a_client_that_hangs_up_neither_loses_nor_leaks_a_sandbox() {
    let harbor = Harbor::started().await;
    let client = harbor.client();
    // before harbor has taken it up, perhaps: then there is nothing of it
    for delay in [0, 1, 3, 10, 30] {
        let connection = ask_for(&client, &format!("after-{delay}-ms")).await;
        tokio::time::sleep(Duration::from_millis(delay)).await;
        drop(connection);
    }
    // and as soon as it has
    let accepted = ["first", "second", "third"];
    for name in accepted {
        let connection = ask_for(&client, name).await;
        within(SETTLED, &format!("{name} is accepted"), async || {
            let found = client.ask(Method::GET, &format!("/sandbox/{name}"), None).await;
            if found.status == 200 { Ok(()) } else { Err(found.to_string()) }
        })
        .await;
        drop(connection);
    }
    assert_consistent(&harbor, "clients that hung up").await;
    for name in accepted {
        let kept = client.ask(Method::GET, &format!("/sandbox/{name}"), None).await.expect(200);
        assert_eq!(kept.body["state"], "started", "{kept}");
    }
    for (id, state) in client.sandboxes().await {
        assert_eq!(state, "started", "{}", client.sandbox(&id).get().await);
        assert_eq!(client.sandbox(&id).output("echo works").await, "works");
    }
}

#[tokio::test]
async fn told_to_stop_in_the_middle_of_creates_it_takes_them_up_again() {
    let harbor = Harbor::started().await;
    let client = harbor.client();
    let creates: Vec<_> = (0..6)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.try_ask(Method::POST, "/sandbox", Some(&json!({}))).await })
        })
        .collect();
    within(SETTLED, "one is accepted", async || {
        if client.sandboxes().await.is_empty() { Err("none is".to_owned()) } else { Ok(()) }
    })
    .await;
    tokio::time::sleep(Duration::from_millis(jitter(100))).await;
    let down = harbor.run(&["down"]).await;
    assert!(down.success, "{}", down.error);
    for create in creates {
        let _answered_or_cut_off = create.await;
    }
    harbor.up().await;
    assert_consistent(&harbor, "harbor down").await;
    assert!(!harbor.client().sandboxes().await.is_empty(), "what was accepted is lost");
}

#[tokio::test]
async fn ready_right_after_a_kill_means_that_it_answers() {
    let harbor = Harbor::started().await;
    for round in 0..8 {
        let client = harbor.client();
        let creates: Vec<_> = (0..3)
            .map(|_| {
                let client = client.clone();
                tokio::spawn(async move { client.try_ask(Method::POST, "/sandbox", Some(&json!({}))).await })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(jitter(300))).await;
        harbor.kill_and_go_on().await;
        harbor.up().await;
        let listed = harbor.client().ask(Method::GET, "/sandbox", None).await;
        assert_eq!(listed.status, 200, "round {round}: {listed}");
        for create in creates {
            let _cut_off = create.await;
        }
        assert_consistent(&harbor, &format!("round {round}")).await;
        for (id, _) in harbor.client().sandboxes().await {
            harbor.client().sandbox(&id).deleted().await;
        }
    }
}
