//! How a command fails: git's exit codes and git's words, which the toolbox knows.

use std::io;
use std::process::ExitCode;

use git2::ErrorCode;

/// What a command comes to.
pub(crate) type Outcome = Result<(), Failure>;

/// A failure: an exit code, and what is said on standard error.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    /// A failure of the whole command (`fatal: …`).
    pub(crate) fn fatal(reason: &str) -> Self {
        Self { code: 128, message: format!("fatal: {reason}") }
    }

    /// A command that was refused (`error: …`).
    pub(crate) fn error(reason: &str) -> Self {
        Self { code: 1, message: format!("error: {reason}") }
    }

    /// A command that nobody here knows.
    pub(crate) fn usage(reason: &str) -> Self {
        Self { code: 129, message: format!("error: {reason}") }
    }

    /// The answer "no", which needs no words.
    pub(crate) fn no() -> Self {
        Self { code: 1, message: String::new() }
    }

    /// Any text with any code.
    pub(crate) fn said(code: u8, message: String) -> Self {
        Self { code, message }
    }

    /// The exit code.
    #[cfg(test)]
    pub(crate) fn code(&self) -> u8 {
        self.code
    }

    /// What it says.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Says it, and returns how to exit.
    pub(crate) fn tell(&self) -> ExitCode {
        if !self.message.is_empty() {
            eprintln!("{}", self.message);
        }
        ExitCode::from(self.code)
    }
}

impl From<git2::Error> for Failure {
    fn from(error: git2::Error) -> Self {
        let message = error.message();
        match error.code() {
            ErrorCode::Conflict => Self::error(&format!("Your local changes would be overwritten: {message}")),
            ErrorCode::Locked => Self::fatal(&format!("{message}: another git process seems to be running")),
            // The transports here speak git's words already.
            _ if message.starts_with("fatal: ") => Self { code: 128, message: message.to_owned() },
            _ => Self::fatal(message),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::PermissionDenied => Self::fatal(&format!("{error}: Permission denied")),
            _ => Self::fatal(&error.to_string()),
        }
    }
}
