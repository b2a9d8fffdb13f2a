//! The fourteen components that Harbor documents name, and what became of each (contract, edges §10.4).

/// One component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Component {
    /// Its documented name.
    pub(crate) name: &'static str,
    /// What it is here.
    pub(crate) kind: ComponentKind,
    /// One line for people.
    pub(crate) role: &'static str,
    /// Log targets that belong to it, by prefix.
    targets: &'static [&'static str],
}

/// What became of a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ComponentKind {
    /// A service with an address of its own.
    Service(Service),
    /// Part of the process, without an address.
    BuiltIn,
    /// There is nothing to run.
    NotNeeded,
    /// harbor does not have it yet.
    NotBuilt,
}

/// A service with an address of its own (design §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Service {
    /// API, dashboard and event stream.
    Api,
    /// Preview and toolbox proxy.
    Proxy,
    /// The registry of images.
    Registry,
    /// The S3 endpoint.
    S3,
}

impl Service {
    /// All of them, in the order in which they open their ports.
    pub(crate) const ALL: [Self; 4] = [Self::Api, Self::Proxy, Self::Registry, Self::S3];

    /// The configuration key of its port.
    pub(crate) fn port_key(self) -> &'static str {
        match self {
            Self::Api => "daytona.host_port",
            Self::Proxy => "daytona.proxy_host_port",
            Self::Registry => "daytona.registry_host_port",
            Self::S3 => "daytona.minio_host_port",
        }
    }
}

/// The handle under which Harbor documents name all of it.
pub(crate) const HANDLE: &str = "daytona";

const fn service(
    name: &'static str,
    service: Service,
    role: &'static str,
    targets: &'static [&'static str],
) -> Component {
    Component { name, kind: ComponentKind::Service(service), role, targets }
}

const fn built_in(name: &'static str, role: &'static str, targets: &'static [&'static str]) -> Component {
    Component { name, kind: ComponentKind::BuiltIn, role, targets }
}

const fn not_needed(name: &'static str, role: &'static str) -> Component {
    Component { name, kind: ComponentKind::NotNeeded, role, targets: &[] }
}

const fn not_built(name: &'static str, role: &'static str) -> Component {
    Component { name, kind: ComponentKind::NotBuilt, role, targets: &[] }
}

/// All of them; the first also has every log line that belongs to no other.
pub(crate) const COMPONENTS: &[Component] = &[
    service("daytona", Service::Api, "API and event stream", &["harbor"]),
    service("daytona-proxy", Service::Proxy, "toolbox proxy", &["harbor_gateway"]),
    built_in("daytona-runner", "sandbox lifecycle", &["harbor_runner", "harbor_reconcile", "bollard"]),
    not_built("daytona-ssh", "SSH gateway"),
    built_in("daytona-dex", "identity: API keys", &["harbor_control::identity", "harbor_api::identity"]),
    built_in("daytona-db", "database (a file)", &["harbor_store", "rusqlite", "rusqlite_migration"]),
    not_needed("daytona-pgadmin", "there is no PostgreSQL to administer"),
    not_needed("daytona-redis", "cache and queue are in the process"),
    service("daytona-registry", Service::Registry, "registry of images", &["harbor_blobs::oci"]),
    not_built("daytona-registry-ui", "registry page of the dashboard"),
    service("daytona-minio", Service::S3, "S3 endpoint", &["harbor_blobs", "s3s"]),
    not_built("daytona-jaeger", "traces page of the dashboard"),
    not_built("daytona-otel", "telemetry"),
    not_built("daytona-maildev", "mail page of the dashboard"),
];

/// The component of this name.
pub(crate) fn named(name: &str) -> Option<&'static Component> {
    COMPONENTS.iter().find(|component| component.name == name)
}

/// The component that a log line of this target belongs to.
pub(crate) fn of_target(target: &str) -> &'static Component {
    let belongs =
        |prefix: &str| target.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
    let best = |component: &Component| {
        component.targets.iter().filter(|prefix| belongs(prefix)).map(|prefix| prefix.len()).max()
    };
    COMPONENTS
        .iter()
        .filter_map(|component| Some((best(component)?, component)))
        .max_by_key(|(length, _)| *length)
        .map_or(&COMPONENTS[0], |found| found.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names are those of the document (contract, edges §10.4).
    #[test]
    fn all_fourteen_are_there() {
        let documented = "daytona, daytona-proxy, daytona-runner, daytona-ssh, daytona-dex, daytona-db, daytona-pgadmin, \
                          daytona-redis, daytona-registry, daytona-registry-ui, daytona-minio, daytona-jaeger, daytona-otel, \
                          daytona-maildev";
        let names: Vec<_> = COMPONENTS.iter().map(|component| component.name).collect();
        assert_eq!(names, documented.split(", ").collect::<Vec<_>>());
    }

    #[track_caller]
    fn check(target: &str, component: &str) {
        assert_eq!(of_target(target).name, component, "{target}");
    }

    #[test]
    fn a_log_line_belongs_to_the_nearest_component() {
        check("harbor_runner::create", "daytona-runner");
        check("harbor_gateway::preview", "daytona-proxy");
        check("harbor_api::sandboxes", "daytona");
        check("harbor::process", "daytona");
        check("hyper", "daytona");
    }
}
