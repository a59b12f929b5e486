//! The classes `Schema` and `SchemaLock`: a declaration in Python's hands, and its locked versions.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_schema::{DataType, Schema as ArrowSchema};
use ottava_core::arrow::{from_arrow, to_arrow};
use ottava_core::schema::{
    Change, Declaration, FieldDefault, Fingerprint, Lock, LockError, Value, Version,
    canonical_json, diff,
};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyCapsule, PyDict, PyType};
use pyo3_arrow::PySchema;
use pyo3_arrow::ffi::to_schema_pycapsule;

use crate::error::LOCK;
use crate::model::Plan;
use crate::model::{is_model_class, need_plan};

/// What records are: fields, types, nullability, rules, defaults.
///
/// Every model has its own as `Model.__schema__`; `Schema.from_arrow` makes one of an Arrow schema.
#[pyclass(frozen, subclass, module = "ottava")]
pub(crate) struct Schema {
    declaration: Arc<Declaration>,
    /// Compiled when it is first used to validate.
    pub(crate) plan: PyOnceLock<Py<Plan>>,
}

impl Schema {
    /// The schema of a declaration.
    pub(crate) fn new(declaration: Arc<Declaration>) -> Self {
        Self { declaration, plan: PyOnceLock::new() }
    }

    /// The declaration.
    pub(crate) fn declaration(&self) -> &Arc<Declaration> {
        &self.declaration
    }
}

fn lock_error(py: Python<'_>, err: &LockError) -> PyErr {
    let changes: Vec<String> = match err {
        LockError::Incompatible { changes, .. } => {
            changes.iter().map(ToString::to_string).collect()
        }
        _ => Vec::new(),
    };
    LOCK.new_err(py, (err.to_string(), changes))
}

fn change<'py>(py: Python<'py>, change: &Change) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("path", &change.path)?;
    dict.set_item("change", change.what.code())?;
    dict.set_item("message", change.what.to_string())?;
    dict.set_item("backward", change.backward && !change.what.is_forbidden())?;
    dict.set_item("forward", change.forward && !change.what.is_forbidden())?;
    Ok(dict)
}

fn changes<'py>(py: Python<'py>, list: &[Change]) -> PyResult<Vec<Bound<'py, PyDict>>> {
    list.iter().map(|c| change(py, c)).collect()
}

#[pymethods]
impl Schema {
    /// The schema of an Arrow schema, or of anything with `__arrow_c_schema__` such as a pyarrow or polars schema or table.
    ///
    /// Columns that may be null have null as their default. `ValueError` for a column whose type no logical type stands for.
    #[staticmethod]
    #[pyo3(signature = (schema, *, name="record"))]
    fn from_arrow(schema: PySchema, name: &str) -> PyResult<Self> {
        let schema = schema.into_inner();
        let mut declaration =
            from_arrow(name, &schema).map_err(|err| PyValueError::new_err(err.to_string()))?;
        if let ottava_core::schema::Kind::Record(record) = &mut declaration.root.kind {
            for field in record.fields.iter_mut().filter(|field| field.ty.nullable) {
                field.default = FieldDefault::Value(Value::Null);
            }
        }
        Ok(Self::new(Arc::new(declaration)))
    }

    /// The schema of a model class; `Model.__schema__` is the same. `TypeError` for anything else, and for a class
    /// with a name in its annotations that is not defined.
    #[staticmethod]
    fn of(model: &Bound<'_, PyAny>) -> PyResult<Self> {
        match model.cast::<PyType>() {
            Ok(class) if is_model_class(class) => {
                let plan = need_plan(class)?;
                Ok(Self::new(Arc::new(plan.get().schema.declaration().clone())))
            }
            _ => {
                Err(PyTypeError::new_err(format!("expected a model class, got {}", model.repr()?)))
            }
        }
    }

    /// The name of the record.
    #[getter]
    fn name(&self) -> &str {
        &self.declaration.name
    }

