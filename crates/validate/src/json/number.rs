//! Numbers: the grammar of RFC 8259, and exact values.

use super::scan::{digits, eight, pointed_digits};

/// A number in JSON text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Number {
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
pub(crate) fn read(text: &str, from: usize) -> Result<(Number, usize), (usize, &'static str)> {
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

/// Most digits of a number of 64 bits, whatever they are.
pub(crate) const MOST_DIGITS: usize = 19;

/// Most digits of an integer that is read at once.
const USUAL_DIGITS: usize = 18;

/// The sign and the digits of a number of the usual form: whether it is negative, its digits, their number, and where they end.
#[inline(always)]
fn whole(bytes: &[u8], at: usize) -> Option<(bool, usize, u64, usize)> {
    let negative = bytes.get(at) == Some(&b'-');
    let first = at + usize::from(negative);
    let (count, number) = some_digits(bytes, first)?;
    if count == 0 || count > USUAL_DIGITS || (count > 1 && bytes.get(first) == Some(&b'0')) {
        return None;
    }
    Some((negative, count, number, first + count))
}

/// Digits, at most [`MOST_DIGITS`]: how many, and their number.
#[inline(always)]
fn some_digits(bytes: &[u8], at: usize) -> Option<(usize, u64)> {
    let (count, number) = digits(eight(bytes, at));
    if count < 8 {
        return Some((count, number));
    }
    let (more, rest) = digits(eight(bytes, at + 8));
    let number = number * INT_TENS[more] + rest;
    if more < 8 {
        return Some((8 + more, number));
    }
    let (more, rest) = digits(eight(bytes, at + 16));
    (16 + more <= MOST_DIGITS).then(|| (16 + more, number * INT_TENS[more & 7] + rest))
}

/// An integer of the usual form, and where it ends; what is `None` may be one in another form.
#[inline(always)]
pub(super) fn usual_int(bytes: &[u8], at: usize) -> Option<(i64, usize)> {
    let negative = bytes.get(at) == Some(&b'-');
    let first = at + usize::from(negative);
    let (count, number) = digits(eight(bytes, first));
    if count == 8 {
        return long_int(bytes, at);
    }
    if count == 0 || (count > 1 && bytes.get(first) == Some(&b'0')) {
        return None;
    }
    ended_int(bytes, negative, number, first + count)
}

/// As [`usual_int`], of any length.
#[inline(never)]
fn long_int(bytes: &[u8], at: usize) -> Option<(i64, usize)> {
    let (negative, _, number, end) = whole(bytes, at)?;
    ended_int(bytes, negative, number, end)
}

#[inline(always)]
fn ended_int(bytes: &[u8], negative: bool, number: u64, end: usize) -> Option<(i64, usize)> {
    if matches!(bytes.get(end), Some(b'.' | b'e' | b'E')) {
        return None;
    }
    let number = number as i64;
    Some((if negative { -number } else { number }, end))
}

/// A number with a fraction and no exponent, and where it ends; what is `None` may be one in another form.
#[inline(always)]
pub(super) fn usual_decimal(bytes: &[u8], at: usize) -> Option<(f64, usize)> {
    let negative = bytes.get(at) == Some(&b'-');
    let first = at + usize::from(negative);
    let Some((number, count, places)) = pointed_digits(eight(bytes, first)) else {
        return longer_decimal(bytes, at);
    };
    let end = first + (count + 1 + places) as usize;
    if (count > 1 && bytes.get(first) == Some(&b'0')) || matches!(bytes.get(end), Some(b'e' | b'E'))
    {
        return None;
    }
    // Both are exact as floats, so one division rounds once.
    let float = number as i64 as f64 / SHORT_TENS.get(places as usize)?;
    Some((if negative { -float } else { float }, end))
}

/// Powers of ten for the places of a short decimal.
const SHORT_TENS: [f64; 7] = [1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6];

/// As [`usual_decimal`], of any length.
#[inline(never)]
fn longer_decimal(bytes: &[u8], at: usize) -> Option<(f64, usize)> {
    let (negative, count, whole, point) = whole(bytes, at)?;
    if bytes.get(point) != Some(&b'.') {
        return None;
    }
    let (places, part) = some_digits(bytes, point + 1)?;
    if places == 0 || (whole > 0 && count + places > MOST_DIGITS) {
        return None;
    }
    let end = point + 1 + places;
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        return None;
    }
    let float = decimal(whole * INT_TENS[places] + part, places);
    Some((if negative { -float } else { float }, end))
}

/// Powers of ten.
pub(crate) const INT_TENS: [u64; MOST_DIGITS + 1] = {
    let mut tens = [1; MOST_DIGITS + 1];
    let mut at = 1;
    while at <= MOST_DIGITS {
        tens[at] = tens[at - 1] * 10;
        at += 1;
    }
    tens
};

/// For each power of ten, by how many places it is moved up until its first bit is set, and 2^126 over that, rounded up.
const RECIPROCALS: [(u64, u32); MOST_DIGITS + 1] = {
    let mut reciprocals = [(0, 0); MOST_DIGITS + 1];
    let mut at = 0;
    while at <= MOST_DIGITS {
        let up = INT_TENS[at].leading_zeros();
        reciprocals[at] = ((1_u128 << 126).div_ceil((INT_TENS[at] << up) as u128) as u64, up);
        at += 1;
    }
    reciprocals
};

