//! The in-sandbox daemon: process 1 of a sandbox, the toolbox API (contract, toolbox).
//!
//! Runs as the image's user, on one thread but for blocking work. It listens before it does anything else, answers
//! nothing but `configure` until that has come, starts the snapshot's entrypoint, and reaps whatever dies. It needs
//! nothing of the image: no shell, no `/etc/passwd`, no `/tmp`.
//!
//! As `daytona entrypoint logs` it shows the entrypoint's output instead.
//!
//! Outside of a container (`--listen ADDRESS`, for tests) it takes over orphans as a subreaper.

mod auth;
mod cgroup;
mod characters;
mod context;
mod environment;
mod execution;
mod files;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod git;
mod http;
mod identity;
mod info;
mod interpreter;
mod lsp;
mod ports;
mod process;
mod pty;
mod remote;
mod routes;
mod server;
mod sessions;
mod sftp;
mod sleep;
mod system;

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use harbor_protocol::toolbox::{self, COMMAND, PORT};
use rustix::process::DumpableBehavior;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::auth::Gate;
use crate::context::Context;
use crate::identity::User;
use crate::process::{Processes, Shell};
use crate::sessions::Sessions;

/// Runs the program: the daemon, or what its name or arguments ask for instead.
#[must_use]
pub fn main() -> ExitCode {
    if let Some(answered) = git::answer_git() {
        return answered;
    }
    #[cfg(target_env = "gnu")]
    return_memory();
    if std::env::args_os().skip(1).eq(["entrypoint", "logs"]) {
        return show_entrypoint();
    }
    if is_command() {
        return fail(&io::Error::new(io::ErrorKind::InvalidInput, "usage: daytona entrypoint logs"));
    }
    if let Some(grace) = sleep_argument() {
        return match sleep::put_to_sleep(grace) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error),
        };
    }
    if tells_mounts() {
        let told = fs::read("/proc/self/mountinfo").and_then(|told| io::stdout().write_all(&told));
        return told.map_or_else(|error| fail(&error), |()| ExitCode::SUCCESS);
    }
    let listeners = match arguments().and_then(|addresses| listen(&addresses)) {
        Ok(listeners) => listeners,
        Err(error) => return fail(&error),
    };
    match run(listeners) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

/// Large buffers go back to the system as soon as they are done with: a command that wrote 100 MB leaves no trace.
///
/// Without this the C library learns from the first large buffer to keep the next ones.
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "the allocator's settings have no safe face")]
fn return_memory() {
    const LARGE: libc::c_int = 256 << 10;
    // SAFETY: sets two numbers of the allocator; no other thread exists yet.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
        libc::mallopt(libc::M_TRIM_THRESHOLD, LARGE);
    }
}

/// Whether this was started by the name that processes in the sandbox know it by.
fn is_command() -> bool {
    std::env::args_os().next().is_some_and(|name| Path::new(&name).file_name() == Some(OsStr::new(COMMAND)))
}

