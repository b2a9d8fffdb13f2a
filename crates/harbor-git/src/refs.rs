//! Questions about references and objects, and the plumbing that sets references.

use std::io::{self, Write as _};

use git2::{Branch, Oid};

use crate::arguments::Arguments;
use crate::failure::{Failure, Outcome};
use crate::repository::{self, target_of};

/// The one operand of a command.
fn only(arguments: &Arguments) -> Result<String, Failure> {
    match arguments.all()[..] {
        [operand] => Ok(operand.to_owned()),
        _ => Err(Failure::usage("exactly one name is needed")),
    }
}

/// `rev-parse --verify NAME`: prints the object's hash.
pub(crate) fn rev_parse(arguments: &Arguments) -> Outcome {
    let name = only(arguments)?;
    match repository::open()?.revparse_single(&name) {
        Ok(object) => Ok(writeln!(io::stdout(), "{}", object.id())?),
        Err(_) if arguments.has("--quiet") => Err(Failure::no()),
        Err(_) => Err(Failure::fatal("Needed a single revision")),
    }
}

/// `cat-file -e NAME`: whether there is such an object.
pub(crate) fn cat_file(arguments: &Arguments) -> Outcome {
    let name = only(arguments)?;
    let repository = repository::open()?;
    let found = repository.revparse_single(&name);
    found.map(drop).map_err(|_| Failure::fatal(&format!("Not a valid object name {name}")))
}

/// `show-ref --verify NAME`: whether there is such a reference.
pub(crate) fn show_ref(arguments: &Arguments) -> Outcome {
    let name = only(arguments)?;
    repository::open()?.find_reference(&name).map(drop).map_err(|_| Failure::no())
}

/// `for-each-ref PREFIX`: prints the full names, sorted.
pub(crate) fn for_each_ref(arguments: &Arguments) -> Outcome {
    let prefix = only(arguments)?;
    if arguments.value("--format") != Some("%(refname)") {
        return Err(Failure::usage("the only format is %(refname)"));
    }
    let repository = repository::open()?;
    let mut names = Vec::new();
    for name in repository.references_glob(&format!("{prefix}*"))?.names() {
        names.push(name?.to_owned());
    }
    names.sort_unstable();
    let lines: Vec<_> = names.into_iter().map(|name| name + "\n").collect();
    Ok(io::stdout().write_all(lines.concat().as_bytes())?)
}

/// `symbolic-ref NAME`: prints what it names; `symbolic-ref NAME TARGET`: sets that.
pub(crate) fn symbolic_ref(arguments: &Arguments) -> Outcome {
    let repository = repository::open()?;
    match arguments.all()[..] {
        [name] => {
            let target = target_of(&repository.find_reference(name)?).ok_or_else(Failure::no)?;
            let short = target.strip_prefix("refs/heads/").filter(|_| arguments.has("--short"));
            Ok(writeln!(io::stdout(), "{}", short.unwrap_or(&target))?)
        }
        [name, target] => Ok(repository.reference_symbolic(name, target, true, "symbolic-ref").map(drop)?),
        _ => Err(Failure::usage("one name is needed, or two")),
    }
}

/// `update-ref NAME TARGET`.
pub(crate) fn update_ref(arguments: &Arguments) -> Outcome {
    let [name, target] = arguments.all()[..] else { return Err(Failure::usage("two names are needed")) };
    let repository = repository::open()?;
    let target = repository.revparse_single(target)?.id();
    Ok(repository.reference(name, target, true, "update-ref").map(drop)?)
}

/// `merge-base --is-ancestor A B`: whether A is B or one of its ancestors.
pub(crate) fn merge_base(arguments: &Arguments) -> Outcome {
    let [ancestor, commit] = arguments.all()[..] else { return Err(Failure::usage("two commits are needed")) };
    let repository = repository::open()?;
    let ancestor = repository::commit(&repository, ancestor)?.id();
    let commit = repository::commit(&repository, commit)?.id();
    if is_ancestor(&repository, ancestor, commit)? { Ok(()) } else { Err(Failure::no()) }
}

/// Whether `ancestor` is `commit` or one of its ancestors.
pub(crate) fn is_ancestor(repository: &git2::Repository, ancestor: Oid, commit: Oid) -> Result<bool, git2::Error> {
    Ok(ancestor == commit || repository.graph_descendant_of(commit, ancestor)?)
}

/// `check-ref-format --branch NAME`.
pub(crate) fn check_ref_format(arguments: &Arguments) -> Outcome {
    check_branch_name(&only(arguments)?)
}

/// Refuses what cannot be a branch's name.
pub(crate) fn check_branch_name(name: &str) -> Outcome {
    if Branch::name_is_valid(name).unwrap_or(false) {
        Ok(())
    } else {
        Err(Failure::fatal(&format!("'{name}' is not a valid branch name")))
    }
}
