//! One installation: store, control, reconciler and an engine; with the pretend engine, on a clock that the test moves.

use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use harbor_control::fixture::{self, KEY, NoEngine};
use harbor_control::sandboxes::NewSandbox;
use harbor_control::{Allowed, Built, Caller, Control, Error, NewRegistry, NewSnapshot, Requirement};
use harbor_model::actors::Actor;
use harbor_model::garbage::Collected;
use harbor_model::ids::{OrganizationId, SandboxId, VolumeId};
use harbor_model::names::SandboxRef;
use harbor_model::pools::WarmPool;
use harbor_model::resources::Asked;
use harbor_model::sandboxes::{Sandbox, SandboxState};
use harbor_model::secrets::Secret;
use harbor_model::snapshots::Snapshot;
use harbor_model::volumes::Volume;
use harbor_model::{Timestamp, to_millisecond};
use harbor_reconcile::{Builder, Clock, Config, LoopReport, Reconciler, Recruiter};
use harbor_runner::fixture::{PRETEND_IMAGE, Subject};
use harbor_runner::pretend::{Pretend, Verb};
use harbor_runner::{EngineError, EngineSaid};
use harbor_store::{EncryptionKey, Store};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::uploads::{OwnImages, Uploads};

/// How long control waits for a start.
pub(crate) const BUDGET: Duration = Duration::from_secs(10);

/// How long transient failures of a start are retried.
pub(crate) const START_DEADLINE: Duration = Duration::from_mins(2);

/// How far the clock moves at a time, in the first two seconds of a wait and later.
const TICK: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(100));

/// How long a test looks away from a clock that moves by itself.
const REAL_TICK: Duration = Duration::from_millis(10);

/// How long it is waited for what nobody waits for, and how long it is looked at then.
const LONG: Duration = Duration::from_secs(100);
const SETTLED: Duration = Duration::from_secs(3);

/// How far it moves where little happens.
const IDLE_TICK: Duration = Duration::from_secs(5);

/// Clocks that go as tokio's does, until somebody sets the wall clock.
#[derive(Clone)]
pub(crate) struct TestClock {
    began: (Timestamp, Instant),
    set_by: Arc<Mutex<time::Duration>>,
    /// What has passed besides.
    passed: Arc<Mutex<Duration>>,
}

impl TestClock {
    fn new() -> Self {
        Self { began: (now(), Instant::now()), set_by: Arc::default(), passed: Arc::default() }
    }

    /// Lets time pass in which nothing is done, as on a machine that sleeps.
    pub(crate) fn pass(&self, time: Duration) {
        *self.passed.lock().unwrap() += time;
    }

    /// Sets the wall clock.
    pub(crate) fn set_by(&self, by: time::Duration) {
        *self.set_by.lock().unwrap() += by;
    }
}

impl Clock for TestClock {
    fn wall(&self) -> Timestamp {
        to_millisecond(self.began.0 + self.uptime() + *self.set_by.lock().unwrap())
    }

    fn uptime(&self) -> Duration {
        self.began.1.elapsed() + *self.passed.lock().unwrap()
    }
}

struct Recruits(Control);

impl Recruiter for Recruits {
    fn member(&self, pool: &WarmPool, snapshot: &Snapshot) -> Result<Sandbox, String> {
        self.0.pool_member(pool, snapshot).map_err(|error| error.to_string())
    }
}

/// An installation whose reconciler works until this is dropped.
pub(crate) struct Installation<E = Pretend> {
    pub(crate) engine: E,
    pub(crate) store: Store,
    pub(crate) clock: TestClock,
    pub(crate) uploads: Arc<Uploads>,
    control: Control,
    caller: Caller,
    config: Config,
    reconciler: Reconciler,
    task: Task,
    /// Held by whoever moves the clock; `None`: it moves by itself.
    turn: Option<tokio::sync::Mutex<()>>,
    /// While this is open, a blocking thread waits, and tokio does not move the paused clock by itself: the store's
    /// threads work in real time.
    _clock: mpsc::Sender<()>,
    _directory: tempfile::TempDir,
}

impl Installation {
    pub(crate) async fn new() -> Self {
        Self::with_stock(0).await
    }

    pub(crate) async fn with_stock(infra_stock: usize) -> Self {
        let turn = Some(tokio::sync::Mutex::default());
        Self::on(Pretend::with_image(PRETEND_IMAGE), infra_stock, turn).await
    }

    /// How often the engine was asked for `verb` about this sandbox.
    pub(crate) fn called(&self, verb: Verb, id: SandboxId) -> usize {
        self.engine.calls().iter().filter(|call| call.verb == verb && call.sandbox == Some(id)).count()
    }
}

