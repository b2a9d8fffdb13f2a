//! Fuzzing of what language servers write.

#![expect(clippy::missing_panics_doc, reason = "a panic is what fuzzing looks for")]

use super::dialogue::Dialogue;
use super::framing::{first_body, framed};

/// Arbitrary bytes: a message that is whole is the same message when more follows, and whatever is said is borne, as
/// bytes of the server's and as one message.
pub fn lsp_messages(data: &[u8]) {
    let whole = first_body(data);
    let cut = data.len() / 2;
    if let Ok(Some(body)) = first_body(&data[..cut]) {
        assert!(body.end <= cut, "{body:?}");
        assert_eq!(whole, Ok(Some(body)));
    }
    for stream in [data, &framed(data)] {
        let mut dialogue = Dialogue::default();
        dialogue.buffers().1.extend_from_slice(stream);
        // What cannot be read any further ends the server.
        let _ = dialogue.take_messages();
    }
}
