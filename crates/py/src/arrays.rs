//! Numpy arrays in and out.
//!
//! float32 in C order is read where it lies. Anything else that holds real numbers (float64, integers, other memory orders,
//! nested sequences) is converted once. What cannot be converted is refused by a message that names the argument, what was
//! expected, what came, and how to make one from the other.

// Reading eight numbers through the borrow registry of the numpy crate costs more than a distance.
#![allow(unsafe_code)]

use numpy::npyffi::{_PyArray_GET_ITEM_DATA, NPY_ARRAY_ALIGNED, NPY_ARRAY_C_CONTIGUOUS};
use numpy::prelude::*;
use numpy::{
    Element, PyArray1, PyArray2, PyArrayDescr, PyReadonlyArray1, PyReadonlyArray2,
    PyReadwriteArray1, PyReadwriteArray2, PyUntypedArray, dtype,
};
use ottava_core::point::AXES;
use pyo3::PyTypeInfo;
use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyTuple, PyType};

use crate::error::ARGUMENT;

mod ids;

pub(crate) use ids::{Ids, id, id_column, ids, listed_ids};

/// One point, or n of them.
pub(crate) enum Points<'py> {
    /// Shape (8,).
    One([f32; AXES]),
    /// Shape (n, 8).
    Many(Rows<'py>),
}

/// Float32 of shape (n, 8) in C order, read where it lies or converted.
pub(crate) struct Rows<'py>(PyReadonlyArray2<'py, f32>);

impl Rows<'_> {
    /// The rows.
    pub(crate) fn get(&self) -> &[[f32; AXES]] {
        self.0.as_slice().unwrap_or_default().as_chunks::<AXES>().0
    }
}

/// A one-dimensional array in C order, read where it lies or converted.
pub(crate) struct Column<'py, T: Element>(PyReadonlyArray1<'py, T>);

impl<T: Element> Column<'_, T> {
    /// The values.
    pub(crate) fn get(&self) -> &[T] {
        self.0.as_slice().unwrap_or_default()
    }
}

/// `ottava.errors.ArgumentError`: `name: message`.
pub(crate) fn refuse(py: Python<'_>, name: &str, message: impl std::fmt::Display) -> PyErr {
    ARGUMENT.new_err(py, (format!("{name}: {message}"),))
}

/// One point: an array of shape (8,), or a sequence of eight numbers.
pub(crate) fn point(object: &Bound<'_, PyAny>, name: &str) -> PyResult<[f32; AXES]> {
    match quick_point(object) {
        Some(point) => Ok(point),
        None => slow_point(object, name),
    }
}

/// Eight numbers of a contiguous array of shape (8,), in one of the usual types, or of a list or tuple.
enum Eight {
    Float([f32; AXES]),
    Double([f64; AXES]),
    Int([i32; AXES]),
    Long([i64; AXES]),
}

/// The dtypes of [`Eight`]: numpy has one object for each, so that comparing addresses is enough.
static DTYPES: PyOnceLock<[Py<PyArrayDescr>; 4]> = PyOnceLock::new();

#[inline]
fn quick_eight(object: &Bound<'_, PyAny>) -> Option<Eight> {
    const WANTED: i32 = NPY_ARRAY_C_CONTIGUOUS | NPY_ARRAY_ALIGNED;
    let py = object.py();
    let Ok(array) = object.cast::<PyUntypedArray>() else { return quick_items(object) };
    if is_masked(array) {
        return None;
    }
    let [float, double, int, long] = DTYPES.get_or_init(py, || {
        [dtype::<f32>(py), dtype::<f64>(py), dtype::<i32>(py), dtype::<i64>(py)].map(Bound::unbind)
    });
    // SAFETY: this thread is attached, and what the shape, the flags and the dtype say is there is copied at once.
    unsafe {
        let fields = &*_PyArray_GET_ITEM_DATA(array.as_array_ptr());
        if fields.nd != 1 || *fields.dimensions != AXES as isize || fields.flags & WANTED != WANTED
        {
            return None;
        }
        let (dtype, data) = (fields.descr.cast::<ffi::PyObject>(), fields.data);
        if dtype == float.as_ptr() {
            Some(Eight::Float(*data.cast()))
        } else if dtype == double.as_ptr() {
            Some(Eight::Double(*data.cast()))
        } else if dtype == int.as_ptr() {
            Some(Eight::Int(*data.cast()))
        } else if dtype == long.as_ptr() {
            Some(Eight::Long(*data.cast()))
        } else {
            None
        }
    }
}

