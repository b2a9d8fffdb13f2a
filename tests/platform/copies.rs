//! Archives, backups, forks and snapshots of sandboxes on a real engine: files are what they were, whatever happens.

use std::time::Duration;

use harbor_tests::{Client, Harbor, Sandbox, docker, state_within, within};
use reqwest::Method;
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(20);

/// Files of every kind, also of another owner, deleted ones of the image, and one with a hole.
const WRITE: &str = "set -e; mkdir -p ~/deep/er; echo kept >~/deep/er/file; ln ~/deep/er/file ~/twin; ln -s /etc ~/link; \
    sudo sh -c 'echo root >/opt/root; chmod 4750 /opt/root; rm -rf /usr/share/doc'; truncate -s 2G ~/hole; echo end >>~/hole";

const READ: &str = "cat ~/twin; stat -c '%h %U' ~/deep/er/file; readlink ~/link; sudo stat -c '%a %U' /opt/root; \
    ls -d /usr/share/doc 2>&1; stat -c '%s' ~/hole; tail -c 4 ~/hole; test $(du -k ~/hole | cut -f1) -lt 1000 && echo sparse";

async fn with_files(client: &Client) -> (Sandbox, String) {
    let sandbox = client.started().await;
    sandbox.output(WRITE).await;
    let files = sandbox.output(READ).await;
    assert!(files.contains("kept") && files.contains("sparse") && files.contains("No such file"), "{files}");
    (sandbox, files)
}

async fn stopped(sandbox: &Sandbox) {
    let _accepted = sandbox.act("stop").await.expect(200);
    state_within(SOON, sandbox, &["stopped"]).await;
}

/// What the engine has of a sandbox.
async fn containers(sandbox: &Sandbox) -> String {
    docker(&["ps", "-aq", "--filter", &format!("label=harbor.sandbox={}", sandbox.id)]).await
}

fn archives(harbor: &Harbor) -> usize {
    std::fs::read_dir(harbor.data().join("archives")).expect("the directory is there").count()
}

#[tokio::test]
async fn an_archived_sandbox_leaves_nothing_on_the_engine_and_comes_back() {
    let harbor = Harbor::started().await;
    let (sandbox, files) = with_files(&harbor.client()).await;
    let running = sandbox.act("archive").await.expect(400);
    assert!(running.message().contains("started"), "{running}");
    stopped(&sandbox).await;
    let archiving = sandbox.act("archive").await.expect(200);
    assert_eq!((&archiving.body["state"], &archiving.body["desiredState"]), (&json!("archiving"), &json!("archived")));
    state_within(SOON, &sandbox, &["archived"]).await;
    let archived = sandbox.get().await;
    assert_eq!(
        (&archived.body["backupState"], &archived.body["runnerId"]),
        (&json!("Completed"), &Value::Null),
        "{archived}"
    );
    assert_eq!(containers(&sandbox).await, "");
    assert_eq!(archives(&harbor), 1);
    assert_eq!(sandbox.toolbox(Method::GET, "/work-dir", None).await.status, 400);

    sandbox.start().await;
    assert_eq!(sandbox.output(READ).await, files);
    within(SOON, "what it was restored from is removed", async || match archives(&harbor) {
        0 => Ok(()),
        count => Err(format!("{count} files")),
    })
    .await;
}

#[tokio::test]
async fn an_archive_survives_a_harbor_that_is_killed() {
    let harbor = Harbor::started().await;
    let (sandbox, files) = with_files(&harbor.client()).await;
    sandbox.output("head -c 200M /dev/urandom >~/large; sha256sum ~/large >~/sum").await;
    stopped(&sandbox).await;
    for milliseconds in [30, 150, 400, 900] {
        let _accepted = harbor.client().sandbox(&sandbox.id).act("archive").await.expect(200);
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
        harbor.kill_and_go_on().await;
        harbor.up().await;
        let sandbox = harbor.client().sandbox(&sandbox.id);
        state_within(SOON, &sandbox, &["archived"]).await;
        assert_eq!(containers(&sandbox).await, "", "{milliseconds} ms");
        let _may_die = tokio::time::timeout(Duration::from_millis(milliseconds), sandbox.try_act("start")).await;
        harbor.kill_and_go_on().await;
        harbor.up().await;
        let sandbox = harbor.client().sandbox(&sandbox.id);
        if sandbox.get().await.body["desiredState"] != "started" {
            sandbox.start().await;
        }
        state_within(SOON, &sandbox, &["started"]).await;
        assert_eq!(sandbox.output(READ).await, files, "{milliseconds} ms");
        assert_eq!(sandbox.run("sha256sum -c ~/sum").await.code, 0, "{milliseconds} ms");
        stopped(&sandbox).await;
    }
}

