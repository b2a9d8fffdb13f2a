//! `merge --ff-only COMMIT`: moves the head forward.

use crate::arguments::Arguments;
use crate::checkout::write_files;
use crate::failure::{Failure, Outcome};
use crate::refs::is_ancestor;
use crate::repository::{self, head_commit, move_head};

pub(crate) fn merge(arguments: &Arguments) -> Outcome {
    let [name] = arguments.all()[..] else { return Err(Failure::usage("one commit is needed")) };
    if !arguments.has("--ff-only") {
        return Err(Failure::usage("nothing but --ff-only"));
    }
    let (repository, _) = repository::open_with_work_tree()?;
    let commit = repository::commit(&repository, name)?;
    if let Some(head) = head_commit(&repository)? {
        if is_ancestor(&repository, commit.id(), head.id())? {
            return Ok(());
        }
        if !is_ancestor(&repository, head.id(), commit.id())? {
            return Err(Failure::fatal("Not possible to fast-forward, aborting."));
        }
    }
    write_files(&repository, &commit)?;
    move_head(&repository, commit.id(), &format!("merge {name}: Fast-forward"))
}
