//! What a caller may ask of a new sandbox, and what is refused (contract, control-plane §5.4, §5.13).

use std::collections::BTreeMap;

use harbor_control::NewMount;
use harbor_control::sandboxes::{NewSandbox, SandboxImage};
use harbor_model::names::{DisplayName, SandboxRef};
use harbor_model::resources::Asked;
use harbor_model::sandboxes::Network;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::error::ApiError;
use crate::input::{Warnings, domains, networks, whole};
use crate::routes::build::CreateBuildInfo;
use crate::wire::sandboxes::SandboxVolume;

/// What a new sandbox shall be. Unknown keys are ignored with a warning; null means absent.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CreateSandbox {
    /// Its id otherwise.
    name: Option<String>,
    /// Name or id; the default one otherwise.
    snapshot: Option<String>,
    /// Told to its processes; `daytona` otherwise.
    user: Option<String>,
    env: Option<BTreeMap<String, String>>,
    labels: Option<BTreeMap<String, String>>,
    /// Its previews need no token.
    public: Option<bool>,
    /// Any text: it means the one region and is echoed.
    target: Option<String>,
    #[serde(default, deserialize_with = "whole")]
    cpu: Option<i64>,
    /// GiB.
    #[serde(default, deserialize_with = "whole")]
    memory: Option<i64>,
    /// GiB.
    #[serde(default, deserialize_with = "whole")]
    disk: Option<i64>,
    /// Refused when not 0: this host gives none.
    #[serde(default, deserialize_with = "whole")]
    gpu: Option<i64>,
    /// Refused when not empty.
    gpu_type: Option<OneOrMore>,
    /// Minutes; 0: never.
    #[serde(default, deserialize_with = "whole")]
    auto_stop_interval: Option<i64>,
    /// Minutes; 0: the maximum.
    #[serde(default, deserialize_with = "whole")]
    auto_archive_interval: Option<i64>,
    /// Minutes; 0: at once, below 0: never.
    #[serde(default, deserialize_with = "whole")]
    auto_delete_interval: Option<i64>,
    /// Minutes; 0: never. Then autoStopInterval is 0.
    #[serde(default, deserialize_with = "whole")]
    auto_pause_interval: Option<i64>,
    /// Minutes from its creation until it is deleted, whatever state it is in; 0: never.
    #[serde(default, deserialize_with = "whole")]
    ttl_minutes: Option<i64>,
    /// Not built.
    #[serde(default, deserialize_with = "whole")]
    queue_timeout: Option<i64>,
    network_block_all: Option<bool>,
    /// IPv4 networks, comma separated.
    network_allow_list: Option<String>,
    /// Domains, comma separated.
    domain_allow_list: Option<String>,
    volumes: Option<Vec<SandboxVolume>>,
    /// Instead of a snapshot: what this builds.
    build_info: Option<CreateBuildInfo>,
    /// Instead of a snapshot: this image.
    image: Option<String>,
    /// Not built.
    linked_sandbox: Option<String>,
    /// Not built when not empty.
    secrets: Option<Vec<BTreeMap<String, String>>>,
    /// Refused when true.
    kvm: Option<bool>,
    /// Refused when true.
    spot: Option<bool>,
    /// `container`, the only class there is.
    sandbox_class: Option<String>,
    /// Not built.
    outbound_proxy_url: Option<String>,
    /// Not built.
    otel_endpoint_override: Option<String>,
}

/// What is said of a sandbox that is to be public.
pub(super) const PUBLIC: &str = "public is recorded and has no effect yet: there are no previews";

