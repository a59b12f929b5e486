//! Keys as they stand in JSON text, to be recognized without reading them.

/// A key in quotes, with the comma before it and the colon after it, ready to be compared with text in two steps of eight bytes.
#[derive(Debug, Clone, Default)]
pub(crate) struct QuotedKey {
    /// Empty for a key that JSON may have to escape; it is recognized nowhere.
    text: Box<[u8]>,
    words: [u64; 2],
    masks: [u64; 2],
}

/// The comma in the first word.
const COMMA: u64 = 0xff;

impl QuotedKey {
    /// The key in quotes, the comma and the colon.
    pub(crate) fn new(key: &str) -> Self {
        if key.bytes().any(|byte| byte < 0x20 || byte == b'"' || byte == b'\\') {
            return Self::default();
        }
        let text = format!(",\"{key}\":").into_bytes().into_boxed_slice();
        let (mut padded, mut mask) = ([0; 16], [0; 16]);
        let length = text.len().min(16);
        padded[..length].copy_from_slice(&text[..length]);
        mask[..length].fill(0xff);
        Self { text, words: words(padded), masks: words(mask) }
    }

    /// The end of the key and the colon right after it, if they stand at `at`.
    #[inline]
    pub(crate) fn end(&self, bytes: &[u8], at: usize) -> Option<usize> {
        self.end_behind(bytes, at.checked_sub(1)?, !COMMA)
    }

    /// As [`QuotedKey::end`], of a key right after the comma that stands at `at`.
    #[inline]
    pub(crate) fn end_after_comma(&self, bytes: &[u8], at: usize) -> Option<usize> {
        self.end_behind(bytes, at, !0)
    }

    /// The end of the key that begins at the byte after `at`; `first` covers what is compared of the first eight bytes.
    #[inline(always)]
    fn end_behind(&self, bytes: &[u8], at: usize, first: u64) -> Option<usize> {
        let near = bytes.get(at..at.wrapping_add(16)).and_then(<[u8]>::first_chunk);
        if let Some(near) = near.copied().map(words) {
            let low = (near[0] ^ self.words[0]) & self.masks[0] & first;
            let high = (near[1] ^ self.words[1]) & self.masks[1];
            if (low | high) != 0 {
                return None;
            }
            if (1..=16).contains(&self.text.len()) {
                return Some(at + self.text.len());
            }
        }
        let from = usize::from(first != !0);
        let text = self.text.get(from..).filter(|text| !text.is_empty())?;
        bytes.get(at + from..)?.starts_with(text).then_some(at + self.text.len())
    }
}

#[inline]
fn words(bytes: [u8; 16]) -> [u64; 2] {
    let whole = u128::from_le_bytes(bytes);
    [whole as u64, (whole >> 64) as u64]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recognizes_exactly_its_own_text() {
        for length in 0..40 {
            let key = "k".repeat(length);
            let quoted = QuotedKey::new(&key);
            for after in 0..20 {
                let text = format!("x,\"{key}\":{}", "1".repeat(after));
                let end = Some(text.len() - after);
                assert_eq!(quoted.end(text.as_bytes(), 2), end, "{text}");
                assert_eq!(quoted.end_after_comma(text.as_bytes(), 1), end, "{text}");
                for at in [0, 1, 3, 100, usize::MAX] {
                    assert_eq!(quoted.end(text.as_bytes(), at), None, "{text}");
                }
                for at in [0, 2, 100, usize::MAX] {
                    assert_eq!(quoted.end_after_comma(text.as_bytes(), at), None, "{text}");
                }
                let first = format!("{{\"{key}\":{}", "1".repeat(after));
                let end = Some(first.len() - after);
                assert_eq!(quoted.end(first.as_bytes(), 1), end, "{first}");
                assert_eq!(quoted.end_after_comma(first.as_bytes(), 0), None, "{first}");
                let apart = format!(",\"{key}\" :{}", "1".repeat(after));
                assert_eq!(quoted.end(apart.as_bytes(), 1), None, "{apart}");
                let longer = format!(",\"{key}k\":{}", "1".repeat(after));
                assert_eq!(quoted.end(longer.as_bytes(), 1), None, "{longer}");
            }
        }
        let escaped = QuotedKey::new("a\"b");
        assert_eq!(escaped.end(b",\"a\\\"b\":1                  ", 1), None);
        assert_eq!(escaped.end_after_comma(b",\"a\\\"b\":1                  ", 0), None);
        assert_eq!(escaped.end(b",                              ", 1), None);
    }
}
