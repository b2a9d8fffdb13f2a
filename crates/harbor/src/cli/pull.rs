//! `harbor pull`

use std::process::ExitCode;

use anyhow::Context as _;
use harbor_model::ids::InstanceId;
use harbor_runner::{Config, DockerEngine};
use serde_json::json;

use super::note_foreign;
use crate::config::load::Loaded;
use crate::default_image;
use crate::process::Progress;
use crate::screen::{self, ProgressDisplay};

pub(super) fn run(loaded: &Loaded, as_json: bool, handles: &[String]) -> anyhow::Result<ExitCode> {
    note_foreign(handles);
    let config = &loaded.config;
    let reference = &config.daytona.default_snapshot;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the runtime")?;
    let image = runtime.block_on(async {
        // nothing is made that would carry this id
        let mut runner = Config::new(InstanceId::random(), config.directories().run());
        runner.docker_host.clone_from(&config.docker_host);
        let runner = DockerEngine::connect(runner).await?;
        let (progress, mut doing) = Progress::new();
        let show = async {
            let mut waiting = ProgressDisplay::new();
            while doing.changed().await.is_ok() {
                waiting.show(&doing.borrow_and_update());
            }
        };
        let ensure = async {
            let image = default_image::ensure(&runner, reference, &progress).await;
            drop(progress); // ends what shows it
            image
        };
        tokio::join!(ensure, show).0
    })?;
    if as_json {
        let object = json!({"image": reference, "id": image.id, "size_bytes": image.size});
        screen::line(&serde_json::to_string_pretty(&object)?)?;
    } else {
        screen::line(&format!("{reference} is there ({} MB)", image.size / 1_000_000))?;
    }
    Ok(ExitCode::SUCCESS)
}
