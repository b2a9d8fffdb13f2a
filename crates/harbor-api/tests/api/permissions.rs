//! What each route asks of a key (contract, control-plane §2.4).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::support::Installation;

/// The contract's table for the built routes. A route that is not here asks for no permission.
const CONTRACT: &[(&str, &str)] = &[
    ("post /sandbox", "write:sandboxes"),
    ("post /sandbox/{sandboxIdOrName}/archive", "write:sandboxes"),
    ("post /sandbox/{sandboxIdOrName}/autoarchive/{interval}", "write:sandboxes"),
    ("post /sandbox/{sandboxIdOrName}/autodelete/{interval}", "write:sandboxes"),
    ("post /sandbox/{sandboxIdOrName}/backup", "write:sandboxes"),
    ("post /sandbox/{sandboxIdOrName}/fork", "write:sandboxes"),
    ("post /sandbox/{sandboxIdOrName}/public/{isPublic}", "write:sandboxes"),
    ("post /sandbox/{sandboxIdOrName}/recover", "write:sandboxes"),
    ("post /sandbox/{sandboxIdOrName}/snapshot", "write:sandboxes"),
    ("post /sandbox/{sandboxIdOrName}/autopause/{interval}", "write:sandboxes"),
    ("post /sandbox/{sandboxIdOrName}/autostop/{interval}", "write:sandboxes"),
    ("post /sandbox/{sandboxIdOrName}/pause", "write:sandboxes"),
    ("post /sandbox/{sandboxIdOrName}/resize", "write:sandboxes"),
    ("post /sandbox/{sandboxIdOrName}/start", "write:sandboxes"),
    ("post /sandbox/{sandboxIdOrName}/stop", "write:sandboxes"),
    ("post /sandbox/{sandboxIdOrName}/ttl/{ttlMinutes}", "write:sandboxes"),
    ("put /sandbox/{sandboxIdOrName}/labels", "write:sandboxes"),
    ("post /sandbox/{sandboxId}/signing-key/rotate", "write:sandboxes"),
    ("delete /sandbox/{sandboxIdOrName}", "delete:sandboxes"),
    ("delete /snapshots/{id}", "delete:snapshots"),
    ("post /docker-registry", "write:registries"),
    ("patch /docker-registry/{id}", "write:registries"),
    ("delete /docker-registry/{id}", "delete:registries"),
    ("post /snapshots", "write:snapshots"),
    ("post /snapshots/{id}/activate", "write:snapshots"),
    ("post /snapshots/{id}/deactivate", "write:snapshots"),
    ("get /volumes", "read:volumes"),
    ("get /volumes/{volumeId}", "read:volumes"),
    ("get /volumes/by-name/{name}", "read:volumes"),
    ("post /volumes", "write:volumes"),
    ("delete /volumes/{volumeId}", "delete:volumes"),
    // stricter than the contract: these open the sandbox, as the toolbox does
    ("get /sandbox/{sandboxId}/signing-key", "write:sandboxes"),
    ("get /sandbox/{sandboxIdOrName}/ports/{port}/preview-url", "write:sandboxes"),
    // only the administrator of this installation has them
    ("get /runners", "read:runners"),
    ("get /runners/{id}", "read:runners"),
    // of newer clients, whose documents name no permission (control-plane §12.2): what makes sandboxes
    ("post /warm-pools", "write:sandboxes"),
    ("patch /warm-pools/{id}", "write:sandboxes"),
    ("delete /warm-pools/{id}", "write:sandboxes"),
];

/// Routes for which any of several permissions is enough.
const ANY_OF: &[(&str, &[&str])] = &[
    ("get /docker-registry/registry-push-access", &["write:snapshots", "write:sandboxes"]),
    ("get /object-storage/push-access", &["write:snapshots", "write:sandboxes"]),
];

/// What every operation of the published document asks for, which is made from the handlers' arguments. Routes that
/// ask for no credential, or for any of several permissions, are left out.
async fn declared(installation: &Installation) -> BTreeMap<String, Vec<String>> {
    let document = installation.call_as(None, "GET", "/api-json", None).await.json();
    let mut found = BTreeMap::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let [asked] = operation["security"].as_array().map_or(&[][..], Vec::as_slice) else { continue };
            let Some(words) = asked.get("bearer").and_then(Value::as_array) else { continue };
            let words = words.iter().map(|word| word.as_str().unwrap().to_owned()).collect();
            found.insert(format!("{method} {path}"), words);
        }
    }
    found
}

