//! The local certificate authority, and the certificate it signs for this host (design D10).
//!
//! Guarantees: a key and its certificate lie in one file, so that neither exists without the other. The authority
//! stays; the host's certificate is made anew before it expires and when the authority is another one.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use harbor_model::ids::InstanceId;
use harbor_model::secrets::Secret;
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, NameConstraints, SanType,
};
use time::OffsetDateTime;

use super::files;

/// How long the host's certificate holds; clients refuse more than 398 days.
const LEAF_DAYS: u32 = 397;

/// The age at which it is replaced.
const LEAF_RENEWAL: Duration = Duration::from_hours(300 * 24);

/// How long the authority holds.
const AUTHORITY_DAYS: u32 = 10 * 365;

/// Certificates and keys, all PEM.
#[derive(Clone, Debug)]
pub(crate) struct Authority {
    /// The authority's certificate, which clients have to trust.
    pub(crate) certificate: String,
    /// This host's certificate, followed by the authority's.
    pub(crate) leaf_certificates: String,
    /// This host's private key.
    pub(crate) leaf_key: Secret,
}

impl Authority {
    /// Reads both from `keys`, or makes what is missing.
    ///
    /// This host's certificate is for `names` too, beside those of the loopback.
    pub(crate) fn load_or_generate(keys: &Path, instance: InstanceId, names: &[String]) -> anyhow::Result<Self> {
        let path = keys.join("authority.pem");
        let (text, _) = files::read_or_generate(&path, || generate(instance))?;
        let (key, certificate) = split(&text).with_context(|| format!("{} is damaged: delete it", path.display()))?;
        let leaf_path = keys.join("leaf.pem");
        let (names_path, names_text) = (keys.join("leaf.names"), names.join("\n"));
        let same_names = files::read(&names_path)?.unwrap_or_default().trim_end() == names_text;
        if !same_names || !is_current(&leaf_path, &certificate)? {
            let leaf = sign_leaf(instance, &key, &certificate, names).context("cannot sign this host's certificate")?;
            for (path, text) in [(&leaf_path, leaf), (&names_path, names_text)] {
                files::replace(path, text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))?;
            }
        }
        let leaf = files::read(&leaf_path)?.context("this host's certificate is gone")?;
        let (leaf_key, leaf_certificates) =
            split(&leaf).with_context(|| format!("{} is damaged: delete it", leaf_path.display()))?;
        Ok(Self { certificate, leaf_certificates, leaf_key: Secret::new(leaf_key) })
    }
}

/// Key and certificates of a file that holds a private key followed by certificates.
fn split(text: &str) -> anyhow::Result<(String, String)> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    let at = text.find(BEGIN).context("no certificate")?;
    let (key, certificates) = text.split_at(at);
    KeyPair::from_pem(key).context("no private key")?;
    Ok((key.to_owned(), certificates.trim_end().to_owned() + "\n"))
}

fn is_current(path: &Path, authority: &str) -> anyhow::Result<bool> {
    let Some(leaf) = files::read(path)? else { return Ok(false) };
    let age = SystemTime::now().duration_since(fs::metadata(path)?.modified()?).unwrap_or_default();
    Ok(age < LEAF_RENEWAL && leaf.trim_end().ends_with(authority.trim_end()))
}

fn generate(instance: InstanceId) -> anyhow::Result<String> {
    let key = KeyPair::generate().context("cannot make a key for the certificate authority")?;
    let certificate =
        authority_parameters(instance)?.self_signed(&key).context("cannot sign the certificate authority")?;
    Ok(key.serialize_pem() + &certificate.pem())
}

fn authority_parameters(instance: InstanceId) -> anyhow::Result<CertificateParams> {
    let mut parameters = CertificateParams::new(Vec::<String>::new())?;
    parameters.distinguished_name.push(DnType::OrganizationName, "Harbor");
    parameters.distinguished_name.push(DnType::CommonName, format!("Harbor local authority {instance}"));
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    // whoever steals its key can be no site of the internet for those who trust it
    parameters.name_constraints =
        Some(NameConstraints { permitted_subtrees: near_names(), excluded_subtrees: Vec::new() });
    parameters.key_usages =
        vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    valid_for(&mut parameters, AUTHORITY_DAYS);
    Ok(parameters)
}

