//! Why infra cannot start or go on: what failed and the operating system's reason.

use std::fmt;
use std::io;

/// A fatal failure, for the container's log.
#[derive(Debug)]
pub(crate) struct Problem {
    what: String,
    why: Option<io::Error>,
}

impl Problem {
    /// A failure with no error of the operating system behind it.
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), why: None }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.why {
            Some(why) => write!(formatter, "{}: {why}", self.what),
            None => formatter.write_str(&self.what),
        }
    }
}

/// Says what was being done when a system call failed.
pub(crate) trait Context<T> {
    /// `what` reads as "cannot do so and so".
    fn context(self, what: impl Into<String>) -> Result<T, Problem>;
}

impl<T, E: Into<io::Error>> Context<T> for Result<T, E> {
    fn context(self, what: impl Into<String>) -> Result<T, Problem> {
        self.map_err(|why| Problem { what: what.into(), why: Some(why.into()) })
    }
}
