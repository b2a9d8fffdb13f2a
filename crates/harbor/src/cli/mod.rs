//! The command line: what there is to say, and who answers it.
//!
//! Every command of the Harbor documents works as they write it, with or without the handle `daytona` (contract,
//! edges §10.1). Flags for configuration come from the table of keys.

mod api;
mod arguments;
mod completions;
mod config;
mod doctor;
mod down;
mod env;
mod first_try;
mod logs;
mod loops;
mod prune;
mod ps;
mod pull;
mod service;
mod status;
mod trust;
mod uninstall;
mod up;
mod version;
mod volume;

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _};

use crate::config::keys::KEYS;
use crate::config::load::{self, Given};
use crate::{invocation, screen};
use arguments::{Arguments, Command};

/// Runs the command that was asked for.
pub(crate) fn run() -> anyhow::Result<ExitCode> {
    let matches = arguments::with_flags(Arguments::command()).get_matches();
    let arguments = Arguments::from_arg_matches(&matches)?;
    let given = given(&arguments, &matches);
    if let (Ok(directories), Ok(file)) = (load::directories_of(&given), load::file_of(&given)) {
        invocation::note(directories.root(), &file, &given);
    }
    match arguments.command {
        Command::Completions { shell } => completions::print(shell, &arguments::with_flags(Arguments::command())),
        Command::Version { json } => version::run(json),
        Command::Config(command) => config::run(&command, &given),
        Command::Up(options) => up::run(&load::load(&given)?, &given, &options),
        Command::Down(options) => down::run(&load::directories_of(&given)?, &options),
        Command::Ps { json, handles } => ps::run(&load::directories_of(&given)?, json, &handles),
        Command::Logs(options) => logs::run(&load::directories_of(&given)?, &options),
        Command::Status { json, verbose, handles } => status::run(&given, json, verbose, &handles),
        Command::Env(options) => env::print_variables(&load::in_force(&given)?, &options),
        Command::Url { json, handles } => env::print_url(&load::in_force(&given)?, json, &handles),
        Command::Open { handles } => env::open(&load::in_force(&given)?, &handles),
        Command::Pull { json, handles } => pull::run(&load::in_force(&given)?, json, &handles),
        Command::Doctor { json, check: _, handles } => doctor::run(&load::in_force(&given)?, json, &handles),
        Command::Trust(options) => trust::run(&load::directories_of(&given)?, &options),
        Command::Volume(command) => volume::run(&load::in_force(&given)?, &command),
        Command::Prune(options) => prune::run(&load::in_force(&given)?, &options),
        Command::Service(command) => service::run(&load::load(&given)?, &command),
        Command::Uninstall(options) => uninstall::run(&load::in_force(&given)?, &options),
    }
}

/// What flags and environment give.
fn given(arguments: &Arguments, matches: &ArgMatches) -> Given {
    let mut flags = BTreeMap::new();
    if let Some(directory) = &arguments.data_dir {
        flags.insert("data_dir", directory.to_string_lossy().into_owned());
    }
    if let Some((_, matches)) = matches.subcommand() {
        for key in KEYS {
            if let Ok(Some(value)) = matches.try_get_one::<String>(key.name) {
                flags.insert(key.name, value.clone());
            }
        }
    }
    let environment =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let environment = environment.filter(|(name, _)| name.starts_with("HARBOR_")).collect();
    Given { file: arguments.config.clone(), flags, environment }
}

/// Handles of other services of the real Harbor are ignored with a note; so that a script that starts several goes on.
fn note_foreign(handles: &[String]) {
    for handle in handles.iter().filter(|handle| crate::components::named(handle).is_none()) {
        screen::note(&format!("there is no {handle} here; harbor runs {} alone", crate::components::HANDLE));
    }
}