/// `daytona entrypoint logs`, for processes in the sandbox.
fn show_entrypoint() -> ExitCode {
    let home = std::env::var_os("HOME").map(PathBuf::from).or_else(|| User::current().home);
    let home = home.unwrap_or_else(|| PathBuf::from("/"));
    match sessions::tail(&home, &mut io::stdout().lock(), &mut io::stderr().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn fail(error: &io::Error) -> ExitCode {
    // Nobody may be reading.
    let _ = writeln!(io::stderr(), "harbor-toolbox: {error}");
    ExitCode::FAILURE
}

/// Whether this is to tell what is mounted where.
fn tells_mounts() -> bool {
    std::env::args_os().skip(1).eq([toolbox::MOUNTS])
}

/// The seconds of `--sleep SECONDS`, in which harbor puts the sandbox to sleep.
fn sleep_argument() -> Option<Duration> {
    let mut arguments = std::env::args_os().skip(1);
    let seconds = arguments.next().filter(|name| name == toolbox::SLEEP).and_then(|_| arguments.next())?;
    seconds.to_str()?.parse().ok().map(Duration::from_secs)
}

/// Where to listen: the loopback addresses, or the one given with `--listen`.
fn arguments() -> io::Result<Vec<SocketAddr>> {
    let usage = |reason: &str| {
        io::Error::new(io::ErrorKind::InvalidInput, format!("{reason}; usage: harbor-toolbox [--listen ADDRESS:PORT]"))
    };
    let (arguments, _) = sleep::without_times(std::env::args_os().skip(1).collect());
    let [] = arguments.as_slice() else {
        let [name, address] = arguments.as_slice() else { return Err(usage("unknown arguments")) };
        let address = address.to_str().and_then(|address| address.parse().ok());
        return match (name.to_str(), address) {
            (Some("--listen"), Some(address)) => Ok(vec![address]),
            _ => Err(usage("unknown arguments")),
        };
    };
    let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    Ok(loopback.into_iter().map(|address| SocketAddr::new(address, PORT)).collect())
}

/// Listens on the first address, and on the others where the system has them.
fn listen(addresses: &[SocketAddr]) -> io::Result<Vec<TcpListener>> {
    let mut listeners = Vec::with_capacity(addresses.len());
    for address in addresses {
        match TcpListener::bind(address) {
            Ok(listener) => listeners.push(listener),
            Err(error) if listeners.is_empty() => return Err(error),
            Err(_) => {} // no IPv6 here
        }
    }
    listeners.iter().try_for_each(|listener| listener.set_nonblocking(true))?;
    Ok(listeners)
}

/// Most threads for blocking work; each step of it is short, and what finds none waits.
const THREADS: usize = 64;

/// How long processes may take to end once the sandbox is stopped.
const GRACE: Duration = Duration::from_secs(5);

/// How long a thread for blocking work waits for more of it: longer than any sandbox lives.
const FOR_EVER: Duration = Duration::from_secs(u32::MAX as u64);

fn run(listeners: Vec<TcpListener>) -> io::Result<()> {
    runtime()?.block_on(attend(listeners))
}

/// One thread for everything, and others for blocking work, of which one is there from the beginning and all stay.
///
/// A sandbox that is full of processes has no room for a further thread. Work waits for a thread that is there, but
/// where none is, asking for one would end this process, and with it the sandbox.
fn runtime() -> io::Result<Runtime> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().max_blocking_threads(THREADS).thread_keep_alive(FOR_EVER).build()?;
    runtime.spawn_blocking(|| ());
    Ok(runtime)
}

async fn attend(listeners: Vec<TcpListener>) -> io::Result<()> {
    // Handlers first: no child may die, and no signal come, before somebody listens.
    let (children, stop) = (signal(SignalKind::child())?, stop_signals()?);
    become_process_one()?;
    announce(&listeners)?;
    let listeners: Vec<_> = listeners.into_iter().map(tokio::net::TcpListener::from_std).collect::<io::Result<_>>()?;
    let context = context();
    let sessions = Sessions::new(context.clone());
    let gate = Gate::closed(context.clone(), sessions.clone());
    let application = routes::application(&context, sessions, gate);
    let processes = context.processes();
    let ending = async {
        let asked = stopped(stop).await;
        processes.stop(GRACE).await;
        asked
    };
    let serving = server::serve(listeners, application, processes.stopping().cancelled());
    let asked = tokio::select! {
        ((), asked) = async { tokio::join!(serving, ending) } => asked,
        () = reap(children, processes) => Asked::ToEnd,
    };
    match asked {
        Asked::ToEnd => Ok(()),
        Asked::ToBeginAnew => sleep::begin_anew().map(|never| match never {}),
    }
}

/// No other process of the user may read this one's memory, which holds the token; orphans are this one's to reap.
fn become_process_one() -> io::Result<()> {
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    if rustix::process::getpid().is_init() {
        return Ok(());
    }
    Ok(rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?)
}

fn announce(listeners: &[TcpListener]) -> io::Result<()> {
    for listener in listeners {
        // Nobody may be reading.
        let _ = writeln!(io::stdout(), "harbor-toolbox listens on {}", listener.local_addr()?);
    }
    Ok(())
}

fn context() -> Context {
    let user = User::current();
    let environment = std::env::vars_os().collect();
    let shell = Shell::of(&environment).program;
    let environment = identity::complete(environment, &user, &shell);
    let started_in = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
    Context::new(environment, started_in, Processes::default())
}

async fn reap(mut children: Signal, processes: &Processes) {
    // what died while this process began anew
    processes.reap();
    while children.recv().await.is_some() {
        // what dies because all shall end dies after that was said, and whoever waits for it is told that
        tokio::task::yield_now().await;
        processes.reap();
    }
}

/// What comes after everything has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    ToEnd,
    ToBeginAnew,
}

fn stop_signals() -> io::Result<[Signal; 3]> {
    let anew = SignalKind::from_raw(sleep::SIGNAL.as_raw());
    Ok([signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?, signal(anew)?])
}

async fn stopped([mut terminate, mut interrupt, mut anew]: [Signal; 3]) -> Asked {
    tokio::select! {
        _ = terminate.recv() => Asked::ToEnd,
        _ = interrupt.recv() => Asked::ToEnd,
        _ = anew.recv() => Asked::ToBeginAnew,
    }
}
