//! The API as a client without an engine sees it.
#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "contract/permissions.rs"]
mod permissions;
#[path = "contract/signing_key.rs"]
mod signing_key;
mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use futures_util::StreamExt as _;
use http::Request;
use serde::Deserialize;
use serde_json::{Value, json};
use support::{Answer, HEALTH_KEY, KEY, OTHER_KEY, Place};

const CONTRACT: &str = include_str!("../../../tests/contract/api-endpoints.tsv");
const MODELS: &str = include_str!("../../../tests/contract/api-models.json");

/// Routes that need no credential.
const PUBLIC: &[&str] = &["GET /config", "GET /health", "GET /shared-regions"];

/// Exactly the contract's error keys, and the additive ones.
#[track_caller]
fn check_error(what: &str, target: &str, answer: &Answer) {
    let body = answer.json();
    assert_eq!(body["statusCode"], answer.status.as_u16(), "{what}");
    assert_eq!(body["error"], answer.status.canonical_reason().unwrap(), "{what}");
    assert_eq!(body["path"], target, "{what}");
    assert_eq!(body["source"], "DAYTONA_API", "{what}");
    assert!(body["message"].as_str().is_some_and(|message| !message.is_empty()), "{what}: {body}");
    assert!(body["timestamp"].as_str().is_some_and(|time| time.len() == 24 && time.ends_with('Z')), "{what}: {body}");
    assert_eq!(answer.headers["content-type"], "application/json", "{what}");
    assert_eq!(answer.headers["x-daytona-api-version"], "v0.190.0", "{what}");
    assert_eq!(answer.headers["x-request-id"].to_str().unwrap(), body["requestId"].as_str().unwrap(), "{what}");
    assert!(!answer.headers.contains_key("www-authenticate"), "{what}");
}