#[tokio::test]
async fn the_document_says_what_the_contract_says() {
    let installation = Installation::new().await;
    let declared = declared(&installation).await;
    assert!(declared.len() > 25, "the document was not read");
    // what only an administrator may do, by a key that may do everything
    let every: Vec<_> = harbor_model::identity::Permission::ALL.iter().map(|one| one.word().to_owned()).collect();
    let administers = |route: &str| route.contains(" /admin/") || route.contains(" /harbor/");
    for (route, words) in declared.iter().filter(|(route, _)| administers(route)) {
        assert_eq!(words, &every, "{route}");
    }
    let asking = declared.iter().filter(|(route, words)| !words.is_empty() && !administers(route));
    let asking: BTreeMap<&str, Vec<&str>> =
        asking.map(|(route, words)| (route.as_str(), words.iter().map(String::as_str).collect())).collect();
    assert_eq!(asking, CONTRACT.iter().map(|(route, word)| (*route, vec![*word])).collect());
}

#[tokio::test]
async fn for_some_routes_any_of_several_permissions_is_enough() {
    let installation = Installation::new().await;
    let document = installation.call_as(None, "GET", "/api-json", None).await.json();
    let mut found = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if operation["security"].as_array().is_some_and(|asked| asked.len() > 1) {
                found.insert(format!("{method} {}", path.trim_start_matches("/api")));
            }
        }
    }
    assert_eq!(found, ANY_OF.iter().map(|(route, _)| (*route).to_owned()).collect());
    for (route, words) in ANY_OF {
        let (method, path) = route.split_once(' ').unwrap();
        let asked = async |name: String, permissions: Vec<&str>| {
            let body = json!({"name": name, "permissions": permissions});
            let made = installation.call("POST", "/api/api-keys", Some(body)).await;
            let key = made.json()["value"].as_str().unwrap().to_owned();
            installation.call_as(Some(&key), &method.to_uppercase(), &format!("/api{path}"), None).await.status
        };
        for word in *words {
            assert_eq!(asked(format!("{word} for {route}"), vec![word]).await, 200, "{route} with {word}");
        }
        let every = harbor_model::identity::Permission::ALL.iter().map(|permission| permission.word());
        let others = every.filter(|word| !words.contains(word)).collect();
        assert_eq!(asked(format!("none for {route}"), others).await, 403, "{route} without");
    }
}

#[tokio::test]
async fn a_key_without_the_permission_is_refused_and_one_with_nothing_else_is_not() {
    let installation = Installation::new().await;
    let every = harbor_model::identity::Permission::ALL.iter().map(|permission| permission.word());
    let key = async |name: &str, permissions: Vec<&str>| {
        let made =
            installation.call("POST", "/api/api-keys", Some(json!({"name": name, "permissions": permissions}))).await;
        made.json()["value"].as_str().unwrap_or_else(|| panic!("{}", made.text)).to_owned()
    };
    let nothing = key("nothing", Vec::new()).await;
    let declared = declared(&installation).await;
    let mut keys = BTreeMap::new();
    for words in declared.values().filter(|words| !words.is_empty()).collect::<BTreeSet<_>>() {
        let without = every.clone().filter(|other| other != words.last().unwrap()).collect();
        let with = words.iter().map(String::as_str).collect();
        let pair = (key(&format!("not {words:?}"), without).await, key(&format!("only {words:?}"), with).await);
        keys.insert(words, pair);
    }
    for (route, words) in &declared {
        let (method, path) = route.split_once(' ').unwrap();
        let path = path.replace("{organizationId}", &installation.organization.to_string()).replace("{port}", "1");
        // nothing is called that: permission comes before lookup
        let segments =
            path.split('/').map(|segment| if segment.starts_with('{') { "nothing-of-that-name" } else { segment });
        let target = format!("/api{}", segments.collect::<Vec<_>>().join("/"));
        let refused = async |key: &str| {
            let answer =
                installation.call_as(Some(key), &method.to_uppercase(), &target, Some(json!({"name": 7}))).await;
            assert_ne!(answer.status, 401, "{route}");
            answer.status == 403 && answer.json()["message"].as_str().unwrap().starts_with("Access denied")
        };
        match keys.get(words) {
            None => assert!(!refused(&nothing).await, "{route} asks for no permission"),
            Some((without, only)) => {
                assert!(refused(without).await, "{route} without one of {words:?}");
                assert!(!refused(only).await, "{route} with {words:?}");
            }
        }
    }
}
