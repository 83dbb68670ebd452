//! Latent semantic indexing of chromatin peaks: words in documents, peaks in spots.

use brodmann_kernels::{CsrMatrix, CsrView, Monitor, OptionError, Seed, Slices};
use ndarray::{Array2, Axis, Slice};
use serde::{Deserialize, Serialize};

use super::column_stats::fold_columns;
use super::detect::check_non_negative;
use super::error::PreprocessError;
use super::pca::fix_signs;
use super::svd::{Implicit, Svd, truncated_svd};

/// Options of [`tfidf_lsi()`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LsiOptions {
    /// Dimensions of the result. One more is computed and the first, which follows the depth, dropped.
    pub n_components: usize,
    /// Share of spots in which a peak must be open.
    pub min_fraction: f64,
    /// What normalised rows are multiplied by before the logarithm.
    pub scale_factor: f64,
}

impl Default for LsiOptions {
    fn default() -> Self {
        Self { n_components: 50, min_fraction: 0.005, scale_factor: 1e4 }
    }
}

/// Latent semantic indexing.
#[derive(Clone, Debug, PartialEq)]
pub struct Lsi {
    /// `(n_obs, k)`: left singular vectors, rows standardised, first component dropped: what a network takes, in
    /// which every component weighs the same.
    pub embedding: Array2<f64>,
    /// `(n_obs, k)`: left singular vectors times singular values, first component dropped (`obsm["X_lsi"]`): what
    /// distances are measured in, since there a component weighs what it explains.
    pub scores: Array2<f64>,
    /// `(peaks kept, k)`: loadings of the components that remain.
    pub components: Array2<f64>,
    /// Loadings of the component that was dropped, one per peak kept; empty where there is none.
    pub first_component: Vec<f64>,
    /// `n_obs / (spots with the peak open)` of each peak kept.
    pub idf: Vec<f64>,
    /// Singular values, the dropped first included.
    pub singular_values: Vec<f64>,
    /// Peaks kept.
    pub keep: Vec<bool>,
    /// Dimensions asked for.
    pub n_requested: usize,
    /// Whether the residuals reached the tolerance.
    pub converged: bool,
}

/// Term frequency times inverse document frequency of the binarised matrix.
///
/// `tf_ij = 1 / (open peaks in spot i)`, `idf_j = n_obs / (spots with peak j open)`. Only zeros stay zero.
///
/// # Inputs
/// `x`: `(n_obs, n_peaks)` of 0 or more; every value above 0 counts as open.
/// # Returns
/// The same pattern without stored zeros.
/// # Cost
/// Two passes.
/// # Source
/// SpaMI (Gao et al. 2025); Cusanovich et al. 2015.
///
/// # Example
///
/// ```
/// use brodmann::preprocess::tfidf;
/// use brodmann_kernels::CsrMatrix;
/// use ndarray::array;
///
/// // Both spots have peak 0 open (idf 2 / 2), only the second has peak 1 (idf 2 / 1).
/// let peaks = CsrMatrix::from_dense(array![[3.0f32, 0.0], [1.0, 1.0]].view());
/// assert_eq!(tfidf(peaks.view()).view().to_dense(), array![[1.0, 0.0], [0.5, 1.0]]);
/// ```
pub fn tfidf(x: CsrView<'_, f32>) -> CsrMatrix<f32> {
    let n = x.n_rows();
    let idf = inverse_frequency(x);
    let rows: Vec<Vec<(u32, f32)>> = (0..n)
        .map(|i| {
            let open: Vec<u32> = open_peaks(x, i).collect();
            let tf = 1.0 / open.len().max(1) as f64;
            open.into_iter().map(|j| (j, (tf * idf[j as usize]) as f32)).collect()
        })
        .collect();
    CsrMatrix::from_rows(x.n_cols(), &rows)
}

fn open_peaks(x: CsrView<'_, f32>, i: usize) -> impl Iterator<Item = u32> {
    let (columns, values) = x.row(i);
    columns.iter().zip(values).filter(|(_, v)| **v > 0.0).map(|(&j, _)| j)
}

