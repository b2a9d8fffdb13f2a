//! The ways to a remote that libgit2 is given here: the web through a Rust TLS, ssh through the image's own client.

mod address;
mod certificates;
mod client;
mod name_service;
mod ssh;
mod web;

use git2::{ErrorClass, RemoteCallbacks};

use crate::failure::{Failure, Outcome};

/// Makes libgit2 ready. Called once, before anything else of it.
#[expect(unsafe_code, reason = "libgit2's process-wide settings")]
pub(crate) fn prepare() -> Outcome {
    name_service::restrict();
    // SAFETY: this is the only thread, and nothing of libgit2 has been used yet.
    unsafe {
        // Whose the files are is no concern in a sandbox of one user.
        git2::opts::set_verify_owner_validation(false)?;
        for scheme in ["http", "https"] {
            git2::transport::register(scheme, web::transport)?;
        }
        git2::transport::register("ssh", ssh::transport)?;
    }
    Ok(())
}

/// Callbacks that pass on what the other side says, but for how far it has come.
pub(crate) fn callbacks<'a>() -> RemoteCallbacks<'a> {
    let mut callbacks = RemoteCallbacks::new();
    let mut line = Vec::new();
    callbacks.sideband_progress(move |text| {
        for byte in text {
            match byte {
                b'\n' => tell(&String::from_utf8_lossy(&std::mem::take(&mut line))),
                b'\r' => line.clear(),
                byte => line.push(*byte),
            }
        }
        true
    });
    callbacks
}

fn tell(line: &str) {
    let is_progress = line.is_empty() || line.starts_with("Total ") || line.trim_end_matches('.').ends_with(", done");
    if !is_progress {
        eprintln!("remote: {line}");
    }
}

/// A failure on the way to an address, in git's words.
pub(crate) fn explained(error: git2::Error, address: &str) -> Failure {
    let on_the_way = [ErrorClass::Net, ErrorClass::Http, ErrorClass::Ssl, ErrorClass::Ssh, ErrorClass::Os];
    if error.message().starts_with("fatal: ") || !on_the_way.contains(&error.class()) {
        return error.into();
    }
    Failure::fatal(&format!("unable to access '{address}': {}", error.message()))
}
