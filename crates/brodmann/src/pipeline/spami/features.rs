//! Counts to what the network sees, and back: on arrays, without any container.
//!
//! Encoding and decoding share one [`FeatureMap`], which is also what a saved model carries: a slice that a loaded
//! model is applied to is projected with the loadings the model was trained on.
//!
//! | kind | features | back |
//! |---|---|---|
//! | RNA | 1800 variable genes, total 1e4, `log1p`, scaled, 50 principal components | loadings, un-scaled, plus the mean, not below 0: log-normalised values |
//! | proteins, up to 200 | CLR values themselves | themselves, not below 0 |
//! | proteins, more | CLR, scaled, 50 principal components | as RNA, to CLR values |
//! | peaks | TF-IDF, LSI, rows standardised, 50 dimensions | rows un-standardised, the dropped first component as measured, loadings: log TF-IDF |

use brodmann_kernels::matmul::matmul_into_serial;
use brodmann_kernels::spmm::csr_dense;
use brodmann_kernels::{CsrMatrix, CsrView, Interrupted, Monitor, Seed};
use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis, Slice};
use rayon::prelude::*;

use crate::preprocess::{
    LsiOptions, Modality, Normalization, PreprocessError, PreprocessOptions, Scaling, check_counts,
    check_non_negative, clr, log_tfidf_by, log1p, preprocess, row_totals,
};

/// Genes selected, as SpaMI's authors do.
pub const N_TOP_GENES: usize = 1800;
/// Components of RNA and peaks.
pub const N_COMPONENTS: usize = 50;
/// Panels of more proteins than this go through principal components.
pub const MAX_CLR_FEATURES: usize = 200;
/// Rows decoded together; fixed.
const CHUNK: usize = 2048;

/// SpaMI's defaults of a modality.
///
/// # Source
/// Gao et al. 2025, Methods: PCA and LSI of 50 dimensions, CLR of proteins; 1800 genes as in the authors'
/// runs. `min_cells` 3 rather than the text's 10, so that small tissues keep their genes.
pub fn default_options(kind: Modality) -> PreprocessOptions {
    let options = PreprocessOptions { n_pcs: N_COMPONENTS, ..PreprocessOptions::for_modality(kind) };
    match kind {
        Modality::Rna => PreprocessOptions { n_top_genes: Some(N_TOP_GENES), ..options },
        Modality::Adt | Modality::Atac => options,
    }
}

/// One scale for all modalities: columns centred, and everything divided by one number, the root mean square.
///
/// The reconstruction loss is a mean of squares, so a modality whose features are larger outweighs the others, and
/// attention follows it: on the simulated tissue principal components of RNA have 19 times the variance of CLR values,
/// RNA gets .996 of the attention, and domains that only proteins show are lost (ARI .45; balanced .94). Within a
/// modality nothing changes: components keep their proportions.
#[derive(Clone, Debug, PartialEq)]
pub struct Balance {
    /// Mean of each column.
    pub center: Vec<f64>,
    /// Root mean square after centring; 1 where nothing varies.
    pub scale: f64,
}

impl Balance {
    /// Measures the features of a modality.
    ///
    /// # Inputs
    /// `values`: `(n_obs, d)`, finite.
    /// # Cost
    /// Two passes, sums in f64 and in order.
    pub fn fit(values: ArrayView2<'_, f32>) -> Self {
        let (n, d) = values.dim();
        let mut center = vec![0.0f64; d];
        for row in values.rows() {
            center.iter_mut().zip(row).for_each(|(c, v)| *c += f64::from(*v));
        }
        for c in &mut center {
            *c /= n.max(1) as f64;
        }
        let squares: f64 = values
            .rows()
            .into_iter()
            .map(|row| row.iter().zip(&center).map(|(v, c)| (f64::from(*v) - c).powi(2)).sum::<f64>())
            .sum();
        let scale = (squares / (n * d).max(1) as f64).sqrt();
        Self { center, scale: if scale > 0.0 && scale.is_finite() { scale } else { 1.0 } }
    }

    /// Onto the common scale.
    pub fn apply(&self, values: &mut Array2<f32>) {
        for mut row in values.rows_mut() {
            for (v, c) in row.iter_mut().zip(&self.center) {
                *v = ((f64::from(*v) - c) / self.scale) as f32;
            }
        }
    }

