//! Fuzzing of what SFTP clients send.

use super::request::{length, parse};

/// Arbitrary bytes: every packet of theirs is read or refused, and none reaches beyond its length.
pub fn sftp_packets(data: &[u8]) {
    let mut rest = data;
    while let Ok(Some(length)) = length(rest) {
        let Some((packet, more)) = rest.split_at_checked(length) else { return };
        let _packet_or_none = parse(&packet[4..]);
        rest = more;
    }
}