/// Names that only machines nearby have, and what is below these.
const NEAR: [&str; 6] = ["localhost", "local", "lan", "internal", "home.arpa", "test"];

/// Whether only machines nearby have this name or address.
fn is_near(name: &str) -> bool {
    if let Ok(address) = name.parse::<IpAddr>() {
        return near_addresses().into_iter().any(|(network, length)| is_within(address, network, length));
    }
    NEAR.iter().any(|near| name.strip_suffix(near).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')))
}

fn is_within(address: IpAddr, network: IpAddr, length: u8) -> bool {
    let (bits, width, network) = match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => {
            (u128::from(u32::from(address)), 32, u128::from(u32::from(network)))
        }
        (IpAddr::V6(address), IpAddr::V6(network)) => (u128::from(address), 128, u128::from(network)),
        _ => return false,
    };
    let shift = width - u32::from(length);
    bits.checked_shr(shift) == network.checked_shr(shift)
}

fn near_addresses() -> [(IpAddr, u8); 9] {
    [
        (Ipv4Addr::LOCALHOST.into(), 8),
        (Ipv4Addr::new(10, 0, 0, 0).into(), 8),
        (Ipv4Addr::new(172, 16, 0, 0).into(), 12),
        (Ipv4Addr::new(192, 168, 0, 0).into(), 16),
        (Ipv4Addr::new(169, 254, 0, 0).into(), 16),
        (Ipv4Addr::new(100, 64, 0, 0).into(), 10),
        (Ipv6Addr::LOCALHOST.into(), 128),
        (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0).into(), 7),
        (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0).into(), 10),
    ]
}

/// What the authority may vouch for.
fn near_names() -> Vec<GeneralSubtree> {
    let addresses = near_addresses().map(|(address, length)| CidrSubnet::from_addr_prefix(address, length));
    let names = NEAR.into_iter().map(|name| GeneralSubtree::DnsName(name.to_owned()));
    names.chain(addresses.into_iter().map(GeneralSubtree::IpAddress)).collect()
}

fn sign_leaf(instance: InstanceId, authority_key: &str, authority: &str, further: &[String]) -> anyhow::Result<String> {
    // what a signature needs of the issuer (its name and key) is the same as when the authority was made
    let issuer = Issuer::new(authority_parameters(instance)?, KeyPair::from_pem(authority_key)?);
    let key = KeyPair::generate()?;
    // no `*.localhost`: clients take no wildcard before one word, and some then take nothing at all
    let names = ["localhost", "proxy.localhost", "*.proxy.localhost"].map(str::to_owned);
    // an address among them becomes one; with a single name that the authority may not vouch for, clients take none
    let further = further.iter().filter(|name| is_near(name)).cloned();
    let mut parameters = CertificateParams::new(names.into_iter().chain(further).collect::<Vec<_>>())?;
    for address in [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)] {
        parameters.subject_alt_names.push(SanType::IpAddress(address));
    }
    parameters.distinguished_name.push(DnType::CommonName, "localhost");
    parameters.use_authority_key_identifier_extension = true;
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    valid_for(&mut parameters, LEAF_DAYS);
    let certificate = parameters.signed_by(&key, &issuer)?;
    Ok(key.serialize_pem() + &certificate.pem() + authority)
}