    /// Back from the common scale.
    pub fn undo(&self, values: &mut Array2<f32>) {
        for mut row in values.rows_mut() {
            for (v, c) in row.iter_mut().zip(&self.center) {
                *v = (f64::from(*v) * self.scale + c) as f32;
            }
        }
    }
}

/// How counts become features, fitted once.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureMap {
    /// What was measured.
    pub kind: Modality,
    /// Per column of the counts: whether it takes part at all (totals, CLR means).
    pub kept: Vec<bool>,
    /// Per column of the counts: whether the features rest on it; a subset of `kept`.
    pub selected: Vec<bool>,
    /// The steps.
    pub projection: Projection,
}

/// The steps from selected columns to features.
#[derive(Clone, Debug, PartialEq)]
pub enum Projection {
    /// Normalised, perhaps scaled, projected on principal components.
    Pca {
        /// How spots are made comparable.
        normalization: Normalization,
        /// Total of each spot, with [`Normalization::Total`].
        target_sum: f64,
        /// Whether `ln(1 + x)` is taken.
        log1p: bool,
        /// Scaling of the selected columns.
        scaling: Option<Scaling>,
        /// Mean of each selected column after scaling.
        mean: Vec<f64>,
        /// `(selected, k)` loadings.
        components: Array2<f64>,
    },
    /// Centred log-ratios; the features are the selected columns.
    Clr,
    /// Values as they are.
    Identity,
    /// Latent semantic indexing.
    Lsi {
        /// What normalised rows are multiplied by before the logarithm.
        scale_factor: f64,
        /// Inverse document frequency of the selected columns.
        idf: Vec<f64>,
        /// `(selected, 1 + k)` loadings, that of the dropped component first.
        components: Array2<f64>,
        /// Singular values, that of the dropped component first.
        singular_values: Vec<f64>,
    },
}

/// What a projection took from each spot and decoding has to give back; empty but for LSI.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SpotState {
    /// Mean over the components of a spot.
    pub mean: Vec<f64>,
    /// Standard deviation over the components of a spot; 0 where there is none.
    pub sd: Vec<f64>,
    /// The component that follows the depth.
    pub first: Vec<f64>,
}

/// Features of one modality, ready for the network.
#[derive(Clone, Debug, PartialEq)]
pub struct SpamiFeatures {
    /// `(n_obs, d)`, `d` at least 1.
    pub values: Array2<f32>,
    /// How they were made.
    pub map: FeatureMap,
    /// What decoding needs of each spot.
    pub spots: SpotState,
}

