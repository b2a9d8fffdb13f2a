//! `harbor completions`: scripts for shells, generated from the very command line.
//!
//! Guarantees: those for bash, zsh and fish know the keys of `harbor config` and the components of `harbor logs` and
//! `harbor ps`; none offers what help does not show.

use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use clap::{Arg, Command};
use clap_complete::Shell;

use crate::components::COMPONENTS;
use crate::config::keys::{KEYS, Standing};
use crate::screen;

pub(super) fn print(shell: Shell, command: &Command) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut offered(command), "harbor", &mut script);
    screen::raw(&String::from_utf8(script)?)?;
    if shell == Shell::Fish {
        screen::raw(&fish_words())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The generator for fish knows no words of arguments that stand alone; those of elvish and PowerShell offer none.
fn fish_words() -> String {
    let words = |commands: &str, words: Vec<&str>| {
        format!("complete -c harbor -n '__fish_seen_subcommand_from {commands}' -f -a '{}'\n", words.join(" "))
    };
    words("get set", keys().collect()) + &words("logs ps", components().collect())
}

fn keys() -> impl Iterator<Item = &'static str> {
    KEYS.iter().filter(|key| key.standing == Standing::Used).map(|key| key.name)
}

fn components() -> impl Iterator<Item = &'static str> {
    COMPONENTS.iter().map(|component| component.name)
}

/// `command` without what is hidden, and with the words that its arguments take.
fn offered(command: &Command) -> Command {
    let mut offered = Command::new(command.get_name().to_owned());
    if let Some(about) = command.get_about() {
        offered = offered.about(about.clone());
    }
    let arguments = command.get_arguments().filter(|argument| !argument.is_hide_set());
    let subcommands = command.get_subcommands().filter(|subcommand| !subcommand.is_hide_set());
    offered
        .visible_aliases(command.get_visible_aliases().map(str::to_owned).collect::<Vec<_>>())
        .args(arguments.cloned().map(with_words))
        .subcommands(subcommands.map(self::offered))
}

fn with_words(argument: Arg) -> Arg {
    match argument.get_id().as_str() {
        "key" => argument.value_parser(PossibleValuesParser::new(keys())),
        "names" | "handles" => argument.value_parser(PossibleValuesParser::new(components())),
        _ => argument,
    }
}
