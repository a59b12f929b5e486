//! Decimal numbers, exact at any size.

use std::cmp::Ordering;
use std::sync::LazyLock;

use num_bigint::BigInt;
use regex_syntax::hir::{Class, HirKind};

/// A finite decimal: `digits * 10^exponent`, with the sign apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decimal {
    pub(crate) negative: bool,
    /// ASCII digits without leading zeros, or "0".
    pub(crate) digits: String,
    pub(crate) exponent: i64,
}

impl Decimal {
    /// Its text as an integer, if it is one of a size worth writing down.
    pub(crate) fn whole(&self) -> Option<String> {
        const MOST: i64 = 4300;
        let mut digits = self.digits.clone();
        if digits == "0" {
            return Some(digits);
        }
        if self.exponent >= 0 {
            if self.exponent > MOST {
                return None;
            }
            digits.extend(std::iter::repeat_n('0', self.exponent as usize));
        } else {
            let cut = usize::try_from(-self.exponent).ok()?;
            if cut >= digits.len() || !digits.bytes().rev().take(cut).all(|digit| digit == b'0') {
                return None;
            }
            digits.truncate(digits.len() - cut);
        }
        if self.negative {
            digits.insert(0, '-');
        }
        Some(digits)
    }
}

/// Where the digits of all scripts are, each run of them from zero to nine or several times that.
static DIGITS: LazyLock<Vec<(char, char)>> =
    LazyLock::new(|| match regex_syntax::parse(r"\d").map(regex_syntax::hir::Hir::into_kind) {
        Ok(HirKind::Class(Class::Unicode(class))) => {
            class.ranges().iter().map(|range| (range.start(), range.end())).collect()
        }
        _ => Vec::new(),
    });

/// The text with the digits of all scripts as ASCII: Python's `Decimal` reads them, too.
pub(crate) fn in_ascii(text: &str) -> String {
    if text.is_ascii() {
        return text.to_owned();
    }
    let digit = |char: char| {
        let run = DIGITS.iter().find(|(first, last)| (*first..=*last).contains(&char))?;
        char::from_digit((u32::from(char) - u32::from(run.0)) % 10, 10)
    };
    text.chars().map(|char| digit(char).unwrap_or(char)).collect()
}

/// Reads what Python's `Decimal` reads in ASCII, finite values only.
pub(crate) fn parse(text: &str) -> Option<Decimal> {
    let text = text.trim();
    let (negative, text) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut digits = String::with_capacity(whole.len() + fraction.len());
    for digit in whole.chars().chain(fraction.chars()) {
        match digit {
            '0'..='9' => digits.push(digit),
            '_' => {}
            _ => return None,
        }
    }
    if digits.is_empty() {
        return None;
    }
    let zeros = digits.bytes().take_while(|digit| *digit == b'0').count().min(digits.len() - 1);
    digits.drain(..zeros);
    let places = fraction.bytes().filter(u8::is_ascii_digit).count();
    let exponent = exponent.checked_sub(i64::try_from(places).ok()?)?;
    Some(Decimal { negative, digits, exponent })
}

/// The decimal times `10^places`, if that is whole and fits.
#[cfg(feature = "arrow")]
pub(crate) fn scaled(text: &str, places: i64) -> Option<i128> {
    let mut decimal = parse(text)?;
    decimal.exponent = decimal.exponent.checked_add(places)?;
    decimal.whole()?.parse().ok()
}

/// Whether the text is one of the special values that Python's `Decimal` reads.
pub(crate) fn is_special(text: &str) -> bool {
    let text = text.trim();
    let text = text.strip_prefix(['+', '-']).unwrap_or(text).to_ascii_lowercase();
    let nan = text.strip_prefix("snan").or_else(|| text.strip_prefix("nan"));
    text == "inf"
        || text == "infinity"
        || nan.is_some_and(|payload| payload.bytes().all(|digit| digit.is_ascii_digit()))
}

impl Decimal {
    /// The nearest float.
    pub(crate) fn to_f64(&self) -> f64 {
        let sign = if self.negative { "-" } else { "" };
        // Digits with an exponent always parse.
        format!("{sign}{}e{}", self.digits, self.exponent).parse().unwrap_or(f64::NAN)
    }

    fn is_zero(&self) -> bool {
        self.digits == "0"
    }

