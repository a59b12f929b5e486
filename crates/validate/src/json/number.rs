//! Numbers: the grammar of RFC 8259, and exact values.

/// A number in JSON text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    /// An integer of at most 64 bits.
    Int(i64),
    /// A larger integer; its text is its value.
    Big,
    /// A float.
    Float(f64),
}

const EOF: &str = "EOF while parsing a value";
const INVALID: &str = "invalid number";

/// Reads the number that begins at `from` and returns it with the index after it.
#[inline]
pub(super) fn read(text: &str, from: usize) -> Result<(Number, usize), (usize, &'static str)> {
    let bytes = text.as_bytes();
    let mut at = from;
    let negative = bytes.get(at) == Some(&b'-');
    at += usize::from(negative);
    let first = at;
    let mut value: u64 = 0;
    while let Some(digit @ b'0'..=b'9') = bytes.get(at) {
        // Wraps only beyond 19 digits, where it is not used.
        value = value.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
        at += 1;
    }
    let digits = at - first;
    if digits == 0 {
        return Err(if at == bytes.len() { (at, EOF) } else { (at, INVALID) });
    }
    if digits > 1 && bytes[first] == b'0' {
        return Err((first + 1, INVALID));
    }
    if matches!(bytes.get(at), Some(b'.' | b'e' | b'E')) {
        return read_float(text, from, at);
    }
    if digits <= 18 {
        let value = value as i64;
        return Ok((Number::Int(if negative { -value } else { value }), at));
    }
    match text.get(from..at).map(str::parse::<i64>) {
        Some(Ok(value)) => Ok((Number::Int(value), at)),
        _ => Ok((Number::Big, at)),
    }
}

/// Powers of ten that a float holds exactly.
pub(crate) const TENS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

/// Reads a float whose integer part ends at `point`.
fn read_float(
    text: &str,
    from: usize,
    point: usize,
) -> Result<(Number, usize), (usize, &'static str)> {
    let bytes = text.as_bytes();
    let mut at = point;
    let mut places = 0;
    if bytes[at] == b'.' {
        at += 1;
        let start = at;
        while matches!(bytes.get(at), Some(b'0'..=b'9')) {
            at += 1;
        }
        places = at - start;
        if places == 0 {
            return Err(if at == bytes.len() { (at, EOF) } else { (at, INVALID) });
        }
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        at += 1;
        at += usize::from(matches!(bytes.get(at), Some(b'+' | b'-')));
        let start = at;
        while matches!(bytes.get(at), Some(b'0'..=b'9')) {
            at += 1;
        }
        if at == start {
            return Err(if at == bytes.len() { (at, EOF) } else { (at, INVALID) });
        }
    } else if at - from <= 16 && places < TENS.len() {
        // Digits and power are both exact as floats, so one division rounds once: the result is exact.
        let mut value: u64 = 0;
        for byte in &bytes[from..at] {
            if byte.is_ascii_digit() {
                value = value * 10 + u64::from(byte - b'0');
            }
        }
        let float = value as f64 / TENS[places];
        return Ok((Number::Float(if bytes[from] == b'-' { -float } else { float }), at));
    }
    match text.get(from..at).map(str::parse::<f64>) {
        Some(Ok(value)) => Ok((Number::Float(value), at)),
        _ => Err((from, INVALID)),
    }
}
