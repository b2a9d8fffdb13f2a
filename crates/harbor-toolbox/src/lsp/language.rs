//! The languages there are servers for, and the servers' programs.

use std::path::Path;

use serde_json::{Value, json};

use crate::http::error::Error;

/// A language with a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Language {
    Python,
    TypeScript,
    JavaScript,
}

impl Language {
    /// The language that clients call by this name.
    pub(super) fn named(name: &str) -> Result<Self, Error> {
        match name {
            "python" => Ok(Self::Python),
            "typescript" => Ok(Self::TypeScript),
            "javascript" => Ok(Self::JavaScript),
            _ => Err(Error::bad_request(format!(
                "unsupported language: {name:?}; there are servers for python, typescript and javascript"
            ))),
        }
    }

    /// The program that serves it, and its arguments.
    pub(super) fn server(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::Python => ("pylsp", &[]),
            Self::TypeScript | Self::JavaScript => ("typescript-language-server", &["--stdio"]),
        }
    }

    /// What the program is told about itself at its start.
    pub(super) fn options(self) -> Value {
        match self {
            Self::Python => Value::Null,
            // Otherwise it would fetch type definitions from the network by itself, and run a second compiler for answers
            // about syntax alone, which takes as much memory and processor time again.
            Self::TypeScript | Self::JavaScript => {
                json!({"disableAutomaticTypingAcquisition": true, "tsserver": {"useSyntaxServer": "never"}})
            }
        }
    }

    /// What to do where the program is missing.
    pub(super) fn remedy(self) -> &'static str {
        match self {
            Self::Python => "install it with: pip install python-lsp-server",
            Self::TypeScript | Self::JavaScript => {
                "install it with: npm install -g typescript typescript-language-server"
            }
        }
    }

    /// The name of a file's language, as the protocol has it.
    pub(super) fn of_document(self, path: &Path) -> &'static str {
        match (self, extension(path)) {
            (Self::Python, _) => "python",
            (_, "tsx") => "typescriptreact",
            (_, "jsx") => "javascriptreact",
            (_, "ts" | "mts" | "cts") => "typescript",
            (_, "js" | "mjs" | "cjs") => "javascript",
            (Self::TypeScript, _) => "typescript",
            (Self::JavaScript, _) => "javascript",
        }
    }

    /// Whether a file is a source in this language, by its name.
    pub(super) fn has_source(self, path: &Path) -> bool {
        match self {
            Self::Python => extension(path) == "py",
            Self::TypeScript | Self::JavaScript => {
                matches!(extension(path), "ts" | "tsx" | "mts" | "cts" | "js" | "jsx" | "mjs" | "cjs")
            }
        }
    }
}

fn extension(path: &Path) -> &str {
    path.extension().and_then(|extension| extension.to_str()).unwrap_or_default()
}
