//! From raw counts to features: [`brodmann::preprocess`].

use brodmann::pipeline::qc::{GENE_NAMES, METRICS, local_outliers_of};
use brodmann::preprocess::{
    HvgFlavor, HvgOptions, HvgSelection, LsiOptions, NormalizeTotalOptions, PcaOptions, PreprocessError,
    ScaleOptions, Scaling, SizeFactors, check_amounts, check_finite, check_non_negative, column_moments,
    log1p_to_base, normalize_total_excluding, spot_and_gene_metrics, to_natural,
};
use brodmann::stats::LocalOutlierOptions;
use brodmann_kernels::{CsrMatrix, CsrView, Real, Seed};
use numpy::{IntoPyArray, PyArray1, PyArray2, PyReadonlyArray1};
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::arrays::{Codes, Csr, CsrArrays, Dense, Value, Vector, csr_arrays};
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

/// Counts or values in the precision they come in: float64 as it is, anything else as float32.
enum Amounts<'py> {
    F32(Csr<'py, f32>),
    F64(Csr<'py, f64>),
}

impl<'py> FromPyObject<'_, 'py> for Amounts<'py> {
    type Error = PyErr;
    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let kind: Option<String> = object.getattr("dtype").and_then(|d| d.getattr("name")?.extract()).ok();
        if kind.as_deref() == Some("float64") {
            return Ok(Self::F64(object.extract()?));
        }
        Ok(Self::F32(object.extract()?))
    }
}

/// Arrays of either precision.
fn either<'py, T: Value>(py: Python<'py>, matrix: CsrMatrix<T>) -> PyResult<Bound<'py, PyAny>> {
    csr_arrays(py, matrix).into_bound_py_any(py)
}

/// The non-zero entries of a dense matrix, as CSR arrays of float32; with `wide`, of float64.
#[pyfunction]
#[pyo3(signature = (x, *, wide = false))]
fn dense_to_csr<'py>(py: Python<'py>, x: Bound<'py, PyAny>, wide: bool) -> PyResult<Bound<'py, PyAny>> {
    if wide {
        let x: Dense<'py, f64> = x.extract()?;
        let view = x.view();
        return either(py, run_infallible(py, || CsrMatrix::from_dense(view))?);
    }
    let x: Dense<'py, f32> = x.extract()?;
    let view = x.view();
    either(py, run_infallible(py, || CsrMatrix::from_dense(view))?)
}

/// `(arrays, divisors, n_empty)`: rows brought to one total; with `max_fraction`, genes above it do not count.
#[pyfunction]
#[pyo3(signature = (x, *, target_sum, max_fraction))]
fn normalize_total<'py>(
    py: Python<'py>,
    x: Amounts<'py>,
    target_sum: Option<f64>,
    max_fraction: Option<f64>,
) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyArray1<f64>>, usize)> {
    fn normalized<T: Real>(
        x: CsrView<'_, T>,
        target_sum: Option<f64>,
        max_fraction: Option<f64>,
    ) -> Result<(CsrMatrix<T>, SizeFactors), PreprocessError> {
        check_amounts(x)?;
        let mut made = x.to_owned();
        let options = NormalizeTotalOptions { target_sum };
        let factors = match max_fraction {
            None => brodmann::preprocess::normalize_total(&mut made, &options)?,
            Some(share) => normalize_total_excluding(&mut made, share, &options)?,
        };
        Ok((made, factors))
    }
    let (made, factors) = match &x {
        Amounts::F32(x) => {
            let x = x.view(py)?;
            let (made, factors) = run(py, |_| normalized(x, target_sum, max_fraction))?;
            (either(py, made)?, factors)
        }
        Amounts::F64(x) => {
            let x = x.view(py)?;
            let (made, factors) = run(py, |_| normalized(x, target_sum, max_fraction))?;
            (either(py, made)?, factors)
        }
    };
    Ok((made, factors.divisors().into_pyarray(py), factors.n_empty()))
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

/// Refuses what is not finite, and values below 0.
#[pyfunction(name = "check_amounts")]
fn check_amounts_of(py: Python<'_>, x: Csr<'_, f64>) -> PyResult<()> {
    let x = x.view(py)?;
    run(py, |_| check_amounts(x))
}

/// `ln(1 + x)`, or the logarithm to `base`.
#[pyfunction]
#[pyo3(signature = (x, *, base = None))]
fn log1p<'py>(py: Python<'py>, x: Amounts<'py>, base: Option<f64>) -> PyResult<Bound<'py, PyAny>> {
    fn logarithms<T: Real>(x: CsrView<'_, T>, base: Option<f64>) -> Result<CsrMatrix<T>, PreprocessError> {
        check_amounts(x)?;
        let mut made = x.to_owned();
        match base {
            None => brodmann::preprocess::log1p(&mut made),
            Some(base) => log1p_to_base(&mut made, base)?,
        }
        Ok(made)
    }
    match &x {
        Amounts::F32(x) => {
            let x = x.view(py)?;
            either(py, run(py, |_| logarithms(x, base))?)
        }
        Amounts::F64(x) => {
            let x = x.view(py)?;
            either(py, run(py, |_| logarithms(x, base))?)
        }
    }
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

/// `(mean, standard deviation)` of each column, ddof 1; 1 for a constant column, which is not scaled.
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
    let sd: Vec<f64> = moments.variance.iter().map(|v| if *v == 0.0 { 1.0 } else { v.sqrt() }).collect();
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
        sd: sd.view().to_vec(),
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

/// Highly variable genes, as a dictionary of columns. `log_base`: of the logarithms in `x`, where not natural.
#[pyfunction]
#[pyo3(signature = (x, *, slices, log_base, flavor, n_top_genes, min_mean, max_mean, min_disp, max_disp, n_bins, span))]
fn highly_variable_genes<'py>(
    py: Python<'py>,
    x: Csr<'py, f32>,
    slices: Option<Codes<'py>>,
    log_base: Option<f64>,
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
    let slices = slices.as_ref().map(Codes::slices).transpose()?;
    let table = run(py, |monitor| {
        let natural = log_base
            .map(|base| {
                let mut natural = x.to_owned();
                to_natural(&mut natural, base)?;
                Ok::<_, PreprocessError>(natural)
            })
            .transpose()?;
        let x = natural.as_ref().map_or(x, CsrMatrix::view);
        brodmann::preprocess::highly_variable_genes(x, slices.as_ref(), &options, monitor)
    })?;
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

/// Which names are those of mitochondrial genes, by what they begin with.
#[pyfunction]
#[pyo3(signature = (names, *, prefix))]
fn mitochondrial<'py>(
    py: Python<'py>,
    names: Vec<String>,
    prefix: Option<&str>,
) -> Bound<'py, PyArray1<bool>> {
    brodmann::preprocess::mitochondrial(&names, prefix).into_pyarray(py)
}

