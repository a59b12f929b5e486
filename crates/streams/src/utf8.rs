//! UTF-8 that arrives in pieces, decoded as CPython's incremental codec does.

use std::fmt::Write;

use crate::error::StreamError;

/// What to do with bytes that are no UTF-8. The names are those of Python's error handlers.
///
/// Like there, the unit is the maximal subpart of a sequence: as many bytes as could have begun a character.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OnInvalid {
    /// Stop with [`StreamError::Decode`].
    Strict,
    /// One U+FFFD for each subpart.
    Replace,
    /// Nothing.
    Ignore,
    /// `\xNN` for each byte.
    BackslashReplace,
}

/// Turns chunks into text, whatever the places where they were cut. Linear in the bytes, also on garbage.
#[derive(Debug, Clone)]
pub struct Utf8Decoder {
    on_invalid: OnInvalid,
    /// The beginning of a character whose rest has not arrived.
    held: [u8; 4],
    len: usize,
    /// Bytes decoded so far, the held ones not included.
    offset: u64,
}

impl Utf8Decoder {
    /// A decoder at the beginning of a stream.
    pub fn new(on_invalid: OnInvalid) -> Self {
        Self { on_invalid, held: [0; 4], len: 0, offset: 0 }
    }

    /// Decodes `chunk` and appends the text to `out`.
    ///
    /// # Errors
    ///
    /// [`StreamError::Decode`] with [`OnInvalid::Strict`]; what came before the place is in `out`.
    pub fn push(&mut self, chunk: &[u8], out: &mut String) -> Result<(), StreamError> {
        let mut rest = self.complete(chunk, out)?;
        while !rest.is_empty() {
            match std::str::from_utf8(rest) {
                Ok(text) => {
                    self.valid(text, out);
                    break;
                }
                Err(err) => {
                    let (valid, after) = rest.split_at(err.valid_up_to());
                    // What `from_utf8` has just called valid needs no second look, but only `unsafe` could skip it.
                    if let Ok(text) = std::str::from_utf8(valid) {
                        self.valid(text, out);
                    }
                    let Some(len) = err.error_len() else {
                        self.held[..after.len()].copy_from_slice(after);
                        self.len = after.len();
                        break;
                    };
                    self.invalid(&after[..len], out)?;
                    rest = &after[len..];
                }
            }
        }
        Ok(())
    }

    /// Ends the stream: a character whose rest never came is invalid.
    ///
    /// # Errors
    ///
    /// As [`Utf8Decoder::push`].
    pub fn finish(&mut self, out: &mut String) -> Result<(), StreamError> {
        let (held, len) = (self.held, std::mem::take(&mut self.len));
        if len > 0 { self.invalid(&held[..len], out) } else { Ok(()) }
    }

    /// Finishes the held character with the first bytes of `chunk`; returns what follows.
    fn complete<'c>(
        &mut self,
        mut chunk: &'c [u8],
        out: &mut String,
    ) -> Result<&'c [u8], StreamError> {
        while self.len > 0
            && let Some((&byte, rest)) = chunk.split_first()
        {
            self.held[self.len] = byte;
            let tried = self.held;
            match std::str::from_utf8(&tried[..=self.len]) {
                Ok(text) => {
                    self.len = 0;
                    self.valid(text, out);
                    chunk = rest;
                }
                Err(err) if err.error_len().is_none() => {
                    self.len += 1;
                    chunk = rest;
                }
                // The byte does not continue the character, and begins one of its own.
                Err(_) => {
                    let len = std::mem::take(&mut self.len);
                    self.invalid(&tried[..len], out)?;
                }
            }
        }
        Ok(chunk)
    }

    fn valid(&mut self, text: &str, out: &mut String) {
        out.push_str(text);
        self.offset += text.len() as u64;
    }

    fn invalid(&mut self, bytes: &[u8], out: &mut String) -> Result<(), StreamError> {
        match self.on_invalid {
            OnInvalid::Strict => return Err(StreamError::Decode { offset: self.offset }),
            OnInvalid::Replace => out.push(char::REPLACEMENT_CHARACTER),
            OnInvalid::Ignore => {}
            OnInvalid::BackslashReplace => {
                for byte in bytes {
                    // Writing to a string cannot fail.
                    let _ = write!(out, "\\x{byte:02x}");
                }
            }
        }
        self.offset += bytes.len() as u64;
        Ok(())
    }
}

