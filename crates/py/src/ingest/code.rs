//! Models with code in them: validators and factories written in Python.
//!
//! A store that is given such a class lets the class make an instance of every row of the flexible way, and reads the instances. Columns
//! of Arrow cannot be run through Python functions, so they are refused.

use ottava_core::schema::{Declaration, FieldDefault, Kind, Type};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyType};

use super::raise::shown;
use crate::error::INGEST;
use crate::model::{self, Plan, plan_of};

/// A model class whose code has a say in what its rows are.
pub(super) struct Code {
    class: Py<PyType>,
    /// The first field with a validator; empty for one of the whole record, `None` if there are only factories.
    validated: Option<String>,
}

impl Code {
    /// The code of a class; `None` if it has none.
    pub(super) fn of(class: &Bound<'_, PyType>) -> PyResult<Option<Self>> {
        let Some(plan) = plan_of(class)? else { return Ok(None) };
        let mut search = Search { plan: plan.get(), open: Vec::new(), factory: false };
        let declaration = plan.get().schema.declaration();
        let validated = search.ty(declaration, &declaration.root, "");
        let found = validated.is_some() || search.factory;
        Ok(found.then(|| Self { class: class.clone().unbind(), validated }))
    }

    /// Instances of rows, which then have passed all validators.
    pub(super) fn instances<'py>(&self, rows: &Bound<'py, PyList>) -> PyResult<Bound<'py, PyList>> {
        let py = rows.py();
        let made = model::instances(self.class.bind(py), rows);
        Ok(made.map_err(|err| refused(py, err))?.cast_into()?)
    }

    /// Instances of lines of JSON.
    pub(super) fn instances_of_json<'py>(
        &self,
        py: Python<'py>,
        lines: &[u8],
        threads: Option<usize>,
    ) -> PyResult<Bound<'py, PyList>> {
        let lines = PyBytes::new(py, lines).into_any();
        let made =
            model::validate_ndjson(self.class.bind(py), &lines, threads, "raise", None, None);
        Ok(made.map_err(|err| refused(py, err))?.cast_into()?)
    }

    /// Refuses columns, if there are validators.
    pub(super) fn refuse_columns(&self, py: Python<'_>) -> PyResult<()> {
        let Some(field) = &self.validated else { return Ok(()) };
        let place = match field.as_str() {
            "" => "the model".to_owned(),
            field => format!("column {field}: it"),
        };
        let text = format!(
            "{place} has validators written in Python, which columns are not run through; use ingest_nodes_msgspec, \
             or a store of the model's __schema__, which has no code"
        );
        let column = (!field.is_empty()).then(|| field.clone());
        Err(INGEST.new_err(py, (text, None::<usize>, column, None::<String>)))
    }
}

struct Search<'p> {
    plan: &'p Plan,
    open: Vec<String>,
    factory: bool,
}

impl Search<'_> {
    /// The path of the first type with a validator, `path` being that of `ty`.
    fn ty(&mut self, declaration: &Declaration, ty: &Type, path: &str) -> Option<String> {
        if ty.hooks.iter().any(|hook| self.plan.is_code(*hook)) {
            return Some(path.to_owned());
        }
        let within = |step: &str| format!("{path}{step}");
        match &ty.kind {
            Kind::List(item)
            | Kind::Set(item)
            | Kind::FrozenSet(item)
            | Kind::FixedList(item, _) => self.ty(declaration, item, &within("[]")),
            Kind::Tuple { items, rest } => items
                .iter()
                .chain(rest.as_deref())
                .find_map(|item| self.ty(declaration, item, &within("[]"))),
            Kind::Dict(key, value) => self
                .ty(declaration, key, &within("{key}"))
                .or_else(|| self.ty(declaration, value, &within("{}"))),
            Kind::Union(union) => {
                union.members.iter().find_map(|member| self.ty(declaration, member, path))
            }
            Kind::Record(record) => {
                self.factory |=
                    record.fields.iter().any(|f| matches!(f.default, FieldDefault::Host(_)));
                let dot = if path.is_empty() { "" } else { "." };
                record
                    .fields
                    .iter()
                    .find_map(|f| self.ty(declaration, &f.ty, &format!("{path}{dot}{}", f.name)))
            }
            Kind::Ref(name) if !self.open.contains(name) => {
                self.open.push(name.clone());
                declaration.definition(name).and_then(|ty| self.ty(declaration, ty, path))
            }
            _ => None,
        }
    }
}

/// The first issue of a `ValidationError` as an error of the batch; anything else as it is.
fn refused(py: Python<'_>, err: PyErr) -> PyErr {
    let first = || -> PyResult<Option<PyErr>> {
        let Some(issues) = model::issues_of(py, &err) else { return Ok(None) };
        let errors = issues.get().errors(py)?;
        let Ok(first) = errors.get_item(0) else { return Ok(None) };
        let first = first.cast_into::<PyDict>()?;
        let get = |key: &str| first.get_item(key);
        let mut path = Vec::new();
        let mut row = None;
        for step in get("loc")?.into_iter().flat_map(|loc| loc.try_iter()).flatten() {
            match row {
                None => row = Some(step?.extract::<usize>()?),
                Some(_) => path.push(step?.str()?.to_string()),
            }
        }
        let message = get("msg")?.map_or_else(String::new, |text| text.to_string());
        let value = get("input")?.map(|value| shown(&value));
        let column = path.join(".");
        let place = if column.is_empty() { String::new() } else { format!(", column {column}") };
        let found = value.as_ref().map_or_else(String::new, |value| format!(", found {value}"));
        let text = format!("row {}{place}: {message}{found}", row.unwrap_or_default());
        let column = (!column.is_empty()).then_some(column);
        let made = INGEST.new_err(py, (text, row, column, value));
        made.set_cause(py, Some(err.clone_ref(py)));
        Ok(Some(made))
    };
    match first() {
        Ok(Some(made)) => made,
        Ok(None) => err,
        Err(other) => other,
    }
}
