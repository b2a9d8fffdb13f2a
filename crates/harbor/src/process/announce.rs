//! What a harbor in the background says to the command that started it: one JSON object per line on its standard
//! output, which is a pipe. The pipe's end without [`StartMessage::Ready`] or [`StartMessage::Failed`] means that it crashed.

use std::io::Write as _;

use serde::{Deserialize, Serialize};

use super::progress::StartStep;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "lowercase")]
pub(crate) enum StartMessage {
    /// It is still starting.
    Doing(StartStep),
    /// It serves. The last word.
    Ready {
        /// Whether keys were generated just now.
        first_start: bool,
    },
    /// It could not start. The last word.
    Failed {
        /// One line.
        reason: String,
    },
}

/// Says `word`. Whoever started us may be gone: that is no reason to stop.
pub(crate) fn say(word: &StartMessage) {
    if let Ok(mut line) = serde_json::to_vec(word) {
        line.push(b'\n');
        let mut output = std::io::stdout().lock();
        _ = output.write_all(&line).and_then(|()| output.flush());
    }
}

/// `error` and its causes on one line; only what is written as a list (`  - …`) keeps its lines.
pub(crate) fn one_line(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for line in reasons(error).lines().filter(|line| !line.trim().is_empty()) {
        let listed = line.starts_with("  - ");
        if !text.is_empty() {
            text.push(if listed { '\n' } else { ' ' });
        }
        text.push_str(if listed { line.trim_end() } else { line.trim() });
    }
    text
}

/// What failed and why, without what the one before has said already.
pub(crate) fn reasons(error: &anyhow::Error) -> String {
    harbor_model::errors::chain(error.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_keeps_its_lines() {
        let error = anyhow::anyhow!("it\nfailed:\n  - one\n  - two");
        assert_eq!(one_line(&error), "it failed:\n  - one\n  - two");
    }
}
