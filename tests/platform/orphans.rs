//! A database that is gone takes nothing of a user's with it.

use std::time::Duration;

use harbor_tests::{Harbor, docker, inspect, within};
use serde_json::Value;

async fn orphans(harbor: &Harbor) -> (String, String) {
    let doctor = harbor.run(&["doctor", "--json"]).await;
    let told: Value = serde_json::from_str(&doctor.output).expect("harbor doctor --json prints JSON");
    let checks = told["checks"].as_array().expect("checks");
    let check = checks.iter().find(|check| check["check"] == "orphans").expect("a check of orphans");
    (check["verdict"].to_string(), check["found"].to_string() + &check["remedy"].to_string())
}

fn delete_database(harbor: &Harbor) {
    for file in ["harbor.db", "harbor.db-journal", "harbor.db-wal", "harbor.db-shm"] {
        match std::fs::remove_file(harbor.data().join(file)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{file}: {error}"),
            _ => {}
        }
    }
}

#[tokio::test]
async fn without_its_database_containers_are_kept_listed_and_removed_on_demand() {
    let harbor = Harbor::started().await;
    let client = harbor.client();
    let key = client.key().to_owned();
    let (running, stopped) = (client.started().await, client.stopped().await);
    running.output("echo precious >~/precious").await;
    assert!(orphans(&harbor).await.0.contains("ok"));
    harbor.kill().await;
    delete_database(&harbor);
    harbor.up().await;

    let client = harbor.client();
    assert_eq!(client.key(), key, "the key is not the database's");
    assert_eq!(client.sandboxes().await, [], "it begins anew");
    let fresh = client.started().await;
    assert_eq!(fresh.output("echo works").await, "works");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(inspect(&running.container()).await["State"]["Running"], true, "it is left alone");
    let kept = docker(&["exec", &running.container(), "sh", "-c", "cat /home/*/precious"]).await;
    assert_eq!(kept, "precious");
    let (verdict, told) = orphans(&harbor).await;
    assert!(verdict.contains("warning"), "{verdict}");
    assert!(told.contains(&running.id) && told.contains(&stopped.id) && !told.contains(&fresh.id), "{told}");
    assert!(told.contains("harbor prune --orphans"), "{told}");

    let pruned = harbor.run(&["prune", "--orphans"]).await;
    assert!(pruned.success, "{}", pruned.error);
    assert!(pruned.output.contains(&running.id) && pruned.output.contains(&stopped.id), "{}", pruned.output);
    let left = harbor.containers("sandbox").await;
    assert_eq!(left.iter().map(|(_, id)| id.as_str()).collect::<Vec<_>>(), [fresh.id.as_str()]);
    assert_eq!(fresh.output("echo works").await, "works");
    assert!(orphans(&harbor).await.0.contains("ok"));
    let again = harbor.run(&["prune", "--orphans"]).await;
    assert!(again.success && again.output.contains("no orphans"), "{again:?}");
    within(Duration::from_secs(10), "no infra of theirs is left", async || {
        let infra = harbor.containers("infra").await;
        let theirs = infra.iter().any(|(_, id)| *id == running.id || *id == stopped.id);
        if theirs { Err(format!("{infra:?}")) } else { Ok(()) }
    })
    .await;
}

#[tokio::test]
async fn a_damaged_database_is_told_and_left_alone() {
    let harbor = Harbor::started().await;
    harbor.kill().await;
    delete_database(&harbor);
    let rubbish = b"this is not a database, but it may be somebody's".repeat(100);
    std::fs::write(harbor.data().join("harbor.db"), &rubbish).expect("a file");
    let said = harbor.run(&["up"]).await;
    assert!(said.one_line().contains("harbor.db"), "{}", said.error);
    assert_eq!(std::fs::read(harbor.data().join("harbor.db")).expect("it is there"), rubbish);
    delete_database(&harbor);
    harbor.up().await;
}
