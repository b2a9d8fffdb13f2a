//! Many creates at once: all succeed, and harbor stays small.

use std::time::{Duration, Instant};

use harbor_tests::{Harbor, within};
use serde_json::json;

/// At most this much memory, in MiB, at any time.
const MEMORY: u64 = 150;

/// `HARBOR_TEST_BURST` creates, 20 unless set.
#[tokio::test]
async fn all_of_many_creates_succeed() {
    let count =
        std::env::var("HARBOR_TEST_BURST").map_or(20, |text| text.parse().expect("HARBOR_TEST_BURST is a number"));
    let harbor = Harbor::started().await;
    let client = harbor.client();
    let begun = Instant::now();
    let creates: Vec<_> = (0..count)
        .map(|number| {
            let client = client.clone();
            tokio::spawn(async move { client.created(&json!({"name": format!("burst-{number}")})).await })
        })
        .collect();
    let mut made = Vec::new();
    for create in creates {
        made.push(create.await.expect("a create that was answered 200"));
    }
    let answered = begun.elapsed();
    let limit = Duration::from_secs(30 + count);
    within(limit, "all are started", async || {
        let all = client.sandboxes().await;
        let failed = all.iter().find(|(_, state)| state == "error");
        assert_eq!(failed, None, "of {count}");
        let started = all.iter().filter(|(_, state)| state == "started").count() as u64;
        if started == count { Ok(()) } else { Err(format!("{started} of {count}")) }
    })
    .await;
    let started = begun.elapsed();
    for sandbox in &made {
        assert_eq!(sandbox.output("hostname").await, sandbox.id);
    }
    let peak = harbor.memory("VmHWM");
    assert!(peak < MEMORY, "{peak} MiB");
    let deletes: Vec<_> =
        made.into_iter().map(|sandbox| tokio::spawn(async move { sandbox.deleted().await })).collect();
    for delete in deletes {
        delete.await.expect("a delete");
    }
    eprintln!("{count} creates: answered within {answered:.1?}, started within {started:.1?}, at most {peak} MiB");
    within(limit, "nothing but the stock is left", async || {
        let (sandboxes, infra) = (harbor.containers("sandbox").await, harbor.containers("infra").await);
        if sandboxes.is_empty() && infra.len() == harbor.full_stock().await? {
            Ok(())
        } else {
            Err(format!("{sandboxes:?} {infra:?}"))
        }
    })
    .await;
}
