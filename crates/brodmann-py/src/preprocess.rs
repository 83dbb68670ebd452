//! From raw counts to features: [`brodmann::preprocess`].

use brodmann::preprocess::{
    HvgFlavor, HvgOptions, HvgSelection, LsiOptions, NormalizeTotalOptions, PcaOptions, PreprocessError,
    ScaleOptions, Scaling, check_finite, check_non_negative, column_moments, row_totals, size_factors,
};
use brodmann_kernels::{CsrMatrix, CsrView, Seed};
use numpy::{IntoPyArray, PyArray1, PyArray2, PyReadonlyArray1};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::arrays::{Codes, Csr, CsrArrays, Dense, Vector, csr_arrays};
use crate::monitor::{run, run_infallible};

/// `(n_vars,)` flags.
type Mask<'py> = Option<PyReadonlyArray1<'py, bool>>;

fn flags(mask: &Mask<'_>) -> PyResult<Option<Vec<bool>>> {
    mask.as_ref().map(|m| Ok(m.as_array().to_vec())).transpose()
}

fn check_mask(x: CsrView<'_, f32>, keep: Option<&[bool]>) -> Result<(), PreprocessError> {
    match keep {
        Some(keep) if keep.len() != x.n_cols() => Err(PreprocessError::ShapeMismatch {
            what: "the mask",
            found: keep.len(),
            expected: x.n_cols(),
            per: "variable",
        }),
        _ => Ok(()),
    }
}

/// The non-zero entries of a dense matrix, as CSR arrays of float32.
#[pyfunction]
fn dense_to_csr<'py>(py: Python<'py>, x: Dense<'py, f32>) -> PyResult<CsrArrays<'py, f32>> {
    let view = x.view();
    let found = run_infallible(py, || CsrMatrix::from_dense(view))?;
    Ok(csr_arrays(py, found))
}

/// The sum of each row, over the columns of `mask`; refuses NaN and infinities, and values below 0.
#[pyfunction]
#[pyo3(signature = (x, *, mask = None))]
fn row_sums<'py>(py: Python<'py>, x: Csr<'py, f32>, mask: Mask<'py>) -> PyResult<Bound<'py, PyArray1<f64>>> {
    let x = x.view(py)?;
    let keep = flags(&mask)?;
    let totals = run(py, |_| {
        check_mask(x, keep.as_deref())?;
        check_non_negative(x)?;
        Ok::<_, PreprocessError>(row_totals(x, keep.as_deref()))
    })?;
    Ok(totals.into_pyarray(py))
}

/// `(target_sum, factors)`: what each spot is multiplied by.
#[pyfunction]
#[pyo3(name = "size_factors", signature = (totals, *, target_sum))]
fn size_factors_py<'py>(
    py: Python<'py>,
    totals: Vector<'py, f64>,
    target_sum: Option<f64>,
) -> PyResult<(f64, Bound<'py, PyArray1<f64>>)> {
    let totals = totals.view().to_vec();
    let found = run(py, |_| size_factors(totals, &NormalizeTotalOptions { target_sum }))?;
    Ok((found.target_sum, found.factors.into_pyarray(py)))
}

/// The values of `x` after `f` has changed them; the pattern stays the caller's.
fn changed_values<'py>(
    py: Python<'py>,
    x: CsrView<'_, f32>,
    change: impl FnOnce(&mut CsrMatrix<f32>) -> Result<(), PreprocessError> + Send,
) -> PyResult<CsrArrays<'py, f32>> {
    let made = run(py, |_| {
        let mut owned = x.to_owned();
        change(&mut owned)?;
        Ok::<_, PreprocessError>(owned)
    })?;
    Ok(csr_arrays(py, made))
}

/// Each row times its factor.
#[pyfunction]
fn scale_rows<'py>(
    py: Python<'py>,
    x: Csr<'py, f32>,
    factors: Vector<'py, f64>,
) -> PyResult<CsrArrays<'py, f32>> {
    let (x, factors) = (x.view(py)?, factors.view().to_vec());
    changed_values(py, x, |m| {
        if factors.len() != m.n_rows() {
            return Err(PreprocessError::ShapeMismatch {
                what: "the list of factors",
                found: factors.len(),
                expected: m.n_rows(),
                per: "spot",
            });
        }
        m.for_each_row_mut(|i, _, values| {
            for v in values {
                *v = (f64::from(*v) * factors[i]) as f32;
            }
        });
        Ok(())
    })
}

