//! `push` of one branch.

use std::cell::RefCell;

use git2::{PushOptions, Repository};

use crate::arguments::Arguments;
use crate::failure::{Failure, Outcome};
use crate::hooks::{self, Move};
use crate::{local, repository, transport};

pub(crate) fn push(arguments: &Arguments) -> Outcome {
    let [name, refspec] = arguments.all()[..] else { return Err(Failure::usage("a remote and a refspec")) };
    let (source, target) = refspec.split_once(':').unwrap_or((refspec, refspec));
    let repository = repository::open()?;
    let found = repository.find_remote(name);
    let mut remote = found.map_err(|_| Failure::fatal(&format!("'{name}' does not appear to be a git repository")))?;
    let address = remote.pushurl_bytes().unwrap_or(remote.url_bytes());
    let address = String::from_utf8_lossy(address).into_owned();
    if repository.find_reference(source).is_err() {
        return Err(Failure::error(&format!("src refspec {source} does not match any")));
    }
    local::check(&address)?;
    let there = local::directory(&address).map(Repository::open).transpose()?;
    if let Some(there) = &there {
        check_target(there, target)?;
    }
    let (refusal, moves) = (RefCell::new(None), RefCell::new(Vec::new()));
    let mut callbacks = transport::callbacks();
    callbacks.push_update_reference(|_, reason| {
        *refusal.borrow_mut() = reason.map(str::to_owned).or(refusal.take());
        Ok(())
    });
    callbacks.push_negotiation(|updates| {
        let Some(there) = &there else { return Ok(()) };
        let mut moves = moves.borrow_mut();
        for update in updates {
            let name = String::from_utf8_lossy(update.dst_refname_bytes()).into_owned();
            moves.push(Move { name, from: update.src().to_string(), to: update.dst().to_string() });
        }
        hooks::before(there.path(), &moves).map_err(|reason| {
            *refusal.borrow_mut() = Some(reason.to_owned());
            git2::Error::from_str(reason)
        })
    });
    let mut options = PushOptions::new();
    // As many threads as there are processors.
    options.remote_callbacks(callbacks).packbuilder_parallelism(0);
    let pushed = remote.push(&[refspec], Some(&mut options));
    drop(options);
    if let Some(reason) = refusal.take() {
        return Err(rejected("remote rejected", refspec, &reason));
    }
    match pushed {
        Ok(()) => {}
        Err(error) if error.code() == git2::ErrorCode::NotFastForward => {
            return Err(rejected("rejected", refspec, "non-fast-forward"));
        }
        Err(error) => return Err(transport::explained(error, &address)),
    }
    if let Some(there) = &there {
        hooks::after(there.path(), &moves.borrow());
    }
    Ok(())
}

/// What git says when the other side does not take a branch.
fn rejected(how: &str, refspec: &str, reason: &str) -> Failure {
    let short = refspec.replace("refs/heads/", "").replace(':', " -> ");
    Failure::said(1, format!(" ! [{how}] {short} ({reason})\nerror: failed to push some refs"))
}

/// Refuses to move a branch under somebody's feet.
fn check_target(there: &Repository, target: &str) -> Outcome {
    let current = there.find_reference("HEAD").ok().and_then(|head| repository::target_of(&head));
    if !there.is_bare() && current.as_deref() == Some(target) {
        return Err(rejected("remote rejected", &format!("{target}:{target}"), "branch is currently checked out"));
    }
    Ok(())
}