impl<E: Subject> Installation<E> {
    /// On an engine where time passes by itself.
    pub(crate) async fn in_real_time(engine: E, infra_stock: usize) -> Self {
        Self::on(engine, infra_stock, None).await
    }

    async fn on(engine: E, infra_stock: usize, turn: Option<tokio::sync::Mutex<()>>) -> Self {
        let (held, open) = mpsc::channel::<()>();
        tokio::task::spawn_blocking(move || open.recv());
        let clock = TestClock::new();
        let directory = tempfile::tempdir_in("/dev/shm").unwrap();
        let key = EncryptionKey::derive(&Secret::new("key"), &Secret::new("salt"));
        let store = Store::open(&directory.path().join("harbor.db"), &key).unwrap();
        let control =
            Control::new(store.clone(), fixture::config(BUDGET), Arc::new(NoEngine), Arc::new(NoEngine)).await.unwrap();
        let caller = control.authenticate(KEY).await.unwrap();
        let snapshot = fixture::default_snapshot(caller.organization(), &engine.image());
        store.by(Actor::Harbor).put_snapshot(snapshot).await.unwrap();
        let uploads = Arc::<Uploads>::default();
        let config = Config {
            starts: 4,
            infra_stock,
            start_deadline: START_DEADLINE,
            stop_grace: Duration::from_secs(10),
            most_asleep: 0,
            clock: Arc::new(clock.clone()),
            most_warm: 4,
            recruiter: Arc::new(Recruits(control.clone())),
            builder: Builder::default(),
            objects: Arc::<Uploads>::clone(&uploads),
            registry: Arc::new(OwnImages),
        };
        let reconciler = Reconciler::new(store.clone(), engine.engine(), config.clone());
        let task = Task::of(&reconciler);
        Self {
            engine,
            store,
            clock,
            uploads,
            control,
            caller,
            config,
            reconciler,
            task,
            turn,
            _clock: held,
            _directory: directory,
        }
    }

    /// From now on this many stopped sandboxes may sleep.
    pub(crate) async fn let_sleep(&mut self, most: u32) {
        self.config.most_asleep = most;
        self.restart().await;
    }

    /// Ends the reconciler in the middle of what it does, and begins another one.
    pub(crate) async fn restart(&mut self) {
        self.task.0.abort();
        let engine = self.engine.again().await;
        self.reconciler = Reconciler::new(self.store.clone(), engine, self.config.clone());
        self.task = Task::of(&self.reconciler);
    }

    /// The snapshot that a create without one means.
    pub(crate) async fn snapshot(&self) -> Snapshot {
        self.control.snapshot(&self.caller, "default").await.unwrap()
    }

    /// Another organization than the caller's.
    pub(crate) async fn another_organization(&self) -> OrganizationId {
        let name = "other".parse().unwrap();
        self.control.create_organization(&self.caller, name).await.unwrap().id
    }

    /// As [`Installation::create_as`], in no time.
    pub(crate) async fn create_at_once(&self, new: NewSandbox) -> Sandbox {
        self.control.create_sandbox(&self.may(), new).await.unwrap()
    }

    /// A sandbox that has started.
    pub(crate) async fn started(&self) -> SandboxId {
        let created = self.create().await.unwrap();
        assert_eq!(created.state(), SandboxState::Started, "{:?}", created.failure);
        created.id
    }

    /// As many sandboxes that have started.
    pub(crate) async fn many_started(&self, count: usize) -> Vec<SandboxId> {
        let mut ids = Vec::new();
        for _ in 0..count {
            ids.push(self.started().await);
        }
        ids
    }

    /// As [`Control::create_sandbox`], while the clock moves.
    pub(crate) async fn create(&self) -> Result<Sandbox, Error> {
        self.create_as(NewSandbox::default()).await
    }

    /// As [`Installation::create`], of what is asked for.
    pub(crate) async fn create_as(&self, new: NewSandbox) -> Result<Sandbox, Error> {
        self.while_time_passes(self.control.create_sandbox(&self.may(), new)).await
    }

    /// As [`Control::start_sandbox`], while the clock moves.
    pub(crate) async fn start(&self, id: SandboxId) -> Result<Sandbox, Error> {
        self.while_time_passes(self.control.start_sandbox(&self.may(), &id.into())).await
    }

    pub(crate) async fn stop(&self, id: SandboxId) {
        self.stop_by(id, false).await.unwrap();
    }

    /// Wants the sandbox stopped, by force or not.
    pub(crate) async fn stop_by(&self, id: SandboxId, force: bool) -> Result<Sandbox, Error> {
        self.control.stop_sandbox(&self.may(), &SandboxRef::from(id), force).await
    }

