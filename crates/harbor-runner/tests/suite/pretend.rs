//! The pretend engine as the suite's subject, and what only it can show: the clock stands still but for what waits.

use std::time::Duration;

use futures_util::StreamExt;
use harbor_model::ids::SandboxId;
use harbor_runner::fixture::{PRETEND_IMAGE as IMAGE, Subject};
use harbor_runner::pretend::{Act, DEADLINE, Pretend, Verb};
use harbor_runner::{Engine, EngineError, EngineSaid, Event};
use tokio::time::Instant;

use super::{cases, for_each_case};

macro_rules! on_pretend {
    ($($case:ident)*) => {
        $(
            #[tokio::test(start_paused = true)]
            async fn $case() {
                cases::$case(&Pretend::with_image(IMAGE)).await;
            }
        )*
    };
}
for_each_case!(on_pretend);

#[tokio::test(start_paused = true)]
async fn what_is_scripted_happens_once_and_in_order() {
    let engine = Pretend::with_image(IMAGE);
    let (id, container, _) = engine.started().await;
    let said = EngineSaid::new("no");
    engine.next(Verb::Stop, Act::Fail(EngineError::Refused { doing: "stop".to_owned(), source: said }));
    engine.next(Verb::Stop, Act::Lost);
    engine.next(Verb::Stop, Act::Late(Duration::from_secs(3)));
    let stop = async || {
        let begun = Instant::now();
        let outcome = Engine::stop(&engine, &id, &container, Duration::ZERO).await;
        (outcome, begun.elapsed())
    };
    let running = async || {
        let found = engine.found(&id).await;
        matches!(found, Some(harbor_model::sandboxes::FoundSandbox::Running { .. }))
    };

    assert!(matches!(stop().await, (Err(EngineError::Refused { .. }), Duration::ZERO)));
    assert!(running().await, "a call that failed has done nothing");
    assert!(matches!(stop().await, (Err(EngineError::TooSlow { .. }), DEADLINE)));
    assert!(!running().await, "only the answer was lost");
    assert!(matches!(stop().await, (Ok(()), time) if time == Duration::from_secs(3)));
    assert!(matches!(stop().await, (Ok(()), Duration::ZERO)));
    assert_eq!(engine.calls().iter().filter(|call| call.verb == Verb::Stop).count(), 4);
}

#[tokio::test(start_paused = true)]
async fn one_that_hangs_is_left_out_of_a_listing_and_delays_no_other() {
    let engine = Pretend::with_image(IMAGE);
    let (hanging, fine) = (engine.started().await.0, engine.started().await.0);
    engine.next_for(&hanging, Verb::Look, Act::Hang);
    let begun = Instant::now();
    let listing = engine.list().await.unwrap();
    assert!(begun.elapsed() < DEADLINE);
    assert_eq!(listing.held.iter().map(|held| held.sandbox).collect::<Vec<_>>(), [fine]);
    assert_eq!(listing.unclear.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [hanging]);
}

#[tokio::test(start_paused = true)]
async fn an_engine_out_of_reach_answers_nobody_and_says_when_it_is_back() {
    let engine = Pretend::with_image(IMAGE);
    let (id, container, _) = engine.started().await;
    let mut events = Engine::events(&engine);
    assert_eq!(events.next().await, Some(Event::Reconnected));
    engine.unplug();
    engine.kill(&id, 1);
    let refused = Engine::start(&engine, &id, &container).await;
    assert!(matches!(refused, Err(EngineError::Unreachable { .. })), "{refused:?}");
    engine.plug_in();
    assert_eq!(events.next().await, Some(Event::Reconnected));
    Engine::start(&engine, &id, &container).await.unwrap();
    assert_eq!(events.next().await, Some(Event::Changed(id)));
}

#[tokio::test(start_paused = true)]
async fn the_most_calls_at_once_are_counted() {
    let engine = Pretend::with_image(IMAGE);
    engine.takes(Verb::Remove, Duration::from_secs(1));
    let ids = [SandboxId::random(), SandboxId::random(), SandboxId::random()];
    let begun = Instant::now();
    futures_util::future::join_all(ids.iter().map(|id| Engine::remove(&engine, id))).await;
    assert_eq!((engine.most_at_once(Verb::Remove), begun.elapsed()), (3, Duration::from_secs(1)));
}
