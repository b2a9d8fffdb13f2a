//! What the engine's machine has left (design D11).

use harbor_model::capacity::Free;
use harbor_model::resources::Resources;
use harbor_model::sandboxes::{Sandbox, Tally};
use harbor_store::Writer;

use crate::{Caller, Control, Error};

/// The machine that sandboxes run on.
pub trait Machine: Send + Sync {
    /// What is free there now. Asked at every create and start: it takes microseconds.
    fn free(&self) -> Free;
}

/// What the machine has and what of it is in use.
#[derive(Clone, Copy, Debug)]
pub struct MachineUsage {
    /// What it has.
    pub machine: Resources,
    /// What all sandboxes take of it.
    pub tally: Tally,
    /// What is free there, as measured.
    pub free: Free,
}

impl Control {
    /// What the machine has and what of it is in use.
    pub fn machine_usage(&self) -> MachineUsage {
        let machine = self.config().capacity.machine;
        MachineUsage { machine, tally: self.store().tally(), free: self.inner.machine.free() }
    }

    /// Writes in the caller's name, but nothing that takes more than there is.
    pub(crate) fn writer_within_capacity(&self, caller: &Caller) -> Writer {
        self.store().by(caller.actor()).within(self.config().capacity, self.inner.machine.free())
    }

    /// Whether there is room for one more, which nobody has asked for.
    pub(crate) fn admit_unasked(&self, sandbox: &Sandbox) -> Result<(), Error> {
        let MachineUsage { tally, free, .. } = self.machine_usage();
        let admitted = self.config().capacity.admit(tally.promised, sandbox.usage(), free);
        admitted.map_err(|no_room| Error::invalid(no_room.to_string()))
    }
}
