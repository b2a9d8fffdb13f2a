//! What every engine does.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::StreamExt;
use harbor_model::ids::{ContainerId, LayerId, SandboxId, VolumeId};
use harbor_model::sandboxes::FoundSandbox;
use harbor_model::volumes::Mount;
use harbor_runner::fixture::{Subject, configuration, eventually};
use harbor_runner::{DialError, EngineError, Event, SandboxSpec, Storing};

const GRACE: Duration = Duration::from_secs(5);

pub(super) async fn a_sandbox_lives_stops_and_lives_again(subject: &impl Subject) {
    let (engine, spec) = (subject.engine(), subject.spec());
    let id = spec.id;
    assert_eq!(subject.found(&id).await, None);

    engine.reserve(&id).await.unwrap();
    engine.reserve(&id).await.unwrap();
    assert_eq!(subject.found(&id).await, None);

    let container = engine.create(&spec).await.unwrap();
    assert_eq!(engine.create(&spec).await.unwrap(), container);
    assert_eq!(subject.found(&id).await, Some(FoundSandbox::Made(container.clone())));

    let boot = engine.start(&id, &container).await.unwrap();
    assert_eq!(engine.start(&id, &container).await.unwrap(), boot);
    let running = FoundSandbox::Running { container: container.clone(), boot: boot.clone(), connected: true };
    assert_eq!(subject.found(&id).await, Some(running));

    let configured = engine.configure(&id, &container, &configuration("first")).await.unwrap();
    assert_eq!(configured.protocol, harbor_protocol::toolbox::PROTOCOL);
    engine.configure(&id, &container, &configuration("first")).await.unwrap();
    subject.listen(&id, 3000).await;
    engine.dial(&id, 3000).await.unwrap();
    assert!(matches!(engine.dial(&id, 3001).await, Err(DialError::Refused(3001))));

    engine.stop(&id, &container, GRACE).await.unwrap();
    engine.stop(&id, &container, GRACE).await.unwrap();
    let found = subject.found(&id).await;
    assert!(matches!(found, Some(FoundSandbox::Exited { connected: true, .. })), "{found:?}");
    assert!(engine.dial(&id, 3000).await.is_err());

    let second = engine.start(&id, &container).await.unwrap();
    assert_ne!(second, boot);
    engine.configure(&id, &container, &configuration("second")).await.unwrap();
    assert!(matches!(engine.dial(&id, 3000).await, Err(DialError::Refused(3000))), "its processes are gone");

    engine.remove(&id).await.unwrap();
    engine.remove(&id).await.unwrap();
    assert_eq!(subject.found(&id).await, None);
}

pub(super) async fn a_restarted_harbor_goes_on_where_the_old_one_was(subject: &impl Subject) {
    let (id, container, boot) = subject.started().await;
    let engine = subject.again().await;
    let running = FoundSandbox::Running { container: container.clone(), boot, connected: true };
    assert_eq!(engine.find(&id).await.unwrap().sandbox, Some(running));
    engine.configure(&id, &container, &configuration("token")).await.unwrap();

    let engine = subject.again().await;
    engine.stop(&id, &container, GRACE).await.unwrap();
    let engine = subject.again().await;
    engine.start(&id, &container).await.unwrap();
    engine.configure(&id, &container, &configuration("token")).await.unwrap();
}

pub(super) async fn a_token_is_changed_with_the_one_in_force(subject: &impl Subject) {
    let (id, container, _) = subject.started().await;
    let engine = subject.engine();
    let refused = engine.configure(&id, &container, &configuration("guessed")).await;
    assert!(matches!(refused, Err(EngineError::ToolboxRefused { status: 401, .. })), "{refused:?}");
    let mut change = configuration("other");
    change.previous = Some(configuration("token").token);
    engine.configure(&id, &container, &change).await.unwrap();
    // the same again, as after a crash: the old token is no longer in force
    engine.configure(&id, &container, &change).await.unwrap();
}

