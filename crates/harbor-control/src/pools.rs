//! Warm pools: how many sandboxes of a snapshot are kept ready (contract, control-plane §12.2; design D3).

use std::collections::HashSet;

use harbor_model::actors::Actor;
use harbor_model::ids::{OrganizationId, RegionId, WarmPoolId};
use harbor_model::pools::WarmPool;
use harbor_model::sandboxes::Sandbox;
use harbor_model::snapshots::Snapshot;
use harbor_store::StoreError;

use crate::{Allowed, Caller, Control, Error, WriteSandboxes, now};

/// More are refused: each member costs about 10 MB and an eighth of a second of a processor.
const LARGEST: i64 = 100;

/// A pool with what its members are, for whoever reads it.
#[derive(Clone, Debug)]
pub struct PoolInUse {
    /// The pool.
    pub pool: WarmPool,
    /// What its members are made of.
    pub snapshot: Snapshot,
    /// How many of them can be handed out now.
    pub ready: usize,
}

impl Control {
    /// Keeps so many sandboxes of a snapshot, by name or id, ready for the caller's organization. 409 when it has a pool
    /// of that snapshot.
    pub async fn create_warm_pool(
        &self,
        caller: &Allowed<WriteSandboxes>,
        snapshot: &str,
        size: i64,
        target: Option<String>,
    ) -> Result<PoolInUse, Error> {
        let size = checked(size, 1)?;
        let snapshot = self.usable_snapshot(caller, Some(snapshot)).await?;
        let target = target.filter(|target| !target.trim().is_empty());
        let pool = WarmPool {
            id: WarmPoolId::random(),
            organization: caller.organization(),
            snapshot: snapshot.id,
            target: target.map_or_else(|| self.config().region.clone(), RegionId::new),
            size,
            error: None,
            created_at: now(),
            updated_at: now(),
        };
        let added = self.store().by(caller.actor()).add_warm_pool(pool).await.map_err(|error| match error {
            StoreError::NameTaken => {
                Error::conflict(format!("A warm pool of snapshot {} exists already", snapshot.name))
            }
            other => other.into(),
        })?;
        Ok(PoolInUse { pool: added, snapshot, ready: 0 })
    }

    /// The warm pools of the caller's organization, oldest first.
    pub async fn warm_pools(&self, caller: &Caller) -> Result<Vec<PoolInUse>, Error> {
        let pools = self.store().warm_pools().await?;
        let members = self.store().pool_members().await?;
        let mut own = Vec::new();
        for pool in pools.into_iter().filter(|pool| pool.organization == caller.organization()) {
            // it goes with its snapshot
            let Some(snapshot) = self.store().snapshot(pool.snapshot).await? else { continue };
            let ready = members.iter().filter(|member| member.warm_pool == Some(pool.id) && member.claimable()).count();
            own.push(PoolInUse { pool, snapshot, ready });
        }
        Ok(own)
    }

    /// The sandboxes that wait in the warm pools of the caller's organization.
    pub(crate) async fn members_of_pools(&self, caller: &Caller) -> Result<Vec<Sandbox>, Error> {
        let pools = self.store().warm_pools().await?.into_iter();
        let own: HashSet<WarmPoolId> =
            pools.filter(|pool| pool.organization == caller.organization()).map(|pool| pool.id).collect();
        let members = self.store().pool_members().await?.into_iter();
        Ok(members.filter(|member| member.warm_pool.is_some_and(|pool| own.contains(&pool))).collect())
    }

    /// Keeps so many ready from now on; 0: none.
    pub async fn resize_warm_pool(
        &self,
        caller: &Allowed<WriteSandboxes>,
        id: &str,
        size: i64,
    ) -> Result<PoolInUse, Error> {
        let (size, missing) = (checked(size, 0)?, || Error::not_found(format!("Warm pool {id} not found")));
        let id: WarmPoolId = id.parse().map_err(|_| missing())?;
        let store = self.store().by(caller.actor());
        store.resize_warm_pool(caller.organization(), id, size, now()).await?.ok_or_else(missing)?;
        self.warm_pools(caller).await?.into_iter().find(|found| found.pool.id == id).ok_or_else(missing)
    }

    /// Removes a pool, and its members that nobody was given.
    pub async fn delete_warm_pool(&self, caller: &Allowed<WriteSandboxes>, id: &str) -> Result<(), Error> {
        let missing = || Error::not_found(format!("Warm pool {id} not found"));
        let id = id.parse().map_err(|_| missing())?;
        let removed = self.store().by(caller.actor()).remove_warm_pool(caller.organization(), id).await?;
        if removed { Ok(()) } else { Err(missing()) }
    }

    /// Wants all members of warm pools gone. Called before anybody can be given one that an earlier harbor made, perhaps
    /// with another toolbox, from another image or with other settings.
    pub(crate) async fn discard_warm_members(&self) -> Result<(), Error> {
        let store = self.store().by(Actor::Harbor);
        for member in self.store().pool_members().await? {
            store.change_sandbox(member.id, now(), |row| row.discard_member(now())).await?;
        }
        Ok(())
    }

    /// Keeps as many sandboxes of the default snapshot ready for everybody as this installation is configured to.
    pub(crate) async fn keep_default_warm(&self) -> Result<(), Error> {
        let size = self.config().default_warm;
        let (organization, name) = (self.own_organization().await?, self.config().default_snapshot.clone());
        let Some(snapshot) = self.store().find_snapshot(organization, name).await? else { return Ok(()) };
        let store = self.store().by(Actor::Harbor);
        let common = self.store().warm_pools().await?.into_iter();
        let mut kept = false;
        for pool in common.filter(|pool| pool.organization == OrganizationId::NOBODY) {
            if pool.snapshot == snapshot.id && pool.size == size {
                kept = true;
            } else if pool.snapshot == snapshot.id {
                store.resize_warm_pool(pool.organization, pool.id, size, now()).await?;
                kept = true;
            } else {
                store.remove_warm_pool(pool.organization, pool.id).await?;
            }
        }
        if !kept {
            let (id, at) = (WarmPoolId::random(), now());
            let (organization, target) = (OrganizationId::NOBODY, self.config().region.clone());
            let snapshot = snapshot.id;
            let pool =
                WarmPool { id, organization, snapshot, target, size, error: None, created_at: at, updated_at: at };
            store.add_warm_pool(pool).await?;
        }
        Ok(())
    }
}

fn checked(size: i64, least: i64) -> Result<u32, Error> {
    u32::try_from(size)
        .ok()
        .filter(|_| (least..=LARGEST).contains(&size))
        .ok_or_else(|| Error::invalid(format!("pool must be a number from {least} to {LARGEST}, not {size}")))
}
