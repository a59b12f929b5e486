//! Arguments that several calls share: metric, axes, scales, filters, falloff.

use ottava_core::{AXES, AxisNames, AxisSet, Scales};
use ottava_spatial::{Falloff, Metric, Whitening};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyMapping, PySequence, PyString};

use super::raise::raise;
use crate::arrays::{self, is_boolean, number, refuse, wrong_type};

/// The names of the eight axes of a grid.
pub(super) fn axis_names(object: &Bound<'_, PyAny>, argument: &str) -> PyResult<AxisNames> {
    let py = object.py();
    let names: Vec<String> = match object.cast::<PyString>() {
        Err(_) => object.extract().map_err(|_| expected_names(object, argument))?,
        Ok(_) => return Err(wrong_type(object, argument, "eight names")),
    };
    let count = names.len();
    let names: [String; AXES] = names
        .try_into()
        .map_err(|_| refuse(py, argument, format_args!("expected eight names, got {count}")))?;
    AxisNames::new(names).map_err(|err| refuse(py, argument, err))
}

#[cold]
fn expected_names(object: &Bound<'_, PyAny>, argument: &str) -> PyErr {
    let items = object.cast::<PySequence>().ok().and_then(|items| items.to_list().ok());
    for (axis, item) in items.iter().flatten().enumerate() {
        if !item.is_instance_of::<PyString>() {
            return wrong_type(&item, &format!("{argument}: axis {axis}"), "a name");
        }
    }
    wrong_type(object, argument, "eight names")
}

/// Some axes of a grid, by name or number.
pub(super) fn axis_set(object: &Bound<'_, PyAny>, names: &AxisNames) -> PyResult<AxisSet> {
    let py = object.py();
    let wrong = |err: ottava_core::Error| {
        let known: Vec<_> = names.iter().collect();
        refuse(py, "axes", format_args!("{err}; the axes are {}", known.join(", ")))
    };
    if let Ok(name) = object.extract::<String>() {
        return names.select(&[name]).map_err(wrong);
    }
    let mut axes = Vec::with_capacity(AXES);
    let items =
        object.try_iter().map_err(|_| wrong_type(object, "axes", "axis names or numbers"))?;
    for item in items {
        let item = item?;
        if is_boolean(&item) {
            return Err(PyTypeError::new_err(format!(
                "axes: {} is neither an axis name nor 0 to 7; np.flatnonzero(mask) are the numbers of a mask",
                item.repr()?
            )));
        }
        if let Ok(axis) = item.extract::<usize>() {
            axes.push(axis);
        } else if let Ok(name) = item.extract::<String>() {
            axes.push(names.position(&name).map_err(wrong)?);
        } else {
            return Err(refuse(
                py,
                "axes",
                format_args!("{} is neither an axis name nor 0 to 7", item.repr()?),
            ));
        }
    }
    AxisSet::new(&axes).map_err(wrong)
}

/// Eight scales in the order of the axes, or a mapping from axis names; `base` is what unnamed axes keep.
pub(super) fn scales(
    object: &Bound<'_, PyAny>,
    names: &AxisNames,
    base: Scales,
) -> PyResult<Scales> {
    let py = object.py();
    let factors = match mapping(object) {
        Some(mapping) => {
            let mut factors = *base.factors();
            for pair in mapping.items()?.iter() {
                let (name, value): (Bound<'_, PyAny>, Bound<'_, PyAny>) = pair.extract()?;
                let Ok(text) = name.extract::<String>() else {
                    return Err(refuse(
                        py,
                        "scales",
                        format_args!("{} is not an axis name", name.repr()?),
                    ));
                };
                let axis = names.position(&text).map_err(|err| {
                    let known: Vec<_> = names.iter().collect();
                    let known = known.join(", ");
                    refuse(
                        py,
                        "scales",
                        format_args!("{err}; the axes are {known}, axes=[...] names them"),
                    )
                })?;
                factors[axis] = number(&value, "scales")?;
            }
            factors
        }
        None => {
            arrays::eight(object, "scales", "one scale per axis, or a mapping from axis names")?
        }
    };
    Scales::new(factors).map_err(|err| refuse(py, "scales", err))
}

fn mapping<'a, 'py>(object: &'a Bound<'py, PyAny>) -> Option<&'a Bound<'py, PyMapping>> {
    if object.is_instance_of::<PyDict>() || object.cast::<PySequence>().is_err() {
        return object.cast::<PyMapping>().ok();
    }
    None
}

/// A metric by name, or a covariance of shape (8, 8) for Mahalanobis. `positions` serve the name `"mahalanobis"`.
pub(super) fn metric(
    object: Option<&Bound<'_, PyAny>>,
    positions: Option<&[[f32; AXES]]>,
) -> PyResult<Metric> {
    let Some(object) = object else { return Ok(Metric::Euclidean) };
    let py = object.py();
    let Ok(name) = object.cast::<PyString>() else {
        return covariance(object);
    };
    match &*name.to_cow()? {
        "euclidean" => Ok(Metric::Euclidean),
        "squared_euclidean" => Ok(Metric::SquaredEuclidean),
        "manhattan" => Ok(Metric::Manhattan),
        "chebyshev" => Ok(Metric::Chebyshev),
        "mahalanobis" => match positions {
            Some(rows) => {
                let view = ndarray::ArrayView2::from_shape((rows.len(), AXES), rows.as_flattened())
                    .map_err(|err| refuse(py, "metric", err))?;
                let whitening =
                    Whitening::from_positions(view).map_err(|err| raise(py, "metric", err))?;
                Ok(Metric::Mahalanobis(whitening))
            }
            None => Err(refuse(
                py,
                "metric",
                "without positions 'mahalanobis' needs a covariance: metric=<(8, 8) array>",
            )),
        },
        other => Err(refuse(
            py,
            "metric",
            format_args!(
                "{other:?} is none of 'euclidean', 'squared_euclidean', 'manhattan', 'chebyshev', 'mahalanobis', \
                 nor a covariance of shape (8, 8)"
            ),
        )),
    }
}

fn covariance(object: &Bound<'_, PyAny>) -> PyResult<Metric> {
    let py = object.py();
    let rows = arrays::square(object, "metric")?;
    let whitening = Whitening::from_covariance(&rows).map_err(|err| raise(py, "metric", err))?;
    Ok(Metric::Mahalanobis(whitening))
}

/// The name of a metric.
pub(super) fn metric_name(metric: &Metric) -> &'static str {
    match metric {
        Metric::Euclidean => "euclidean",
        Metric::SquaredEuclidean => "squared_euclidean",
        Metric::Manhattan => "manhattan",
        Metric::Chebyshev => "chebyshev",
        _ => "mahalanobis",
    }
}

/// How strength fades with distance.
pub(super) fn falloff(name: Option<&Bound<'_, PyAny>>) -> PyResult<Falloff> {
    let Some(object) = name else { return Ok(Falloff::Linear) };
    let py = object.py();
    let Ok(text) = object.cast::<PyString>() else {
        return Err(wrong_type(object, "falloff", "a name"));
    };
    match &*text.to_cow()? {
        "linear" => Ok(Falloff::Linear),
        "quadratic" => Ok(Falloff::Quadratic),
        "gaussian" => Ok(Falloff::Gaussian),
        other => Err(refuse(
            py,
            "falloff",
            format_args!("{other:?} is none of 'linear', 'quadratic', 'gaussian'"),
        )),
    }
}
