//! Keys as they stand in JSON text, to be recognized without reading them.

/// A key in quotes and the colon after it, ready to be compared with text in two steps of eight bytes.
#[derive(Debug, Clone, Default)]
pub(crate) struct QuotedKey {
    /// Empty for a key that JSON may have to escape; it is recognized nowhere.
    text: Box<[u8]>,
    words: [u64; 2],
    masks: [u64; 2],
}

impl QuotedKey {
    /// The key in quotes, and the colon.
    pub(crate) fn new(key: &str) -> Self {
        if key.bytes().any(|byte| byte < 0x20 || byte == b'"' || byte == b'\\') {
            return Self::default();
        }
        let text = format!("\"{key}\":").into_bytes().into_boxed_slice();
        let (mut padded, mut mask) = ([0; 16], [0; 16]);
        let length = text.len().min(16);
        padded[..length].copy_from_slice(&text[..length]);
        mask[..length].fill(0xff);
        Self { text, words: words(padded), masks: words(mask) }
    }

    /// Its length with quotes and colon.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.text.len()
    }

    /// Whether the text has this key at `at`, and the colon right after it.
    #[inline]
    pub(crate) fn stands(&self, bytes: &[u8], at: usize) -> bool {
        if let Some(Ok(near)) = bytes.get(at..at + 16).map(<[u8; 16]>::try_from) {
            let near = words(near);
            let low = (near[0] ^ self.words[0]) & self.masks[0];
            let high = (near[1] ^ self.words[1]) & self.masks[1];
            if (low | high) != 0 {
                return false;
            }
            if (1..=16).contains(&self.text.len()) {
                return true;
            }
        }
        !self.text.is_empty() && bytes.get(at..).is_some_and(|rest| rest.starts_with(&self.text))
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
                let text = format!("xx\"{key}\":{}", "1".repeat(after));
                assert!(quoted.stands(text.as_bytes(), 2), "{text}");
                assert!(!quoted.stands(text.as_bytes(), 1), "{text}");
                let apart = format!("\"{key}\" :{}", "1".repeat(after));
                assert!(!quoted.stands(apart.as_bytes(), 0), "{apart}");
                let longer = format!("\"{key}k\":{}", "1".repeat(after));
                assert!(!quoted.stands(longer.as_bytes(), 0), "{longer}");
            }
        }
        assert!(!QuotedKey::new("a\"b").stands(b"\"a\\\"b\":1                  ", 0));
    }
}
