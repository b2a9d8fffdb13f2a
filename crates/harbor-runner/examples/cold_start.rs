//! How long a cold start takes, against the floor of the same engine in the same run (design §1).
//!
//! `cold_start IMAGE [ROUNDS]`: IMAGE has `/bin/busybox`. Prints medians and 95th percentiles in milliseconds, rounds
//! of each kind taking turns. The floor is what `docker run` on a plain bridge costs: create, start, and an HTTP answer
//! of the container's own address. On an engine with a network of its own, run this inside it.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a measurement on the command line")]

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::models::ContainerCreateBody;
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, InspectContainerOptions, RemoveContainerOptionsBuilder, StartContainerOptions,
};
use harbor_model::ids::{InstanceId, SandboxId};
use harbor_model::resources::Resources;
use harbor_model::secrets::Secret;
use harbor_runner::{Config, Configuration, DockerEngine, SandboxSpec};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let image = arguments.next().expect("usage: cold_start IMAGE [ROUNDS]");
    let rounds: usize = arguments.next().map_or(20, |rounds| rounds.parse().unwrap());
    let directory = std::env::temp_dir().join(format!("harbor-cold-start-{}", std::process::id()));
    let runner = DockerEngine::connect(Config::new(InstanceId::random(), directory.clone())).await.unwrap();
    let docker = Docker::connect_with_defaults().unwrap().negotiate_version().await.unwrap();

    let first = Instant::now();
    runner.prepare().await.unwrap();
    println!("prepare, first: {:.1} ms", milliseconds(first.elapsed()));
    let again = Instant::now();
    runner.prepare().await.unwrap();
    println!("prepare, again: {:.1} ms", milliseconds(again.elapsed()));

    let mut taken: BTreeMap<&str, Vec<Duration>> = BTreeMap::new();
    for round in 0..rounds + 2 {
        let floor = plain_bridge(&docker, &image).await;
        let reserved = cold(&runner, &image, true).await;
        let unreserved = cold(&runner, &image, false).await;
        // the first two only warm up
        if round >= 2 {
            taken.entry("1 floor: plain bridge, create to HTTP").or_default().push(floor);
            note(&mut taken, "2 infra reserved", reserved);
            note(&mut taken, "3 nothing reserved", unreserved);
        }
    }
    for (what, taken) in &mut taken {
        taken.sort();
        let p95 = taken[(taken.len() * 95).div_ceil(100) - 1];
        println!("{what}: {:.1} / {:.1} ms", milliseconds(taken[taken.len() / 2]), milliseconds(p95));
    }
    runner.dismantle().await.unwrap();
    std::fs::remove_dir_all(directory).unwrap();
}

fn note(
    taken: &mut BTreeMap<&'static str, Vec<Duration>>,
    kind: &'static str,
    [create, start, configure]: [Duration; 3],
) {
    let names = match kind {
        "2 infra reserved" => ["2.1   create", "2.2   start", "2.3   configure"],
        _ => ["3.1   create", "3.2   start", "3.3   configure"],
    };
    taken.entry(kind).or_default().push(create + start + configure);
    for (name, part) in names.into_iter().zip([create, start, configure]) {
        taken.entry(name).or_default().push(part);
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// Create, start and configure of one sandbox.
async fn cold(runner: &DockerEngine, image: &str, reserved: bool) -> [Duration; 3] {
    let id = SandboxId::random();
    let spec = SandboxSpec {
        id,
        image: image.to_owned(),
        filling: None,
        entrypoint: vec!["/bin/busybox".to_owned(), "sleep".to_owned(), "100".to_owned()],
        resources: Resources::DEFAULT,
        mounts: Vec::new(),
        link: None,
    };
    let configuration = Configuration { token: Secret::new("token"), previous: None, env: BTreeMap::new() };
    if reserved {
        runner.reserve(&id).await.unwrap();
    }
    let began = Instant::now();
    let container = runner.create(&spec).await.unwrap();
    let created = Instant::now();
    runner.start(&id, &container).await.unwrap();
    let started = Instant::now();
    runner.configure(&id, &container, &configuration).await.unwrap();
    let configured = Instant::now();
    runner.remove(&id).await.unwrap();
    [created - began, started - created, configured - started]
}

/// What anybody gets from the engine: create, start, and an answer on the container's address.
async fn plain_bridge(docker: &Docker, image: &str) -> Duration {
    let name = format!("harbor-floor-{}", SandboxId::random());
    let body = ContainerCreateBody {
        image: Some(image.to_owned()),
        user: Some("0:0".to_owned()),
        entrypoint: Some(["/bin/busybox", "httpd", "-f", "-p", "80", "-h", "/"].map(str::to_owned).to_vec()),
        labels: Some(HashMap::from([("harbor.test".to_owned(), "1".to_owned())])),
        ..ContainerCreateBody::default()
    };
    let began = Instant::now();
    let options = CreateContainerOptionsBuilder::new().name(&name).build();
    docker.create_container(Some(options), body).await.unwrap();
    docker.start_container(&name, None::<StartContainerOptions>).await.unwrap();
    let found = docker.inspect_container(&name, None::<InspectContainerOptions>).await.unwrap();
    let networks = found.network_settings.and_then(|settings| settings.networks).unwrap();
    let address = networks.into_values().find_map(|network| network.ip_address).unwrap();
    answer(SocketAddr::new(address.parse().unwrap(), 80)).await;
    let took = began.elapsed();
    let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
    docker.remove_container(&name, Some(options)).await.unwrap();
    took
}

/// Asks until there is an HTTP answer.
async fn answer(address: SocketAddr) {
    for _ in 0..5000 {
        if let Ok(mut connection) = TcpStream::connect(address).await
            && connection.write_all(b"GET /none HTTP/1.0\r\n\r\n").await.is_ok()
            && connection.read(&mut [0; 16]).await.is_ok_and(|length| length > 0)
        {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("no answer from {address}");
}
