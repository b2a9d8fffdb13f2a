//! Images that organizations ask for: snapshots wait for them, and follow.

use std::time::Duration;

use harbor_control::sandboxes::{NewSandbox, SandboxImage};
use harbor_control::{NewImage, NewSnapshot};
use harbor_model::garbage::GarbageKind;
use harbor_model::images::Dockerfile;
use harbor_model::resources::Asked;
use harbor_model::sandboxes::SandboxState;
use harbor_model::snapshots::{Snapshot, SnapshotState};
use harbor_runner::pretend::{Act, Verb};
use harbor_runner::{Engine, EngineError};

use crate::installation::{Installation, refused};

const SOON: Duration = Duration::from_secs(5);
const DOCKERFILE: &str = "FROM a:1\nRUN true\n";

fn of(name: &str, source: NewImage) -> NewSnapshot {
    NewSnapshot { name: name.to_owned(), source, asked: Asked::default() }
}

fn pulled(name: &str, reference: &str) -> NewSnapshot {
    of(name, NewImage::Reference { reference: reference.to_owned(), entrypoint: None })
}

fn built(name: &str) -> NewSnapshot {
    of(name, NewImage::Dockerfile(DOCKERFILE.to_owned().into()))
}

async fn reaches(harbor: &Installation, name: &str, state: SnapshotState) -> Snapshot {
    let mut found = harbor.named(name).await.unwrap();
    for _ in 0..100 {
        if found.state == state {
            return found;
        }
        harbor.pass(Duration::from_millis(200)).await;
        // archives are put together by a thread, which works in real time
        tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_millis(10))).await.unwrap();
        found = harbor.named(name).await.unwrap();
    }
    panic!("{name} is {:?}: {:?}", found.state, found.error);
}

fn called(harbor: &Installation, verb: Verb) -> usize {
    harbor.engine.calls().iter().filter(|call| call.verb == verb).count()
}

