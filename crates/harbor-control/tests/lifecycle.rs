//! What control answers about a sandbox's life, over a real store; what an engine would bring about is written by the
//! tests.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use harbor_control::fixture::{self, KEY, NoEngine};
use harbor_control::sandboxes::{Filter, NewSandbox, Order, Sort};
use harbor_control::{Allowed, Control, DeleteSandboxes, Kind, WriteSandboxes};
use harbor_model::actors::Actor;
use harbor_model::ids::{ContainerId, SandboxId};
use harbor_model::names::SandboxRef;
use harbor_model::sandboxes::{Boot, Desired, Found, FoundSandbox, Outcome, Sandbox, SandboxState};
use harbor_model::secrets::Secret;
use harbor_model::{Timestamp, to_millisecond};
use harbor_store::{Change, EncryptionKey, Store};

/// Longer than anything that happens at once, shorter than anybody wants to wait.
const BUDGET: Duration = Duration::from_secs(2);

/// One installation whose sandboxes do what the test says.
struct Installation {
    store: Store,
    control: Control,
    writer: Allowed<WriteSandboxes>,
    deleter: Allowed<DeleteSandboxes>,
    _directory: tempfile::TempDir,
}

impl Installation {
    async fn new(start_budget: Duration) -> Self {
        let directory = tempfile::tempdir_in("/dev/shm").unwrap(); // one test commits thousands of changes
        let key = EncryptionKey::derive(&Secret::new("key"), &Secret::new("salt"));
        let store = Store::open(&directory.path().join("harbor.db"), &key).unwrap();
        let control =
            Control::new(store.clone(), fixture::config(start_budget), Arc::new(NoEngine), Arc::new(NoEngine))
                .await
                .unwrap();
        let caller = control.authenticate(KEY).await.unwrap();
        let (writer, deleter) = (caller.clone().allow().unwrap(), caller.clone().allow().unwrap());
        let snapshot = fixture::default_snapshot(caller.organization(), "image");
        store.by(Actor::Harbor).put_snapshot(snapshot).await.unwrap();
        Self { store, control, writer, deleter, _directory: directory }
    }

    fn named(name: &str) -> NewSandbox {
        NewSandbox { name: Some(name.parse().unwrap()), ..NewSandbox::default() }
    }

    /// As [`Control::create_sandbox`], while `react` does to each row that is made what an engine would.
    async fn create(
        &self,
        new: NewSandbox,
        react: impl FnOnce(&mut Sandbox) + Send + 'static,
    ) -> Result<Sandbox, harbor_control::Error> {
        let mut changes = self.store.changes();
        let engine = async {
            loop {
                if let Change::Sandbox { before: None, after } = changes.recv().await.unwrap() {
                    break self.change(after.id, react).await;
                }
            }
        };
        tokio::join!(self.control.create_sandbox(&self.writer, new), engine).0
    }

    async fn change(&self, id: SandboxId, change: impl FnOnce(&mut Sandbox) + Send + 'static) {
        self.store.by(Actor::Harbor).change_sandbox(id, now(), change).await.unwrap();
    }

    async fn started(&self, new: NewSandbox) -> SandboxRef {
        let started = self.create(new, run).await.unwrap();
        assert_eq!(started.state(), SandboxState::Started);
        started.id.into()
    }

    async fn state(&self, sandbox: &SandboxRef) -> Result<SandboxState, Kind> {
        let found = self.control.sandbox(&self.writer, sandbox).await;
        found.map(|found| found.state()).map_err(|error| error.kind())
    }

    async fn listed(&self) -> usize {
        let order = (Sort::CreatedAt, Order::Descending);
        self.control.list_sandboxes(&self.writer, &Filter::default(), order, (None, 0, 100)).await.unwrap().total
    }
}

fn now() -> Timestamp {
    to_millisecond(Timestamp::now_utc())
}

/// What reconcile records of a start.
fn run(sandbox: &mut Sandbox) {
    sandbox.record(Outcome::Made(ContainerId::new("c")));
    sandbox.record(Outcome::Started(ContainerId::new("c"), Boot("1".to_owned())));
    sandbox.record(Outcome::Configured { version: "1".to_owned(), at: now() });
}

/// What reconcile records of a stop.
fn exit(sandbox: &mut Sandbox) {
    let exited = FoundSandbox::Exited { container: ContainerId::new("c"), code: 143, connected: true };
    sandbox.record(Outcome::Found(Found { sandbox: Some(exited) }));
}

#[tokio::test]
async fn create_answers_as_soon_as_it_has_started() {
    let place = Installation::new(BUDGET).await;
    let began = Instant::now();
    let created = place.create(NewSandbox::default(), run).await.unwrap();
    assert_eq!(created.state(), SandboxState::Started);
    assert!(began.elapsed() < BUDGET, "{:?}", began.elapsed());
}

#[tokio::test]
async fn create_answers_creating_when_its_budget_is_spent() {
    let budget = Duration::from_millis(50);
    let place = Installation::new(budget).await;
    let began = Instant::now();
    let created = place.control.create_sandbox(&place.writer, NewSandbox::default()).await.unwrap();
    assert_eq!(created.state(), SandboxState::Creating);
    assert!(began.elapsed() >= budget);
}