/// `ln(1 + x)`.
#[pyfunction]
fn log1p<'py>(py: Python<'py>, x: Csr<'py, f32>) -> PyResult<CsrArrays<'py, f32>> {
    changed_values(py, x.view(py)?, |m| {
        brodmann::preprocess::log1p(m);
        Ok(())
    })
}

/// Centred log-ratio of each row.
#[pyfunction]
fn clr<'py>(py: Python<'py>, x: Csr<'py, f32>) -> PyResult<CsrArrays<'py, f32>> {
    changed_values(py, x.view(py)?, |m| {
        check_non_negative(m.view())?;
        brodmann::preprocess::clr(m);
        Ok(())
    })
}

/// `(mean, standard deviation)` of each column, ddof 1.
#[pyfunction]
fn column_mean_sd<'py>(
    py: Python<'py>,
    x: Csr<'py, f32>,
) -> PyResult<(Bound<'py, PyArray1<f64>>, Bound<'py, PyArray1<f64>>)> {
    let x = x.view(py)?;
    let moments = run(py, |_| {
        check_finite(x)?;
        Ok::<_, PreprocessError>(column_moments(x))
    })?;
    let sd: Vec<f64> = moments.variance.iter().map(|v| v.sqrt()).collect();
    Ok((moments.mean.into_pyarray(py), sd.into_pyarray(py)))
}

fn scaling(
    mean: &Vector<'_, f64>,
    sd: &Vector<'_, f64>,
    zero_center: bool,
    max_value: Option<f64>,
) -> Scaling {
    Scaling {
        mean: mean.view().to_vec(),
        // A constant column is not scaled.
        sd: sd.view().iter().map(|&s| if s == 0.0 { 1.0 } else { s }).collect(),
        options: ScaleOptions { zero_center, max_value },
    }
}

/// The scaled matrix, written out.
#[pyfunction]
#[pyo3(signature = (x, mean, sd, *, max_value))]
fn scale_to_dense<'py>(
    py: Python<'py>,
    x: Csr<'py, f32>,
    mean: Vector<'py, f64>,
    sd: Vector<'py, f64>,
    max_value: Option<f64>,
) -> PyResult<Bound<'py, PyArray2<f32>>> {
    let x = x.view(py)?;
    let scaling = scaling(&mean, &sd, true, max_value);
    let dense = run(py, |_| {
        check_scaling(x, &scaling)?;
        Ok::<_, PreprocessError>(scaling.to_dense(x))
    })?;
    Ok(dense.into_pyarray(py))
}

/// The matrix divided by the standard deviations, zeros staying zeros.
#[pyfunction]
#[pyo3(signature = (x, mean, sd, *, max_value))]
fn scale_sparse<'py>(
    py: Python<'py>,
    x: Csr<'py, f32>,
    mean: Vector<'py, f64>,
    sd: Vector<'py, f64>,
    max_value: Option<f64>,
) -> PyResult<CsrArrays<'py, f32>> {
    let scaling = scaling(&mean, &sd, false, max_value);
    changed_values(py, x.view(py)?, |m| scaling.apply(m))
}

fn check_scaling(x: CsrView<'_, f32>, scaling: &Scaling) -> Result<(), PreprocessError> {
    check_finite(x)?;
    if scaling.mean.len() == x.n_cols() && scaling.sd.len() == x.n_cols() {
        return Ok(());
    }
    Err(PreprocessError::ShapeMismatch {
        what: "the scaling",
        found: scaling.mean.len().min(scaling.sd.len()),
        expected: x.n_cols(),
        per: "variable",
    })
}

/// Highly variable genes, as a dictionary of columns.
#[pyfunction]
#[pyo3(signature = (x, *, slices, flavor, n_top_genes, min_mean, max_mean, min_disp, max_disp, n_bins, span))]
fn highly_variable_genes<'py>(
    py: Python<'py>,
    x: Csr<'py, f32>,
    slices: Option<Codes<'py>>,
    flavor: &str,
    n_top_genes: Option<usize>,
    min_mean: f64,
    max_mean: f64,
    min_disp: f64,
    max_disp: f64,
    n_bins: usize,
    span: f64,
) -> PyResult<Bound<'py, PyDict>> {
    let options = HvgOptions {
        flavor: flavor.parse::<HvgFlavor>().map_err(crate::errors::Raise::raise)?,
        selection: match n_top_genes {
            Some(n) => HvgSelection::Top(n),
            None => HvgSelection::Cutoff { min_mean, max_mean, min_disp, max_disp },
        },
        n_bins,
        span,
    };
    let x = x.view(py)?;
    let slices = slices.as_ref().map(Codes::slice).transpose()?;
    let table = run(py, |monitor| brodmann::preprocess::highly_variable_genes(x, slices, &options, monitor))?;
    let columns = PyDict::new(py);
    columns.set_item("highly_variable", table.highly_variable.into_pyarray(py))?;
    columns.set_item("means", table.means.into_pyarray(py))?;
    columns.set_item("dispersions", table.dispersions.into_pyarray(py))?;
    columns.set_item("normalized", table.normalized.into_pyarray(py))?;
    columns.set_item("rank", table.rank.map(|r| r.into_pyarray(py)))?;
    columns.set_item("n_slices", table.n_slices.into_pyarray(py))?;
    Ok(columns)
}

