//! A real git server over HTTP, with a login or without.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::client::Toolbox;

/// A running server; ended when dropped.
pub(crate) struct Remote {
    process: Child,
    port: u16,
    seen: PathBuf,
}

impl Remote {
    /// Serves the repositories in the toolbox's directory `remotes`; `login` is `user:password`, or empty.
    pub(crate) fn start(toolbox: &Toolbox, login: &str) -> Self {
        Self::launch(toolbox, login, &[])
    }

    /// Redirects everything to another server.
    pub(crate) fn redirecting(toolbox: &Toolbox, to: &Self) -> Self {
        Self::launch(toolbox, "", &[format!("http://127.0.0.1:{}", to.port)])
    }

    fn launch(toolbox: &Toolbox, login: &str, more: &[String]) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tools/git_remote.py");
        let directory = tempfile::tempdir_in(toolbox.at("")).unwrap().keep();
        let (login_file, seen) = (directory.join("login"), directory.join("seen"));
        std::fs::write(&login_file, login).unwrap();
        let mut command = Command::new("python3");
        command.arg(script).arg(toolbox.at("remotes")).args([&login_file, &seen]).args(more);
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { process, port: line.trim().parse().unwrap(), seen }
    }

    /// Address of a repository.
    pub(crate) fn url(&self, name: &str) -> String {
        format!("http://127.0.0.1:{}/{name}", self.port)
    }

    /// The same with something before the host.
    pub(crate) fn url_with(&self, user: &str, name: &str) -> String {
        format!("http://{user}@127.0.0.1:{}/{name}", self.port)
    }

    /// What the server saw, line by line.
    pub(crate) fn seen(&self) -> String {
        std::fs::read_to_string(&self.seen).unwrap_or_default()
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
