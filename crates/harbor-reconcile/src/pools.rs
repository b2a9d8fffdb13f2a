//! Warm pools: sandboxes that are started before anybody asks for them (design D3).
//!
//! A member is a row of the one table of sandboxes, walked by the one loop over them; this loop only writes and
//! discards such rows. Who asks for a sandbox takes a member in the transaction that records what was asked for, so that
//! none is given twice, whatever ends in between.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use harbor_model::Timestamp;
use harbor_model::actors::Actor;
use harbor_model::errors::chain;
use harbor_model::ids::{SandboxId, WarmPoolId};
use harbor_model::names::DisplayName;
use harbor_model::pools::WarmPool;
use harbor_model::sandboxes::{Desired, Sandbox};
use harbor_model::snapshots::{Snapshot, SnapshotState};
use harbor_store::{FromStock, StoreError};

use crate::Inner;
use crate::demand::Kind;
use crate::queue::{Lane, Mark, Queue, Stepped};
use crate::work::Work;

/// Sandboxes that somebody waits for come first: a pool is filled only while none is being started.
const YIELD: Duration = Duration::from_millis(100);

/// Who was just given a sandbox uses it now: another one takes its place a little later.
const SETTLING: Duration = Duration::from_secs(1);

/// A look at the pools at least this often, and the pause after a member that could not be started.
const INTERVAL: Duration = Duration::from_secs(30);

/// All pools.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct AllPools;

impl fmt::Display for AllPools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("pools")
    }
}

/// Knows what a new member of a pool is.
pub trait Recruiter: Send + Sync {
    /// A member for `pool`, to be made of `snapshot`; the error says why there is none.
    fn member(&self, pool: &WarmPool, snapshot: &Snapshot) -> Result<Sandbox, String>;
}

/// Keeps the pools filled, one member a step.
pub(crate) struct Pools(pub(crate) Arc<Inner>);

/// The members that this run of harbor made, each with the time of the snapshot's row that it was made of. Others were
/// made by another harbor, perhaps with another toolbox, from another image or with other settings, and are not given to
/// anybody.
#[derive(Default)]
pub(crate) struct OwnMembers(Mutex<HashMap<SandboxId, Timestamp>>);

