//! Lets a sequence happen, and looks at what it led to.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use harbor_control::sandboxes::NewSandbox;
use harbor_control::{Error, Kind};
use harbor_model::ids::SandboxId;
use harbor_model::resources::Asked;
use harbor_model::sandboxes::{Found, FoundSandbox, Sandbox, SandboxState, Step};
use harbor_runner::Held;
use harbor_runner::fixture::Subject;
use harbor_runner::pretend::Verb;
use tokio::time::Instant;

use super::action::{Action, Foreign, Request, Trouble, Wish};
use super::ledger::Ledger;
use crate::installation::Installation;

/// How long an installation may take to come to rest: a call of the engine that hangs, and what was tried again for it.
const REST: Duration = Duration::from_mins(6);

/// Within what time the engine, too, knows that a sandbox goes on.
const SOON: Duration = Duration::from_secs(10);

/// Where sequences happen.
#[async_trait]
pub(crate) trait Stage: Subject + Sized {
    /// Within what time it begins to do what is to be done.
    const MOMENT: Duration;

    /// Lets so much time pass.
    async fn later(harbor: &mut Installation<Self>, time: Duration);

    /// What there is of a sandbox.
    async fn held(&self, id: &SandboxId) -> Held;

    /// Ends every process, as when the machine loses power.
    async fn cut_power(&self);

    /// A call will go like this.
    fn trouble(&self, verb: Verb, trouble: Trouble);

    /// From now on every call goes well.
    fn end_trouble(&self);
}

/// An installation, and what is known of it.
pub(crate) struct Course<E> {
    pub(crate) harbor: Installation<E>,
    ledger: Ledger,
    marks: u32,
    snapshots: Vec<String>,
}

impl<E: Stage> Course<E> {
    pub(crate) fn new(harbor: Installation<E>) -> Self {
        Self { harbor, ledger: Ledger::default(), marks: 0, snapshots: Vec::new() }
    }

    /// Lets one thing happen.
    pub(crate) async fn take(&mut self, action: Action) {
        match action {
            Action::Create(wish) => {
                let created = self.create(wish).await;
                self.observe();
                if let Ok(row) = created {
                    self.check_marks(row.id).await;
                }
            }
            Action::Ask { which, request, patience } => {
                let Some(id) = self.one(which) else { return };
                let name = format!("snapshot-{}", self.snapshots.len());
                if matches!(request, Request::Snapshot) {
                    self.ledger.snapshot(&name, id);
                    self.snapshots.push(name.clone());
                }
                let patience = patience.unwrap_or(Duration::from_mins(2));
                tokio::select! {
                    biased;
                    answer = ask(&self.harbor, id, request, &name) => no_fault(answer),
                    () = self.harbor.pass(patience) => {}
                }
            }
            Action::Pool(size) => self.harbor.keep_warm(size).await,
            Action::Write(which) => {
                let Some(id) = self.one(which) else { return };
                if self.check_marks(id).await {
                    self.marks += 1;
                    let written = self.harbor.engine.write(&id, self.marks).await;
                    self.ledger.wrote(id, self.marks, written);
                }
            }
            Action::Foreign(which, foreign) => self.meddle(which, foreign).await,
            Action::Crash => self.harbor.restart().await,
            Action::PowerCut => {
                self.ledger.excuse_all();
                self.harbor.engine.cut_power().await;
                self.harbor.restart().await;
            }
            Action::Trouble(verb, trouble) => {
                self.ledger.excuse_all();
                self.harbor.engine.trouble(verb, trouble);
            }
            Action::Moment(time) => self.harbor.pass(time).await,
            Action::Minutes(minutes) => {
                E::later(&mut self.harbor, Duration::from_mins(minutes.into())).await;
            }
        }
        self.observe();
    }

    /// Lets everything come to rest, looks whether all is as it should be, and removes everything.
    pub(crate) async fn end(mut self) -> E {
        self.harbor.engine.end_trouble();
        self.rest().await;
        self.harbor.restart().await;
        self.rest().await;
        self.check_engine().await;
        self.check_events().await;
        self.harbor.keep_warm(0).await;
        self.rest().await;
        let mut rows = self.rows();
        // what takes room is stopped first
        rows.sort_by_key(|row| !matches!(row.state(), SandboxState::Started | SandboxState::Paused));
        for row in rows {
            self.ledger.check_state(&row);
            self.check_files(row.id).await;
        }
        for id in self.ledger.order.clone().into_iter().rev() {
            let gone = self.harbor.store.sandbox(id).await.unwrap().is_none_or(|row| !row.live());
            if !gone {
                self.harbor.delete(id).await.unwrap();
            }
        }
        for name in &self.snapshots {
            if self.harbor.named(name).await.is_ok() {
                self.harbor.remove_snapshot(name).await;
            }
        }
        self.rest().await;
        self.check_engine().await;
        assert!(self.rows().is_empty(), "{:?}", self.rows());
        assert_eq!(self.harbor.engine.engine().layers().await.unwrap(), []);
        self.harbor.engine
    }

