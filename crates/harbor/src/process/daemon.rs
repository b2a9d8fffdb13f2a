//! The serving process, in the background or in the foreground.
//!
//! Order at start: data directory, lock, logging, secrets, services; each step's failure is one line to whoever
//! waits. SIGTERM, SIGINT and SIGHUP stop it in order, within the grace period.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinError, JoinHandle};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::announce::{self, StartMessage};
use super::lock::Lock;
use super::logging;
use super::progress::{Progress, StartStep};
use super::state::{self, Phase, ProcessState, Ready, RunningSettings};
use crate::config::load::Loaded;
use crate::config::{Config, exposure};
use crate::secrets::Secrets;
use crate::wiring;

/// At most this often is progress passed on.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);

/// Who is told how the start goes.
pub(crate) enum Audience {
    /// The command that started us, over the pipe on standard output.
    Starter,
    /// A person or service manager; called once when ready.
    Terminal(Announcement),
}

/// Tells a person where harbor is, and whether this was its first start. May block: it has a thread of its own.
pub(crate) type Announcement = Box<dyn FnOnce(&Ready, bool) -> anyhow::Result<()> + Send>;

/// What is done once it serves, before anybody is told: keeping what `harbor up` was given.
pub(crate) type Settled<'a> = &'a dyn Fn() -> anyhow::Result<()>;

/// Serves until told to stop.
pub(crate) fn run(loaded: &Loaded, settled: Settled<'_>, audience: Audience) -> anyhow::Result<()> {
    let in_background = matches!(audience, Audience::Starter);
    if in_background {
        // a session of our own: closing the terminal, or Ctrl-C in it, does not reach us
        rustix::process::setsid().context("cannot leave the terminal")?;
    }
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| serve(loaded, settled, audience)));
    let outcome = caught.unwrap_or_else(|panic| {
        let message =
            panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        Err(anyhow!("a bug in harbor: {} (`harbor logs` shows where)", message.unwrap_or("it panicked")))
    });
    if let Err(error) = &outcome
        && in_background
    {
        let reason = announce::one_line(error);
        tracing::error!(reason, "harbor ended");
        announce::say(&StartMessage::Failed { reason });
    }
    outcome
}

fn serve(loaded: &Loaded, settled: Settled<'_>, audience: Audience) -> anyhow::Result<()> {
    let config = &loaded.config;
    exposure::check(config)?;
    let directories = config.directories();
    directories.create()?;
    let _lock = Lock::take(&directories.lock())?;
    state::clear(&directories);
    let settings = RunningSettings { pid: std::process::id(), values: loaded.settings() };
    settings.write(&directories).context("cannot write the settings file")?;
    logging::start(config, matches!(audience, Audience::Terminal(_)))?;
    let secrets = Secrets::load_or_generate(config, &directories)?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), data = %config.data_dir.display(), "starting");
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")?;
    let outcome = runtime.block_on(attend(config, &secrets, settings, settled, audience));
    runtime.shutdown_timeout(Duration::from_secs(1));
    state::clear(&directories);
    tracing::info!("stopped");
    outcome
}

/// What came of `telling`; never, where nobody is told anything.
async fn ended<T>(telling: &mut Option<JoinHandle<T>>) -> Result<T, JoinError> {
    match telling {
        Some(telling) => telling.await,
        None => std::future::pending().await,
    }
}

/// Runs the services, says how far they are, and passes signals on.
async fn attend(
    config: &Config,
    secrets: &Secrets,
    mut settings: RunningSettings,
    settled: Settled<'_>,
    audience: Audience,
) -> anyhow::Result<()> {
    let (progress, mut doing) = Progress::new();
    let (ready, mut is_ready) = oneshot::channel();
    let stop = CancellationToken::new();
    let services = wiring::serve(config, secrets, &progress, ready, stop.clone());
    tokio::pin!(services);
    let directories = config.directories();
    let record = |phase: Phase| ProcessState::here(phase).write(&directories).context("cannot write the state file");
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let mut hangup = signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?;
    let mut audience = Some(audience);
    let mut telling = None;
    let mut earliest = Instant::now();
    let mut logged = String::new();
    record(Phase::Starting(StartStep::default()))?;
    loop {
        tokio::select! {
            ended = &mut services => return ended,
            answer = &mut is_ready, if !is_ready.is_terminated() => {
                let Ok(ready) = answer else { continue }; // the services are ending: they say why
                settings.note_ports(&ready);
                if let Err(error) = settings.write(&directories) {
                    tracing::warn!(%error, path = %directories.settings().display(), "the settings file was not written");
                }
                if let Err(error) = settled() {
                    tracing::warn!(reason = announce::one_line(&error), "what flags gave is not kept");
                }
                record(Phase::Ready(ready.clone()))?; // without it no command finds us: the start has failed
                tracing::info!(engine = ready.engine, "ready");
                match audience.take() {
                    Some(Audience::Starter) => announce::say(&StartMessage::Ready { first_start: secrets.first_start }),
                    Some(Audience::Terminal(tell)) => {
                        let first_start = secrets.first_start;
                        telling = Some(tokio::task::spawn_blocking(move || tell(&ready, first_start)));
                    }
                    None => {}
                }
            }
            told = ended(&mut telling) => {
                telling = None;
                told.context("a bug ended what says where harbor is")??;
            }
            doing = newest(&mut doing, earliest), if audience.is_some() => {
                earliest = Instant::now() + PROGRESS_EVERY;
                if doing.what != logged {
                    tracing::info!("{}", doing.what);
                    logged.clone_from(&doing.what);
                }
                record(Phase::Starting(doing.clone()))?;
                if matches!(audience, Some(Audience::Starter)) {
                    announce::say(&StartMessage::Doing(doing));
                }
            }
            _ = terminate.recv() => stop_services(&stop, &record),
            _ = hangup.recv() => stop_services(&stop, &record),
            _ = interrupt.recv() => stop_services(&stop, &record),
        }
    }
}

fn stop_services(stop: &CancellationToken, record: &impl Fn(Phase) -> anyhow::Result<()>) {
    tracing::info!("asked to stop");
    stop.cancel();
    // what others read about us is not worth the requests in flight, on a full disk for example
    if let Err(error) = record(Phase::Stopping) {
        tracing::warn!(reason = announce::one_line(&error), "others are not told that harbor is stopping");
    }
}

/// The newest thing being done, not before `earliest`.
async fn newest(doing: &mut watch::Receiver<StartStep>, earliest: Instant) -> StartStep {
    tokio::time::sleep_until(earliest).await;
    if doing.changed().await.is_err() {
        return std::future::pending().await; // nobody will say anything any more
    }
    doing.borrow_and_update().clone()
}
