//! A started sandbox with everything of harbor that stands before it, on real sockets and a real database. Only the
//! engine is missing: the sandbox's ports are those of this machine that a test listens on.

use std::collections::BTreeMap;
use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::response::IntoResponse;
use harbor_control::{Control, Dial, DialFailure, Stream, hash_key};
use harbor_gateway::{Config, Gateway};
use harbor_model::actors::Actor;
use harbor_model::identity::{ApiKey, KeyEnds, Permission};
use harbor_model::ids::{ContainerId, OrganizationId, RegionId, SandboxId, UserId};
use harbor_model::organizations::{Organization, User};
use harbor_model::resources::Resources;
use harbor_model::sandboxes::{Boot, Desired, Files, Generation, Network, Origin, Sandbox, Seen, Settings};
use harbor_model::secrets::Secret;
use harbor_model::{Timestamp, to_millisecond};
use harbor_serve::Budget;
use harbor_store::{EncryptionKey, FromStock, Store};
use http::{HeaderMap, HeaderName, StatusCode, Uri};
use http_body_util::BodyExt as _;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Key of the sandbox's owner.
pub(crate) const KEY: &str = "dtn_00000000000000000000000000000000000000000000000000000000000000aa";
/// Key of the same user that allows nothing.
pub(crate) const WEAK_KEY: &str = "dtn_00000000000000000000000000000000000000000000000000000000000000bb";
/// Key of another tenant.
pub(crate) const FOREIGN_KEY: &str = "dtn_00000000000000000000000000000000000000000000000000000000000000cc";
pub(crate) const PREVIEW_TOKEN: &str = "previewpreviewpreviewpreviewprev";
pub(crate) const TOOLBOX_TOKEN: &str = "toolboxtoolboxtoolboxtoolboxtool";
pub(crate) const TOKEN_HEADER: &str = "x-harbor-token";
pub(crate) const FOLLOW_HEADER: &str = "x-harbor-follow";

/// The one port that leads somewhere inside the sandbox.
const PORT: u16 = 2280;

/// Tunnels that may be open at a time.
pub(crate) const MOST_TUNNELS: usize = 8;

/// A started sandbox behind its doors.
pub(crate) struct Started {
    /// The proxy's listener.
    pub(crate) proxy: SocketAddr,
    /// The API's listener.
    pub(crate) api: SocketAddr,
    pub(crate) store: Store,
    pub(crate) control: Control,
    pub(crate) sandbox: Sandbox,
    /// How often something was dialled inside the sandbox.
    pub(crate) dials: Arc<AtomicUsize>,
    _directory: tempfile::TempDir,
    _servers: JoinSet<()>,
}

/// Leads the toolbox's port to an address of this machine.
struct ToAddress {
    sandbox: SandboxId,
    address: SocketAddr,
    dials: Arc<AtomicUsize>,
}

#[async_trait::async_trait]
impl Dial for ToAddress {
    async fn dial(&self, sandbox: SandboxId, port: u16) -> Result<Box<dyn Stream>, DialFailure> {
        assert_eq!((sandbox, port), (self.sandbox, PORT));
        self.dials.fetch_add(1, Ordering::SeqCst);
        let stream = TcpStream::connect(self.address).await.map_err(|_| DialFailure::Refused)?;
        stream.set_nodelay(true).map_err(|error| DialFailure::Unreachable(error.to_string()))?;
        Ok(Box::new(stream))
    }
}

impl Started {
    /// A sandbox whose toolbox answers at `toolbox`.
    pub(crate) async fn with_toolbox_at(toolbox: SocketAddr) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("harbor.db");
        let store = tokio::task::spawn_blocking(move || Store::open(&path, &encryption_key())).await.unwrap().unwrap();
        let dials = Arc::new(AtomicUsize::new(0));
        let id = SandboxId::random();
        let dial = ToAddress { sandbox: id, address: toolbox, dials: Arc::clone(&dials) };
        let control =
            Control::new(store.clone(), configuration(), Arc::new(dial), Arc::new(harbor_control::fixture::NoEngine))
                .await
                .unwrap();
        let organization = control.authenticate(KEY).await.unwrap().organization();
        store.by(Actor::Harbor).insert_api_key(key(organization, "owner", "weak", WEAK_KEY, Vec::new())).await.unwrap();
        insert_foreign_tenant(&store).await;
        let sandbox = store
            .by(Actor::Harbor)
            .insert_sandbox(sandbox(id, organization), FromStock::Nothing, None, |_| {})
            .await
            .unwrap();