    /// The power of ten just above the first digit. Numbers of the same sign with different ones order like them.
    fn magnitude(&self) -> i64 {
        i64::try_from(self.digits.len()).unwrap_or(i64::MAX).saturating_add(self.exponent)
    }

    /// Exact comparison.
    pub(crate) fn compare(&self, other: &Decimal) -> Ordering {
        let sign = |decimal: &Decimal| match (decimal.is_zero(), decimal.negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        };
        let (one, two) = (sign(self), sign(other));
        if one != two || one == 0 {
            return one.cmp(&two);
        }
        let absolute = self.magnitude().cmp(&other.magnitude()).then_with(|| {
            // The first digits stand for the same power of ten; the shorter text goes on with zeros.
            let length = self.digits.len().max(other.digits.len());
            let padded = |decimal: &'_ Decimal| {
                let zeros = length - decimal.digits.len();
                decimal.digits.bytes().chain(std::iter::repeat_n(b'0', zeros)).collect::<Vec<_>>()
            };
            padded(self).cmp(&padded(other))
        });
        if one < 0 { absolute.reverse() } else { absolute }
    }

    /// Whether the number divided by another one is whole.
    pub(crate) fn is_multiple_of(&self, other: &Decimal) -> bool {
        if self.is_zero() {
            return true;
        }
        let trimmed = self.digits.trim_end_matches('0');
        let cut = i64::try_from(self.digits.len() - trimmed.len()).unwrap_or(0);
        let shift = self.exponent.saturating_add(cut).saturating_sub(other.exponent);
        let (Ok(value), Ok(divisor)) = (trimmed.parse::<BigInt>(), other.digits.parse::<BigInt>())
        else {
            return false;
        };
        if divisor == BigInt::ZERO {
            return false;
        }
        if shift < 0 {
            // The last digit is not zero, so no power of ten divides it; but the divisor's own zeros may.
            let zeros = other.digits.len() - other.digits.trim_end_matches('0').len();
            if zeros == 0 {
                return false;
            }
            let other = Decimal {
                negative: false,
                digits: other.digits.trim_end_matches('0').to_owned(),
                exponent: other.exponent + zeros as i64,
            };
            return self.is_multiple_of(&other);
        }
        // Powers are taken modulo the divisor, so that a huge exponent costs nothing.
        let power = BigInt::from(10).modpow(&BigInt::from(shift), &divisor);
        value * power % divisor == BigInt::ZERO
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn orders_like_numbers() {
        let rising = [
            "-1e400", "-12.5", "-12.49", "-1", "-0.001", "0", "1e-400", "0.5", "0.50001", "5",
            "12", "1e3", "1001", "9e99999",
        ];
        for (low, one) in rising.iter().enumerate() {
            for (high, two) in rising.iter().enumerate() {
                let order = parse(one).unwrap().compare(&parse(two).unwrap());
                assert_eq!(order, low.cmp(&high), "{one} {two}");
            }
        }
        assert_eq!(parse("-0").unwrap().compare(&parse("0.00").unwrap()), Ordering::Equal);
    }

    #[test]
    fn reads_the_digits_of_all_scripts() {
        assert!(DIGITS.len() > 50);
        assert!(
            DIGITS.iter().all(|(first, last)| (u32::from(*last) - u32::from(*first)) % 10 == 9)
        );
        for (text, ascii) in
            [("１２.５", "12.5"), ("-١٢e٣", "-12e3"), ("𝟘𝟙𝟡𝟚", "0192"), ("Ⅷ²", "Ⅷ²"), ("1", "1")]
        {
            assert_eq!(in_ascii(text), ascii);
        }
    }

    #[test]
    fn divides_exactly() {
        for (value, of, whole) in [
            ("0.3", "0.1", true),
            ("0.35", "0.1", false),
            ("1e1000000000", "7", false),
            ("1e1000000000", "0.5", true),
            ("100", "1e2", true),
            ("50", "1e2", false),
            ("0", "3", true),
            ("120", "60", true),
            ("0.1", "10", false),
            ("-9", "4.5", true),
        ] {
            assert_eq!(
                parse(value).unwrap().is_multiple_of(&parse(of).unwrap()),
                whole,
                "{value} {of}"
            );
        }
    }
}
