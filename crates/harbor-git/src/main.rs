//! The git of sandboxes whose image has none: the part of git's command line that the toolbox uses, as one small
//! static program on libgit2.
//!
//! Guarantees: the same arguments, output, exit codes and words of failure as git, as far as the toolbox reads them, so
//! that it has one way of driving both; no hook of the repository itself runs, nothing is asked of a terminal, and
//! credentials come through an inherited file and go to the host they are for alone.
//! Leaves out: everything else of git. What it does not know it refuses with the exit code of wrong usage.

mod add;
mod arguments;
mod branch;
mod checkout;
mod clone;
mod commit;
mod config;
mod failure;
mod fetch;
mod hooks;
mod links;
mod local;
mod log;
mod login;
mod merge;
mod paths;
mod push;
mod refs;
mod remotes;
mod repository;
mod reset;
mod restore;
mod status;
mod transport;

use std::process::ExitCode;

use arguments::{Arguments, CommandSyntax};
use failure::{Failure, Outcome};

/// A command, the options it knows, and what it does.
struct Command {
    name: &'static str,
    syntax: CommandSyntax,
    run: fn(&Arguments) -> Outcome,
}

const fn command(
    name: &'static str,
    flags: &'static [&'static str],
    valued: &'static [&'static str],
    run: fn(&Arguments) -> Outcome,
) -> Command {
    Command { name, syntax: CommandSyntax { flags, valued }, run }
}

const COMMANDS: &[Command] = &[
    command("add", &["--all"], &[], add::add),
    command("branch", &["--quiet", "-D"], &["--set-upstream-to"], branch::branch),
    command("cat-file", &["-e"], &[], refs::cat_file),
    command("check-ref-format", &["--branch"], &[], refs::check_ref_format),
    command("checkout", &["--quiet", "--detach", "--track", "--no-track", "-b"], &[], checkout::checkout),
    command("checkout-index", &["--all", "--index", "--quiet"], &[], checkout::checkout_index),
    command("clone", clone::FLAGS, &["--origin", "--branch", "--depth"], clone::clone),
    command("commit", commit::FLAGS, &["--file", "--cleanup"], commit::commit),
    command("config", config::FLAGS, &[], config::config),
    command("credential-store", &[], &[], login::store),
    command("fetch", &["--quiet"], &["--depth"], fetch::fetch),
    command("for-each-ref", &[], &["--format"], refs::for_each_ref),
    command("init", &["--quiet", "--bare"], &[], clone::init),
    command("log", log::FLAGS, &["--encoding", "--format"], log::log),
    command("ls-remote", &["--get-url", "--heads"], &[], remotes::ls_remote),
    command("merge", &["--quiet", "--ff-only", "--no-verify-signatures"], &[], merge::merge),
    command("merge-base", &["--is-ancestor"], &[], refs::merge_base),
    command("push", &["--quiet", "--no-verify"], &[], push::push),
    command("remote", &["--push", "--add"], &[], remotes::remote),
    command("reset", reset::FLAGS, &[], reset::reset),
    command("restore", &["--quiet", "--staged", "--worktree"], &["--source"], restore::restore),
    command("rev-parse", &["--verify", "--quiet"], &[], refs::rev_parse),
    command("show-ref", &["--verify", "--quiet"], &[], refs::show_ref),
    command("status", &["--branch", "-z", "--no-renames"], &["--porcelain", "--untracked-files"], status::status),
    command("symbolic-ref", &["--quiet", "--short"], &[], refs::symbolic_ref),
    command("update-ref", &[], &[], refs::update_ref),
];

fn main() -> ExitCode {
    let words = std::env::args_os().skip(1).map(std::ffi::OsString::into_string).collect::<Result<Vec<_>, _>>();
    let outcome = words.map_err(|_| Failure::usage("an argument is not UTF-8")).and_then(|words| run(&words));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.tell(),
    }
}

fn run(words: &[String]) -> Outcome {
    let mut words = words;
    // What the toolbox sets for git is always so here, or means nothing.
    while let [option, _, rest @ ..] = words
        && option == "-c"
    {
        words = rest;
    }
    let [name, words @ ..] = words else { return Err(Failure::usage("a command is missing")) };
    let command = COMMANDS.iter().find(|command| command.name == name);
    let command = command.ok_or_else(|| Failure::usage(&format!("'{name}' is not a command of the built-in git")))?;
    let arguments = Arguments::parse(words, &command.syntax)?;
    login::take_lent()?;
    transport::prepare()?;
    (command.run)(&arguments)
}
