//! Which rules a type may have.

use ottava_core::schema::{Kind, Rules};

/// The first rule that a type of this kind cannot have, and why.
pub(crate) fn misplaced(kind: &Kind, rules: &Rules) -> Option<(&'static str, &'static str)> {
    let number = matches!(kind, Kind::Int(_) | Kind::Float(_) | Kind::Decimal);
    let ordered =
        number || matches!(kind, Kind::Date | Kind::DateTime { .. } | Kind::Time | Kind::Duration);
    let text = matches!(kind, Kind::Str);
    let collection = matches!(
        kind,
        Kind::List(_) | Kind::Set(_) | Kind::FrozenSet(_) | Kind::Dict(..) | Kind::Tuple { .. }
    );
    let sized = text || collection || matches!(kind, Kind::Bytes);
    let decimal = matches!(kind, Kind::Decimal);
    for (given, allowed, rule) in [
        (rules.gt.is_some(), ordered, "gt"),
        (rules.ge.is_some(), ordered, "ge"),
        (rules.lt.is_some(), ordered, "lt"),
        (rules.le.is_some(), ordered, "le"),
        (rules.multiple_of.is_some(), number, "multiple_of"),
        (rules.min_length.is_some(), sized, "min_length"),
        (rules.max_length.is_some(), sized, "max_length"),
        (rules.pattern.is_some(), text, "pattern"),
        (rules.format.is_some(), text, "format"),
        (rules.unique_items, matches!(kind, Kind::List(_) | Kind::FixedList(..)), "unique_items"),
        (rules.strip_whitespace, text, "strip_whitespace"),
        (rules.to_lower, text, "to_lower"),
        (rules.to_upper, text, "to_upper"),
        (rules.max_digits.is_some(), decimal, "max_digits"),
        (rules.decimal_places.is_some(), decimal, "decimal_places"),
        (rules.allow_inf_nan.is_some(), decimal || matches!(kind, Kind::Float(_)), "allow_inf_nan"),
    ] {
        if given && !allowed {
            return Some((rule, "does not apply to this type"));
        }
    }
    if let (Some(min), Some(max)) = (rules.min_length, rules.max_length)
        && min > max
    {
        return Some(("min_length", "is greater than max_length"));
    }
    None
}
