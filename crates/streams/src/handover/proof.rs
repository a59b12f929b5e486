//! Quick proofs that contents are valid, for the layouts that make up nearly every table.
//!
//! A proof that fails says nothing: the decoder's own validation, which is slower and has words for what is wrong, decides.

/// Whether exactly `nulls` of the first `rows` bits are not set.
pub(super) fn nulls(bits: &[u8], rows: usize, nulls: usize) -> bool {
    let (bytes, rest) = (&bits[..rows / 8], rows % 8);
    let (words, tail) = bytes.as_chunks::<8>();
    let whole: usize =
        words.iter().map(|&word| u64::from_le_bytes(word).count_ones() as usize).sum();
    let tail: usize = tail.iter().map(|byte| byte.count_ones() as usize).sum();
    let last = bits.get(rows / 8).map_or(0, |byte| byte & ((1 << rest) - 1)).count_ones() as usize;
    whole + tail + last + nulls == rows
}

/// Whether offsets, read by `number`, cut `values` into slices, which are UTF-8 if `text`.
pub(super) fn variable<const N: usize, T>(
    offsets: &[u8],
    values: &[u8],
    text: bool,
    number: impl Fn([u8; N]) -> T,
) -> bool
where
    T: PartialOrd,
    usize: TryFrom<T>,
{
    let (offsets, _) = offsets.as_chunks::<N>();
    let (Some(&first), Some(&last)) = (offsets.first(), offsets.last()) else { return true };
    // Without a way out in the middle, so that several are compared at a time.
    let ordered = offsets
        .iter()
        .zip(&offsets[1..])
        .fold(true, |ordered, (&here, &next)| ordered & (number(here) <= number(next)));
    let place = |offset| usize::try_from(number(offset)).ok();
    let Some((first, last)) = place(first).zip(place(last)) else { return false };
    let Some(used) = values.get(first..last) else { return false };
    let is_text = || {
        let Ok(text) = std::str::from_utf8(used) else { return false };
        let at = |offset| place(offset).and_then(|place| place.checked_sub(first));
        offsets.iter().all(|&offset| at(offset).is_some_and(|at| text.is_char_boundary(at)))
    };
    // Nothing but empty text may still begin inside a character of what it leaves out.
    let begins = !used.is_empty() || first == 0;
    ordered && (!text || begins && (used.is_ascii() || is_text()))
}

#[cfg(test)]
mod tests {
    use arrow_buffer::Buffer;
    use arrow_data::ArrayData;
    use arrow_schema::DataType;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The oracle is arrow's own validation; it may accept more, never less.
        #[test]
        fn what_is_proved_is_valid(
            offsets in prop::collection::vec(-1i32..9, 1..6),
            sorted in any::<bool>(),
            values in prop_oneof!["[aü]{0,6}".prop_map(String::into_bytes), prop::collection::vec(any::<u8>(), 0..9)],
            text in any::<bool>(),
        ) {
            let mut offsets = offsets;
            if sorted {
                offsets.sort_unstable();
            }
            let bytes: Vec<u8> = offsets.iter().flat_map(|o| o.to_le_bytes()).collect();
            let wide: Vec<u8> = offsets.iter().flat_map(|&o| i64::from(o).to_le_bytes()).collect();
            let proved = variable(&bytes, &values, text, i32::from_le_bytes);
            prop_assert_eq!(proved, variable(&wide, &values, text, i64::from_le_bytes));
            let valid = ArrayData::builder(if text { DataType::Utf8 } else { DataType::Binary })
                .len(offsets.len() - 1)
                .add_buffer(Buffer::from_vec(offsets))
                .add_buffer(Buffer::from_vec(values))
                .build()
                .is_ok();
            prop_assert!(valid || !proved);
        }

        #[test]
        fn nulls_are_counted(bits in prop::collection::vec(any::<bool>(), 0..200)) {
            let buffer: arrow_buffer::BooleanBuffer = bits.iter().copied().collect();
            let count = bits.iter().filter(|&&bit| !bit).count();
            let bytes = buffer.inner().as_slice();
            prop_assert!(nulls(bytes, bits.len(), count));
            prop_assert!(!nulls(bytes, bits.len(), count + 1));
        }
    }
}