#[tokio::test]
async fn a_fork_has_the_files_and_its_parent_never_stops() {
    let harbor = Harbor::shared().await;
    let client = harbor.client();
    let (parent, files) = with_files(&client).await;
    let process = parent.output("sleep 1000 >/dev/null 2>&1 & echo $!").await;
    let path = format!("/sandbox/{}/fork", parent.id);
    let name = format!("fork of {}", parent.id);
    let made = client.ask(Method::POST, &path, Some(&json!({"name": name}))).await.expect(200);
    let child = client.sandbox(made.body["id"].as_str().expect("an id"));
    assert_eq!(made.body["name"], name.as_str());
    state_within(SOON, &child, &["started"]).await;
    // until the copy is removed that it was made of, its files have further names there
    let has_the_files = async || {
        let read = child.output(READ).await;
        if read == files { Ok(()) } else { Err(read) }
    };
    within(SOON, "it has the files", has_the_files).await;
    assert_eq!(child.output("hostname; echo $DAYTONA_SANDBOX_ID").await, format!("{}\n{}", child.id, child.id));
    assert_eq!(parent.output(&format!("kill -0 {process} && echo alive")).await, "alive");
    // apart from then on
    child.output("rm ~/twin; echo other >~/deep/er/file").await;
    assert_eq!(parent.output(READ).await, files);

    let ids = async |path: &str| {
        let listed = client.ask(Method::GET, path, None).await.expect(200);
        let id = |item: &Value| item["id"].as_str().unwrap_or_default().to_owned();
        listed.body.as_array().map_or_else(|| vec![id(&listed.body)], |items| items.iter().map(id).collect::<Vec<_>>())
    };
    let taken = client.ask(Method::POST, &path, Some(&json!({"name": name}))).await.expect(409);
    assert!(taken.message().contains(&name), "{taken}");
    let grandchild =
        client.ask(Method::POST, &format!("/sandbox/{}/fork", child.id), Some(&json!({}))).await.expect(200);
    let grandchild = client.sandbox(grandchild.body["id"].as_str().expect("an id"));
    assert_eq!(ids(&format!("/sandbox/{}/forks", parent.id)).await, [child.id.as_str()]);
    assert_eq!(ids(&format!("/sandbox/{}/parent", grandchild.id)).await, [child.id.as_str()]);
    assert_eq!(ids(&format!("/sandbox/{}/ancestors", grandchild.id)).await, [parent.id.as_str(), child.id.as_str()]);
    let none = client.ask(Method::GET, &format!("/sandbox/{}/parent", parent.id), None).await;
    assert_eq!(none.status, 404, "{none}");
    state_within(SOON, &grandchild, &["started"]).await;
    assert_eq!(grandchild.output("cat ~/deep/er/file").await, "other");

    let refused = parent.delete().await;
    assert_eq!(refused.status, 400, "{refused}");
    assert!(refused.message().contains("forks"), "{refused}");
    for sandbox in [&grandchild, &child, &parent] {
        sandbox.deleted().await;
    }
}

#[tokio::test]
async fn a_snapshot_of_a_sandbox_makes_sandboxes_like_it() {
    let harbor = Harbor::started().await;
    let client = harbor.client();
    let (source, files) = with_files(&client).await;
    let path = format!("/sandbox/{}/snapshot", source.id);
    let asked = json!({"name": "org/mine:1", "includeMemory": false});
    let taken = client.ask(Method::POST, &path, Some(&asked)).await.expect(200);
    assert_eq!(taken.body["state"], "snapshotting");
    state_within(SOON, &source, &["started"]).await;
    let snapshot = client.ask(Method::GET, "/snapshots/org%2Fmine%3A1", None).await.expect(200);
    assert_eq!(
        (&snapshot.body["state"], &snapshot.body["sourceSandboxId"]),
        (&json!("active"), &json!(source.id)),
        "{snapshot}"
    );
    let again = client.ask(Method::POST, &path, Some(&asked)).await.expect(409);
    assert!(again.message().contains("org/mine:1"), "{again}");
    for wrong in [json!({}), json!({"name": ""}), json!({"name": "<b>"}), json!({"name": "m", "includeMemory": true})] {
        let refused = client.ask(Method::POST, &path, Some(&wrong)).await.expect(400);
        assert_eq!(source.get().await.body["state"], "started", "{refused}");
    }
    source.deleted().await;

    let made = client.started_as(&json!({"snapshot": "org/mine:1"})).await;
    assert_eq!(made.output(READ).await, files);
    stopped(&made).await;
    made.start().await;
    assert_eq!(made.output(READ).await, files);
    let removed = client.ask(Method::DELETE, "/snapshots/org%2Fmine%3A1", None).await;
    assert_eq!(removed.status, 200, "{removed}");
    assert_eq!(client.ask(Method::GET, "/snapshots/org%2Fmine%3A1", None).await.status, 404);
    within(SOON, "its files are removed", async || match archives(&harbor) {
        0 => Ok(()),
        count => Err(format!("{count} files")),
    })
    .await;
    assert_eq!(made.output(READ).await, files);
}

#[tokio::test]
async fn what_was_removed_is_brought_back_from_its_backup() {
    let harbor = Harbor::started().await;
    let (sandbox, files) = with_files(&harbor.client()).await;
    let asked = sandbox.act("backup").await.expect(200);
    assert_eq!(asked.body["state"], "started");
    within(SOON, "it is backed up", async || {
        let found = sandbox.get().await;
        if found.body["backupState"] == "Completed" { Ok(()) } else { Err(found.to_string()) }
    })
    .await;
    docker(&["rm", "--force", &sandbox.container()]).await;
    state_within(SOON, &sandbox, &["error"]).await;
    assert_eq!(sandbox.get().await.body["recoverable"], true);
    let recovered = sandbox.act("recover").await.expect(200);
    assert_eq!(recovered.body["state"], "started", "{recovered}");
    assert_eq!(sandbox.output(READ).await, files);
    let refused = sandbox.act("recover").await.expect(400);
    assert!(refused.message().contains("recover"), "{refused}");

    // stopped, and backed up since: nothing is lost that somebody removes
    stopped(&sandbox).await;
    let _accepted = sandbox.act("backup").await.expect(200);
    within(SOON, "it is backed up", async || {
        let found = sandbox.get().await;
        if found.body["backupState"] == "Completed" { Ok(()) } else { Err(found.to_string()) }
    })
    .await;
    docker(&["rm", "--force", &sandbox.container(), &sandbox.infra()]).await;
    state_within(SOON, &sandbox, &["archived"]).await;
    sandbox.start().await;
    assert_eq!(sandbox.output(READ).await, files);
}
