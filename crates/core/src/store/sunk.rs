//! What stands below a null is no value.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{
    Array, ArrayRef, BooleanArray, FixedSizeListArray, GenericListArray, GenericListViewArray,
    OffsetSizeTrait, StructArray,
};
use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder};
use arrow_schema::{DataType, FieldRef, Fields};
use arrow_select::nullif::nullif;

/// The array with the nulls of records and of lists on what is in them, too: what stands below them may be no proper value, such as a
/// key that its dictionary does not have.
pub(super) fn sunk(array: &ArrayRef) -> ArrayRef {
    let made: Option<ArrayRef> = match array.data_type() {
        DataType::List(field) => sunk_lists::<i32>(array, field),
        DataType::LargeList(field) => sunk_lists::<i64>(array, field),
        DataType::ListView(field) => sunk_views::<i32>(array, field),
        DataType::LargeListView(field) => sunk_views::<i64>(array, field),
        DataType::FixedSizeList(field, length) => {
            let lists = array.as_fixed_size_list();
            let absent = lists.nulls().map(|nulls| !nulls.expand(*length as usize).inner());
            let items = sunk_below(lists.values(), absent);
            let nulls = lists.nulls().cloned();
            let made = FixedSizeListArray::try_new(nullable(field), *length, items, nulls);
            made.ok().map(|made| Arc::new(made) as ArrayRef)
        }
        DataType::Struct(_) => {
            let records = array.as_struct();
            let absent = records.nulls().map(|nulls| !nulls.inner());
            let sink = |field: &ArrayRef| sunk_below(field, absent.clone());
            let fields: Fields = records.fields().iter().map(nullable).collect();
            let columns = records.columns().iter().map(sink).collect();
            let (nulls, rows) = (records.nulls().cloned(), records.len());
            let made = StructArray::try_new_with_length(fields, columns, nulls, rows);
            made.ok().map(|made| Arc::new(made) as ArrayRef)
        }
        _ => None,
    };
    made.unwrap_or_else(|| array.clone())
}

fn nullable(field: &FieldRef) -> FieldRef {
    Arc::new(field.as_ref().clone().with_nullable(true))
}

/// The parts of an array, of which some are below a null.
fn sunk_below(parts: &ArrayRef, absent: Option<BooleanBuffer>) -> ArrayRef {
    let Some(absent) = absent else { return sunk(parts) };
    let without = nullif(parts, &BooleanArray::new(absent, None));
    sunk(&without.unwrap_or_else(|_| parts.clone()))
}

/// Which of `count` items are in none of the rows.
fn unused(count: usize, rows: impl Iterator<Item = Range<usize>>) -> BooleanBuffer {
    let mut unused = BooleanBufferBuilder::new(count);
    unused.append_n(count, true);
    for at in rows.flatten() {
        unused.set_bit(at, false);
    }
    unused.finish()
}

fn sunk_lists<O: OffsetSizeTrait>(array: &ArrayRef, field: &FieldRef) -> Option<ArrayRef> {
    let lists = array.as_list::<O>();
    let ends = lists.offsets().windows(2).map(|ends| ends[0].as_usize()..ends[1].as_usize());
    let rows = ends.enumerate().filter(|(row, _)| lists.is_valid(*row)).map(|(_, items)| items);
    let items = sunk_below(lists.values(), Some(unused(lists.values().len(), rows)));
    let (offsets, nulls) = (lists.offsets().clone(), lists.nulls().cloned());
    let made = GenericListArray::<O>::try_new(nullable(field), offsets, items, nulls);
    Some(Arc::new(made.ok()?))
}

fn sunk_views<O: OffsetSizeTrait>(array: &ArrayRef, field: &FieldRef) -> Option<ArrayRef> {
    let lists = array.as_list_view::<O>();
    let valid = (0..lists.len()).filter(|row| lists.is_valid(*row));
    let rows = valid.map(|row| {
        let start = lists.value_offset(row).as_usize();
        start..start + lists.value_size(row).as_usize()
    });
    let items = sunk_below(lists.values(), Some(unused(lists.values().len(), rows)));
    let (offsets, sizes) = (lists.offsets().clone(), lists.sizes().clone());
    let nulls = lists.nulls().cloned();
    let made = GenericListViewArray::<O>::try_new(nullable(field), offsets, sizes, items, nulls);
    Some(Arc::new(made.ok()?))
}
