//! `status --porcelain`: what differs from the last commit, as records that end with NUL.
//!
//! Of version 2 the fields that the toolbox does not read (modes and hashes) are zeros.

use std::io::{self, BufWriter, Write};

use git2::{IndexConflict, Repository, Status, StatusOptions};

use crate::arguments::Arguments;
use crate::failure::{Failure, Outcome};
use crate::repository::{self, head_branch, head_commit};

const ZERO: &str = "0000000000000000000000000000000000000000";

pub(crate) fn status(arguments: &Arguments) -> Outcome {
    let second = match arguments.value("--porcelain") {
        Some("v2") => true,
        Some("" | "v1") => false,
        _ => return Err(Failure::usage("the format is --porcelain or --porcelain=v2")),
    };
    let untracked = match arguments.value("--untracked-files") {
        Some("all") => true,
        Some("no") => false,
        _ => return Err(Failure::usage("untracked files are all or no")),
    };
    if !arguments.has("-z") {
        return Err(Failure::usage("records end with NUL"));
    }
    let (repository, _) = repository::open_with_work_tree()?;
    let mut output = BufWriter::new(io::stdout().lock());
    if second && arguments.has("--branch") {
        branch(&repository, &mut output)?;
    }
    let mut options = StatusOptions::new();
    options.include_untracked(untracked).recurse_untracked_dirs(untracked);
    for entry in repository.statuses(Some(&mut options))?.iter() {
        let status = entry.status();
        if second {
            changed(&mut output, status, entry.path_bytes())?;
        } else if !status.contains(Status::CONFLICTED) {
            record(&mut output, &format!("{} ", letters(status, ' ')), entry.path_bytes())?;
        }
    }
    conflicts(&repository, second, &mut output)?;
    Ok(output.flush()?)
}

fn record(output: &mut impl Write, fields: &str, path: &[u8]) -> io::Result<()> {
    output.write_all(fields.as_bytes())?;
    output.write_all(path)?;
    output.write_all(b"\0")
}

/// The branch, and how far it is from what it follows.
fn branch(repository: &Repository, output: &mut impl Write) -> Outcome {
    let head = head_commit(repository)?;
    let hash = head.as_ref().map_or_else(|| "(initial)".to_owned(), |head| head.id().to_string());
    write!(output, "# branch.oid {hash}\0")?;
    let Some(name) = head_branch(repository)? else {
        return Ok(write!(output, "# branch.head (detached)\0")?);
    };
    write!(output, "# branch.head {name}\0")?;
    let Ok(upstream) = repository.branch_upstream_name(&format!("refs/heads/{name}")) else { return Ok(()) };
    let upstream = String::from_utf8_lossy(&upstream).into_owned();
    let short = ["refs/remotes/", "refs/heads/"].iter().find_map(|prefix| upstream.strip_prefix(prefix));
    write!(output, "# branch.upstream {}\0", short.unwrap_or(&upstream))?;
    if let (Some(head), Ok(theirs)) = (head, repository.refname_to_id(&upstream)) {
        let (ahead, behind) = repository.graph_ahead_behind(head.id(), theirs)?;
        write!(output, "# branch.ab +{ahead} -{behind}\0")?;
    }
    Ok(())
}

/// Records of version 2 for a file that is in no conflict.
fn changed(output: &mut impl Write, status: Status, path: &[u8]) -> io::Result<()> {
    if status.contains(Status::CONFLICTED) {
        return Ok(());
    }
    let tracked = status.difference(Status::WT_NEW);
    if !tracked.is_empty() {
        let letters = letters(tracked, '.');
        record(output, &format!("1 {letters} N... 000000 000000 000000 {ZERO} {ZERO} "), path)?;
    }
    if status.contains(Status::WT_NEW) {
        record(output, "? ", path)?;
    }
    Ok(())
}

/// What happened to a file in the index and in the work tree.
fn letters(status: Status, unchanged: char) -> String {
    let letter = |letters: [(Status, char); 4]| {
        letters.iter().find(|(kind, _)| status.intersects(*kind)).map_or(unchanged, |(_, letter)| *letter)
    };
    let index = letter([
        (Status::INDEX_NEW, 'A'),
        (Status::INDEX_DELETED, 'D'),
        (Status::INDEX_TYPECHANGE, 'T'),
        (Status::INDEX_MODIFIED, 'M'),
    ]);
    let worktree = letter([
        (Status::WT_NEW, '?'),
        (Status::WT_DELETED, 'D'),
        (Status::WT_TYPECHANGE, 'T'),
        (Status::WT_MODIFIED, 'M'),
    ]);
    format!("{index}{worktree}")
}

/// Records of the files in conflict.
fn conflicts(repository: &Repository, second: bool, output: &mut impl Write) -> Outcome {
    for conflict in repository.index()?.conflicts()? {
        let conflict = conflict?;
        let letters = sides(&conflict);
        let entry = conflict.our.or(conflict.their).or(conflict.ancestor);
        let Some(entry) = entry else { continue };
        let fields = if second {
            format!("u {letters} N... 000000 000000 000000 000000 {ZERO} {ZERO} {ZERO} ")
        } else {
            format!("{letters} ")
        };
        record(output, &fields, &entry.path)?;
    }
    Ok(())
}

/// What our side and theirs did to a file.
fn sides(conflict: &IndexConflict) -> &'static str {
    match (conflict.ancestor.is_some(), conflict.our.is_some(), conflict.their.is_some()) {
        (true, true, true) => "UU",
        (true, true, false) => "UD",
        (true, false, true) => "DU",
        (true, false, false) => "DD",
        (false, true, false) => "AU",
        (false, false, true) => "UA",
        (false, ..) => "AA",
    }
}
