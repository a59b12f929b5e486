//! The native half of `ottava.TokenStore`.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::Instant;

use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::{Field as ArrowField, Schema as ArrowSchema, SchemaRef};
use ottava_core::schema::{Declaration, Deprecation, Extra, FieldDefault, Kind, Lock, diff};
use ottava_core::store::{
    Coordinates, Delta, Id, OnDuplicate, Promise, Report, Retiring, Snapshot, StoreError,
    TokenStore as Store, Workers,
};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyInt, PyList, PyString, PyType};
use rayon::prelude::*;

use super::code::Code;
use super::grids::{arrays, follow};
use super::json::{self, Refused};
use super::raise::store_error;
use super::report::IngestReport;
use super::rules::Validator;
use super::{infer, rows, stream};
use crate::arrays::{self, is_integer, refuse, wrong_type};
use crate::arrow::Table;
use crate::error::INGEST;
use crate::model::without_host;
use crate::schema::{Schema, SchemaLock};
use crate::{gate, threads};

/// Records in columns, with a unique id.
#[pyclass(frozen, subclass, module = "ottava")]
pub(crate) struct TokenStore {
    /// Waited for only while detached.
    writer: Mutex<Writer>,
    /// What readers see; held for the time of a clone.
    visible: RwLock<Snapshot>,
    id: String,
    rules: Arc<Validator>,
    /// What rows have to pass beyond the schema.
    code: Option<Code>,
    /// The validators of NDJSON: one that reports undeclared keys, and one that passes over them.
    compiled: OnceLock<[ottava_validate::Schema; 2]>,
}

struct Writer {
    store: Store,
    grids: Vec<(Coordinates, Py<PyAny>)>,
}

/// The work of a batch on the threads of the current pool.
struct Threads;

impl Workers for Threads {
    fn each(&self, n: usize, job: &(dyn Fn(usize) + Sync)) {
        if rayon::current_num_threads() == 1 || n < 2 {
            (0..n).for_each(job);
        } else {
            (0..n).into_par_iter().for_each(job);
        }
    }
}

/// Why a batch is not taken in: the store says so, or a grid that is kept in step with it.
pub(super) enum Failed {
    Store(StoreError),
    Python(PyErr),
}

impl From<StoreError> for Failed {
    fn from(err: StoreError) -> Self {
        Self::Store(err)
    }
}

impl Failed {
    fn raise(self, py: Python<'_>) -> PyErr {
        match self {
            Self::Store(err) => store_error(py, &err),
            Self::Python(err) => err,
        }
    }
}

fn on_duplicate(py: Python<'_>, name: &str) -> PyResult<OnDuplicate> {
    match name {
        "error" => Ok(OnDuplicate::Error),
        "skip" => Ok(OnDuplicate::Skip),
        "replace" => Ok(OnDuplicate::Replace),
        _ => Err(refuse(
            py,
            "on_duplicate",
            format_args!("expected \"error\", \"skip\" or \"replace\", got {name:?}"),
        )),
    }
}

/// What a lock promises to a store of one of its versions.
fn promise(lock: &Lock, declaration: &Declaration) -> Result<Promise, StoreError> {
    let Some(locked) = lock.find(declaration) else {
        let latest = lock.latest();
        let changes = latest.map(|l| diff(&l.schema, declaration)).unwrap_or_default();
        return Err(StoreError::NotLocked {
            version: latest.map_or_else(|| "(none)".to_owned(), |l| l.version.to_string()),
            changes: changes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
        });
    };
    let removed = lock.reserved().iter().filter(|r| r.removed_in <= locked.version);
    let retiring = |d: &&Deprecation| d.since.as_ref().is_none_or(|since| *since <= locked.version);
    let text = |v: &Option<ottava_core::schema::Version>| v.as_ref().map(ToString::to_string);
    let retiring = locked.deprecated.iter().filter(retiring).map(|d| Retiring {
        column: d.field.clone(),
        since: text(&d.since),
        removed_in: text(&d.removed_in),
    });
    Ok(Promise {
        removed: removed.map(|r| (r.field.clone(), r.removed_in.to_string())).collect(),
        retiring: retiring.collect(),
    })
}

