//! Fuzzing of what language servers write.

use super::framing::first_body;

/// Arbitrary bytes: a message that is whole is the same message when more follows.
pub fn lsp_messages(data: &[u8]) {
    let whole = first_body(data);
    let cut = data.len() / 2;
    if let Ok(Some(body)) = first_body(&data[..cut]) {
        assert!(body.end <= cut, "{body:?}");
        assert_eq!(whole, Ok(Some(body)));
    }
}
