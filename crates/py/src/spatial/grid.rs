//! The class `TokenGrid`: making one, changing it, looking at it.

use ndarray::ArrayView2;
use std::borrow::Cow;

use numpy::prelude::*;
use numpy::{PyArray1, PyArray2, ndarray};
use ottava_core::{AXES, AxisNames, AxisSet, Scales, Token, TokenBatch};
use ottava_spatial::{Error, GridOptions, Metric, OnDuplicate};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyIterator};

use super::carried::Carried;
use super::choices::id_set;
use super::options;
use super::raise::{raise, raise_tokens};
use super::replies::Replies;
use super::results::TOKEN;
use super::state::{Shared, State};
use crate::arrays::{self, Ids, refuse};
use crate::arrow::{Table, to_f32, to_u64};

#[doc = include_str!(concat!(env!("OUT_DIR"), "/help/TokenGrid"))]
#[pyclass(frozen, module = "ottava")]
pub(crate) struct TokenGrid {
    pub(super) shared: Shared,
    /// What never changes, outside the lock.
    pub(super) names: AxisNames,
    pub(super) scales: Scales,
    pub(super) replies: Replies,
}

impl TokenGrid {
    pub(super) fn of(grid: ottava_spatial::TokenGrid, carried: Option<Carried>) -> Self {
        let names = grid.options().names.clone();
        let scales = grid.options().scales;
        Self {
            shared: Shared::new(State { grid, carried }),
            names,
            scales,
            replies: Replies::default(),
        }
    }
}

/// The options of a grid, from the arguments that every constructor has.
fn grid_options(
    cell_size: Option<&Bound<'_, PyAny>>,
    scales: Option<&Bound<'_, PyAny>>,
    names: AxisNames,
    metric: Metric,
) -> PyResult<GridOptions> {
    let scales = match scales {
        Some(object) => options::scales(object, &names, Scales::ONE)?,
        None => Scales::ONE,
    };
    let cell_size = cell_size.map(|size| arrays::number(size, "cell_size")).transpose()?;
    Ok(GridOptions { cell_size, names, scales, axes: AxisSet::ALL, metric })
}

/// Columns of a batch beside ids and positions: `None` where all tokens have the default.
struct Attributes {
    weights: Option<Vec<f32>>,
    fields: Option<(Vec<f32>, Vec<f32>)>,
}

impl Attributes {
    /// From three arguments, each converted by `read(object, name)`.
    fn read<'py>(
        n: usize,
        arguments: [(&'static str, Option<&Bound<'py, PyAny>>); 3],
        mut read: impl FnMut(&Bound<'py, PyAny>, &str) -> PyResult<Vec<f32>>,
    ) -> PyResult<Self> {
        let mut columns = [None, None, None];
        for (column, (name, object)) in columns.iter_mut().zip(arguments) {
            *column = object.map(|object| read(object, name)).transpose()?;
        }
        let [weights, radii, strengths] = columns;
        let fields = (radii.is_some() || strengths.is_some()).then(|| {
            let zeros = || vec![0.0; n];
            (radii.unwrap_or_else(zeros), strengths.unwrap_or_else(zeros))
        });
        Ok(Self { weights, fields })
    }

    fn batch<'a>(
        &'a self,
        ids: &'a [u64],
        positions: &'a [[f32; AXES]],
    ) -> Result<TokenBatch<'a>, Error> {
        let mut batch = TokenBatch::from_rows(ids, positions)?;
        if let Some(weights) = &self.weights {
            batch = batch.with_weights(weights.as_slice())?;
        }
        if let Some((radii, strengths)) = &self.fields {
            batch = batch.with_fields(radii.as_slice(), strengths.as_slice())?;
        }
        Ok(batch)
    }
}

/// `on_duplicate=`.
fn duplicates<'a>(object: &'a Bound<'_, PyAny>) -> PyResult<&'a str> {
    arrays::text(object, "on_duplicate")
}

/// `id=` of a table.
fn id_column<'a>(object: &'a Bound<'_, PyAny>) -> PyResult<&'a str> {
    arrays::text(object, "id")
}

fn on_duplicate(py: Python<'_>, name: &str) -> PyResult<OnDuplicate> {
    match name {
        "error" => Ok(OnDuplicate::Error),
        "replace" => Ok(OnDuplicate::Replace),
        "skip" => Ok(OnDuplicate::Skip),
        _ => Err(refuse(
            py,
            "on_duplicate",
            format_args!("{name:?} is none of 'error', 'replace', 'skip'"),
        )),
    }
}

