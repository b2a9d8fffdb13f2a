//! The one thing to do next for a sandbox, and what is recorded when it was done.

use super::seen::observe;
use super::{Beginning, Boot, Desired, Failure, Found, FoundSandbox, Sandbox, Seen};
use crate::Timestamp;
use crate::ids::ContainerId;
use crate::layers::Layer;

/// How the reason of a failure begins that ends with the container being there again.
const LOST: &str = "its container was removed by somebody else";

/// The one thing to do next for a sandbox. Each is idempotent: doing it again after a crash does no harm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing: intent and observation agree, or it has failed.
    Settled,
    /// Make its containers.
    Create,
    /// Start its infra container and then this one.
    Start(ContainerId),
    /// Tell its toolbox token and environment.
    Configure(ContainerId),
    /// Make its containers anew from the writable layer of this one, whose infra container is gone.
    Remake(ContainerId),
    /// Freeze this container's processes.
    Pause(ContainerId),
    /// Let this container's processes go on.
    Resume(ContainerId),
    /// Give this container the limits that are wanted.
    Resize(ContainerId),
    /// Copy the files of this container to the store.
    Copy(ContainerId),
    /// End this container's processes.
    Stop(ContainerId),
    /// Start this container, and freeze it before anything of its user's runs in it: it is stopped and was not put to sleep.
    Doze(ContainerId),
    /// Remove its containers: its files are stored.
    Evict,
    /// Remove its containers and all that harbor holds of it.
    Remove,
    /// It ended on its own: take that as what is wanted, or as a failure.
    Accept(Ending),
}

impl Step {
    /// A short word for logs.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Settled => "settled",
            Self::Create => "create",
            Self::Start(_) => "start",
            Self::Configure(_) => "configure",
            Self::Remake(_) => "remake",
            Self::Pause(_) => "pause",
            Self::Resume(_) => "resume",
            Self::Resize(_) => "resize",
            Self::Copy(_) => "copy",
            Self::Stop(_) => "stop",
            Self::Doze(_) => "doze",
            Self::Evict => "evict",
            Self::Remove => "remove",
            Self::Accept(_) => "accept",
        }
    }
}

/// How a sandbox ended without being asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// As after a stop: exit codes 0, 137, 143 and 255 (contract, edges §7.2).
    Stopped,
    /// With this exit code.
    Failed(i64),
    /// Somebody froze it.
    Frozen,
    /// Its container was removed.
    Lost,
    /// Its network keeper ended or was restarted under it; it still runs and must be stopped.
    Disconnected,
}

impl Ending {
    /// What this exit code of process 1 means.
    const fn of(code: i64) -> Self {
        match code {
            0 | 137 | 143 | 255 => Self::Stopped,
            code => Self::Failed(code),
        }
    }
}

/// What came of a step, or of a look at the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its containers were made, for the first time or anew.
    Made(ContainerId),
    /// Its container was started, or goes on.
    Started(ContainerId, Boot),
    /// Its processes ended, and it sleeps.
    Slept,
    /// It sleeps, in this run of its container.
    Dozed(Boot),
    /// It is not to sleep after all.
    StaysStopped,
    /// Its toolbox knows token and environment.
    Configured {
        /// The toolbox's version.
        version: String,
        /// When it answered.
        at: Timestamp,
    },
    /// Its container has the limits that were wanted.
    Resized,
    /// The engine was looked at, for example after a stop.
    Found(Found),
    /// Its files were copied.
    Copied(Layer),
    /// Its containers were removed.
    Evicted,
    /// Everything of it was removed.
    Removed,
    /// Its ending was read again.
    Accepted,
}

impl Sandbox {
    /// The step from what is seen to what is desired. One that has failed takes none until it is to be destroyed.
    pub fn next_step(&self) -> Step {
        if self.failure.is_some() && self.desired != Desired::Destroyed {
            return Step::Settled;
        }
        match (next_step(self.desired, &self.seen), &self.seen) {
            (
                Step::Settled | Step::Doze(_),
                Seen::Made { container }
                | Seen::Running { container, .. }
                | Seen::Asleep { container, .. }
                | Seen::Exited { container, .. },
            ) if self.resize_to.is_some() => Step::Resize(container.clone()),
            // whoever copies its parent's files, or builds its image, says when they are there
            (Step::Create, _) if matches!(self.files.beginning, Beginning::Awaited | Beginning::Unbuilt { .. }) => {
                Step::Settled
            }
            (step, _) => self.with_copy(step),
        }
    }

