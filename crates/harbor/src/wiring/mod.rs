//! Joins store, control, reconcile, runner, gateway and api into the running services.
//!
//! Nothing else knows more than one of them. Ports are opened first, so that a taken one is told before anything is
//! touched; then the engine is asked; the default image, which may take minutes once, is got while the API serves, and
//! its lack stops nothing.

mod joins;
mod machine;
mod objects;
mod registry;

use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use axum::Router;
use harbor_blobs::Blobs;
use harbor_control::{Control, ObjectStorage, TemporaryKey};
use harbor_gateway::Gateway;
use harbor_model::actors::Actor;
use harbor_model::ids::{InstanceId, RegionId, UserId};
use harbor_reconcile::{Builder, Reconciler};
use harbor_runner::{About, BUILT_BY, DockerEngine, Engine};
use harbor_serve::{Budget, ConnectionSlot};
use harbor_store::{EncryptionKey, Store};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::builds;
use crate::components::Service;
use crate::config::Config;
use crate::config::engine::engine_config;
use crate::default_image;
use crate::doctor;
use crate::invocation::quoted;
use crate::process::state::Listening;
use crate::process::supervisor::Supervisor;
use crate::process::{Progress, Ready, listen};
use crate::secrets::Secrets;

/// The one region. Scripts written for the hosted product say `us`.
const REGION: &str = "us";

/// The first user (contract, control-plane §2.5).
const ADMINISTRATOR: (&str, &str) = ("daytona-admin", "Daytona Admin");

/// The contract that clients are told (contract, control-plane §1.7).
const CONTRACT_VERSION: &str = "v0.190.0";

/// How long create and start wait for `started` (design D2).
const START_BUDGET: Duration = Duration::from_secs(10);

/// How long an engine that does not answer is tried for a start.
const START_DEADLINE: Duration = Duration::from_mins(2);

/// Hosts with less memory, in bytes, keep no sandboxes ready (design D3).
const WARM_POOL_MEMORY: u64 = 4 << 30;

/// The most sandboxes that are kept ready of one kind after a burst.
const MOST_WARM: usize = 64;

/// What a stop gives processes (contract, toolbox §4.1).
const STOP_GRACE: Duration = Duration::from_secs(10);

/// Serves until `stop` is cancelled; sends `ready` once the API serves and the default image is there or could not be
/// had.
pub(crate) async fn serve(
    config: &Config,
    secrets: &Secrets,
    progress: &Progress,
    ready: oneshot::Sender<Ready>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let budget = Budget::of_process()?;
    progress.say("opening ports");
    let (api_listeners, api) = listen(config, Service::Api).await?;
    let (proxy_listeners, proxy) = listen(config, Service::Proxy).await?;
    let (registry_listeners, registry) = listen(config, Service::Registry).await?;
    let (s3_listeners, s3) = listen(config, Service::S3).await?;
    progress.say("opening the database");
    let store = Store::open(
        &config.directories().database(),
        &EncryptionKey::derive(&secrets.encryption_key, &secrets.encryption_salt),
    )?;
    check_owner(&store, config, secrets.instance).await?;
    let blobs = objects::open(&config.directories().objects(), &store, &config.daytona.minio_bucket).await?;
    let acceptor = objects::acceptor(&secrets.authority)?;
    progress.say("asking the engine");
    let runner = DockerEngine::connect(engine_config(config, secrets.instance)).await?;
    let (about, prepared) = tokio::join!(runner.about(), runner.prepare());
    let about = about?;
    prepared?;
    if let Some(found) = doctor::unknown_runtime(config, &about.runtimes) {
        bail!("{found}: run {}, or unset HARBOR_RUNTIME, for the engine's default", doctor::DEFAULT_RUNTIME);
    }
    let engine: Arc<dyn Engine> = Arc::new(runner.clone());
    let dial = Arc::new(joins::Dialer::new(Arc::clone(&engine)));
    let machine = Arc::new(machine::EngineMachine::of(&about));
    let control = Control::new(store.clone(), control_config(config, secrets, &about), dial, machine).await?;
    let images = registry::open(config, &store, blobs.clone(), control.clone());
    let port = registry.port().unwrap_or(0);
    let own = registry::OwnImages::new(images.clone(), control.clone(), config.registry_host(port), port);
    let reconciler = Reconciler::new(
        store.clone(),
        Arc::clone(&engine),
        reconcile_config(config, &about, control.clone(), secrets.instance, blobs.clone(), own),
    );

    let readiness = Arc::new(joins::Ready::new(engine, control.clone(), reconciler.clone()));
    let (router, events) = harbor_api::router(
        control.clone(),
        api_config(config, secrets, [&api, &proxy, &registry, &s3], &budget),
        readiness,
    );
    let gateway = Gateway::new(control.clone(), gateway_config(&budget));
    let mut crew = Supervisor::default();
    let router = gateway.beside(router);
    crew.spawn(
        "reconciler",
        |stop| async move { reconciler.run(stop.cancelled_owned()).await.map_err(anyhow::Error::msg) },
    );
    crew.spawn("store", |stop| async move {
        tokio::select! {
            () = store.ended() => bail!("one of its threads ended"),
            () = stop.cancelled() => Ok(()),
        }
    });
    crew.spawn("events", |stop| async move {
        events.publish(stop.cancelled_owned()).await;
        Ok(())
    });
    doors(&mut crew, "api", api_listeners, &router, &budget);
    doors(&mut crew, "proxy", proxy_listeners, &gateway.proxy(), &budget);
    let s3_router = harbor_blobs::s3_router(s3_config(config, blobs, control.clone()), vouch);
    doors_with_tls(&mut crew, "s3", s3_listeners, &s3_router, &acceptor, &budget);
    let registry_router = images.router(vouch);
    doors_with_tls(&mut crew, "registry", registry_listeners, &registry_router, &acceptor, &budget);
    let services = vec![api, proxy, registry, s3];
    let version = format!("Docker {} (API {})", about.version, about.api);
    let image = config.daytona.default_snapshot.clone();
    let progress = progress.clone();
    crew.spawn("default snapshot", |stop| async move {
        let settled = || _ = ready.send(Ready { services, engine: version }); // nobody may be waiting for it
        tokio::select! {
            () = default_image::keep(&runner, &control, &image, &progress, settled) => {}
            () = stop.cancelled() => {}
        }
        Ok(())
    });
    crew.run(stop, config.grace()).await
}

