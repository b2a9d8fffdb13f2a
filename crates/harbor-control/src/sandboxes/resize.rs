//! Giving a sandbox other limits (contract, control-plane §5.5).

use harbor_model::names::SandboxRef;
use harbor_model::resources::{Asked, Resources};
use harbor_model::sandboxes::{Effect, Operation, Refusal, Sandbox, SandboxState, WhyNot, allowed};

use crate::{Allowed, Control, Error, WriteSandboxes, now};

/// Why sizes are not given.
enum No {
    State(Refusal),
    Size(String),
}

impl Control {
    /// Gives the sandbox these sizes, those that are absent staying as they are, and waits for that as long as the start
    /// budget lasts. While it runs, processors and memory grow and disk stays; when it is stopped, disk does not shrink.
    pub async fn resize_sandbox(
        &self,
        caller: &Allowed<WriteSandboxes>,
        sandbox: &SandboxRef,
        asked: Asked,
    ) -> Result<Sandbox, Error> {
        if !asked.any() {
            return Err(Error::invalid("at least one of cpu, memory and disk must be given, each 1 or more"));
        }
        let id = self.sandbox(caller, sandbox).await?.id;
        let limits = self.config().limits;
        let resize = move |row: &mut Sandbox| {
            if allowed(Operation::Resize, row, now()).map_err(No::State)? == Effect::Change {
                let to = row.resources.with(asked);
                check(row.state() == SandboxState::Started, row.resources, to).map_err(No::Size)?;
                to.check(limits.raised_to(row.resources)).map_err(|too_big| No::Size(too_big.to_string()))?;
                row.want_resized(to);
            }
            Ok(())
        };
        let changes = self.changes();
        let (row, outcome) = self.writer_within_capacity(caller).change_sandbox(id, now(), resize).await?;
        match outcome {
            Ok(()) => self.wait_settled(changes, row).await,
            Err(No::State(refusal)) if refusal.why == WhyNot::Gone => Err(super::missing(sandbox)),
            Err(No::State(refusal)) => Err(refusal.into()),
            Err(No::Size(message)) => Err(Error::invalid(message)),
        }
    }
}

fn check(started: bool, own: Resources, to: Resources) -> Result<(), String> {
    let Resources { cpu, memory_gib, disk_gib, .. } = own;
    if to == own {
        return Err(format!("it has these sizes already: cpu {cpu}, memory {memory_gib} GiB, disk {disk_gib} GiB"));
    }
    if to.disk_gib < disk_gib {
        return Err(format!("disk cannot shrink from {disk_gib} GiB to {} GiB", to.disk_gib));
    }
    if started && to.disk_gib != disk_gib {
        return Err("disk can only be resized while the sandbox is stopped".to_owned());
    }
    if started && (to.cpu < cpu || to.memory_gib < memory_gib) {
        return Err("cpu and memory can only grow while the sandbox is started: stop it first".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_grow_while_it_runs_and_disk_never_shrinks() {
        let own = Resources { cpu: 2, memory_gib: 4, disk_gib: 10, gpu: 0 };
        let larger = Resources { cpu: 3, ..own };
        assert!(check(true, own, larger).is_ok() && check(false, own, larger).is_ok());
        let smaller = Resources { memory_gib: 1, ..own };
        assert!(check(true, own, smaller).unwrap_err().contains("stop it first"));
        assert!(check(false, own, smaller).is_ok());
        let more_disk = Resources { disk_gib: 11, ..own };
        assert!(check(true, own, more_disk).unwrap_err().contains("stopped"));
        assert!(check(false, own, more_disk).is_ok());
        assert!(check(false, own, Resources { disk_gib: 9, ..own }).unwrap_err().contains("shrink"));
        assert!(check(false, own, own).unwrap_err().contains("already"));
        assert_eq!(Resources { cpu: 1, ..own }.raised_to(own).cpu, 2);
    }
}
