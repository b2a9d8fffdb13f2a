//! What tests do to sandboxes and images behind harbor's back, and ask of the latter.

use std::collections::BTreeSet;

use harbor_model::ids::SandboxId;

use super::Pretend;
use crate::image::Login;

impl Pretend {
    /// The logins that it was given so far.
    pub fn logins(&self) -> Vec<Login> {
        self.lock().world.logins.clone()
    }

    /// The archive that the last build came with.
    pub fn last_context(&self) -> Vec<u8> {
        self.lock().world.last_context.clone()
    }

    /// The image of this name goes.
    pub fn remove_image(&self, reference: &str) {
        self.lock().world.images.remove(reference);
    }

    /// The images that are kept from everybody who cleans up.
    pub fn kept_images(&self) -> BTreeSet<String> {
        self.lock().world.kept_images.clone()
    }

    /// Process 1 of the sandbox ends with this code.
    pub fn kill(&self, id: &SandboxId, code: i64) {
        self.meddle(id, |world| world.kill(id, code));
    }

    /// Somebody freezes the sandbox container.
    pub fn pause(&self, id: &SandboxId) {
        self.meddle(id, |world| world.pause(id));
    }

    /// Somebody lets the sandbox container go on.
    pub fn thaw(&self, id: &SandboxId) {
        self.meddle(id, |world| world.thaw(id));
    }

    /// Its infra container ends.
    pub fn kill_infra(&self, id: &SandboxId) {
        self.meddle(id, |world| world.kill_infra(id));
    }

    /// Somebody removes its sandbox container.
    pub fn lose(&self, id: &SandboxId) {
        self.meddle(id, |world| world.lose(id));
    }

    /// Somebody removes its infra container.
    pub fn lose_infra(&self, id: &SandboxId) {
        self.meddle(id, |world| world.lose_infra(id));
    }
}
