//! What bodies hold, and the documents that describe them.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::Installation;

const MODELS: &str = include_str!("../../../../tests/contract/api-models.json");

/// Required keys and types of a model: OpenAPI 0.190.0 and the keys newer clients require (contract §16.2).
#[derive(Deserialize)]
struct Model {
    required: Vec<String>,
    types: BTreeMap<String, String>,
}

#[track_caller]
fn check_model(name: &str, value: &Value) {
    let models: BTreeMap<String, Model> = serde_json::from_str(MODELS).unwrap();
    let Model { required, types } = &models[name];
    let object = value.as_object().unwrap_or_else(|| panic!("{name}: {value}"));
    for key in required {
        assert!(object.contains_key(key), "{name} lacks {key}: {value}");
    }
    for (key, value) in object {
        let Some(expected) = types.get(key) else { continue };
        let fits = match expected.trim_end_matches('?') {
            "string" => value.is_string(),
            "integer" => value.is_u64() || value.is_i64(),
            "number" => value.is_number(),
            "boolean" => value.is_boolean(),
            "array" => value.is_array(),
            "object" => value.is_object(),
            _ => true,
        };
        let null = value.is_null() && (expected.ends_with('?') || !required.contains(key));
        assert!(fits || null, "{name}.{key} must be {expected}, not {value}");
    }
}

#[tokio::test]
async fn every_body_has_what_any_client_requires() {
    let installation = Installation::new().await;
    let id = installation.started("mine").await;
    let organization = installation.organization;
    let get = async |path: &str| {
        let answer = installation.call("GET", &format!("/api{path}"), None).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        answer.json()
    };
    let one = |list: &Value| list.as_array().unwrap_or_else(|| panic!("{list}"))[0].clone();
    check_model("Sandbox", &get(&format!("/sandbox/{id}")).await);
    let page = get("/sandbox").await;
    check_model("ListSandboxesResponse", &page);
    check_model("SandboxListItem", &one(&page["items"]));
    let numbered = get("/sandbox/paginated").await;
    check_model("PaginatedSandboxes", &numbered);
    check_model("Sandbox", &one(&numbered["items"]));
    let snapshots = get("/snapshots").await;
    check_model("PaginatedSnapshots", &snapshots);
    check_model("SnapshotDto", &one(&snapshots["items"]));
    check_model("PortPreviewUrl", &get("/sandbox/mine/ports/3000/preview-url").await);
    check_model("ToolboxProxyUrl", &get("/sandbox/mine/toolbox-proxy-url").await);
    check_model("DaytonaConfiguration", &get("/config").await);
    check_model("User", &get("/users/me").await);
    check_model("Region", &one(&get("/regions").await));
    check_model("Region", &one(&get("/shared-regions").await));
    check_model("Region", &get("/regions/us").await);
    let runner = one(&get("/runners").await);
    check_model("Runner", &runner);
    let own = runner["id"].as_str().unwrap_or_default().to_owned();
    assert_eq!(get(&format!("/sandbox/{id}")).await["runnerId"], own, "the runner that sandboxes name");
    check_model("Runner", &get(&format!("/runners/{own}")).await);
    check_model("RunnerFull", &one(&get("/admin/runners?regionId=us").await));
    check_model("RunnerFull", &get(&format!("/admin/runners/{own}")).await);
    assert_eq!(get("/runners?regionId=eu").await, json!([]));
    check_model("Organization", &one(&get("/organizations").await));
    check_model("Organization", &get(&format!("/organizations/{organization}")).await);
    check_model("OrganizationUser", &one(&get(&format!("/organizations/{organization}/users")).await));
    let roles = get(&format!("/organizations/{organization}/roles")).await;
    assert_eq!(roles.as_array().unwrap().len(), 8);
    check_model("OrganizationRole", &one(&roles));
    check_model("ApiKeyList", &one(&get("/api-keys").await));
    check_model("ApiKeyList", &get("/api-keys/current").await);
    let made =
        installation.call("POST", "/api/api-keys", Some(json!({"name": "n", "permissions": ["read:volumes"]}))).await;
    check_model("ApiKeyResponse", &made.json());
    let labels = installation.call("PUT", "/api/sandbox/mine/labels", Some(json!({"labels": {"a": "b"}}))).await.json();
    check_model("SandboxLabels", &labels);
    check_model("Sandbox", &labels);
    assert_eq!(get("/organizations/invitations").await, json!([]));
    assert_eq!(get("/organizations/invitations/count").await, json!(0));
}

#[tokio::test]
async fn the_documents_are_there() {
    let installation = Installation::new().await;
    let document = installation.call_as(None, "GET", "/api-json", None).await.json();
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.")), "{document}");
    assert_eq!(document["servers"][0]["url"], "http://localhost:35000/api");
    let create = &document["paths"]["/sandbox"]["post"];
    assert_eq!(
        create["responses"]["200"]["content"]["application/json"]["schema"]["$ref"],
        "#/components/schemas/Sandbox"
    );
    assert_eq!(create["security"], json!([{"bearer": ["write:sandboxes"]}]));
    assert_eq!(document["paths"]["/config"]["get"]["security"], json!([{}]));
    let required = document["components"]["schemas"]["Sandbox"]["required"].as_array().unwrap();
    assert!(required.contains(&json!("toolboxProxyUrl")) && !required.contains(&json!("errorReason")));
    let references: Vec<&str> = document_references(&document);
    for reference in references {
        let name = reference.strip_prefix("#/components/schemas/").unwrap();
        assert!(document["components"]["schemas"].get(name).is_some(), "{name} is not in the document");
    }
    let page = installation.call_as(None, "GET", "/api", None).await;
    assert_eq!(page.status, 200);
    assert!(page.text.contains("/api-json") && !page.text.contains("https://"), "self-contained");
    let root = installation.call_as(None, "GET", "/", None).await;
    assert_eq!((root.status.as_u16(), root.headers["location"].to_str().unwrap()), (302, "/api"));
    for path in ["/dashboard", "/dashboard/", "/dashboard/sandboxes"] {
        let answer = installation.call_as(None, "GET", path, None).await;
        assert_eq!(answer.status, 501, "{path}");
        assert!(answer.headers["content-type"].to_str().unwrap().starts_with("text/html"));
    }
}

fn document_references(value: &Value) -> Vec<&str> {
    match value {
        Value::Object(object) => object
            .iter()
            .flat_map(|(key, value)| match value.as_str() {
                Some(text) if key == "$ref" => vec![text],
                _ => document_references(value),
            })
            .collect(),
        Value::Array(list) => list.iter().flat_map(document_references).collect(),
        _ => Vec::new(),
    }
}
