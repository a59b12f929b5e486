//! The one interpreter of a process that the module works in.

#![allow(unsafe_code)]

use pyo3::exceptions::PyImportError;
use pyo3::ffi;
use pyo3::prelude::*;

/// Refuses a subinterpreter: to release the lock and take it again there would wait for the main one, for ever.
pub(crate) fn need_main(_py: Python<'_>) -> PyResult<()> {
    // SAFETY: the interpreter is attached; its state outlives the call.
    let number = unsafe { ffi::PyInterpreterState_GetID(ffi::PyInterpreterState_Get()) };
    if number == 0 {
        return Ok(());
    }
    Err(PyImportError::new_err("ottava._native does not work in subinterpreters"))
}