/// `n_obs / (spots with the peak open)`; 0 for peaks never open.
fn inverse_frequency(x: CsrView<'_, f32>) -> Vec<f64> {
    fold_columns(x, |_, _, v| [if v > 0.0 { 1.0 } else { 0.0 }])
        .into_iter()
        .map(|[open]| if open > 0.0 { x.n_rows() as f64 / open } else { 0.0 })
        .collect()
}

/// What the decomposition sees: `log1p(scale_factor · tfidf / Σ_j tfidf)`.
///
/// The term frequency is constant within a row and so cancels in the normalisation: the row is
/// `idf_j / Σ idf` over its open peaks.
///
/// # Inputs
/// As [`tfidf`]. `scale_factor`: positive.
/// # Returns
/// `(n_obs, n_peaks)`; empty rows stay empty.
/// # Cost
/// Two passes and one copy.
pub fn log_tfidf(x: CsrView<'_, f32>, scale_factor: f64) -> CsrMatrix<f32> {
    log_tfidf_by(x, &inverse_frequency(x), scale_factor)
}

/// [`log_tfidf`] with the inverse document frequency of other spots: how a saved model sees a new slice.
///
/// # Inputs
/// As [`log_tfidf`]. `idf`: one number per peak.
/// # Panics
/// When `idf` is shorter than a row of `x`.
pub(crate) fn log_tfidf_by(x: CsrView<'_, f32>, idf: &[f64], scale_factor: f64) -> CsrMatrix<f32> {
    let mut out = x.map(|v| if v > 0.0 { 1.0 } else { 0.0 });
    out.for_each_row_mut(|_, columns, values| {
        let sum: f64 =
            columns.iter().zip(values.iter()).filter(|(_, v)| **v > 0.0).map(|(&j, _)| idf[j as usize]).sum();
        for (&j, v) in columns.iter().zip(values) {
            if *v > 0.0 {
                // A peak that was closed in every spot the frequencies come from says nothing.
                let share = if sum > 0.0 { idf[j as usize] / sum } else { 0.0 };
                *v = (scale_factor * share).ln_1p() as f32;
            }
        }
    });
    out
}

