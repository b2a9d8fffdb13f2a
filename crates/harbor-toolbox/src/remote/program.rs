//! What is run, and how.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use harbor_protocol::remote::{PROTOCOL, Start, Terminal};
use rustix::process::{Signal, WaitStatus};

use super::ends::{Started, on_pipes, on_terminal};
use crate::context::Context;
use crate::process::Shell;
use crate::process::command::{self, Variables};
use crate::pty::Size;

/// Runs commands, and scripts on standard input.
const SHELL: &str = "/bin/sh";

/// Starts what `start` describes; `command` is empty for a shell. Errors are for people.
pub(super) fn start(context: &Context, command: &[u8], start: Start) -> Result<Started, String> {
    if start.protocol != PROTOCOL {
        return Err(format!("this toolbox speaks version {PROTOCOL} of the protocol, not {}", start.protocol));
    }
    let environment = context.environment();
    let (program, arguments) = match (command, &start.terminal) {
        ([], Some(_)) => (Shell::of(&environment).program, vec![]),
        ([], None) => (SHELL.into(), vec![]),
        (command, _) => (SHELL.into(), vec![OsStr::new("-c"), OsStr::from_bytes(command)]),
    };
    let directory = directory(context);
    let variables = variables(&start, &program, command.is_empty());
    let mut process = command::command(&program, &environment, &variables, &directory);
    process.args(arguments);
    let started = match start.terminal {
        None => on_pipes(context.processes(), process),
        Some(terminal) => on_terminal(context.processes(), process, size(&terminal)),
    };
    started.map_err(|error| refusal(&program, &error))
}

fn refusal(program: &OsString, error: &io::Error) -> String {
    format!("cannot start {}: {error}", program.display())
}

/// The work dir; where that is no more, the home directory, and without that the root.
fn directory(context: &Context) -> PathBuf {
    let places = [context.work_dir(), context.home()];
    places.into_iter().find(|place| place.is_dir()).unwrap_or_else(|| PathBuf::from("/"))
}

/// Variables on top of the sandbox's; what no environment can hold is passed over.
fn variables(start: &Start, program: &OsStr, interactive: bool) -> Variables {
    let holds =
        |(name, value): &(&String, &String)| !name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0');
    let given = start.env.iter().filter(holds).map(|(name, value)| (name.clone(), Some(value.clone())));
    let mut variables: Variables = given.collect();
    if let Some(Terminal { term, .. }) = &start.terminal {
        if !term.is_empty() && !term.contains('\0') {
            variables.insert("TERM".to_owned(), Some(term.clone()));
        }
        if let (true, Some(shell)) = (interactive, program.to_str()) {
            variables.insert("SHELL".to_owned(), Some(shell.to_owned()));
        }
    }
    variables
}

fn size(terminal: &Terminal) -> Size {
    let harbor_protocol::remote::Size { columns, rows } = terminal.size;
    Size { cols: columns, rows }
}

/// The signal that a client calls by this name, or by number.
pub(super) fn signal(name: &str) -> Option<Signal> {
    let named = SIGNALS.iter().find(|(known, _)| *known == name).map(|&(_, signal)| signal);
    named.or_else(|| name.parse().ok().and_then(Signal::from_named_raw))
}

/// What clients are told of a program that a signal has ended.
pub(super) fn killed_by(status: WaitStatus) -> Option<(String, bool)> {
    let number = status.terminating_signal()?;
    let known = SIGNALS.iter().find(|(_, signal)| signal.as_raw() == number);
    let name = known.map_or_else(|| number.to_string(), |(name, _)| (*name).to_owned());
    Some((name, libc::WCOREDUMP(status.as_raw())))
}

/// Those of RFC 4254, section 6.10, and those that terminals and job control know besides.
const SIGNALS: [(&str, Signal); 20] = [
    ("ABRT", Signal::ABORT),
    ("ALRM", Signal::ALARM),
    ("FPE", Signal::FPE),
    ("HUP", Signal::HUP),
    ("ILL", Signal::ILL),
    ("INT", Signal::INT),
    ("KILL", Signal::KILL),
    ("PIPE", Signal::PIPE),
    ("QUIT", Signal::QUIT),
    ("SEGV", Signal::SEGV),
    ("TERM", Signal::TERM),
    ("USR1", Signal::USR1),
    ("USR2", Signal::USR2),
    ("BUS", Signal::BUS),
    ("TRAP", Signal::TRAP),
    ("STOP", Signal::STOP),
    ("CONT", Signal::CONT),
    ("TSTP", Signal::TSTP),
    ("SYS", Signal::SYS),
    ("WINCH", Signal::WINCH),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Running sandboxes outlive upgrades, so this form only grows.
    #[test]
    fn a_start_names_only_what_it_needs() {
        let start: Start = serde_json::from_str(r#"{"protocol":1,"later":[]}"#).unwrap();
        assert_eq!(start, Start { protocol: 1, env: [].into(), terminal: None });
        let size = harbor_protocol::remote::Size { columns: 80, rows: 24 };
        let start = Start { terminal: Some(Terminal { term: "xterm".to_owned(), size }), ..start };
        let written = r#"{"protocol":1,"env":{},"terminal":{"term":"xterm","size":{"columns":80,"rows":24}}}"#;
        assert_eq!(serde_json::to_string(&start).unwrap(), written);
    }

    #[test]
    fn signals_have_names_and_numbers() {
        assert_eq!(signal("TERM"), Some(Signal::TERM));
        assert_eq!(signal("9"), Some(Signal::KILL));
        for none in ["", "SIGTERM", "term", "0", "-9", "4000"] {
            assert_eq!(signal(none), None, "{none}");
        }
    }
}
