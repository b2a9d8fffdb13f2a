//! What time brings about in a sandbox (contract, control-plane §5.6, §5.13).

use time::Duration;

use super::{Sandbox, SandboxState};
use crate::Timestamp;
use crate::ids::LayerId;

/// What time brings about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timed {
    /// It is stopped, as nobody used it for as long as its owner allows.
    Stop,
    /// It is paused, as nobody used it for as long as its owner allows.
    Pause,
    /// It is archived, as it was stopped for long enough.
    Archive,
    /// It is deleted: it was stopped for long enough, or its time is over.
    Delete,
}

/// What comes next, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// When; the past, if it is overdue.
    pub at: Timestamp,
    /// What.
    pub what: Timed,
}

impl Sandbox {
    /// What time brings about next, if nothing happens to it before. A moment beyond all years that a [`Timestamp`] can
    /// hold never comes. In a warm pool nothing is ever due.
    pub fn due(&self) -> Option<Due> {
        if self.warm_pool.is_some() {
            return None;
        }
        let after = |minutes: u32| self.last_activity_at.checked_add(Duration::minutes(i64::from(minutes)));
        let idle = match self.state() {
            SandboxState::Started => match (self.settings.auto_stop_minutes, self.settings.auto_pause_minutes) {
                (0, 0) => None,
                (0, minutes) => after(minutes).map(|at| Due { at, what: Timed::Pause }),
                (minutes, _) => after(minutes).map(|at| Due { at, what: Timed::Stop }),
            },
            SandboxState::Stopped => {
                let delete = self.settings.auto_delete_minutes.and_then(after);
                let archive = after(self.settings.auto_archive_minutes).filter(|_| !self.settings.ephemeral());
                let both = [
                    delete.map(|at| Due { at, what: Timed::Delete }),
                    archive.map(|at| Due { at, what: Timed::Archive }),
                ];
                both.into_iter().flatten().min_by_key(|due| due.at)
            }
            SandboxState::Destroying | SandboxState::Destroyed => return None,
            SandboxState::PendingBuild
            | SandboxState::BuildingSnapshot
            | SandboxState::BuildFailed
            | SandboxState::Creating
            | SandboxState::Starting
            | SandboxState::Stopping
            | SandboxState::Resizing
            | SandboxState::Snapshotting
            | SandboxState::Forking
            | SandboxState::Pausing
            | SandboxState::Paused
            | SandboxState::Resuming
            | SandboxState::Archiving
            | SandboxState::Archived
            | SandboxState::Restoring
            | SandboxState::Error => None,
        };
        let end = self.destroy_at.map(|at| Due { at, what: Timed::Delete });
        idle.into_iter().chain(end).min_by_key(|due| due.at)
    }

    /// Wants what is due at `now`; answers what that was.
    pub fn let_time_pass(&mut self, now: Timestamp) -> Option<Timed> {
        let what = self.due().filter(|due| due.at <= now)?.what;
        match what {
            Timed::Stop => {
                self.want_stopped(false, now);
                self.note = Some(idle("stopped", self.settings.auto_stop_minutes));
            }
            Timed::Pause => {
                self.want_paused(now);
                self.note = Some(idle("paused", self.settings.auto_pause_minutes));
            }
            Timed::Archive => self.want_archived(LayerId::random(), now),
            Timed::Delete => self.want_destroyed(now),
        }
        Some(what)
    }
}

fn idle(done: &str, minutes: u32) -> String {
    let unit = if minutes == 1 { "minute" } else { "minutes" };
    format!("{done} because nobody used it for {minutes} {unit}; start it to use it again")
}