/// Decodes all of `bytes`; without a copy where they are valid.
///
/// # Errors
///
/// As [`Utf8Decoder::push`].
pub fn decode(bytes: Vec<u8>, on_invalid: OnInvalid) -> Result<String, StreamError> {
    let bytes = match String::from_utf8(bytes) {
        Ok(text) => return Ok(text),
        Err(err) => err.into_bytes(),
    };
    let mut decoder = Utf8Decoder::new(on_invalid);
    let mut text = String::with_capacity(bytes.len());
    decoder.push(&bytes, &mut text)?;
    decoder.finish(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pieces(parts: &[&[u8]], on_invalid: OnInvalid) -> Result<String, StreamError> {
        let mut decoder = Utf8Decoder::new(on_invalid);
        let mut out = String::new();
        for part in parts {
            decoder.push(part, &mut out)?;
        }
        decoder.finish(&mut out)?;
        Ok(out)
    }

    const HARD: [&[u8]; 14] = [
        b"\x80",
        b"\xc0\x80",
        b"\xc3(",
        b"\xe2\x82",
        b"\xe2\x82\n\xac",
        b"\xe0\x80\x80",
        b"\xed\xa0\x80",
        b"\xf0\x9d\x84\x9e",
        b"\xf0\x9d\x84",
        b"\xf0\x80\x80\x80",
        b"\xf4\x90\x80\x80",
        b"\xf8\x88\x80\x80\x80",
        b"ok\xffok\xe2\x82\xac\xe2\x82",
        b"\xf1\x80\xc3\xa9\xf1\x80",
    ];

    #[test]
    fn every_split_of_hard_sequences() {
        for bytes in HARD {
            let lossy = String::from_utf8_lossy(bytes);
            for i in 0..=bytes.len() {
                for j in i..=bytes.len() {
                    let parts = [&bytes[..i], &bytes[i..j], &bytes[j..]];
                    assert_eq!(
                        pieces(&parts, OnInvalid::Replace).unwrap(),
                        lossy,
                        "{bytes:?} {i} {j}"
                    );
                    let ignored = pieces(&parts, OnInvalid::Ignore).unwrap();
                    assert_eq!(ignored, lossy.replace('\u{fffd}', ""), "{bytes:?} {i} {j}");
                    let strict = pieces(&parts, OnInvalid::Strict);
                    match std::str::from_utf8(bytes) {
                        Ok(text) => assert_eq!(strict.unwrap(), text),
                        Err(err) => assert!(
                            matches!(strict, Err(StreamError::Decode { offset }) if offset == err.valid_up_to() as u64),
                            "{bytes:?} {i} {j}"
                        ),
                    }
                }
            }
        }
        assert_eq!(
            pieces(&[b"a\xe2", b"\x82b"], OnInvalid::BackslashReplace).unwrap(),
            "a\\xe2\\x82b"
        );
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_pieces(
            parts in prop::collection::vec(prop::collection::vec(prop_oneof![
                prop::sample::select(b"\x80\xbf\xc3\xe2\x82\xac\xf0\x9d\x84\x9e\xed\xa0".to_vec()), any::<u8>()
            ], 0..8), 0..8)
        ) {
            let slices: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
            let whole = parts.concat();
            let decoded = pieces(&slices, OnInvalid::Replace).unwrap();
            prop_assert_eq!(&decoded, &String::from_utf8_lossy(&whole));
            prop_assert_eq!(decode(whole, OnInvalid::Replace).unwrap(), decoded);
        }
    }
}
