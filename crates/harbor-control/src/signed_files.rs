//! Signed URLs of files: one operation on one file of one sandbox, for whoever holds the URL (contract, toolbox
//! §11.15).
//!
//! Whoever may use the sandbox's toolbox gets its signing key and signs by itself; rotating the key ends every URL
//! signed before. The key is made when it is first asked for and goes with the sandbox.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use harbor_model::Timestamp;
use harbor_model::names::SandboxRef;
use harbor_model::secrets::Secret;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use crate::{Allowed, Control, Error, WriteSandboxes, token};

/// What stands before a signature and says how it was made.
const VERSION: &str = "v1_";

/// What a signed URL lets its holder do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileOperation {
    /// Read the file.
    Download,
    /// Write the file.
    Upload,
}

impl FileOperation {
    /// The HTTP method, as it is signed.
    fn method(self) -> &'static str {
        match self {
            Self::Download => "GET",
            Self::Upload => "POST",
        }
    }
}

/// What a signed URL claims.
#[derive(Clone, Debug)]
pub struct SignedFile {
    operation: FileOperation,
    path: Vec<u8>,
    expires: u64,
    signature: Secret,
}

impl SignedFile {
    /// The claim that `signature` allows `operation` on the file at `path`, decoded, until `expires`: seconds since
    /// 1970 UTC, 0 for ever.
    ///
    /// None without a path, or if `expires` is not written as the plain decimal number that it is. So the last `:` of
    /// what is signed always ends the path, and no two claims share a signature.
    pub fn new(operation: FileOperation, path: Vec<u8>, expires: &str, signature: Secret) -> Option<Self> {
        let seconds: u64 = expires.parse().ok()?;
        let plain = seconds.to_string() == expires;
        (plain && !path.is_empty()).then_some(Self { operation, path, expires: seconds, signature })
    }

    /// The path that was signed. Not UTF-8 necessarily.
    pub fn path(&self) -> &[u8] {
        &self.path
    }

    /// Whether this was signed with `key`, and has not expired at `now`. Takes as long for every wrong signature.
    pub(crate) fn is_signed_with(&self, key: &Secret, now: Timestamp) -> bool {
        let expired = self.expires != 0 && u64::try_from(now.unix_timestamp()).is_ok_and(|now| now >= self.expires);
        let genuine = self
            .expected(key)
            .is_some_and(|expected| bool::from(expected.reveal().as_bytes().ct_eq(self.signature.reveal().as_bytes())));
        genuine && !expired
    }

    /// `v1_` and the unpadded base64url of HMAC-SHA-256 of `v1:files:<method>:<path>:<expires>`.
    fn expected(&self, key: &Secret) -> Option<Secret> {
        let mut mac = Hmac::<Sha256>::new_from_slice(key.reveal().as_bytes()).ok()?; // any length will do
        mac.update(format!("v1:files:{}:", self.operation.method()).as_bytes());
        mac.update(&self.path);
        mac.update(format!(":{}", self.expires).as_bytes());
        let code = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
        Some(Secret::new(format!("{VERSION}{code}")))
    }
}

impl Control {
    /// The key that signs URLs of the sandbox's files; made when it is first asked for.
    ///
    /// Needs what using the toolbox needs, because the key opens files to be read and written.
    pub async fn signing_key(&self, caller: &Allowed<WriteSandboxes>, sandbox: &SandboxRef) -> Result<Secret, Error> {
        let id = self.sandbox(caller, sandbox).await?.id;
        if let Some(known) = self.store().signing_key(id).await? {
            return Ok(known);
        }
        Ok(self.store().by(caller.actor()).ensure_signing_key(id, token::signing_key()?).await?)
    }

    /// Replaces that key and answers the new one; what was signed with the one before opens nothing from then on.
    pub async fn rotate_signing_key(
        &self,
        caller: &Allowed<WriteSandboxes>,
        sandbox: &SandboxRef,
    ) -> Result<Secret, Error> {
        let id = self.sandbox(caller, sandbox).await?.id;
        let fresh = token::signing_key()?;
        self.store().by(caller.actor()).replace_signing_key(id, fresh.clone()).await?;
        Ok(fresh)
    }
}

