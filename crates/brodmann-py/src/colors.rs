//! The colours of pictures: [`brodmann::plot`].

use brodmann::plot::{MISSING, Rgb, category_colors};
use pyo3::prelude::*;

/// Colours of `n` categories as `#rrggbb`: those given, where there are enough and all are of that form, else the
/// default ones.
#[pyfunction]
#[pyo3(name = "category_colors", signature = (n, given = None))]
fn category_colors_py(n: usize, given: Option<Vec<String>>) -> Vec<String> {
    category_colors(n, given.as_deref()).into_iter().map(Rgb::to_hex).collect()
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("MISSING_COLOR", MISSING.to_hex())?;
    module.add_function(wrap_pyfunction!(category_colors_py, module)?)?;
    Ok(())
}
