//! The key that signs URLs of files (contract, control-plane §1.2 and §5.13, toolbox §11.15).

use serde_json::json;

use crate::support::{Answer, Installation, KEY, OTHER_KEY};

/// Bare text, as every client can read it.
#[track_caller]
fn text(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert!(answer.headers["content-type"].to_str().unwrap().starts_with("text/plain"));
    assert!(answer.text.len() >= 32 && !answer.text.contains(['"', '\n', ' ']), "{}", answer.text);
    answer.text.clone()
}

#[tokio::test]
async fn it_is_made_once_and_rotates_at_once() {
    let installation = Installation::new().await;
    let (sandbox, other) = (installation.started("box").await, installation.started("other").await);
    let key =
        async |name: &str| text(&installation.call("GET", &format!("/api/sandbox/{name}/signing-key"), None).await);
    let first = key(&sandbox.to_string()).await;
    assert_eq!(key("box").await, first);
    assert_ne!(key("other").await, first);
    let others = key(&other.to_string()).await;

    let rotate = format!("/api/sandbox/{sandbox}/signing-key/rotate");
    let second = text(&installation.call("POST", &rotate, None).await);
    assert_ne!(second, first);
    assert_eq!((key("box").await, key("other").await), (second.clone(), others));

    // it belongs to nothing that is shown
    let shown = installation.call("GET", "/api/sandbox/box", None).await.text;
    assert!(!shown.contains(&second) && !shown.contains(&first));
}

#[tokio::test]
async fn only_who_may_use_the_toolbox_gets_it() {
    let installation = Installation::new().await;
    let sandbox = installation.started("box").await;
    let reader = installation.call("POST", "/api/api-keys", Some(json!({"name": "reader", "permissions": []}))).await;
    let reader = reader.json()["value"].as_str().unwrap().to_owned();
    let deleter = json!({"name": "deleter", "permissions": ["delete:sandboxes"]});
    let deleter = installation.call("POST", "/api/api-keys", Some(deleter)).await;
    let deleter = deleter.json()["value"].as_str().unwrap().to_owned();
    let check = async |key: Option<&str>, status: u16| {
        for (method, path) in [("GET", "signing-key"), ("POST", "signing-key/rotate")] {
            let answer = installation.call_as(key, method, &format!("/api/sandbox/{sandbox}/{path}"), None).await;
            assert_eq!(answer.status, status, "{method} {path} as {key:?}: {}", answer.text);
        }
    };
    for (key, status) in [(None, 401), (Some(OTHER_KEY), 404), (Some(&*reader), 403), (Some(&*deleter), 403)] {
        check(key, status).await;
    }
    check(Some(KEY), 200).await;
    assert_eq!(installation.call("DELETE", "/api/sandbox/box", None).await.status, 200);
    check(Some(KEY), 404).await;
    assert_eq!(installation.store.signing_key(sandbox).await.unwrap(), None);
}
