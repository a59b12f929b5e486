//! Lets `cfg(Py_3_12)` and its like be used in this crate.

fn main() {
    pyo3_build_config::use_pyo3_cfgs();
}