/// The numbers of a list or tuple, as numpy would read them, which takes forty times as long: floats if there is one among them.
fn quick_items(object: &Bound<'_, PyAny>) -> Option<Eight> {
    if let Ok(items) = object.cast_exact::<PyList>() {
        return eight_items(items.iter());
    }
    eight_items(object.cast_exact::<PyTuple>().ok()?.iter())
}

#[inline]
fn eight_items<'py>(items: impl ExactSizeIterator<Item = Bound<'py, PyAny>>) -> Option<Eight> {
    if items.len() != AXES {
        return None;
    }
    let (mut whole, mut real) = ([0; AXES], [0.0; AXES]);
    let (mut floats, mut exact) = (false, true);
    for (axis, item) in items.enumerate().take(AXES) {
        if let Ok(number) = item.cast_exact::<PyFloat>() {
            (real[axis], floats) = (number.value(), true);
            continue;
        }
        let (number, mut overflow) = (item.cast_exact::<PyInt>().ok()?, 0);
        // SAFETY: it is an integer, of which this says whether it fits.
        let wide = unsafe { ffi::PyLong_AsLongLongAndOverflow(number.as_ptr(), &raw mut overflow) };
        if overflow != 0 {
            return None;
        }
        (whole[axis], real[axis]) = (wide, wide as f64);
        exact &= wide.unsigned_abs() <= 1 << f64::MANTISSA_DIGITS;
    }
    match floats {
        false => Some(Eight::Long(whole)),
        true => exact.then_some(Eight::Double(real)), // or it would be rounded twice
    }
}

/// The point in a contiguous array of shape (8,), a list or a tuple.
#[inline]
fn quick_point(object: &Bound<'_, PyAny>) -> Option<[f32; AXES]> {
    match quick_eight(object)? {
        Eight::Float(point) => Some(point),
        Eight::Double(point) => Some(point.map(|x| x as f32)),
        Eight::Int(point) => Some(point.map(|x| x as f32)),
        Eight::Long(point) => Some(point.map(|x| x as f32)),
    }
}

#[cold]
fn slow_point(object: &Bound<'_, PyAny>, name: &str) -> PyResult<[f32; AXES]> {
    let array = numbers(object, name)?;
    if array.shape() != [AXES] {
        return Err(wrong_shape(&array, name, "(8,)", "one coordinate per axis"));
    }
    let values = floats::<numpy::Ix1>(&array)?;
    let values: Option<[f32; AXES]> = values.as_slice().ok().and_then(|v| v.try_into().ok());
    values.ok_or_else(|| wrong_shape(&array, name, "(8,)", "one coordinate per axis"))
}

/// One point of shape (8,) or many of shape (n, 8).
pub(crate) fn points<'py>(object: &Bound<'py, PyAny>, name: &str) -> PyResult<Points<'py>> {
    if let Some(point) = quick_point(object) {
        return Ok(Points::One(point));
    }
    if let Some(rows) = quick_rows(object)? {
        return Ok(Points::Many(rows));
    }
    let array = numbers(object, name)?;
    match array.shape() {
        [AXES] => slow_point(array.as_any(), name).map(Points::One),
        [_, AXES] => floats(&array).map(|rows| Points::Many(Rows(rows))),
        [0] => Ok(Points::Many(no_rows(object.py()))),
        _ => Err(wrong_shape(
            &array,
            name,
            "(8,) or (n, 8)",
            "one row per point, one column per axis",
        )),
    }
}

/// Many points: shape (n, 8).
pub(crate) fn rows<'py>(object: &Bound<'py, PyAny>, name: &str) -> PyResult<Rows<'py>> {
    if let Some(rows) = quick_rows(object)? {
        return Ok(rows);
    }
    let array = numbers(object, name)?;
    match array.shape() {
        [_, AXES] => floats(&array).map(Rows),
        [0] => Ok(no_rows(object.py())),
        _ => Err(wrong_shape(&array, name, "(n, 8)", "one row per point, one column per axis")),
    }
}