pub(super) async fn an_infra_that_died_is_seen_and_replaced_by_stop_and_start(subject: &impl Subject) {
    let (id, container, _) = subject.started().await;
    let engine = subject.engine();
    let connected = async || match subject.found(&id).await {
        Some(FoundSandbox::Running { connected, .. }) => connected,
        other => panic!("{other:?}"),
    };
    subject.kill_infra(&id).await;
    assert!(!connected().await);
    engine.stop(&id, &container, GRACE).await.unwrap();
    engine.start(&id, &container).await.unwrap();
    engine.configure(&id, &container, &configuration("token")).await.unwrap();
    assert!(connected().await);
}

pub(super) async fn a_reserved_infra_that_died_is_started_again(subject: &impl Subject) {
    let (engine, spec) = (subject.engine(), subject.spec());
    engine.reserve(&spec.id).await.unwrap();
    subject.kill_infra(&spec.id).await;
    let container = engine.create(&spec).await.unwrap();
    engine.start(&spec.id, &container).await.unwrap();
    engine.configure(&spec.id, &container, &configuration("token")).await.unwrap();
}

pub(super) async fn a_made_sandbox_whose_infra_was_removed_is_made_again(subject: &impl Subject) {
    let (engine, spec) = (subject.engine(), subject.spec());
    let first = engine.create(&spec).await.unwrap();
    subject.lose_infra(&spec.id).await;
    let refused = engine.start(&spec.id, &first).await;
    assert!(matches!(refused, Err(EngineError::InfraGone { .. })), "{refused:?}");
    assert_eq!(subject.found(&spec.id).await, None);
    let second = engine.create(&spec).await.unwrap();
    assert_ne!(first, second);
    engine.start(&spec.id, &second).await.unwrap();
    engine.configure(&spec.id, &second, &configuration("token")).await.unwrap();
}

pub(super) async fn a_sandbox_that_ends_on_its_own_shows_its_exit_code(subject: &impl Subject) {
    let (id, ..) = subject.started().await;
    subject.kill(&id).await;
    eventually("seen as ended", || async {
        matches!(subject.found(&id).await, Some(FoundSandbox::Exited { code: 137, connected: true, .. }))
    })
    .await;
}

pub(super) async fn a_paused_sandbox_goes_on_and_can_be_ended(subject: &impl Subject) {
    let (id, container, boot) = subject.started().await;
    let engine = subject.engine();
    let frozen = FoundSandbox::Frozen { container: container.clone(), boot: boot.clone(), connected: true };
    engine.pause(&id, &container).await.unwrap();
    engine.pause(&id, &container).await.unwrap();
    assert_eq!(subject.found(&id).await, Some(frozen.clone()));
    assert_eq!(engine.start(&id, &container).await.unwrap(), boot, "its processes are the same");
    // by somebody else
    subject.pause(&id).await;
    assert_eq!(subject.found(&id).await, Some(frozen));
    assert_eq!(engine.start(&id, &container).await.unwrap(), boot, "its processes are the same");
    engine.configure(&id, &container, &configuration("token")).await.unwrap();
    subject.pause(&id).await;
    engine.stop(&id, &container, Duration::from_secs(1)).await.unwrap();
    let found = subject.found(&id).await;
    assert!(matches!(found, Some(FoundSandbox::Exited { connected: true, .. })), "{found:?}");
    assert_ne!(engine.start(&id, &container).await.unwrap(), boot);
    subject.pause(&id).await;
    engine.remove(&id).await.unwrap();
    assert_eq!(subject.found(&id).await, None);
}

