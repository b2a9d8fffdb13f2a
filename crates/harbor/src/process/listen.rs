//! Opening the ports that services listen on.

use std::io;
use std::net::SocketAddr;

use anyhow::{Context as _, anyhow, bail};
use tokio::net::TcpListener;

use super::port_holder;
use super::state::Listening;
use crate::components::Service;
use crate::config::{Bind, Config};

/// Listens for `service` on every address of `bind`. The first address must work; `::1` only where the machine has it.
///
/// The error names the key to change, and who holds the port where that can be seen. Must be called in a runtime.
pub(crate) async fn listen(config: &Config, service: Service) -> anyhow::Result<(Vec<TcpListener>, Listening)> {
    check_port(config, service)?;
    listen_on(config.bind, port_of(config, service), service).await
}

/// Refuses a port that another service has.
pub(crate) fn check_port(config: &Config, service: Service) -> anyhow::Result<()> {
    if let Some(other) = same_port(config, service) {
        let (key, other, port) = (service.port_key(), other.port_key(), port_of(config, service));
        bail!("{other} and {key} are both {port}: choose another with `harbor config set {key} PORT`");
    }
    Ok(())
}

/// The service that opens its port before `service` and is configured to the same one.
pub(crate) fn same_port(config: &Config, service: Service) -> Option<Service> {
    let port = port_of(config, service);
    let mut earlier = Service::ALL.into_iter().take_while(|other| *other != service);
    earlier.find(|other| port != 0 && port_of(config, *other) == port)
}

/// The configured port of `service`.
pub(crate) fn port_of(config: &Config, service: Service) -> u16 {
    match service {
        Service::Api => config.daytona.host_port,
        Service::Proxy => config.daytona.proxy_host_port,
        Service::Registry => config.daytona.registry_host_port,
        Service::S3 => config.daytona.minio_host_port,
    }
}

pub(crate) async fn listen_on(
    bind: Bind,
    port: u16,
    service: Service,
) -> anyhow::Result<(Vec<TcpListener>, Listening)> {
    let mut listeners: Vec<TcpListener> = Vec::new();
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for host in bind.addresses() {
        let port = addresses.first().map_or(port, SocketAddr::port); // port 0: the one the system chose first
        match TcpListener::bind((host, port)).await {
            Ok(listener) => {
                addresses.push(listener.local_addr().context("a listener has no address")?);
                listeners.push(listener);
            }
            Err(error) if !listeners.is_empty() && is_missing(&error) => {}
            Err(error) => return Err(refusal(SocketAddr::new(host, port), service, error)),
        }
    }
    Ok((listeners, Listening { service, addresses }))
}

/// Whether the machine simply has no such address: IPv6 switched off.
fn is_missing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable
        || error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error())
}

fn refusal(address: SocketAddr, service: Service, error: io::Error) -> anyhow::Error {
    let key = service.port_key();
    let port = address.port();
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            let by = port_holder::find(port).map_or_else(String::new, |holder| format!(" by {holder}"));
            anyhow!("port {port} is in use{by}: stop that, or choose another with `harbor config set {key} PORT`")
        }
        io::ErrorKind::PermissionDenied => {
            anyhow!("not allowed to listen on port {port}: choose one from 1024 on with `harbor config set {key} PORT`")
        }
        io::ErrorKind::AddrNotAvailable => {
            anyhow!("this machine has no address {}: choose one with `harbor config set bind ADDRESS`", address.ip())
        }
        _ => anyhow::Error::new(error).context(format!("cannot listen on {address} ({key})")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn localhost_has_one_port_on_both_families() {
        let (listeners, listening) = listen_on(Bind::Localhost, 0, Service::Api).await.unwrap();
        assert!(!listeners.is_empty());
        assert!(listening.addresses.iter().all(|address| address.port() == listening.addresses[0].port()));
        assert!(listening.addresses.iter().all(|address| address.ip().is_loopback()));
    }

    #[tokio::test]
    async fn a_port_in_use_names_its_holder_and_the_key() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let refusal = listen_on(Bind::Localhost, port, Service::Proxy).await.unwrap_err().to_string();
        assert!(refusal.contains(&format!("port {port} is in use by")), "{refusal}");
        assert!(refusal.contains(&format!("process {}", std::process::id())), "{refusal}");
        assert!(refusal.contains("harbor config set daytona.proxy_host_port"), "{refusal}");
    }

    #[tokio::test]
    async fn an_address_of_another_machine_is_refused() {
        let bind = Bind::Address("192.0.2.1".parse().unwrap());
        let refusal = listen_on(bind, 0, Service::Api).await.unwrap_err().to_string();
        assert!(refusal.contains("harbor config set bind"), "{refusal}");
    }
}
