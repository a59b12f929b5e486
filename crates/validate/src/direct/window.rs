//! Values in the sixty-four bytes where they begin: the usual forms of them, without a look at where the text ends.

use crate::json::scan::{digit_bits, eight_digits, some_digits};
use crate::json::{INT_TENS, MOST_DIGITS, decimal, special_in};

/// Bytes of text from some place on.
pub(crate) type Window = [u8; 64];

/// Longest text that is found in a window.
pub(crate) const SHORT_TEXT: usize = 48;

/// The window that begins at `at`, if the text goes on for so long.
#[inline(always)]
pub(crate) fn window(text: &[u8], at: usize) -> Option<&Window> {
    text.get(at..at.wrapping_add(64))?.first_chunk()
}

#[inline(always)]
pub(crate) fn eight(window: &Window, at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&window[at..at + 8]);
    u64::from_le_bytes(word)
}

#[inline(always)]
pub(crate) fn sixteen(window: &Window, at: usize) -> u128 {
    let mut word = [0; 16];
    word.copy_from_slice(&window[at..at + 16]);
    u128::from_le_bytes(word)
}

/// Whether a number has a sign, and its first eight bytes behind it. Both places are read, so that nothing waits for the sign.
#[inline(always)]
fn signed(window: &Window) -> (bool, u64) {
    let negative = window[0] == b'-';
    let (plain, behind) = (eight(window, 0), eight(window, 1));
    (negative, if negative { behind } else { plain })
}

/// An integer of at most fifteen digits, and its length; what follows is not looked at.
#[inline(always)]
pub(crate) fn int(window: &Window) -> Option<(i64, usize)> {
    if window[0] == b'-' {
        return negative_int(window);
    }
    whole::<0>(window)
}

#[inline(never)]
fn negative_int(window: &Window) -> Option<(i64, usize)> {
    let (number, count) = whole::<1>(window)?;
    Some((-number, 1 + count))
}

/// The digits at `FROM`: their number, and how many they are.
#[inline(always)]
fn whole<const FROM: usize>(window: &Window) -> Option<(i64, usize)> {
    let near = eight(window, FROM);
    let (bits, digits) = digit_bits(near);
    let (number, count) = if bits < 64 {
        (some_digits(digits, bits), (bits / 8) as usize)
    } else {
        let (bits, rest) = digit_bits(eight(window, 8 + FROM));
        if bits == 64 {
            return None;
        }
        let more = (bits / 8) as usize;
        (eight_digits(digits) * INT_TENS[more] + some_digits(rest, bits), 8 + more)
    };
    // Numbers differ in their first digit, so all of it is asked at once.
    if (count == 0) | ((near as u8 == b'0') & (count > 1)) {
        return None;
    }
    Some((number as i64, count))
}

/// A number without an exponent, of few enough digits, and its length.
#[inline(always)]
pub(crate) fn float(window: &Window) -> Option<(f64, usize)> {
    let (negative, near) = signed(window);
    let first = (near as u8).wrapping_sub(b'0');
    let (whole, count) = if (near >> 8) as u8 == b'.' && first < 10 {
        (u64::from(first), 1)
    } else {
        let (bits, digits) = digit_bits(near);
        let count = (bits / 8) as usize;
        if (bits == 0) | (bits == 64) | ((first == 0) & (count > 1)) {
            return None;
        }
        (some_digits(digits, bits), count)
    };
    let point = usize::from(negative) + count;
    if window[point] != b'.' {
        let int = whole as i64;
        let float = (if negative { -int } else { int }) as f64;
        return (window[point] | 0x20 != b'e').then_some((float, point));
    }
    let (bits, first) = digit_bits(eight(window, point + 1));
    let (part, places) = if bits < 64 {
        (some_digits(first, bits), (bits / 8) as usize)
    } else {
        let (bits, second) = digit_bits(eight(window, point + 9));
        let places = (bits / 8) as usize;
        if bits < 64 {
            (eight_digits(first) * INT_TENS[places] + some_digits(second, bits), 8 + places)
        } else {
            let (bits, third) = digit_bits(eight(window, point + 17));
            let places = (bits / 8) as usize;
            if 16 + places > MOST_DIGITS {
                return None;
            }
            let sixteen = eight_digits(first) * INT_TENS[8] + eight_digits(second);
            (sixteen * INT_TENS[places] + some_digits(third, bits), 16 + places)
        }
    };
    if (places == 0) | ((whole > 0) & (count + places > MOST_DIGITS)) {
        return None;
    }
    let end = point + 1 + places;
    if window[end] | 0x20 == b'e' {
        return None;
    }
    let float = decimal(whole * INT_TENS[places] + part, places);
    Some((if negative { -float } else { float }, end))
}

