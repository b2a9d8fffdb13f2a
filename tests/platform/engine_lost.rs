//! An engine that dies under harbor and comes back: a real one, behind a line that is cut.

use std::time::{Duration, Instant};

use harbor_tests::{Client, Harbor, Limit, Line, docker, state_within, within};
use reqwest::Method;
use serde_json::json;

/// How soon an engine that is back must be noticed.
const NOTICED: Limit = Limit::promised(Duration::from_secs(10));

/// The longest that a request may take while the engine is gone.
const ANSWERED: Limit = Limit::promised(Duration::from_secs(15));

async fn behind_a_line() -> (Harbor, Line) {
    let harbor = Harbor::installed();
    let line = Line::open(&harbor.place().join("engine.sock"));
    let harbor = harbor.with("DOCKER_HOST", &line.docker_host());
    harbor.up().await;
    (harbor, line)
}

async fn ready(client: &Client) -> Result<(), String> {
    let said = client.ask(Method::GET, "/harbor/ready", None).await;
    if said.status == 200 { Ok(()) } else { Err(said.to_string()) }
}

#[tokio::test]
async fn cut_off_it_answers_and_mended_it_goes_on() {
    let (harbor, mut line) = behind_a_line().await;
    let client = harbor.client();
    let (stays, dies, stops, goes) =
        (client.started().await, client.started().await, client.started().await, client.started().await);
    stays.output("sleep 7531 >/dev/null 2>&1 &").await;
    line.cut().await;

    let begun = Instant::now();
    assert_eq!(client.sandboxes().await.len(), 4, "what is known is told");
    let told = client.ask(Method::GET, "/harbor/ready", None).await.expect(503);
    assert!(told.to_string().contains("engine"), "{told}");
    let made = client.ask(Method::POST, "/sandbox", Some(&json!({"name": "meanwhile"}))).await;
    assert!(made.status == 200 && made.body["state"] == "creating" || made.status == 503, "{made}");
    let _accepted = stops.act("stop").await.expect(200);
    let _accepted = goes.delete().await.expect(200);
    ANSWERED.check(begun.elapsed(), "answers without an engine");
    assert_eq!(stays.output("echo works").await, "works", "a running sandbox needs no engine to be used");
    docker(&["kill", &dies.container()]).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let status = harbor.run(&["status"]).await;
    assert!(!status.success && status.output.contains("engine"), "it says what is missing: {status:?}");

    line.mend();
    within(NOTICED, "ready", async || ready(&client).await).await;
    assert!(harbor.run(&["status"]).await.success);
    state_within(NOTICED, &dies, &["stopped"]).await;
    state_within(NOTICED, &stops, &["stopped"]).await;
    within(NOTICED, "deleted", async || {
        let found = goes.get().await;
        if found.status == 404 { Ok(()) } else { Err(found.to_string()) }
    })
    .await;
    if made.status == 200 {
        let meanwhile = client.sandbox(made.body["id"].as_str().expect("an id"));
        state_within(Duration::from_secs(20), &meanwhile, &["started"]).await;
        assert_eq!(meanwhile.output("echo works").await, "works");
    }
    assert_eq!(stays.output("pgrep -fx 'sleep 7531' >/dev/null && echo there").await, "there");
    // events flow again: nobody waits for the listing once a minute
    docker(&["kill", &stays.container()]).await;
    state_within(Duration::from_secs(5), &stays, &["stopped"]).await;
    stays.start().await;
}

#[tokio::test]
async fn while_it_hangs_the_api_does_not() {
    let (harbor, mut line) = behind_a_line().await;
    let client = harbor.client();
    let sandbox = client.started().await;
    line.hold();
    let begun = Instant::now();
    let creates: Vec<_> = (0..8)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.ask(Method::POST, "/sandbox", Some(&json!({}))).await })
        })
        .collect();
    for create in creates {
        let made = create.await.expect("it ends");
        assert!(made.status == 200 || made.status == 503, "{made}");
    }
    assert_eq!(sandbox.output("echo works").await, "works");
    assert_eq!(client.ask(Method::GET, "/harbor/ready", None).await.status, 503);
    Limit::promised(Duration::from_secs(30)).check(begun.elapsed(), "eight creates without an engine");
    line.mend();
    within(Duration::from_mins(1), "all that was accepted is started", async || {
        let moving: Vec<_> = client.sandboxes().await.into_iter().filter(|(_, state)| state != "started").collect();
        if moving.is_empty() { Ok(()) } else { Err(format!("{moving:?}")) }
    })
    .await;
}

#[tokio::test]
async fn lines_cut_at_any_point_of_a_create_leave_nothing_half_done() {
    let (harbor, mut line) = behind_a_line().await;
    let client = harbor.client();
    for round in 0..8 {
        let create = tokio::spawn({
            let client = client.clone();
            async move { client.ask(Method::POST, "/sandbox", Some(&json!({}))).await }
        });
        tokio::time::sleep(Duration::from_millis(round * 40)).await;
        line.cut().await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        line.mend();
        let made = create.await.expect("it ends").expect(200);
        let sandbox = client.sandbox(made.body["id"].as_str().expect("an id"));
        state_within(Duration::from_secs(30), &sandbox, &["started"]).await;
        assert_eq!(sandbox.output("echo works").await, "works", "cut after {} ms", round * 40);
        sandbox.deleted().await;
    }
    // an infra container that could not be made is tried again half a minute later
    within(Duration::from_secs(45), "only the stock is left", async || {
        let (sandboxes, infra) = (harbor.containers("sandbox").await, harbor.containers("infra").await);
        if sandboxes.is_empty() && infra.len() == harbor.full_stock().await? {
            Ok(())
        } else {
            Err(format!("{sandboxes:?} {infra:?}"))
        }
    })
    .await;
}

#[tokio::test]
async fn a_build_that_is_cut_off_is_begun_again() {
    let (harbor, mut line) = behind_a_line().await;
    let client = harbor.client();
    let dockerfile =
        format!("FROM daytonaio/sandbox:v0.185.0-amd64\nRUN sleep 3 && echo {} >~/made\n", harbor.instance());
    let wanted = json!({"name": "cut", "buildInfo": {"dockerfileContent": dockerfile}});
    let made = client.ask(Method::POST, "/snapshots", Some(&wanted)).await.expect(200);
    let path = format!("/snapshots/{}", made.body["id"].as_str().expect("an id"));
    let is = async |state: &str| {
        let found = client.ask(Method::GET, &path, None).await.expect(200);
        if found.body["state"] == state { Ok(()) } else { Err(found.to_string()) }
    };
    within(Duration::from_secs(30), "it is built", async || is("building").await).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    line.cut().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    is("building").await.expect("it waits for the engine");
    line.mend();
    within(Duration::from_secs(90), "it is there", async || is("active").await).await;
    let sandbox = client.started_as(&json!({"snapshot": "cut"})).await;
    assert_eq!(sandbox.output("cat ~/made").await, harbor.instance());
    sandbox.deleted().await;
    let _removed = client.ask(Method::DELETE, &path, None).await.expect(200);
}