/// Refuses the database of another installation: its containers would all seem to be gone.
async fn check_owner(store: &Store, config: &Config, instance: InstanceId) -> anyhow::Result<()> {
    let owner = match store.owner().await? {
        Some(owner) => owner,
        None => store.by(Actor::Harbor).claim(instance).await?,
    };
    if owner != instance {
        let file = config.directories().instance();
        let path = quoted(&file.to_string_lossy());
        bail!(
            "{} holds {instance}, and the database belongs to the installation {owner}: put the right database back, or \
             the right id with `echo {owner} > {path}`",
            file.display()
        );
    }
    Ok(())
}

/// Serves `router` on each of `listeners`.
fn doors(crew: &mut Supervisor, name: &str, listeners: Vec<TcpListener>, router: &Router, budget: &Budget) {
    for listener in listeners {
        let (router, budget) = (router.clone(), budget.clone());
        crew.spawn(name, |stop| async move {
            harbor_serve::serve(listener, router, &budget, stop.cancelled_owned()).await;
            Ok(())
        });
    }
}

/// Notes of an accepted request that its connection is worth keeping.
fn vouch(extensions: &http::Extensions) {
    if let Some(slot) = extensions.get::<ConnectionSlot>() {
        slot.vouch();
    }
}

/// Serves `router` on each of `listeners`, with and without TLS.
fn doors_with_tls(
    crew: &mut Supervisor,
    name: &str,
    listeners: Vec<TcpListener>,
    router: &Router,
    acceptor: &TlsAcceptor,
    budget: &Budget,
) {
    for listener in listeners {
        let (router, acceptor, budget) = (router.clone(), acceptor.clone(), budget.clone());
        crew.spawn(name, |stop| async move {
            harbor_serve::serve_with_tls(listener, router, acceptor, &budget, stop.cancelled_owned()).await;
            Ok(())
        });
    }
}

