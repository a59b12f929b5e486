//! The store itself: its columns, its chunks, its index.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field as ArrowField, FieldRef, Schema, SchemaRef};

use crate::arrow::from_arrow;
use crate::schema::{Declaration, Extra, Field, FieldDefault, Kind, Record, Type, Value};

use super::check::RuleCheck;
use super::chunk::{Chunk, locate};
use super::coordinates::Coordinates;
use super::delta::Delta;
use super::error::{Mismatch, StoreError};
use super::ids::{Hashing, Id, Ids};
use super::index::{IdIndex, OnDuplicate};
use super::ingest::Report;
use super::paths::brings;
use super::plan::{Fit, Source, Step, arrow_field, is_text, plain, position, resolve, texts};
use super::snapshot::{Snapshot, canonical};
use super::symbols::Symbols;
use super::wider::{unnamable, wider};
use super::words;
use super::workers::Workers;

/// Columnar records with a unique id.
///
/// Columns are the declared ones, in their order, and behind them those that batches brought along.
#[derive(Default)]
pub struct TokenStore {
    pub(super) id: String,
    pub(super) declaration: Option<Arc<Declaration>>,
    pub(super) rules: Option<Arc<dyn RuleCheck>>,
    promise: Promise,
    coordinates: Vec<Coordinates>,
    pub(super) columns: Vec<Column>,
    /// One layout for each column that holds what is in all of its chunks.
    pub(super) layouts: Vec<DataType>,
    pub(super) chunks: Vec<Arc<Chunk>>,
    pub(super) index: IdIndex,
    pub(super) hashing: Hashing,
    pub(super) next_slot: u32,
    plan: Option<Arc<Plan>>,
}

/// A column of the store.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) name: String,
    /// Its declaration, unless it is carried.
    pub(super) field: Option<Field>,
    /// The Arrow field that it had first, or that its declaration stands for.
    pub(super) arrow: FieldRef,
}

/// What a locked schema promises beyond its types.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Promise {
    /// Columns that were removed, and the version that no longer had them. A batch that brings one is refused.
    pub removed: Vec<(String, String)>,
    /// Columns on their way out. A batch may bring them; its report names them.
    pub retiring: Vec<Retiring>,
}

/// A column on its way out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Retiring {
    /// Name of the column.
    pub column: String,
    /// The version that began to warn.
    pub since: Option<String>,
    /// The version that will not have it.
    pub removed_in: Option<String>,
}

/// How the columns of one Arrow schema become those of the store.
pub(super) struct Plan {
    pub(super) schema: SchemaRef,
    /// Columns of the store after the batch.
    pub(super) columns: Vec<Column>,
    /// Where each comes from; `None` if the batch does not bring a carried column.
    pub(super) sources: Vec<Option<Source>>,
    pub(super) id: usize,
    pub(super) declaration: Arc<Declaration>,
    /// Columns of the batch that are on their way out.
    pub(super) retiring: Vec<Retiring>,
    /// The columns of each set of coordinates.
    pub(super) coordinates: Vec<(Coordinates, Vec<usize>)>,
}

impl std::fmt::Debug for TokenStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.columns.iter().map(|c| c.name.as_str()).collect();
        f.debug_struct("TokenStore")
            .field("rows", &self.len())
            .field("columns", &names)
            .finish_non_exhaustive()
    }
}

impl TokenStore {
    /// An empty store of the records that `declaration` declares; without one, the first batch declares them.
    ///
    /// `id` names the column of ids: integers or text, unique, never null.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoColumn`] where the declaration has no such field, [`StoreError::Arrow`] where it is no record.
    pub fn new(
        declaration: Option<Declaration>,
        id: impl Into<String>,
    ) -> Result<Self, StoreError> {
        let mut store = Self { id: id.into(), ..Self::default() };
        if let Some(declaration) = declaration {
            store.columns = declared_columns(&declaration)?;
            if !store.columns.iter().any(|column| column.name == store.id) {
                return Err(StoreError::NoColumn { column: store.id });
            }
            store.declaration = Some(Arc::new(declaration));
        }
        Ok(store)
    }

    /// Lets `rules` check what the store itself cannot; without it, a schema with such a rule takes no batch.
    #[must_use]
    pub fn with_rules(mut self, rules: Arc<dyn RuleCheck>) -> Self {
        self.rules = Some(rules);
        self
    }

