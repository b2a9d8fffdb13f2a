//! Random sequences of operations, timers, crashes and what happens behind harbor's back: on the pretend engine, where the
//! engine fails too, and the same, fewer, on Docker.
//!
//! At the end of each, database, engine and events agree, nothing is nobody's, and no sandbox lost what was written into it.
//! `PROPTEST_CASES` says how many are tried on the pretend engine, `HARBOR_DOCKER_SEQUENCES` how many on Docker.

mod action;
mod course;
mod ledger;

use std::time::Duration;

use async_trait::async_trait;
use harbor_model::ids::SandboxId;
use harbor_model::sandboxes::Found;
use harbor_runner::Held;
use harbor_runner::fixture::{Fixture, Subject, behind_our_back, docker};
use harbor_runner::pretend::{Pretend, Verb};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::installation::Installation;
use action::{Action, Trouble, any_real_sequence, any_sequence};
use course::{Course, Stage};

#[async_trait]
impl Stage for Pretend {
    const MOMENT: Duration = Duration::from_secs(2);

    async fn later(harbor: &mut Installation<Self>, time: Duration) {
        harbor.idle(time).await;
    }

    async fn held(&self, id: &SandboxId) -> Held {
        self.held(id)
    }

    async fn cut_power(&self) {
        self.power_cut();
    }

    fn trouble(&self, verb: Verb, trouble: Trouble) {
        self.next(verb, trouble.act());
    }

    fn end_trouble(&self) {
        self.forget_script();
    }
}

#[async_trait]
impl Stage for Fixture {
    const MOMENT: Duration = Duration::from_millis(500);

    async fn later(harbor: &mut Installation<Self>, time: Duration) {
        harbor.clock.pass(time);
        harbor.restart().await;
        // what is due is asked for before anything else: an engine hangs that freezes what a test's own command runs in
        harbor.pass(Duration::from_secs(1)).await;
    }

    async fn held(&self, id: &SandboxId) -> Held {
        // by an engine that remembers nothing, as the reconciler has another one
        let inventory = Subject::again(self).await.list().await.unwrap();
        let held = inventory.held.into_iter().find(|held| held.sandbox == *id);
        held.unwrap_or(Held { sandbox: *id, found: Found { sandbox: None }, infra: None })
    }

    async fn cut_power(&self) {
        let label = format!("label=harbor.instance={}", self.instance);
        let running = docker(&["ps", "-q", "--filter", &label]);
        if !running.is_empty() {
            behind_our_back(&[&["kill"][..], &running.lines().collect::<Vec<_>>()].concat());
        }
    }

    fn trouble(&self, _: Verb, _: Trouble) {}

    fn end_trouble(&self) {}
}

/// How many stopped sandboxes may sleep, and how many infra containers are in stock.
fn any_setting() -> impl Strategy<Value = (u32, usize)> {
    (prop_oneof![Just(0), Just(1), Just(100)], prop_oneof![Just(0), Just(2)])
}

/// Lets a sequence happen in an installation in which so many may sleep, and looks at what it led to.
async fn end_well<E: Stage>(mut harbor: Installation<E>, asleep: u32, sequence: Vec<Action>) -> E {
    harbor.let_sleep(asleep).await;
    let mut course = Course::new(harbor);
    for action in sequence {
        course.take(action).await;
    }
    course.end().await
}

fn runtime(paused: bool) -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().start_paused(paused).build().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, max_shrink_time: 60_000, ..ProptestConfig::default() })]

    #[test]
    fn every_sequence_ends_well(setting in any_setting(), sequence in any_sequence()) {
        runtime(true).block_on(async {
            let (asleep, stock) = setting;
            Box::pin(end_well(Installation::with_stock(stock).await, asleep, sequence.0)).await;
        });
    }
}

#[test]
fn every_sequence_ends_well_on_docker() {
    let asked = std::env::var("HARBOR_DOCKER_SEQUENCES").ok().and_then(|text| text.parse().ok());
    // real time never repeats itself: a failure is neither shrunk nor kept
    let config = ProptestConfig {
        cases: asked.unwrap_or(2),
        max_shrink_iters: 0,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let tried = TestRunner::new(config).run(&(any_setting(), any_real_sequence()), |(setting, sequence)| {
        runtime(false).block_on(async {
            let (asleep, stock) = setting;
            let harbor = Installation::in_real_time(Fixture::prepared().await, stock).await;
            Box::pin(end_well(harbor, asleep, sequence.0)).await.finish().await;
        });
        Ok(())
    });
    tried.unwrap_or_else(|failed| panic!("{failed}"));
}