impl TokenStore {
    /// The writer; call it detached.
    fn lock(&self) -> MutexGuard<'_, Writer> {
        // A panic between two steps leaves the store as it was before or after the batch: both are whole.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn snapshot(&self) -> Snapshot {
        self.visible.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn show(&self, snapshot: Snapshot) {
        *self.visible.write().unwrap_or_else(PoisonError::into_inner) = snapshot;
    }

    /// Takes in record batches that were read, with the interpreter released.
    fn take_in(
        &self,
        py: Python<'_>,
        schema: &SchemaRef,
        batches: &[RecordBatch],
        options: (OnDuplicate, Option<usize>),
        checked: bool,
    ) -> PyResult<Report> {
        let (on_duplicate, threads) = options;
        let pool = threads::pool(threads)?;
        let outcome = gate::detached(py, || {
            let mut writer = self.lock();
            let Writer { store, grids } = &mut *writer;
            self.rules.checked.store(checked, Ordering::Relaxed);
            let keep = |delta: &Delta<'_>| {
                if grids.is_empty() {
                    Ok(())
                } else {
                    Python::attach(|py| follow(py, grids, delta))
                }
            };
            // Pieces run on the pool; the batch itself stays on this thread, which may attach for the grids.
            let report = store.ingest_with(schema, batches, on_duplicate, &OnPool(&pool), keep)?;
            self.show(store.snapshot());
            Ok::<_, Failed>(report)
        })?;
        outcome.map_err(|err| err.raise(py))
    }

    fn declaration(&self) -> Option<Declaration> {
        self.snapshot().declaration().cloned()
    }

    /// Takes in rows: instances that a model's code has made of them, if it has any, and the rows themselves.
    fn take_rows(
        &self,
        py: Python<'_>,
        declaration: &Declaration,
        (made, rows): (Option<&Bound<'_, PyList>>, &Bound<'_, PyList>),
        options: (OnDuplicate, Option<usize>),
        start: Instant,
    ) -> PyResult<IngestReport> {
        let read = gate::attached(py, || rows::read(declaration, made.unwrap_or(rows)))??;
        let extra = match made {
            Some(_) => {
                nothing_inside(py, declaration, rows)?;
                undeclared(declaration, rows)?
            }
            None => read.extra,
        };
        let batch = append(read.batch, extras(&extra, rows)?)?;
        let schema = batch.schema();
        // Also what a model's code has made is held against the rules: an instance may have been changed since.
        let mut report = self.take_in(py, &schema, &[batch], options, false)?;
        only_brought(declaration, rows, &mut report)?;
        Ok(IngestReport::new(report, start.elapsed().as_secs_f64()))
    }
}

/// Refuses what a model's code would drop: undeclared fields of the records inside of rows, which its instances do not have.
fn nothing_inside(
    py: Python<'_>,
    declaration: &Declaration,
    rows: &Bound<'_, PyList>,
) -> PyResult<()> {
    let wide = infer::extended(declaration, rows)?;
    let Some(more) = diff(declaration, &wide).into_iter().next() else { return Ok(()) };
    let text = format!(
        "column {}: it is not declared, and a model with Python code carries no undeclared fields inside of records",
        more.path
    );
    Err(INGEST.new_err(py, (text, None::<usize>, Some(more.path), None::<String>)))
}

/// Leaves those columns on their way out in a report that rows bring: a batch of rows has a column for every declared field.
fn only_brought(
    declaration: &Declaration,
    rows: &Bound<'_, PyList>,
    report: &mut Report,
) -> PyResult<()> {
    for retiring in std::mem::take(&mut report.retiring) {
        if infer::brings(declaration, rows, &retiring.column)? {
            report.retiring.push(retiring);
        }
    }
    Ok(())
}

/// The work of a batch on a pool.
struct OnPool<'p>(&'p rayon::ThreadPool);