    /// Records what came of a step or look. An ending is accepted in the same change: nobody reads it without its
    /// reason, and no start that is asked for in between is lost.
    pub fn record(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Made(container) => self.seen = Seen::Made { container },
            Outcome::Started(container, boot) => {
                let found = FoundSandbox::Running { container, boot, connected: true };
                self.seen = observe(self.desired, &self.seen, &Found { sandbox: Some(found) });
            }
            Outcome::Slept => {
                if let Seen::Running { container, boot, connected, .. }
                | Seen::Frozen { container, boot, connected, .. } = &self.seen
                {
                    let (container, boot) = (container.clone(), boot.clone());
                    self.seen = Seen::Asleep { container, boot, connected: *connected };
                }
            }
            Outcome::Dozed(boot) => {
                if let Seen::Exited { container, connected, .. } = &self.seen {
                    let (container, connected) = (container.clone(), *connected);
                    self.seen = Seen::Asleep { container, boot, connected };
                }
            }
            Outcome::StaysStopped => {
                if let Seen::Exited { to_sleep, .. } = &mut self.seen {
                    *to_sleep = false;
                }
            }
            Outcome::Configured { version, at } => {
                if let Seen::Running { configured, .. } = &mut self.seen {
                    *configured = true;
                }
                self.toolbox_version = Some(version);
                self.started_once = true;
                self.last_activity_at = at;
            }
            Outcome::Resized => self.resources = self.resize_to.take().unwrap_or(self.resources),
            Outcome::Found(found) => {
                let seen = observe(self.desired, &self.seen, &found);
                let before = std::mem::replace(&mut self.seen, seen);
                if before == Seen::Lost && self.seen != Seen::Lost {
                    self.failure.take_if(|failure| failure.reason.starts_with(LOST));
                }
            }
            Outcome::Copied(layer) => self.note_copy(Ok(layer)),
            Outcome::Evicted => self.seen = Seen::Archived { evicted: true },
            Outcome::Removed => self.seen = Seen::Removed,
            Outcome::Accepted => {}
        }
        self.note_absence();
        self.keep_what_is_not_stored();
        // one that somebody froze may have lost its network before
        while let Step::Accept(ending) = self.next_step() {
            self.accept(ending);
        }
    }

    /// Reads what was seen in the light of what is stored: without a container its files are those that were stored when
    /// nothing has run since, and lost if it has.
    fn note_absence(&mut self) {
        let running = self.seen.has_processes();
        if let Some(backup) = &mut self.files.backup {
            backup.current &= !running;
        }
        self.files.backup.take_if(|backup| running && !backup.kept);
        match self.seen {
            Seen::Absent | Seen::Lost if self.files.stored() => {
                self.seen = Seen::Archived { evicted: false };
            }
            // one that was made anew, with its files
            Seen::Absent if self.started_once => self.seen = Seen::Lost,
            _ => {}
        }
        if matches!(self.seen, Seen::Absent | Seen::Archived { .. }) {
            self.resources = self.resize_to.take().unwrap_or(self.resources);
        }
    }

    /// Whether the engine holds it otherwise than it was last seen, or a step is due.
    pub fn needs_a_look(&self, found: &Found) -> bool {
        let mut looked = self.clone();
        looked.record(Outcome::Found(found.clone()));
        looked != *self || self.next_step() != Step::Settled
    }

    /// It ended without being asked: that is what is wanted now, or a failure.
    fn accept(&mut self, ending: Ending) {
        match ending {
            Ending::Stopped => {
                self.desired = Desired::Stopped;
                let ephemeral = self.settings.ephemeral();
                if let Seen::Exited { asked, to_sleep, .. } = &mut self.seen {
                    (*asked, *to_sleep) = (true, !ephemeral);
                }
                self.note = Some("it ended without being asked to; start it to use it again".to_owned());
            }
            // its processes still run, and are ended as for any stop
            Ending::Disconnected => {
                (self.desired, self.force) = (Desired::Stopped, false);
                self.note = Some("stopped because its network keeper ended; start it to use it again".to_owned());
            }
            Ending::Frozen => {
                self.desired = Desired::Paused;
                if let Seen::Frozen { asked, .. } = &mut self.seen {
                    *asked = true;
                }
                self.note = Some("somebody paused it on the engine; start it to use it again".to_owned());
            }
            Ending::Failed(code) => self.fail(format!("exited with code {code}")),
            Ending::Lost => self.fail(match &self.files.backup {
                None => format!("{LOST}, and its files with it; delete the sandbox"),
                Some(backup) => {
                    format!("{LOST}; recover the sandbox to have its files as of {}", backup.at.date())
                }
            }),
        }
    }

    pub(super) fn fail(&mut self, reason: String) {
        self.failure = Some(Failure { reason, recoverable: self.recoverable() });
    }
}