#[tokio::test]
async fn create_answers_why_it_failed_and_keeps_the_row() {
    let place = Installation::new(BUDGET).await;
    let fail = |sandbox: &mut Sandbox| assert!(sandbox.give_up("no image".to_owned()));
    let error = place.create(Installation::named("broken"), fail).await.unwrap_err();
    assert_eq!((error.kind(), error.to_string().as_str()), (Kind::Invalid, "Sandbox failed to start: no image"));
    let broken = SandboxRef::new("broken");
    assert_eq!(place.state(&broken).await, Ok(SandboxState::Error));
    let refused = place.control.start_sandbox(&place.writer, &broken).await.unwrap_err();
    assert!(refused.kind() == Kind::Invalid && refused.to_string().ends_with("in state error: no image"), "{refused}");
    let deleted = place.control.delete_sandbox(&place.deleter, &broken).await.unwrap();
    assert_eq!(deleted.state(), SandboxState::Destroying, "no longer in error");
}

#[tokio::test]
async fn who_waits_behind_thousands_of_other_changes_is_still_answered() {
    let place = Installation::new(Duration::from_secs(30)).await;
    let other = place.started(NewSandbox::default()).await.id().unwrap();
    let mut changes = place.store.changes();
    let noise = async {
        let Change::Sandbox { after, .. } = changes.recv().await.unwrap() else { panic!("no sandbox was made") };
        // the runtime has one thread and this block never yields to it: the listener falls behind
        let store = place.store.clone();
        let writer = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                for count in 0..5000 {
                    store
                        .by(Actor::Harbor)
                        .change_sandbox(other, now(), move |row| row.note = Some(count.to_string()))
                        .await
                        .unwrap();
                }
                store.by(Actor::Harbor).change_sandbox(after.id, now(), run).await.unwrap();
            });
        });
        writer.join().unwrap();
    };
    let (created, ()) = tokio::join!(place.control.create_sandbox(&place.writer, NewSandbox::default()), noise);
    assert_eq!(created.unwrap().state(), SandboxState::Started);
}

#[tokio::test]
async fn a_name_is_free_as_soon_as_its_sandbox_is_to_go() {
    let place = Installation::new(BUDGET).await;
    let ephemeral = NewSandbox { auto_delete: Some(0), ..Installation::named("mine") };
    let first = place.started(ephemeral).await;
    let stopped = place.control.stop_sandbox(&place.writer, &first, false).await.unwrap();
    assert_eq!((stopped.state(), stopped.desired), (SandboxState::Destroying, Desired::Destroyed));
    let second = place.started(Installation::named("mine")).await;
    place.control.delete_sandbox(&place.deleter, &second).await.unwrap();
    let third = place.started(Installation::named("mine")).await;
    let taken = place.control.create_sandbox(&place.writer, Installation::named("mine")).await.unwrap_err();
    assert_eq!(taken.kind(), Kind::Conflict);
    let found = place.control.sandbox(&place.writer, &SandboxRef::new("mine")).await.unwrap();
    assert_eq!(Some(found.id), third.id());
}

#[tokio::test]
async fn a_deleted_sandbox_is_found_by_its_id_until_it_is_gone() {
    let place = Installation::new(BUDGET).await;
    let sandbox = place.started(Installation::named("mine")).await;
    assert_eq!(place.listed().await, 1);
    place.control.delete_sandbox(&place.deleter, &sandbox).await.unwrap();
    assert_eq!(place.state(&sandbox).await, Ok(SandboxState::Destroying));
    assert_eq!(place.state(&SandboxRef::new("mine")).await, Err(Kind::NotFound));
    assert_eq!(place.listed().await, 0);
    let again = place.control.delete_sandbox(&place.deleter, &sandbox).await.unwrap();
    assert_eq!(again.state(), SandboxState::Destroying);
    place.change(sandbox.id().unwrap(), |row| row.record(Outcome::Removed)).await;
    assert_eq!(place.state(&sandbox).await, Err(Kind::NotFound));
    let gone = place.control.delete_sandbox(&place.deleter, &sandbox).await.unwrap_err();
    assert_eq!(gone.kind(), Kind::NotFound);
}

#[tokio::test]
async fn a_stop_that_never_ends_does_not_keep_a_sandbox_for_ever() {
    let place = Installation::new(BUDGET).await;
    let sandbox = place.started(NewSandbox::default()).await;
    place.control.stop_sandbox(&place.writer, &sandbox, false).await.unwrap();
    let early = place.control.delete_sandbox(&place.deleter, &sandbox).await.unwrap_err();
    assert_eq!(early.kind(), Kind::Conflict);
    let minutes_ago = now() - Duration::from_mins(2);
    place.change(sandbox.id().unwrap(), move |row| row.last_activity_at = minutes_ago).await;
    let labels = [("a".to_owned(), "b".to_owned())].into();
    place.control.set_labels(&place.writer, &sandbox, labels).await.unwrap();
    let deleted = place.control.delete_sandbox(&place.deleter, &sandbox).await.unwrap();
    assert_eq!(deleted.state(), SandboxState::Destroying);
}

#[tokio::test]
async fn a_stopped_sandbox_starts_within_the_budget() {
    let place = Installation::new(BUDGET).await;
    let sandbox = place.started(NewSandbox::default()).await;
    let id = sandbox.id().unwrap();
    place.control.stop_sandbox(&place.writer, &sandbox, false).await.unwrap();
    place.change(id, exit).await;
    assert_eq!(place.state(&sandbox).await, Ok(SandboxState::Stopped));
    let mut changes = place.store.changes();
    let engine = async {
        changes.recv().await.unwrap();
        place.change(id, run).await;
    };
    let (started, ()) = tokio::join!(place.control.start_sandbox(&place.writer, &sandbox), engine);
    assert_eq!(started.unwrap().state(), SandboxState::Started);
}