/// TF-IDF and latent semantic indexing of peak counts.
///
/// 1. Binarise; keep peaks open in at least `min_fraction` of the spots.
/// 2. [`log_tfidf`].
/// 3. Truncated SVD without centring, `n_components + 1` left singular vectors, the largest absolute entry of
///    each positive. The sign matters: the next step mixes the components of a row.
/// 4. Each row minus its mean, over its standard deviation (ddof 1), over all components; then the first is
///    dropped.
///
/// # Inputs
/// `x`: `(n_obs, n_peaks)` counts of 0 or more.
/// # Returns
/// At most `min(n_obs, peaks kept) − 1` dimensions. Spots without open peaks become zero rows.
/// # Errors
/// `NonFinite`, `Negative`, `Option`, `Empty`, `NothingLeft`, `Interrupted`.
/// # Cost
/// As [`pca`](super::pca()) without centring; one copy of the kept peaks.
/// # Source
/// SpaMI (Gao et al. 2025), following Signac and Seurat's `RunLSI`.
///
/// # Example
///
/// ```
/// use brodmann::preprocess::{LsiOptions, tfidf_lsi};
/// use brodmann_kernels::{CsrMatrix, Seed, Silent};
/// use ndarray::Array2;
///
/// // Ten spots with the even peaks open, ten with the odd ones, and a peak that all share.
/// let peaks = Array2::from_shape_fn((20, 12), |(i, j)| f32::from(u8::from(j == 0 || j % 2 == i / 10)));
/// let peaks = CsrMatrix::from_dense(peaks.view());
/// let lsi = tfidf_lsi(peaks.view(), &LsiOptions { n_components: 1, ..Default::default() }, Seed(0), &Silent)?;
/// assert_eq!(lsi.embedding.dim(), (20, 1));
/// assert!(lsi.embedding[[0, 0]] * lsi.embedding[[19, 0]] < 0.0);
/// # Ok::<(), brodmann::preprocess::PreprocessError>(())
/// ```
pub fn tfidf_lsi(
    x: CsrView<'_, f32>,
    options: &LsiOptions,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<Lsi, PreprocessError> {
    validate(options)?;
    let (n, f) = (x.n_rows(), x.n_cols());
    if n == 0 || f == 0 {
        return Err(PreprocessError::Empty { n_obs: n, n_vars: f });
    }
    check_non_negative(x)?;
    monitor.check()?;
    let open = fold_columns(x, |_, _, v| [if v > 0.0 { 1.0 } else { 0.0 }]);
    // A peak never open carries nothing, whatever the threshold.
    let needed = (options.min_fraction * n as f64).max(1.0);
    let keep: Vec<bool> = open.iter().map(|c| c[0] >= needed).collect();
    let n_kept = keep.iter().filter(|k| **k).count();
    if n_kept == 0 {
        return Err(PreprocessError::NothingLeft { n_vars: f, n_obs: n, min_cells: needed.ceil() as usize });
    }
    let selected;
    let kept_view = if n_kept == f {
        x
    } else {
        selected = x.select_columns(&keep);
        selected.view()
    };
    let idf = inverse_frequency(kept_view);
    let logged = log_tfidf_by(kept_view, &idf, options.scale_factor);
    monitor.check()?;
    let k = (options.n_components + 1).min(n).min(n_kept);
    let slices = Slices::one(logged.n_rows());
    let implicit = Implicit { x: logged.view(), maps: &[], means: &[], slices: &slices };
    let Svd { scores, singular_values, mut components, converged, .. } =
        truncated_svd(implicit, k, seed, monitor)?;
    let mut left = scores;
    let largest = singular_values.first().copied().unwrap_or(0.0);
    for mut row in left.rows_mut() {
        for (v, s) in row.iter_mut().zip(&singular_values) {
            *v = if *s > 1e-12 * largest { *v / s } else { 0.0 };
        }
    }
    fix_signs(&mut left, &mut components);
    let embedding = standardize_rows_and_drop_first(&left);
    let mut scores = left.slice_axis(Axis(1), Slice::from(1.min(k)..)).to_owned();
    for mut row in scores.rows_mut() {
        row.iter_mut().zip(&singular_values[1.min(k)..]).for_each(|(v, s)| *v *= s);
    }
    let first_component = components.columns().into_iter().next().map_or_else(Vec::new, |c| c.to_vec());
    let components = components.slice_axis(Axis(1), Slice::from(1.min(k)..)).to_owned();
    Ok(Lsi {
        embedding,
        scores,
        components,
        first_component,
        idf,
        singular_values,
        keep,
        n_requested: options.n_components,
        converged,
    })
}

fn validate(options: &LsiOptions) -> Result<(), PreprocessError> {
    let invalid = |option, found: String, expected| Err(OptionError::new(option, found, expected).into());
    if options.n_components == 0 {
        return invalid("n_components", "0".into(), "at least 1");
    }
    if !(0.0..=1.0).contains(&options.min_fraction) {
        return invalid("min_fraction", options.min_fraction.to_string(), "a share between 0 and 1");
    }
    if !(options.scale_factor > 0.0 && options.scale_factor.is_finite()) {
        return invalid("scale_factor", options.scale_factor.to_string(), "a positive number");
    }
    Ok(())
}

/// Step 4 of [`tfidf_lsi()`]; rows without spread become zero.
pub(super) fn standardize_rows_and_drop_first(left: &Array2<f64>) -> Array2<f64> {
    let k = left.ncols();
    let mut out = Array2::zeros((left.nrows(), k.saturating_sub(1)));
    if k < 2 {
        return out;
    }
    for (mut out, row) in out.rows_mut().into_iter().zip(left.rows()) {
        let mean = row.sum() / k as f64;
        let sd = (row.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (k - 1) as f64).sqrt();
        if sd > 0.0 {
            out.iter_mut().zip(row.iter().skip(1)).for_each(|(o, v)| *o = (v - mean) / sd);
        }
    }
    out
}
