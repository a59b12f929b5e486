//! The token grid and the distance kernels.

mod carried;
mod choices;
mod columns;
mod fields;
mod grid;
mod kernels;
mod line;
mod options;
mod query;
mod raise;
mod replies;
mod results;
mod show;
mod snapshot;
mod state;

use pyo3::prelude::*;

/// Adds the grid and the distance functions to the module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<grid::TokenGrid>()?;
    module.add_class::<choices::Filter>()?;
    kernels::register(module)
}