impl OwnMembers {
    fn with<T>(&self, look: impl FnOnce(&mut HashMap<SandboxId, Timestamp>) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Work for Pools {
    type Key = AllPools;

    fn queue(&self) -> &Queue<AllPools> {
        &self.0.pools
    }

    async fn step(&self, _: AllPools, _: Mark) -> Stepped {
        let (pause, outcome) = match self.0.fill_pools().await {
            Ok((pause, done)) => (pause, Ok(done)),
            Err(reason) => {
                tracing::warn!(reason, "warm pools not filled");
                (INTERVAL, Err(reason))
            }
        };
        Stepped { again: Some(Mark::after(pause, Lane::Bulk)), outcome }
    }
}

impl Inner {
    /// Counts what is asked for, and looks at the pools when one of their members is ready, became somebody's or changed
    /// for the worse.
    pub(crate) fn note_demand(&self, before: Option<&Sandbox>, after: &Sandbox) {
        let member = before.is_some_and(|before| before.warm_pool.is_some());
        let asked = after.warm_pool.is_none() && (member || before.is_none());
        if asked && !member {
            self.demand.note(Kind::Infra, false, self.config.clock.uptime());
        }
        // what a member cannot be like says nothing about how many would have been of use
        if asked && after.origin.env.is_empty() {
            self.demand.note(Kind::of(after), member, self.config.clock.uptime());
        }
        // one that is discarded is no news: whoever discards it knows when to go on
        let down = after.live() && (after.desired != Desired::Started || after.failure.is_some());
        let ready = after.claimable() && before.is_none_or(|before| !before.claimable());
        if ready || (member && down) {
            self.pools.mark(AllPools, Mark::now(Lane::Bulk));
        } else if asked {
            self.pools.mark(AllPools, Mark::after(SETTLING, Lane::Bulk));
        }
    }

    /// Discards what nobody should be given, then makes one member where there are too few; answers when to go on.
    async fn fill_pools(&self) -> Result<(Duration, String), String> {
        let read = async || -> Result<_, StoreError> {
            let pools = self.store.warm_pools().await?;
            Ok((pools, self.store.pool_members().await?))
        };
        let (pools, members) = read().await.map_err(|error| chain(&error))?;
        let present: HashSet<SandboxId> = members.iter().map(|member| member.id).collect();
        self.own_members.with(|own| own.retain(|id, _| present.contains(id)));
        let mut snapshots = BTreeMap::new();
        for pool in &pools {
            let found = self.store.snapshot(pool.snapshot).await.map_err(|error| chain(&error))?;
            snapshots.insert(pool.id, found.filter(|snapshot| snapshot.state == SnapshotState::Active));
        }
        let (good, bad) = self.sort_out(members, &snapshots);
        let failed = bad.iter().find_map(|member| Some((member.warm_pool?, member.failure.clone()?.reason)));
        for member in &bad {
            self.discard_member(member.id).await.map_err(|error| chain(&error))?;
        }
        if let Some((pool, reason)) = failed {
            self.note_pool_error(pool, Some(reason.clone())).await?;
            return Err(format!("a member of a warm pool could not be started: {reason}"));
        }
        let mut told = Vec::new();
        for pool in &pools {
            let Some(Some(snapshot)) = snapshots.get(&pool.id) else { continue };
            let own: Vec<&Sandbox> = good.iter().filter(|member| member.warm_pool == Some(pool.id)).collect();
            let ready = own.iter().filter(|member| member.claimable()).count();
            let kind = Kind::Member { snapshot: snapshot.name.clone(), resources: snapshot.resources };
            let known = self.demand.of(&kind, self.config.clock.uptime());
            let wanted = self.wanted(pool, known.most);
            told.push(format!("{ready} of {wanted} ready, {} given, {} missed", known.given, known.missed));
            for surplus in own.iter().skip(wanted) {
                self.discard_member(surplus.id).await.map_err(|error| chain(&error))?;
            }
            if ready > 0 && pool.error.is_some() {
                self.note_pool_error(pool.id, None).await?;
            }
            if own.len() < wanted {
                if self.sandboxes.working(Lane::Start) {
                    return Ok((YIELD, format!("{}; a sandbox is being started first", told.join("; "))));
                }
                self.make_member(pool, snapshot).await?;
                return Ok((YIELD, format!("{}; one more begun", told.join("; "))));
            }
        }
        Ok((INTERVAL, told.join("; ")))
    }

    /// How many a pool keeps ready, if `most` were asked for within a minute lately. One that shall be empty stays so.
    fn wanted(&self, pool: &WarmPool, most: usize) -> usize {
        let base = usize::try_from(pool.size).unwrap_or(usize::MAX);
        if base == 0 { 0 } else { base.max(most.min(self.config.most_warm)) }
    }

    /// Members that may be given to somebody, now or when they have started, and those that may not.
    fn sort_out(
        &self,
        members: Vec<Sandbox>,
        snapshots: &BTreeMap<WarmPoolId, Option<Snapshot>>,
    ) -> (Vec<Sandbox>, Vec<Sandbox>) {
        let wanted = members.into_iter().filter(|member| member.desired != Desired::Destroyed);
        wanted.partition(|member| {
            let snapshot = member.warm_pool.and_then(|pool| snapshots.get(&pool)).and_then(Option::as_ref);
            let same = snapshot.is_some_and(|snapshot| {
                (&snapshot.name, snapshot.base(), &snapshot.entrypoint, snapshot.resources)
                    == (
                        &member.origin.snapshot,
                        member.origin.image.as_str(),
                        &member.origin.entrypoint,
                        member.resources,
                    )
                    && self.own_members.with(|own| own.get(&member.id) == Some(&snapshot.updated_at))
            });
            let well = member.desired == Desired::Started && member.failure.is_none();
            same && well
        })
    }

    async fn note_pool_error(&self, pool: WarmPoolId, error: Option<String>) -> Result<(), String> {
        self.store.by(Actor::Harbor).note_pool_error(pool, error).await.map_err(|error| chain(&error))
    }

    /// Wants a member gone, unless it was given to somebody at this moment.
    async fn discard_member(&self, id: SandboxId) -> Result<(), StoreError> {
        let (store, now) = (self.store.by(Actor::Harbor), self.now());
        store.change_sandbox(id, now, move |row| row.discard_member(now)).await.map(|_| ())
    }

    /// Records a member; the loop over sandboxes starts it.
    async fn make_member(&self, pool: &WarmPool, snapshot: &Snapshot) -> Result<(), String> {
        let member = self.config.recruiter.member(pool, snapshot)?;
        let named = |row: &mut Sandbox| row.name = DisplayName::recorded(row.id.to_string());
        let inserted = self.store.by(Actor::Harbor).insert_sandbox(member, FromStock::Infra, None, named).await;
        let made = inserted.map_err(|error| chain(&error))?;
        self.own_members.with(|own| own.insert(made.id, snapshot.updated_at));
        Ok(())
    }
}