/// A text or a list of texts.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged, expecting = "must be a text or a list of texts")]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl CreateSandbox {
    /// Tells what is accepted and recorded, because clients send it routinely, and has no effect yet.
    pub(super) fn warn(&self, warnings: &Warnings) {
        if self.public == Some(true) {
            warnings.add(PUBLIC);
        }
        if self.user.as_deref() == Some("root") {
            warnings.add("user is told to the sandbox's processes, which run as the image's own user");
        }
    }

    /// Checks everything that needs no look at what exists, and answers what to ask control for.
    pub(super) fn check(self) -> Result<NewSandbox, ApiError> {
        let mut problems = Vec::new();
        let mut ok = |outcome: Result<(), String>| problems.extend(outcome.err());
        ok(self.check_gpu());
        ok(self.check_volumes());
        ok(self.check_class());
        let name = self.name.as_deref().filter(|name| !name.is_empty()).map(str::parse::<DisplayName>).transpose();
        let name = name.unwrap_or_else(|error| {
            ok(Err(format!("name {error}")));
            None
        });
        let mut size = |field: &str, given: Option<i64>| {
            if given.is_some_and(|given| given < 0) {
                ok(Err(format!("{field} must not be less than 0")));
            }
            // what is too much for this type is too much for this host, which control says in its words
            given.map(|given| u32::try_from(given.max(0)).unwrap_or(u32::MAX))
        };
        let asked = Asked {
            cpu: size("cpu", self.cpu),
            memory_gib: size("memory", self.memory),
            disk_gib: size("disk", self.disk),
            gpu: None,
        };
        let mut listed = |given: Option<&String>, check: fn(&str) -> Result<Option<String>, String>| {
            check(given.map_or("", String::as_str)).unwrap_or_else(|problem| {
                ok(Err(problem));
                None
            })
        };
        let network = Network {
            block_all: self.network_block_all.unwrap_or(false),
            allow_networks: listed(self.network_allow_list.as_ref(), networks),
            allow_domains: listed(self.domain_allow_list.as_ref(), domains),
        };
        let named = given(self.image.as_ref());
        let image = if self.build_info.is_some() { "buildInfo" } else { "image" };
        for (field, other) in [("snapshot", &self.snapshot), ("linkedSandbox", &self.linked_sandbox)] {
            if (self.build_info.is_some() || named) && given(other.as_ref()) {
                ok(Err(format!("{image} and {field} cannot be used together")));
            }
        }
        if self.build_info.is_some() && named {
            ok(Err("buildInfo and image cannot be used together".to_owned()));
        }
        ApiError::all(&problems)?;
        self.check_built()?;
        let image = match self.build_info {
            Some(build) => Some(SandboxImage::Dockerfile(build.dockerfile())),
            None => self.image.filter(|_| named).map(|image| SandboxImage::Reference(image.trim().to_owned())),
        };
        let linked = self.linked_sandbox.filter(|linked| !linked.trim().is_empty()).map(SandboxRef::new);
        Ok(NewSandbox {
            name,
            snapshot: self.snapshot,
            image,
            user: self.user,
            env: self.env.unwrap_or_default(),
            labels: self.labels.unwrap_or_default(),
            public: self.public.unwrap_or(false),
            target: self.target,
            asked,
            auto_stop: self.auto_stop_interval,
            auto_pause: self.auto_pause_interval,
            auto_archive: self.auto_archive_interval,
            auto_delete: self.auto_delete_interval,
            ttl: self.ttl_minutes,
            network,
            mounts: self.volumes.into_iter().flatten().map(mount).collect(),
            linked,
        })
    }

    fn check_gpu(&self) -> Result<(), String> {
        let types = match &self.gpu_type {
            Some(OneOrMore::One(one)) => !one.is_empty(),
            Some(OneOrMore::More(more)) => !more.is_empty(),
            None => false,
        };
        if types || self.gpu.is_some_and(|gpu| gpu != 0) {
            return Err("gpu and gpuType: this host gives no GPU to sandboxes".to_owned());
        }
        Ok(())
    }

    fn check_volumes(&self) -> Result<(), String> {
        let blank = |volume: &SandboxVolume| volume.volume_id.is_empty() || volume.mount_path.is_empty();
        if self.volumes.iter().flatten().any(blank) {
            return Err("volumes: volumeId and mountPath must not be empty".to_owned());
        }
        Ok(())
    }

    fn check_class(&self) -> Result<(), String> {
        if let Some(class) = self.sandbox_class.as_ref().filter(|class| *class != "container") {
            return Err(format!("sandboxClass must be container, not {class}"));
        }
        if self.kvm == Some(true) {
            return Err("kvm must be false: this host runs containers, not virtual machines".to_owned());
        }
        if self.spot == Some(true) {
            return Err("spot must be false: it needs a GPU, and this host gives none".to_owned());
        }
        for (field, minutes) in [("ttlMinutes", self.ttl_minutes), ("autoPauseInterval", self.auto_pause_interval)] {
            if minutes.is_some_and(|minutes| minutes < 0) {
                return Err(format!("{field} must not be less than 0"));
            }
        }
        if self.queue_timeout.is_some_and(|minutes| minutes < 1) {
            return Err("queueTimeout must not be less than 1".to_owned());
        }
        Ok(())
    }

    /// Refuses what harbor does not do yet, rather than making a sandbox without it.
    fn check_built(&self) -> Result<(), ApiError> {
        let set = |minutes: Option<i64>| minutes.is_some_and(|minutes| minutes != 0);
        let asked = [
            ("secrets", self.secrets.as_ref().is_some_and(|secrets| !secrets.is_empty())),
            ("queueTimeout", set(self.queue_timeout)),
            ("outboundProxyUrl", given(self.outbound_proxy_url.as_ref())),
            ("otelEndpointOverride", given(self.otel_endpoint_override.as_ref())),
        ];
        if let Some((field, _)) = asked.into_iter().find(|(_, asked)| *asked) {
            return Err(ApiError::not_built(format!("{field} is not built yet: create the sandbox without it")));
        }
        Ok(())
    }
}

