//! A real git server over HTTP, with a login or without.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::client::Toolbox;

const ADDRESS: &str = "127.0.0.1";

/// A running server; ended when dropped.
pub(crate) struct Remote {
    process: Child,
    scheme: &'static str,
    port: u16,
    directory: PathBuf,
}

impl Remote {
    /// Serves the repositories in the toolbox's directory `remotes`; `login` is `user:password`, or empty.
    pub(crate) fn start(toolbox: &Toolbox, login: &str) -> Self {
        Self::launch(toolbox, login, &[], "http")
    }

    /// The same over TLS, with a certificate that nobody knows.
    pub(crate) fn encrypted(toolbox: &Toolbox, login: &str) -> Self {
        Self::launch(toolbox, login, &[], "https")
    }

    /// Redirects everything to another server.
    pub(crate) fn redirecting(toolbox: &Toolbox, to: &Self) -> Self {
        Self::launch(toolbox, "", &[format!("http://{ADDRESS}:{}", to.port)], "http")
    }

    fn launch(toolbox: &Toolbox, login: &str, more: &[String], scheme: &'static str) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/toolbox/git_remote.py");
        let directory = tempfile::tempdir_in(toolbox.at("")).unwrap().keep();
        let (login_file, seen) = (directory.join("login"), directory.join("seen"));
        std::fs::write(&login_file, login).unwrap();
        let mut command = Command::new("python3");
        command.arg(script).arg(toolbox.at("remotes")).args([&login_file, &seen]).args(more);
        if scheme == "https" {
            command.env("REMOTE_CERTIFICATE", make_certificate(&directory));
        }
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { process, scheme, port: line.trim().parse().unwrap(), directory }
    }

    /// Address of a repository.
    pub(crate) fn url(&self, name: &str) -> String {
        format!("{}://{ADDRESS}:{}/{name}", self.scheme, self.port)
    }

    /// The same with something before the host.
    pub(crate) fn url_with(&self, user: &str, name: &str) -> String {
        format!("{}://{user}@{ADDRESS}:{}/{name}", self.scheme, self.port)
    }

    /// The certificate of a server that speaks TLS.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.directory.join("certificate.pem")
    }

    /// What the server saw, line by line.
    pub(crate) fn seen(&self) -> String {
        std::fs::read_to_string(self.directory.join("seen")).unwrap_or_default()
    }
}

/// Makes a certificate for this machine that is its own authority; returns the file that has its key as well.
fn make_certificate(directory: &Path) -> PathBuf {
    let made = rcgen::generate_simple_self_signed([ADDRESS.to_owned()]).unwrap();
    std::fs::write(directory.join("certificate.pem"), made.cert.pem()).unwrap();
    let whole = directory.join("whole.pem");
    std::fs::write(&whole, made.signing_key.serialize_pem() + &made.cert.pem()).unwrap();
    whole
}

impl Drop for Remote {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