pub(super) async fn a_sandbox_that_sleeps_wakes_as_after_a_start(subject: &impl Subject) {
    let (id, container, boot) = subject.started().await;
    let engine = subject.engine();
    subject.listen(&id, 3000).await;
    let asleep = FoundSandbox::Frozen { container: container.clone(), boot: boot.clone(), connected: true };
    engine.sleep(&id, &container, GRACE).await.unwrap();
    assert_eq!(subject.found(&id).await, Some(asleep.clone()));
    // again, as after a crash
    engine.sleep(&id, &container, GRACE).await.unwrap();
    assert_eq!(subject.found(&id).await, Some(asleep));
    let woken = engine.start(&id, &container).await.unwrap();
    assert_eq!(woken, boot, "its container never ended");
    engine.configure(&id, &container, &configuration("another token")).await.unwrap();
    assert!(matches!(engine.dial(&id, 3000).await, Err(DialError::Refused(3000))), "its processes are gone");

    engine.sleep(&id, &container, GRACE).await.unwrap();
    if let Some(woken) = engine.wake(&id, &container, &configuration("a third token")).await.unwrap() {
        assert!(matches!(engine.dial(&id, 3000).await, Err(DialError::Refused(3000))), "it goes on already");
        woken.engine_answered.await;
    } else {
        engine.start(&id, &container).await.unwrap();
        engine.configure(&id, &container, &configuration("a third token")).await.unwrap();
    }
    let running = FoundSandbox::Running { container: container.clone(), boot, connected: true };
    assert_eq!(subject.found(&id).await.as_ref(), Some(&running));
    let woken = engine.wake(&id, &container, &configuration("none")).await.unwrap();
    assert!(woken.is_none(), "it does not sleep");
    subject.pause(&id).await;
    subject.found(&id).await;
    if let Some(woken) = engine.wake(&id, &container, &configuration("a third token")).await.unwrap() {
        woken.engine_answered.await;
    } else {
        engine.start(&id, &container).await.unwrap();
    }
    assert_eq!(subject.found(&id).await, Some(running));

    engine.stop(&id, &container, GRACE).await.unwrap();
    assert!(engine.sleep(&id, &container, GRACE).await.is_err(), "what does not run cannot sleep");
    let found = subject.found(&id).await;
    assert!(matches!(found, Some(FoundSandbox::Exited { connected: true, .. })), "{found:?}");
    engine.start(&id, &container).await.unwrap();
    engine.configure(&id, &container, &configuration("token")).await.unwrap();
    engine.sleep(&id, &container, Duration::ZERO).await.unwrap();
    engine.remove(&id).await.unwrap();
    assert_eq!(subject.found(&id).await, None);
}

pub(super) async fn a_sandbox_that_lost_its_infra_is_made_anew(subject: &impl Subject) {
    let (id, container, _) = subject.started().await;
    let engine = subject.engine();
    assert!(subject.write(&id, 1).await);
    subject.lose_infra(&id).await;
    let found = subject.found(&id).await;
    assert!(matches!(found, Some(FoundSandbox::Running { connected: false, .. })), "{found:?}");
    let spec = SandboxSpec { id, ..subject.spec() };

    let running = engine.remake(&spec, &container).await;
    assert!(matches!(&running, Err(EngineError::Conflict { .. })), "a running one is not remade: {running:?}");
    engine.stop(&id, &container, GRACE).await.unwrap();
    let refused = engine.start(&id, &container).await;
    assert!(matches!(refused, Err(EngineError::InfraGone { .. })), "{refused:?}");

    let anew = engine.remake(&spec, &container).await.unwrap();
    assert_ne!(anew, container);
    assert_eq!(subject.found(&id).await, Some(FoundSandbox::Made(anew.clone())));
    // it holds files although it never ran
    subject.lose_infra(&id).await;
    let kept = FoundSandbox::Exited { container: anew.clone(), code: 0, connected: false };
    assert_eq!(subject.found(&id).await, Some(kept));
    let again = engine.remake(&spec, &anew).await.unwrap();
    engine.start(&id, &again).await.unwrap();
    engine.configure(&id, &again, &configuration("token")).await.unwrap();
    assert_eq!(subject.marks(&id).await, Some(vec![1]));
}

