//! The records at one moment: as record batches, by slot, and compared with others.

use std::fmt;
use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, RecordBatch, RecordBatchOptions, new_empty_array, new_null_array,
};
use arrow_schema::{ArrowError, DataType, Field as ArrowField, FieldRef, Schema, SchemaRef};
use arrow_select::concat::concat;
use arrow_select::interleave::interleave;

use crate::schema::Declaration;

use super::check::{arrow_error, takes_null};
use super::chunk::{Chunk, locate};
use super::error::StoreError;
use super::sunk::sunk;
use super::table::Column;
use super::wider::widened;

/// The records of a store at one moment.
#[derive(Clone)]
pub struct Snapshot {
    id: String,
    declaration: Option<Arc<Declaration>>,
    columns: Vec<Column>,
    layouts: Vec<DataType>,
    chunks: Vec<Arc<Chunk>>,
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("rows", &self.len())
            .field("schema", &self.schema())
            .finish()
    }
}

impl Snapshot {
    pub(super) fn new(
        id: String,
        declaration: Option<Arc<Declaration>>,
        columns: Vec<Column>,
        layouts: Vec<DataType>,
        chunks: Vec<Arc<Chunk>>,
    ) -> Self {
        Self { id, declaration, columns, layouts, chunks }
    }

    /// The number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.live_rows()).sum()
    }

    /// Whether there are no records.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of chunks that hold them.
    #[must_use]
    pub fn chunks(&self) -> usize {
        self.chunks.len()
    }

    /// What the records are, if the store knows it yet.
    #[must_use]
    pub fn declaration(&self) -> Option<&Declaration> {
        self.declaration.as_deref()
    }

    /// The Arrow schema of [`Snapshot::batches`].
    ///
    /// A column has the layout that all batches had. If they differ, it has one that holds every value as it is: text is `Utf8View`,
    /// bytes are `LargeBinary`, lists `LargeList`, and a record has the fields of all.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        let field = |(at, column): (usize, &Column)| {
            let layout = self.layouts.get(at).filter(|ty| !ty.is_null());
            let ty = layout.unwrap_or(column.arrow.data_type()).clone();
            let nullable = match &column.field {
                _ if column.name == self.id => false,
                Some(field) => takes_null(&field.ty) || column.arrow.is_nullable(),
                None => true,
            };
            ArrowField::new(&column.name, ty, nullable)
                .with_metadata(column.arrow.metadata().clone())
        };
        Arc::new(Schema::new(self.columns.iter().enumerate().map(field).collect::<Vec<_>>()))
    }

    /// The records, one record batch per chunk, in the order of ingestion. Buffers are shared with the store, except where rows of a
    /// chunk were replaced or its layout is not the common one.
    ///
    /// # Errors
    ///
    /// [`StoreError::Arrow`] where Arrow refuses a conversion.
    pub fn batches(&self) -> Result<(SchemaRef, Vec<RecordBatch>), StoreError> {
        let schema = self.schema();
        let batches = self.chunks.iter().map(|chunk| self.batch(&schema, chunk));
        let batches = batches.collect::<Result<_, _>>()?;
        Ok((schema, batches))
    }

    fn batch(&self, schema: &SchemaRef, chunk: &Chunk) -> Result<RecordBatch, StoreError> {
        let rows = chunk.live_rows();
        let mut columns = Vec::with_capacity(self.columns.len());
        for (at, field) in schema.fields().iter().enumerate() {
            let failed = |err: ArrowError| arrow_error(field.name(), &err);
            let array = match chunk.column(at).map_err(failed)? {
                Some(array) if array.data_type() == field.data_type() => array,
                Some(array) => widened(&sunk(&array), field.data_type()).map_err(failed)?,
                None => new_null_array(field.data_type(), rows),
            };
            columns.push(array);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
            .map_err(|err| arrow_error("", &err))
    }

    /// The rows in these slots, in this order.
    pub(super) fn take(&self, slots: &[u32]) -> Result<RecordBatch, StoreError> {
        let schema = self.schema();
        let mut places = Vec::with_capacity(slots.len());
        for slot in slots {
            let at = self.chunks.partition_point(|chunk| chunk.first() <= *slot);
            if let Some((_, row)) = locate(&self.chunks, *slot) {
                places.push((at - 1, row));
            }
        }
        let mut columns = Vec::with_capacity(self.columns.len());
        for (at, field) in schema.fields().iter().enumerate() {
            let failed = |err: ArrowError| arrow_error(field.name(), &err);
            let mut arrays = Vec::with_capacity(self.chunks.len());
            for chunk in &self.chunks {
                arrays.push(match chunk.raw(at) {
                    Some(array) if array.data_type() == field.data_type() => array.clone(),
                    Some(array) => widened(&sunk(array), field.data_type()).map_err(failed)?,
                    None => new_null_array(field.data_type(), chunk.all_rows()),
                });
            }
            let arrays: Vec<&dyn Array> = arrays.iter().map(AsRef::as_ref).collect();
            columns.push(match arrays.is_empty() {
                true => new_empty_array(field.data_type()),
                false => interleave(&arrays, &places).map_err(failed)?,
            });
        }
        let options = RecordBatchOptions::new().with_row_count(Some(places.len()));
        RecordBatch::try_new_with_options(schema, columns, &options)
            .map_err(|err| arrow_error("", &err))
    }

    /// Whether two stores hold the same records in the same order: equal columns with equal values, whatever the layout and the chunks.
    ///
    /// # Errors
    ///
    /// [`StoreError::Arrow`] where Arrow refuses a conversion.
    pub fn same(&self, other: &Self) -> Result<bool, StoreError> {
        let names = |snapshot: &Self| {
            let mut names: Vec<_> = snapshot.columns.iter().map(|c| c.name.clone()).collect();
            names.sort_unstable();
            names
        };
        if self.len() != other.len() || names(self) != names(other) {
            return Ok(false);
        }
        for column in &self.columns {
            let (a, b) = (self.whole(&column.name)?, other.whole(&column.name)?);
            // A column of nothing but nulls may have got no type on one side.
            let empty = |array: &ArrayRef| array.logical_null_count() == array.len();
            if *a != *b && !(empty(&a) && empty(&b)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// A column in one piece and in one layout for all stores.
    fn whole(&self, name: &str) -> Result<ArrayRef, StoreError> {
        let failed = |err: ArrowError| arrow_error(name, &err);
        let (schema, batches) = self.batches()?;
        let at = schema.index_of(name).map_err(failed)?;
        let target = canonical(schema.field(at).data_type());
        let like = |batch: &RecordBatch| widened(&sunk(batch.column(at)), &target).map_err(failed);
        let arrays: Vec<ArrayRef> = batches.iter().map(like).collect::<Result<_, _>>()?;
        let arrays: Vec<&dyn Array> = arrays.iter().map(AsRef::as_ref).collect();
        if arrays.is_empty() {
            Ok(new_empty_array(&target))
        } else {
            concat(&arrays).map_err(failed)
        }
    }
}

/// The one layout that stands for all layouts of a logical type.
pub(super) fn canonical(ty: &DataType) -> DataType {
    let item =
        |field: &FieldRef| Arc::new(ArrowField::new("item", canonical(field.data_type()), true));
    match ty {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => DataType::LargeUtf8,
        DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_) => DataType::LargeBinary,
        DataType::Dictionary(_, values) => canonical(values),
        DataType::RunEndEncoded(_, values) => canonical(values.data_type()),
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::ListView(field)
        | DataType::LargeListView(field)
        | DataType::FixedSizeList(field, _) => DataType::LargeList(item(field)),
        DataType::Struct(fields) => {
            let field = |f: &FieldRef| ArrowField::new(f.name(), canonical(f.data_type()), true);
            let mut fields: Vec<ArrowField> = fields.iter().map(field).collect();
            fields.sort_by(|a, b| a.name().cmp(b.name()));
            DataType::Struct(fields.into())
        }
        DataType::Map(entries, sorted) => match entries.data_type() {
            DataType::Struct(fields) if fields.len() == 2 => {
                let key = ArrowField::new("keys", canonical(fields[0].data_type()), false);
                let value = ArrowField::new("values", canonical(fields[1].data_type()), true);
                let entries =
                    ArrowField::new("entries", DataType::Struct(vec![key, value].into()), false);
                DataType::Map(Arc::new(entries), *sorted)
            }
            _ => ty.clone(),
        },
        _ => ty.clone(),
    }
}
