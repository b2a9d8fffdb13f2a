//! What is slow holds up only what is of its kind.

use std::time::Duration;

use harbor_model::sandboxes::SandboxState;
use harbor_runner::pretend::{Act, DEADLINE, Verb};
use tokio::time::Instant;

use crate::installation::Installation;

/// What the steps of a start take on this engine.
const START: Duration = Duration::from_millis(300);

async fn with_usual_times() -> Installation {
    let harbor = Installation::new().await;
    harbor.engine.takes(Verb::Create, START / 2);
    harbor.engine.takes(Verb::Start, START / 2);
    harbor
}

async fn time_of_a_create(harbor: &Installation) -> Duration {
    let began = Instant::now();
    harbor.started().await;
    began.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_create_beside_twenty_stops_is_as_quick_as_one_alone() {
    let harbor = with_usual_times().await;
    let alone = time_of_a_create(&harbor).await;
    let running = harbor.many_started(20).await;
    harbor.engine.takes(Verb::Stop, Duration::from_secs(10));
    for id in &running {
        harbor.stop(*id).await;
    }
    let beside = time_of_a_create(&harbor).await;
    assert!(beside <= alone.mul_f64(1.2), "{beside:?}, alone {alone:?}");
    for id in running {
        harbor.reaches(id, SandboxState::Stopped, Duration::from_secs(30)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn few_stops_are_begun_while_a_start_is_under_way() {
    let harbor = with_usual_times().await;
    let running = harbor.many_started(8).await;
    harbor.engine.takes(Verb::Create, Duration::from_secs(2));
    harbor.engine.takes(Verb::Stop, Duration::from_millis(200));
    let creating = async {
        harbor.pass(Duration::from_millis(200)).await;
        for id in &running {
            harbor.stop(*id).await;
        }
    };
    let (_, ()) = tokio::join!(harbor.started(), creating);
    assert_eq!(harbor.engine.most_at_once(Verb::Stop), 1);
}

#[tokio::test(start_paused = true)]
async fn starts_and_stops_are_bounded() {
    let harbor = with_usual_times().await;
    let creates = futures_util::future::join_all((0..12).map(|_| harbor.create())).await;
    assert_eq!(harbor.engine.most_at_once(Verb::Create), 4);
    harbor.engine.takes(Verb::Stop, Duration::from_millis(500));
    for created in creates {
        harbor.stop(created.unwrap().id).await;
    }
    harbor.pass(Duration::from_secs(5)).await;
    assert_eq!(harbor.engine.most_at_once(Verb::Stop), 2);
}

#[tokio::test(start_paused = true)]
async fn starts_that_hang_hold_up_another_for_seconds_only() {
    let harbor = with_usual_times().await;
    for _ in 0..4 {
        harbor.engine.next(Verb::Create, Act::Hang);
    }
    let hanging = futures_util::future::join_all((0..4).map(|_| harbor.create()));
    let other = async {
        harbor.pass(Duration::from_secs(1)).await;
        time_of_a_create(&harbor).await
    };
    let (hanging, other) = tokio::join!(hanging, other);
    assert!(other < Duration::from_secs(5), "{other:?}");
    for created in hanging {
        harbor.reaches(created.unwrap().id, SandboxState::Started, DEADLINE * 2).await;
    }
}

#[tokio::test(start_paused = true)]
async fn looks_that_hang_hold_up_nothing() {
    let harbor = with_usual_times().await;
    let alone = time_of_a_create(&harbor).await;
    let running = harbor.many_started(20).await;
    harbor.pass(Duration::from_secs(1)).await;
    for id in &running {
        harbor.engine.next_for(id, Verb::Look, Act::Hang);
        harbor.engine.kill(id, 0);
    }
    harbor.pass(Duration::from_secs(1)).await;
    assert!(harbor.report("sandboxes").under_way.len() >= 16, "the looks hang");
    let beside = time_of_a_create(&harbor).await;
    assert!(beside <= alone.mul_f64(1.2), "{beside:?}, alone {alone:?}");
}