/// Every route of the contract, filled with things of the first tenant.
fn routes(place: &Place, sandbox: &str) -> Vec<(String, String, String)> {
    let caller = "first";
    let fill = |path: &str| {
        path.replace("{sandboxIdOrName}", sandbox)
            .replace("{sandboxId}", sandbox)
            .replace("{organizationId}", &place.organization.to_string())
            .replace("/snapshots/{id}", &format!("/snapshots/{}", place.own_snapshot.id))
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
    let place = Place::new().await;
    let sandbox = place.started("mine").await.to_string();
    for (method, path, target) in routes(&place, &sandbox) {
        let what = format!("{method} {path}");
        for key in [None, Some(""), Some("dtn_unknown"), Some("dtn_the first-tenants-key")] {
            // a body that would be refused: the credential comes first
            let answer = place.call_as(key, &method, &target, Some(json!({"name": 7, "labels": 7}))).await;
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
    let place = Place::new().await;
    let sandbox = place.started("a-name-of-the-first-tenant").await.to_string();
    let (organization, snapshot) = (place.organization.to_string(), place.own_snapshot.id.to_string());
    let secrets = [sandbox.as_str(), "a-name-of-the-first-tenant", &snapshot, "first@harbor.test", "org/private"];
    for (method, path, target) in routes(&place, &sandbox) {
        let what = format!("{method} {path}");
        let answer = place.call_as(Some(OTHER_KEY), &method, &target, None).await;
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
    let mine = place.call("GET", &format!("/api/sandbox/{sandbox}"), None).await.json();
    assert_eq!(
        (mine["state"].as_str(), mine["organizationId"].as_str()),
        (Some("started"), Some(organization.as_str()))
    );
    assert_eq!(place.call("GET", "/api/api-keys/first", None).await.status, 200);
}

#[tokio::test]
async fn permission_comes_before_lookup_and_validation() {
    let place = Place::new().await;
    let made = place.call("POST", "/api/api-keys", Some(json!({"name": "reader", "permissions": []}))).await;
    assert_eq!(made.status, 201);
    let reader = made.json()["value"].as_str().unwrap().to_owned();
    let check = async |method: &str, path: &str, body: Value, status: u16| {
        let answer = place.call_as(Some(&reader), method, path, Some(body)).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text);
    };
    check("POST", "/api/sandbox", json!({"cpu": "x"}), 403).await;
    check("DELETE", "/api/sandbox/nobody", json!({}), 403).await;
    check("POST", "/api/sandbox/nobody/start", json!({}), 403).await;
    check("POST", "/api/sandbox/nobody/stop?force=maybe", json!({}), 403).await;
    check("PUT", "/api/sandbox/nobody/labels", json!({}), 403).await;
    check("POST", "/api/api-keys", json!({"name": "more", "permissions": ["write:sandboxes"]}), 403).await;
    let strong = json!({"name": "strong", "permissions": ["write:sandboxes"]});
    assert_eq!(place.call("POST", "/api/api-keys", Some(strong)).await.status, 201);
    check("DELETE", "/api/api-keys/strong", json!({}), 403).await;
    check("GET", "/api/sandbox", json!({}), 200).await;
    check("GET", "/api/snapshots", json!({}), 200).await;
    check("DELETE", "/api/api-keys/reader", json!({}), 204).await;
    check("GET", "/api/sandbox", json!({}), 401).await;
}

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
    let place = Place::new().await;
    let id = place.started("mine").await;
    let organization = place.organization;
    let get = async |path: &str| {
        let answer = place.call("GET", &format!("/api{path}"), None).await;
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
    check_model("Organization", &one(&get("/organizations").await));
    check_model("Organization", &get(&format!("/organizations/{organization}")).await);
    check_model("OrganizationUser", &one(&get(&format!("/organizations/{organization}/users")).await));
    let roles = get(&format!("/organizations/{organization}/roles")).await;
    assert_eq!(roles.as_array().unwrap().len(), 8);
    check_model("OrganizationRole", &one(&roles));
    check_model("ApiKeyList", &one(&get("/api-keys").await));
    check_model("ApiKeyList", &get("/api-keys/current").await);
    let made = place.call("POST", "/api/api-keys", Some(json!({"name": "n", "permissions": ["read:volumes"]}))).await;
    check_model("ApiKeyResponse", &made.json());
    let labels = place.call("PUT", "/api/sandbox/mine/labels", Some(json!({"labels": {"a": "b"}}))).await.json();
    check_model("SandboxLabels", &labels);
    check_model("Sandbox", &labels);
    assert_eq!(get("/organizations/invitations").await, json!([]));
    assert_eq!(get("/organizations/invitations/count").await, json!(0));
}

#[tokio::test]
async fn a_sandbox_shows_what_was_asked_for_and_no_secret() {
    let place = Place::new().await;
    let asked = json!({
        "name": "büro 1/2", "env": {"A": "1"}, "labels": {"code-toolbox-language": "python"}, "public": true, "target": "eu",
        "cpu": 2, "memory": 4, "disk": 10.0, "autoStopInterval": 30, "autoArchiveInterval": 0, "autoDeleteInterval": 120,
        "user": "root", "somethingNew": [1],
    });
    let made = place.call("POST", "/api/sandbox", Some(asked)).await;
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
    let row = place.store.sandbox(body["id"].as_str().unwrap().parse().unwrap()).await.unwrap().unwrap();
    for secret in [row.preview_token.reveal(), row.toolbox_token.reveal()] {
        assert!(!made.text.contains(secret));
    }
    let found = place.call("GET", "/api/sandbox/b%C3%BCro%201%2F2", None).await;
    assert_eq!(found.json()["id"], body["id"]);
    let preview = place.call("GET", "/api/sandbox/b%C3%BCro%201%2F2/ports/3000/preview-url", None).await.json();
    let id = body["id"].as_str().unwrap();
    assert_eq!(preview["url"], format!("http://3000-{id}.proxy.localhost:35001"));
    assert_eq!(preview["sandboxId"], id);
    assert_eq!(preview["token"], row.preview_token.reveal());
}

#[tokio::test]
async fn what_has_no_effect_is_told_and_not_refused() {
    let place = Place::new().await;
    let check = async |method: &str, path: &str, body: Value, told: &[&str]| {
        let answer = place.call(method, path, Some(body.clone())).await;
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
    let told = ["autoStopInterval is recorded", "autoArchiveInterval is recorded", "autoDeleteInterval is recorded"];
    check("POST", "/api/sandbox", idle, &told).await;
    check("POST", "/api/sandbox", json!({"public": true, "user": "root"}), &["public is", "user is told"]).await;
    let older = json!({"snapshot": "daytonaio/sandbox:0.4.3"});
    check("POST", "/api/sandbox", older, &["snapshot daytonaio/sandbox:0.4.3 is not here"]).await;
    let by_id = json!({"snapshot": place.own_snapshot.id.to_string()});
    check("POST", "/api/sandbox", by_id, &[]).await;
    let key = json!({"name": "k", "permissions": [], "expires": "2030-01-01"});
    check("POST", "/api/api-keys", key, &["ignored: expires"]).await;

    for snapshot in ["daytonaio/sandbox:latest", "daytonaio/sandbox:0.4", "daytona-medum"] {
        let refused = place.call("POST", "/api/sandbox", Some(json!({"snapshot": snapshot}))).await;
        assert_eq!(refused.status, 400, "{snapshot}");
        assert!(refused.json()["message"].as_str().unwrap().contains(snapshot), "{}", refused.text);
    }
    let nobody = place.call("POST", "/api/sandbox", Some(json!({"user": "nobody-here", "unknown": 1}))).await;
    assert_eq!(nobody.status, 400);
    assert!(!nobody.headers.contains_key("warning"));
}

#[tokio::test]
async fn states_and_names_go_as_the_contract_says() {
    let place = Place::new().await;
    let check = async |method: &str, path: &str, status: u16, state: &str| {
        let answer = place.call(method, &format!("/api{path}"), None).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text);
        if status == 200 {
            assert_eq!(answer.json()["state"], state, "{method} {path}");
        }
    };
    let id = place.started("mine").await;
    let again = place.call("POST", "/api/sandbox", Some(json!({"name": "mine"}))).await;
    assert_eq!(again.status, 409);
    check("POST", "/sandbox/mine/start", 200, "started").await;
    check("POST", "/sandbox/mine/stop?force=maybe", 400, "").await;
    check("POST", "/sandbox/mine/stop?force=True", 200, "stopping").await;
    check("POST", "/sandbox/mine/stop", 409, "").await;
    place.see(id).await;
    check("POST", "/sandbox/mine/stop", 400, "").await;
    check("POST", "/sandbox/mine/start", 200, "starting").await;
    place.see(id).await;
    check("DELETE", "/sandbox/mine", 200, "destroying").await;
    check("GET", "/sandbox/mine", 404, "").await;
    check("GET", &format!("/sandbox/{id}"), 200, "destroying").await;
    check("DELETE", &format!("/sandbox/{id}"), 200, "destroying").await;
    assert_eq!(place.call("GET", "/api/sandbox", None).await.json()["items"], json!([]));
    place.see(id).await;
    check("GET", &format!("/sandbox/{id}"), 404, "").await;
    place.started("mine").await;
    let noted = place.call("POST", "/api/sandbox/mine/last-activity", None).await;
    assert_eq!((noted.status.as_u16(), noted.text.as_str()), (201, ""));
    assert_eq!(place.call("POST", "/api/sandbox/nobody/last-activity", None).await.status, 404);
}

#[tokio::test]
async fn the_owner_sees_what_harbors_loops_do() {
    let place = Place::new().await;
    assert_eq!(place.call_as(None, "GET", "/api/harbor/loops", None).await.status, 401);
    let outcome = |outcome: &str| json!({"key": "a", "at": "1970-01-01T00:00:00.000Z", "took": 7, "outcome": outcome});
    let expected = json!([{
        "name": "sandboxes", "due": 1, "later": 2, "steps": 9, "failures": 4,
        "underWay": [{"key": "b", "lane": "end", "lasts": 3000}],
        "last": outcome("start, configure"), "lastFailure": outcome("start: no image"),
    }]);
    assert_eq!(place.call("GET", "/api/harbor/loops", None).await.json(), expected);
}

#[tokio::test]
async fn pages_hold_each_sandbox_once_while_others_come_and_go() {
    let place = Place::new().await;
    for number in 0..25 {
        let body = json!({"name": format!("s{number:02}"), "labels": {"a": "b"}});
        assert_eq!(place.call("POST", "/api/sandbox", Some(body)).await.status, 200);
    }
    for by in ["sort=name&order=asc", "sort=cpu", "", "sort=createdAt&order=asc"] {
        let mut names = Vec::new();
        let mut cursor = String::new();
        loop {
            let target = format!("/api/sandbox?limit=10&labels=%7B%22a%22%3A+%22b%22%7D&{by}&cursor={cursor}");
            let page = place.call("GET", &target, None).await;
            assert_eq!(page.status, 200, "{}", page.text);
            let page = page.json();
            names
                .extend(page["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()));
            match page["nextCursor"].as_str() {
                Some(next) => cursor = next.to_owned(),
                None => break,
            }
            place.call("POST", "/api/sandbox", Some(json!({"name": "z-another"}))).await;
        }
        names.sort();
        assert_eq!(names, (0..25).map(|number| format!("s{number:02}")).collect::<Vec<_>>(), "{by}");
    }
    let first = place.call("GET", "/api/sandbox?limit=1&sort=name", None).await.json();
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
        let answer = place.call("GET", &target, None).await;
        assert_eq!(answer.status, 400, "{target}");
        check_error(&target, &target, &answer);
    }
    for target in ["/api/sandbox?labels=null", "/api/sandbox/paginated?labels=null"] {
        let answer = place.call("GET", target, None).await;
        assert_eq!(
            (answer.status.as_u16(), answer.json()["items"].as_array().map(Vec::len)),
            (200, Some(26)),
            "{target}"
        );
    }
    let numbered = place.call("GET", "/api/sandbox/paginated?sort=name&order=asc&limit=20&page=2", None).await.json();
    let counts = (&numbered["total"], &numbered["page"], &numbered["totalPages"]);
    assert_eq!(counts, (&json!(26), &json!(2), &json!(2)), "{numbered}");
    assert_eq!(numbered["items"][0]["name"], "s20");
}

#[tokio::test]
async fn snapshots_are_found_by_encoded_name_and_by_id() {
    let place = Place::new().await;
    for text in ["org%2Fprivate%20image%3A1.0", &place.own_snapshot.id.to_string()] {
        let found = place.call("GET", &format!("/api/snapshots/{text}"), None).await;
        assert_eq!(found.status, 200, "{text}");
        assert_eq!(found.json()["id"], place.own_snapshot.id.to_string());
    }
    let page = place.call("GET", "/api/snapshots?limit=1&page=2", None).await.json();
    assert_eq!(
        (&page["items"][0]["general"], &page["total"]),
        (&json!(true), &json!(2)),
        "general ones come last: {page}"
    );
    assert_eq!(place.call("GET", "/api/snapshots?name=PRIVATE", None).await.json()["total"], 1);
    assert_eq!(place.call("GET", "/api/snapshots?sort=color", None).await.status, 400);
    assert_eq!(
        place.call_as(Some(OTHER_KEY), "GET", "/api/snapshots/org%2Fprivate%20image%3A1.0", None).await.status,
        404
    );
}

#[tokio::test]
async fn the_transport_is_lenient_where_clients_differ() {
    let place = Place::new().await;
    for target in ["/api//sandbox", "/api/sandbox/", "//api///sandbox//"] {
        assert_eq!(place.call("GET", target, None).await.status, 200, "{target}");
    }
    for (method, target) in [
        ("GET", "/api/unknown"),
        ("DELETE", "/api/config"),
        ("PATCH", "/api/sandbox"),
        ("GET", "/api/toolbox/x"),
        ("POST", "/dashboard"),
    ] {
        let answer = place.call(method, target, None).await;
        assert_eq!(answer.status, 404, "{method} {target}");
        check_error(target, target, &answer);
        assert_eq!(answer.json()["message"], format!("Cannot {method} {target}"));
    }
    let malformed = Request::post("/api/sandbox?x=1").body(Body::from("{\"name\":")).unwrap();
    let answer = place.send(malformed).await;
    assert_eq!(answer.status, 400, "before the credential is looked at");
    check_error("malformed", "/api/sandbox?x=1", &answer);
    for (kind, body) in [("application/json", "{}"), ("text/plain", "{}"), ("application/x-www-form-urlencoded", "{}")]
    {
        let request =
            Request::post("/api/sandbox").header("authorization", format!("bearer {KEY}")).header("content-type", kind);
        assert_eq!(place.send(request.body(Body::from(body)).unwrap()).await.status, 200, "{kind}");
    }
    let form = Request::post("/api/sandbox")
        .header("authorization", format!("Bearer {KEY}"))
        .body(Body::from("name=x"))
        .unwrap();
    assert_eq!(place.send(form).await.status, 400);
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_413_in_the_error_shape() {
    let place = Place::new().await;
    let large = |bytes: usize| format!("{{\"name\":\"{}\"}}", "x".repeat(bytes));
    let post =
        |body: Body| Request::post("/api/sandbox").header("authorization", format!("Bearer {KEY}")).body(body).unwrap();
    let streamed = |text: String| Body::from_stream(futures_util::stream::iter([Ok::<_, std::io::Error>(text)]));
    let answer = place.send(post(streamed(large(17 << 20)))).await;
    assert_eq!(answer.status, 413);
    check_error("413", "/api/sandbox", &answer);
    let announced = |request: http::request::Builder| {
        place.send(request.header("content-length", "17000000").body(Body::empty()).unwrap())
    };
    let authorized = Request::post("/api/sandbox").header("authorization", format!("Bearer {KEY}"));
    assert_eq!(announced(authorized).await.status, 413);
    assert_eq!(
        announced(Request::post("/api/sandbox")).await.status,
        401,
        "whose body is too large is told to callers"
    );
    let accepted = place.send(post(streamed(large(10 << 20)))).await;
    assert_eq!(accepted.status, 400, "10 MiB are read; the name is too long");
}

/// Without a key, a body costs harbor a few KiB, whatever its size (attack 39).
#[tokio::test]
async fn a_stranger_cannot_make_harbor_read() {
    let place = Place::new().await;
    for key in [None, Some("dtn_unknown")] {
        for target in ["/api/sandbox", "/api/volumes", "/api/sandbox/nobody/start", "/api/nowhere", "/dashboard"] {
            let read = Arc::new(AtomicUsize::new(0));
            let count = Arc::clone(&read);
            let zeros = futures_util::stream::iter(0..4096).map(move |_| {
                count.fetch_add(4096, Ordering::Relaxed);
                Ok::<_, std::io::Error>("0,".repeat(2048))
            });
            let mut request = Request::post(target);
            if let Some(key) = key {
                request = request.header("authorization", format!("Bearer {key}"));
            }
            let answer = place.send(request.body(Body::from_stream(zeros)).unwrap()).await;
            let unknown = ["/api/nowhere", "/dashboard"].contains(&target);
            assert_eq!(answer.status, if unknown { 404 } else { 401 }, "{target}");
            assert!(read.load(Ordering::Relaxed) <= 16 * 1024, "{target}: {read:?} bytes were read");
        }
    }
}

/// Where nothing is, nothing is wrong with the body (fault 33).
#[tokio::test]
async fn an_unknown_route_is_unknown_whatever_the_body() {
    let place = Place::new().await;
    for (method, target) in [("POST", "/api/nowhere"), ("PATCH", "/api/sandbox"), ("POST", "/dashboard")] {
        for key in [None, Some(KEY)] {
            let mut request = Request::builder().method(method).uri(target);
            if let Some(key) = key {
                request = request.header("authorization", format!("Bearer {key}"));
            }
            let answer = place.send(request.body(Body::from("name=x")).unwrap()).await;
            assert_eq!(answer.status, 404, "{method} {target}");
            check_error(target, target, &answer);
        }
    }
}

/// Malformed JSON is told to callers on every route that takes a body, and a Dockerfile may be long only where one fits.
#[tokio::test]
async fn a_body_is_read_by_what_its_route_needs() {
    let place = Place::new().await;
    let post = async |target: &str, body: String| {
        let request = Request::post(target).header("authorization", format!("Bearer {KEY}"));
        place.send(request.body(Body::from(body)).unwrap()).await.status
    };
    let long = format!("{{\"unknown\": \"{}\"}}", "x".repeat(300_000));
    assert_eq!(post("/api/sandbox", long.clone()).await, 200);
    assert_eq!(post("/api/api-keys", long).await, 413);
    assert_eq!(post("/api/sandbox/nobody/start", "{".to_owned()).await, 400);
    assert_eq!(post("/api/volumes", "{".to_owned()).await, 400);
    assert_eq!(post("/api/volumes", "{}".to_owned()).await, 501);
}

#[tokio::test]
async fn browsers_elsewhere_may_ask() {
    let place = Place::new().await;
    let preflight = Request::options("/api/sandbox")
        .header("origin", "https://app.example.test")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization,x-daytona-source")
        .body(Body::empty())
        .unwrap();
    let answer = place.send(preflight).await;
    assert_eq!(answer.status, 204);
    assert_eq!(answer.headers["access-control-allow-origin"], "https://app.example.test");
    assert_eq!(answer.headers["access-control-allow-methods"], "GET,HEAD,PUT,PATCH,POST,DELETE,OPTIONS");
    assert_eq!(answer.headers["access-control-allow-headers"], "authorization,x-daytona-source");
    let plain = Request::get("/api/unknown").header("origin", "https://app.example.test").body(Body::empty()).unwrap();
    let answer = place.send(plain).await;
    assert_eq!(answer.headers["access-control-allow-origin"], "https://app.example.test");
    assert_eq!(answer.headers["vary"], "Origin");
    assert!(!answer.headers.contains_key("access-control-allow-credentials"));
}

#[tokio::test]
async fn readiness_tells_the_truth_to_those_who_may_ask() {
    let ready = Place::new().await;
    assert_eq!(ready.call_as(Some(HEALTH_KEY), "GET", "/api/health/ready", None).await.status, 200);
    assert_eq!(ready.call("GET", "/api/health/ready", None).await.status, 403);
    assert_eq!(ready.call_as(None, "GET", "/api/harbor/ready", None).await.json()["status"], "ok");
    let problem = Some("the engine does not answer".to_owned());
    let broken = Place::with(KEY, std::time::Duration::ZERO, "http://localhost:35000", problem).await;
    for (key, path) in [(Some(HEALTH_KEY), "/api/health/ready"), (None, "/api/harbor/ready")] {
        let answer = broken.call_as(key, "GET", path, None).await;
        assert_eq!(answer.status, 503, "{path}");
        let body = answer.json();
        assert_eq!(body["error"], json!({"engine": {"status": "down", "message": "the engine does not answer"}}));
        assert_eq!(body["info"], json!({"database": {"status": "up"}}));
    }
    assert_eq!(broken.call_as(None, "GET", "/api/health", None).await.status, 200);
}

#[tokio::test]
async fn the_documents_are_there() {
    let place = Place::new().await;
    let document = place.call_as(None, "GET", "/api-json", None).await.json();
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
    let page = place.call_as(None, "GET", "/api", None).await;
    assert_eq!(page.status, 200);
    assert!(page.text.contains("/api-json") && !page.text.contains("https://"), "self-contained");
    let root = place.call_as(None, "GET", "/", None).await;
    assert_eq!((root.status.as_u16(), root.headers["location"].to_str().unwrap()), (302, "/dashboard/"));
    for path in ["/dashboard", "/dashboard/", "/dashboard/sandboxes"] {
        let answer = place.call_as(None, "GET", path, None).await;
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