        let config = Config {
            toolbox_port: PORT,
            toolbox_token_header: TOKEN_HEADER.parse().unwrap(),
            toolbox_follow_header: FOLLOW_HEADER.parse().unwrap(),
            most_idle_connections: 100,
            most_tunnels: MOST_TUNNELS,
            version: "1.2.3".into(),
        };
        let gateway = Gateway::new(control.clone(), config);
        let api = Router::new().fallback(async || (StatusCode::IM_A_TEAPOT, "the api"));
        let (proxy_listener, api_listener) = (listener().await, listener().await);
        let (proxy, api_address) = (proxy_listener.local_addr().unwrap(), api_listener.local_addr().unwrap());
        let mut servers = JoinSet::new();
        let budget = Budget::of_open_files(1024).unwrap();
        for (listener, router) in [(proxy_listener, gateway.proxy()), (api_listener, gateway.beside(api))] {
            let budget = budget.clone();
            servers.spawn(async move { harbor_serve::serve(listener, router, &budget, pending()).await });
        }
        Self { proxy, api: api_address, store, control, sandbox, dials, _directory: directory, _servers: servers }
    }

    /// A sandbox whose toolbox tells what it was asked.
    pub(crate) async fn with_mirror() -> Self {
        Self::with_toolbox_at(mirror().await).await
    }

    /// `/toolbox/{id}{rest}`.
    pub(crate) fn path(&self, rest: &str) -> String {
        format!("/toolbox/{}{rest}", self.sandbox.id)
    }

    /// `/api/toolbox/{id}/toolbox{rest}`.
    pub(crate) fn legacy(&self, rest: &str) -> String {
        format!("/api/toolbox/{}/toolbox{rest}", self.sandbox.id)
    }

    pub(crate) async fn get(&self, rest: &str) -> Answer {
        ask(self.proxy, "GET", &self.path(rest), &[("authorization", &bearer(KEY))], "").await
    }

    pub(crate) fn dialled(&self) -> usize {
        self.dials.load(Ordering::SeqCst)
    }

    pub(crate) async fn change(&self, change: impl FnOnce(&mut Sandbox) + Send + 'static) {
        self.store.by(Actor::Harbor).change_sandbox(self.sandbox.id, Timestamp::now_utc(), change).await.unwrap();
    }
}

pub(crate) fn bearer(key: &str) -> String {
    format!("Bearer {key}")
}

pub(crate) async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

fn encryption_key() -> EncryptionKey {
    EncryptionKey::derive(&Secret::new("key"), &Secret::new("salt"))
}

fn configuration() -> harbor_control::Config {
    harbor_control::Config {
        administrator: UserId::new("owner"),
        administrator_key: Secret::new(KEY),
        limits: Resources::DEFAULT,
        ..harbor_control::fixture::config(Duration::from_secs(1))
    }
}

fn key(organization: OrganizationId, user: &str, name: &str, text: &str, permissions: Vec<Permission>) -> ApiKey {
    ApiKey {
        organization,
        user: UserId::new(user),
        name: name.parse().unwrap(),
        hash: hash_key(text),
        ends: KeyEnds::of(text),
        permissions,
        created_at: to_millisecond(Timestamp::now_utc()),
        last_used_at: None,
        expires_at: None,
        parent: None,
    }
}

async fn insert_foreign_tenant(store: &Store) {
    let now = to_millisecond(Timestamp::now_utc());
    let user = User {
        id: UserId::new("stranger"),
        name: "Stranger".parse().unwrap(),
        email: "stranger@example.org".into(),
        administrator: false,
        created_at: now,
    };
    let organization = Organization {
        id: OrganizationId::random(),
        name: "Personal".parse().unwrap(),
        created_by: user.id.clone(),
        personal: true,
        default_region: RegionId::new("local"),
        created_at: now,
        updated_at: now,
    };
    let organization = store.by(Actor::Harbor).ensure_user(user, organization).await.unwrap();
    let foreign = key(organization.id, "stranger", "key", FOREIGN_KEY, Permission::ALL.to_vec());
    store.by(Actor::Harbor).insert_api_key(foreign).await.unwrap();
}

