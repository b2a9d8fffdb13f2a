//! Handing out a sandbox that was started before anybody asked for it (design D3).

use super::{Sandbox, SandboxState};
use crate::Timestamp;

impl Sandbox {
    /// Whether it waits in a warm pool and can be handed out now.
    pub fn claimable(&self) -> bool {
        self.warm_pool.is_some() && self.state() == SandboxState::Started
    }

    /// Wants a member gone, unless somebody was given it or it is on its way out already.
    pub fn discard_member(&mut self, at: Timestamp) {
        if self.warm_pool.is_some() && self.live() {
            self.want_destroyed(at);
        }
    }

    /// Becomes `wanted`, which somebody asked for, but for what it is on the engine: id, containers, toolbox.
    ///
    /// What cannot be changed while it runs must be the same in both: image, entrypoint, sizes, and what its processes
    /// were told, which is snapshot, user and environment.
    pub fn claim(&mut self, wanted: Self) {
        let member = std::mem::replace(self, wanted);
        self.id = member.id;
        self.toolbox_token = member.toolbox_token;
        self.seen = member.seen;
        self.toolbox_version = member.toolbox_version;
        self.started_once = member.started_once;
        self.warm_pool = None;
    }
}
