//! Opaque marks of where a page ended (contract, control-plane §5.14).
//!
//! A cursor holds what its last row was sorted by and that row's id, so it stays good when rows come and go. It is
//! bound to its sort and order and carries a checksum: one that was altered or is used with another order is refused.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use harbor_control::sandboxes::{After, SortValue};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::ApiError;

const CHECKSUM: usize = 8;

#[derive(Serialize, Deserialize)]
struct Mark {
    /// Sort and order that it belongs to.
    by: String,
    id: String,
    number: Option<i64>,
    text: Option<String>,
}

/// The cursor behind `after` in a listing sorted `by`.
pub(crate) fn write(after: &After, by: &str) -> String {
    let (number, text) = match &after.value {
        SortValue::Number(number) => (Some(*number), None),
        SortValue::Text(text) => (None, Some(text.clone())),
    };
    let mark = Mark { by: by.to_owned(), id: after.id.to_string(), number, text };
    let mut bytes = serde_json::to_vec(&mark).unwrap_or_default(); // texts and a number: nothing that can fail
    bytes.splice(0..0, checksum(&bytes));
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Where `cursor` points in a listing sorted `by`; 400 for one that this listing did not give out.
pub(crate) fn read(cursor: &str, by: &str) -> Result<After, ApiError> {
    parse(cursor, by).ok_or_else(|| {
        ApiError::invalid("Invalid cursor: use nextCursor of the page before, with the same sort and order")
    })
}

fn parse(cursor: &str, by: &str) -> Option<After> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor.trim_end_matches('=')).ok()?;
    let (sum, json) = bytes.split_at_checked(CHECKSUM)?;
    let mark: Mark = (checksum(json) == sum).then(|| serde_json::from_slice(json).ok())??;
    let value = match (mark.number, mark.text) {
        (Some(number), None) => SortValue::Number(number),
        (None, Some(text)) => SortValue::Text(text),
        _ => return None,
    };
    (mark.by == by).then_some(After { value, id: mark.id.parse().ok()? })
}

fn checksum(json: &[u8]) -> [u8; CHECKSUM] {
    let digest: [u8; 32] = Sha256::digest(json).into();
    std::array::from_fn(|at| digest[at])
}

#[cfg(test)]
mod tests {
    use harbor_model::ids::SandboxId;

    use super::*;

    fn after(value: SortValue) -> After {
        After { value, id: SandboxId::random() }
    }

    #[test]
    fn a_cursor_leads_back_to_its_row() {
        for value in [SortValue::Number(-5), SortValue::Text("büro \"x\"".to_owned())] {
            let after = after(value);
            let cursor = write(&after, "name asc");
            assert_eq!(read(&cursor, "name asc").unwrap(), after);
            assert!(cursor.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'));
        }
    }

    #[test]
    fn any_altered_or_foreign_cursor_is_refused() {
        let cursor = write(&after(SortValue::Text("a".to_owned())), "name asc");
        assert_eq!(read(&cursor, "name desc").unwrap_err().status, 400);
        for at in 0..cursor.len() {
            let mut altered = cursor.clone().into_bytes();
            altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
            assert!(read(std::str::from_utf8(&altered).unwrap(), "name asc").is_err(), "character {at}");
        }
        for text in ["", "garbage", "e30", "====", "ä"] {
            assert!(read(text, "name asc").is_err(), "{text}");
        }
    }
}
