//! Snapshots on the wire (contract, control-plane §6).

use harbor_model::resources::Resources;
use serde::Serialize;
use utoipa::ToSchema;

use super::{BuildInfo, iso};

/// A snapshot.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Snapshot {
    id: String,
    organization_id: String,
    general: bool,
    name: String,
    image_name: String,
    state: &'static str,
    /// GiB, once measured.
    #[schema(required)]
    size: Option<f64>,
    #[schema(required)]
    entrypoint: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    build_info: Option<BuildInfo>,
    cpu: u32,
    gpu: u32,
    /// GiB.
    mem: u32,
    /// GiB.
    disk: u32,
    #[schema(required)]
    error_reason: Option<String>,
    created_at: String,
    updated_at: String,
    #[schema(required)]
    last_used_at: Option<String>,
    region_ids: Vec<String>,
    initial_runner_id: String,
    /// What the engine calls the image; absent while it has none of one that is pulled.
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
    sandbox_class: &'static str,
    #[schema(required)]
    source_sandbox_id: Option<String>,
}

impl Snapshot {
    /// The snapshot as the one runner `runner` of the one region `region` holds it.
    pub(crate) fn of(snapshot: harbor_model::snapshots::Snapshot, region: &str, runner: &str) -> Self {
        let harbor_model::snapshots::Snapshot {
            id,
            organization,
            name,
            general,
            image,
            image_id,
            build,
            layer,
            source,
            entrypoint,
            resources: Resources { cpu, memory_gib, disk_gib, gpu },
            state,
            error,
            size_bytes,
            last_used_at,
            created_at,
            updated_at,
        } = snapshot;
        let is_known = general || image_id.is_some() || layer.is_some() || build.is_some();
        Self {
            id: id.to_string(),
            organization_id: organization.to_string(),
            general,
            name,
            image_name: if build.is_some() { String::new() } else { image.clone() },
            state: state.word(),
            size: size_bytes.map(gibibytes),
            entrypoint,
            build_info: build.map(|recipe| BuildInfo::of(recipe, created_at, updated_at)),
            cpu,
            gpu,
            mem: memory_gib,
            disk: disk_gib,
            error_reason: error,
            created_at: iso(created_at),
            updated_at: iso(updated_at),
            last_used_at: last_used_at.map(iso),
            region_ids: vec![region.to_owned()],
            initial_runner_id: runner.to_owned(),
            reference: Some(image).filter(|_| is_known),
            sandbox_class: "container",
            source_sandbox_id: source.map(|id| id.to_string()),
        }
    }
}

/// To two digits, as it is shown.
#[expect(clippy::cast_precision_loss, reason = "two digits are kept")]
fn gibibytes(bytes: u64) -> f64 {
    (bytes as f64 / f64::from(1 << 30) * 100.0).round() / 100.0
}

/// One page by number.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SnapshotPage {
    pub(crate) items: Vec<Snapshot>,
    pub(crate) total: usize,
    pub(crate) page: usize,
    pub(crate) total_pages: usize,
}