/// The length of a string without escapes, of at most [`SHORT_TEXT`] bytes; its text begins behind the quote.
#[inline(always)]
pub(crate) fn text(window: &Window) -> Option<usize> {
    let mut length = special_in(sixteen(window, 1));
    if length == 16 {
        length += special_in(sixteen(window, 17));
        if length == 32 {
            length += special_in(sixteen(window, 33));
        }
    }
    (window[0] == b'"' && window[(1 + length) % 64] == b'"').then_some(length)
}

/// The bytes of a string of at most fifteen, with zeros behind them, and its length.
#[inline(always)]
pub(crate) fn word(window: &Window) -> Option<(u128, usize)> {
    const MASKS: [u128; 17] = {
        let mut masks = [u128::MAX; 17];
        let mut length = 0;
        while length < 16 {
            masks[length] = (1 << (8 * length)) - 1;
            length += 1;
        }
        masks
    };
    let near = sixteen(window, 1);
    let length = special_in(near);
    let whole = window[0] == b'"' && window[(1 + length) % 64] == b'"' && length < 16;
    whole.then_some((near & MASKS[length % 17], length))
}

/// `true` or `false`, and its length.
#[inline(always)]
pub(crate) fn bool(window: &Window) -> Option<(bool, usize)> {
    let near = eight(window, 0);
    let yes = near as u32 == u32::from_le_bytes(*b"true");
    let no = near & 0xff_ffff_ffff == u64::from_le_bytes(*b"false\0\0\0");
    (yes | no).then_some((yes, 5 - usize::from(yes)))
}

/// Whether `null` begins here.
#[inline(always)]
pub(crate) fn null(window: &Window) -> bool {
    eight(window, 0) as u32 == u32::from_le_bytes(*b"null")
}