pub(super) async fn files_are_stored_and_brought_back(subject: &impl Subject) {
    let (id, container, boot) = subject.started().await;
    let engine = subject.engine();
    let running = FoundSandbox::Running { container: container.clone(), boot: boot.clone(), connected: true };
    let frozen = FoundSandbox::Frozen { container: container.clone(), boot: boot.clone(), connected: true };
    let layer = LayerId::random();
    assert_eq!(engine.layers().await.unwrap(), []);
    assert_eq!(subject.marks(&id).await, Some(vec![]));
    assert!(subject.write(&id, 1).await);
    let stored = engine.save(&id, &container, &layer, Storing::Kept, true).await.unwrap();
    assert_eq!(stored.id, layer);
    assert_eq!(subject.found(&id).await, Some(running.clone()), "it goes on");
    // one that an attempt before this one left frozen
    engine.pause(&id, &container).await.unwrap();
    assert!(!subject.write(&id, 3).await, "it is frozen");
    engine.save(&id, &container, &layer, Storing::Kept, true).await.unwrap();
    assert_eq!(subject.found(&id).await, Some(running));
    assert!(subject.write(&id, 2).await);
    engine.pause(&id, &container).await.unwrap();
    engine.save(&id, &container, &LayerId::random(), Storing::Kept, false).await.unwrap();
    assert_eq!(subject.found(&id).await, Some(frozen), "it stays frozen");
    engine.stop(&id, &container, Duration::from_secs(1)).await.unwrap();
    let stopped = engine.save(&id, &container, &LayerId::random(), Storing::ReadOnce, false).await.unwrap();
    assert!(matches!(subject.found(&id).await, Some(FoundSandbox::Exited { connected: true, .. })));
    assert_eq!(engine.layers().await.unwrap().len(), 3);

    engine.remove(&id).await.unwrap();
    for (id, layer, marks) in [(id, stopped, vec![1, 2]), (SandboxId::random(), stored.clone(), vec![1])] {
        let spec = SandboxSpec { id, filling: Some(layer), ..subject.spec() };
        let container = engine.create(&spec).await.unwrap();
        assert_eq!(engine.create(&spec).await.unwrap(), container);
        assert_eq!(subject.found(&id).await, Some(FoundSandbox::Made(container.clone())));
        engine.start(&id, &container).await.unwrap();
        engine.configure(&id, &container, &configuration("token")).await.unwrap();
        assert_eq!(subject.marks(&id).await, Some(marks));
    }
    for layer in engine.layers().await.unwrap() {
        engine.discard(&layer).await.unwrap();
        engine.discard(&layer).await.unwrap();
    }
    assert_eq!(engine.layers().await.unwrap(), []);
    let spec = SandboxSpec { filling: Some(stored), ..subject.spec() };
    let refused = engine.create(&spec).await;
    assert!(matches!(refused, Err(EngineError::Files { .. })), "{refused:?}");
    assert_eq!(subject.found(&spec.id).await, None, "what is not complete is not there");
    engine.remove(&spec.id).await.unwrap();
}

pub(super) async fn volumes_outlive_the_sandboxes_that_have_them(subject: &impl Subject) {
    let (engine, volume) = (subject.engine(), VolumeId::random());
    assert_eq!(engine.volumes().await.unwrap(), []);
    engine.remove_volume(&volume).await.unwrap();
    for _ in 0..2 {
        let spec = SandboxSpec { mounts: vec![Mount::checked(volume, "/v", None).unwrap()], ..subject.spec() };
        let container = engine.create(&spec).await.unwrap();
        engine.start(&spec.id, &container).await.unwrap();
        assert_eq!(engine.volumes().await.unwrap(), [volume]);
        engine.remove(&spec.id).await.unwrap();
    }
    assert_eq!(subject.again().await.volumes().await.unwrap(), [volume]);
    engine.remove_volume(&volume).await.unwrap();
    assert_eq!(engine.volumes().await.unwrap(), []);
}

pub(super) async fn a_lost_sandbox_is_not_found(subject: &impl Subject) {
    let (id, container, _) = subject.started().await;
    subject.lose(&id).await;
    assert_eq!(subject.found(&id).await, None);
    let refused = subject.engine().start(&id, &container).await;
    assert!(matches!(refused, Err(EngineError::NotFound { .. })), "{refused:?}");
    subject.engine().stop(&id, &container, GRACE).await.unwrap();
    let listing = subject.engine().list().await.unwrap();
    assert!(listing.held.iter().any(|held| held.sandbox == id && held.found.sandbox.is_none() && held.infra.is_some()));
    subject.engine().remove(&id).await.unwrap();
    assert!(subject.engine().list().await.unwrap().held.is_empty());
}

