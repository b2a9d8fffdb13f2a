//! The web client: one for a command, made from git's settings.

use std::sync::Arc;
use std::time::Duration;

use git2::Config;
use ureq::tls::{RootCerts, TlsConfig, TlsProvider};
use ureq::{Agent, Proxy};

use super::certificates::Trusted;

/// Longest wait for a connection. How long all of it may take is the toolbox's concern.
const CONNECT: Duration = Duration::from_mins(1);

/// Some servers look for the beginning of this.
const NAME: &str = concat!("git/2.50.0 (harbor ", env!("CARGO_PKG_VERSION"), ")");

/// The client, and what it cannot do.
pub(super) struct Client {
    pub(super) agent: Agent,
    /// Headers of the settings, name and value.
    pub(super) headers: Vec<(String, String)>,
    /// Why no certificate can be verified, if that is so.
    pub(super) lack: Option<String>,
}

impl Client {
    /// Follows no redirect by itself, and makes no error of a status.
    pub(super) fn new(config: &Config, scheme: &str) -> Self {
        let mut builder = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(NAME)
            .timeout_connect(Some(CONNECT));
        if let Some(proxy) = config.get_string("http.proxy").ok().filter(|proxy| !proxy.is_empty()) {
            builder = builder.proxy(Proxy::new(&proxy).ok());
        }
        let mut lack = None;
        let skip = std::env::var_os("GIT_SSL_NO_VERIFY").is_some()
            || config.get_bool("http.sslVerify").is_ok_and(|verify| !verify);
        let mut tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .disable_verification(skip);
        // Reading the authorities takes a while, so not for nothing.
        if scheme == "https" && !skip {
            let trusted = Trusted::load(config);
            lack = trusted.lack;
            tls = tls.root_certs(RootCerts::new_with_certs(&trusted.certificates));
        } else {
            tls = tls.root_certs(RootCerts::new_with_certs(&[]));
        }
        let headers = crate::config::values(config, "http.extraHeader").unwrap_or_default();
        let headers = headers.iter().filter_map(|header| header.split_once(':'));
        let headers = headers.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())).collect();
        Self { agent: builder.tls_config(tls.build()).build().into(), headers, lack }
    }
}
