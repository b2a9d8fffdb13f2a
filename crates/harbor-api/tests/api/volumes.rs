//! Volumes as clients see them (contract, control-plane §7); no engine removes files here.

use serde_json::{Value, json};

use crate::support::{Installation, KEY, OTHER_KEY};

async fn made(installation: &Installation, name: &str) -> String {
    let answer = installation.call("POST", "/api/volumes", Some(json!({"name": name}))).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()["id"].as_str().unwrap().to_owned()
}

async fn names(installation: &Installation, query: &str) -> Vec<String> {
    let listed = installation.call("GET", &format!("/api/volumes{query}"), None).await.json();
    listed.as_array().unwrap().iter().map(|volume| volume["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_volume_is_ready_at_once_and_its_name_free_when_it_is_deleted() {
    let installation = Installation::new().await;
    let made_now = installation.call("POST", "/api/volumes", Some(json!({"name": "data"}))).await.json();
    let id = made_now["id"].as_str().unwrap();
    assert_eq!((&made_now["state"], &made_now["name"]), (&json!("ready"), &json!("data")));
    // the key has to be there, and null
    assert_eq!(made_now.get("errorReason"), Some(&Value::Null));
    assert_eq!(made_now.get("lastUsedAt"), None);
    for path in [format!("/api/volumes/{id}"), "/api/volumes/by-name/data".to_owned()] {
        assert_eq!(installation.call("GET", &path, None).await.json(), made_now);
    }
    let taken = installation.call("POST", "/api/volumes", Some(json!({"name": "data"}))).await;
    assert_eq!(taken.status, 400);
    assert!(taken.json()["message"].as_str().unwrap().contains("Volume with name data already exists"));

    let deleted = installation.call("DELETE", &format!("/api/volumes/{id}"), None).await;
    assert_eq!((deleted.status.as_u16(), deleted.text.as_str()), (200, ""));
    let gone = installation.call("GET", "/api/volumes/by-name/data", None).await;
    assert_eq!(gone.status, 404);
    assert!(gone.json()["message"].as_str().unwrap().contains("Volume with name data not found"));
    let still = installation.call("GET", &format!("/api/volumes/{id}"), None).await.json();
    assert_eq!((&still["state"], &still["name"]), (&json!("deleting"), &json!("data-deleted")));
    assert_eq!(installation.call("DELETE", &format!("/api/volumes/{id}"), None).await.status, 400);
    assert_ne!(made(&installation, "data").await, id);
    assert_eq!(names(&installation, "").await, ["data", "data-deleted"]);
    assert_eq!(installation.call("GET", "/api/volumes?includeDeleted=perhaps", None).await.status, 400);
}

#[tokio::test]
async fn names_follow_the_rule_and_an_empty_one_is_the_id() {
    let installation = Installation::new().await;
    let id = made(&installation, "").await;
    assert_eq!(names(&installation, "").await, [id]);
    for body in
        [json!({}), json!({"name": null}), json!({"name": 5}), json!({"name": "<b>x</b>"}), json!({"name": "a\u{1}"})]
    {
        let refused = installation.call("POST", "/api/volumes", Some(body.clone())).await;
        assert_eq!(refused.status, 400, "{body}");
        assert!(refused.json()["message"].to_string().contains("name"), "{body}: {}", refused.text);
    }
    let odd = "two words/ü%2F";
    made(&installation, odd).await;
    let found = installation.call("GET", "/api/volumes/by-name/two%20words%2F%C3%BC%252F", None).await;
    assert_eq!(found.json()["name"], odd);
}

#[tokio::test]
async fn nobody_else_sees_a_volume() {
    let installation = Installation::new().await;
    let id = made(&installation, "mine").await;
    for (method, path) in [
        ("GET", format!("/api/volumes/{id}")),
        ("DELETE", format!("/api/volumes/{id}")),
        ("GET", "/api/volumes/by-name/mine".to_owned()),
    ] {
        assert_eq!(installation.call_as(Some(OTHER_KEY), method, &path, None).await.status, 404, "{method} {path}");
    }
    for volume in [id.as_str(), "mine"] {
        let body = json!({"volumes": [{"volumeId": volume, "mountPath": "/m"}]});
        assert_eq!(installation.call_as(Some(OTHER_KEY), "POST", "/api/sandbox", Some(body)).await.status, 404);
    }
    assert_eq!(installation.call_as(Some(OTHER_KEY), "GET", "/api/volumes", None).await.json(), json!([]));
    for path in ["/api/volumes/nonsense", "/api/volumes/00000000-0000-4000-8000-000000000000"] {
        assert_eq!(installation.call("GET", path, None).await.status, 404);
    }
    assert_eq!(installation.call_as(Some(KEY), "GET", &format!("/api/volumes/{id}"), None).await.status, 200);
}

#[tokio::test]
async fn a_sandbox_names_its_volumes_by_name_or_id_and_keeps_them_from_being_deleted() {
    let installation = Installation::new().await;
    let id = made(&installation, "data").await;
    let with = |volumes: Value| Some(json!({"name": "box", "volumes": volumes}));
    let create = async |volumes: Value| installation.call("POST", "/api/sandbox", with(volumes)).await;
    for (volumes, status, said) in [
        (json!([{"volumeId": "nobody", "mountPath": "/m"}]), 404, "Volume 'nobody' not found"),
        (json!([{"volumeId": "data", "mountPath": "m"}]), 400, "Invalid mount path m (must be absolute)"),
        (
            json!([{"volumeId": "data", "mountPath": "/etc"}, {"volumeId": "data", "mountPath": "/m", "subpath": "/s"}]),
            400,
            "/etc",
        ),
        (json!([{"volumeId": "data", "mountPath": "/m"}, {"volumeId": "data", "mountPath": "/m/"}]), 400, "one path"),
        (json!([{"volumeId": "data", "mountPath": "/m"}, {"volumeId": "data", "mountPath": "/m/n"}]), 400, "lies in"),
        (json!([{"volumeId": "data", "mountPath": "/m", "subpath": "a//b"}]), 400, "consecutive slashes"),
        (json!([{"volumeId": "data"}]), 400, "mountPath"),
        (json!([{"volumeId": "", "mountPath": "/m"}]), 400, "volumeId"),
        (json!([{"mountPath": "/m"}]), 400, "volumeId"),
    ] {
        let refused = create(volumes.clone()).await;
        assert_eq!(refused.status.as_u16(), status, "{volumes}");
        assert!(refused.json()["message"].to_string().contains(said), "{volumes}: {}", refused.text);
    }
    let created = create(json!([
        {"volumeId": "data", "mountPath": "/mnt/a"}, {"volumeId": id, "mountPath": "/mnt/b/", "subpath": ""},
        {"volumeId": id, "mountPath": "/mnt/c", "subpath": "users/ü/"},
    ]));
    let created = created.await;
    assert_eq!(created.status, 200, "{}", created.text);
    let expected = json!([
        {"volumeId": id, "mountPath": "/mnt/a"}, {"volumeId": id, "mountPath": "/mnt/b"},
        {"volumeId": id, "mountPath": "/mnt/c", "subpath": "users/ü"},
    ]);
    assert_eq!(created.json()["volumes"], expected);
    assert_eq!(installation.call("GET", "/api/sandbox/box", None).await.json()["volumes"], expected);
    assert!(installation.call("GET", &format!("/api/volumes/{id}"), None).await.json()["lastUsedAt"].is_string());
    let busy = installation.call("DELETE", &format!("/api/volumes/{id}"), None).await;
    assert_eq!(busy.status, 409);
    assert!(busy.json()["message"].as_str().unwrap().contains("box"), "{}", busy.text);
    installation.see(created.json()["id"].as_str().unwrap().parse().unwrap()).await;
    assert_eq!(installation.call("DELETE", "/api/sandbox/box", None).await.status, 200);
    assert_eq!(installation.call("DELETE", &format!("/api/volumes/{id}"), None).await.status, 200);
    let leaving = create(json!([{"volumeId": id, "mountPath": "/m"}])).await;
    assert_eq!(leaving.status, 400);
    assert!(leaving.json()["message"].as_str().unwrap().contains("Current state: deleting"), "{}", leaving.text);
}

#[tokio::test]
async fn the_id_of_one_and_the_name_of_another_mean_neither() {
    let installation = Installation::new().await;
    let first = made(&installation, "first").await;
    let second = made(&installation, &first).await;
    let body = json!({"volumes": [{"volumeId": first, "mountPath": "/m"}]});
    let refused = installation.call("POST", "/api/sandbox", Some(body)).await;
    assert_eq!(refused.status, 400);
    assert!(refused.json()["message"].as_str().unwrap().contains(&second), "{}", refused.text);
    let body = json!({"volumes": [{"volumeId": second, "mountPath": "/m"}]});
    assert_eq!(installation.call("POST", "/api/sandbox", Some(body)).await.json()["volumes"][0]["volumeId"], second);
}
