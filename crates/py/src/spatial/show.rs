//! What a grid looks like to a person.

use pyo3::prelude::*;

use super::grid::TokenGrid;
use super::options::metric_name;
use super::state::State;
use crate::error::SNAPSHOT;

/// What is worth knowing of a grid, as pairs of a name and a text.
fn facts(state: &State, names: &[&str]) -> Vec<(&'static str, String)> {
    let grid = &state.grid;
    let memory = grid.memory();
    let bytes = memory.tokens + memory.index + memory.cells + memory.cache + state.columns_memory();
    let mut facts = vec![
        ("tokens", thousands(grid.len())),
        ("metric", metric_name(&grid.options().metric).to_owned()),
        ("cell size", format!("{}", grid.cell_size())),
        ("memory", thousands(bytes) + " bytes"),
    ];
    if let Some((lo, hi)) = grid.bounds() {
        let ranges: Vec<_> = (0..names.len())
            .map(|axis| format!("{} {:.4} to {:.4}", names[axis], lo[axis], hi[axis]))
            .collect();
        facts.push(("bounds", ranges.join(", ")));
    }
    facts
}

/// With a comma between thousands.
pub(super) fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

impl TokenGrid {
    /// A debugger shows a damaged grid as well.
    fn facts(&self, py: Python<'_>) -> PyResult<Vec<(&'static str, String)>> {
        let names: Vec<_> = self.names.iter().collect();
        match self.shared.read_detached(py, |state| facts(state, &names)) {
            Err(err) if err.get_type(py).is(SNAPSHOT.get(py)?) => {
                Ok(vec![("damaged", err.value(py).to_string())])
            }
            found => found,
        }
    }
}

#[pymethods]
impl TokenGrid {
    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let facts = self.facts(py)?;
        let facts: Vec<_> = facts.iter().map(|(name, text)| format!("{name}: {text}")).collect();
        Ok(format!("<ottava.TokenGrid {}>", facts.join("; ")))
    }

    fn _repr_html_(&self, py: Python<'_>) -> PyResult<String> {
        let facts = self.facts(py)?;
        let row = |(name, text): &(&str, String)| {
            let text = escaped(text);
            format!(
                "<tr><th style=\"text-align:left\">{name}</th><td style=\"text-align:left\">{text}</td></tr>"
            )
        };
        let rows: String = facts.iter().map(row).collect();
        Ok(format!("<table><caption>ottava.TokenGrid</caption>{rows}</table>"))
    }

    #[doc = include_str!(concat!(env!("OUT_DIR"), "/help/TokenGrid.plot"))]
    #[pyo3(signature = (axes=None, ax=None))]
    fn plot<'py>(
        slf: &Bound<'py, Self>,
        py: Python<'py>,
        axes: Option<&Bound<'py, PyAny>>,
        ax: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        py.import("ottava._plot")?.call_method1("plot", (slf, axes, ax))
    }
}
