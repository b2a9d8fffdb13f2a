//! Which certificate authorities are trusted: those of the image.

use std::path::PathBuf;

use git2::Config;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use ureq::tls::Certificate;

/// The authorities, and what to tell when there are none.
pub(super) struct Trusted {
    pub(super) certificates: Vec<Certificate<'static>>,
    /// Why a certificate cannot be verified at all, if that is so.
    pub(super) lack: Option<String>,
}

impl Trusted {
    /// Those of git's own settings, else of `SSL_CERT_FILE` and `SSL_CERT_DIR`, else of the image's usual places.
    pub(super) fn load(config: &Config) -> Self {
        let file = std::env::var("GIT_SSL_CAINFO").ok().or_else(|| config.get_string("http.sslCAInfo").ok());
        let (found, lack) = match file {
            Some(file) => {
                let read = CertificateDer::pem_file_iter(PathBuf::from(&file)).map(|read| read.flatten().collect());
                let found: Vec<CertificateDer<'static>> = read.unwrap_or_default();
                (found, format!("there is no certificate authority in {file}"))
            }
            None => (rustls_native_certs::load_native_certs().certs, nowhere()),
        };
        let certificates: Vec<_> =
            found.iter().map(|certificate| Certificate::from_der(certificate).to_owned()).collect();
        let lack = certificates.is_empty().then_some(lack);
        Self { certificates, lack }
    }
}

fn nowhere() -> String {
    let told = std::env::var("SSL_CERT_FILE").or_else(|_| std::env::var("SSL_CERT_DIR"));
    match told {
        Ok(place) => format!("there is no certificate authority in {place}"),
        Err(_) => "this image has no certificate authorities: install ca-certificates, or name a bundle with \
                   SSL_CERT_FILE"
            .to_owned(),
    }
}