fn sandbox(id: SandboxId, organization: OrganizationId) -> Sandbox {
    let long_ago = to_millisecond(Timestamp::now_utc()) - time::Duration::hours(1);
    Sandbox {
        id,
        organization,
        name: "mine".parse().unwrap(),
        origin: Origin {
            snapshot: "default".into(),
            image: "image".into(),
            build: None,
            entrypoint: None,
            user: "daytona".into(),
            env: BTreeMap::new(),
            mounts: Vec::new(),
            target: RegionId::new("local"),
        },
        resources: Resources::DEFAULT,
        resize_to: None,
        files: Files::default(),
        settings: Settings {
            labels: BTreeMap::new(),
            public: false,
            auto_stop_minutes: 15,
            auto_pause_minutes: 0,
            auto_archive_minutes: 10080,
            auto_delete_minutes: None,
            network: Network::default(),
        },
        preview_token: Secret::new(PREVIEW_TOKEN),
        toolbox_token: Secret::new(TOOLBOX_TOKEN),
        desired: Desired::Started,
        force: false,
        seen: running("1"),
        failure: None,
        note: None,
        toolbox_version: None,
        started_once: true,
        generation: Generation::default(),
        created_at: long_ago,
        updated_at: long_ago,
        last_activity_at: long_ago,
        linked: None,
        warm_pool: None,
        destroy_at: None,
    }
}

pub(crate) fn running(boot: &str) -> Seen {
    Seen::Running { container: ContainerId::new("c"), boot: Boot(boot.into()), configured: true, connected: true }
}

/// A server that answers with what it was asked: the request line and headers as it read them, then the body.
pub(crate) async fn mirror() -> SocketAddr {
    let router = Router::new().fallback(async |request: Request| {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let mut seen = format!("{} {}\n", head.method, head.uri);
        for (name, value) in &head.headers {
            seen.extend([name.as_str(), ": ", &String::from_utf8_lossy(value.as_bytes()), "\n"]);
        }
        [seen.as_bytes(), b"\n", &body].concat().into_response()
    });
    serve_router(router).await
}

pub(crate) async fn serve_router(router: Router) -> SocketAddr {
    let listener = listener().await;
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The request target as the mirror read it.
    pub(crate) fn target(&self) -> String {
        self.text().lines().next().unwrap().split_once(' ').unwrap().1.to_owned()
    }

    /// The values of a header as the mirror read them.
    pub(crate) fn seen(&self, name: &str) -> Vec<String> {
        let text = self.text();
        let head = text.split_once("\n\n").unwrap().0.to_owned();
        let pairs = head.lines().skip(1).filter_map(|line| line.split_once(": "));
        pairs.filter(|(found, _)| *found == name).map(|(_, value)| value.to_owned()).collect()
    }
}

pub(crate) type Client = hyper::client::conn::http1::SendRequest<Body>;

/// A connection to one of harbor's listeners.
pub(crate) async fn connect(to: SocketAddr) -> Client {
    let stream = TcpStream::connect(to).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (client, driver) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(driver.with_upgrades());
    client
}

pub(crate) fn request(
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: impl Into<Body>,
) -> http::Request<Body> {
    let mut request = http::Request::new(body.into());
    *request.method_mut() = method.parse().unwrap();
    *request.uri_mut() = target.parse::<Uri>().unwrap();
    if !headers.iter().any(|(name, _)| *name == "host") {
        request.headers_mut().insert("host", "localhost:35001".parse().unwrap());
    }
    for (name, value) in headers {
        request.headers_mut().append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
    }
    request
}

pub(crate) async fn ask_on(
    client: &mut Client,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: impl Into<Body>,
) -> Answer {
    client.ready().await.unwrap();
    let response = client.send_request(request(method, target, headers, body)).await.unwrap();
    let (head, body) = response.into_parts();
    Answer { status: head.status, headers: head.headers, body: body.collect().await.unwrap().to_bytes() }
}

/// One request on a connection of its own.
pub(crate) async fn ask(
    to: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: impl Into<Body>,
) -> Answer {
    let asked = async { ask_on(&mut connect(to).await, method, target, headers, body).await };
    tokio::time::timeout(Duration::from_secs(20), asked).await.expect("an answer within 20 s")
}
