//! Random texts that open things. All from the operating system's generator.

use harbor_model::hex;
use harbor_model::secrets::Secret;
use rand::TryRng;
use rand::rngs::SysRng;

use crate::Error;
use crate::error::Kind;

/// Lowercase letters and digits: safe in host names, URLs and argument lists.
const LOWERCASE: &[u8; 32] = b"abcdefghijkmnopqrstuvwxyz0123456";

/// A preview or toolbox token: 32 characters, 160 bits (contract, edges §1.8).
pub(crate) fn token() -> Result<Secret, Error> {
    let text = random::<32>()?.iter().map(|byte| char::from(LOWERCASE[usize::from(byte % 32)])).collect::<String>();
    Ok(Secret::new(text))
}

/// An API key: `dtn_` and 64 lowercase hexadecimal digits (contract, control-plane §2.1).
pub(crate) fn api_key() -> Result<Secret, Error> {
    hexadecimal("dtn_")
}

/// A key that signs URLs of files: `fsk_` and 64 lowercase hexadecimal digits (contract, toolbox §11.15). The prefix
/// keeps clients that try every answer as JSON from reading a number.
pub(crate) fn signing_key() -> Result<Secret, Error> {
    hexadecimal("fsk_")
}

/// `prefix` and 256 random bits.
fn hexadecimal(prefix: &str) -> Result<Secret, Error> {
    Ok(Secret::new(prefix.to_owned() + &hex(&random::<32>()?)))
}

fn random<const BYTES: usize>() -> Result<[u8; BYTES], Error> {
    let mut bytes = [0; BYTES];
    SysRng
        .try_fill_bytes(&mut bytes)
        .map_err(|error| Error::new(Kind::Internal, format!("no randomness from the operating system: {error}")))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_have_the_contracts_form_and_differ() {
        let token = token().unwrap();
        assert_eq!(token.reveal().len(), 32);
        assert!(token.reveal().bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()));
        assert_ne!(super::token().unwrap(), token);
        let key = api_key().unwrap();
        assert!(key.reveal().strip_prefix("dtn_").is_some_and(|digits| digits.len() == 64));
        let key = signing_key().unwrap();
        assert!(key.reveal().strip_prefix("fsk_").is_some_and(|digits| digits.len() == 64));
        assert_ne!(signing_key().unwrap(), key);
    }
}