/// What an empty list is, which has no second dimension.
fn no_rows(py: Python<'_>) -> Rows<'_> {
    Rows(PyArray2::zeros(py, [0, AXES], false).readonly())
}

fn quick_rows<'py>(object: &Bound<'py, PyAny>) -> PyResult<Option<Rows<'py>>> {
    let Ok(array) = object.cast::<PyArray2<f32>>() else { return Ok(None) };
    let fits = array.shape()[1] == AXES
        && array.is_c_contiguous()
        && array.is_aligned()
        && !is_masked(array.as_untyped());
    if !fits {
        return Ok(None);
    }
    Ok(Some(Rows(array.try_readonly()?)))
}

/// A column of n numbers as float32, or one number for all of them.
pub(crate) fn per_row(object: &Bound<'_, PyAny>, name: &str, n: usize) -> PyResult<Vec<f32>> {
    let array = numbers(object, name)?;
    match array.shape() {
        [] => {
            let value: f64 = array.call_method0(intern!(object.py(), "item"))?.extract()?;
            Ok(vec![value as f32; n])
        }
        [len] if *len == n => {
            let values = floats::<numpy::Ix1>(&array)?;
            Ok(values.as_slice().unwrap_or_default().to_vec())
        }
        _ => Err(wrong_shape(
            &array,
            name,
            &format!("() or ({n},)"),
            "one number, or one for each id",
        )),
    }
}

/// The object as a value of Rust; `None` if it is none. What a method of the object raises, and is no complaint of a conversion, is passed on.
pub(crate) fn value<'py, T>(object: &Bound<'py, PyAny>) -> PyResult<Option<T>>
where
    T: for<'a> FromPyObject<'a, 'py, Error = PyErr>,
{
    match object.extract::<T>() {
        Ok(value) => Ok(Some(value)),
        Err(err) => {
            let py = object.py();
            let complaint =
                err.is_instance_of::<PyTypeError>(py) || err.is_instance_of::<PyOverflowError>(py);
            if complaint { Ok(None) } else { Err(err) }
        }
    }
}

/// A text.
pub(crate) fn text<'a>(object: &'a Bound<'_, PyAny>, name: &str) -> PyResult<&'a str> {
    object.extract().map_err(|_| wrong_type(object, name, "a str"))
}

/// True or False.
pub(crate) fn flag(object: &Bound<'_, PyAny>, name: &str) -> PyResult<bool> {
    value(object)?.ok_or_else(|| wrong_type(object, name, "True or False"))
}

/// An integer in digits, of which Python does not show any number.
fn shown(object: &Bound<'_, PyAny>) -> String {
    object.str().map_or_else(|_| "an integer too long to show".into(), |text| text.to_string())
}

/// A boolean mask of shape (n,); `None` if the object does not hold booleans.
///
/// numpy calls every byte but 0 true, Rust has no boolean but 0 and 1.
pub(crate) fn mask(object: &Bound<'_, PyAny>, name: &str) -> PyResult<Option<Vec<bool>>> {
    if is_integer(object) {
        return Ok(None);
    }
    let py = object.py();
    let array = as_array(object, name)?;
    if array.dtype().kind() != b'b' {
        return Ok(None);
    }
    if array.ndim() != 1 {
        return Err(wrong_shape(
            &array,
            name,
            "(n,)",
            "one entry per token, in the order of grid.ids",
        ));
    }
    let bytes = array.call_method1(intern!(py, "view"), (dtype::<u8>(py),))?;
    let bytes = cast::<u8, numpy::Ix1>(bytes.cast::<PyUntypedArray>()?)?;
    Ok(Some(bytes.as_array().iter().map(|&byte| byte != 0).collect()))
}

/// A cell of the grid, or a position in one.
pub(crate) enum Place {
    /// Eight integers.
    Cell([i32; AXES]),
    /// Eight floats.
    Position([f32; AXES]),
}

/// A cell or a position, by the dtype.
pub(crate) fn place(object: &Bound<'_, PyAny>, name: &str) -> PyResult<Place> {
    match quick_eight(object) {
        Some(Eight::Int(cell)) => return Ok(Place::Cell(cell)),
        Some(Eight::Float(point)) => return Ok(Place::Position(point)),
        Some(Eight::Double(point)) => return Ok(Place::Position(point.map(|x| x as f32))),
        Some(Eight::Long(cell)) => return cell_of(object.py(), name, cell),
        None => {}
    }
    let array = numbers(object, name)?;
    if array.dtype().kind() == b'f' || array.shape() != [AXES] {
        return slow_point(array.as_any(), name).map(Place::Position);
    }
    if array.dtype().kind() == b'u' {
        let cell = cast::<u64, numpy::Ix1>(&array)?;
        return cell_of(object.py(), name, cell.as_slice().unwrap_or_default().iter().copied());
    }
    let cell = cast::<i64, numpy::Ix1>(&array)?;
    cell_of(object.py(), name, cell.as_slice().unwrap_or_default().iter().copied())
}