/// From an hour ago, for clocks that run behind.
fn valid_for(parameters: &mut CertificateParams, days: u32) {
    let now = OffsetDateTime::now_utc();
    parameters.not_before = now - Duration::from_hours(1);
    parameters.not_after = now + Duration::from_hours(u64::from(days) * 24);
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// OpenSSL judges, not we.
    #[test]
    fn the_leaf_is_signed_by_the_authority() {
        let keys = tempfile::tempdir().unwrap();
        let names = ["daytona.localhost", "192.168.1.5"].map(str::to_owned);
        let authority = Authority::load_or_generate(keys.path(), InstanceId::random(), &names).unwrap();
        let (ca, leaf) = (keys.path().join("ca.crt"), keys.path().join("leaf.crt"));
        fs::write(&ca, &authority.certificate).unwrap();
        fs::write(&leaf, &authority.leaf_certificates).unwrap();
        for (by, name) in [
            ("-verify_hostname", "localhost"),
            ("-verify_hostname", "3000-brave-otter.proxy.localhost"),
            ("-verify_hostname", "daytona.localhost"),
            ("-verify_ip", "127.0.0.1"),
            ("-verify_ip", "192.168.1.5"),
        ] {
            let verified = Command::new("openssl")
                .args(["verify", "-purpose", "sslserver", by, name, "-CAfile"])
                .args([&ca, &leaf])
                .output()
                .unwrap();
            assert!(verified.status.success(), "{name}: {}", String::from_utf8_lossy(&verified.stderr));
        }
    }

    /// So does the library that the clients written in Python and Rust have.
    #[test]
    fn rustls_takes_the_leaf_for_names_nearby_alone() {
        use rustls::client::WebPkiServerVerifier;
        use rustls::client::danger::ServerCertVerifier as _;
        use rustls::pki_types::pem::PemObject as _;
        use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

        let check = |names: &[String], name: &'static str| {
            let keys = tempfile::tempdir().unwrap();
            let authority = Authority::load_or_generate(keys.path(), InstanceId::random(), names).unwrap();
            let mut roots = rustls::RootCertStore::empty();
            roots.add(CertificateDer::from_pem_slice(authority.certificate.as_bytes()).unwrap()).unwrap();
            let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
            let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), provider).build().unwrap();
            let chain = CertificateDer::pem_slice_iter(authority.leaf_certificates.as_bytes());
            let chain: Vec<_> = chain.collect::<Result<_, _>>().unwrap();
            let name = ServerName::try_from(name).unwrap();
            verifier.verify_server_cert(&chain[0], &chain[1..], &name, &[], UnixTime::now()).map(drop)
        };
        for name in ["localhost", "127.0.0.1", "::1", "3000-brave-otter.proxy.localhost"] {
            assert_eq!(check(&[], name), Ok(()), "{name}");
        }
        assert_eq!(check(&["harbor.lan".to_owned()], "harbor.lan"), Ok(()));
        assert_eq!(check(&["192.168.1.5".to_owned()], "192.168.1.5"), Ok(()));
        assert!(check(&["example.com".to_owned()], "example.com").is_err());
        assert!(check(&["1.1.1.1".to_owned()], "1.1.1.1").is_err());
        // and costs the others nothing
        assert_eq!(check(&["example.com".to_owned(), "1.1.1.1".to_owned(), "notlan".to_owned()], "localhost"), Ok(()));
    }

    #[test]
    fn an_old_leaf_is_replaced() {
        let keys = tempfile::tempdir().unwrap();
        let instance = InstanceId::random();
        let before = Authority::load_or_generate(keys.path(), instance, &[]).unwrap();
        let file = fs::File::options().write(true).open(keys.path().join("leaf.pem")).unwrap();
        file.set_modified(SystemTime::now() - LEAF_RENEWAL).unwrap();
        let after = Authority::load_or_generate(keys.path(), instance, &[]).unwrap();
        assert_eq!(before.certificate, after.certificate);
        assert_ne!(before.leaf_certificates, after.leaf_certificates);
        let named = Authority::load_or_generate(keys.path(), instance, &["a.lan".to_owned()]).unwrap();
        assert_ne!(named.leaf_certificates, after.leaf_certificates);
        let again = Authority::load_or_generate(keys.path(), instance, &["a.lan".to_owned()]).unwrap();
        assert_eq!(named.leaf_certificates, again.leaf_certificates);
    }
}
