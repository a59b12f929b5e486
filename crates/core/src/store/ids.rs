//! The id column: hashing it, comparing its values, showing one.

use std::hash::{BuildHasher, RandomState};

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, LargeStringArray, StringArray, StringViewArray};
use arrow_buffer::ScalarBuffer;
use arrow_schema::DataType;
use foldhash::fast::FixedState;

/// The ids of one chunk. None is null.
#[derive(Debug, Clone)]
pub(super) enum Ids {
    I8(ScalarBuffer<i8>),
    I16(ScalarBuffer<i16>),
    I32(ScalarBuffer<i32>),
    I64(ScalarBuffer<i64>),
    U8(ScalarBuffer<u8>),
    U16(ScalarBuffer<u16>),
    U32(ScalarBuffer<u32>),
    U64(ScalarBuffer<u64>),
    Utf8(StringArray),
    LargeUtf8(LargeStringArray),
    View(StringViewArray),
}

/// One id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Id<'a> {
    /// An integer.
    Int(i128),
    /// Text.
    Text(&'a str),
}

impl std::fmt::Display for Id<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Int(id) => write!(f, "{id}"),
            Self::Text(id) => write!(f, "{id:?}"),
        }
    }
}

/// How ids are hashed in one store. Seeded anew for each, so that nobody can prepare ids that collide.
#[derive(Debug, Clone)]
pub(super) struct Hashing(FixedState);

impl Default for Hashing {
    fn default() -> Self {
        Self(FixedState::with_seed(RandomState::new().hash_one(0_u8)))
    }
}

impl Hashing {
    /// Hash of an id.
    pub(super) fn of(&self, id: Id<'_>) -> u32 {
        match id {
            Id::Int(id) => self.int(id as u64),
            Id::Text(id) => self.text(id),
        }
    }

    #[inline]
    fn int(&self, id: u64) -> u32 {
        (self.0.hash_one(id) >> 32) as u32
    }

    #[inline]
    fn text(&self, id: &str) -> u32 {
        (self.0.hash_one(id.as_bytes()) >> 32) as u32
    }
}

impl Ids {
    /// Whether ids may be of this type.
    pub(super) fn accepts(ty: &DataType) -> bool {
        ty.is_integer() || matches!(ty, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
    }

    /// The ids of an array; `None` if [`Ids::accepts`] does not take its type.
    pub(super) fn new(array: &ArrayRef) -> Option<Self> {
        Some(match array.data_type() {
            DataType::Int8 => Self::I8(array.as_primitive::<Int8Type>().values().clone()),
            DataType::Int16 => Self::I16(array.as_primitive::<Int16Type>().values().clone()),
            DataType::Int32 => Self::I32(array.as_primitive::<Int32Type>().values().clone()),
            DataType::Int64 => Self::I64(array.as_primitive::<Int64Type>().values().clone()),
            DataType::UInt8 => Self::U8(array.as_primitive::<UInt8Type>().values().clone()),
            DataType::UInt16 => Self::U16(array.as_primitive::<UInt16Type>().values().clone()),
            DataType::UInt32 => Self::U32(array.as_primitive::<UInt32Type>().values().clone()),
            DataType::UInt64 => Self::U64(array.as_primitive::<UInt64Type>().values().clone()),
            DataType::Utf8 => Self::Utf8(array.as_string().clone()),
            DataType::LargeUtf8 => Self::LargeUtf8(array.as_string().clone()),
            DataType::Utf8View => Self::View(array.as_string_view().clone()),
            _ => return None,
        })
    }

    /// The id of a row.
    #[inline]
    pub(super) fn get(&self, row: usize) -> Id<'_> {
        match self {
            Self::I8(ids) => Id::Int(ids[row].into()),
            Self::I16(ids) => Id::Int(ids[row].into()),
            Self::I32(ids) => Id::Int(ids[row].into()),
            Self::I64(ids) => Id::Int(ids[row].into()),
            Self::U8(ids) => Id::Int(ids[row].into()),
            Self::U16(ids) => Id::Int(ids[row].into()),
            Self::U32(ids) => Id::Int(ids[row].into()),
            Self::U64(ids) => Id::Int(ids[row].into()),
            Self::Utf8(ids) => Id::Text(ids.value(row)),
            Self::LargeUtf8(ids) => Id::Text(ids.value(row)),
            Self::View(ids) => Id::Text(ids.value(row)),
        }
    }

    /// The hashes of the ids from row `first` on.
    pub(super) fn hash(&self, hashing: &Hashing, first: usize, out: &mut [u32]) {
        macro_rules! ints {
            ($ids:expr) => {
                for (tag, id) in out.iter_mut().zip(&$ids[first..]) {
                    // A sign is extended, so that an id has one hash in every width.
                    *tag = hashing.int(*id as i64 as u64);
                }
            };
        }
        macro_rules! texts {
            ($ids:expr) => {
                for (row, tag) in out.iter_mut().enumerate() {
                    *tag = hashing.text($ids.value(first + row));
                }
            };
        }
        match self {
            Self::I8(ids) => ints!(ids),
            Self::I16(ids) => ints!(ids),
            Self::I32(ids) => ints!(ids),
            Self::I64(ids) => ints!(ids),
            Self::U8(ids) => ints!(ids),
            Self::U16(ids) => ints!(ids),
            Self::U32(ids) => ints!(ids),
            Self::U64(ids) => ints!(ids),
            Self::Utf8(ids) => texts!(ids),
            Self::LargeUtf8(ids) => texts!(ids),
            Self::View(ids) => texts!(ids),
        }
    }
}
