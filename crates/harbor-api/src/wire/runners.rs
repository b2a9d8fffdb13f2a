//! The one machine on the wire (contract, control-plane §11).

use harbor_control::MachineUsage;
use harbor_model::Timestamp;
use harbor_model::ids::RegionId;
use serde::Serialize;
use utoipa::ToSchema;

use super::iso;
use crate::config::Config;

/// The version of the API between server and runner. harbor has none in between; clients require the key.
const API_VERSION: &str = "2";

/// A machine that sandboxes run on.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Runner {
    id: String,
    name: String,
    region: String,
    cpu: u32,
    /// GiB.
    memory: u32,
    /// GiB; 0 where the engine's disk cannot be measured.
    disk: u32,
    gpu: u32,
    /// Percent that is not free; absent where it cannot be measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    current_memory_usage_percentage: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    current_disk_usage_percentage: Option<u64>,
    current_allocated_cpu: u32,
    #[serde(rename = "currentAllocatedMemoryGiB")]
    current_allocated_memory_gib: u32,
    #[serde(rename = "currentAllocatedDiskGiB")]
    current_allocated_disk_gib: u32,
    current_started_sandboxes: u32,
    /// `ready`, or `unresponsive` while the engine does not answer.
    state: &'static str,
    unschedulable: bool,
    tags: [&'static str; 0],
    sandbox_class: &'static str,
    runner_class: &'static str,
    version: &'static str,
    api_version: &'static str,
    app_version: String,
    last_checked: String,
    created_at: String,
    updated_at: String,
}

impl Runner {
    /// The one runner of `region`, there since `since`, whose engine `answers` or not.
    pub(crate) fn of(config: &Config, region: &RegionId, since: Timestamp, answers: bool, usage: MachineUsage) -> Self {
        let MachineUsage { machine, tally, free } = usage;
        let disk_gib = if machine.disk_gib == u32::MAX { 0 } else { machine.disk_gib };
        let now = iso(Timestamp::now_utc());
        Self {
            id: config.instance.to_string(),
            name: "harbor".to_owned(),
            region: region.as_str().to_owned(),
            cpu: machine.cpu,
            memory: machine.memory_gib,
            disk: disk_gib,
            gpu: machine.gpu,
            current_memory_usage_percentage: used(machine.memory_gib, free.memory),
            current_disk_usage_percentage: used(disk_gib, free.disk),
            current_allocated_cpu: tally.promised.cpu,
            current_allocated_memory_gib: tally.promised.memory_gib,
            current_allocated_disk_gib: tally.promised.disk_gib,
            current_started_sandboxes: tally.started,
            state: if answers { "ready" } else { "unresponsive" },
            unschedulable: false,
            tags: [],
            sandbox_class: "container",
            runner_class: "container",
            version: API_VERSION,
            api_version: API_VERSION,
            app_version: config.harbor_version.clone(),
            last_checked: now.clone(),
            created_at: iso(since),
            updated_at: now,
        }
    }
}

/// The same with a key, which the contract requires and harbor, being its own runner, does not have.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RunnerFull {
    #[serde(flatten)]
    runner: Runner,
    api_key: &'static str,
    region_type: &'static str,
}

impl RunnerFull {
    pub(crate) fn of(runner: Runner) -> Self {
        Self { runner, api_key: "", region_type: "shared" }
    }
}

/// Percent of `whole` GiB that is not among the `free` bytes.
fn used(whole: u32, free: Option<u64>) -> Option<u64> {
    let whole = u64::from(whole) << 30;
    let free = free?.min(whole);
    ((whole - free) * 100).checked_div(whole)
}

#[cfg(test)]
mod tests {
    use super::used;

    #[test]
    fn what_is_not_free_is_used() {
        assert_eq!(used(4, Some(1 << 30)), Some(75));
        assert_eq!(used(4, Some(u64::MAX)), Some(0));
        assert_eq!((used(0, Some(1)), used(4, None)), (None, None));
    }
}
