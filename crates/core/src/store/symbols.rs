//! Enum columns: text in, one small code per row out.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::builder::NullBufferBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowDictionaryKeyType, Int8Type, Int16Type, Int32Type};
use arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, DictionaryArray, GenericStringArray, OffsetSizeTrait,
    PrimitiveArray, StringArray, StringViewArray,
};
use arrow_buffer::{ArrowNativeType, NullBuffer};
use arrow_schema::DataType;

/// Longest symbol that is compared as one number.
const WORD: usize = 16;
/// No symbol.
const NONE: u32 = u32::MAX;

/// The symbols of an enum, in order, and how to find one.
#[derive(Debug)]
pub(super) struct Symbols {
    values: StringArray,
    /// Symbols of up to [`WORD`] bytes, by [`Symbols::place`], with linear probing; at most a quarter is used.
    table: Vec<Slot>,
    shift: u32,
    long: HashMap<Box<str>, u32>,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    word: u128,
    len: u32,
    code: u32,
}

/// A row with a value that is no symbol.
#[derive(Debug)]
pub(super) struct Stranger {
    pub(super) row: usize,
    pub(super) value: String,
}

impl Symbols {
    pub(super) fn new<'a>(symbols: impl IntoIterator<Item = &'a str>) -> Self {
        let values = StringArray::from_iter_values(symbols);
        let bits = (values.len() * 4).next_power_of_two().max(8).trailing_zeros();
        let empty = Slot { word: 0, len: 0, code: NONE };
        let mut out =
            Self { values, table: vec![empty; 1 << bits], shift: 64 - bits, long: HashMap::new() };
        for code in 0..out.values.len() {
            let symbol = out.values.value(code);
            if symbol.len() > WORD {
                out.long.entry(symbol.into()).or_insert(code as u32);
                continue;
            }
            let (word, len) = (word(symbol.as_bytes()), symbol.len() as u32);
            let mut at = out.place(word, len);
            while out.table[at].code != NONE {
                at = (at + 1) % out.table.len();
            }
            out.table[at] = Slot { word, len, code: code as u32 };
        }
        out
    }

    /// The symbols in words.
    pub(super) fn text(&self) -> String {
        let quoted: Vec<_> = self.values.iter().flatten().map(|s| format!("{s:?}")).collect();
        format!("[{}]", quoted.join(", "))
    }

    /// The type of an encoded column: the smallest keys that have a place for every symbol.
    pub(super) fn data_type(&self) -> DataType {
        let key = match self.values.len() {
            0..=0x7f => DataType::Int8,
            0x80..=0x7fff => DataType::Int16,
            _ => DataType::Int32,
        };
        DataType::Dictionary(Box::new(key), Box::new(DataType::Utf8))
    }

    #[inline]
    fn place(&self, word: u128, len: u32) -> usize {
        let folded = (word as u64 ^ u64::from(len)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
            ^ ((word >> 64) as u64).wrapping_mul(0xc2b2_ae3d_27d4_eb4f);
        (folded.wrapping_mul(0xd6e8_feb8_6659_fd93) >> self.shift) as usize
    }

    /// The code of a symbol of up to [`WORD`] bytes.
    #[inline]
    fn code_of_word(&self, word: u128, len: u32) -> u32 {
        let mut at = self.place(word, len);
        loop {
            let slot = self.table[at & (self.table.len() - 1)];
            if (slot.word == word && slot.len == len) || slot.code == NONE {
                return slot.code;
            }
            at += 1;
        }
    }

    /// The code of a symbol.
    pub(super) fn code(&self, symbol: &str) -> Option<u32> {
        let code = if symbol.len() <= WORD {
            self.code_of_word(word(symbol.as_bytes()), symbol.len() as u32)
        } else {
            self.long.get(symbol).copied().unwrap_or(NONE)
        };
        (code != NONE).then_some(code)
    }

    /// An array of text, in any layout, as codes. The second value is the number of bytes that were made anew.
    ///
    /// `array` is of a type that [`super::plan`] takes for text.
    pub(super) fn encode(&self, array: &ArrayRef) -> Result<(ArrayRef, usize), Stranger> {
        match self.values.len() {
            0..=0x7f => self.encode_as::<Int8Type>(array),
            0x80..=0x7fff => self.encode_as::<Int16Type>(array),
            _ => self.encode_as::<Int32Type>(array),
        }
    }

    fn encode_as<K: ArrowDictionaryKeyType>(
        &self,
        array: &ArrayRef,
    ) -> Result<(ArrayRef, usize), Stranger> {
        match array.data_type() {
            DataType::Utf8 => self.encode_offsets::<K, i32>(array.as_string()),
            DataType::LargeUtf8 => self.encode_offsets::<K, i64>(array.as_string()),
            DataType::Utf8View => self.encode_views::<K>(array.as_string_view()),
            DataType::Dictionary(_, _) => self.encode_dictionary::<K>(array),
            _ => self.finish::<K>(vec![K::Native::default(); array.len()], array.logical_nulls()),
        }
    }

    fn encode_offsets<K: ArrowDictionaryKeyType, O: OffsetSizeTrait>(
        &self,
        array: &GenericStringArray<O>,
    ) -> Result<(ArrayRef, usize), Stranger> {
        let data = array.value_data();
        let offsets = array.value_offsets();
        let mut codes = Vec::with_capacity(array.len());
        let mut strange = 0_u32;
        for pair in offsets.windows(2) {
            let (start, end) = (pair[0].as_usize(), pair[1].as_usize());
            let len = end - start;
            let code = match data.get(start..start + WORD) {
                Some(bytes) if len <= WORD => {
                    let mut window = [0; WORD];
                    window.copy_from_slice(bytes);
                    self.code_of_word(u128::from_le_bytes(window) & MASKS[len], len as u32)
                }
                _ => self.code_of_bytes(&data[start..end]),
            };
            strange |= code;
            codes.push(K::Native::usize_as(code as usize));
        }
        self.settle::<K>(codes, array.nulls(), strange, |row| array.value(row).to_owned())
    }

    fn encode_views<K: ArrowDictionaryKeyType>(
        &self,
        array: &StringViewArray,
    ) -> Result<(ArrayRef, usize), Stranger> {
        let mut codes = Vec::with_capacity(array.len());
        let mut strange = 0_u32;
        for (row, view) in array.views().iter().enumerate() {
            let len = *view as u32;
            let code = if len <= 12 {
                self.code_of_word(*view >> 32 & MASKS[len as usize], len)
            } else if array.is_null(row) {
                0
            } else {
                self.code_of_bytes(array.value(row).as_bytes())
            };
            strange |= code;
            codes.push(K::Native::usize_as(code as usize));
        }
        self.settle::<K>(codes, array.nulls(), strange, |row| array.value(row).to_owned())
    }

    #[cold]
    fn code_of_bytes(&self, bytes: &[u8]) -> u32 {
        std::str::from_utf8(bytes).ok().and_then(|symbol| self.code(symbol)).unwrap_or(NONE)
    }

    /// Looks for a row that is no symbol, if there is one: all bits of [`NONE`] are set, which no code has.
    fn settle<K: ArrowDictionaryKeyType>(
        &self,
        mut codes: Vec<K::Native>,
        nulls: Option<&NullBuffer>,
        strange: u32,
        value: impl Fn(usize) -> String,
    ) -> Result<(ArrayRef, usize), Stranger> {
        if strange & (1 << 31) != 0 {
            let none = K::Native::usize_as(NONE as usize);
            for (row, code) in codes.iter_mut().enumerate().filter(|(_, code)| **code == none) {
                if nulls.is_none_or(|nulls| nulls.is_valid(row)) {
                    return Err(Stranger { row, value: value(row) });
                }
                *code = K::Native::default(); // whatever stands below a null
            }
        }
        self.finish::<K>(codes, nulls.cloned())
    }

    fn encode_dictionary<K: ArrowDictionaryKeyType>(
        &self,
        array: &ArrayRef,
    ) -> Result<(ArrayRef, usize), Stranger> {
        let dictionary = array.as_any_dictionary();
        let values = dictionary.values();
        let text = |at: usize| -> Option<&str> {
            if values.is_null(at) {
                return None;
            }
            Some(match values.data_type() {
                DataType::Utf8 => values.as_string::<i32>().value(at),
                DataType::LargeUtf8 => values.as_string::<i64>().value(at),
                DataType::Utf8View => values.as_string_view().value(at),
                _ => return None,
            })
        };
        // Codes of the dictionary's own values. Values that no row uses may be anything.
        let map: Vec<Option<u32>> =
            (0..values.len()).map(|at| text(at).map(|s| self.code(s).unwrap_or(NONE))).collect();
        let same_keys = *dictionary.keys().data_type() == K::DATA_TYPE;
        let identity = map.iter().enumerate().all(|(at, code)| *code == Some(at as u32));
        if same_keys && identity {
            let keys = dictionary.keys().as_primitive::<K>().clone();
            let kept = DictionaryArray::<K>::try_new(keys, Arc::new(self.values.clone()));
            if let Ok(kept) = kept {
                return Ok((Arc::new(kept), 0));
            }
        }
        macro_rules! remap {
            ($($key:ty),*) => {
                match dictionary.keys().data_type() {
                    $(&<$key as ArrowPrimitiveType>::DATA_TYPE => {
                        let keys = dictionary.keys().as_primitive::<$key>();
                        self.remap::<K, $key>(keys, &map, &text)
                    })*
                    _ => self.finish::<K>(vec![K::Native::default(); array.len()], array.logical_nulls()),
                }
            };
        }
        use arrow_array::types::{Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type};
        remap!(
            Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type,
            UInt64Type
        )
    }

    fn remap<'a, K: ArrowDictionaryKeyType, F: ArrowDictionaryKeyType>(
        &self,
        keys: &PrimitiveArray<F>,
        map: &[Option<u32>],
        text: &dyn Fn(usize) -> Option<&'a str>,
    ) -> Result<(ArrayRef, usize), Stranger> {
        let plain = map.iter().all(|code| code.is_some_and(|code| code != NONE));
        let same = map.iter().enumerate().all(|(at, code)| *code == Some(at as u32));
        if same && keys.null_count() == 0 {
            // The same codes in another width.
            let narrow = |key: &F::Native| K::Native::usize_as(key.as_usize());
            return self.finish::<K>(keys.values().iter().map(narrow).collect(), None);
        }
        if plain && keys.null_count() == 0 {
            let codes: Vec<K::Native> =
                map.iter().flatten().map(|c| K::Native::usize_as(*c as usize)).collect();
            let get = |key: &F::Native| codes.get(key.as_usize()).copied().unwrap_or_default();
            return self.finish::<K>(keys.values().iter().map(get).collect(), None);
        }
        let mut codes = Vec::with_capacity(keys.len());
        let mut nulls = NullBufferBuilder::new(keys.len());
        for row in 0..keys.len() {
            let value = keys.is_valid(row).then(|| keys.value(row).as_usize());
            let code = value.and_then(|at| map.get(at).copied().flatten());
            if code == Some(NONE) {
                let value = value.and_then(text).unwrap_or_default().to_owned();
                return Err(Stranger { row, value });
            }
            nulls.append(code.is_some());
            codes.push(code.map_or_else(K::Native::default, |c| K::Native::usize_as(c as usize)));
        }
        self.finish::<K>(codes, nulls.finish())
    }

    fn finish<K: ArrowDictionaryKeyType>(
        &self,
        codes: Vec<K::Native>,
        nulls: Option<NullBuffer>,
    ) -> Result<(ArrayRef, usize), Stranger> {
        let bytes = codes.len() * size_of::<K::Native>();
        let values: ArrayRef = Arc::new(self.values.clone());
        let nulls = nulls.filter(|nulls| nulls.null_count() > 0);
        let values = if values.is_empty() && !codes.is_empty() {
            // Nothing but nulls can be in an enum without symbols; a key still wants something to point at.
            Arc::new(StringArray::from_iter_values([""])) as ArrayRef
        } else {
            values
        };
        let keys = PrimitiveArray::<K>::new(codes.into(), nulls);
        match DictionaryArray::<K>::try_new(keys, values) {
            Ok(encoded) => Ok((Arc::new(encoded), bytes)),
            Err(err) => Err(Stranger { row: 0, value: err.to_string() }),
        }
    }
}