/// Makes the features of one modality from its counts.
///
/// # Inputs
/// `counts`: `(n_obs, n_vars)` raw counts. `slices`: genes are then selected slice by slice.
/// `options`: [`default_options`], or others.
/// # Returns
/// Features, and the map that makes the same of other counts ([`FeatureMap::encode`]) and leads back
/// ([`FeatureMap::denoise`]).
/// # Errors
/// As [`preprocess()`].
/// # Cost
/// As [`preprocess()`], and one more product with the loadings.
/// # Source
/// Gao et al. 2025 (SpaMI), Methods, data preprocessing.
pub fn prepare(
    counts: CsrView<'_, f32>,
    slices: Option<&[u32]>,
    options: &PreprocessOptions,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<SpamiFeatures, PreprocessError> {
    let map = fit(counts, slices, options, seed, monitor)?;
    // Through the map, so that a saved model sees these spots exactly as the training did.
    let (values, spots) = map.encode(counts)?;
    Ok(SpamiFeatures { values, map, spots })
}

fn fit(
    counts: CsrView<'_, f32>,
    slices: Option<&[u32]>,
    options: &PreprocessOptions,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<FeatureMap, PreprocessError> {
    let kind = options.modality;
    let n_vars = counts.n_cols();
    let few = kind == Modality::Adt && n_vars <= MAX_CLR_FEATURES && n_vars > 0 && counts.n_rows() > 0;
    let direct = match options.normalization {
        Normalization::Clr => Some(Projection::Clr),
        Normalization::None if !options.log1p => Some(Projection::Identity),
        _ => None,
    };
    if let Some(projection) =
        direct.filter(|_| few && options.n_top_genes.is_none() && options.min_cells == 0)
    {
        match projection {
            Projection::Clr => check_counts(counts)?,
            _ => check_non_negative(counts)?,
        }
        monitor.note(match projection {
            Projection::Clr => "centred log-ratio (CLR) per spot; the values themselves are the features",
            _ => "values taken as they are; they themselves are the features",
        });
        let all = vec![true; n_vars];
        return Ok(FeatureMap { kind, kept: all.clone(), selected: all, projection });
    }
    let made = preprocess(counts, slices, options, seed, monitor)?;
    let projection = match (made.pca, made.lsi) {
        (Some(pca), _) => Projection::Pca {
            normalization: options.normalization,
            target_sum: made.size_factors.as_ref().map_or(0.0, |f| f.target_sum),
            log1p: options.log1p,
            scaling: made.scaling,
            mean: pca.mean,
            components: pca.components,
        },
        (None, Some(lsi)) => {
            let mut components = Array2::zeros((lsi.idf.len(), lsi.singular_values.len()));
            if lsi.singular_values.is_empty() {
                components = Array2::zeros((lsi.idf.len(), 0));
            } else {
                components.column_mut(0).assign(&ndarray::aview1(&lsi.first_component));
                components.slice_axis_mut(Axis(1), Slice::from(1..)).assign(&lsi.components);
            }
            Projection::Lsi {
                scale_factor: LsiOptions::default().scale_factor,
                idf: lsi.idf,
                components,
                singular_values: lsi.singular_values,
            }
        }
        (None, None) => Projection::Identity,
    };
    Ok(FeatureMap { kind, kept: made.kept, selected: made.highly_variable, projection })
}

impl FeatureMap {
    /// Columns of the counts it was fitted on.
    pub fn n_vars(&self) -> usize {
        self.kept.len()
    }

    /// Columns the features rest on.
    pub fn n_selected(&self) -> usize {
        self.selected.iter().filter(|s| **s).count()
    }

    /// Columns of the features.
    pub fn n_features(&self) -> usize {
        match &self.projection {
            Projection::Pca { components, .. } => components.ncols().max(1),
            Projection::Clr | Projection::Identity => self.n_selected(),
            Projection::Lsi { singular_values, .. } => singular_values.len().saturating_sub(1).max(1),
        }
    }

    /// The projection in a word: `pca`, `clr`, `lsi`, `identity`.
    pub fn method(&self) -> &'static str {
        match &self.projection {
            Projection::Pca { .. } => "pca",
            Projection::Clr => "clr",
            Projection::Identity => "identity",
            Projection::Lsi { .. } => "lsi",
        }
    }

    /// The features of counts with the columns the map was fitted on.
    ///
    /// # Inputs
    /// `counts`: `(n_obs, n_vars)` raw counts.
    /// # Returns
    /// `(n_obs, n_features)`, and what decoding needs of each spot.
    /// # Errors
    /// `ShapeMismatch` for other columns; `NonFinite`, `Negative`, `NotCounts`.
    /// # Cost
    /// One copy of the selected columns, O(nnz · n_features).
    pub fn encode(&self, counts: CsrView<'_, f32>) -> Result<(Array2<f32>, SpotState), PreprocessError> {
        if counts.n_cols() != self.n_vars() {
            return Err(PreprocessError::ShapeMismatch {
                what: "the list of features of the model",
                found: self.n_vars(),
                expected: counts.n_cols(),
                per: "variable",
            });
        }
        match &self.projection {
            Projection::Pca { normalization, target_sum, log1p, scaling, mean, components } => {
                if *normalization == Normalization::None {
                    check_non_negative(counts)?;
                } else {
                    check_counts(counts)?;
                }
                let x = self.normalised(counts, *normalization, *target_sum, *log1p);
                Ok((project(x, scaling.as_ref(), mean, components), SpotState::default()))
            }
            Projection::Clr => {
                check_counts(counts)?;
                let x = self.normalised(counts, Normalization::Clr, 0.0, false);
                Ok((x.view().to_dense(), SpotState::default()))
            }
            Projection::Identity => {
                check_non_negative(counts)?;
                Ok((counts.select_columns(&self.selected).view().to_dense(), SpotState::default()))
            }
            Projection::Lsi { scale_factor, idf, components, singular_values } => {
                check_non_negative(counts)?;
                let selected = counts.select_columns(&self.selected);
                let logged = log_tfidf_by(selected.view(), idf, *scale_factor);
                Ok(standardise(csr_dense(logged.view(), components.view()), singular_values))
            }
        }
    }

    /// Normalised selected columns.
    fn normalised(
        &self,
        counts: CsrView<'_, f32>,
        normalization: Normalization,
        target_sum: f64,
        log: bool,
    ) -> CsrMatrix<f32> {
        let mut x = match normalization {
            // The mean of CLR is taken over all columns that take part, so they are selected afterwards.
            Normalization::Clr => {
                let mut all = counts.select_columns(&self.kept);
                clr(&mut all);
                let of_kept: Vec<bool> = kept_of(&self.selected, &self.kept);
                if of_kept.iter().all(|s| *s) { all } else { all.view().select_columns(&of_kept) }
            }
            Normalization::Total => {
                let totals = row_totals(counts, Some(&self.kept));
                let mut few = counts.select_columns(&self.selected);
                few.for_each_row_mut(|i, _, values| {
                    let factor = if totals[i] > 0.0 { target_sum / totals[i] } else { 1.0 };
                    for v in values {
                        *v = (f64::from(*v) * factor) as f32;
                    }
                });
                few
            }
            Normalization::None => counts.select_columns(&self.selected),
        };
        if log {
            log1p(&mut x);
        }
        x
    }

    /// From the network's reconstruction of the features back to the selected columns.
    ///
    /// RNA: `max(0, (R Vᵀ + μ) · sd + mean)`, the scale of `log1p` of normalised counts. Proteins: CLR values.
    /// Peaks: `max(0, Σ_t s_t u_t V_tᵀ)`, the scale of log TF-IDF, with the rows un-standardised and the first
    /// component, which the network does not see, as it was measured.
    ///
    /// # Inputs
    /// `reconstruction`: `(n_obs, n_features)`. `spots`: of the same spots, from [`FeatureMap::encode`].
    /// # Returns
    /// `(n_obs, n_selected)`, 0 or more. Columns that are not selected were never seen and have no
    /// denoised value.
    /// # Errors
    /// `ShapeMismatch` when the reconstruction or the spots are of other data; `Interrupted`.
    /// # Cost
    /// O(n_obs · n_selected · n_features).
    pub fn denoise(
        &self,
        reconstruction: ArrayView2<'_, f32>,
        spots: &SpotState,
        monitor: &dyn Monitor,
    ) -> Result<Array2<f32>, PreprocessError> {
        let (n_obs, width) = reconstruction.dim();
        let mismatch =
            |what, found, expected, per| Err(PreprocessError::ShapeMismatch { what, found, expected, per });
        if width != self.n_features() {
            return mismatch("a row of the reconstruction", width, self.n_features(), "feature");
        }
        if matches!(self.projection, Projection::Lsi { .. }) && spots.first.len() != n_obs {
            return mismatch("the state of the spots", spots.first.len(), n_obs, "spot");
        }
        let n_selected = self.n_selected();
        let mut out = Array2::<f32>::zeros((n_obs, n_selected));
        if n_selected == 0 || n_obs == 0 {
            return Ok(out);
        }
        let decoder = self.decoder(spots);
        let chunks: Vec<ArrayViewMut2<'_, f32>> = out.axis_chunks_iter_mut(Axis(0), CHUNK).collect();
        chunks.into_par_iter().enumerate().try_for_each(|(c, mut block)| {
            monitor.check()?;
            let rows = c * CHUNK..n_obs.min((c + 1) * CHUNK);
            decoder.decode(
                reconstruction.slice_axis(Axis(0), Slice::from(rows.clone())),
                rows.start,
                &mut block,
            );
            block.mapv_inplace(|v| v.max(0.0));
            Ok::<_, Interrupted>(())
        })?;
        Ok(out)
    }

    fn decoder<'a>(&self, spots: &'a SpotState) -> Decoder<'a> {
        match &self.projection {
            Projection::Clr | Projection::Identity => Decoder::Same,
            Projection::Pca { scaling, mean, components, .. } => {
                let sd = |j: usize| scaling.as_ref().map_or(1.0, |s| s.sd[j]);
                let centre =
                    |j: usize| scaling.as_ref().filter(|s| s.options.zero_center).map_or(0.0, |s| s.mean[j]);
                // Un-scaling is linear, so it goes into the loadings.
                Decoder::Linear {
                    loadings: Array2::from_shape_fn((components.ncols(), components.nrows()), |(t, j)| {
                        (components[[j, t]] * sd(j)) as f32
                    }),
                    offset: mean.iter().enumerate().map(|(j, m)| (m * sd(j) + centre(j)) as f32).collect(),
                }
            }
            Projection::Lsi { components, singular_values, .. } => Decoder::Lsi {
                loadings: Array2::from_shape_fn((components.ncols(), components.nrows()), |(t, j)| {
                    (components[[j, t]] * singular_values[t]) as f32
                }),
                spots,
            },
        }
    }

    /// The same map on the kept columns alone, as a saved model holds it.
    #[must_use]
    pub fn compact(&self) -> Self {
        let selected = kept_of(&self.selected, &self.kept);
        Self {
            kind: self.kind,
            kept: vec![true; selected.len()],
            selected,
            projection: self.projection.clone(),
        }
    }
}