fn mount(SandboxVolume { volume_id, mount_path, subpath }: SandboxVolume) -> NewMount {
    NewMount { volume: volume_id, path: mount_path, subpath }
}

fn given(text: Option<&String>) -> bool {
    text.is_some_and(|text| !text.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn check(body: Value, outcome: Result<(), u16>) {
        let shown = body.to_string();
        let parsed = serde_json::from_value::<CreateSandbox>(body);
        let found = match parsed {
            Ok(parsed) => parsed.check().map(|_| ()).map_err(|error| error.status.as_u16()),
            Err(_) => Err(400),
        };
        assert_eq!(found, outcome, "{shown}");
    }

    #[test]
    fn what_clients_send_routinely_is_accepted() {
        for body in [
            json!({}),
            json!({"name": "", "snapshot": "", "target": "", "volumes": [], "secrets": [], "gpu": 0, "gpuType": []}),
            json!({"name": null, "env": null, "labels": null, "volumes": null, "networkBlockAll": null, "cpu": null,
                "autoStopInterval": null, "linkedSandbox": null, "buildInfo": null, "queueTimeout": null}),
            json!({"spot": false, "kvm": false, "ttlMinutes": 5, "autoPauseInterval": 5, "sandboxClass": "container"}),
            json!({"cpu": 2, "memory": 4, "disk": 10, "autoStopInterval": 30, "somethingNew": {"a": 1}}),
            json!({"networkAllowList": "10.0.0.0/8", "domainAllowList": "example.com"}),
        ] {
            check(body, Ok(()));
        }
    }

    #[test]
    fn wrong_requests_are_400_and_unbuilt_ones_501() {
        for body in [
            json!({"name": "<b>x</b>"}),
            json!({"name": 7}),
            json!({"cpu": -1}),
            json!({"cpu": "2"}),
            json!({"autoStopInterval": 1.5}),
            json!({"labels": [1]}),
            json!({"labels": {"a": 1}}),
            json!({"env": "A=1"}),
            json!({"gpu": 2}),
            json!({"gpuType": "ABACUS"}),
            json!({"gpuType": 3}),
            json!({"volumes": [{"volumeId": "x"}]}),
            json!({"volumes": [{"volumeId": "", "mountPath": "/m"}]}),
            json!({"snapshot": "x", "buildInfo": {"dockerfileContent": "FROM scratch"}}),
            json!({"linkedSandbox": "x", "buildInfo": {"dockerfileContent": "FROM scratch"}}),
            json!({"buildInfo": {}}),
            json!({"image": "debian:12", "snapshot": "x"}),
            json!({"image": "debian:12", "buildInfo": {"dockerfileContent": "FROM scratch"}}),
            json!({"networkAllowList": "10.0.0.1"}),
            json!({"domainAllowList": "a.*.example.com"}),
            json!({"kvm": true}),
            json!({"spot": true}),
            json!({"sandboxClass": "windows"}),
            json!({"ttlMinutes": -1}),
            json!({"queueTimeout": 0}),
        ] {
            check(body, Err(400));
        }
        for body in
            [json!({"secrets": [{"A": "b"}]}), json!({"queueTimeout": 5}), json!({"outboundProxyUrl": "http://p"})]
        {
            check(body, Err(501));
        }
        for body in [
            json!({"volumes": [{"volumeId": "x", "mountPath": "/m"}]}),
            json!({"buildInfo": {"dockerfileContent": "FROM scratch", "contextHashes": []}}),
            json!({"buildInfo": {"dockerfileContent": "FROM scratch", "contextHashes": ["abc"]}}),
            json!({"image": "debian:12", "snapshot": ""}),
        ] {
            check(body, Ok(()));
        }
    }
}
