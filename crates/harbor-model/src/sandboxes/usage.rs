//! What sandboxes take of what there is to give (contract, control-plane §9.5).

use super::{Sandbox, SandboxState, Seen};
use crate::resources::Resources;

impl Sandbox {
    /// What it takes now: everything while it runs or is on its way there, disk while its files are on the engine, nothing
    /// when they are not, and nothing when it failed.
    pub fn usage(&self) -> Resources {
        let disk = Resources { cpu: 0, memory_gib: 0, gpu: 0, ..self.resources };
        match self.state() {
            SandboxState::Creating
            | SandboxState::Starting
            | SandboxState::Started
            | SandboxState::Stopping
            | SandboxState::Pausing
            | SandboxState::Resuming
            | SandboxState::Restoring => self.resources,
            SandboxState::Resizing | SandboxState::Snapshotting | SandboxState::Forking => match self.seen {
                Seen::Running { .. } => self.resources,
                _ => disk,
            },
            SandboxState::Stopped | SandboxState::Paused | SandboxState::Archiving => disk,
            SandboxState::Archived | SandboxState::Destroying | SandboxState::Destroyed | SandboxState::Error => {
                Resources::NONE
            }
        }
    }
}