pub(super) async fn what_does_not_exist_is_removed_and_stopped_without_a_word(subject: &impl Subject) {
    let (engine, id, none) = (subject.engine(), SandboxId::random(), ContainerId::new("harbor-none"));
    engine.remove(&id).await.unwrap();
    engine.stop(&id, &none, GRACE).await.unwrap();
    assert!(matches!(engine.start(&id, &none).await, Err(EngineError::NotFound { .. })));
}

pub(super) async fn a_missing_image_is_named(subject: &impl Subject) {
    let engine = subject.engine();
    let spec = SandboxSpec { image: "harbor-test/none:1".to_owned(), ..subject.spec() };
    let refused = engine.create(&spec).await.unwrap_err();
    assert!(matches!(&refused, EngineError::ImageMissing { image } if *image == spec.image), "{refused:?}");
    assert_eq!(engine.image(&spec.image).await.unwrap(), None);
    assert!(engine.image(&subject.image()).await.unwrap().is_some());
}

pub(super) async fn the_listing_shows_everything(subject: &impl Subject) {
    let engine = subject.engine();
    assert_eq!(engine.list().await.unwrap().held, []);
    let (running, ..) = subject.started().await;
    let (stopped, container, _) = subject.started().await;
    engine.stop(&stopped, &container, GRACE).await.unwrap();
    let reserved = SandboxId::random();
    engine.reserve(&reserved).await.unwrap();
    let (orphaned, ..) = subject.started().await;
    subject.lose_infra(&orphaned).await;

    let listing = subject.again().await.list().await.unwrap();
    assert!(listing.unclear.is_empty(), "{listing:?}");
    let ids: BTreeSet<_> = listing.held.iter().map(|held| held.sandbox).collect();
    assert_eq!(ids, BTreeSet::from([running, stopped, reserved, orphaned]));
    for held in listing.held {
        let seen = (held.found.sandbox, held.infra.as_ref().map(|infra| infra.running));
        let fine = match held.sandbox {
            id if id == running => matches!(seen, (Some(FoundSandbox::Running { connected: true, .. }), Some(true))),
            id if id == stopped => matches!(seen, (Some(FoundSandbox::Exited { connected: true, .. }), Some(false))),
            id if id == reserved => matches!(seen, (None, Some(true))),
            _ => matches!(seen, (Some(FoundSandbox::Running { connected: false, .. }), None)),
        };
        assert!(fine, "{seen:?}");
    }
}

/// With its events read, an engine's second listing is as true as its first.
pub(super) async fn a_listing_follows_what_happens(subject: &impl Subject) {
    let engine = subject.engine();
    let mut events = engine.events();
    assert_eq!(events.next().await, Some(Event::Reconnected));
    let (id, container, first) = subject.started().await;
    let boot = async || match engine.list().await.unwrap().held.pop().and_then(|held| held.found.sandbox) {
        Some(FoundSandbox::Running { boot, .. }) => Some(boot),
        _ => None,
    };
    assert_eq!(boot().await, Some(first.clone()));
    assert_eq!(boot().await, Some(first.clone()));
    // by another harbor, so that this engine is told by its events alone
    let other = subject.again().await;
    other.stop(&id, &container, GRACE).await.unwrap();
    assert_eq!(boot().await, None);
    let second = other.start(&id, &container).await.unwrap();
    while let Ok(Some(_)) = tokio::time::timeout(Duration::from_secs(1), events.next()).await {}
    assert_ne!(first, second);
    assert_eq!(boot().await, Some(second));
}

pub(super) async fn changes_are_told(subject: &impl Subject) {
    let engine = subject.engine();
    let mut events = engine.events();
    assert_eq!(events.next().await, Some(Event::Reconnected));
    let (id, ..) = subject.started().await;
    subject.kill(&id).await;
    let mut changes = 0;
    while let Ok(Some(event)) = tokio::time::timeout(Duration::from_secs(2), events.next()).await {
        assert_eq!(event, Event::Changed(id));
        changes += 1;
    }
    // made, started, ended
    assert!(changes >= 3, "{changes}");
    engine.remove(&id).await.unwrap();
    assert_eq!(events.next().await, Some(Event::Changed(id)));
}
