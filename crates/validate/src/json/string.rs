//! Strings: where they end, and what their escapes mean.

use wide::u8x16;

use super::scan::sixteen;

/// The index of the first quote, backslash or control character among sixteen bytes; 16 if there is none.
#[inline(always)]
pub(crate) fn special_in(near: u128) -> usize {
    let near = u8x16::new(near.to_le_bytes());
    let special = near.simd_le(u8x16::splat(0x1f))
        | near.simd_eq(u8x16::splat(b'"'))
        | near.simd_eq(u8x16::splat(b'\\'));
    (special.to_bitmask() | 0x1_0000).trailing_zeros() as usize
}

/// The index of the first quote, backslash or control character at or after `from`; the length if there is none.
#[inline(always)]
pub(crate) fn find_special(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    loop {
        // What is behind the end counts as a control character.
        let found = special_in(sixteen(bytes, at));
        if found < 16 {
            return (at + found).min(bytes.len());
        }
        at += 16;
    }
}

/// Reads the escape whose backslash stands at `at`, appends its character, and returns the index after it.
pub(crate) fn unescape(
    bytes: &[u8],
    at: usize,
    out: &mut String,
) -> Result<usize, (usize, &'static str)> {
    let char = match bytes.get(at + 1) {
        None => return Err((at + 1, "EOF while parsing a string")),
        Some(b'"') => '"',
        Some(b'\\') => '\\',
        Some(b'/') => '/',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => return unescape_unicode(bytes, at, out),
        Some(_) => return Err((at + 1, "invalid escape")),
    };
    out.push(char);
    Ok(at + 2)
}

fn unescape_unicode(
    bytes: &[u8],
    at: usize,
    out: &mut String,
) -> Result<usize, (usize, &'static str)> {
    const LONE: &str = "lone leading surrogate in hex escape";
    let first = hex4(bytes, at + 2)?;
    if !(0xD800..0xE000).contains(&first) {
        out.push(char::from_u32(first).ok_or((at, LONE))?);
        return Ok(at + 6);
    }
    if first >= 0xDC00 || bytes.get(at + 6) != Some(&b'\\') || bytes.get(at + 7) != Some(&b'u') {
        return Err((at, LONE));
    }
    let second = hex4(bytes, at + 8)?;
    if !(0xDC00..0xE000).contains(&second) {
        return Err((at, LONE));
    }
    let code = 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
    out.push(char::from_u32(code).ok_or((at, LONE))?);
    Ok(at + 12)
}

fn hex4(bytes: &[u8], at: usize) -> Result<u32, (usize, &'static str)> {
    let mut code = 0;
    for index in at..at + 4 {
        let digit = match bytes.get(index) {
            None => return Err((index, "EOF while parsing a string")),
            Some(byte @ b'0'..=b'9') => byte - b'0',
            Some(byte @ b'a'..=b'f') => byte - b'a' + 10,
            Some(byte @ b'A'..=b'F') => byte - b'A' + 10,
            Some(_) => return Err((index, "invalid escape")),
        };
        code = code * 16 + u32::from(digit);
    }
    Ok(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_a_loop_finds() {
        let naive = |bytes: &[u8]| {
            bytes.iter().position(|b| *b < 0x20 || *b == b'"' || *b == b'\\').unwrap_or(bytes.len())
        };
        for special in [0, 0x1f, b'"', b'\\'] {
            for before in [b'a', 0x20, 0x21, 0x23, 0x5b, 0x5d, 0x7f, 0x80, 0xff] {
                for length in 0..20 {
                    let mut bytes = vec![before; length];
                    assert_eq!(find_special(&bytes, 0), length);
                    for at in 0..length {
                        bytes[at] = special;
                        assert_eq!(find_special(&bytes, 0), naive(&bytes), "{bytes:?}");
                        bytes[at] = before;
                    }
                }
            }
        }
    }
}
