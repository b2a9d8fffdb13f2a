//! `branch -D` and `branch --set-upstream-to`.

use git2::BranchType;

use crate::arguments::Arguments;
use crate::failure::{Failure, Outcome};
use crate::repository;

pub(crate) fn branch(arguments: &Arguments) -> Outcome {
    let [name] = arguments.all()[..] else { return Err(Failure::usage("one branch is needed")) };
    let repository = repository::open()?;
    let found = repository.find_branch(name, BranchType::Local);
    let mut branch = found.map_err(|_| Failure::error(&format!("branch '{name}' not found.")))?;
    if let Some(upstream) = arguments.value("--set-upstream-to") {
        let upstream = upstream.strip_prefix("refs/remotes/").unwrap_or(upstream);
        return Ok(branch.set_upstream(Some(upstream))?);
    }
    if !arguments.has("-D") {
        return Err(Failure::usage("nothing to do with the branch"));
    }
    if branch.is_head() {
        return Err(Failure::error(&format!("Cannot delete branch '{name}' checked out")));
    }
    Ok(branch.delete()?)
}
