//! Users and groups by number or name.
//!
//! `/etc/passwd` and `/etc/group` are parsed here: a static binary must not load the image's name-service modules.

use crate::http::error::Error;

/// The user id that `user` means: a number or a name of `/etc/passwd`.
pub(super) fn user_id(user: &str) -> Result<u32, Error> {
    id_of(user, "/etc/passwd").ok_or_else(|| Error::bad_request(format!("unknown user {user:?}")))
}

/// The group id that `group` means: a number or a name of `/etc/group`.
pub(super) fn group_id(group: &str) -> Result<u32, Error> {
    id_of(group, "/etc/group").ok_or_else(|| Error::bad_request(format!("unknown group {group:?}")))
}

fn id_of(account: &str, table: &str) -> Option<u32> {
    // The highest number means "leave it" to the kernel, so it is nobody's.
    let id = account.parse().ok().or_else(|| named(&std::fs::read(table).ok()?, account))?;
    (id != u32::MAX).then_some(id)
}

/// The id in the third field of the line whose first field is `name`.
fn named(table: &[u8], name: &str) -> Option<u32> {
    table.split(|&byte| byte == b'\n').find_map(|line| {
        let mut fields = line.split(|&byte| byte == b':');
        if fields.next()? != name.as_bytes() {
            return None;
        }
        std::str::from_utf8(fields.nth(1)?).ok()?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_looked_up_in_the_first_field() {
        let table = b"root:x:0:0:root:/root:/bin/sh\n#daytona:x:5:\nbroken\ndaytona:x:1000:1001::/home:\nodd:x:nan:\n";
        assert_eq!(named(table, "daytona"), Some(1000));
        assert_eq!(named(table, "root"), Some(0));
        for name in ["", "x", "nobody", "odd", "broken", "dayton"] {
            assert_eq!(named(table, name), None, "{name:?}");
        }
    }

    #[test]
    fn numbers_need_no_entry() {
        assert_eq!(user_id("4242").unwrap(), 4242);
        assert_eq!(user_id("root").unwrap(), 0);
        assert_eq!(group_id("0").unwrap(), 0);
        for unknown in ["4294967295", "-1", "no-such-user-here"] {
            user_id(unknown).unwrap_err();
        }
    }
}
