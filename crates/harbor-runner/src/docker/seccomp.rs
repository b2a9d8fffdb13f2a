//! Which system calls a sandbox may make.
//!
//! `seccomp.json` is the list that Docker's engine has by default (Moby's `default.json`, Apache-2.0, as of 2026), in the
//! engine's own format and for the capabilities that sandboxes have, less three doors:
//! - *Leases, delegations and directory notices* (commands of `fcntl`): whoever opens a leased file waits for its holder,
//!   and the programs that harbor brings lie on a volume that all sandboxes share. The commands that may be used are
//!   listed, so one that a later kernel adds is refused until it is looked at.
//! - *`io_uring`*: its operations are no system calls, so no filter sees them.
//! - *`AF_VSOCK`*: the sockets of a virtual machine's host, where its agents listen. 32-bit programs on x86 lose `socketcall`
//!   for it, and with it their sockets if they are built for kernels before 4.3: it takes the family from memory.
//!
//! The kernel looks at the lower half of these arguments only and the engine's filter at all of them, so they are compared
//! under a mask: a plain "not equal" is passed by with a bit in the upper half.

/// The list, as the engine takes it after `seccomp=`.
pub(crate) const PROFILE: &str = include_str!("seccomp.json");

#[cfg(test)]
mod tests {
    use serde_json::Value;

    /// Whether the list lets a call through whose argument `index` is `value`.
    fn allows(call: &str, index: u64, value: u64) -> bool {
        let profile: Value = serde_json::from_str(super::PROFILE).unwrap();
        let rules = profile["syscalls"].as_array().unwrap();
        let about = |rule: &&Value| rule["names"].as_array().unwrap().iter().any(|name| name == call);
        rules.iter().filter(about).filter(|rule| rule["action"] == "SCMP_ACT_ALLOW").any(|rule| {
            rule["args"].as_array().is_none_or(|arguments| {
                arguments.iter().all(|argument| {
                    assert_eq!((&argument["index"], &argument["op"]), (&index.into(), &"SCMP_CMP_MASKED_EQ".into()));
                    let [mask, expected] = ["value", "valueTwo"].map(|field| argument[field].as_u64().unwrap());
                    value & mask == expected
                })
            })
        })
    }

    #[test]
    fn commands_that_hold_a_file_are_refused_with_any_upper_half() {
        for upper in [0, 1 << 32, u64::from(u32::MAX) << 32] {
            for call in ["fcntl", "fcntl64"] {
                for refused in [1024, 1025, 1026, 1039, 1040, 1041, 2048] {
                    assert!(!allows(call, 1, upper | refused), "{call} {refused}");
                }
                for allowed in (0..=38).chain(1027..=1038) {
                    assert!(allows(call, 1, upper | allowed), "{call} {allowed}");
                }
            }
        }
    }

    #[test]
    fn every_address_family_but_that_of_virtual_machines_is_there() {
        const AF_VSOCK: u64 = 40;
        for upper in [0, 1 << 32] {
            for family in 0..=46 {
                assert_eq!(allows("socket", 0, upper | family), family != AF_VSOCK, "{family}");
            }
        }
        assert!(!allows("socketcall", 0, 1));
    }

    #[test]
    fn calls_that_pass_by_the_list_are_not_on_it() {
        for call in ["io_uring_setup", "io_uring_enter", "io_uring_register", "clone3", "unshare", "mount", "bpf"] {
            assert!(!allows(call, 0, 0), "{call}");
        }
        assert!(allows("openat2", 0, 0));
    }
}
