//! One behaviour for every engine: each case of `cases` runs on the pretend engine and on Docker.

mod cases;
mod docker;
mod pretend;

use std::sync::Arc;

use async_trait::async_trait;
use harbor_model::ids::{ContainerId, SandboxId};
use harbor_model::resources::Resources;
use harbor_model::sandboxes::{Boot, FoundSandbox};
use harbor_runner::{Engine, SandboxSpec};

use crate::fixture::configuration;

/// An engine, and what happens to it behind harbor's back.
#[async_trait]
trait Subject: Sync {
    /// The engine.
    fn engine(&self) -> Arc<dyn Engine>;

    /// The same engine to a harbor that has just been started: it remembers nothing.
    async fn again(&self) -> Arc<dyn Engine>;

    /// An image that is there.
    fn image(&self) -> String;

    /// Ends process 1 by SIGKILL.
    async fn kill(&self, id: &SandboxId);

    /// Freezes the sandbox container.
    async fn pause(&self, id: &SandboxId);

    /// Ends the infra container.
    async fn kill_infra(&self, id: &SandboxId);

    /// Removes the infra container.
    async fn lose_infra(&self, id: &SandboxId);

    /// Removes the sandbox container.
    async fn lose(&self, id: &SandboxId);

    /// Listens on a port of the sandbox's loopback.
    async fn listen(&self, id: &SandboxId, port: u16);

    /// What can be made of the subject's image.
    fn spec(&self) -> SandboxSpec {
        SandboxSpec {
            id: SandboxId::random(),
            image: self.image(),
            filling: None,
            entrypoint: Vec::new(),
            resources: Resources { cpu: 1, memory_gib: 1, disk_gib: 3, gpu: 0 },
            link: None,
        }
    }

    /// A sandbox that runs and is configured.
    async fn started(&self) -> (SandboxId, ContainerId, Boot) {
        let (engine, spec) = (self.engine(), self.spec());
        let container = engine.create(&spec).await.unwrap();
        let boot = engine.start(&spec.id, &container).await.unwrap();
        engine.configure(&spec.id, &container, &configuration("token")).await.unwrap();
        (spec.id, container, boot)
    }

    /// What is found of a sandbox.
    async fn found(&self, id: &SandboxId) -> Option<FoundSandbox> {
        self.engine().find(id).await.unwrap().sandbox
    }
}

/// Names every case once, for all engines.
macro_rules! for_each_case {
    ($run:ident) => {
        $run! {
            a_sandbox_lives_stops_and_lives_again
            a_restarted_harbor_goes_on_where_the_old_one_was
            a_token_is_changed_with_the_one_in_force
            an_infra_that_died_is_seen_and_replaced_by_stop_and_start
            a_reserved_infra_that_died_is_started_again
            a_made_sandbox_whose_infra_was_removed_is_made_again
            a_sandbox_that_ends_on_its_own_shows_its_exit_code
            a_paused_sandbox_goes_on_and_can_be_ended
            a_sandbox_that_sleeps_wakes_as_after_a_start
            a_sandbox_that_lost_its_infra_is_made_anew
            files_are_stored_and_brought_back
            a_lost_sandbox_is_not_found
            what_does_not_exist_is_removed_and_stopped_without_a_word
            a_missing_image_is_named
            the_listing_shows_everything
            a_listing_follows_what_happens
            changes_are_told
        }
    };
}
pub(crate) use for_each_case;
