//! Eight and sixteen bytes at a time.

/// The eight bytes at `at`, with zeros for those that are not there.
#[inline(always)]
pub(crate) fn eight(bytes: &[u8], at: usize) -> u64 {
    match bytes.get(at..at.wrapping_add(8)).and_then(<[u8]>::first_chunk) {
        Some(chunk) => u64::from_le_bytes(*chunk),
        None => rest(bytes, at) as u64,
    }
}

/// The sixteen bytes at `at`, with zeros for those that are not there.
#[inline(always)]
pub(crate) fn sixteen(bytes: &[u8], at: usize) -> u128 {
    match bytes.get(at..at.wrapping_add(16)).and_then(<[u8]>::first_chunk) {
        Some(chunk) => u128::from_le_bytes(*chunk),
        None => rest(bytes, at),
    }
}

/// As [`sixteen`], at the end of the text.
#[cold]
fn rest(bytes: &[u8], at: usize) -> u128 {
    let rest = bytes.get(at..).unwrap_or_default();
    let mut padded = [0; 16];
    let length = rest.len().min(16);
    padded[..length].copy_from_slice(&rest[..length]);
    u128::from_le_bytes(padded)
}

/// How many of the eight bytes are digits, up to the first that is none, in bits; and the bytes, with zero for the digit zero.
#[inline(always)]
pub(crate) fn digit_bits(word: u64) -> (u32, u64) {
    let (others, digits) = other_bytes(word);
    (others.trailing_zeros() & !7, digits)
}

/// The highest bits of bytes that are no digits; and the bytes, with zero for the digit zero.
#[inline(always)]
fn other_bytes(word: u64) -> (u64, u64) {
    let digits = word ^ 0x3030_3030_3030_3030;
    // A carry runs into bytes above the first that is no digit, which are not looked at. There is none from a point.
    ((digits.wrapping_add(0x7676_7676_7676_7676) | digits) & 0x8080_8080_8080_8080, digits)
}

/// Digits with a point between them and something else after them, if the eight bytes begin so: the number without the point, and how many
/// digits are before and after it.
#[inline(always)]
pub(crate) fn pointed_digits(word: u64) -> Option<(u64, u32, u32)> {
    let (others, digits) = other_bytes(word);
    let point = others.trailing_zeros() & !7;
    let end = (others & others.wrapping_sub(1)).trailing_zeros() & !7;
    if end == 64 || (word >> point) as u8 != b'.' || point == 0 || end == point + 8 {
        return None;
    }
    let before = (1 << point) - 1;
    let number = some_digits(digits & before | digits >> 8 & !before, end - 8);
    Some((number, point / 8, end / 8 - point / 8 - 1))
}

/// The number of eight digits.
#[inline(always)]
pub(crate) fn eight_digits(digits: u64) -> u64 {
    // Pairs, then fours, then all eight.
    let word = (digits & 0x0f0f_0f0f_0f0f_0f0f).wrapping_mul(2_561) >> 8;
    let word = (word & 0x00ff_00ff_00ff_00ff).wrapping_mul(6_553_601) >> 16;
    (word & 0x0000_ffff_0000_ffff).wrapping_mul(42_949_672_960_001) >> 32
}

/// The number of the first digits, so many bits of them, which are less than 64.
#[inline(always)]
pub(crate) fn some_digits(digits: u64, bits: u32) -> u64 {
    eight_digits(digits << 8 << (56 - bits))
}

/// How many of the eight bytes are digits, up to the first that is none, and the number that they are.
#[inline(always)]
pub(crate) fn digits(word: u64) -> (usize, u64) {
    let (bits, digits) = digit_bits(word);
    if bits == 64 {
        return (8, eight_digits(digits));
    }
    ((bits / 8) as usize, some_digits(digits, bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_counted_and_read() {
        for text in ["", "7", "00000000", "12345678", "9", "120", "7654321", "99999999"] {
            for after in [0, b',', b'.', b'/', b':', b'e', b' ', 0x7f, 0x80, 0xff] {
                let mut bytes = text.as_bytes().to_vec();
                bytes.resize(24, after);
                let number = text.parse().unwrap_or(0);
                assert_eq!(digits(eight(&bytes, 0)), (text.len(), number), "{text} {after}");
            }
        }
    }

    #[test]
    fn a_point_is_left_out() {
        for before in ["", "0", "7", "42", "120", "98765", "123456"] {
            for after in ["", "0", "5", "25", "001", "12345", "999999"] {
                for next in [0, b',', b'.', b'/', b':', b'e', b' ', 0x7f, 0x80, 0xff] {
                    let mut bytes = format!("{before}.{after}").into_bytes();
                    let whole = !before.is_empty() && !after.is_empty() && bytes.len() < 8;
                    bytes.resize(24, next);
                    let (lengths, number) =
                        ((before.len(), after.len()), format!("{before}{after}").parse());
                    let expected =
                        number.map(|number| (number, lengths.0 as u32, lengths.1 as u32));
                    assert_eq!(
                        pointed_digits(eight(&bytes, 0)),
                        expected.ok().filter(|_| whole),
                        "{before} {after} {next}"
                    );
                }
            }
        }
        for text in ["12345678", "1234567.", "1-5,0000", "1,5.0000", ".5.50000", "\u{80}1.5..."] {
            assert_eq!(pointed_digits(eight(text.as_bytes(), 0)), None, "{text}");
        }
    }

    #[test]
    fn what_is_not_there_is_zero() {
        let bytes: Vec<u8> = (1..=20).collect();
        for at in 0..40 {
            let mut padded = bytes.clone();
            padded.resize(64, 0);
            let near: [u8; 16] = padded[at..at + 16].try_into().expect("sixteen");
            assert_eq!(sixteen(&bytes, at), u128::from_le_bytes(near));
            assert_eq!(eight(&bytes, at), u128::from_le_bytes(near) as u64);
        }
    }
}
