//! Sandboxes and snapshots through the API.

use serde_json::{Value, json};

use crate::support::{self, Installation, OTHER_KEY, check_error};

#[tokio::test]
async fn a_sandbox_shows_what_was_asked_for_and_no_secret() {
    let installation = Installation::new().await;
    let asked = json!({
        "name": "büro 1/2", "env": {"A": "1"}, "labels": {"code-toolbox-language": "python"}, "public": true, "target": "eu",
        "cpu": 2, "memory": 4, "disk": 10.0, "autoStopInterval": 30, "autoArchiveInterval": 0, "autoDeleteInterval": 120,
        "user": "root", "somethingNew": [1],
    });
    let made = installation.call("POST", "/api/sandbox", Some(asked)).await;
    assert_eq!(made.status, 200, "{}", made.text);
    let body = made.json();
    let expected = json!({
        "name": "büro 1/2", "env": {"A": "1"}, "labels": {"code-toolbox-language": "python"}, "public": true, "target": "eu",
        "cpu": 2, "memory": 4, "disk": 10, "gpu": 0, "autoStopInterval": 30, "autoArchiveInterval": 43200,
        "autoDeleteInterval": 120, "user": "root", "state": "creating", "desiredState": "started", "volumes": [],
        "snapshot": support::DEFAULT_SNAPSHOT, "toolboxProxyUrl": "http://localhost:35001/toolbox", "kvm": false,
        "networkBlockAll": false, "recoverable": false, "backupState": "None", "sandboxClass": "container",
    });
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&body[key], value, "{key}");
    }
    let row = installation.store.sandbox(body["id"].as_str().unwrap().parse().unwrap()).await.unwrap().unwrap();
    for secret in [row.preview_token.reveal(), row.toolbox_token.reveal()] {
        assert!(!made.text.contains(secret));
    }
    let found = installation.call("GET", "/api/sandbox/b%C3%BCro%201%2F2", None).await;
    assert_eq!(found.json()["id"], body["id"]);
    let preview = installation.call("GET", "/api/sandbox/b%C3%BCro%201%2F2/ports/3000/preview-url", None).await.json();
    let id = body["id"].as_str().unwrap();
    assert_eq!(preview["url"], format!("http://3000-{id}.proxy.localhost:35001"));
    assert_eq!(preview["sandboxId"], id);
    assert_eq!(preview["token"], row.preview_token.reveal());
}

#[tokio::test]
async fn what_has_no_effect_is_told_and_not_refused() {
    let installation = Installation::new().await;
    let check = async |method: &str, path: &str, body: Value, told: &[&str]| {
        let answer = installation.call(method, path, Some(body.clone())).await;
        assert!(answer.status.is_success(), "{body}: {}", answer.text);
        let found: Vec<&str> = answer.headers.get_all("warning").iter().map(|value| value.to_str().unwrap()).collect();
        assert_eq!(found.len(), told.len(), "{body}: {found:?}");
        for (found, part) in found.iter().zip(told) {
            assert!(found.starts_with("299 harbor \"") && found.contains(part), "{found} lacks {part}");
        }
    };
    // what clients send by themselves, the command line's defaults but for those that do nothing among it
    let routine = json!({"env": {}, "labels": {}, "volumes": [], "autoStopInterval": 0, "autoDeleteInterval": -1,
        "user": "daytona", "public": false, "snapshot": support::DEFAULT_SNAPSHOT});
    check("POST", "/api/sandbox", routine, &[]).await;
    let misspelt = json!({"autoStopIntervall": 1, "some\nthing": {"a": 1}, "env": {"any": "thing"}});
    check("POST", "/api/sandbox", misspelt, &["ignored: autoStopIntervall, some\\nthing"]).await;
    let idle = json!({"autoStopInterval": 15, "autoArchiveInterval": 10080, "autoDeleteInterval": 5});
    check("POST", "/api/sandbox", idle, &[]).await;
    check("POST", "/api/sandbox", json!({"public": true, "user": "root"}), &["public is", "user is told"]).await;
    let older = json!({"snapshot": "daytonaio/sandbox:0.4.3"});
    check("POST", "/api/sandbox", older, &["snapshot daytonaio/sandbox:0.4.3 is not here"]).await;
    let by_id = json!({"snapshot": installation.own_snapshot.id.to_string()});
    check("POST", "/api/sandbox", by_id, &[]).await;
    let key = json!({"name": "k", "permissions": [], "expires": "2030-01-01"});
    check("POST", "/api/api-keys", key, &["ignored: expires"]).await;

    for snapshot in ["daytonaio/sandbox:latest", "daytonaio/sandbox:0.4", "daytona-medum"] {
        let refused = installation.call("POST", "/api/sandbox", Some(json!({"snapshot": snapshot}))).await;
        assert_eq!(refused.status, 400, "{snapshot}");
        assert!(refused.json()["message"].as_str().unwrap().contains(snapshot), "{}", refused.text);
    }
    let nobody = installation.call("POST", "/api/sandbox", Some(json!({"user": "nobody-here", "unknown": 1}))).await;
    assert_eq!(nobody.status, 400);
    assert!(!nobody.headers.contains_key("warning"));
}