    /// The names of the fields, in order.
    #[getter]
    fn fields(&self) -> Vec<&str> {
        let record = self.declaration.record();
        record.map(|r| r.fields.iter().map(|f| f.name.as_str()).collect()).unwrap_or_default()
    }

    /// `sha256:` and 64 digits over what the schema says about data: names, types, nullability, rules, defaults, symbols, units, zones.
    #[getter]
    fn fingerprint(&self) -> String {
        Fingerprint::of(&self.declaration).to_string()
    }

    /// What the fingerprint is taken of: one line of JSON.
    fn canonical_json(&self) -> String {
        canonical_json(&self.declaration)
    }

    /// The differences from this schema to a newer one: dictionaries with `path`, `change`, `message`, `backward` and `forward`.
    fn diff<'py>(&self, py: Python<'py>, newer: &Self) -> PyResult<Vec<Bound<'py, PyDict>>> {
        changes(py, &diff(&self.declaration, &newer.declaration))
    }

    /// Locks the schema as `version` and writes the lock file; the new or extended `SchemaLock`.
    ///
    /// `path` is by default `NAME.schema.lock` in the current folder. A file that exists is extended by the rules of its mode, or of
    /// `mode` from now on; a new one has the mode `backward` unless told. `LockError` where the rules refuse the version.
    #[pyo3(signature = (version, path=None, *, mode=None))]
    fn lock<'py>(
        slf: &Bound<'py, Self>,
        version: &str,
        path: Option<Bound<'py, PyAny>>,
        mode: Option<&str>,
    ) -> PyResult<Bound<'py, PyAny>> {
        slf.py().import("ottava._lock")?.getattr("lock")?.call1((slf, version, path, mode))
    }

    /// The Arrow schema that the records are given out with.
    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        let schema =
            to_arrow(&self.declaration).map_err(|err| PyValueError::new_err(err.to_string()))?;
        Ok(to_schema_pycapsule(py, schema.as_ref())?)
    }

    /// Two schemas are equal if they say the same about data.
    fn __eq__(&self, other: &Self) -> bool {
        Fingerprint::of(&self.declaration) == Fingerprint::of(&other.declaration)
    }

    fn __hash__(&self) -> u64 {
        let bytes = Fingerprint::of(&self.declaration);
        u64::from_le_bytes(std::array::from_fn(|i| bytes.as_bytes()[i]))
    }

    fn __repr__(&self) -> String {
        format!("<ottava.Schema {} of {}>", self.declaration.name, self.fields().join(", "))
    }
}

/// The locked versions of a schema, and the rules by which the next one is judged.
#[pyclass(frozen, module = "ottava")]
pub(crate) struct SchemaLock {
    lock: Mutex<Lock>,
}