/// Principal components of the columns in `mask`, as a dictionary.
///
/// With `scale`, of the matrix scaled to unit variance and clipped at `max_value`, which is never written out.
#[pyfunction]
#[pyo3(signature = (x, *, mask, n_components, scale, max_value, random_state))]
fn pca<'py>(
    py: Python<'py>,
    x: Csr<'py, f32>,
    mask: Mask<'py>,
    n_components: usize,
    scale: bool,
    max_value: Option<f64>,
    random_state: u64,
) -> PyResult<Bound<'py, PyDict>> {
    let x = x.view(py)?;
    let keep = flags(&mask)?;
    let found = run(py, |monitor| {
        check_mask(x, keep.as_deref())?;
        let selected = keep.as_ref().map(|keep| x.select_columns(keep));
        let x = selected.as_ref().map_or(x, CsrMatrix::view);
        // Checked before it is measured: NaN moments would hide where the NaN is.
        check_finite(x)?;
        let options = ScaleOptions { zero_center: true, max_value };
        let scaling = scale.then(|| brodmann::preprocess::scale(x, &options)).transpose()?;
        brodmann::preprocess::pca(
            x,
            scaling.as_ref(),
            &PcaOptions { n_components },
            Seed(random_state),
            monitor,
        )
    })?;
    let result = PyDict::new(py);
    result.set_item("scores", found.scores.into_pyarray(py))?;
    result.set_item("components", found.components.into_pyarray(py))?;
    result.set_item("variance", found.variance.into_pyarray(py))?;
    result.set_item("variance_ratio", found.variance_ratio.into_pyarray(py))?;
    result.set_item("converged", found.converged)?;
    Ok(result)
}

/// TF-IDF and latent semantic indexing, as a dictionary.
#[pyfunction]
#[pyo3(signature = (x, *, n_components, min_fraction, scale_factor, random_state))]
fn tfidf_lsi<'py>(
    py: Python<'py>,
    x: Csr<'py, f32>,
    n_components: usize,
    min_fraction: f64,
    scale_factor: f64,
    random_state: u64,
) -> PyResult<Bound<'py, PyDict>> {
    let x = x.view(py)?;
    let options = LsiOptions { n_components, min_fraction, scale_factor };
    let found = run(py, |monitor| brodmann::preprocess::tfidf_lsi(x, &options, Seed(random_state), monitor))?;
    let result = PyDict::new(py);
    result.set_item("scores", found.scores.into_pyarray(py))?;
    result.set_item("embedding", found.embedding.into_pyarray(py))?;
    result.set_item("components", found.components.into_pyarray(py))?;
    result.set_item("singular_values", found.singular_values.into_pyarray(py))?;
    result.set_item("keep", found.keep.into_pyarray(py))?;
    result.set_item("converged", found.converged)?;
    Ok(result)
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(dense_to_csr, module)?)?;
    module.add_function(wrap_pyfunction!(row_sums, module)?)?;
    module.add_function(wrap_pyfunction!(size_factors_py, module)?)?;
    module.add_function(wrap_pyfunction!(scale_rows, module)?)?;
    module.add_function(wrap_pyfunction!(log1p, module)?)?;
    module.add_function(wrap_pyfunction!(clr, module)?)?;
    module.add_function(wrap_pyfunction!(column_mean_sd, module)?)?;
    module.add_function(wrap_pyfunction!(scale_to_dense, module)?)?;
    module.add_function(wrap_pyfunction!(scale_sparse, module)?)?;
    module.add_function(wrap_pyfunction!(highly_variable_genes, module)?)?;
    module.add_function(wrap_pyfunction!(pca, module)?)?;
    module.add_function(wrap_pyfunction!(tfidf_lsi, module)?)?;
    Ok(())
}
