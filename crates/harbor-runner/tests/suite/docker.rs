//! The Docker engine of this machine as the suite's subject.

use std::sync::Arc;

use async_trait::async_trait;
use harbor_model::ids::SandboxId;
use harbor_runner::Engine;

use super::{Subject, cases, for_each_case};
use crate::fixture::{Fixture, docker};

#[async_trait]
impl Subject for Fixture {
    fn engine(&self) -> Arc<dyn Engine> {
        Arc::new(self.runner.clone())
    }

    async fn again(&self) -> Arc<dyn Engine> {
        Arc::new(self.again().await)
    }

    fn image(&self) -> String {
        self.image.clone()
    }

    async fn kill(&self, id: &SandboxId) {
        docker(&["kill", &format!("harbor-{id}")]);
    }

    async fn pause(&self, id: &SandboxId) {
        docker(&["pause", &format!("harbor-{id}")]);
    }

    async fn kill_infra(&self, id: &SandboxId) {
        docker(&["kill", &format!("harbor-infra-{id}")]);
    }

    async fn lose_infra(&self, id: &SandboxId) {
        docker(&["rm", "-f", &format!("harbor-infra-{id}")]);
    }

    async fn lose(&self, id: &SandboxId) {
        docker(&["rm", "-f", &format!("harbor-{id}")]);
    }

    async fn listen(&self, id: &SandboxId, port: u16) {
        Self::shell(id, &format!("busybox httpd -p 127.0.0.1:{port} -h /"));
    }
}

macro_rules! on_docker {
    ($($case:ident)*) => {
        $(
            #[tokio::test]
            async fn $case() {
                let fixture = Fixture::prepared().await;
                cases::$case(&fixture).await;
                fixture.finish().await;
            }
        )*
    };
}
for_each_case!(on_docker);