impl SchemaLock {
    /// A copy of the lock as it is now.
    pub(crate) fn get(&self) -> Lock {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[pymethods]
impl SchemaLock {
    /// A lock without versions. `mode` is `exact`, `backward`, `forward` or `full`, each also with `-transitive`.
    #[new]
    #[pyo3(signature = (name, *, mode="backward"))]
    fn new(py: Python<'_>, name: &str, mode: &str) -> PyResult<Self> {
        let mode = mode.parse().map_err(|err| lock_error(py, &err))?;
        Ok(Self { lock: Mutex::new(Lock::new(name, mode)) })
    }

    /// The lock in a file's text. `LockError` where it is not what was written.
    #[staticmethod]
    fn parse(py: Python<'_>, text: &str) -> PyResult<Self> {
        let lock = Lock::parse(text).map_err(|err| lock_error(py, &err))?;
        Ok(Self { lock: Mutex::new(lock) })
    }

    /// The text of the file.
    fn to_json(&self) -> String {
        self.get().to_json()
    }

    /// The name of the record.
    #[getter]
    fn name(&self) -> String {
        self.get().name
    }

    /// By which rules the next version is judged.
    #[getter]
    fn mode(&self) -> String {
        self.get().mode().to_string()
    }

    /// Judges further versions by another mode.
    fn set_mode(&self, py: Python<'_>, mode: &str) -> PyResult<()> {
        let mode = mode.parse().map_err(|err| lock_error(py, &err))?;
        self.lock.lock().unwrap_or_else(PoisonError::into_inner).set_mode(mode);
        Ok(())
    }

    /// The locked versions and their fingerprints, oldest first.
    #[getter]
    fn versions(&self) -> Vec<(String, String)> {
        let lock = self.get();
        lock.versions().iter().map(|v| (v.version.to_string(), v.fingerprint.to_string())).collect()
    }

    /// Removed names, and the versions that removed them.
    #[getter]
    fn reserved(&self) -> Vec<(String, String)> {
        let lock = self.get();
        lock.reserved().iter().map(|r| (r.field.clone(), r.removed_in.to_string())).collect()
    }

    /// The schema of a locked version, the newest by default. `LockError` if there is none.
    #[pyo3(signature = (version=None))]
    fn schema(&self, py: Python<'_>, version: Option<&str>) -> PyResult<Schema> {
        let lock = self.get();
        let (found, none) = match version {
            None => (lock.latest(), LockError::Empty),
            Some(text) => {
                let wanted: Version = text.parse().map_err(|err| lock_error(py, &err))?;
                let found = lock.versions().iter().find(|v| v.version == wanted);
                (found, LockError::Unknown { version: text.to_owned() })
            }
        };
        let locked = found.ok_or_else(|| lock_error(py, &none))?;
        let mut declaration = locked.schema.clone();
        declaration.name = lock.name;
        Ok(Schema::new(Arc::new(declaration)))
    }

    /// The version that a schema was locked as; `None` if it was not.
    fn find(&self, schema: &Schema) -> Option<String> {
        self.get().find(&schema.declaration).map(|locked| locked.version.to_string())
    }

    /// Compares a schema with every locked version: dictionaries with `version`, `compatible`, `changes` and `broken`.
    fn check<'py>(&self, py: Python<'py>, schema: &Schema) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let verdict = |verdict: ottava_core::schema::Verdict| {
            let dict = PyDict::new(py);
            dict.set_item("version", verdict.version.as_str())?;
            dict.set_item("compatible", verdict.broken.is_empty())?;
            dict.set_item("changes", changes(py, &verdict.changes)?)?;
            dict.set_item("broken", changes(py, &verdict.broken)?)?;
            Ok(dict)
        };
        self.get().check(&schema.declaration).into_iter().map(verdict).collect()
    }

    /// Locks a schema as the next version. `layout`, anything with `__arrow_c_schema__`, is recorded beside it.
    #[pyo3(signature = (version, schema, layout=None))]
    fn add(
        &self,
        py: Python<'_>,
        version: &str,
        schema: &Schema,
        layout: Option<PySchema>,
    ) -> PyResult<()> {
        let layout = match layout {
            Some(layout) => columns(&layout.into_inner()),
            None => {
                to_arrow(&schema.declaration).map(|schema| columns(&schema)).unwrap_or_default()
            }
        };
        let mut lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        lock.add(version, &schema.declaration, layout)
            .map(|_| ())
            .map_err(|err| lock_error(py, &err))
    }

    fn __repr__(&self) -> String {
        let versions: Vec<_> = self.versions().into_iter().map(|v| v.0).collect();
        format!("<ottava.SchemaLock {} {}: {}>", self.name(), self.mode(), versions.join(", "))
    }
}

fn columns(schema: &ArrowSchema) -> BTreeMap<String, String> {
    let column = |field: &arrow_schema::FieldRef| (field.name().clone(), layout(field.data_type()));
    schema.fields().iter().map(column).collect()
}

fn layout(ty: &DataType) -> String {
    ty.to_string()
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Schema>()?;
    module.add_class::<SchemaLock>()
}
