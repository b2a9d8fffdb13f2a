//! `restore`: takes paths of index and work tree back to a commit, or those of the work tree to the index.

use std::collections::BTreeSet;
use std::path::Path;

use git2::build::CheckoutBuilder;
use git2::{Repository, Tree};

use crate::arguments::Arguments;
use crate::failure::{Failure, Outcome};
use crate::links;
use crate::paths;
use crate::repository::{self, head_commit};

pub(crate) fn restore(arguments: &Arguments) -> Outcome {
    let (repository, root) = repository::open_with_work_tree()?;
    let wanted = paths::normalized(arguments.after(), &root)?;
    if wanted.is_empty() {
        return Ok(());
    }
    let (staged, worktree) = (arguments.has("--staged"), arguments.has("--worktree"));
    let source = match arguments.value("--source") {
        Some(name) => Some(repository::commit(&repository, name).map_err(|_| unknown_source(name))?),
        None if staged => head_commit(&repository)?,
        None => None,
    };
    let tree = source.map(|commit| commit.tree()).transpose()?;
    let mut index = repository.index()?;
    let tracked: BTreeSet<Vec<u8>> = paths::of_index(&index, &wanted).into_keys().collect();
    let restored: BTreeSet<Vec<u8>> = match &tree {
        Some(tree) => paths::of_tree(tree, &wanted)?.into_keys().collect(),
        None => tracked.clone(),
    };
    for (path, given) in wanted.iter().zip(arguments.after()) {
        if !tracked.iter().chain(&restored).any(|known| paths::covers(path, known)) && !path.is_empty() {
            return Err(Failure::error(&format!("pathspec '{given}' did not match any file(s) known to git")));
        }
    }
    links::aside(&repository, || {
        if staged {
            paths::read_into(&mut index, tree.as_ref(), &wanted)?;
            index.write()?;
        }
        if worktree {
            let source = tree.as_ref().filter(|_| !staged);
            write_files(&repository, source, &wanted)?;
            for gone in tracked.difference(&restored) {
                remove(&root, paths::path(gone));
            }
        }
        Ok(())
    })
}

fn unknown_source(name: &str) -> Failure {
    Failure::fatal(&format!("could not resolve {name}"))
}

/// Writes the covered files of a tree, which leaves the index alone, or of the index.
fn write_files(repository: &Repository, tree: Option<&Tree<'_>>, wanted: &[String]) -> Outcome {
    let mut options = CheckoutBuilder::new();
    options.force().disable_pathspec_match(true);
    if !wanted.iter().any(String::is_empty) {
        for path in wanted {
            options.path(path.as_str());
        }
    }
    match tree {
        Some(tree) => repository.checkout_tree(tree.as_object(), Some(options.update_index(false)))?,
        None => repository.checkout_index(None, Some(&mut options))?,
    }
    Ok(())
}

/// Removes a file, and the directories that it leaves empty. What is gone already is fine.
fn remove(root: &Path, path: &Path) {
    let _ = std::fs::remove_file(root.join(path));
    let parents = path.ancestors().skip(1).filter(|parent| !parent.as_os_str().is_empty());
    // Ends at the first that is not empty.
    let _ = parents.map(|parent| root.join(parent)).try_for_each(std::fs::remove_dir);
}
