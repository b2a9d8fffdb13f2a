//! Who may ask what: routes without a key, with another tenant's and with one of few permissions.

use serde_json::{Value, json};

use crate::support::{Installation, OTHER_KEY, check_error};

const CONTRACT: &str = include_str!("../../../../tests/contract/api-endpoints.tsv");

/// Routes that need no credential.
const PUBLIC: &[&str] = &["GET /config", "GET /health", "GET /shared-regions"];

/// Every route of the contract, filled with things of the first tenant.
fn routes(installation: &Installation, sandbox: &str) -> Vec<(String, String, String)> {
    let caller = "first";
    let fill = |path: &str| {
        path.replace("{sandboxIdOrName}", sandbox)
            .replace("{sandboxId}", sandbox)
            .replace("{organizationId}", &installation.organization.to_string())
            .replace("/snapshots/{id}", &format!("/snapshots/{}", installation.own_snapshot.id))
            .replace("{name}", caller)
            .replace("{userId}", caller)
            .replace("{port}", "3000")
    };
    let routes: Vec<_> = CONTRACT
        .lines()
        .skip(1)
        .map(|line| line.split('\t').take(2).collect::<Vec<_>>())
        .filter(|row| !row[1].starts_with("/toolbox/"))
        .map(|row| {
            let filled = fill(row[1]);
            let rest = filled.split('/').map(|part| if part.starts_with('{') { "x" } else { part });
            (row[0].to_owned(), row[1].to_owned(), format!("/api{}", rest.collect::<Vec<_>>().join("/")))
        })
        .collect();
    assert!(routes.len() > 150);
    routes
}

#[tokio::test]
async fn every_route_asks_for_a_key_that_opens() {
    let installation = Installation::new().await;
    let sandbox = installation.started("mine").await.to_string();
    for (method, path, target) in routes(&installation, &sandbox) {
        let what = format!("{method} {path}");
        for key in [None, Some(""), Some("dtn_unknown"), Some("dtn_the first-tenants-key")] {
            // a body that would be refused: the credential comes first
            let answer = installation.call_as(key, &method, &target, Some(json!({"name": 7, "labels": 7}))).await;
            if what == "GET /audit/scenarios" {
                assert_eq!(answer.status, 501, "{what}: not built, and not a matter of credentials");
            } else if PUBLIC.contains(&what.as_str()) {
                assert_eq!(answer.status, 200, "{what}");
            } else {
                assert_eq!(answer.status, 401, "{what} with {key:?}");
                check_error(&what, &target, &answer);
            }
        }
    }
}

#[tokio::test]
async fn another_tenants_key_reaches_nothing() {
    let installation = Installation::new().await;
    let sandbox = installation.started("a-name-of-the-first-tenant").await.to_string();
    let (organization, snapshot) = (installation.organization.to_string(), installation.own_snapshot.id.to_string());
    let secrets = [sandbox.as_str(), "a-name-of-the-first-tenant", &snapshot, "first@harbor.test", "org/private"];
    for (method, path, target) in routes(&installation, &sandbox) {
        let what = format!("{method} {path}");
        let answer = installation.call_as(Some(OTHER_KEY), &method, &target, None).await;
        if answer.status.is_success() {
            assert!(!path.contains("sandboxId") && !path.contains("organizationId"), "{what}: {}", answer.text);
            assert!(!secrets.iter().any(|secret| answer.text.contains(secret)), "{what}: {}", answer.text);
        } else {
            check_error(&what, &target, &answer);
            let administration = path.starts_with("/admin/");
            let refused = if administration { &[403][..] } else { &[400, 403, 404, 501] };
            assert!(refused.contains(&answer.status.as_u16()), "{what}: {}", answer.text);
        }
    }
    // what is general belongs to somebody, and says to whom; nothing else of the first tenant was touched
    let mine = installation.call("GET", &format!("/api/sandbox/{sandbox}"), None).await.json();
    assert_eq!(
        (mine["state"].as_str(), mine["organizationId"].as_str()),
        (Some("started"), Some(organization.as_str()))
    );
    assert_eq!(installation.call("GET", "/api/api-keys/first", None).await.status, 200);
}

#[tokio::test]
async fn permission_comes_before_lookup_and_validation() {
    let installation = Installation::new().await;
    let made = installation.call("POST", "/api/api-keys", Some(json!({"name": "reader", "permissions": []}))).await;
    assert_eq!(made.status, 201);
    let reader = made.json()["value"].as_str().unwrap().to_owned();
    let check = async |method: &str, path: &str, body: Value, status: u16| {
        let answer = installation.call_as(Some(&reader), method, path, Some(body)).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text);
    };
    check("POST", "/api/sandbox", json!({"cpu": "x"}), 403).await;
    check("DELETE", "/api/sandbox/nobody", json!({}), 403).await;
    check("POST", "/api/sandbox/nobody/start", json!({}), 403).await;
    check("POST", "/api/sandbox/nobody/stop?force=maybe", json!({}), 403).await;
    check("PUT", "/api/sandbox/nobody/labels", json!({}), 403).await;
    check("POST", "/api/api-keys", json!({"name": "more", "permissions": ["write:sandboxes"]}), 403).await;
    let strong = json!({"name": "strong", "permissions": ["write:sandboxes"]});
    assert_eq!(installation.call("POST", "/api/api-keys", Some(strong)).await.status, 201);
    check("DELETE", "/api/api-keys/strong", json!({}), 403).await;
    check("GET", "/api/sandbox", json!({}), 200).await;
    check("GET", "/api/snapshots", json!({}), 200).await;
    check("DELETE", "/api/api-keys/reader", json!({}), 204).await;
    check("GET", "/api/sandbox", json!({}), 401).await;
}