#[tokio::test(start_paused = true)]
async fn an_image_is_pulled_kept_and_used_by_its_id() {
    let harbor = Installation::new().await;
    let made = harbor.create_snapshot(pulled("mine", "a/b:1")).await.unwrap();
    assert_eq!((made.state, made.image.as_str()), (SnapshotState::Pulling, "a/b:1"));
    let made = reaches(&harbor, "mine", SnapshotState::Active).await;
    assert_eq!(harbor.create_snapshot(pulled("second", "a/b:1")).await.unwrap().state, SnapshotState::Active);
    harbor.remove_snapshot("second").await;
    let id = made.image_id.clone().expect("the engine's id");
    let sandbox = harbor.create_from("mine").await.unwrap();
    assert_eq!(sandbox.origin.image, id);
    harbor.pass(SOON).await;
    assert!(harbor.engine.kept_images().contains(&id));

    // what is put aside is kept from nobody
    harbor.deactivate_snapshot("mine").await.unwrap();
    harbor.pass(SOON).await;
    assert!(!harbor.engine.kept_images().contains(&id));
    assert!(harbor.create_from("mine").await.unwrap_err().to_string().contains("inactive"));
    harbor.engine.remove_image("a/b:1");
    assert_eq!(harbor.activate_snapshot("mine").await.unwrap().state, SnapshotState::Pulling);
    reaches(&harbor, "mine", SnapshotState::Active).await;
    assert_eq!(called(&harbor, Verb::Pull), 2, "it is had once more");
    assert!(harbor.activate_snapshot("mine").await.unwrap_err().to_string().contains("already active"));
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_the_same_waits_for_the_same() {
    let harbor = Installation::new().await;
    harbor.engine.takes(Verb::Build, Duration::from_secs(30));
    let first = harbor.create_snapshot(built("one")).await.unwrap();
    let second = harbor.create_snapshot(built("two")).await.unwrap();
    assert_eq!((first.state, &second.image), (SnapshotState::Building, &first.image));
    assert_eq!(second.state, SnapshotState::Building, "it follows what goes on already");
    let sandbox = harbor.create_as(of_dockerfile()).await.unwrap();
    assert_eq!(
        (sandbox.state(), harbor.row(sandbox.id).await.state()),
        (SandboxState::PendingBuild, SandboxState::BuildingSnapshot)
    );
    harbor.delete(sandbox.id).await.unwrap();
    harbor.pass(Duration::from_secs(31)).await;
    let (one, two) = (reaches(&harbor, "one", SnapshotState::Active).await, harbor.named("two").await.unwrap());
    assert_eq!((two.state, two.image_id, called(&harbor, Verb::Build)), (SnapshotState::Active, one.image_id, 1));
    assert_eq!(harbor.create_snapshot(built("three")).await.unwrap().state, SnapshotState::Active);
    assert_eq!(called(&harbor, Verb::Build), 1, "it is on the engine");

    // the image goes with the last one that is made of it
    for name in ["one", "two"] {
        harbor.remove_snapshot(name).await;
    }
    harbor.pass(SOON).await;
    assert_eq!(harbor.engine.built_images().await.unwrap(), [first.image]);
    harbor.remove_snapshot("three").await;
    harbor.pass(SOON).await;
    assert_eq!(harbor.engine.built_images().await.unwrap(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_had_says_why_and_can_be_asked_for_again() {
    let harbor = Installation::new().await;
    harbor.engine.next(Verb::Pull, Act::Fail(refused()));
    harbor.create_snapshot(pulled("mine", "a/b:1")).await.unwrap();
    let failed = reaches(&harbor, "mine", SnapshotState::Error).await;
    assert!(failed.error.as_ref().is_some_and(|error| error.ends_with(": no")), "{failed:?}");
    assert!(harbor.activate_snapshot("mine").await.is_err());
    harbor.create_snapshot(pulled("mine", "a/b:1")).await.unwrap_err();
    harbor.remove_snapshot("mine").await;
    harbor.create_snapshot(pulled("mine", "a/b:1")).await.unwrap();
    reaches(&harbor, "mine", SnapshotState::Active).await;

    harbor.engine.next(Verb::Build, Act::Fail(refused()));
    harbor.create_snapshot(built("built")).await.unwrap();
    let failed = reaches(&harbor, "built", SnapshotState::BuildFailed).await;
    assert!(failed.error.is_some());
    let said = harbor.build_log("built").await;
    assert!(said.starts_with("Step 1/1 : pretend\n") && said.ends_with(": no\n"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_does_not_answer_and_a_crash_only_delay_it() {
    let mut harbor = Installation::new().await;
    harbor.engine.unplug();
    let made = harbor.create_snapshot(built("mine")).await.unwrap();
    assert_eq!(made.state, SnapshotState::Pending);
    harbor.idle(Duration::from_mins(2)).await;
    assert_eq!(harbor.named("mine").await.unwrap().state, SnapshotState::Pending);
    harbor.engine.takes(Verb::Build, Duration::from_secs(30));
    harbor.engine.plug_in();
    harbor.pass(Duration::from_secs(10)).await;
    harbor.restart().await;
    harbor.pass(Duration::from_secs(40)).await;
    assert_eq!(reaches(&harbor, "mine", SnapshotState::Active).await.error, None);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_ever() {
    let harbor = Installation::new().await;
    harbor.engine.takes(Verb::Build, Duration::from_hours(3));
    harbor.create_snapshot(built("mine")).await.unwrap();
    harbor.idle(Duration::from_mins(61)).await;
    let failed = reaches(&harbor, "mine", SnapshotState::BuildFailed).await;
    assert!(failed.error.is_some_and(|error| error.contains("60 minutes")));

    harbor.engine.unplug();
    harbor.create_snapshot(pulled("other", "a/b:1")).await.unwrap();
    harbor.idle(Duration::from_mins(61)).await;
    reaches(&harbor, "other", SnapshotState::Error).await;
}

#[tokio::test(start_paused = true)]
async fn a_build_that_nobody_wants_any_more_is_given_up() {
    let harbor = Installation::new().await;
    harbor.engine.takes(Verb::Build, Duration::from_mins(30));
    harbor.create_snapshot(built("mine")).await.unwrap();
    harbor.pass(SOON).await;
    harbor.remove_snapshot("mine").await;
    harbor.pass(SOON).await;
    let under_way = harbor.report("images").under_way;
    assert!(under_way.is_empty(), "{under_way:?}");
    harbor.idle(Duration::from_mins(31)).await;
    assert_eq!(harbor.engine.built_images().await.unwrap(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn the_registry_that_says_most_of_the_reference_is_logged_in_to() {
    let harbor = Installation::new().await;
    for (url, username) in [("https://r.test", "all"), ("r.test/team", "team"), ("other.test", "other")] {
        harbor.registry(url, username).await;
    }
    for (number, (reference, username)) in
        [("r.test/team/app:1", Some("team")), ("r.test/teams/app:1", Some("all")), ("else.test/app:1", None)]
            .into_iter()
            .enumerate()
    {
        let before = harbor.engine.logins().len();
        let name = format!("mine-{number}");
        harbor.create_snapshot(pulled(&name, reference)).await.unwrap();
        reaches(&harbor, &name, SnapshotState::Active).await;
        let used: Vec<_> = harbor.engine.logins().split_off(before);
        assert_eq!(
            used.iter().map(|login| &*login.username).collect::<Vec<_>>(),
            Vec::from_iter(username),
            "{reference}"
        );
        assert!(used.iter().all(|login| login.password.reveal() == "secret" && !login.registry.contains("://")));
    }
    let before = harbor.engine.logins().len();
    harbor.create_snapshot(built("built")).await.unwrap();
    reaches(&harbor, "built", SnapshotState::Active).await;
    let used = harbor.engine.logins().split_off(before);
    let mut used: Vec<&str> = used.iter().map(|login| &*login.username).collect();
    used.sort_unstable();
    assert_eq!(used, ["PUSHA", "all", "other", "team"], "the engine chooses for each base image");
}

#[tokio::test(start_paused = true)]
async fn an_image_of_ones_own_registry_is_called_what_it_was_asked_for_by() {
    let harbor = Installation::new().await;
    harbor.registry("daytona-registry:6000", "another").await;
    harbor.create_snapshot(pulled("mine", "daytona-registry:6000/team/app:1.0")).await.unwrap();
    reaches(&harbor, "mine", SnapshotState::Active).await;
    let by_digest = format!("127.0.0.1:35009/team/app@sha256:{}", "0".repeat(64));
    let pulled_one = Engine::image(&harbor.engine, &by_digest).await.unwrap().unwrap();
    let named = Engine::image(&harbor.engine, "daytona-registry:6000/team/app:1.0").await.unwrap().unwrap();
    assert_eq!(named.id, pulled_one.id);
    assert_eq!(harbor.engine.logins().last().unwrap().username, "PUSHA");

    // not even if the engine has it
    let theirs = "daytona-registry:6000/theirs/app:1.0";
    harbor.engine.name_image(&named.id, theirs).await.unwrap();
    harbor.create_snapshot(pulled("theirs", theirs)).await.unwrap();
    let failed = reaches(&harbor, "theirs", SnapshotState::Error).await;
    assert!(failed.error.is_some_and(|error| error.ends_with("it is another organization's")));

    harbor.create_snapshot(pulled("none", "daytona-registry:6000/missing:1.0")).await.unwrap();
    let failed = reaches(&harbor, "none", SnapshotState::Error).await;
    assert!(failed.error.is_some_and(|error| error.ends_with("nothing was pushed as missing:1.0")));
}

#[tokio::test(start_paused = true)]
async fn a_build_copies_from_what_was_uploaded() {
    let harbor = Installation::new().await;
    let of_uploads = |name: &str, contexts: &[&str]| {
        let contexts = contexts.iter().map(|&context| context.to_owned()).collect();
        of(name, NewImage::Dockerfile(Dockerfile { text: DOCKERFILE.to_owned(), contexts }))
    };
    harbor.create_snapshot(of_uploads("missing", &["ab12"])).await.unwrap();
    let missing = reaches(&harbor, "missing", SnapshotState::BuildFailed).await.error.unwrap();
    assert!(missing.contains("ab12") && missing.contains("not uploaded"), "{missing}");
    assert_eq!(called(&harbor, Verb::Build), 0);

    harbor.uploads.put("ab12", b"this is no archive".repeat(100));
    harbor.create_snapshot(of_uploads("broken", &["ab12"])).await.unwrap();
    let broken = reaches(&harbor, "broken", SnapshotState::BuildFailed).await.error.unwrap();
    assert!(broken.contains("ab12") && broken.contains("cannot be used"), "{broken}");

    for (name, content) in [("ab12", "first"), ("cd34", "second")] {
        let mut archive = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, content, content.as_bytes()).unwrap();
        harbor.uploads.put(name, archive.into_inner().unwrap());
    }
    harbor.create_snapshot(of_uploads("both", &["cd34", "ab12"])).await.unwrap();
    let both = reaches(&harbor, "both", SnapshotState::Active).await;
    let context = harbor.engine.last_context();
    let names: Vec<String> = tar::Archive::new(&*context)
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().path().unwrap().display().to_string())
        .collect();
    assert_eq!(names, ["first", "second", "Dockerfile"]);
    let same = harbor.create_snapshot(of_uploads("same", &["ab12", "cd34"])).await.unwrap();
    assert_eq!((same.state, &same.image), (SnapshotState::Active, &both.image), "in whatever order they are named");
    assert_ne!(harbor.create_snapshot(of_uploads("one", &["ab12"])).await.unwrap().image, both.image);
}

#[tokio::test(start_paused = true)]
async fn what_is_there_waits_for_no_build() {
    let harbor = Installation::new().await;
    harbor.create_snapshot(pulled("there", "a/b:1")).await.unwrap();
    reaches(&harbor, "there", SnapshotState::Active).await;
    harbor.engine.takes(Verb::Build, Duration::from_mins(50));
    for number in 0..4 {
        let dockerfile = format!("{DOCKERFILE}RUN {number}\n");
        harbor.create_snapshot(of(&format!("slow-{number}"), NewImage::Dockerfile(dockerfile.into()))).await.unwrap();
    }
    assert_eq!(harbor.create_snapshot(pulled("again", "a/b:1")).await.unwrap().state, SnapshotState::Active);
    // the others have their turn
    harbor.idle(Duration::from_mins(101)).await;
    reaches(&harbor, "slow-3", SnapshotState::Active).await;
    assert_eq!(harbor.engine.most_at_once(Verb::Build), 2);
}

#[tokio::test(start_paused = true)]
async fn an_image_that_somebody_removed_is_had_again() {
    let harbor = Installation::new().await;
    harbor.create_snapshot(pulled("mine", "a/b:1")).await.unwrap();
    let id = reaches(&harbor, "mine", SnapshotState::Active).await.image_id.unwrap();
    harbor.pass(SOON).await;
    harbor.engine.remove_image("a/b:1");
    harbor.engine.next(Verb::KeepImages, Act::Fail(EngineError::ImageMissing { image: id }));
    harbor.idle(Duration::from_mins(61)).await;
    reaches(&harbor, "mine", SnapshotState::Active).await;
    assert_eq!(called(&harbor, Verb::Pull), 2);
    assert_eq!(harbor.create_from("mine").await.unwrap().state(), SandboxState::Started);
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_goes_before_the_sandbox_of_it_is_made() {
    let harbor = Installation::new().await;
    harbor.create_snapshot(built("mine")).await.unwrap();
    reaches(&harbor, "mine", SnapshotState::Active).await;
    harbor.engine.takes(Verb::Create, Duration::from_secs(19));
    let sandbox = harbor.create_from("mine").await.unwrap();
    harbor.remove_snapshot("mine").await;
    harbor.pass(SOON).await;
    assert!(harbor.engine.kept_images().contains(&sandbox.origin.image), "it is still to be made of it");
    harbor.reaches(sandbox.id, SandboxState::Started, SOON * 3).await;
}

fn made_of(image: SandboxImage) -> NewSandbox {
    NewSandbox { image: Some(image), ..NewSandbox::default() }
}

fn of_dockerfile() -> NewSandbox {
    made_of(SandboxImage::Dockerfile(DOCKERFILE.to_owned().into()))
}

#[tokio::test(start_paused = true)]
async fn a_sandbox_waits_for_its_build_and_the_next_one_does_not() {
    let mut harbor = Installation::new().await;
    harbor.engine.takes(Verb::Build, Duration::from_secs(30));
    let made = harbor.create_as(of_dockerfile()).await.unwrap();
    assert_eq!(made.state(), SandboxState::PendingBuild, "which is how clients know that there is a build");
    harbor.reaches(made.id, SandboxState::BuildingSnapshot, SOON).await;
    assert!(harbor.start(made.id).await.unwrap_err().to_string().contains("building_snapshot"));
    harbor.restart().await;
    harbor.reaches(made.id, SandboxState::Started, Duration::from_mins(1)).await;
    let row = harbor.row(made.id).await;
    let recipe = row.origin.build.clone().unwrap();
    assert_eq!((row.origin.image, recipe.dockerfile.as_str()), (format!("sha256:of {}", recipe.reference), DOCKERFILE));

    let builds = called(&harbor, Verb::Build);
    let next = harbor.create_as(of_dockerfile()).await.unwrap();
    assert_eq!((next.state(), called(&harbor, Verb::Build)), (SandboxState::Started, builds));
    assert!(harbor.engine.built_images().await.unwrap().contains(&recipe.reference));
    let plain = harbor.create_as(made_of(SandboxImage::Reference("a/b:1".to_owned()))).await.unwrap();
    let dockerfile = harbor.row(plain.id).await.origin.build.unwrap().dockerfile;
    assert_eq!(dockerfile, "FROM a/b:1\n");
    let odd = made_of(SandboxImage::Reference("a\nRUN evil".to_owned()));
    assert!(harbor.create_as(odd).await.unwrap_err().to_string().contains("cannot be the name"));
}

#[tokio::test(start_paused = true)]
async fn a_sandbox_whose_build_fails_says_why() {
    let harbor = Installation::new().await;
    harbor.engine.next(Verb::Build, Act::Fail(refused()));
    let made = harbor.create_as(of_dockerfile()).await.unwrap();
    assert_eq!(made.state(), SandboxState::PendingBuild);
    harbor.reaches(made.id, SandboxState::BuildFailed, SOON).await;
    let failure = harbor.row(made.id).await.failure.unwrap();
    assert!(failure.reason.ends_with(": no") && !failure.recoverable, "{failure:?}");
    harbor.start(made.id).await.unwrap_err();
    harbor.recover(made.id, true).await.unwrap_err();
    harbor.delete(made.id).await.unwrap();
    harbor.reaches(made.id, SandboxState::Destroyed, SOON).await;
    let again = harbor.create_as(of_dockerfile()).await.unwrap();
    harbor.reaches(again.id, SandboxState::Started, SOON).await;
}

#[tokio::test(start_paused = true)]
async fn a_sandbox_is_deleted_while_its_image_is_built_and_the_build_with_it() {
    let harbor = Installation::new().await;
    harbor.engine.takes(Verb::Build, Duration::from_mins(30));
    let (one, two) =
        (harbor.create_as(of_dockerfile()).await.unwrap(), harbor.create_as(of_dockerfile()).await.unwrap());
    for (id, under_way) in [(one.id, 1), (two.id, 0)] {
        harbor.delete(id).await.unwrap();
        harbor.reaches(id, SandboxState::Destroyed, SOON).await;
        harbor.pass(SOON).await;
        assert_eq!(harbor.report("images").under_way.len(), under_way);
    }
    assert_eq!(harbor.engine.built_images().await.unwrap(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn an_image_that_was_built_for_sandboxes_alone_is_kept_for_a_week() {
    let harbor = Installation::new().await;
    let made = harbor.create_as(of_dockerfile()).await.unwrap();
    harbor.reaches(made.id, SandboxState::Started, SOON).await;
    harbor.delete(made.id).await.unwrap();
    harbor.reaches(made.id, SandboxState::Destroyed, SOON).await;
    harbor.clock.pass(Duration::from_hours(6 * 24));
    harbor.idle(Duration::from_mins(61)).await;
    assert_eq!(harbor.engine.built_images().await.unwrap().len(), 1);
    harbor.clock.pass(Duration::from_hours(24));
    harbor.idle(Duration::from_mins(61)).await;
    harbor.pass(SOON).await;
    assert_eq!(harbor.engine.built_images().await.unwrap(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_a_collection_need_not_wait_a_week() {
    let harbor = Installation::new().await;
    let made = harbor.create_as(of_dockerfile()).await.unwrap();
    harbor.reaches(made.id, SandboxState::Started, SOON).await;
    let hour = Duration::from_hours(1);
    let images = async |at_least, rehearse| {
        let collected = harbor.collect_garbage(at_least, rehearse).await;
        let images = collected.into_iter().find(|found| found.kind == GarbageKind::BuiltImages).unwrap();
        (images.count, images.bytes)
    };
    harbor.clock.pass(2 * hour);
    assert_eq!(images(hour, true).await, (0, 0), "a sandbox is made of it");
    harbor.delete(made.id).await.unwrap();
    harbor.reaches(made.id, SandboxState::Destroyed, SOON).await;
    assert_eq!(images(24 * hour, false).await, (0, 0), "somebody needed it today");
    let told = images(hour, true).await;
    assert_eq!(told, (1, 1 << 20));
    assert_eq!(harbor.engine.built_images().await.unwrap().len(), 1);
    assert_eq!(images(hour, false).await, told);
    assert_eq!(harbor.engine.built_images().await.unwrap(), [""; 0]);
    assert_eq!(images(hour, false).await, (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_is_nearly_full_keeps_nothing_for_a_week() {
    let harbor = Installation::new().await;
    let made = harbor.create_as(of_dockerfile()).await.unwrap();
    harbor.reaches(made.id, SandboxState::Started, SOON).await;
    harbor.uploads.run_short_of_space();
    harbor.clock.pass(Duration::from_hours(2));
    harbor.idle(Duration::from_mins(6)).await;
    assert_eq!(harbor.engine.built_images().await.unwrap().len(), 1, "a sandbox is made of it");
    harbor.delete(made.id).await.unwrap();
    harbor.reaches(made.id, SandboxState::Destroyed, SOON).await;
    harbor.idle(Duration::from_mins(6)).await;
    harbor.pass(SOON).await;
    assert_eq!(harbor.engine.built_images().await.unwrap(), [""; 0]);
}
