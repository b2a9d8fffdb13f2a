//! What tests of control, and of what stands on it, begin with.

use std::time::Duration;

use harbor_model::capacity::{Capacity, Free, Overcommit};
use harbor_model::ids::{OrganizationId, RegionId, SandboxId, SnapshotId, UserId};
use harbor_model::resources::Resources;
use harbor_model::secrets::Secret;
use harbor_model::snapshots::{Snapshot, SnapshotState};
use harbor_model::{Timestamp, to_millisecond};

use crate::{Config, Dial, DialFailure, Machine, ObjectStorage, Stream, TemporaryKey};

/// The administrator's key.
pub const KEY: &str = "dtn_the-administrators-key";

/// An installation of user `first` that has no engine.
pub fn config(start_budget: Duration) -> Config {
    Config {
        region: RegionId::new("us"),
        default_snapshot: "default".to_owned(),
        administrator: UserId::new("first"),
        administrator_name: "First".to_owned(),
        administrator_email: "first@harbor.test".to_owned(),
        administrator_key: Secret::new(KEY),
        limits: Resources { cpu: 4, memory_gib: 8, disk_gib: 50, gpu: 0 },
        capacity: Capacity {
            machine: Resources { cpu: 4, memory_gib: 8, disk_gib: 50, gpu: 0 },
            overcommit: Overcommit { cpu: 100, memory: 100, disk: 100 },
        },
        strict: false,
        default_warm: 0,
        start_budget,
        object_storage: ObjectStorage {
            owner: "owner".to_owned(),
            owner_secret: Secret::new("the-owners-secret"),
            bucket: "daytona".to_owned(),
        },
        temporary_key: TemporaryKey([7; 32]),
    }
}

/// The snapshot that a create without one means.
pub fn default_snapshot(organization: OrganizationId, image: &str) -> Snapshot {
    let now = to_millisecond(Timestamp::now_utc());
    Snapshot {
        id: SnapshotId::random(),
        organization,
        name: "default".to_owned(),
        general: true,
        image: image.to_owned(),
        image_id: None,
        build: None,
        layer: None,
        source: None,
        entrypoint: None,
        resources: Resources::DEFAULT,
        state: SnapshotState::Active,
        error: None,
        size_bytes: None,
        last_used_at: None,
        created_at: now,
        updated_at: now,
    }
}

/// Nothing to dial into.
#[derive(Clone, Copy, Debug)]
pub struct NoEngine;

#[async_trait::async_trait]
impl Dial for NoEngine {
    async fn dial(&self, _: SandboxId, _: u16) -> Result<Box<dyn Stream>, DialFailure> {
        Err(DialFailure::Unreachable("no engine".to_owned()))
    }
}

/// What cannot be measured.
impl Machine for NoEngine {
    fn free(&self) -> Free {
        Free::default()
    }
}