fn control_config(config: &Config, secrets: &Secrets, about: &About) -> harbor_control::Config {
    harbor_control::Config {
        region: RegionId::new(REGION),
        default_snapshot: config.daytona.default_snapshot.clone(),
        administrator: UserId::new(ADMINISTRATOR.0),
        administrator_name: ADMINISTRATOR.1.to_owned(),
        administrator_email: config.daytona.admin_email.clone(),
        administrator_key: secrets.admin_api_key.clone(),
        limits: machine::limits(about),
        capacity: machine::capacity(&config.capacity, about),
        strict: config.compat.strict,
        default_warm: if about.memory < WARM_POOL_MEMORY { 0 } else { config.warm_pool.size },
        start_budget: START_BUDGET,
        object_storage: ObjectStorage {
            owner: config.daytona.minio_root_user.clone(),
            owner_secret: secrets.minio_root_password.clone(),
            bucket: config.daytona.minio_bucket.clone(),
        },
        temporary_key: TemporaryKey(secrets.object_storage_key),
    }
}

fn s3_config(config: &Config, blobs: Blobs, control: Control) -> harbor_blobs::S3Config {
    harbor_blobs::S3Config {
        blobs,
        authorize: Arc::new(objects::Opens(control)),
        region: objects::REGION.to_owned(),
        hosts: config.s3_public_host().into_iter().chain(["localhost".to_owned()]).collect(),
    }
}

fn reconcile_config(
    config: &Config,
    about: &About,
    control: Control,
    instance: InstanceId,
    blobs: Blobs,
    own: registry::OwnImages,
) -> harbor_reconcile::Config {
    harbor_reconcile::Config {
        starts: usize::try_from(about.processors).unwrap_or(1).max(1) * 2,
        infra_stock: config.infra.stock,
        start_deadline: START_DEADLINE,
        stop_grace: STOP_GRACE,
        most_asleep: config.stopped.asleep,
        clock: Arc::new(harbor_reconcile::SystemClock),
        // an idle one takes about 10 MB: at most an eighth of the memory
        most_warm: usize::try_from(about.memory / 8 / (16 << 20)).unwrap_or(usize::MAX).clamp(1, MOST_WARM),
        recruiter: Arc::new(joins::Recruits(control)),
        objects: Arc::new(objects::Uploads::new(blobs, config.daytona.minio_bucket.clone())),
        registry: Arc::new(own),
        builder: Builder {
            arguments: builds::proxies(),
            label: Some(format!("{BUILT_BY}={instance}")),
            authorities: config.build.host_authorities.then(builds::authorities).flatten(),
        },
    }
}

fn api_config(config: &Config, secrets: &Secrets, listening: [&Listening; 4], budget: &Budget) -> harbor_api::Config {
    let [api, proxy, registry, s3] = listening.map(|listening| listening.port().unwrap_or(0));
    let api_url = config.api_url(api);
    let proxy_url = config.proxy_url(proxy);
    let (protocol, domain) = proxy_url.split_once("://").unwrap_or(("http", &proxy_url));
    // `proxy.localhost` does not resolve outside browsers, so toolbox calls go to a host that does (contract, edges §1.17)
    let toolbox = config.public_url.proxy.clone();
    let toolbox = toolbox.unwrap_or_else(|| format!("http://{}:{proxy}", config.bind.client_host()));
    harbor_api::Config {
        urls: harbor_api::Urls {
            api: format!("{api_url}/api"),
            dashboard: format!("{api_url}/dashboard"),
            proxy_toolbox: format!("{toolbox}/toolbox"),
            preview: harbor_api::PreviewUrls { protocol: protocol.to_owned(), domain: domain.to_owned() },
            ssh: None,
            s3: s3_urls(&config.s3_url(s3)),
            registry: config.registry_host(registry),
        },
        version: CONTRACT_VERSION.to_owned(),
        harbor_version: env!("CARGO_PKG_VERSION").to_owned(),
        instance: secrets.instance,
        health_key: None,
        oidc: None,
        bodies: budget.bodies().clone(),
    }
}

/// The port takes both, so that the URL of one is that of the other but for its scheme.
fn s3_urls(url: &str) -> harbor_api::S3Urls {
    let tls = url.strip_prefix("http://").map_or_else(|| url.to_owned(), |rest| format!("https://{rest}"));
    harbor_api::S3Urls { plain: url.to_owned(), tls, region: objects::REGION.to_owned() }
}

fn gateway_config(budget: &Budget) -> harbor_gateway::Config {
    harbor_gateway::Config {
        toolbox_port: harbor_protocol::toolbox::PORT,
        toolbox_token_header: http::HeaderName::from_static(harbor_protocol::toolbox::TOKEN_HEADER),
        toolbox_follow_header: http::HeaderName::from_static(harbor_protocol::toolbox::FOLLOW_HEADER),
        most_idle_connections: budget.idle_connections(),
        most_tunnels: budget.tunnels(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}
