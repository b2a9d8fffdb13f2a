//! The object storage that builds copy from, and the registry that images come from, in memory.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use harbor_model::garbage::Collected;
use harbor_model::ids::OrganizationId;
use harbor_model::secrets::Secret;
use harbor_reconcile::{ObjectStorage, OwnImage, OwnRegistry};
use harbor_runner::{Context, Login};

/// What users uploaded for images, by name; and whether the disk is nearly full.
#[derive(Default)]
pub(crate) struct Uploads(Mutex<HashMap<String, Vec<u8>>>, AtomicBool);

impl Uploads {
    /// The disk is nearly full from now on.
    pub(crate) fn run_short_of_space(&self) {
        self.1.store(true, Ordering::Relaxed);
    }

    /// Something is uploaded, in place of what was.
    pub(crate) fn put(&self, name: &str, archive: Vec<u8>) {
        self.0.lock().unwrap().insert(name.to_owned(), archive);
    }
}

#[async_trait]
impl ObjectStorage for Uploads {
    async fn upload(&self, _: OrganizationId, name: &str) -> Result<Option<Context>, String> {
        let found = self.0.lock().unwrap().get(name).cloned();
        Ok(found.map(|archive| -> Context { Box::pin(futures_util::stream::iter([Ok(archive.into())])) }))
    }

    async fn collect(&self, _: Duration, _: bool) -> Result<Vec<Collected>, String> {
        Ok(Vec::new())
    }

    fn is_short_of_space(&self) -> bool {
        self.1.load(Ordering::Relaxed)
    }

    async fn tidy(&self) -> Result<usize, String> {
        Ok(0)
    }
}

/// A registry that has the images whose references begin with its name, and calls each by another one.
pub(crate) struct OwnImages;

#[async_trait]
impl OwnRegistry for OwnImages {
    async fn image(&self, _: OrganizationId, reference: &str) -> Result<Option<OwnImage>, String> {
        match reference.strip_prefix("daytona-registry:6000/") {
            Some("missing:1.0") => Err("nothing was pushed as missing:1.0".to_owned()),
            Some(rest) => {
                let reference = format!("127.0.0.1:35009/{}@sha256:{}", rest.replace(":1.0", ""), "0".repeat(64));
                Ok(Some(OwnImage { reference, login: login() }))
            }
            None => Ok(None),
        }
    }

    fn login(&self, _: OrganizationId) -> Result<Login, String> {
        Ok(login())
    }

    fn refusal(&self, _: OrganizationId, reference: &str) -> Option<String> {
        reference.starts_with("daytona-registry:6000/theirs/").then(|| "it is another organization's".to_owned())
    }
}

fn login() -> Login {
    Login { registry: "127.0.0.1:35009".to_owned(), username: "PUSHA".to_owned(), password: Secret::new("for an hour") }
}