#[cfg(test)]
mod tests {
    use FileOperation::{Download, Upload};

    use super::*;

    /// Signatures with the key `k` were computed apart from this code; the first is the contract's (toolbox §22.6), the
    /// others are Python's `hmac.new(b"k", message.encode(), "sha256")`.
    const FILE: &str = "/home/daytona/a b.txt";
    const CONTRACTS: &str = "v1_Ditm8c9OgLyLE2IV69-z6vMw3MrupQrsIs6sA540CUo";
    const CONTRACTS_EXPIRY: i64 = 1_767_225_600;
    const FOR_EVER: &str = "v1_lfnkzruB9u7YDraZArDme-vR_pfef_AsE986dhOWR20";
    const UPLOAD: &str = "v1_LELywHaED7H14o2hDd_WUnCumJm4-SUveeclSWBOc9Y";
    const ODD: &str = "v1_bySCZX3futPu8ofju5PoUaqRjJbjO7r1movH8dXxuyc";

    fn claim(operation: FileOperation, path: &str, expires: &str, signature: &str) -> Option<SignedFile> {
        SignedFile::new(operation, path.into(), expires, Secret::new(signature))
    }

    #[track_caller]
    fn check_at(at: i64, claimed: Option<SignedFile>, genuine: bool) {
        let claimed = claimed.unwrap();
        let at = Timestamp::from_unix_timestamp(at).unwrap();
        assert_eq!(claimed.is_signed_with(&Secret::new("k"), at), genuine, "{claimed:?}");
        assert!(!claimed.is_signed_with(&Secret::new("K"), at), "{claimed:?}");
    }

    #[test]
    fn known_signatures_open_what_they_were_made_for() {
        let now = CONTRACTS_EXPIRY - 1;
        check_at(now, claim(Download, FILE, "1767225600", CONTRACTS), true);
        check_at(now, claim(Download, FILE, "0", FOR_EVER), true);
        check_at(now, claim(Upload, FILE, "0", UPLOAD), true);
        check_at(now, claim(Download, "ü+%2F&x=1;/:é", "0", ODD), true);
    }

    #[test]
    fn and_nothing_else() {
        let now = CONTRACTS_EXPIRY - 1;
        check_at(now, claim(Upload, FILE, "0", FOR_EVER), false);
        check_at(now, claim(Download, FILE, "0", UPLOAD), false);
        check_at(now, claim(Download, FILE, "0", CONTRACTS), false);
        check_at(now, claim(Download, FILE, "1767225601", CONTRACTS), false);
        for path in
            ["/home/daytona/a+b.txt", "/home/daytona/a%20b.txt", "/home/daytona/A b.txt", "/home/daytona//a b.txt"]
        {
            check_at(now, claim(Download, path, "0", FOR_EVER), false);
        }
        for signature in ["", "v1_", &FOR_EVER[3..], &FOR_EVER.to_lowercase(), &format!("{FOR_EVER}="), "v1_AAAA"] {
            check_at(now, claim(Download, FILE, "0", signature), false);
        }
    }

    #[test]
    fn a_claim_ends_in_its_second() {
        check_at(CONTRACTS_EXPIRY - 1, claim(Download, FILE, "1767225600", CONTRACTS), true);
        check_at(CONTRACTS_EXPIRY, claim(Download, FILE, "1767225600", CONTRACTS), false);
        check_at(CONTRACTS_EXPIRY + 1, claim(Download, FILE, "1767225600", CONTRACTS), false);
        check_at(253_402_300_799, claim(Download, FILE, "0", FOR_EVER), true); // the end of the year 9999
    }

    #[test]
    fn times_that_are_not_plain_numbers_and_missing_paths_claim_nothing() {
        for expires in ["", "00", "+0", "-1", "01", " 0", "0 ", "1e9", "0.0", "5:0", "18446744073709551616"] {
            assert!(claim(Download, FILE, expires, FOR_EVER).is_none(), "{expires:?}");
        }
        assert!(claim(Download, "", "0", FOR_EVER).is_none());
        assert!(claim(Download, FILE, "18446744073709551615", FOR_EVER).is_some());
    }
}