/// `MASKS[n]` keeps the first n bytes of a word.
const MASKS: [u128; WORD + 1] = {
    let mut masks = [u128::MAX; WORD + 1];
    let mut n = 0;
    while n < WORD {
        masks[n] = (1 << (8 * n)) - 1;
        n += 1;
    }
    masks
};

fn word(bytes: &[u8]) -> u128 {
    let mut window = [0; WORD];
    window[..bytes.len()].copy_from_slice(bytes);
    u128::from_le_bytes(window)
}

#[cfg(test)]
mod tests {
    use arrow_array::LargeStringArray;
    use proptest::prelude::*;

    use super::*;

    /// The slow way: look every value up in the list.
    fn naive(symbols: &[String], rows: &[Option<String>]) -> Result<Vec<Option<usize>>, usize> {
        let code = |(row, value): (usize, &Option<String>)| match value {
            None => Ok(None),
            Some(value) => symbols.iter().position(|s| s == value).map(Some).ok_or(row),
        };
        rows.iter().enumerate().map(code).collect()
    }

    fn decoded(array: &ArrayRef) -> Vec<Option<usize>> {
        let keys = array.as_any_dictionary();
        let normal = keys.normalized_keys();
        (0..array.len()).map(|row| array.is_valid(row).then(|| normal[row])).collect()
    }