impl Workers for OnPool<'_> {
    fn each(&self, n: usize, job: &(dyn Fn(usize) + Sync)) {
        if n < 2 || self.0.current_num_threads() == 1 {
            (0..n).for_each(job);
        } else {
            self.0.install(|| Threads.each(n, job));
        }
    }
}

#[pymethods]
impl TokenStore {
    #[new]
    #[pyo3(signature = (schema=None, *, id="id", lock=None))]
    fn new(
        py: Python<'_>,
        schema: Option<&Bound<'_, PyAny>>,
        id: &str,
        lock: Option<&SchemaLock>,
    ) -> PyResult<Self> {
        let lock = lock.map(SchemaLock::get);
        let schema = schema.filter(|schema| !schema.is_none());
        let mut declaration = schema.map(schema_of).transpose()?;
        let code = match schema.and_then(|schema| schema.cast::<PyType>().ok()) {
            Some(class) => Code::of(class)?,
            None => None,
        };
        if let (None, Some(latest)) = (&declaration, lock.as_ref().and_then(|lock| lock.latest())) {
            declaration = Some(latest.schema.clone());
        }
        if let (None, Some(_)) = (&declaration, &lock) {
            let (version, changes) = ("(none)".to_owned(), "the lock holds no version".to_owned());
            return Err(store_error(py, &StoreError::NotLocked { version, changes }));
        }
        let rules = Arc::new(Validator::default());
        let promise = match (&lock, &declaration) {
            (Some(lock), Some(declaration)) => {
                promise(lock, declaration).map_err(|err| store_error(py, &err))?
            }
            _ => Promise::default(),
        };
        let store = Store::new(declaration, id).map_err(|err| store_error(py, &err))?;
        let store = store.with_rules(rules.clone()).with_promise(promise);
        let visible = RwLock::new(store.snapshot());
        let writer = Mutex::new(Writer { store, grids: Vec::new() });
        Ok(Self { writer, visible, id: id.to_owned(), rules, code, compiled: OnceLock::new() })
    }

    /// Takes in an Arrow table: anything with `__arrow_c_stream__` or `__arrow_c_array__`.
    #[pyo3(signature = (data, *, on_duplicate="error", threads=None))]
    fn ingest_nodes_arrow(
        &self,
        py: Python<'_>,
        data: &Bound<'_, PyAny>,
        on_duplicate: &str,
        #[pyo3(from_py_with = arrays::threads)] threads: Option<usize>,
    ) -> PyResult<IngestReport> {
        let start = Instant::now();
        let on_duplicate = self::on_duplicate(py, on_duplicate)?;
        if let Some(code) = &self.code {
            code.refuse_columns(py)?;
        }
        let (schema, batches) = stream::read(data)?;
        let report = self.take_in(py, &schema, &batches, (on_duplicate, threads), false)?;
        Ok(IngestReport::new(report, start.elapsed().as_secs_f64()))
    }

    /// Takes in a list of rows.
    #[pyo3(signature = (rows, on_duplicate, threads))]
    fn _ingest_rows(
        &self,
        py: Python<'_>,
        rows: &Bound<'_, PyList>,
        on_duplicate: &str,
        #[pyo3(from_py_with = arrays::threads)] threads: Option<usize>,
    ) -> PyResult<IngestReport> {
        let start = Instant::now();
        let on_duplicate = self::on_duplicate(py, on_duplicate)?;
        let declaration = match self.declaration() {
            Some(declaration) => declaration,
            None if rows.is_empty() => {
                return Ok(IngestReport::new(Report::default(), start.elapsed().as_secs_f64()));
            }
            None => infer::declaration(rows, &self.id)?,
        };
        let instances = self.code.as_ref().map(|code| code.instances(rows)).transpose()?;
        let made = instances.as_ref();
        self.take_rows(py, &declaration, (made, rows), (on_duplicate, threads), start)
    }

