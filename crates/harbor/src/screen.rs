//! Writing to the terminal.
//!
//! Guarantees: colours and moving bars only where a person looks; commands in remarks and refusals are for this
//! installation; a reader that has gone away (`| head`) ends the command quietly.

use std::borrow::Cow;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::invocation::completed;
use crate::process::progress::StartStep;

/// Prints one line to standard output.
pub(crate) fn line(text: &str) -> anyhow::Result<()> {
    raw(&format!("{text}\n"))
}

/// Prints `text` to standard output.
pub(crate) fn raw(text: &str) -> anyhow::Result<()> {
    let mut output = io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        outcome => Ok(outcome?),
    }
}

/// Columns of the terminal, by COLUMNS where standard output is none; `None`: as wide as it takes.
pub(crate) fn width() -> Option<usize> {
    if let Some((columns, _)) = terminal_size::terminal_size_of(io::stdout()) {
        return Some(usize::from(columns.0));
    }
    std::env::var("COLUMNS").ok()?.parse().ok().filter(|columns| *columns > 0)
}

/// Whether a table of `columns` fits.
pub(crate) fn fits(columns: usize) -> bool {
    width().is_none_or(|width| width >= columns)
}

/// `text` on lines of at most the terminal's width, each behind `indent` blanks. A longer word has a line of its own.
pub(crate) fn wrapped(text: &str, indent: usize) -> String {
    wrap(text, indent, width().unwrap_or(usize::MAX))
}

fn wrap(text: &str, indent: usize, width: usize) -> String {
    let blanks = " ".repeat(indent);
    let mut lines = Vec::new();
    for line in text.lines() {
        let words = line.trim_start();
        let mut filled = " ".repeat(line.len() - words.len());
        for word in words.split(' ') {
            let length = indent + filled.chars().count() + 1 + word.chars().count();
            let is_first = filled.trim_start().is_empty();
            if !is_first && length > width {
                lines.push(std::mem::take(&mut filled));
            } else if !is_first {
                filled.push(' ');
            }
            filled.push_str(word);
        }
        lines.push(filled);
    }
    lines.iter().map(|line| format!("{blanks}{line}")).collect::<Vec<_>>().join("\n")
}

/// Ends a line on standard error that something else has begun: a bar, or the terminal's `^C`.
pub(crate) fn end_line() {
    _ = writeln!(io::stderr().lock());
}

/// Prints a remark for people to standard error, where scripts do not read.
pub(crate) fn note(text: &str) {
    _ = writeln!(io::stderr().lock(), "{} {}", paint_stderr("note:", Colour::Dim), completed(text));
}

/// Prints why a command failed to standard error.
pub(crate) fn failure(text: &str) {
    _ = writeln!(io::stderr().lock(), "{} {}", paint_stderr("harbor:", Colour::Red), completed(text));
}

/// Colours in use.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Colour {
    /// Good.
    Green,
    /// Worth a look.
    Yellow,
    /// Failed.
    Red,
    /// Important.
    Bold,
    /// Beside the point.
    Dim,
}

/// `text` in `colour` where standard output is a terminal.
pub(crate) fn paint(text: &str, colour: Colour) -> Cow<'_, str> {
    painted(text, colour, io::stdout().is_terminal() && wanted())
}

fn paint_stderr(text: &str, colour: Colour) -> Cow<'_, str> {
    painted(text, colour, colours_on_stderr())
}

/// Whether standard error shows colours.
pub(crate) fn colours_on_stderr() -> bool {
    io::stderr().is_terminal() && wanted()
}

/// <https://no-color.org>
fn wanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

fn painted(text: &str, colour: Colour, on: bool) -> Cow<'_, str> {
    let code = match colour {
        Colour::Green => 32,
        Colour::Yellow => 33,
        Colour::Red => 31,
        Colour::Bold => 1,
        Colour::Dim => 2,
    };
    if on { Cow::Owned(format!("\x1b[{code}m{text}\x1b[0m")) } else { Cow::Borrowed(text) }
}

/// Shows what is being done: a bar on a terminal, a line per step elsewhere.
#[derive(Debug)]
pub(crate) struct ProgressDisplay {
    bar: ProgressBar,
    said: String,
    on_terminal: bool,
}

impl ProgressDisplay {
    /// Nothing is shown before the first [`ProgressDisplay::show`].
    pub(crate) fn new() -> Self {
        let on_terminal = io::stderr().is_terminal();
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        Self { bar, said: String::new(), on_terminal }
    }

    /// Shows `doing`.
    pub(crate) fn show(&mut self, doing: &StartStep) {
        if doing.what.is_empty() {
            return;
        }
        if !self.on_terminal {
            if self.said != doing.what {
                _ = writeln!(io::stderr().lock(), "{}", doing.what);
                self.said.clone_from(&doing.what);
            }
            return;
        }
        let template = match doing.of {
            Some((done, whole)) => {
                self.bar.set_length(whole);
                self.bar.set_position(done);
                "{spinner} {msg} {wide_bar} {bytes}/{total_bytes}"
            }
            None => "{spinner} {wide_msg} {elapsed}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style);
        }
        self.bar.set_message(doing.what.clone());
        self.bar.enable_steady_tick(Duration::from_millis(100));
    }
}

impl Drop for ProgressDisplay {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_whole() {
        assert_eq!(wrap("one two three", 2, 9), "  one two\n  three");
        assert_eq!(wrap("one unbreakable two", 0, 5), "one\nunbreakable\ntwo");
        assert_eq!(wrap("as it is", 2, usize::MAX), "  as it is");
        assert_eq!(wrap("a\n  - b", 1, 80), " a\n   - b");
    }
}
