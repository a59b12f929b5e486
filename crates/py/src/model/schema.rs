//! Schemas in Python's hands: those of models, and validation by a schema that has no class.

use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyString, PyType};

use ottava_core::schema::{Declaration, FieldDefault};
use ottava_validate::{
    CompileOptions, Issues, Stop, from_json_schema_with, to_json, to_json_schema,
};

use crate::gate;
use crate::schema::Schema;

use super::construct::{self, Options};
use super::issues::{IssueList, bad_schema};
use super::json::{self, Document};
use super::output::PyOutput;
use super::plan::{Plan, PythonPatterns, need_plan};
use super::session::Session;
use super::value::to_value;

/// Least text that is worth letting other threads go ahead.
const LARGE: usize = 1 << 16;

/// The schema of a complete model class.
#[pyfunction]
#[pyo3(signature = (class, /))]
pub(crate) fn schema_of(class: &Bound<'_, PyType>) -> PyResult<Schema> {
    let plan = need_plan(class)?;
    Ok(Schema::new(Arc::new(plan.get().schema.declaration().clone())))
}

/// The JSON Schema of a declaration, as a dictionary. With `by_name`, fields are called by their names.
pub(crate) fn json_schema<'py>(
    py: Python<'py>,
    declaration: &Declaration,
    by_name: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let mut declaration = declaration.clone();
    super::declare::as_written(&mut declaration, by_name);
    // Through text, because only there defaults and examples are what JSON has.
    let text = to_json(&to_json_schema(&declaration));
    json::validate(Plan::of_anything(py)?.bind(py), PyString::new(py, &text).as_any(), None, None)
}

impl Schema {
    /// The compiled schema. Validators and defaults that are code of a class are not part of a schema.
    fn compiled<'py>(&self, py: Python<'py>) -> PyResult<&Bound<'py, Plan>> {
        let made = self.plan.get_or_try_init(py, || {
            let mut declaration = self.declaration().as_ref().clone();
            super::declare::without_host(&mut declaration, &FieldDefault::Absent);
            let hosts = super::declare::with_dictionaries(py, &mut declaration)?;
            let name = declaration.name.clone();
            Py::new(py, Plan::compile(py, name, declaration, hosts)?)
        })?;
        Ok(made.bind(py))
    }
}

#[pymethods]
impl Schema {
    /// The schema that a JSON Schema (draft 2020-12) stands for; its assertions keep their meaning, and nothing converts.
    ///
    /// `schema` is a dictionary, a bool, or JSON text. `ValueError` with the JSON pointer of a keyword that is malformed or not
    /// supported: none is ignored, save those that assert nothing.
    #[staticmethod]
    fn from_json_schema(schema: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = schema.py();
        let parsed;
        let object = if schema.is_instance_of::<PyDict>() || schema.is_instance_of::<PyBool>() {
            schema
        } else {
            parsed = json::validate(Plan::of_anything(py)?.bind(py), schema, None, None)?;
            &parsed
        };
        let value = to_value(object)?.ok_or_else(|| {
            PyValueError::new_err(
                "a JSON Schema is made of dictionaries, lists, text, numbers and None, at most 100 inside of each other",
            )
        })?;
        let options =
            CompileOptions { pattern_engine: Some(&PythonPatterns), ..CompileOptions::default() };
        let declaration =
            from_json_schema_with(&value, &options).map_err(|error| bad_schema(&error))?;
        let made = Self::new(Arc::new(declaration));
        made.compiled(py)?;
        Ok(made)
    }

    /// The JSON Schema, draft 2020-12, as a dictionary: what a value must be to be read. `by_alias=False` calls fields by their
    /// names. Validators written in Python have no words in JSON Schema.
    #[pyo3(signature = (*, by_alias=true))]
    fn json_schema<'py>(&self, py: Python<'py>, by_alias: bool) -> PyResult<Bound<'py, PyAny>> {
        json_schema(py, self.declaration(), !by_alias)
    }

    /// Whether an object is valid.
    #[pyo3(signature = (obj, *, strict=None))]
    fn is_valid(&self, obj: Bound<'_, PyAny>, strict: Option<bool>) -> PyResult<bool> {
        let py = obj.py();
        let plan = self.compiled(py)?;
        match construct::validate(plan, obj.into(), Options { strict, ..Options::default() }) {
            Ok(_) => Ok(true),
            Err(error) if error.is_instance(py, crate::error::VALIDATION.get(py)?) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether JSON text is valid. Makes no object.
    fn is_valid_json(&self, py: Python<'_>, json_data: &Bound<'_, PyAny>) -> PyResult<bool> {
        let document = Document::of(json_data)?;
        let (schema, bytes) = (&self.compiled(py)?.get().schema, document.bytes());
        let valid = match bytes.len() {
            ..LARGE => schema.is_valid_json(bytes),
            _ => gate::detached_while(py, |go_on| {
                schema.watched(go_on).is_valid_json(bytes).unwrap_or(false)
            })?,
        };
        // Of a pattern that could not be looked for.
        match PyErr::take(py) {
            Some(raised) => Err(raised),
            None => Ok(valid),
        }
    }

    /// The valid, converted form of an object, with plain dictionaries for records. Raises `ValidationError`.
    #[pyo3(signature = (obj, *, strict=None))]
    fn validate<'py>(
        &self,
        obj: Bound<'py, PyAny>,
        strict: Option<bool>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = obj.py();
        let options = Options { strict, ..Options::default() };
        Ok(construct::validate(self.compiled(py)?, obj.into(), options)?.into_bound(py))
    }

    /// The value of JSON text, with plain dictionaries for records. Raises `ValidationError`.
    #[pyo3(signature = (json_data, *, strict=None))]
    fn validate_json<'py>(
        &self,
        json_data: &Bound<'py, PyAny>,
        strict: Option<bool>,
    ) -> PyResult<Bound<'py, PyAny>> {
        json::validate(self.compiled(json_data.py())?, json_data, strict, None)
    }

    /// What is wrong with JSON text, as `ValidationError.errors()` has it; empty if nothing is.
    ///
    /// Of more than 10,000 issues the first are in the list, and its `issues_dropped` says how many more there were.
    fn issues_json<'py>(&self, json_data: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = json_data.py();
        let plan = self.compiled(py)?;
        let document = Document::of(json_data)?;
        let session = Session::default();
        let mut output = PyOutput::new(plan, &session);
        let issues = match json::run(plan.get(), document.bytes(), &mut output, None) {
            (Ok(_), _) => Issues::new(1),
            (Err(Stop::Abort), _) => return Err(PyErr::fetch(py)),
            (Err(Stop::Invalid), issues) => issues,
        };
        let list = IssueList::new(issues, session, Some(json_data));
        crate::error::ISSUES.get(py)?.call1((list.errors(py)?, list.dropped()))
    }
}
