//! The named tuples of `ottava.spatial` that calls return.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyTuple, PyType};

/// A named tuple class of `ottava.spatial`, looked up once.
pub(super) struct NamedTuple {
    name: &'static str,
    class: PyOnceLock<Py<PyType>>,
}

pub(super) static TOKEN: NamedTuple = NamedTuple::new("Token");
pub(super) static NEIGHBORS: NamedTuple = NamedTuple::new("Neighbors");
pub(super) static RAGGED: NamedTuple = NamedTuple::new("Ragged");
pub(super) static CONNECTIONS: NamedTuple = NamedTuple::new("Connections");
pub(super) static GRAPH: NamedTuple = NamedTuple::new("Graph");
pub(super) static CELLS: NamedTuple = NamedTuple::new("Cells");
pub(super) static CACHE_STATS: NamedTuple = NamedTuple::new("CacheStats");

/// `tuple.__new__`, which fills a named tuple without running Python code.
static TUPLE_NEW: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

impl NamedTuple {
    const fn new(name: &'static str) -> Self {
        Self { name, class: PyOnceLock::new() }
    }

    /// The tuple of these fields, in the order of the class.
    pub(super) fn of<'py, A>(&self, py: Python<'py>, fields: A) -> PyResult<Bound<'py, PyAny>>
    where
        A: IntoPyObject<'py, Target = PyTuple, Output = Bound<'py, PyTuple>, Error = PyErr>,
    {
        let class = self.class.import(py, "ottava.spatial", self.name)?;
        let new = TUPLE_NEW.get_or_try_init(py, || {
            py.get_type::<PyTuple>().getattr("__new__").map(Bound::unbind)
        })?;
        new.bind(py).call1((class, fields.into_pyobject(py)?))
    }
}
