//! Where bytes that arrive in pieces may be cut: not within a character.

/// How many bytes of `text` can be shown by themselves: all but those of a last character that is not whole.
pub(crate) fn complete(text: &[u8]) -> usize {
    let length = text.len();
    for back in 1..=length.min(3) {
        let whole = match text[length - back] {
            0xC0..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xF7 => 4,
            0x80..=0xBF => continue,
            _ => return length,
        };
        return if whole > back { length - back } else { length };
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_is_never_cut() {
        let text = "aé€🙂b".as_bytes();
        for cut in 0..=text.len() {
            let shown = complete(&text[..cut]);
            assert!(std::str::from_utf8(&text[..shown]).is_ok(), "{cut}");
            assert!(cut - shown < 4, "{cut}");
        }
        assert_eq!(complete(b"\x80\x80\x80\x80"), 4, "no text at all is not kept for ever");
        assert_eq!(complete(b""), 0);
    }
}
