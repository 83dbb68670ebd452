//! The colours of pictures: [`brodmann::plot`].

use brodmann::pipeline::picture::{axes_of, title_of, unit_of};
use brodmann::plot::{
    Bound as End, ColorMap, Distance, MISSING, PlotError, Rgb, SpotShape, category_colors, color_limits,
    detect_shape, match_colors, tree,
};
use brodmann::stats::{Labels, domain_outlines};
use numpy::{PyReadonlyArray1, PyReadonlyArray2};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// A closed line.
type Ring = Vec<[f64; 2]>;

/// Colours of a map that are handed over: matplotlib's own number.
const STEPS: usize = 256;

/// Colours of `n` categories as `#rrggbb`: those given, where there are enough and all are of that form, else the
/// default ones.
#[pyfunction]
#[pyo3(name = "category_colors", signature = (n, given = None))]
fn category_colors_py(n: usize, given: Option<Vec<String>>) -> Vec<String> {
    category_colors(n, given.as_deref()).into_iter().map(Rgb::to_hex).collect()
}

/// Colours of predicted categories that match those of the truth by overlap; codes below 0 are missing.
#[pyfunction]
#[pyo3(name = "match_colors")]
fn match_colors_py(
    truth: PyReadonlyArray1<'_, i64>,
    prediction: PyReadonlyArray1<'_, i64>,
    truth_colors: Vec<String>,
    n_prediction: usize,
) -> PyResult<Vec<String>> {
    let codes = |codes: &PyReadonlyArray1<'_, i64>| -> Vec<Option<u32>> {
        codes.as_array().iter().map(|&c| u32::try_from(c).ok()).collect()
    };
    let read = |text: &String| {
        Rgb::from_hex(text)
            .ok_or_else(|| PyValueError::new_err(format!("a colour is {text:?}, #rrggbb was expected")))
    };
    let colors = truth_colors.iter().map(read).collect::<PyResult<Vec<Rgb>>>()?;
    let found = match_colors(&codes(&truth), &codes(&prediction), &colors, n_prediction);
    Ok(found.into_iter().map(Rgb::to_hex).collect())
}

/// The ends of the colours of numbers and the small print that says what they are; `None` without a finite number.
/// `low`, `high`: a number or a percentile ("p99") as text, where they are given.
#[pyfunction]
#[pyo3(name = "color_limits", signature = (values, low = None, high = None))]
fn color_limits_py(
    values: PyReadonlyArray1<'_, f64>,
    low: Option<&str>,
    high: Option<&str>,
) -> PyResult<Option<(f64, f64, String)>> {
    let refused = |error: PlotError| PyValueError::new_err(error.to_string());
    let end = |text: Option<&str>| text.map(str::parse::<End>).transpose().map_err(refused);
    let values: Vec<f64> = values.as_array().iter().copied().collect();
    let found = color_limits(&values, end(low)?, end(high)?);
    Ok(found.map(|found| (found.ends.0, found.ends.1, found.note)))
}

/// Which rows are alike: the order of the leaves, and merges from the lowest on (two nodes and their distance, the k-th being
/// node n + k); `None` for fewer than two rows or very many.
#[pyfunction]
fn dendrogram(values: PyReadonlyArray2<'_, f64>) -> Option<(Vec<usize>, Vec<(usize, usize, f64)>)> {
    let found = tree(values.as_array(), Distance::default())?;
    Some((found.order, found.merges.iter().map(|m| (m.left, m.right, m.height)).collect()))
}

/// The colours of a map, from low to high.
#[pyfunction]
fn color_map(name: &str) -> PyResult<Vec<String>> {
    let map: ColorMap = name.parse().map_err(|error: PlotError| PyValueError::new_err(error.to_string()))?;
    Ok((0..STEPS).map(|k| map.at(k as f64 / (STEPS - 1) as f64).to_hex()).collect())
}

/// The outlines of domains: code, rings of each (the outside of a piece, then its holes).
#[pyfunction]
#[pyo3(name = "domain_outlines")]
fn domain_outlines_py(
    coordinates: PyReadonlyArray2<'_, f64>,
    codes: PyReadonlyArray1<'_, i64>,
    n_groups: usize,
) -> PyResult<Vec<(u32, Vec<Ring>)>> {
    let codes: Vec<Option<u32>> = codes.as_array().iter().map(|&c| u32::try_from(c).ok()).collect();
    let found = domain_outlines(coordinates.as_array(), Labels { codes: &codes, n_groups }, None)
        .map_err(|error| PyValueError::new_err(error.to_string()))?;
    let pieces = found.into_iter().flat_map(|outline| {
        let label = outline.label;
        outline.polygons.into_iter().map(move |polygon| {
            (label, std::iter::once(polygon.outer).chain(polygon.holes).collect::<Vec<_>>())
        })
    });
    Ok(pieces.collect())
}

/// The shape of spots: `hexagon`, `square` or `circle`, the pitch, side or diameter, and an angle in radians.
#[pyfunction]
fn spot_shape(coordinates: PyReadonlyArray2<'_, f64>) -> (&'static str, f64, f64) {
    match detect_shape(coordinates.as_array()) {
        SpotShape::Hexagon { pitch, angle } => ("hexagon", pitch, angle),
        SpotShape::Square { side, angle } => ("square", side, angle),
        SpotShape::Circle { diameter } => ("circle", diameter, 0.0),
        SpotShape::Auto => ("circle", 1.0, 0.0),
    }
}

/// A column of `obs` in words, as the title of its picture.
#[pyfunction]
#[pyo3(name = "title_of")]
fn title_of_py(key: &str) -> String {
    title_of(key)
}

/// What the numbers of a column of `obs` are counted in; empty where that is not known.
#[pyfunction]
#[pyo3(name = "unit_of")]
fn unit_of_py(key: &str) -> &'static str {
    unit_of(key)
}

/// Names of the two axes of an embedding, and whether numbers along them mean something.
#[pyfunction]
#[pyo3(name = "axes_of")]
fn axes_of_py(key: &str, components: [usize; 2]) -> ([String; 2], bool) {
    axes_of(key, components)
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("MISSING_COLOR", MISSING.to_hex())?;
    module.add_function(wrap_pyfunction!(category_colors_py, module)?)?;
    module.add_function(wrap_pyfunction!(match_colors_py, module)?)?;
    module.add_function(wrap_pyfunction!(color_limits_py, module)?)?;
    module.add_function(wrap_pyfunction!(dendrogram, module)?)?;
    module.add_function(wrap_pyfunction!(color_map, module)?)?;
    module.add_function(wrap_pyfunction!(domain_outlines_py, module)?)?;
    module.add_function(wrap_pyfunction!(spot_shape, module)?)?;
    module.add_function(wrap_pyfunction!(title_of_py, module)?)?;
    module.add_function(wrap_pyfunction!(unit_of_py, module)?)?;
    module.add_function(wrap_pyfunction!(axes_of_py, module)?)?;
    Ok(())
}
