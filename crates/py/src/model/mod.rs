//! Models: Python classes whose instances the validation engine fills through their slots.
//!
//! - `layout`: the metaclass, and where the fields of an instance are
//! - `instance`: making, freeing, reading and filling instances; `spare`: their memory, kept for the next ones; `slots`: reading those of any class
//! - `construct`: the constructor and validation of objects; `json`: of JSON text
//! - `fast`: what fits as it is, without a run of the engine, by a `fast_plan`: objects, and in `fast_json` JSON text; `rest`: what it leaves to the engine; `ints`: read where they are;
//!   `strings`: short text, made once
//! - `declare`: Python's description of a class to a declaration; `plan`: compiled, with its `hosts`
//! - `batch`: many rows; `ndjson`: many lines; `state`: what an instance holds, for copies, pickles and assignment
//! - `methods`: what instances can do natively; `dump`: instances to plain data
//! - `table`: NDJSON to Arrow columns; `source`: where the bytes of both come from
//! - `input`, `output`: both ends of the engine over Python objects; `results`: those that were validated before; `hooks`: validators written in Python
//! - `schema`: schemas without a class
//! - `issues`: what is wrong, as an exception; `session`: the objects that it speaks of

mod batch;
mod construct;
mod declare;
mod descriptor;
mod dump;
mod fast;
mod fast_json;
mod fast_plan;
mod hooks;
mod hosts;
mod input;
mod instance;
mod ints;
mod issues;
mod json;
mod kinds;
mod layout;
mod make;
mod methods;
mod names;
mod ndjson;
mod object;
mod output;
mod plan;
mod rest;
mod results;
mod schema;
mod session;
mod slots;
mod source;
mod spare;
mod state;
mod strings;
mod table;
mod value;

pub(crate) use batch::instances;
pub(crate) use declare::without_host;
pub(crate) use issues::of_exception as issues_of;
pub(crate) use layout::is_model_class;
pub(crate) use ndjson::validate_ndjson;
pub(crate) use plan::{Plan, need_plan, plan_of};
pub(crate) use slots::Slots;

use pyo3::prelude::*;

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    make::import_datetime(module.py())?;
    module.add("ModelMeta", layout::meta(module.py())?)?;
    module.add("ModelBase", construct::base(module.py())?)?;
    module.add_class::<plan::Plan>()?;
    module.add_class::<issues::IssueList>()?;
    module.add_function(wrap_pyfunction!(layout::lay_out, module)?)?;
    module.add_function(wrap_pyfunction!(plan::complete, module)?)?;
    module.add_function(wrap_pyfunction!(plan::plan_of, module)?)?;
    module.add_function(wrap_pyfunction!(construct::model_validate, module)?)?;
    module.add_function(wrap_pyfunction!(construct::model_validate_json, module)?)?;
    module.add_class::<batch::BatchResult>()?;
    module.add_class::<table::ArrowResult>()?;
    module.add_function(wrap_pyfunction!(table::to_arrow, module)?)?;
    module.add_function(wrap_pyfunction!(batch::model_validate_batch, module)?)?;
    module.add_function(wrap_pyfunction!(schema::schema_of, module)?)?;
    module.add_function(wrap_pyfunction!(ndjson::validate_ndjson, module)?)?;
    module.add_function(wrap_pyfunction!(state::fields_set, module)?)?;
    module.add_function(wrap_pyfunction!(state::get_state, module)?)?;
    module.add_function(wrap_pyfunction!(state::set_state, module)?)?;
    module.add_function(wrap_pyfunction!(state::same, module)?)?;
    module.add_function(wrap_pyfunction!(state::assign, module)?)?;
    module.add_function(wrap_pyfunction!(state::frozen_error, module)?)?;
    module.add_function(wrap_pyfunction!(state::construct, module)?)?;
    Ok(())
}