    /// Takes in JSON text: rows in lines, or an array of rows. `decode` makes a list of dictionaries of lines.
    #[pyo3(signature = (text, array, decode, on_duplicate, threads))]
    fn _ingest_json(
        &self,
        py: Python<'_>,
        text: &Bound<'_, PyBytes>,
        array: bool,
        decode: &Bound<'_, PyAny>,
        on_duplicate: &str,
        #[pyo3(from_py_with = arrays::threads)] threads: Option<usize>,
    ) -> PyResult<IngestReport> {
        let start = Instant::now();
        let bytes = text.as_bytes();
        let lines = match array {
            false => None,
            true => Some(gate::detached(py, || json::lines(bytes))?.map_err(|err| err.raise(py))?),
        };
        let bytes = lines.as_deref().unwrap_or(bytes);
        let as_rows = || {
            let rows = decode.call1((PyBytes::new(py, bytes),))?;
            Ok::<_, PyErr>(rows.cast_into::<PyList>()?)
        };
        let Some(declaration) = self.declaration() else {
            return self._ingest_rows(py, &as_rows()?, on_duplicate, threads);
        };
        let on_duplicate = self::on_duplicate(py, on_duplicate)?;
        if let Some(code) = &self.code {
            let made = code.instances_of_json(py, bytes, threads)?;
            let parts = (Some(&made), &as_rows()?);
            return self.take_rows(py, &declaration, parts, (on_duplicate, threads), start);
        }
        let [strict, ignoring] = self.compiled(&declaration)?;
        let pool = threads::pool(threads)?;
        let carry = declaration.record().is_none_or(|record| record.config.extra != Extra::Forbid);
        let read = |schema: &ottava_validate::Schema, carry| {
            let run = || pool.install(|| json::ndjson(schema, bytes, carry));
            gate::detached(py, run)?.map_err(|err: Refused| err.raise(py))
        };
        let (schema, batches) = match read(strict, carry)? {
            json::Read::Batches(schema, batches) => (schema, batches),
            json::Read::Undeclared => {
                let rows = as_rows()?;
                let wide = infer::extended(&declaration, &rows)?;
                let wide = match wide == declaration {
                    true => None,
                    false => Some(compile(match carry {
                        true => json::with_extra(&wide, Extra::Ignore),
                        false => wide,
                    })?),
                };
                let json::Read::Batches(_, batches) =
                    read(wide.as_ref().unwrap_or(ignoring), false)?
                else {
                    return Err(INGEST.new_err(py, ("undeclared keys cannot be read",)));
                };
                let columns = extras(&undeclared(&declaration, &rows)?, &rows)?;
                let mut out: Vec<RecordBatch> = Vec::new();
                let mut start = 0;
                for batch in batches {
                    let rows = batch.num_rows();
                    let part = |(name, array): &(String, ArrayRef)| {
                        (name.clone(), array.slice(start, rows))
                    };
                    out.push(append(batch, columns.iter().map(part).collect())?);
                    start += rows;
                }
                let schema =
                    out.first().map_or_else(|| Arc::new(ArrowSchema::empty()), RecordBatch::schema);
                (schema, out)
            }
        };
        if batches.is_empty() {
            return Ok(IngestReport::new(Report::default(), start.elapsed().as_secs_f64()));
        }
        let mut report = self.take_in(py, &schema, &batches, (on_duplicate, threads), true)?;
        if !report.retiring.is_empty() {
            only_brought(&declaration, &as_rows()?, &mut report)?;
        }
        Ok(IngestReport::new(report, start.elapsed().as_secs_f64()))
    }