/// Flags of the columns that are kept, in order.
fn kept_of(flags: &[bool], kept: &[bool]) -> Vec<bool> {
    flags.iter().zip(kept).filter(|(_, k)| **k).map(|(f, _)| *f).collect()
}

/// From features to columns, with everything that does not depend on the spot folded in.
enum Decoder<'a> {
    Same,
    Linear { loadings: Array2<f32>, offset: Vec<f32> },
    Lsi { loadings: Array2<f32>, spots: &'a SpotState },
}

impl Decoder<'_> {
    fn decode(&self, rows: ArrayView2<'_, f32>, first: usize, out: &mut ArrayViewMut2<'_, f32>) {
        match self {
            Self::Same => out.assign(&rows),
            Self::Linear { loadings, offset } => {
                // Without any component (constant columns) there is nothing but the mean.
                if loadings.nrows() > 0 {
                    matmul_into_serial(out.view_mut(), rows, loadings.view());
                }
                for mut row in out.rows_mut() {
                    row.iter_mut().zip(offset).for_each(|(v, o)| *v += o);
                }
            }
            Self::Lsi { loadings, spots } => {
                let k = loadings.nrows();
                let mut left = Array2::<f32>::zeros((rows.nrows(), k));
                for (r, mut row) in left.rows_mut().into_iter().enumerate() {
                    let i = first + r;
                    for (t, v) in row.iter_mut().enumerate() {
                        *v = if t == 0 {
                            spots.first[i] as f32
                        } else {
                            (f64::from(rows[[r, t - 1]]) * spots.sd[i] + spots.mean[i]) as f32
                        };
                    }
                }
                if k > 0 {
                    matmul_into_serial(out.view_mut(), left.view(), loadings.view());
                }
            }
        }
    }
}