#[inline]
fn cell_of<T>(py: Python<'_>, name: &str, numbers: impl IntoIterator<Item = T>) -> PyResult<Place>
where
    T: TryInto<i32> + Copy + std::fmt::Display,
{
    let mut cell = [0; AXES];
    for (axis, (to, from)) in cell.iter_mut().zip(numbers).enumerate() {
        *to = from.try_into().map_err(|_| {
            refuse(py, name, format_args!("axis {axis}: no cell has the coordinate {from}"))
        })?;
    }
    Ok(Place::Cell(cell))
}

/// A matrix of shape (8, 8).
pub(crate) fn square(object: &Bound<'_, PyAny>, name: &str) -> PyResult<[[f64; AXES]; AXES]> {
    let array = numbers(object, name)?;
    if array.shape() != [AXES, AXES] {
        return Err(wrong_shape(&array, name, "(8, 8)", "a covariance of the eight axes"));
    }
    let values = cast::<f64, numpy::Ix2>(&array)?;
    let mut rows = [[0.0; AXES]; AXES];
    rows.as_flattened_mut().copy_from_slice(values.as_slice().unwrap_or_default());
    Ok(rows)
}

/// Eight numbers: axis scales or cell sizes.
pub(crate) fn eight(object: &Bound<'_, PyAny>, name: &str, what: &str) -> PyResult<[f32; AXES]> {
    let array = numbers(object, name)?;
    if array.shape() != [AXES] {
        return Err(wrong_shape(&array, name, "(8,)", what));
    }
    slow_point(array.as_any(), name)
}

/// A number.
pub(crate) fn number(object: &Bound<'_, PyAny>, name: &str) -> PyResult<f32> {
    match value::<f64>(object)? {
        // A negative number that is too small for float32 is negative all the same.
        Some(value) if value < 0.0 => Ok((value as f32).min(-f32::from_bits(1))),
        Some(value) => Ok(value as f32),
        None if is_integer(object) => {
            let message = format!("{} is beyond the range of float32", shown(object));
            Err(refuse(object.py(), name, message))
        }
        None => Err(wrong_type(object, name, "a number")),
    }
}

/// A count of at least `least`. One that is beyond the range of the machine is as good as the largest.
pub(crate) fn count(object: &Bound<'_, PyAny>, name: &str, least: usize) -> PyResult<usize> {
    let py = object.py();
    let found = match value::<usize>(object)? {
        Some(count) => Some(count),
        None if is_integer(object) => {
            let whole = object.call_method0(intern!(py, "__index__"))?;
            whole.gt(0)?.then_some(usize::MAX)
        }
        None => return Err(wrong_type(object, name, "an integer")),
    };
    found
        .filter(|&count| count >= least)
        .ok_or_else(|| refuse(py, name, format!("expected {least} or more, got {}", shown(object))))
}

/// `threads=`: at least 1, or `None` for all.
pub(crate) fn threads(object: &Bound<'_, PyAny>) -> PyResult<Option<usize>> {
    if object.is_none() {
        return Ok(None);
    }
    match count(object, "threads", 1) {
        Ok(threads) => Ok(Some(threads)),
        Err(err) if err.is_instance_of::<PyValueError>(object.py()) => {
            let message = format!("expected 1 or more, or None for all, got {}", shown(object));
            Err(refuse(object.py(), "threads", message))
        }
        Err(err) => Err(err),
    }
}

/// `out=` of shape (n,): float32, C order, writable.
pub(crate) fn out_column<'py>(
    object: &Bound<'py, PyAny>,
    n: usize,
) -> PyResult<PyReadwriteArray1<'py, f32>> {
    check_out(object, &[n])?;
    object.cast::<PyArray1<f32>>()?.try_readwrite().map_err(|_| in_use(object))
}