    /// Holds batches against what a locked schema promises.
    #[must_use]
    pub fn with_promise(mut self, promise: Promise) -> Self {
        self.promise = promise;
        self
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

    /// The name of the id column.
    #[must_use]
    pub fn id_column(&self) -> &str {
        &self.id
    }

    /// What the records are; `None` before the first batch of a store that was given no declaration.
    #[must_use]
    pub fn declaration(&self) -> Option<&Declaration> {
        self.declaration.as_deref()
    }

    /// Bytes of the index of ids.
    #[must_use]
    pub fn index_bytes(&self) -> usize {
        self.index.bytes()
    }

    /// Bytes of the columns, without the index.
    #[must_use]
    pub fn column_bytes(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.bytes()).sum()
    }

    /// The records as they are now. Later changes do not touch it; nothing is copied.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let declaration = self.declaration.clone();
        let (columns, layouts) = (self.columns.clone(), self.layouts.clone());
        Snapshot::new(self.id.clone(), declaration, columns, layouts, self.chunks.clone())
    }

    /// Whether there is a record with this id.
    #[must_use]
    pub fn contains(&self, id: Id<'_>) -> bool {
        self.slot(id).is_some()
    }

    pub(super) fn slot(&self, id: Id<'_>) -> Option<u32> {
        let same =
            |slot| locate(&self.chunks, slot).is_some_and(|(chunk, row)| chunk.id(row) == id);
        self.index.find(self.hashing.of(id), same)
    }

    /// The records with these ids, in their order. Ids that are not there are passed over.
    ///
    /// # Errors
    ///
    /// [`StoreError::Arrow`] where the rows do not fit one array.
    pub fn rows(&self, ids: &[Id<'_>]) -> Result<RecordBatch, StoreError> {
        let slots: Vec<u32> = ids.iter().filter_map(|id| self.slot(*id)).collect();
        self.snapshot().take(&slots)
    }

    /// The records with these keys (see [`Delta::added`]), in their order. Keys of no record are passed over.
    ///
    /// # Errors
    ///
    /// [`StoreError::Arrow`] where the rows do not fit one array.
    pub fn rows_of(&self, keys: &[u64]) -> Result<RecordBatch, StoreError> {
        let text = |column: &Column| column.name == self.id && is_text(column.arrow.data_type());
        let slots: Vec<u32> = if self.columns.iter().any(text) {
            keys.iter().filter_map(|key| u32::try_from(*key).ok()).collect()
        } else {
            keys.iter().filter_map(|key| self.slot(Id::Int((*key).into()))).collect()
        };
        self.snapshot().take(&slots)
    }

    /// Checks these coordinates in every batch from now on, and in what is there already.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoColumn`], [`StoreError::Coordinates`] or [`StoreError::Coordinate`] where a record has no proper place. The store
    /// is then as it was.
    pub fn watch(&mut self, coordinates: Coordinates) -> Result<(), StoreError> {
        self.everything(&coordinates)?;
        if !self.coordinates.contains(&coordinates) {
            self.coordinates.push(coordinates);
        }
        self.plan = None;
        Ok(())
    }

    /// The key and the place of every record, as if all had come in one batch; keys as in [`Delta::added`].
    ///
    /// # Errors
    ///
    /// Those of [`TokenStore::watch`], and [`StoreError::Range`] for an id that is no key.
    pub fn everything(
        &self,
        coordinates: &Coordinates,
    ) -> Result<(Vec<u64>, Vec<[f32; crate::point::AXES]>), StoreError> {
        Delta::new(&self.chunks, &[], &self.chunks, &self.columns, &self.id).added(coordinates)
    }

    /// Takes in record batches of one schema: all of their rows, or none.
    ///
    /// # Errors
    ///
    /// [`StoreError`], with the place. The store is then as it was.
    pub fn ingest(
        &mut self,
        schema: &SchemaRef,
        batches: &[RecordBatch],
        on_duplicate: OnDuplicate,
        workers: &dyn Workers,
    ) -> Result<Report, StoreError> {
        self.ingest_with(schema, batches, on_duplicate, workers, |_| Ok(()))
    }

    /// As [`TokenStore::ingest`]; `before` sees what will change when all checks are passed, and may still refuse.
    ///
    /// # Errors
    ///
    /// [`StoreError`], with the place, or what `before` answers. The store is then as it was.
    pub fn ingest_with<E: From<StoreError>>(
        &mut self,
        schema: &SchemaRef,
        batches: &[RecordBatch],
        on_duplicate: OnDuplicate,
        workers: &dyn Workers,
        before: impl FnOnce(&Delta<'_>) -> Result<(), E>,
    ) -> Result<Report, E> {
        let plan = self.plan(schema)?;
        let report = self.take_in(&plan, batches, on_duplicate, workers, before)?;
        self.columns.clone_from(&plan.columns);
        self.declaration = Some(Arc::clone(&plan.declaration));
        self.plan = Some(plan);
        Ok(report)
    }

    /// Holds the columns of a batch against the schema, without looking at a row.
    ///
    /// # Errors
    ///
    /// [`StoreError::Schema`] with every field that does not fit, [`StoreError::Removed`] for a column that a locked version removed.
    pub fn check_schema(&self, schema: &SchemaRef) -> Result<(), StoreError> {
        self.plan(schema).map(|_| ())
    }

    fn plan(&self, schema: &SchemaRef) -> Result<Arc<Plan>, StoreError> {
        if let Some(plan) = &self.plan
            && (Arc::ptr_eq(&plan.schema, schema) || plan.schema == *schema)
        {
            return Ok(Arc::clone(plan));
        }
        if let Some(twice) = twice(schema) {
            return Err(mismatch(twice, "one column of this name", "several"));
        }
        if let Some(path) = unnamable(schema.fields()) {
            return Err(mismatch(&path, "a name without NUL", "one with NUL"));
        }
        let declaration = match &self.declaration {
            Some(declaration) => Arc::clone(declaration),
            None => Arc::new(declare(schema, &self.id)?),
        };
        for (name, version) in &self.promise.removed {
            if brings(&declaration, schema.fields(), name) {
                return Err(StoreError::Removed {
                    column: name.clone(),
                    removed_in: version.clone(),
                });
            }
        }
        let mut columns = match &self.declaration {
            Some(_) => self.columns.clone(),
            None => declared_columns(&declaration)?,
        };
        let record = declaration.record().cloned().unwrap_or_else(|| Record::new(""));
        let mut used = vec![false; schema.fields().len()];
        let mut sources = Vec::with_capacity(columns.len());
        let mut fit = Fit::new(&declaration);
        for field in &record.fields {
            let found = position(schema.fields(), field);
            sources.push(match found {
                Some(at) => {
                    used[at] = true;
                    let ty = schema.field(at).data_type();
                    let step = match declaration
                        .record()
                        .and_then(|r| r.fields.iter().find(|f| f.name == field.name))
                    {
                        Some(declared) => fit.step(&field.name, &declared.ty, ty),
                        None => Step::Keep,
                    };
                    Some(Source::Child(at, step))
                }
                None if field.default.is_required() => {
                    let expected = words::declared(&field.ty);
                    fit.mismatches.push(Mismatch {
                        path: field.name.clone(),
                        expected,
                        found: "nothing".to_owned(),
                    });
                    None
                }
                None => Some(Source::Default),
            });
        }
        let mut mismatches = fit.mismatches;
        for column in &mut columns[record.fields.len()..] {
            let at = schema.index_of(&column.name).ok();
            if let Some(at) = at {
                used[at] = true;
                let found = schema.field(at);
                if column.arrow.data_type().is_null() {
                    column.arrow = carried(found);
                } else if !found.data_type().is_null()
                    && canonical(found.data_type()) != canonical(column.arrow.data_type())
                {
                    match wider(&column.name, column.arrow.data_type(), found.data_type()) {
                        Ok(ty) => {
                            column.arrow =
                                Arc::new(column.arrow.as_ref().clone().with_data_type(ty));
                        }
                        Err(mismatch) => mismatches.push(mismatch),
                    }
                }
            }
            sources.push(at.map(|at| Source::Child(at, Step::Keep)));
        }
        for at in (0..used.len()).filter(|at| !used[*at]) {
            let found = schema.field(at);
            if record.config.extra == Extra::Forbid {
                let (expected, found_type) =
                    ("no such column".to_owned(), words::arrow(found.data_type()));
                mismatches.push(Mismatch {
                    path: found.name().clone(),
                    expected,
                    found: found_type,
                });
            }
            columns.push(Column { name: found.name().clone(), field: None, arrow: carried(found) });
            sources.push(Some(Source::Child(at, Step::Keep)));
        }
        if !mismatches.is_empty() {
            return Err(StoreError::Schema(mismatches));
        }
        let id = self.plan_id(schema, &columns, &mut sources)?;
        let watched = self
            .coordinates
            .iter()
            .map(|coordinates| Ok((coordinates.clone(), coordinates.find(&columns)?)));
        let coordinates = watched.collect::<Result<_, StoreError>>()?;
        let brought = |r: &&Retiring| brings(&declaration, schema.fields(), &r.column);
        let retiring = self.promise.retiring.iter().filter(brought).cloned().collect();
        let schema = Arc::clone(schema);
        Ok(Arc::new(Plan { schema, columns, sources, id, declaration, retiring, coordinates }))
    }

    fn plan_id(
        &self,
        schema: &SchemaRef,
        columns: &[Column],
        sources: &mut [Option<Source>],
    ) -> Result<usize, StoreError> {
        let none = || StoreError::NoColumn { column: self.id.clone() };
        let id = columns.iter().position(|column| column.name == self.id).ok_or_else(none)?;
        let Some(Source::Child(at, step)) = &mut sources[id] else { return Err(none()) };
        let found = schema.field(*at).data_type();
        if matches!(step, Step::Keep) && is_text(found) && plain(found) != found {
            *step = Step::Cast(DataType::Utf8View);
        }
        let stored = match step {
            Step::Cast(target) => &*target,
            Step::Keep => found,
            _ => return Err(mismatch(&self.id, "integers or text", "a column of symbols")),
        };
        if !Ids::accepts(stored) {
            return Err(mismatch(&self.id, "integers or text", &words::arrow(found)));
        }
        Ok(id)
    }
}

/// The declaration of a store that was given none: what the first batch has. Columns without a logical type are carried.
fn declare(schema: &Schema, id: &str) -> Result<Declaration, StoreError> {
    if schema.field_with_name(id).is_err() {
        return Err(StoreError::NoColumn { column: id.to_owned() });
    }
    let mut record = Record::new("record");
    for column in schema.fields().iter().filter(|column| !column.data_type().is_null()) {
        let one = Schema::new(vec![column.as_ref().clone()]);
        let Ok(declared) = from_arrow("record", &one) else { continue };
        for field in declared.record().map(|r| r.fields.clone()).unwrap_or_default() {
            let mut field = field;
            optional(&mut field.ty);
            if field.name == id {
                field.ty.nullable = false;
            } else if field.ty.nullable {
                field.default = FieldDefault::Value(Value::Null);
            }
            record.fields.push(field);
        }
    }
    Ok(record.into())
}

/// What may be null in the records inside of a type may also be missing.
fn optional(ty: &mut Type) {
    match &mut ty.kind {
        Kind::List(item)
        | Kind::Set(item)
        | Kind::FrozenSet(item)
        | Kind::FixedList(item, _)
        | Kind::Dict(_, item) => optional(item),
        Kind::Record(record) => {
            for field in &mut record.fields {
                optional(&mut field.ty);
                if field.ty.nullable {
                    field.default = FieldDefault::Value(Value::Null);
                }
            }
        }
        _ => {}
    }
}

fn declared_columns(declaration: &Declaration) -> Result<Vec<Column>, StoreError> {
    let arrow = |field: &Field| {
        let failed = |err: crate::arrow::MappingError| StoreError::Arrow {
            column: field.name.clone(),
            message: err.to_string(),
        };
        let mut arrow = arrow_field(declaration, &field.name, &field.ty).map_err(failed)?;
        if let Some(symbols) =
            texts(&resolve(declaration, &field.ty).kind).filter(|s| !s.is_empty())
        {
            arrow = arrow.with_data_type(Symbols::new(symbols).data_type());
        }
        let arrow = Arc::new(arrow);
        Ok(Column { name: field.name.clone(), field: Some(field.clone()), arrow })
    };
    match declaration.record() {
        Some(record) => record.fields.iter().map(arrow).collect(),
        None => Err(StoreError::Arrow {
            column: declaration.name.clone(),
            message: "only a record has columns".to_owned(),
        }),
    }
}

/// The field of a carried column: nullable, because another batch may not bring it.
fn carried(found: &ArrowField) -> FieldRef {
    Arc::new(found.clone().with_nullable(true))
}

fn twice(schema: &Schema) -> Option<&str> {
    let mut names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    names.sort_unstable();
    names.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
}

fn mismatch(path: &str, expected: &str, found: &str) -> StoreError {
    let (path, expected, found) = (path.to_owned(), expected.to_owned(), found.to_owned());
    StoreError::Schema(vec![Mismatch { path, expected, found }])
}
