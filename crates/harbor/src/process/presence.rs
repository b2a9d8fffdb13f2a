//! Whether a harbor runs on a data directory, and how it is: asked just now.
//!
//! Guarantees: [`Presence::Serving`] means that the API has answered this very question. What the state file says is
//! not enough: a process that was killed holds the lock, with its last words beside it, until the kernel has taken it
//! apart, which takes longer the more it was doing.

use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::announce::reasons;
use super::http;
use super::progress::StartStep;
use super::state::{Claim, Phase, ProcessState, Ready};
use crate::config::directories::Directories;

/// How often lock and state are looked at while waiting for a change.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How long a process that says it serves may take to answer one question, under load.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// How it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    /// No process holds the lock.
    Stopped,
    /// A process holds the lock, and has not said yet that it serves.
    Starting(HarborProcess, StartStep),
    /// The API answered just now.
    Serving(HarborProcess, Ready),
    /// The process says that it serves, and does not answer.
    Silent(HarborProcess, Ready, String),
    /// The process is finishing requests.
    Stopping(HarborProcess),
}

/// The process that holds the lock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct HarborProcess {
    /// Its id, once it has written it.
    pub(crate) pid: Option<u32>,
    /// Version of its binary, once it has said so.
    pub(crate) version: Option<String>,
}

impl std::fmt::Display for HarborProcess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.pid {
            Some(pid) => write!(f, "process {pid}"),
            None => f.write_str("another process"),
        }
    }
}

impl Presence {
    /// Looks, and asks for at most `patience` a process that says it serves.
    pub(crate) fn look(directories: &Directories, patience: Duration) -> anyhow::Result<Self> {
        let deadline = Instant::now() + patience;
        loop {
            let (process, ready) = match Self::claimed(Claim::read(directories)?) {
                Claimed::Serves(process, ready) => (process, ready),
                Claimed::Not(presence) => return Ok(presence),
            };
            let left = deadline.saturating_duration_since(Instant::now());
            match ask(directories, &process, &ready, left.max(LOOK_EVERY)) {
                Ok(()) => return Ok(Self::Serving(process, ready)),
                Err(error) if Instant::now() + LOOK_EVERY >= deadline => {
                    return Ok(Self::Silent(process, ready, reasons(&error)));
                }
                // it may be ending: then the lock says so in a moment
                Err(_) => std::thread::sleep(LOOK_EVERY),
            }
        }
    }

    /// What the services say, where they answered or say that they serve.
    pub(crate) fn ready(&self) -> Option<&Ready> {
        match self {
            Self::Serving(_, ready) | Self::Silent(_, ready, _) => Some(ready),
            Self::Stopped | Self::Starting(..) | Self::Stopping(_) => None,
        }
    }

    /// The process, where there is one.
    pub(crate) fn process(&self) -> Option<&HarborProcess> {
        match self {
            Self::Stopped => None,
            Self::Starting(process, _)
            | Self::Serving(process, _)
            | Self::Silent(process, _, _)
            | Self::Stopping(process) => Some(process),
        }
    }

    /// What the lock and the state file claim, before anybody was asked.
    fn claimed(claim: Claim) -> Claimed {
        let (pid, state) = match claim {
            Claim::Nobody => return Claimed::Not(Self::Stopped),
            Claim::Process { pid, state } => (pid, state),
        };
        let Some(ProcessState { pid: _, version, phase }) = state else {
            return Claimed::Not(Self::Starting(HarborProcess { pid, version: None }, StartStep::default()));
        };
        let process = HarborProcess { pid, version: Some(version) };
        match phase {
            Phase::Starting(activity) => Claimed::Not(Self::Starting(process, activity)),
            Phase::Ready(ready) => Claimed::Serves(process, ready),
            Phase::Stopping => Claimed::Not(Self::Stopping(process)),
        }
    }
}

/// What a process claims about itself.
enum Claimed {
    /// That it serves: it is to be asked.
    Serves(HarborProcess, Ready),
    /// Something else, which is believed.
    Not(Presence),
}

/// Asks the API for a sign of life; gives up at once when the lock passes on.
fn ask(directories: &Directories, process: &HarborProcess, ready: &Ready, limit: Duration) -> anyhow::Result<()> {
    let address = ready.api_address().context("its API does not listen")?;
    let holds = || match Claim::read(directories) {
        Ok(Claim::Process { pid, .. }) => pid == process.pid,
        Ok(Claim::Nobody) | Err(_) => false,
    };
    let (status, _) = http::answer_while(holds, address, "/api/health", limit)?;
    anyhow::ensure!(status.is_success(), "its API answers {status}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;
    use crate::components::Service;
    use crate::process::lock::Lock;
    use crate::process::state::Listening;

    /// A data directory whose lock this process holds, with a state that says it serves at `listener`.
    fn claims_to_serve(listener: &TcpListener) -> (tempfile::TempDir, Directories, Lock) {
        let data = tempfile::tempdir().unwrap();
        let directories = Directories::new(data.path(), None);
        directories.create().unwrap();
        let lock = Lock::take(&directories.lock()).unwrap();
        let addresses = vec![listener.local_addr().unwrap()];
        let services = vec![Listening { service: Service::Api, addresses }];
        let ready = Ready { services, engine: "Docker".to_owned() };
        ProcessState::here(Phase::Ready(ready)).write(&directories).unwrap();
        (data, directories, lock)
    }

    #[test]
    fn a_process_that_does_not_answer_does_not_serve() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap(); // the kernel accepts, nobody answers
        let (_data, directories, _lock) = claims_to_serve(&listener);
        let presence = Presence::look(&directories, Duration::from_millis(300)).unwrap();
        assert!(matches!(presence, Presence::Silent(..)), "{presence:?}");
    }

    #[test]
    fn a_process_that_ends_while_it_is_asked_has_stopped() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (_data, directories, lock) = claims_to_serve(&listener);
        let ended = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(200));
            drop(lock);
        });
        let asked = Instant::now();
        assert_eq!(Presence::look(&directories, Duration::from_mins(1)).unwrap(), Presence::Stopped);
        assert!(asked.elapsed() < Duration::from_secs(30), "it waited for an answer of nobody");
        ended.join().unwrap();
    }

    #[test]
    fn an_answer_is_what_serving_means() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (_data, directories, _lock) = claims_to_serve(&listener);
        let answers = std::thread::spawn(move || {
            let (mut connection, _) = listener.accept().unwrap();
            let mut head = [0; 1024];
            let read = connection.read(&mut head).unwrap();
            assert!(head[..read].starts_with(b"GET /api/health "));
            connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").unwrap();
        });
        let presence = Presence::look(&directories, PATIENCE).unwrap();
        assert!(matches!(presence, Presence::Serving(..)), "{presence:?}");
        answers.join().unwrap();
    }
}