    /// Makes a grid of the records' places and keeps it in step. `make(ids, positions)` makes the grid.
    fn _grid<'py>(
        &self,
        py: Python<'py>,
        columns: Vec<String>,
        make: Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let raise = |err: StoreError| store_error(py, &err);
        let coordinates = Coordinates::new(columns).map_err(raise)?;
        let make = make.unbind();
        let grid = gate::detached(py, || {
            let mut writer = self.lock();
            let (keys, places) = writer.store.everything(&coordinates)?;
            let grid = Python::attach(|py| {
                let (keys, places) = arrays(py, &keys, &places)?;
                make.call1(py, (keys, places))
            });
            let grid = grid.map_err(Failed::Python)?;
            writer.store.watch(coordinates.clone())?;
            let kept = Python::attach(|py| grid.clone_ref(py));
            writer.grids.push((coordinates, kept));
            Ok::<_, Failed>(grid)
        })?;
        Ok(grid.map_err(|err| err.raise(py))?.into_bound(py))
    }

    /// The records with these ids, in their order; ids that are not there are passed over.
    fn rows(&self, py: Python<'_>, ids: Vec<Bound<'_, PyAny>>) -> PyResult<Table> {
        enum Owned {
            Int(i128),
            Text(String),
        }
        let owned = |id: &Bound<'_, PyAny>| match id.cast::<PyString>() {
            Ok(text) => Ok(Owned::Text(text.extract()?)),
            Err(_) => match id.extract() {
                Ok(int) => Ok(Owned::Int(int)),
                // No record has a wider one.
                Err(_) if is_integer(id) => Ok(Owned::Int(i128::MAX)),
                Err(_) => Err(wrong_type(id, "ids", "integers and text")),
            },
        };
        let ids: Vec<Owned> = ids.iter().map(owned).collect::<Result<_, _>>()?;
        let batch = gate::detached(py, || {
            let ids: Vec<Id<'_>> = ids
                .iter()
                .map(|id| match id {
                    Owned::Int(id) => Id::Int(*id),
                    Owned::Text(id) => Id::Text(id),
                })
                .collect();
            self.lock().store.rows(&ids)
        })?;
        let batch = batch.map_err(|err| store_error(py, &err))?;
        Ok(Table::new(batch.schema(), vec![batch]))
    }

    /// The records of tokens of a grid.
    fn _rows_of(&self, py: Python<'_>, tokens: Vec<Bound<'_, PyAny>>) -> PyResult<Table> {
        let tokens: Vec<u64> = tokens.iter().map(arrays::id).collect::<PyResult<_>>()?;
        let batch = gate::detached(py, || self.lock().store.rows_of(&tokens))?;
        let batch = batch.map_err(|err| store_error(py, &err))?;
        Ok(Table::new(batch.schema(), vec![batch]))
    }

    /// The records as they are now, as a table that later changes do not touch.
    fn table(&self, py: Python<'_>) -> PyResult<Table> {
        let snapshot = self.snapshot();
        let (schema, batches) =
            gate::detached(py, || snapshot.batches())?.map_err(|err| store_error(py, &err))?;
        Ok(Table::new(schema, batches))
    }

    /// Whether two stores hold the same records in the same order, whatever the layout of their columns.
    fn equals(&self, py: Python<'_>, other: &Self) -> PyResult<bool> {
        let (a, b) = (self.snapshot(), other.snapshot());
        gate::detached(py, || a.same(&b))?.map_err(|err| store_error(py, &err))
    }

    /// The schema of the records; `None` before the first batch of a store that was given none.
    #[getter]
    fn schema(&self) -> Option<Schema> {
        self.declaration().map(|declaration| Schema::new(Arc::new(declaration)))
    }

    /// The name of the id column.
    #[getter]
    fn id(&self) -> &str {
        &self.id
    }

    /// The number of chunks that hold the records.
    #[getter]
    fn num_chunks(&self) -> usize {
        self.snapshot().chunks()
    }

    /// Bytes of the index of ids.
    #[getter]
    fn index_bytes(&self, py: Python<'_>) -> PyResult<usize> {
        gate::detached(py, || self.lock().store.index_bytes())
    }

    /// Bytes of the columns.
    #[getter]
    fn column_bytes(&self, py: Python<'_>) -> PyResult<usize> {
        gate::detached(py, || self.lock().store.column_bytes())
    }

    fn __len__(&self) -> usize {
        self.snapshot().len()
    }

    fn __contains__(&self, py: Python<'_>, id: &Bound<'_, PyAny>) -> PyResult<bool> {
        if let Ok(text) = id.cast::<PyString>() {
            let text: String = text.extract()?;
            return gate::detached(py, || self.lock().store.contains(Id::Text(&text)));
        }
        if !id.is_instance_of::<PyInt>() {
            return Ok(false);
        }
        let Ok(id) = id.extract::<i128>() else { return Ok(false) };
        gate::detached(py, || self.lock().store.contains(Id::Int(id)))
    }

    fn __repr__(&self) -> String {
        let snapshot = self.snapshot();
        let names: Vec<String> =
            snapshot.schema().fields().iter().map(|f| f.name().clone()).collect();
        format!("<ottava.TokenStore of {} records: {}>", snapshot.len(), names.join(", "))
    }
}