    fn check(symbols: &[String], rows: &[Option<String>], slice: usize) {
        let table = Symbols::new(symbols.iter().map(String::as_str));
        let texts = || rows.iter().map(|row| row.as_deref());
        // A dictionary with an unused value in front and every used one twice.
        let mut values = vec!["unused".to_owned()];
        values.extend(rows.iter().flatten().cloned());
        values.extend(rows.iter().flatten().cloned());
        let keys = rows.iter().map(|row| {
            let value = row.as_ref()?;
            values.iter().rposition(|v| v == value).map(|at| at as u32)
        });
        let keys: PrimitiveArray<arrow_array::types::UInt32Type> = keys.collect();
        let dictionary = DictionaryArray::new(keys, Arc::new(StringArray::from(values.clone())));
        let layouts: [ArrayRef; 4] = [
            Arc::new(texts().collect::<StringArray>()),
            Arc::new(texts().collect::<LargeStringArray>()),
            Arc::new(texts().collect::<StringViewArray>()),
            Arc::new(dictionary),
        ];
        let slice = slice.min(rows.len());
        for array in layouts {
            let array = array.slice(slice, rows.len() - slice);
            match (table.encode(&array), naive(symbols, &rows[slice..])) {
                (Ok((encoded, _)), Ok(expected)) => assert_eq!(decoded(&encoded), expected),
                (Err(found), Err(row)) => {
                    assert_eq!(found.row, row, "{}", array.data_type());
                    assert_eq!(Some(found.value), rows[slice + row]);
                }
                (found, expected) => panic!("{}: {found:?} but {expected:?}", array.data_type()),
            }
        }
    }