/// The quality of spots and genes, as a dictionary; with coordinates, of spots beside their neighbours too.
#[pyfunction]
#[pyo3(signature = (x, *, mito, coordinates, slices, in_tissue, n_neighbors, threshold))]
fn qc<'py>(
    py: Python<'py>,
    x: Csr<'py, f32>,
    mito: PyReadonlyArray1<'py, bool>,
    coordinates: Option<Dense<'py, f64>>,
    slices: Option<Codes<'py>>,
    in_tissue: Mask<'py>,
    n_neighbors: usize,
    threshold: f64,
) -> PyResult<Bound<'py, PyDict>> {
    let options = LocalOutlierOptions { n_neighbors, threshold };
    options.validate().map_err(crate::errors::Raise::raise)?;
    let x = x.view(py)?;
    let mito = mito.as_array().to_vec();
    let slices = slices.as_ref().map(Codes::slices).transpose()?;
    let there = flags(&in_tissue)?;
    let coordinates = coordinates.as_ref().map(Dense::view);
    let (spots, genes) = run(py, |monitor| spot_and_gene_metrics(&x, &mito, monitor))?;
    let local = coordinates
        .map(|c| run(py, |_| local_outliers_of(&spots, c, slices.as_ref(), there.as_deref(), &options)))
        .transpose()?;
    let (result, z_scores) = (PyDict::new(py), PyDict::new(py));
    if let Some(local) = local {
        result.set_item("local_outlier", local.any().into_pyarray(py))?;
        for (metric, z) in METRICS.into_iter().zip(local.z_scores) {
            z_scores.set_item(metric, z.into_pyarray(py))?;
        }
        let notes: Vec<_> = local.notes.into_iter().map(|note| (note.slice, note.text)).collect();
        result.set_item("notes", notes)?;
    }
    let whole_numbers = |values: Vec<u32>| values.into_iter().map(i64::from).collect::<Vec<i64>>();
    result.set_item("z_scores", z_scores)?;
    result.set_item("whole", spots.whole)?;
    result.set_item("total_counts", spots.total.into_pyarray(py))?;
    result.set_item("n_genes_by_counts", whole_numbers(spots.n_genes).into_pyarray(py))?;
    result.set_item("pct_counts_mt", spots.pct_mt.map(|pct| pct.into_pyarray(py)))?;
    result.set_item("n_cells_by_counts", whole_numbers(genes.n_cells).into_pyarray(py))?;
    result.set_item("total_counts_of_genes", genes.total.into_pyarray(py))?;
    Ok(result)
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(dense_to_csr, module)?)?;
    module.add_function(wrap_pyfunction!(normalize_total, module)?)?;
    module.add_function(wrap_pyfunction!(log1p, module)?)?;
    module.add_function(wrap_pyfunction!(check_amounts_of, module)?)?;
    module.add_function(wrap_pyfunction!(clr, module)?)?;
    module.add_function(wrap_pyfunction!(column_mean_sd, module)?)?;
    module.add_function(wrap_pyfunction!(scale_to_dense, module)?)?;
    module.add_function(wrap_pyfunction!(scale_sparse, module)?)?;
    module.add_function(wrap_pyfunction!(highly_variable_genes, module)?)?;
    module.add_function(wrap_pyfunction!(pca, module)?)?;
    module.add_function(wrap_pyfunction!(tfidf_lsi, module)?)?;
    module.add_function(wrap_pyfunction!(mitochondrial, module)?)?;
    module.add_function(wrap_pyfunction!(qc, module)?)?;
    module.add("GENE_NAMES", GENE_NAMES)?;
    Ok(())
}