/// A date and time as [`usual_datetime`](crate::rules::temporal::usual_datetime) knows it, in quotes: microseconds since 1970, and the length with
/// quotes.
#[inline(always)]
pub(crate) fn instant(window: &Window) -> Option<(i64, usize)> {
    /// Days from March to the first of a month.
    const MARCH: [u32; 16] = [0, 306, 337, 0, 31, 61, 92, 122, 153, 184, 214, 245, 275, 0, 0, 0];
    const LENGTH: [u8; 16] = [0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31, 0, 0, 0];
    // What stands where there must be digits is below ten afterwards, what must be a mark is zero.
    let date = eight(window, 1) ^ u64::from_le_bytes(*b"0000-00-");
    let middle = eight(window, 9);
    let between = (middle >> 16) as u8;
    let middle = (middle & !0xff_0000) ^ u64::from_le_bytes(*b"00\x0000:00");
    let last = (eight(window, 17) & 0xff_ffff) ^ u64::from_le_bytes(*b":00\0\0\0\0\0");
    const DIGIT: u8 = 0x76;
    const MARK: u8 = 0x7f;
    let sums = (date
        .wrapping_add(u64::from_le_bytes([DIGIT, DIGIT, DIGIT, DIGIT, MARK, DIGIT, DIGIT, MARK]))
        | date)
        | (middle.wrapping_add(u64::from_le_bytes([
            DIGIT, DIGIT, MARK, DIGIT, DIGIT, MARK, DIGIT, DIGIT,
        ])) | middle)
        | (last.wrapping_add(u64::from_le_bytes([MARK, DIGIT, DIGIT, 0, 0, 0, 0, 0])) | last);
    let framed = window[0] == b'"' && (between == b'T' || between == b' ');
    if sums & 0x8080_8080_8080_8080 != 0 || !framed {
        return None;
    }
    // In each byte, ten times it and the one behind.
    let pairs = |digits: u64| digits * 10 + (digits >> 8);
    let pair = |pairs: u64, at: u32| (pairs >> (8 * at)) as u8;
    let (date, middle, last) = (pairs(date), pairs(middle), pairs(last));
    let year = u32::from(pair(date, 0)) * 100 + u32::from(pair(date, 2));
    let (month, day) = (usize::from(pair(date, 5)), pair(middle, 0));
    let (hour, minute, second) = (pair(middle, 3), pair(middle, 6), pair(last, 1));
    let leap = (year % 4 == 0) & ((year % 25 != 0) | (year % 16 == 0));
    let days = LENGTH[month % 16] + u8::from(leap & (month == 2));
    let wrong = (year == 0)
        | (month > 12)
        | (day == 0)
        | (day > days)
        | (hour > 23)
        | (minute > 59)
        | (second > 59);
    if wrong {
        return None;
    }
    let (mut micros, mut end) = (0, 20);
    if window[20] == b'.' {
        let (bits, digits) = digit_bits(eight(window, 21));
        if !(8..=48).contains(&bits) {
            return None;
        }
        let count = (bits / 8) as usize;
        micros = some_digits(digits, bits) * INT_TENS[6 - count];
        end = 21 + count;
    }
    let zone = eight(window, end);
    let length = if zone & 0xff_ffff_ffff_ffff == u64::from_le_bytes(*b"+00:00\"\0") {
        7
    } else if zone as u16 == u16::from_le_bytes(*b"Z\"") {
        2
    } else if zone as u8 == b'"' {
        1
    } else {
        return None;
    };
    let years = year - u32::from(month <= 2);
    let days = years * 365 + years / 4 - years / 100 + years / 400 + MARCH[month % 16];
    let days = i64::from(days) + i64::from(day) - 719_469;
    let seconds = (i64::from(hour) * 60 + i64::from(minute)) * 60 + i64::from(second);
    Some(((days * 86_400 + seconds) * 1_000_000 + micros as i64, end + length))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::json::{Number, read_number};
    use crate::rules::temporal::usual_datetime;

    /// The text with what may follow it, and nonsense up to the end of the window.
    fn padded(text: &[u8], after: u8) -> Window {
        let mut window = [after; 64];
        let length = text.len().min(64);
        window[..length].copy_from_slice(&text[..length]);
        window
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn numbers_are_read_as_the_engine_reads_them(
            text in "-?(0|[1-9][0-9]{0,20}|[0-9]{0,3})(\\.[0-9]{0,21})?([eE][+-]?[0-9]{1,2})?",
            after in prop_oneof![Just(b','), Just(b'}'), Just(b']'), Just(b' '), any::<u8>()],
        ) {
            prop_assume!(text.len() < 63 && !matches!(after, b'0'..=b'9' | b'.' | b'e' | b'E'));
            let window = padded(text.as_bytes(), after);
            let expected = read_number(&text, 0);
            if let Some((found, length)) = int(&window) {
                match expected {
                    Ok((Number::Int(expected), end)) => prop_assert_eq!((found, length), (expected, end)),
                    // The integer ends where its text goes on, so that what follows cannot be what must.
                    _ => prop_assert!(matches!(window[length], b'.' | b'e' | b'E'), "{}", text),
                }
            }
            if let Some((found, length)) = float(&window) {
                match expected {
                    Ok((Number::Float(expected), end)) => {
                        prop_assert_eq!((found.to_bits(), length), (expected.to_bits(), end));
                    }
                    Ok((Number::Int(expected), end)) => {
                        prop_assert_eq!((found.to_bits(), length), ((expected as f64).to_bits(), end));
                    }
                    other => prop_assert!(false, "{} is {:?}", text, other),
                }
            }
        }

        #[test]
        fn usual_numbers_are_read_here(
            int_text in "-?(0|[1-9][0-9]{0,14})",
            float_text in "-?(0|[1-9][0-9]{0,2})\\.[0-9]{1,16}",
        ) {
            prop_assert_eq!(
                int(&padded(int_text.as_bytes(), b',')),
                Some((int_text.parse().unwrap(), int_text.len()))
            );
            let found = float(&padded(float_text.as_bytes(), b','));
            let expected = float_text.parse::<f64>().unwrap().to_bits();
            prop_assert_eq!(
                found.map(|(float, end)| (float.to_bits(), end)),
                Some((expected, float_text.len()))
            );
        }

        #[test]
        fn instants_are_usual_datetimes(
            text in "(0000|[0-9]{4}|2000|2100|1900|2024)-(0[0-9]|1[0-3]|02)-([0-3][0-9]|2[89])[T ]([01][0-9]|2[0-4]):[0-6][0-9]:[0-6][0-9](\\.[0-9]{0,8})?(Z|\\+00:00|\\+01:00|-00:00| )?",
            change in any::<proptest::sample::Index>(),
            byte in prop_oneof![4 => Just(0_u8), 1 => any::<u8>()],
        ) {
            let mut text = text.into_bytes();
            if byte > 0 && byte != b'"' {
                let at = change.index(text.len());
                text[at] = byte;
            }
            let expected = usual_datetime(&text);
            let quoted = [&b"\""[..], &text, b"\""].concat();
            let found = instant(&padded(&quoted, b'"'));
            prop_assert_eq!(
                found,
                expected.map(|expected| (expected.micros_since_epoch(), quoted.len()))
            );
        }

        #[test]
        fn strings_end_where_they_end(
            text in "[a-z \\u{e9}]{0,60}",
            special in prop_oneof![3 => Just(None), 1 => any::<(proptest::sample::Index, u8)>().prop_map(Some)],
            first in prop_oneof![9 => Just(b'"'), 1 => any::<u8>()],
        ) {
            let mut bytes = text.into_bytes();
            bytes.truncate(60);
            if let (Some((at, byte)), false) = (special, bytes.is_empty()) {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            let end = bytes.iter().position(|byte| *byte < 0x20 || *byte == b'"' || *byte == b'\\');
            let plain = first == b'"' && end.is_none_or(|end| bytes[end] == b'"');
            let length = end.unwrap_or(bytes.len());
            let window = padded(&[&[first][..], &bytes, b"\""].concat(), b'"');
            prop_assert_eq!(super::text(&window), (plain && length <= SHORT_TEXT).then_some(length));
            let mut short = [0; 16];
            short[..length.min(15)].copy_from_slice(&bytes[..length.min(15)]);
            let expected = (plain && length < 16).then_some((u128::from_le_bytes(short), length));
            prop_assert_eq!(word(&window), expected);
        }
    }

    #[test]
    fn words_are_known() {
        assert_eq!(bool(&padded(b"true", b',')), Some((true, 4)));
        assert_eq!(bool(&padded(b"false", b'}')), Some((false, 5)));
        for wrong in ["tru", "True", "fals", "falsy", "null", "1"] {
            assert_eq!(bool(&padded(wrong.as_bytes(), b',')), None, "{wrong}");
        }
        assert!(null(&padded(b"null", b',')) && !null(&padded(b"nul", b',')));
    }
}
