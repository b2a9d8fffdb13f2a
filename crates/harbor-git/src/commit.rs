//! `commit`: what is staged, with the message of standard input exactly as it is.

use std::io::Read as _;

use git2::{Oid, Repository, Signature};

use crate::arguments::Arguments;
use crate::failure::{Failure, Outcome};
use crate::repository::{self, head_commit};

/// Options that say what is always so here, and `--allow-empty`.
pub(crate) const FLAGS: &[&str] = &["--allow-empty", "--allow-empty-message", "--no-verify", "--no-gpg-sign"];

pub(crate) fn commit(arguments: &Arguments) -> Outcome {
    if (arguments.value("--file"), arguments.value("--cleanup")) != (Some("-"), Some("verbatim")) {
        return Err(Failure::usage("the message comes from standard input and is taken verbatim"));
    }
    let (mut repository, _) = repository::open_with_work_tree()?;
    let mut message = String::new();
    std::io::stdin().read_to_string(&mut message)?;
    if message.contains('\0') {
        return Err(Failure::error("a NUL byte in commit log message not allowed."));
    }
    let (author, committer) = (signature("AUTHOR")?, signature("COMMITTER")?);
    let merged = merged(&mut repository)?;
    let mut index = repository.index()?;
    if index.has_conflicts() {
        return Err(Failure::error("Committing is not possible because you have unmerged files."));
    }
    let tree = repository.find_tree(index.write_tree()?)?;
    let head = head_commit(&repository)?;
    let before = head.as_ref().map(git2::Commit::tree_id);
    let is_new = merged.is_empty() && before.map_or_else(|| tree.is_empty(), |before| before == tree.id());
    if is_new && !arguments.has("--allow-empty") {
        // Git tells this on standard output, as part of a status.
        return Err(Failure::no());
    }
    let merged = merged.iter().map(|id| repository.find_commit(*id)).collect::<Result<Vec<_>, _>>()?;
    let parents: Vec<_> = head.iter().chain(&merged).collect();
    repository.commit(Some("HEAD"), &author, &committer, &message, &tree, &parents)?;
    Ok(repository.cleanup_state()?)
}

/// The other sides of a merge that this commit ends.
fn merged(repository: &mut Repository) -> Result<Vec<Oid>, Failure> {
    let mut merged = Vec::new();
    if repository.state() == git2::RepositoryState::Merge {
        repository.mergehead_foreach(|id| {
            merged.push(*id);
            true
        })?;
    }
    Ok(merged)
}

/// Name and address from the variables for this role, now.
fn signature(role: &str) -> Result<Signature<'static>, Failure> {
    let field = |what: &str| clean(&std::env::var(format!("GIT_{role}_{what}")).unwrap_or_default());
    let (name, email) = (field("NAME"), field("EMAIL"));
    if name.is_empty() {
        return Err(Failure::fatal(&format!("empty ident name (for <{email}>) not allowed")));
    }
    Ok(Signature::now(&name, &email)?)
}

/// A name or address as git stores it: without what would break the form, and without what surrounds it.
fn clean(text: &str) -> String {
    let around =
        |letter: char| letter <= ' ' || matches!(letter, '.' | ',' | ':' | ';' | '<' | '>' | '"' | '\\' | '\'');
    text.trim_matches(around).chars().filter(|letter| !matches!(letter, '\n' | '<' | '>')).collect()
}

#[cfg(test)]
mod tests {
    use super::clean;

    #[test]
    fn names_are_stored_as_git_does() {
        assert_eq!(clean(" Änn, <the \"First\"> B. "), "Änn, the \"First\"> B".replace('>', ""));
        assert_eq!(clean("<>"), "");
    }
}