impl TokenStore {
    fn compiled(&self, declaration: &Declaration) -> PyResult<&[ottava_validate::Schema; 2]> {
        if let Some(compiled) = self.compiled.get() {
            return Ok(compiled);
        }
        let ignoring = json::with_extra(declaration, Extra::Ignore);
        let both = [compile(json::closed(declaration))?, compile(ignoring)?];
        Ok(self.compiled.get_or_init(|| both))
    }
}

/// A validator without a host: what a model's code would do is no part of it.
fn compile(mut declaration: Declaration) -> PyResult<ottava_validate::Schema> {
    without_host(&mut declaration, &FieldDefault::Required);
    ottava_validate::Schema::compile(declaration)
        .map_err(|err| Python::attach(|py| INGEST.new_err(py, (err.to_string(),))))
}

/// The declaration of a `Schema`, of a model class, or of something with `__arrow_c_schema__`.
fn schema_of(object: &Bound<'_, PyAny>) -> PyResult<Declaration> {
    if let Ok(schema) = object.cast::<Schema>() {
        return Ok(schema.get().declaration().as_ref().clone());
    }
    if object.is_instance_of::<PyType>() {
        let schema = object.py().get_type::<Schema>().call_method1("of", (object,))?;
        return Ok(schema.cast::<Schema>()?.get().declaration().as_ref().clone());
    }
    if object.hasattr("__arrow_c_schema__")? {
        let schema = object.py().get_type::<Schema>().call_method1("from_arrow", (object,))?;
        return Ok(schema.cast::<Schema>()?.get().declaration().as_ref().clone());
    }
    Err(PyTypeError::new_err(format!(
        "schema: expected a Schema, a Model or an Arrow schema, got {}",
        object.get_type().name()?
    )))
}

/// Undeclared keys and attributes of rows, in order of first appearance.
fn undeclared(declaration: &Declaration, rows: &Bound<'_, PyList>) -> PyResult<Vec<String>> {
    let fields = declaration.record().map(|record| &record.fields[..]).unwrap_or_default();
    let mut extra: Vec<String> = Vec::new();
    for row in rows.iter() {
        for key in rows::names(&row)? {
            let known = fields.iter().any(|f| f.name == key || f.alias.as_ref() == Some(&key));
            if !known && !extra.contains(&key) {
                extra.push(key);
            }
        }
    }
    Ok(extra)
}

/// The columns of undeclared keys.
fn extras(names: &[String], rows: &Bound<'_, PyList>) -> PyResult<Vec<(String, ArrayRef)>> {
    let mut columns = Vec::with_capacity(names.len());
    for name in names {
        let Some(ty) = infer::extra(rows, name)? else { continue };
        let column = match ty.kind {
            Kind::Null => rows::nothing(rows.len()),
            _ => rows::read_extra(&ty, name, rows)?,
        };
        columns.push((name.clone(), column));
    }
    Ok(columns)
}

/// The batch with more columns behind its own.
fn append(batch: RecordBatch, columns: Vec<(String, ArrayRef)>) -> PyResult<RecordBatch> {
    if columns.is_empty() {
        return Ok(batch);
    }
    let rows = batch.num_rows();
    let (schema, mut arrays, _) = batch.into_parts();
    let mut fields: Vec<_> = schema.fields().iter().cloned().collect();
    for (name, array) in columns {
        fields.push(Arc::new(ArrowField::new(name, array.data_type().clone(), true)));
        arrays.push(array);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    let schema = Arc::new(ArrowSchema::new(fields));
    RecordBatch::try_new_with_options(schema, arrays, &options).map_err(super::arrow_error)
}
