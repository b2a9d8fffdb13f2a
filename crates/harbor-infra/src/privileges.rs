//! What infra gives up before it serves, and the one limit it raises.

use harbor_protocol::infra::MAX_CONNECTIONS;
use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities, set_no_new_privs};

use crate::problem::{Context, Problem};

/// Nobody without `CAP_SYS_PTRACE` reads this process's memory, where the token is.
pub(crate) fn hide_memory() -> Result<(), Problem> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable).context("cannot hide this process's memory")
}

/// Raises the soft limit of open descriptors to the hard one and returns it.
///
/// Beside room for connections this decides whether a socket can be passed at all: the kernel refuses `SCM_RIGHTS`
/// (`ETOOMANYREFS`) once the descriptors in flight of *all* processes of the same user exceed the sender's limit, and
/// root in a sandbox is the same user. So the engine is told to give infra a higher limit than any sandbox has.
pub(crate) fn raise_descriptor_limit() -> Result<usize, Problem> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).context("cannot raise the file limit")?;
    }
    let limit = maximum.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    if limit < 4 * MAX_CONNECTIONS {
        return Err(Problem::new(format!("needs at least {} open files, may have {limit}", 4 * MAX_CONNECTIONS)));
    }
    Ok(limit)
}

/// Once the socket exists in a directory of another user, only the right to change the network is still needed.
pub(crate) fn keep_only_net_admin() -> Result<(), Problem> {
    let held = capabilities(None).context("cannot read capabilities")?;
    let kept = CapabilitySets {
        effective: held.effective & CapabilitySet::NET_ADMIN,
        permitted: held.permitted & CapabilitySet::NET_ADMIN,
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, kept).context("cannot drop capabilities")?;
    set_no_new_privs(true).context("cannot renounce new privileges")
}