/// A grid of these tokens; `name` is the argument that the ids came in. Another thread may write to the positions meanwhile.
fn load(
    py: Python<'_>,
    name: &str,
    ids: &[u64],
    positions: &[[f32; AXES]],
    attributes: &Attributes,
    options: GridOptions,
    on_duplicate: OnDuplicate,
) -> PyResult<ottava_spatial::TokenGrid> {
    if ids.len() != positions.len() {
        let (n, m) = (ids.len(), positions.len());
        return Err(refuse(
            py,
            "positions",
            format_args!("expected one row for each of the {n} ids, got {m}"),
        ));
    }
    let pool = crate::threads::pool(None)?;
    let built = crate::gate::interruptible(py, &pool, |cancel| {
        let batch = attributes.batch(ids, positions)?;
        match on_duplicate {
            // It reads a position once.
            OnDuplicate::Error => {
                ottava_spatial::TokenGrid::from_batch_until(&batch, options, cancel)
            }
            _ => {
                let positions = positions.to_vec();
                let mut grid = ottava_spatial::TokenGrid::new(options)?;
                grid.insert_batch(&attributes.batch(ids, &positions)?, on_duplicate)?;
                Ok(grid)
            }
        }
    })?;
    built.map_err(|err| raise_tokens(py, name, "positions", err))
}

/// Adds a batch; the carried rows of tokens that it replaces are forgotten.
fn put(
    state: &mut State,
    batch: &TokenBatch<'_>,
    on_duplicate: OnDuplicate,
) -> Result<usize, Error> {
    let replaced: Vec<u64> = match (&state.carried, on_duplicate) {
        (Some(_), OnDuplicate::Replace) => {
            batch.ids().iter().copied().filter(|&id| state.grid.contains(id)).collect()
        }
        _ => Vec::new(),
    };
    let count = state.grid.insert_batch(batch, on_duplicate)?;
    if let Some(carried) = &mut state.carried {
        replaced.into_iter().for_each(|id| carried.forget(id));
    }
    Ok(count)
}

#[pymethods]
impl TokenGrid {
    #[new]
    #[pyo3(signature = (cell_size=None, scales=None, axes=None, metric=None))]
    fn new(
        py: Python<'_>,
        cell_size: Option<&Bound<'_, PyAny>>,
        scales: Option<&Bound<'_, PyAny>>,
        axes: Option<&Bound<'_, PyAny>>,
        metric: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let names =
            axes.map(|axes| options::axis_names(axes, "axes")).transpose()?.unwrap_or_default();
        let metric = options::metric(metric, None)?;
        let options = grid_options(cell_size, scales, names, metric)?;
        let grid =
            ottava_spatial::TokenGrid::new(options).map_err(|err| raise(py, "cell_size", err))?;
        Ok(Self::of(grid, None))
    }

