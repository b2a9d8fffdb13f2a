//! Which process listens on a port: from `/proc`, as far as this user may look.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

/// The process that listens on TCP `port`, for messages.
pub(crate) fn find(port: u16) -> Option<String> {
    let sockets: HashSet<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|table| listening(&table, port))
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    if sockets.is_empty() {
        return None;
    }
    let processes = fs::read_dir("/proc").ok()?.flatten();
    processes.filter(|entry| entry.file_name().to_string_lossy().bytes().all(|byte| byte.is_ascii_digit())).find_map(
        |entry| {
            let holds = fs::read_dir(entry.path().join("fd")).ok()?.flatten().any(|descriptor| {
                fs::read_link(descriptor.path()).is_ok_and(|target| sockets.contains(&*target.to_string_lossy()))
            });
            holds.then(|| describe(&entry.path()))
        },
    )
}

/// Inodes of the sockets in a table of `/proc/net` that listen on `port`.
fn listening(table: &str, port: u16) -> Vec<String> {
    let port = format!("{port:04X}");
    let inode = |line: &str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let [_, local, _, state, _, _, _, _, _, inode, ..] = fields[..] else { return None };
        (state == "0A" && local.rsplit(':').next() == Some(&port)).then(|| inode.to_owned())
    };
    table.lines().filter_map(inode).collect()
}

fn describe(process: &Path) -> String {
    let id = process.file_name().unwrap_or_default().to_string_lossy();
    match fs::read_to_string(process.join("comm")) {
        Ok(name) => format!("{} (process {id})", name.trim()),
        Err(_) => format!("process {id}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_this_process() {
        let listener = std::net::TcpListener::bind("[::1]:0").unwrap();
        let holder = find(listener.local_addr().unwrap().port()).unwrap();
        assert!(holder.contains(&std::process::id().to_string()), "{holder}");
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        assert_eq!(find(port), None);
    }
}