/// `out=` of shape (n, m): float32, C order, writable.
pub(crate) fn out_table<'py>(
    object: &Bound<'py, PyAny>,
    n: usize,
    m: usize,
) -> PyResult<PyReadwriteArray2<'py, f32>> {
    check_out(object, &[n, m])?;
    object.cast::<PyArray2<f32>>()?.try_readwrite().map_err(|_| in_use(object))
}

fn in_use(object: &Bound<'_, PyAny>) -> PyErr {
    refuse(object.py(), "out", "it overlaps an input, or another call is using it")
}

fn check_out(object: &Bound<'_, PyAny>, shape: &[usize]) -> PyResult<()> {
    let py = object.py();
    let shape_text = shape_text(shape);
    let make = format!("np.empty({shape_text}, np.float32) makes one");
    let Ok(array) = object.cast::<PyUntypedArray>() else {
        let got = object.get_type().name()?;
        return Err(PyTypeError::new_err(format!(
            "out: expected a float32 array of shape {shape_text}, got {got}; {make}"
        )));
    };
    if !array.dtype().is_equiv_to(&numpy::dtype::<f32>(py)) {
        return Err(wrong_dtype(array, "out", "float32", &make));
    }
    if array.shape() != shape {
        return Err(wrong_shape(array, "out", &shape_text, &make));
    }
    let writable =
        array.getattr(intern!(py, "flags"))?.getattr(intern!(py, "writeable"))?.is_truthy()?;
    if !(writable && array.is_c_contiguous() && array.is_aligned()) {
        return Err(refuse(
            py,
            "out",
            format_args!("expected a writable array in C order; {make}"),
        ));
    }
    Ok(())
}

/// Where the values of an array of one axis lie, and how they are read: what may be set of an array that is not writable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outline {
    data: usize,
    dtype: usize,
    axes: i32,
    length: isize,
    stride: isize,
    flags: i32,
}

/// `None` of anything but an array with one axis or more.
pub(crate) fn outline(object: &Bound<'_, PyAny>) -> Option<Outline> {
    let array = object.cast::<PyUntypedArray>().ok()?;
    // SAFETY: this thread is attached; an array has as many dimensions and strides as it has axes.
    unsafe {
        let fields = &*_PyArray_GET_ITEM_DATA(array.as_array_ptr());
        (fields.nd > 0).then(|| Outline {
            data: fields.data as usize,
            dtype: fields.descr as usize,
            axes: fields.nd,
            length: *fields.dimensions,
            stride: *fields.strides,
            flags: fields.flags,
        })
    }
}

/// The object as an array of real numbers; no copy if it is one.
fn numbers<'py>(object: &Bound<'py, PyAny>, name: &str) -> PyResult<Bound<'py, PyUntypedArray>> {
    let array = as_array(object, name)?;
    match array.dtype().kind() {
        b'f' | b'i' | b'u' => Ok(array),
        b'b' => {
            Err(wrong_dtype(&array, name, "real numbers", "convert it with .astype(np.float32)"))
        }
        b'c' => Err(wrong_dtype(&array, name, "real numbers", "take .real or .imag")),
        b'O' if array.ndim() == 0 => Err(wrong_type(object, name, "real numbers")),
        b'O' => Err(wrong_dtype(
            &array,
            name,
            "real numbers",
            "the rows differ in length, or hold other objects; make it np.asarray(..., np.float32)",
        )),
        _ => Err(wrong_dtype(
            &array,
            name,
            "real numbers",
            "convert it with np.asarray(..., np.float32)",
        )),
    }
}

/// The object as an array, by `numpy.asarray`.
fn as_array<'py>(object: &Bound<'py, PyAny>, name: &str) -> PyResult<Bound<'py, PyUntypedArray>> {
    let py = object.py();
    if let Ok(array) = object.cast::<PyUntypedArray>() {
        if is_masked(array) && array.call_method0(intern!(py, "count"))?.ne(array.len())? {
            let message =
                "masked entries have no value; fill them with .filled(...) or drop their rows";
            return Err(refuse(py, name, message));
        }
        return Ok(array.clone());
    }
    let made = py.import(intern!(py, "numpy"))?.getattr(intern!(py, "asarray"))?.call1((object,));
    match made {
        Ok(array) => Ok(array.cast_into::<PyUntypedArray>()?),
        Err(err) if err.is_instance_of::<pyo3::exceptions::PyException>(py) => {
            let got = object.get_type().name()?;
            let refused =
                refuse(py, name, format_args!("expected an array of numbers, got {got} ({err})"));
            refused.set_cause(py, Some(err));
            Err(refused)
        }
        Err(err) => Err(err),
    }
}