/// The float that is nearest to `number` over ten to the power of `places`, as [`str::parse`] finds it; at most [`MOST_DIGITS`]
/// places.
///
/// As in Eisel and Lemire's method, one product stands for the quotient: what is below 62 bits of it is cut off, and the reciprocal is too
/// large by less than one, so the quotient is less than one away from those bits, on either side. That can decide how it is rounded only where
/// the bits that a float has no room for, nine or ten, are all zero or all zero but the first.
#[inline(always)]
pub(crate) fn decimal(number: u64, places: usize) -> f64 {
    if number == 0 {
        return 0.0;
    }
    let (up, (reciprocal, ten_up)) = (number.leading_zeros(), RECIPROCALS[places]);
    let high = ((u128::from(number << up) * u128::from(reciprocal)) >> 64) as i64;
    if high & 0xff == 0 {
        // Short numbers are often exact, and many of them end up here.
        return if number <= 1 << 53 {
            // Both are exact as floats, so one division rounds once.
            number as f64 / INT_TENS[places] as f64
        } else {
            long_decimal(number, INT_TENS[places])
        };
    }
    // A last bit that is set rounds nothing else, and keeps a half from being taken for one.
    let exponent = i64::from(ten_up) - i64::from(up) - 62;
    (high | 1) as f64 * f64::from_bits(((1023 + exponent) as u64) << 52)
}

/// The float that is nearest to `number / ten`, where `number` is not 0.
#[cold]
fn long_decimal(number: u64, ten: u64) -> f64 {
    let (up, ten_up) = (number.leading_zeros(), ten.leading_zeros());
    // A fraction between a quarter and one, so that its first 64 bits have at least 62 that count: nine more than a float has.
    let (part, whole) = (u128::from(number << up) << 63, u128::from(ten << ten_up));
    let bits = (part / whole) as u64;
    // What is left over counts as a last bit, which is far below the one that is rounded.
    let bits = bits | u64::from(part % whole != 0);
    let exponent = i64::from(ten_up) - i64::from(up) - 63;
    // Both factors are normal, and so is the product: rounding is done.
    bits as f64 * f64::from_bits(((1023 + exponent) as u64) << 52)
}

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
    } else if at - from - 1 <= MOST_DIGITS {
        let mut value: u64 = 0;
        for byte in &bytes[from..at] {
            if byte.is_ascii_digit() {
                value = value * 10 + u64::from(byte - b'0');
            }
        }
        let float = decimal(value, places);
        return Ok((Number::Float(if bytes[from] == b'-' { -float } else { float }), at));
    }
    match text.get(from..at).map(str::parse::<f64>) {
        Some(Ok(value)) => Ok((Number::Float(value), at)),
        _ => Err((from, INVALID)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(number: u64, places: usize) {
        let text = format!("{number}e-{places}");
        assert_eq!(
            decimal(number, places).to_bits(),
            text.parse::<f64>().unwrap().to_bits(),
            "{text}"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn decimals_are_rounded_as_the_standard_library_rounds_them(
            number in any::<u64>(),
            shift in 0..64_u32,
            places in 0..=MOST_DIGITS,
            odd in 1_u64 << 53..1 << 54,
            fives in 1..=4_usize,
            near in -1_i64..=1,
        ) {
            check(number >> shift, places);
            // Half way between two floats, and just beside that.
            let half = (odd | 1) * 5_u64.pow(fives as u32);
            check(half.wrapping_add_signed(near), fives);
        }
    }

    #[test]
    fn numbers_of_the_usual_form_are_those_of_the_grammar() {
        let wholes = ["0", "-0", "7", "-12", "1234567", "12345678", "123456789012345678"];
        let longer = ["00", "01", "-", "", "x", "1234567890123456789", "9".repeat(30).as_str()]
            .map(str::to_owned);
        let parts = ["", ".", ".0", ".5", ".000001", ".12345678", ".1234567890123456789"];
        for whole in wholes.iter().map(|text| (*text).to_owned()).chain(longer) {
            for part in parts {
                for after in ["", "e", "e1", "E-2", ",", "]", " ", "0", "-", "}                "] {
                    let text = format!("{whole}{part}{after}");
                    let read = read(&text, 0);
                    if let Some(found) = usual_int(text.as_bytes(), 0) {
                        assert_eq!(read, Ok((Number::Int(found.0), found.1)), "{text}");
                    }
                    if let Some((float, end)) = usual_decimal(text.as_bytes(), 0) {
                        let Ok((Number::Float(other), other_end)) = read else {
                            panic!("{text} is no float");
                        };
                        assert_eq!((float.to_bits(), end), (other.to_bits(), other_end), "{text}");
                    }
                }
            }
        }
        assert_eq!(usual_int(b"120,", 0), Some((120, 3)));
        assert_eq!(usual_decimal(b"[-1.25]", 1), Some((-1.25, 6)));
    }

    #[test]
    fn the_ends_of_the_range_are_rounded_right() {
        for number in
            [1, (1 << 53) - 1, 1 << 53, (1 << 53) + 1, (1 << 54) + 2, u64::MAX - 1, u64::MAX]
        {
            for places in 0..=MOST_DIGITS {
                check(number, places);
            }
        }
    }
}