#[tokio::test]
async fn states_and_names_go_as_the_contract_says() {
    let installation = Installation::new().await;
    let check = async |method: &str, path: &str, status: u16, state: &str| {
        let answer = installation.call(method, &format!("/api{path}"), None).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text);
        if status == 200 {
            assert_eq!(answer.json()["state"], state, "{method} {path}");
        }
    };
    let id = installation.started("mine").await;
    let again = installation.call("POST", "/api/sandbox", Some(json!({"name": "mine"}))).await;
    assert_eq!(again.status, 409);
    check("POST", "/sandbox/mine/start", 200, "started").await;
    check("POST", "/sandbox/mine/stop?force=maybe", 400, "").await;
    check("POST", "/sandbox/mine/stop?force=True", 200, "stopping").await;
    check("POST", "/sandbox/mine/stop", 409, "").await;
    installation.see(id).await;
    check("POST", "/sandbox/mine/stop", 400, "").await;
    check("POST", "/sandbox/mine/start", 200, "starting").await;
    installation.see(id).await;
    check("DELETE", "/sandbox/mine", 200, "destroying").await;
    check("GET", "/sandbox/mine", 404, "").await;
    check("GET", &format!("/sandbox/{id}"), 200, "destroying").await;
    check("DELETE", &format!("/sandbox/{id}"), 200, "destroying").await;
    assert_eq!(installation.call("GET", "/api/sandbox", None).await.json()["items"], json!([]));
    installation.see(id).await;
    check("GET", &format!("/sandbox/{id}"), 404, "").await;
    installation.started("mine").await;
    let noted = installation.call("POST", "/api/sandbox/mine/last-activity", None).await;
    assert_eq!((noted.status.as_u16(), noted.text.as_str()), (201, ""));
    assert_eq!(installation.call("POST", "/api/sandbox/nobody/last-activity", None).await.status, 404);
}

#[tokio::test]
async fn the_owner_sees_what_harbors_loops_do() {
    let installation = Installation::new().await;
    assert_eq!(installation.call_as(None, "GET", "/api/harbor/loops", None).await.status, 401);
    let outcome = |outcome: &str| json!({"key": "a", "at": "1970-01-01T00:00:00.000Z", "took": 7, "outcome": outcome});
    let expected = json!([{
        "name": "sandboxes", "due": 1, "later": 2, "steps": 9, "failures": 4,
        "underWay": [{"key": "b", "lane": "end", "lasts": 3000}],
        "last": outcome("start, configure"), "lastFailure": outcome("start: no image"),
    }]);
    assert_eq!(installation.call("GET", "/api/harbor/loops", None).await.json(), expected);
}

#[tokio::test]
async fn the_owner_sees_and_collects_garbage() {
    let installation = Installation::new().await;
    let call =
        async |method: &str, query: &str| installation.call(method, &format!("/api/harbor/garbage{query}"), None).await;
    for method in ["GET", "DELETE"] {
        assert_eq!(installation.call_as(None, method, "/api/harbor/garbage", None).await.status, 401);
        for query in ["?olderThan=-1", "?olderThan=soon", "?olderThan=99999999999"] {
            assert_eq!(call(method, query).await.status, 400, "{method} {query}");
        }
    }
    let told = |count: u64, older_than: u64| {
        let reason = "no snapshot and no sandbox is made of them";
        let images =
            json!({"kind": "built images", "count": count, "bytes": older_than, "reason": reason, "more": false});
        json!({"olderThan": older_than, "kinds": [images], "bytes": older_than})
    };
    assert_eq!(call("GET", "").await.json(), told(1, 3600));
    assert_eq!(call("DELETE", "?olderThan=0").await.json(), told(2, 0));
}

