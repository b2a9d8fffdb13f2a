//! The API over a real store, without an engine: what an engine would report is written by [`Installation::see`].
#![expect(dead_code, clippy::unwrap_used, reason = "for tests, each of which uses a part")]

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use harbor_api::{Component, Config, Events, Loop, LoopOutcome, PreviewUrls, Readiness, S3Urls, Urls};
use harbor_control::fixture::{self, NoEngine};
use harbor_control::{Administer, Allowed, Control, NewUser, hash_key};
use harbor_model::actors::Actor;
use harbor_model::garbage::{Collected, GarbageKind};
use harbor_model::identity::{ApiKey, KeyEnds, Permission};
use harbor_model::ids::{ContainerId, InstanceId, OrganizationId, SandboxId, UserId};
use harbor_model::layers::Layer;
use harbor_model::sandboxes::{Boot, Desired, Outcome, Sandbox, Seen};
use harbor_model::secrets::Secret;
use harbor_model::snapshots::Snapshot;
use harbor_model::{Timestamp, to_millisecond};
use harbor_store::{EncryptionKey, Store};
use http::{Method, Request, StatusCode};
use serde_json::Value;
use tower::ServiceExt;

pub(crate) const KEY: &str = "dtn_the-first-tenants-key";
pub(crate) const OTHER_KEY: &str = "dtn_the-other-tenants-key";
pub(crate) const HEALTH_KEY: &str = "the-health-probes-key";
pub(crate) const DEFAULT_SNAPSHOT: &str = "daytonaio/sandbox:v0.185.0-amd64";

/// Ready when told so.
struct Told(Option<String>);

#[async_trait::async_trait]
impl Readiness for Told {
    async fn check(&self) -> Vec<Component> {
        vec![Component { name: "database", problem: None }, Component { name: "engine", problem: self.0.clone() }]
    }

    fn loops(&self) -> Vec<Loop> {
        let outcome = |outcome: &str| LoopOutcome {
            key: "a".to_owned(),
            at: Timestamp::UNIX_EPOCH,
            took: Duration::from_millis(7),
            outcome: outcome.to_owned(),
        };
        let (last, last_failure) = (Some(outcome("start, configure")), Some(outcome("start: no image")));
        let under_way = vec![("b".to_owned(), "end", Duration::from_secs(3))];
        vec![Loop { name: "sandboxes", due: 1, later: 2, under_way, steps: 9, failures: 4, last, last_failure }]
    }

    async fn collect_garbage(&self, at_least: Duration, rehearse: bool) -> Result<Vec<Collected>, String> {
        if let Some(problem) = &self.0 {
            return Err(problem.clone());
        }
        // what it was asked is in the figures
        let count = if rehearse { 1 } else { 2 };
        Ok(vec![Collected { kind: GarbageKind::BuiltImages, count, bytes: at_least.as_secs(), more: false }])
    }
}

/// One installation with two tenants.
pub(crate) struct Installation {
    pub(crate) router: Router,
    pub(crate) events: Option<Events>,
    pub(crate) store: Store,
    pub(crate) control: Control,
    pub(crate) organization: OrganizationId,
    pub(crate) snapshot: Snapshot,
    pub(crate) own_snapshot: Snapshot,
    _directory: tempfile::TempDir,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: http::HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }
}

impl Installation {
    pub(crate) async fn new() -> Self {
        Self::with(KEY, Duration::from_millis(20), "http://localhost:35000", None).await
    }

    pub(crate) async fn with(key: &str, start_budget: Duration, origin: &str, problem: Option<String>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("harbor.db"), &encryption_key()).unwrap();
        let configuration = harbor_control::Config {
            default_snapshot: DEFAULT_SNAPSHOT.to_owned(),
            administrator_name: "User first".to_owned(),
            administrator_key: Secret::new(key),
            ..fixture::config(start_budget)
        };
        let control = Control::new(store.clone(), configuration, Arc::new(NoEngine), Arc::new(NoEngine)).await.unwrap();
        let first = control.authenticate(key).await.unwrap();
        let organization = first.organization();
        add_tenant(&control, &store, &first.allow().unwrap()).await;
        let snapshot =
            store.by(Actor::Harbor).put_snapshot(snapshot(organization, DEFAULT_SNAPSHOT, true)).await.unwrap();
        let own_snapshot = store.by(Actor::Harbor).put_snapshot(snapshot_own(organization)).await.unwrap();
        let (router, events) = harbor_api::router(control.clone(), config(origin), Arc::new(Told(problem)));
        Self {
            router,
            events: Some(events),
            store,
            control,
            organization,
            snapshot,
            own_snapshot,
            _directory: directory,
        }
    }

    /// Sends a request with the first tenant's key.
    pub(crate) async fn call(&self, method: &str, target: &str, body: Option<Value>) -> Answer {
        self.call_as(Some(KEY), method, target, body).await
    }

    pub(crate) async fn call_as(&self, key: Option<&str>, method: &str, target: &str, body: Option<Value>) -> Answer {
        let mut request = Request::builder().method(Method::from_bytes(method.as_bytes()).unwrap()).uri(target);
        if let Some(key) = key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        self.send(request.body(body).unwrap()).await
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = to_bytes(response.into_body(), 1 << 24).await.unwrap();
        Answer { status, headers, text: String::from_utf8(bytes.to_vec()).unwrap() }
    }

    /// Makes a started sandbox and answers its id.
    pub(crate) async fn started(&self, name: &str) -> SandboxId {
        let made = self.call("POST", "/api/sandbox", Some(serde_json::json!({"name": name}))).await;
        assert_eq!(made.status, 200, "{}", made.text);
        let id = made.json()["id"].as_str().unwrap().parse().unwrap();
        self.see(id).await;
        id
    }

    /// Records that what is wanted of the sandbox has come true.
    pub(crate) async fn see(&self, id: SandboxId) {
        settle(&self.store, id).await;
    }
}