    #[doc = include_str!(concat!(env!("OUT_DIR"), "/help/TokenGrid.from_arrays"))]
    #[staticmethod]
    #[pyo3(signature = (ids, positions, *, weight=None, field_radius=None, field_strength=None, cell_size=None, scales=None,
                        axes=None, metric=None, on_duplicate="error"))]
    #[expect(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn from_arrays(
        py: Python<'_>,
        ids: &Bound<'_, PyAny>,
        positions: &Bound<'_, PyAny>,
        weight: Option<&Bound<'_, PyAny>>,
        field_radius: Option<&Bound<'_, PyAny>>,
        field_strength: Option<&Bound<'_, PyAny>>,
        cell_size: Option<&Bound<'_, PyAny>>,
        scales: Option<&Bound<'_, PyAny>>,
        axes: Option<&Bound<'_, PyAny>>,
        metric: Option<&Bound<'_, PyAny>>,
        #[pyo3(from_py_with = self::duplicates)] on_duplicate: &str,
    ) -> PyResult<Self> {
        let on_duplicate = self::on_duplicate(py, on_duplicate)?;
        let ids = arrays::id_column(ids, "ids")?;
        let rows = arrays::rows(positions, "positions")?;
        let ids = ids.get().to_vec();
        let n = ids.len();
        let attributes = Attributes::read(
            n,
            [
                ("weight", weight),
                ("field_radius", field_radius),
                ("field_strength", field_strength),
            ],
            |object, name| arrays::per_row(object, name, n),
        )?;
        let names =
            axes.map(|axes| options::axis_names(axes, "axes")).transpose()?.unwrap_or_default();
        let metric = options::metric(metric, Some(rows.get()))?;
        let options = grid_options(cell_size, scales, names, metric)?;
        let grid = load(py, "ids", &ids, rows.get(), &attributes, options, on_duplicate)?;
        Ok(Self::of(grid, None))
    }

    #[doc = include_str!(concat!(env!("OUT_DIR"), "/help/TokenGrid.from_arrow"))]
    #[staticmethod]
    #[pyo3(signature = (table, *, id, positions, weight=None, field_radius=None, field_strength=None, cell_size=None,
                        scales=None, axes=None, metric=None, on_duplicate="error"))]
    #[expect(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn from_arrow(
        py: Python<'_>,
        table: &Bound<'_, PyAny>,
        #[pyo3(from_py_with = self::id_column)] id: &str,
        positions: &Bound<'_, PyAny>,
        weight: Option<&Bound<'_, PyAny>>,
        field_radius: Option<&Bound<'_, PyAny>>,
        field_strength: Option<&Bound<'_, PyAny>>,
        cell_size: Option<&Bound<'_, PyAny>>,
        scales: Option<&Bound<'_, PyAny>>,
        axes: Option<&Bound<'_, PyAny>>,
        metric: Option<&Bound<'_, PyAny>>,
        #[pyo3(from_py_with = self::duplicates)] on_duplicate: &str,
    ) -> PyResult<Self> {
        let on_duplicate = self::on_duplicate(py, on_duplicate)?;
        let table = Table::read(table, "table")?;
        let ids = to_u64(py, "id", &table.column(py, "id", id)?)?;
        let n = ids.len();
        let (rows, found_names) = super::columns::read_positions(&table, positions)?;
        let attributes = Attributes::read(
            n,
            [
                ("weight", weight),
                ("field_radius", field_radius),
                ("field_strength", field_strength),
            ],
            |object, name| match object.extract::<&str>() {
                Ok(column) => to_f32(py, name, &table.column(py, name, column)?),
                Err(_) => arrays::per_row(object, name, n),
            },
        )?;
        let names = match (axes, found_names) {
            (Some(axes), _) => options::axis_names(axes, "axes")?,
            (None, Some(names)) => names,
            (None, None) => AxisNames::default(),
        };
        let metric = options::metric(metric, Some(rows.get()))?;
        let options = grid_options(cell_size, scales, names, metric)?;
        let grid = load(py, "id", &ids, rows.get(), &attributes, options, on_duplicate)?;
        let column = table.schema().index_of(id).map_err(|err| refuse(py, "id", err))?;
        let last = on_duplicate == OnDuplicate::Replace;
        let carried =
            Carried::new(table.schema().clone(), table.batches().to_vec(), column, ids, last);
        Ok(Self::of(grid, Some(carried)))
    }

    #[doc = include_str!(concat!(env!("OUT_DIR"), "/help/TokenGrid.insert"))]
    #[pyo3(signature = (id, position, weight=1.0, field_radius=0.0, field_strength=0.0, *, on_duplicate="error"))]
    #[expect(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn insert(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = arrays::id)] id: u64,
        position: &Bound<'_, PyAny>,
        #[pyo3(from_py_with = weight)] weight: f32,
        #[pyo3(from_py_with = field_radius)] field_radius: f32,
        #[pyo3(from_py_with = field_strength)] field_strength: f32,
        #[pyo3(from_py_with = self::duplicates)] on_duplicate: &str,
    ) -> PyResult<()> {
        let on_duplicate = self::on_duplicate(py, on_duplicate)?;
        let mut token = Token::new(id, arrays::point(position, "position")?);
        token.weight = weight;
        token.field = ottava_core::Field { radius: field_radius, strength: field_strength };
        let done = self.shared.write(py, |state| match on_duplicate {
            OnDuplicate::Error => state.grid.insert(token),
            _ => {
                let (ids, rows) = ([token.id], [*token.position.coordinates()]);
                let batch = TokenBatch::from_rows(&ids[..], &rows[..])?
                    .with_weights(std::slice::from_ref(&token.weight))?
                    .with_fields(
                        std::slice::from_ref(&token.field.radius),
                        std::slice::from_ref(&token.field.strength),
                    )?;
                put(state, &batch, on_duplicate).map(drop)
            }
        })?;
        done.map_err(|err| raise_tokens(py, "id", "position", err))
    }

    #[doc = include_str!(concat!(env!("OUT_DIR"), "/help/TokenGrid.insert_batch"))]
    #[pyo3(signature = (ids, positions, *, weight=None, field_radius=None, field_strength=None, on_duplicate="error"))]
    #[expect(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn insert_batch(
        &self,
        py: Python<'_>,
        ids: &Bound<'_, PyAny>,
        positions: &Bound<'_, PyAny>,
        weight: Option<&Bound<'_, PyAny>>,
        field_radius: Option<&Bound<'_, PyAny>>,
        field_strength: Option<&Bound<'_, PyAny>>,
        #[pyo3(from_py_with = self::duplicates)] on_duplicate: &str,
    ) -> PyResult<usize> {
        let on_duplicate = self::on_duplicate(py, on_duplicate)?;
        let ids = arrays::id_column(ids, "ids")?;
        let rows = arrays::rows(positions, "positions")?;
        // Another thread may write to the arrays meanwhile: what is checked must be what is kept.
        let (ids, rows) = (ids.get().to_vec(), rows.get().to_vec());
        let attributes = Attributes::read(
            ids.len(),
            [
                ("weight", weight),
                ("field_radius", field_radius),
                ("field_strength", field_strength),
            ],
            |object, name| arrays::per_row(object, name, ids.len()),
        )?;
        if ids.len() != rows.len() {
            let (n, m) = (ids.len(), rows.len());
            return Err(refuse(
                py,
                "positions",
                format_args!("expected one row for each of the {n} ids, got {m}"),
            ));
        }
        let done = self.shared.write_parallel(py, |state, _| {
            let batch = attributes.batch(&ids, &rows)?;
            put(state, &batch, on_duplicate)
        })?;
        done.map_err(|err| raise_tokens(py, "ids", "positions", err))
    }

    #[doc = include_str!(concat!(env!("OUT_DIR"), "/help/TokenGrid.remove"))]
    fn remove(&self, py: Python<'_>, id: &Bound<'_, PyAny>) -> PyResult<()> {
        let ids = id_set(id, "id")?;
        let one = matches!(ids, Ids::One(_));
        let ids = if one { Cow::Borrowed(ids.get()) } else { Cow::Owned(ids.get().to_vec()) };
        let work = |state: &mut State| {
            match &ids[..] {
                [id] if one => drop(state.grid.remove(*id)?),
                _ => state.grid.remove_batch(&ids)?,
            }
            if let Some(carried) = &mut state.carried {
                ids.iter().for_each(|&id| carried.forget(id));
            }
            Ok(())
        };
        let done = if one {
            self.shared.write(py, work)?
        } else {
            self.shared.write_parallel(py, |state, _| work(state))?
        };
        done.map_err(|err| raise(py, "id", err))
    }

    #[doc = include_str!(concat!(env!("OUT_DIR"), "/help/TokenGrid.move"))]
    #[pyo3(name = "move")]
    fn move_to(
        &self,
        py: Python<'_>,
        id: &Bound<'_, PyAny>,
        position: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let done = match arrays::ids(id, "id")? {
            Ids::One(id) => {
                let position = arrays::point(position, "position")?;
                self.shared.write(py, |state| state.grid.move_to(id, &position))?
            }
            ids => {
                let rows = arrays::rows(position, "position")?;
                let (ids, rows) = (ids.get().to_vec(), rows.get().to_vec());
                if ids.len() != rows.len() {
                    let (n, m) = (ids.len(), rows.len());
                    return Err(refuse(
                        py,
                        "position",
                        format_args!("expected one row for each of the {n} ids, got {m}"),
                    ));
                }
                self.shared
                    .write_parallel(py, |state, _| state.grid.move_batch(&ids, view(&rows)))?
            }
        };
        done.map_err(|err| raise_tokens(py, "id", "position", err))
    }

    #[doc = include_str!(concat!(env!("OUT_DIR"), "/help/TokenGrid.get"))]
    fn get<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = arrays::id)] id: u64,
    ) -> PyResult<Bound<'py, PyAny>> {
        let token = self
            .shared
            .read(py, |state| state.grid.get(id))?
            .map_err(|err| raise(py, "id", err))?;
        let position = PyArray1::from_slice(py, token.position.coordinates());
        TOKEN.of(py, (token.id, position, token.weight, token.field.radius, token.field.strength))
    }

    fn __contains__(&self, py: Python<'_>, id: &Bound<'_, PyAny>) -> PyResult<bool> {
        match arrays::value(id)? {
            Some(id) => self.shared.read(py, |state| state.grid.contains(id)),
            None => Ok(false),
        }
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        self.shared.read(py, |state| state.grid.len())
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
        self.ids(py)?.call_method0("tolist")?.try_iter()
    }

    #[doc = include_str!(concat!(env!("OUT_DIR"), "/help/TokenGrid.ids"))]
    #[getter]
    fn ids<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray1<u64>>> {
        let ids = self.shared.read_detached(py, |state| state.grid.ids())?;
        Ok(PyArray1::from_vec(py, ids))
    }

    #[doc = include_str!(concat!(env!("OUT_DIR"), "/help/TokenGrid.positions"))]
    #[getter]
    fn positions<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let rows = self.shared.read_detached(py, |state| state.grid.positions())?;
        table(py, rows.len(), AXES, rows.into_flattened())
    }

    #[doc = include_str!(concat!(env!("OUT_DIR"), "/help/TokenGrid.scales"))]
    #[getter]
    fn scales<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<f32>> {
        PyArray1::from_slice(py, self.scales.factors())
    }

    #[doc = include_str!(concat!(env!("OUT_DIR"), "/help/TokenGrid.axes"))]
    #[getter]
    fn axes(&self) -> Vec<&str> {
        self.names.iter().collect()
    }

    #[doc = include_str!(concat!(env!("OUT_DIR"), "/help/TokenGrid.metric"))]
    #[getter]
    fn metric(&self, py: Python<'_>) -> PyResult<&'static str> {
        self.shared.read(py, |state| options::metric_name(&state.grid.options().metric))
    }

    #[doc = include_str!(concat!(env!("OUT_DIR"), "/help/TokenGrid.bounds"))]
    #[getter]
    #[expect(clippy::type_complexity, reason = "a pair of arrays")]
    fn bounds<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<Option<(Bound<'py, PyArray1<f32>>, Bound<'py, PyArray1<f32>>)>> {
        let bounds = self.shared.read_detached(py, |state| state.grid.bounds())?;
        Ok(bounds.map(|(lo, hi)| (PyArray1::from_slice(py, &lo), PyArray1::from_slice(py, &hi))))
    }

    #[doc = include_str!(concat!(env!("OUT_DIR"), "/help/TokenGrid.memory"))]
    #[getter]
    fn memory<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let (memory, columns) =
            self.shared.read_detached(py, |state| (state.grid.memory(), state.columns_memory()))?;
        let parts = PyDict::new(py);
        parts.set_item("tokens", memory.tokens)?;
        parts.set_item("index", memory.index)?;
        parts.set_item("cells", memory.cells)?;
        parts.set_item("cache", memory.cache)?;
        parts.set_item("columns", columns)?;
        Ok(parts)
    }

    #[doc = include_str!(concat!(env!("OUT_DIR"), "/help/TokenGrid.optimize"))]
    fn optimize(&self, py: Python<'_>) -> PyResult<()> {
        let done =
            self.shared.write_parallel(py, |state, cancel| state.grid.optimize_until(cancel))?;
        done.map_err(|err| raise(py, "grid", err))
    }

    #[doc = include_str!(concat!(env!("OUT_DIR"), "/help/TokenGrid.rows"))]
    #[pyo3(signature = (ids=None))]
    fn rows(&self, py: Python<'_>, ids: Option<&Bound<'_, PyAny>>) -> PyResult<Table> {
        let ids = ids.map(|ids| arrays::ids(ids, "ids")).transpose()?;
        let ids = ids.as_ref().map(Ids::get);
        let found = self
            .shared
            .read_parallel(py, None, |state, _| super::columns::rows(state, &self.names, ids))?;
        found.map_err(|err| err.raise(py, "ids"))
    }
}

fn weight(object: &Bound<'_, PyAny>) -> PyResult<f32> {
    arrays::number(object, "weight")
}

fn field_radius(object: &Bound<'_, PyAny>) -> PyResult<f32> {
    arrays::number(object, "field_radius")
}

fn field_strength(object: &Bound<'_, PyAny>) -> PyResult<f32> {
    arrays::number(object, "field_strength")
}

/// A new array of shape (n, m).
pub(super) fn table<T: numpy::Element>(
    py: Python<'_>,
    n: usize,
    m: usize,
    values: Vec<T>,
) -> PyResult<Bound<'_, PyArray2<T>>> {
    PyArray1::from_vec(py, values).reshape([n, m])
}

/// Rows as a view of shape (n, 8).
pub(super) fn view(rows: &[[f32; AXES]]) -> ArrayView2<'_, f32> {
    ndarray::aview2(rows)
}