fn next_step(desired: Desired, seen: &Seen) -> Step {
    use {Desired as D, Seen as S};
    match (desired, seen) {
        (D::Destroyed, S::Removed) => Step::Settled,
        (
            D::Destroyed,
            S::Absent
            | S::Made { .. }
            | S::Running { .. }
            | S::Frozen { .. }
            | S::Asleep { .. }
            | S::Exited { .. }
            | S::Archived { .. }
            | S::Lost,
        ) => Step::Remove,
        (D::Started | D::Stopped | D::Paused | D::Archived, S::Removed) => Step::Settled,
        (D::Started | D::Stopped | D::Paused | D::Archived, S::Lost) => Step::Accept(Ending::Lost),

        (D::Started, S::Absent | S::Archived { .. }) => Step::Create,
        (D::Started, S::Made { container }) => Step::Start(container.clone()),
        (D::Started, S::Running { connected: false, .. }) => Step::Accept(Ending::Disconnected),
        (D::Started, S::Running { container, configured: false, .. }) => Step::Configure(container.clone()),
        (D::Started, S::Running { configured: true, connected: true, .. }) => Step::Settled,
        // without its network it has to begin anew
        (D::Started, S::Frozen { container, asked: true, connected: false, .. }) => Step::Stop(container.clone()),
        (D::Started, S::Frozen { container, asked: true, connected: true, .. }) => Step::Resume(container.clone()),
        (D::Started, S::Frozen { asked: false, .. }) => Step::Accept(Ending::Frozen),
        (D::Started, S::Asleep { container, connected: true, .. }) => Step::Start(container.clone()),
        (D::Started, S::Asleep { container, connected: false, .. }) => Step::Stop(container.clone()),
        (D::Started, S::Exited { container, asked: true, connected: true, .. }) => Step::Start(container.clone()),
        (D::Started, S::Exited { container, asked: true, connected: false, .. }) => Step::Remake(container.clone()),
        // it died on its own: the contract says stopped or error, never a silent restart
        (D::Started, S::Exited { code, asked: false, .. }) => Step::Accept(Ending::of(*code)),

        (D::Paused, S::Running { container, .. }) => Step::Pause(container.clone()),
        (D::Paused, S::Frozen { connected: true, .. }) => Step::Settled,
        // nothing would reach it if it went on
        (D::Paused, S::Frozen { connected: false, .. }) => Step::Accept(Ending::Disconnected),
        // it ended first, or was made anew
        (D::Paused, S::Exited { code, .. }) => Step::Accept(Ending::of(*code)),
        (D::Paused, S::Absent | S::Made { .. } | S::Asleep { .. }) => Step::Accept(Ending::Stopped),

        (D::Stopped | D::Archived, S::Running { container, .. } | S::Frozen { container, .. }) => {
            Step::Stop(container.clone())
        }
        (D::Stopped, S::Exited { container, asked: true, connected: true, to_sleep: true, .. }) => {
            Step::Doze(container.clone())
        }
        (D::Stopped, S::Absent | S::Made { .. } | S::Asleep { .. } | S::Exited { .. }) => Step::Settled,
        (D::Stopped | D::Paused | D::Archived, S::Archived { evicted: true }) => Step::Settled,
        (D::Stopped | D::Paused | D::Archived, S::Archived { evicted: false }) => Step::Evict,
        (D::Archived, S::Absent | S::Made { .. } | S::Asleep { .. } | S::Exited { .. }) => Step::Evict,
    }
}