/// An ordinary user with an organization of its own and a key that allows everything there.
async fn add_tenant(control: &Control, store: &Store, administrator: &Allowed<Administer>) {
    let id = UserId::new("other");
    let (name, email) = ("User other".parse().unwrap(), "other@harbor.test".to_owned());
    let new = NewUser { id: id.clone(), name, email, administrator: false };
    let (user, organization) = control.create_user(administrator, new).await.unwrap();
    let key = ApiKey {
        organization: organization.id,
        user: id,
        name: user.id.as_str().parse().unwrap(),
        hash: hash_key(OTHER_KEY),
        ends: KeyEnds::of(OTHER_KEY),
        permissions: Permission::ALL.to_vec(),
        created_at: user.created_at,
        last_used_at: None,
        expires_at: None,
        parent: None,
    };
    store.by(Actor::Harbor).insert_api_key(key).await.unwrap();
}

/// Records that what is wanted of the sandbox has come true.
pub(crate) async fn settle(store: &Store, id: SandboxId) {
    let seen = |row: &mut Sandbox| {
        let container = ContainerId::new("c");
        row.seen = match row.desired {
            Desired::Started => {
                row.started_once = true;
                Seen::Running { container, boot: Boot("1".to_owned()), configured: true, connected: true }
            }
            Desired::Paused => {
                let boot = Boot("1".to_owned());
                Seen::Frozen { container, boot, configured: true, connected: true, asked: true }
            }
            Desired::Stopped => Seen::Exited { container, code: 0, asked: true, connected: true, to_sleep: false },
            Desired::Archived => Seen::Archived { evicted: true },
            Desired::Destroyed => Seen::Removed,
        };
        if let Some(copying) = &row.files.copying {
            let (image, digest) = ("i".to_owned(), "d".to_owned());
            row.record(Outcome::Copied(Layer { id: copying.layer, image, digest, bytes: 1 }));
        }
        Ok::<(), ()>(())
    };
    store.by(Actor::Harbor).change_sandbox(id, to_millisecond(Timestamp::now_utc()), seen).await.unwrap().1.unwrap();
}

fn encryption_key() -> EncryptionKey {
    EncryptionKey::derive(&Secret::new("key"), &Secret::new("salt"))
}

fn config(origin: &str) -> Config {
    Config {
        urls: Urls {
            api: format!("{origin}/api"),
            dashboard: format!("{origin}/dashboard"),
            proxy_toolbox: "http://localhost:35001/toolbox".to_owned(),
            preview: PreviewUrls { protocol: "http".to_owned(), domain: "proxy.localhost:35001".to_owned() },
            ssh: None,
            s3: S3Urls {
                plain: "http://127.0.0.1:35011".to_owned(),
                tls: "https://127.0.0.1:35011".to_owned(),
                region: "us-east-1".to_owned(),
            },
            registry: "127.0.0.1:35009".to_owned(),
        },
        version: "v0.190.0".to_owned(),
        harbor_version: "0.1.0".to_owned(),
        instance: InstanceId::random(),
        health_key: Some(Secret::new(HEALTH_KEY)),
        oidc: None,
        bodies: harbor_serve::BodyBudget::default(),
    }
}

fn snapshot_own(organization: OrganizationId) -> Snapshot {
    snapshot(organization, "org/private image:1.0", false)
}

fn snapshot(organization: OrganizationId, name: &str, general: bool) -> Snapshot {
    Snapshot {
        name: name.to_owned(),
        general,
        size_bytes: Some(645_922_816),
        ..fixture::default_snapshot(organization, name)
    }
}

/// Exactly the contract's error keys, and the additive ones.
#[track_caller]
pub(crate) fn check_error(what: &str, target: &str, answer: &Answer) {
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