    proptest! {
        #[test]
        fn agrees_with_a_list_in_every_layout(
            symbols in prop::collection::btree_set("[a-c\u{e9}]{0,4}|[ab]{11,18}", 1..9),
            picks in prop::collection::vec(prop::option::weighted(0.8, any::<prop::sample::Index>()), 0..40),
            stranger in prop::option::of((any::<prop::sample::Index>(), "[a-d]{0,20}")),
            slice in 0_usize..4,
        ) {
            let symbols: Vec<String> = symbols.into_iter().collect();
            let mut rows: Vec<_> =
                picks.iter().map(|pick| pick.map(|at| at.get(&symbols).clone())).collect();
            if let (Some((at, value)), false) = (stranger, rows.is_empty()) {
                *at.get_mut(&mut rows[..]) = Some(value);
            }
            check(&symbols, &rows, slice);
        }
    }

    #[test]
    fn many_symbols_take_wider_keys() {
        for (count, key) in
            [(127, DataType::Int8), (128, DataType::Int16), (40_000, DataType::Int32)]
        {
            let symbols: Vec<_> = (0..count).map(|n| format!("symbol {n}")).collect();
            let table = Symbols::new(symbols.iter().map(String::as_str));
            let rows = StringArray::from_iter_values([&symbols[count - 1], &symbols[0]]);
            let Ok((encoded, _)) = table.encode(&(Arc::new(rows) as ArrayRef)) else {
                panic!("refused")
            };
            assert_eq!(decoded(&encoded), [Some(count - 1), Some(0)]);
            assert_eq!(encoded.data_type(), &table.data_type());
            assert_eq!(
                table.data_type(),
                DataType::Dictionary(Box::new(key), Box::new(DataType::Utf8))
            );
        }
    }

    #[test]
    fn keys_that_fit_already_are_kept() {
        let table = Symbols::new(["a", "b"]);
        let keys = PrimitiveArray::<Int8Type>::from(vec![Some(1), None, Some(0)]);
        let pointer = keys.values().inner().as_ptr();
        let array: ArrayRef =
            Arc::new(DictionaryArray::new(keys, Arc::new(StringArray::from(vec!["a", "b"]))));
        let Ok((encoded, copied)) = table.encode(&array) else { panic!("refused") };
        assert_eq!(copied, 0);
        assert_eq!(encoded.as_dictionary::<Int8Type>().keys().values().inner().as_ptr(), pointer);
    }
}