/// `(scale(x) − μ) V`, with centring and scaling described rather than written out.
fn project(
    mut x: CsrMatrix<f32>,
    scaling: Option<&Scaling>,
    mean: &[f64],
    components: &Array2<f64>,
) -> Array2<f32> {
    if components.ncols() == 0 {
        return Array2::zeros((x.n_rows(), 1));
    }
    let zero = |j: usize| scaling.map_or(0.0, |s| s.value(j, 0.0));
    if let Some(s) = scaling {
        x.for_each_row_mut(|_, columns, values| {
            for (&j, v) in columns.iter().zip(values) {
                *v = (s.value(j as usize, f64::from(*v)) - s.value(j as usize, 0.0)) as f32;
            }
        });
    }
    let mut offset = vec![0.0f64; components.ncols()];
    for (j, row) in components.rows().into_iter().enumerate() {
        let shift = zero(j) - mean[j];
        offset.iter_mut().zip(row).for_each(|(o, v)| *o += shift * v);
    }
    let scores = csr_dense(x.view(), components.view());
    Array2::from_shape_fn(scores.dim(), |(i, t)| (scores[[i, t]] + offset[t]) as f32)
}

/// Left singular vectors from `X V`, each row standardised (ddof 1), the first column dropped.
fn standardise(scores: Array2<f64>, singular_values: &[f64]) -> (Array2<f32>, SpotState) {
    let (n_obs, k) = scores.dim();
    let largest = singular_values.first().copied().unwrap_or(0.0);
    let mut values = Array2::<f32>::zeros((n_obs, k.saturating_sub(1).max(1)));
    let mut spots = SpotState { mean: vec![0.0; n_obs], sd: vec![0.0; n_obs], first: vec![0.0; n_obs] };
    for (i, row) in scores.rows().into_iter().enumerate() {
        let left: Vec<f64> = row
            .iter()
            .zip(singular_values)
            .map(|(v, s)| if *s > 1e-12 * largest { v / s } else { 0.0 })
            .collect();
        spots.first[i] = left.first().copied().unwrap_or(0.0);
        if k < 2 {
            continue;
        }
        let mean = left.iter().sum::<f64>() / k as f64;
        let sd = (left.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (k - 1) as f64).sqrt();
        (spots.mean[i], spots.sd[i]) = (mean, sd);
        if sd > 0.0 {
            for (out, v) in values.row_mut(i).iter_mut().zip(&left[1..]) {
                *out = ((v - mean) / sd) as f32;
            }
        }
    }
    (values, spots)
}