/// Real numbers as float32 in C order, without a copy if they are.
fn floats<'py, D: ndarray::Dimension>(
    array: &Bound<'py, PyUntypedArray>,
) -> PyResult<numpy::PyReadonlyArray<'py, f32, D>> {
    cast(array)
}

/// The array with elements of type `T`, aligned and in C order; without a copy if it is so already.
///
/// A float64 beyond the range of float32 becomes an infinity, silently here: the grid refuses it and names its row.
fn cast<'py, T: Element, D: ndarray::Dimension>(
    array: &Bound<'py, PyUntypedArray>,
) -> PyResult<numpy::PyReadonlyArray<'py, T, D>> {
    let py = array.py();
    let numpy = py.import(intern!(py, "numpy"))?;
    let kwargs = PyDict::new(py);
    kwargs.set_item(intern!(py, "dtype"), numpy::dtype::<T>(py))?;
    kwargs.set_item(intern!(py, "requirements"), "CA")?;
    let ignore = PyDict::new(py);
    ignore.set_item(intern!(py, "over"), "ignore")?;
    ignore.set_item(intern!(py, "invalid"), "ignore")?;
    let quiet = numpy.getattr(intern!(py, "errstate"))?.call((), Some(&ignore))?;
    quiet.call_method0(intern!(py, "__enter__"))?;
    let converted = numpy.getattr(intern!(py, "require"))?.call((array,), Some(&kwargs));
    quiet.call_method1(intern!(py, "__exit__"), (py.None(), py.None(), py.None()))?;
    Ok(converted?.cast_into::<numpy::PyArray<T, D>>()?.try_readonly()?)
}

/// Whether it is a masked array, whose entries need not all have values.
#[inline]
fn is_masked(array: &Bound<'_, PyUntypedArray>) -> bool {
    static MASKED: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let py = array.py();
    if PyUntypedArray::is_exact_type_of(array) {
        return false;
    }
    MASKED
        .import(py, "numpy.ma", "MaskedArray")
        .and_then(|class| array.is_instance(class))
        .unwrap_or(false)
}

/// Whether it is a boolean of Python or numpy. Python takes its own for the integers 0 and 1.
pub(crate) fn is_boolean(object: &Bound<'_, PyAny>) -> bool {
    static SCALAR: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let scalar = || SCALAR.import(object.py(), "numpy", "bool_");
    object.is_instance_of::<PyBool>()
        || !object.is_instance_of::<PyInt>()
            && scalar().is_ok_and(|class| object.get_type().is(class))
}

/// Whether it is an integer in the eyes of Python, but not a boolean.
pub(crate) fn is_integer(object: &Bound<'_, PyAny>) -> bool {
    !is_boolean(object)
        && object.hasattr(intern!(object.py(), "__index__")).unwrap_or(false)
        && !object.hasattr(intern!(object.py(), "__len__")).unwrap_or(false)
}

/// `TypeError`: `name: expected ..., got ...`.
#[cold]
pub(crate) fn wrong_type(object: &Bound<'_, PyAny>, name: &str, expected: &str) -> PyErr {
    match object.get_type().name() {
        Ok(got) => PyTypeError::new_err(format!("{name}: expected {expected}, got {got}")),
        Err(err) => err,
    }
}

fn wrong_shape(array: &Bound<'_, PyUntypedArray>, name: &str, expected: &str, fix: &str) -> PyErr {
    let got = shape_text(array.shape());
    refuse(array.py(), name, format_args!("expected shape {expected}, got {got}; {fix}"))
}

fn wrong_dtype(array: &Bound<'_, PyUntypedArray>, name: &str, expected: &str, fix: &str) -> PyErr {
    let dtype = array.dtype();
    PyTypeError::new_err(format!("{name}: expected {expected}, got dtype {dtype}; {fix}"))
}

fn shape_text(shape: &[usize]) -> String {
    match shape {
        [one] => format!("({one},)"),
        _ => {
            let parts: Vec<_> = shape.iter().map(ToString::to_string).collect();
            format!("({})", parts.join(", "))
        }
    }
}