    /// Keeps this many sandboxes of the default snapshot ready.
    pub(crate) async fn keep_warm(&self, size: u32) {
        let (caller, size) = (self.may(), i64::from(size));
        match (self.control.warm_pools(&self.caller).await.unwrap().pop(), size) {
            (None, 0) => {}
            (None, size) => _ = self.control.create_warm_pool(&caller, "default", size, None).await.unwrap(),
            (Some(kept), 0) => {
                self.control.delete_warm_pool(&caller, &kept.pool.id.to_string()).await.unwrap();
            }
            (Some(kept), size) => {
                let id = kept.pool.id.to_string();
                self.control.resize_warm_pool(&caller, &id, size).await.unwrap();
            }
        }
    }

    /// Wants the sandbox's processes frozen.
    pub(crate) async fn pause(&self, id: SandboxId) -> Result<Sandbox, Error> {
        self.control.pause_sandbox(&self.may(), &id.into()).await
    }

    /// As [`Control::resize_sandbox`], while the clock moves.
    pub(crate) async fn resize(&self, id: SandboxId, asked: Asked) -> Result<Sandbox, Error> {
        self.while_time_passes(self.control.resize_sandbox(&self.may(), &id.into(), asked)).await
    }

    /// A sandbox that was started and stopped.
    pub(crate) async fn stopped(&self) -> SandboxId {
        let id = self.started().await;
        self.stop(id).await;
        self.reaches(id, SandboxState::Stopped, Duration::from_secs(1)).await;
        id
    }

    /// Wants the sandbox's files stored and its containers removed.
    pub(crate) async fn archive(&self, id: SandboxId) -> Result<Sandbox, Error> {
        self.control.archive_sandbox(&self.may(), &id.into()).await
    }

    /// Wants the sandbox's files stored.
    pub(crate) async fn back_up(&self, id: SandboxId) -> Result<Sandbox, Error> {
        self.control.back_up_sandbox(&self.may(), &id.into()).await
    }

    /// As [`Control::fork_sandbox`], while the clock moves.
    pub(crate) async fn fork(&self, id: SandboxId) -> Result<Sandbox, Error> {
        self.while_time_passes(self.control.fork_sandbox(&self.may(), &id.into(), None)).await
    }

    /// Wants a snapshot made of the sandbox.
    pub(crate) async fn snapshot_of(&self, id: SandboxId, name: &str) -> Result<Sandbox, Error> {
        self.control.snapshot_sandbox(&self.may(), &id.into(), name.parse().unwrap()).await
    }

    /// The snapshot of this name.
    pub(crate) async fn named(&self, name: &str) -> Result<Snapshot, Error> {
        self.control.snapshot(&self.caller, name).await
    }

    /// A registry that the caller's organization has a login to.
    pub(crate) async fn registry(&self, url: &str, username: &str) {
        let (name, url, username) = ("registry".parse().unwrap(), url.to_owned(), username.to_owned());
        let new = NewRegistry { name, url, username, password: Some(Secret::new("secret")), project: None };
        self.control.create_registry(&self.may(), new).await.unwrap();
    }

    /// As [`Control::create_snapshot`], while the clock moves.
    pub(crate) async fn create_snapshot(&self, new: NewSnapshot) -> Result<Snapshot, Error> {
        self.while_time_passes(self.control.create_snapshot(&self.may(), new)).await
    }

    /// As [`Control::activate_snapshot`], while the clock moves.
    pub(crate) async fn activate_snapshot(&self, name: &str) -> Result<Snapshot, Error> {
        self.while_time_passes(self.control.activate_snapshot(&self.may(), name)).await
    }

    pub(crate) async fn deactivate_snapshot(&self, name: &str) -> Result<(), Error> {
        self.control.deactivate_snapshot(&self.may(), name).await
    }

    /// What the build of this snapshot has said.
    pub(crate) async fn build_log(&self, name: &str) -> String {
        self.control.build_log(&self.caller, &Built::Snapshot(name.to_owned()), 0).await.unwrap().text
    }

    /// Removes the snapshot of this name.
    pub(crate) async fn remove_snapshot(&self, name: &str) {
        self.control.delete_snapshot(&self.may(), name).await.unwrap();
    }

    /// As [`Installation::create`], of this snapshot.
    pub(crate) async fn create_from(&self, snapshot: &str) -> Result<Sandbox, Error> {
        self.create_as(NewSandbox { snapshot: Some(snapshot.to_owned()), ..NewSandbox::default() }).await
    }

    /// As [`Control::recover_sandbox`], while the clock moves.
    pub(crate) async fn recover(&self, id: SandboxId, start: bool) -> Result<Sandbox, Error> {
        self.while_time_passes(self.control.recover_sandbox(&self.may(), &id.into(), start)).await
    }

    /// Makes a volume of this name.
    pub(crate) async fn volume(&self, name: &str) -> Volume {
        self.control.create_volume(&self.may(), Some(name.parse().unwrap())).await.unwrap()
    }