/// Log-normalised, CLR or log TF-IDF values of all columns: what denoised values are compared with.
///
/// # Inputs
/// `counts`: raw counts. `target_sum`: total of each spot, RNA alone.
/// # Cost
/// One copy.
pub fn comparable(counts: CsrMatrix<f32>, kind: Modality, target_sum: f64) -> CsrMatrix<f32> {
    let mut x = counts;
    match kind {
        Modality::Rna => {
            let totals = row_totals(x.view(), None);
            x.for_each_row_mut(|i, _, values| {
                let factor = if totals[i] > 0.0 { target_sum / totals[i] } else { 1.0 };
                for v in values {
                    *v = (f64::from(*v) * factor) as f32;
                }
            });
            log1p(&mut x);
            x
        }
        Modality::Adt => {
            clr(&mut x);
            x
        }
        Modality::Atac => crate::preprocess::log_tfidf(x.view(), LsiOptions::default().scale_factor),
    }
}

#[cfg(test)]
mod tests {
    use brodmann_kernels::Silent;

    use super::*;

    fn counts(n_obs: usize, n_vars: usize) -> CsrMatrix<f32> {
        let dense = Array2::from_shape_fn((n_obs, n_vars), |(i, j)| {
            let group = if (i < n_obs / 2) == (j < n_vars / 2) { 6 } else { 1 };
            ((i * 7 + j * 5 + i * j) % 5 * group + 1) as f32
        });
        CsrMatrix::from_dense(dense.view())
    }

    fn made(kind: Modality, x: &CsrMatrix<f32>) -> SpamiFeatures {
        prepare(x.view(), None, &default_options(kind), Seed(1), &Silent).expect("counts")
    }

