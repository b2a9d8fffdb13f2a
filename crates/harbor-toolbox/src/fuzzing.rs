//! The parsers, for the fuzz targets in `fuzz/`: each takes any bytes and panics when a promise is broken.
#![expect(clippy::missing_panics_doc, reason = "a panic is how a fuzz target reports a finding")]

pub use crate::files::fuzzing::{multipart, names};
pub use crate::git::fuzzing::{git_source, git_status};
pub use crate::interpreter::fuzzing::interpreter_packets;
pub use crate::lsp::fuzzing::lsp_messages;
pub use crate::sessions::fuzzing::session_log;
pub use crate::sftp::fuzzing::sftp_packets;

/// A JSON body, read leniently: whatever it is, there is an answer, and a strict reader's acceptance is shared.
pub fn json_body(data: &[u8]) {
    let lenient = crate::http::json::decode::<serde_json::Value>(data);
    if serde_json::from_slice::<serde_json::Value>(data).is_ok() {
        assert!(lenient.is_ok(), "a strict reader takes it");
    }
}

/// A stream of the SSH gateway, from either side: what is taken for a frame is written just so.
pub fn remote_frames(data: &[u8]) {
    use harbor_protocol::remote::{Event, Request};
    let mut written = Vec::new();
    if let Ok(Some((request, length))) = Request::first(data) {
        request.append_to(&mut written).expect("it was read");
        assert_eq!(written, data[..length]);
    }
    written.clear();
    if let Ok(Some((event, length))) = Event::first(data) {
        event.append_to(&mut written).expect("it was read");
        assert_eq!(written, data[..length]);
    }
}