    fn rows(&self) -> Vec<Arc<Sandbox>> {
        self.harbor.store.all_sandboxes().unwrap()
    }

    fn observe(&mut self) {
        self.ledger.observe(&self.rows());
    }

    /// One of the sandboxes that somebody owns.
    fn one(&self, which: usize) -> Option<SandboxId> {
        let rows = self.rows();
        let owned = |id: &&SandboxId| rows.iter().any(|row| row.id == **id && row.live() && row.warm_pool.is_none());
        let owned: Vec<_> = self.ledger.order.iter().filter(owned).collect();
        (!owned.is_empty()).then(|| *owned[which % owned.len()])
    }

    async fn create(&self, wish: Wish) -> Result<Sandbox, Error> {
        let made = wish.snapshot.and_then(|which| self.snapshots.get(which % self.snapshots.len().max(1)));
        let new = NewSandbox {
            snapshot: made.cloned(),
            auto_stop: Some(wish.auto_stop),
            auto_archive: Some(wish.auto_archive),
            auto_delete: wish.auto_delete,
            ttl: wish.ttl,
            ..NewSandbox::default()
        };
        let created = self.harbor.create_as(new).await;
        if let Err(error) = &created {
            assert_ne!(error.kind(), Kind::Internal, "{error}");
        }
        created
    }

    /// Reads a sandbox's marks, if it is started.
    async fn check_marks(&mut self, id: SandboxId) -> bool {
        let found = self.harbor.engine.held(&id).await.found;
        let Some(row) = self.harbor.store.sandbox(id).await.unwrap() else { return false };
        // what happened to it is not known yet, it is on its way, or it is frozen while its files are copied
        let runs = matches!(&found.sandbox, Some(FoundSandbox::Running { .. })) && !row.needs_a_look(&found);
        if row.state() != SandboxState::Started || row.files.copying.is_some() || !runs {
            return false;
        }
        let Some(marks) = self.harbor.engine.marks(&id).await else { return false };
        self.ledger.check(&row, marks);
        true
    }

    async fn meddle(&mut self, which: usize, foreign: Foreign) {
        let Some(id) = self.one(which) else { return };
        let engine = &self.harbor.engine;
        let Held { found: Found { sandbox }, infra, .. } = engine.held(&id).await;
        self.ledger.entry(id).excused = true;
        match foreign {
            Foreign::Kill if matches!(sandbox, Some(FoundSandbox::Running { .. })) => engine.kill(&id).await,
            Foreign::Freeze if matches!(sandbox, Some(FoundSandbox::Running { .. })) => engine.pause(&id).await,
            Foreign::KillInfra if infra.as_ref().is_some_and(|infra| infra.running) => engine.kill_infra(&id).await,
            Foreign::LoseInfra if infra.is_some() => engine.lose_infra(&id).await,
            Foreign::Lose if sandbox.is_some() => {
                let row = self.harbor.row(id).await;
                self.ledger.observe(&self.rows());
                self.ledger.lost(&row);
                engine.lose(&id).await;
            }
            _ => {}
        }
    }

    /// Waits until nothing is left to do.
    async fn rest(&mut self) {
        let began = Instant::now();
        loop {
            self.harbor.pass(E::MOMENT).await;
            self.observe();
            let rows = self.rows();
            let restless = rows.iter().find(|row| {
                row.next_step() != Step::Settled || row.files.copying.is_some() || !row.live() || transient(row.state())
            });
            let Some(row) = restless else { return };
            assert!(began.elapsed() < REST, "it does not come to rest: {row:?}; {:?}", self.harbor.reports());
        }
    }