    #[test]
    fn rna_features_are_the_principal_components() {
        let x = counts(40, 30);
        let found = made(Modality::Rna, &x);
        let pca = preprocess(x.view(), None, &default_options(Modality::Rna), Seed(1), &Silent)
            .expect("counts")
            .embedding;
        assert_eq!(found.values.dim(), pca.dim());
        assert!(found.values.iter().zip(&pca).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-4));
    }

    #[test]
    fn peaks_are_the_standardised_left_singular_vectors() {
        let x = counts(40, 30).view().map(|v| (v - 6.0).max(0.0));
        let found = made(Modality::Atac, &x);
        let options = LsiOptions::default();
        let lsi = crate::preprocess::tfidf_lsi(x.view(), &options, Seed(1), &Silent).expect("counts");
        assert_eq!(found.values.ncols(), lsi.embedding.ncols());
        // The last singular values are nearly zero, which makes their vectors arbitrary.
        assert!(
            found
                .values
                .iter()
                .zip(&lsi.embedding)
                .filter(|(a, b)| (f64::from(**a) - **b).abs() < 1e-3)
                .count()
                > found.values.len() * 9 / 10
        );
    }

    #[test]
    fn with_all_components_decoding_undoes_encoding() {
        // More spots than genes: the components span all genes, and what is decoded is what went in.
        let x = counts(60, 12);
        for kind in [Modality::Rna, Modality::Adt] {
            let found = made(kind, &x);
            let back = found.map.denoise(found.values.view(), &found.spots, &Silent).expect("shapes fit");
            let expected = comparable(x.clone(), kind, 1e4).view().to_dense();
            assert_eq!(back.dim(), expected.dim());
            for (a, b) in back.iter().zip(&expected) {
                assert!((a - b).abs() < 1e-3 * b.abs().max(1.0), "{kind}: {a} {b}");
            }
        }
        let peaks = counts(60, 12).view().map(|v| (v - 6.0).max(0.0));
        let found = made(Modality::Atac, &peaks);
        let back = found.map.denoise(found.values.view(), &found.spots, &Silent).expect("shapes fit");
        let keep = &found.map.selected;
        let expected = comparable(peaks.view().select_columns(keep), Modality::Atac, 0.0).view().to_dense();
        for (a, b) in back.iter().zip(&expected) {
            assert!((a - b).abs() < 1e-2 * b.abs().max(1.0), "{a} {b}");
        }
    }

    #[test]
    fn the_compact_map_makes_the_same_of_the_kept_columns() {
        let mut dense = counts(40, 30).view().to_dense();
        dense.column_mut(4).fill(0.0);
        let x = CsrMatrix::from_dense(dense.view());
        let found = made(Modality::Rna, &x);
        assert!(!found.map.kept[4]);
        let few = x.view().select_columns(&found.map.kept);
        let (again, _) = found.map.compact().encode(few.view()).expect("the same columns");
        assert_eq!(again, found.values);
        assert!(found.map.encode(few.view()).is_err(), "other columns");
    }

    #[test]
    fn many_proteins_go_through_components_and_constant_ones_leave_a_column_of_zeros() {
        let many = counts(20, MAX_CLR_FEATURES + 1);
        assert_eq!(made(Modality::Adt, &many).map.method(), "pca");
        assert_eq!(made(Modality::Adt, &counts(20, 9)).map.method(), "clr");
        let constant = CsrMatrix::from_dense(Array2::<f32>::ones((20, 5)).view());
        let found = made(Modality::Rna, &constant);
        assert!(found.values.iter().all(|v| v.is_finite()));
        let back = found.map.denoise(found.values.view(), &found.spots, &Silent).expect("shapes fit");
        assert!(back.iter().all(|v| v.is_finite() && *v > 0.0));
    }

    #[test]
    fn balanced_features_have_mean_0_and_mean_square_1_and_lead_back() {
        let mut values = ndarray::array![[1.0f32, 10.0], [3.0, 10.0], [5.0, 40.0]];
        let before = values.clone();
        let balance = Balance::fit(values.view());
        balance.apply(&mut values);
        assert!(values.sum().abs() < 1e-5);
        assert!((values.iter().map(|v| v * v).sum::<f32>() / 6.0 - 1.0).abs() < 1e-5);
        balance.undo(&mut values);
        assert!(values.iter().zip(&before).all(|(a, b)| (a - b).abs() < 1e-4));
        let mut constant = Array2::<f32>::ones((3, 2));
        Balance::fit(constant.view()).apply(&mut constant);
        assert!(constant.iter().all(|v| *v == 0.0));
    }

    #[test]
    fn reconstructions_of_other_data_are_refused() {
        let found = made(Modality::Rna, &counts(40, 30));
        let other = Array2::<f32>::zeros((40, found.values.ncols() + 1));
        assert!(found.map.denoise(other.view(), &found.spots, &Silent).is_err());
    }

    #[test]
    fn decoding_gives_the_same_bits_on_any_thread_count() {
        let x = counts(5000, 20);
        let found = made(Modality::Rna, &x);
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("pool");
            pool.install(|| {
                found.map.denoise(found.values.view(), &found.spots, &Silent).expect("shapes fit")
            })
        };
        assert_eq!(run(1), run(3));
    }
}