    /// Wants a volume gone.
    pub(crate) async fn delete_volume(&self, id: VolumeId) -> Result<(), Error> {
        self.control.delete_volume(&self.may(), &id.to_string()).await
    }

    /// Wants the sandbox gone.
    pub(crate) async fn delete(&self, id: SandboxId) -> Result<Sandbox, Error> {
        self.control.delete_sandbox(&self.may(), &id.into()).await
    }

    fn may<R: Requirement>(&self) -> Allowed<R> {
        self.caller.clone().allow().unwrap()
    }

    pub(crate) async fn row(&self, id: SandboxId) -> Sandbox {
        self.store.sandbox(id).await.unwrap().unwrap()
    }

    /// Waits until the sandbox stands in this state, and answers for how long.
    #[track_caller]
    pub(crate) fn reaches(
        &self,
        id: SandboxId,
        state: SandboxState,
        within: Duration,
    ) -> impl Future<Output = Duration> {
        let caller = std::panic::Location::caller();
        async move {
            let began = Instant::now();
            while self.row(id).await.state() != state {
                let row = self.row(id).await;
                let (now, failure) = (row.state(), row.failure);
                assert!(began.elapsed() <= within, "{caller}: {now:?} after {within:?}, not {state:?}: {failure:?}");
                self.tick(began).await;
            }
            began.elapsed()
        }
    }

    /// Waits until there are so many of what is counted, and looks whether it stays so.
    #[track_caller]
    pub(crate) fn stays_at(&self, count: usize, counted: impl AsyncFn() -> usize) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            let began = Instant::now();
            loop {
                let now = counted().await;
                if now == count {
                    break;
                }
                assert!(began.elapsed() < LONG, "{caller}: {now} after {LONG:?}, not {count}");
                self.pass(TICK.1).await;
            }
            self.pass(SETTLED).await;
            assert_eq!(counted().await, count, "{caller}: it does not stay so");
        }
    }

    /// Lets this much time pass.
    pub(crate) async fn pass(&self, time: Duration) {
        let began = Instant::now();
        while began.elapsed() < time {
            self.tick(began).await;
        }
    }

    /// Lets this much time pass, in which little happens.
    pub(crate) async fn idle(&self, time: Duration) {
        let began = Instant::now();
        while began.elapsed() < time {
            self.tick_by(IDLE_TICK.min(time.saturating_sub(began.elapsed()))).await;
        }
    }

    /// Lets go of what nobody has needed for this long, or only finds it.
    pub(crate) async fn collect_garbage(&self, at_least: Duration, rehearse: bool) -> Vec<Collected> {
        self.reconciler.collect_garbage(at_least, rehearse).await.unwrap()
    }

    /// What all loops do, and did last.
    pub(crate) fn reports(&self) -> Vec<LoopReport> {
        self.reconciler.report()
    }

    /// What a loop does, and did last.
    pub(crate) fn report(&self, name: &str) -> LoopReport {
        self.reports().into_iter().find(|report| report.name == name).unwrap()
    }

    pub(crate) async fn while_time_passes<T>(&self, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        let began = Instant::now();
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = self.tick(began) => {}
            }
        }
    }

    /// Moves the clock by one tick of a wait that `began` then, once everything that goes on without it has come to rest.
    async fn tick(&self, began: Instant) {
        self.tick_by(if began.elapsed() < Duration::from_secs(2) { TICK.0 } else { TICK.1 }).await;
    }

    async fn tick_by(&self, time: Duration) {
        assert!(!self.task.0.is_finished(), "the reconciler has ended");
        // one at a time: who waits beside others does not make the clock go faster
        let Some(turn) = &self.turn else { return tokio::time::sleep(REAL_TICK).await };
        let _turn = turn.lock().await;
        for _ in 0..6 {
            // the store works in order: a write that changes nothing is answered when those before it are
            self.store.by(Actor::Harbor).drop_infra(SandboxId::random()).await.unwrap();
            self.store.sandbox(SandboxId::random()).await.unwrap();
            tokio::task::yield_now().await;
        }
        // the store's threads work in real time: on a busy machine they have to be let run
        if time == IDLE_TICK {
            tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_millis(2))).await.unwrap();
        }
        tokio::time::advance(time).await;
    }
}

/// The reconciler at work, until this is dropped.
struct Task(JoinHandle<Result<(), String>>);

impl Task {
    fn of(reconciler: &Reconciler) -> Self {
        Self(tokio::spawn(reconciler.clone().run(std::future::pending())))
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A refusal that trying again does not mend.
pub(crate) fn refused() -> EngineError {
    EngineError::Refused { doing: "do it".to_owned(), source: EngineSaid::new("no") }
}

pub(crate) fn now() -> Timestamp {
    to_millisecond(Timestamp::now_utc())
}