#[tokio::test]
async fn pages_hold_each_sandbox_once_while_others_come_and_go() {
    let installation = Installation::new().await;
    for number in 0..25 {
        let body = json!({"name": format!("s{number:02}"), "labels": {"a": "b"}});
        assert_eq!(installation.call("POST", "/api/sandbox", Some(body)).await.status, 200);
    }
    for by in ["sort=name&order=asc", "sort=cpu", "", "sort=createdAt&order=asc"] {
        let mut names = Vec::new();
        let mut cursor = String::new();
        loop {
            let target = format!("/api/sandbox?limit=10&labels=%7B%22a%22%3A+%22b%22%7D&{by}&cursor={cursor}");
            let page = installation.call("GET", &target, None).await;
            assert_eq!(page.status, 200, "{}", page.text);
            let page = page.json();
            names
                .extend(page["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()));
            match page["nextCursor"].as_str() {
                Some(next) => cursor = next.to_owned(),
                None => break,
            }
            installation.call("POST", "/api/sandbox", Some(json!({"name": "z-another"}))).await;
        }
        names.sort();
        assert_eq!(names, (0..25).map(|number| format!("s{number:02}")).collect::<Vec<_>>(), "{by}");
    }
    let first = installation.call("GET", "/api/sandbox?limit=1&sort=name", None).await.json();
    let cursor = first["nextCursor"].as_str().unwrap().to_owned();
    for target in [
        format!("/api/sandbox?sort=cpu&cursor={cursor}"),
        format!("/api/sandbox?sort=name&cursor=A{cursor}"),
        "/api/sandbox?limit=0".to_owned(),
        "/api/sandbox?states=destroyed".to_owned(),
        "/api/sandbox?labels=%5B%5D".to_owned(),
        "/api/sandbox?labels=%7B%22a%22%3Anull%7D".to_owned(),
        "/api/sandbox?minCpu=0".to_owned(),
        "/api/sandbox?createdAtAfter=yesterday".to_owned(),
        "/api/sandbox/paginated?page=0".to_owned(),
    ] {
        let answer = installation.call("GET", &target, None).await;
        assert_eq!(answer.status, 400, "{target}");
        check_error(&target, &target, &answer);
    }
    for target in ["/api/sandbox?labels=null", "/api/sandbox/paginated?labels=null"] {
        let answer = installation.call("GET", target, None).await;
        assert_eq!(
            (answer.status.as_u16(), answer.json()["items"].as_array().map(Vec::len)),
            (200, Some(26)),
            "{target}"
        );
    }
    let numbered =
        installation.call("GET", "/api/sandbox/paginated?sort=name&order=asc&limit=20&page=2", None).await.json();
    let counts = (&numbered["total"], &numbered["page"], &numbered["totalPages"]);
    assert_eq!(counts, (&json!(26), &json!(2), &json!(2)), "{numbered}");
    assert_eq!(numbered["items"][0]["name"], "s20");
}

#[tokio::test]
async fn snapshots_are_found_by_encoded_name_and_by_id() {
    let installation = Installation::new().await;
    for text in ["org%2Fprivate%20image%3A1.0", &installation.own_snapshot.id.to_string()] {
        let found = installation.call("GET", &format!("/api/snapshots/{text}"), None).await;
        assert_eq!(found.status, 200, "{text}");
        assert_eq!(found.json()["id"], installation.own_snapshot.id.to_string());
    }
    let page = installation.call("GET", "/api/snapshots?limit=1&page=2", None).await.json();
    assert_eq!(
        (&page["items"][0]["general"], &page["total"]),
        (&json!(true), &json!(2)),
        "general ones come last: {page}"
    );
    assert_eq!(installation.call("GET", "/api/snapshots?name=PRIVATE", None).await.json()["total"], 1);
    assert_eq!(installation.call("GET", "/api/snapshots?sort=color", None).await.status, 400);
    assert_eq!(
        installation.call_as(Some(OTHER_KEY), "GET", "/api/snapshots/org%2Fprivate%20image%3A1.0", None).await.status,
        404
    );
}

#[tokio::test]
async fn usage_counts_what_runs_and_the_files_of_what_is_stopped() {
    let installation = Installation::new().await;
    let path = format!("/api/organizations/{}/usage", installation.organization);
    let usage = async || {
        let body = installation.call("GET", &path, None).await.json();
        let region = body["regionUsage"][0].clone();
        let taken =
            ["currentCpuUsage", "currentMemoryUsage", "currentDiskUsage"].map(|key| region[key].as_u64().unwrap());
        let given = ["totalCpuQuota", "totalMemoryQuota", "totalDiskQuota"].map(|key| region[key].as_u64().unwrap());
        assert!(given.iter().all(|total| *total > 0), "{body}");
        assert_eq!((&region["maxCpuPerGpuSandbox"], &region["maxCpuPerGpu"]), (&Value::Null, &Value::Null));
        assert!(region["maxCpuPerSandbox"].is_u64() && body["currentVolumeUsage"] == 0, "{body}");
        taken
    };
    assert_eq!(usage().await, [0, 0, 0]);
    let made = installation.call("POST", "/api/sandbox", Some(json!({}))).await.json();
    let id = made["id"].as_str().unwrap();
    assert_eq!(usage().await, [1, 1, 3]);
    support::settle(&installation.store, id.parse().unwrap()).await;
    installation.call("POST", &format!("/api/sandbox/{id}/stop"), None).await;
    support::settle(&installation.store, id.parse().unwrap()).await;
    assert_eq!(usage().await, [0, 0, 3]);
    installation.call("POST", &format!("/api/sandbox/{id}/archive"), None).await;
    support::settle(&installation.store, id.parse().unwrap()).await;
    assert_eq!(usage().await, [0, 0, 0]);
}
