//! What the runner refuses, and in which words.

use harbor_model::ids::InstanceId;
use harbor_runner::{Config, DockerEngine, EngineError};

use harbor_runner::fixture::{Fixture, docker};

#[tokio::test]
async fn somebody_elses_container_is_refused_and_left_alone() {
    let fixture = Fixture::prepared().await;
    for prefix in ["harbor", "harbor-infra"] {
        let spec = fixture.spec();
        let name = format!("{prefix}-{}", spec.id);
        let theirs = docker(&["create", "--name", &name, "--label", "harbor.test=1", &fixture.image]);
        let refused = fixture.runner.create(&spec).await.unwrap_err();
        assert!(matches!(&refused, EngineError::Foreign { .. }), "{refused:?}");
        assert!(refused.to_string().contains(&name) && refused.to_string().contains("remove or rename"), "{refused}");
        assert_eq!(fixture.runner.find(&spec.id).await.unwrap().sandbox, None);
        fixture.runner.remove(&spec.id).await.unwrap();
        assert_eq!(docker(&["ps", "-aq", "--no-trunc", "--filter", &format!("name=^{name}$")]), theirs);
        docker(&["rm", &theirs]);
    }
    fixture.finish().await;
}

#[tokio::test]
async fn somebody_elses_network_and_volume_are_refused() {
    let fixture = Fixture::prepared().await;
    let name = format!("harbor-test-{}", fixture.instance);
    docker(&["network", "create", "--label", "harbor.test=1", &name]);
    let config = Config { network: Some(name.clone()), ..Config::new(fixture.instance, fixture.run_directory()) };
    let refused = DockerEngine::connect(config).await.unwrap().prepare().await;
    docker(&["network", "rm", &name]);
    assert!(matches!(&refused, Err(EngineError::Foreign { what: "a network", .. })), "{refused:?}");

    let other = InstanceId::random();
    let volume = format!("harbor-toolbox-{other}");
    docker(&["volume", "create", "--label", "harbor.test=1", &volume]);
    let runner = DockerEngine::connect(Config::new(other, fixture.run_directory())).await.unwrap();
    let refused = runner.prepare().await;
    docker(&["volume", "rm", &volume]);
    runner.dismantle().await.unwrap();
    assert!(matches!(&refused, Err(EngineError::Foreign { what: "a volume", .. })), "{refused:?}");
    fixture.finish().await;
}

#[tokio::test]
async fn an_image_that_no_registry_has_is_named() {
    let fixture = Fixture::prepared().await;
    let pulled = fixture.runner.pull("localhost:1/harbor-test/none", None, |_| ()).await.unwrap_err();
    assert!(matches!(&pulled, EngineError::Pull { image, .. } if image.ends_with(":latest")), "{pulled:?}");
    let image = fixture.runner.image(&fixture.image).await.unwrap().unwrap();
    assert_eq!(image.entrypoint, ["/bin/busybox", "sleep", "1000"]);
    assert!(image.size > 1_000_000 && image.id.starts_with("sha256:"), "{image:?}");
    fixture.finish().await;
}

#[tokio::test]
async fn an_engine_that_is_not_there_is_unreachable() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = Config::new(InstanceId::random(), directory.path().join("run"));
    config.docker_host = Some(format!("unix://{}/none.sock", directory.path().display()));
    let refused = DockerEngine::connect(config.clone()).await.unwrap_err();
    assert!(matches!(&refused, EngineError::Unreachable { .. }) && refused.transient(), "{refused:?}");
    config.docker_host = Some("tcp://127.0.0.1:1".to_owned());
    let refused = DockerEngine::connect(config.clone()).await.unwrap_err();
    assert!(matches!(&refused, EngineError::Unreachable { .. }), "{refused:?}");
    config.docker_host = Some("ftp://x".to_owned());
    let refused = DockerEngine::connect(config).await.unwrap_err();
    assert!(matches!(&refused, EngineError::Setting { .. }), "{refused:?}");
}