    /// The engine holds what the database knows, and nothing else.
    async fn check_engine(&self) {
        // one that remembers nothing
        let engine = self.harbor.engine.again().await;
        let began = Instant::now();
        let (inventory, rows) = loop {
            let inventory = engine.list().await.unwrap();
            let stock = self.harbor.store.infra_stock().await.unwrap();
            let rows = self.rows();
            let known = |id| rows.iter().any(|row| row.id == id) || stock.iter().any(|(stocked, _)| *stocked == id);
            let Some(orphan) = inventory.held.iter().find(|held| !known(held.sandbox)) else { break (inventory, rows) };
            // what a crash left behind is removed by and by
            assert!(began.elapsed() < SOON, "the engine holds what nobody knows: {orphan:?}");
            self.harbor.pass(E::MOMENT).await;
        };
        for row in &rows {
            let held = inventory.held.iter().find(|held| held.sandbox == row.id);
            let found = held.map_or(Found { sandbox: None }, |held| held.found.clone());
            assert!(!row.needs_a_look(&found), "{found:?} is not what is known: {row:?}");
            assert!(row.state() != SandboxState::Archived || held.is_none(), "{held:?} is left of an archived one");
        }
        let mut needed: Vec<_> = self.harbor.store.stored_files().await.unwrap().layers.into_iter().collect();
        let mut stored = engine.layers().await.unwrap();
        needed.sort_by_key(ToString::to_string);
        stored.sort_by_key(ToString::to_string);
        assert_eq!(stored, needed, "what is stored is what is needed");
    }

    /// Whoever heard all events knows each sandbox's state.
    async fn check_events(&self) {
        let told = self.harbor.store.outbox_after(0, 1_000_000).await.unwrap();
        for row in self.rows().iter().filter(|row| row.warm_pool.is_none()) {
            let mut state = None;
            for entry in told.iter().filter(|entry| entry.subject == row.id.to_string()) {
                if entry.kind != "sandbox.desired-state.updated" {
                    assert_eq!(entry.before, state, "{entry:?} does not follow");
                    state.clone_from(&entry.after);
                }
            }
            assert_eq!(state.as_deref(), Some(row.state().word()), "{row:?}");
        }
    }

    /// Brings a sandbox to where its files can be read.
    async fn check_files(&mut self, id: SandboxId) {
        // its time may have come meanwhile
        let Some(row) = self.harbor.store.sandbox(id).await.unwrap().filter(Sandbox::live) else { return };
        let started = match (row.state(), &row.failure) {
            (SandboxState::Started, _) => Ok(row.clone()),
            (SandboxState::Error, Some(failure)) if failure.recoverable => self.harbor.recover(id, true).await,
            (SandboxState::Error, _) => return,
            _ => self.harbor.start(id).await,
        };
        let started = started.unwrap_or_else(|error| panic!("{error}: {row:?}"));
        assert!(matches!(started.state(), SandboxState::Started | SandboxState::Restoring), "{started:?}");
        self.harbor.reaches(id, SandboxState::Started, Duration::from_mins(1)).await;
        let began = Instant::now();
        while !self.check_marks(id).await {
            assert!(began.elapsed() < SOON, "it runs: {row:?}");
            self.harbor.pass(Duration::from_millis(50)).await;
        }
        no_fault(self.harbor.stop_by(id, true).await);
        self.rest().await;
    }
}

async fn ask<E: Stage>(
    harbor: &Installation<E>,
    id: SandboxId,
    request: Request,
    name: &str,
) -> Result<Sandbox, Error> {
    match request {
        Request::Start => harbor.start(id).await,
        Request::Stop { force } => harbor.stop_by(id, force).await,
        Request::Pause => harbor.pause(id).await,
        Request::Resize(cpu) => harbor.resize(id, Asked { cpu: Some(cpu), ..Asked::default() }).await,
        Request::Archive => harbor.archive(id).await,
        Request::BackUp => harbor.back_up(id).await,
        Request::Fork => harbor.fork(id).await,
        Request::Snapshot => harbor.snapshot_of(id, name).await,
        Request::Recover { start } => harbor.recover(id, start).await,
        Request::Delete => harbor.delete(id).await,
    }
}

/// It may be refused; it never fails by a fault of harbor's.
fn no_fault(answer: Result<Sandbox, Error>) {
    if let Err(error) = answer {
        assert_ne!(error.kind(), Kind::Internal, "{error}");
    }
}

/// Whether a state is one that something follows by itself.
fn transient(state: SandboxState) -> bool {
    use SandboxState as S;
    match state {
        S::Started | S::Stopped | S::Paused | S::Archived | S::Error | S::BuildFailed | S::Destroyed => false,
        S::Creating | S::Starting | S::Resizing | S::Resuming | S::Pausing | S::Stopping | S::Destroying => true,
        S::Archiving | S::Restoring | S::Snapshotting | S::Forking | S::PendingBuild | S::BuildingSnapshot => true,
    }
}
