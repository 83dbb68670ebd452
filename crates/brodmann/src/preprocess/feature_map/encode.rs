//! Counts to features, by a map that was fitted on these counts or on others.

use brodmann_kernels::spmm::csr_dense;
use brodmann_kernels::{CsrMatrix, CsrView, Slices};
use ndarray::Array2;

use super::scaled::{SCALE, check, scale_slices};
use super::{FeatureMap, FeatureScale, FeatureValues, Projection, SpotState, Values, kept_of};
use crate::preprocess::column_stats::slices_of;
use crate::preprocess::normalize_total::check_target_sum;
use crate::preprocess::{
    Normalization, PreprocessError, Scaling, SizeFactors, check_counts, check_non_negative, clr,
    log_tfidf_by, log1p, row_totals,
};

impl FeatureMap {
    /// The features of counts with the columns the map was fitted on.
    ///
    /// # Inputs
    /// `counts`: `(n_obs, n_vars)` raw counts. `slices`: of these spots; used where the map scales slice by slice.
    /// # Returns
    /// `(n_obs, n_features)`, and what decoding needs of each spot.
    /// # Errors
    /// `ShapeMismatch` for other columns; `NonFinite`, `Negative`, `NotCounts`, `InvalidOption`.
    /// # Cost
    /// Two copies of the selected columns, O(nnz · n_features) for a projection.
    pub fn encode(
        &self,
        counts: CsrView<'_, f32>,
        slices: Option<&Slices>,
    ) -> Result<(FeatureValues, SpotState), PreprocessError> {
        if counts.n_cols() != self.n_vars() {
            return Err(PreprocessError::ShapeMismatch {
                what: "the list of features of the model",
                found: self.n_vars(),
                expected: counts.n_cols(),
                per: "variable",
            });
        }
        self.check(counts)?;
        let x = self.normalised(counts)?;
        let mut spots = SpotState::default();
        let values = match &self.projection {
            Projection::Pca { scaling, mean, components, .. } => {
                project(x, scaling.as_ref(), mean, components).into()
            }
            Projection::Clr | Projection::Identity => x.view().to_dense().into(),
            Projection::Lsi { components, singular_values, .. } => {
                let (values, state) = standardise(csr_dense(x.view(), components.view()), singular_values);
                spots = state;
                values.into()
            }
            Projection::Scaled { scale, .. } => {
                let mut x = x;
                match scale {
                    FeatureScale::None => {}
                    FeatureScale::PerSlice => scale_slices(&mut x, &slices_of(counts.n_rows(), slices)?)?,
                    FeatureScale::Fixed(sd) => {
                        let scaling = Scaling { mean: vec![0.0; sd.len()], sd: sd.clone(), options: SCALE };
                        scaling.apply(&mut x)?;
                    }
                }
                x.into()
            }
        };
        Ok((values, spots))
    }

    /// Whether the values are of the kind the steps need.
    fn check(&self, counts: CsrView<'_, f32>) -> Result<(), PreprocessError> {
        match &self.projection {
            Projection::Pca { normalization: Normalization::None, .. }
            | Projection::Identity
            | Projection::Lsi { .. } => check_non_negative(counts),
            Projection::Pca { .. } | Projection::Clr => check_counts(counts),
            Projection::Scaled { values, .. } => check(counts, *values),
        }
    }

    /// The selected columns, normalised but not scaled and not projected.
    ///
    /// Totals and CLR means are taken over all columns that take part, the selected ones or not: a spot's depth does
    /// not depend on which genes happen to vary.
    ///
    /// # Errors
    /// `InvalidOption` when a total that is not a positive number was asked for.
    pub(crate) fn normalised(&self, counts: CsrView<'_, f32>) -> Result<CsrMatrix<f32>, PreprocessError> {
        match &self.projection {
            Projection::Pca { normalization, target_sum, log1p: log, .. } => {
                let mut x = match normalization {
                    Normalization::Clr => self.log_ratios(counts),
                    Normalization::Total => self.to_total(counts, *target_sum),
                    Normalization::None => counts.select_columns(&self.selected),
                };
                if *log {
                    log1p(&mut x);
                }
                Ok(x)
            }
            Projection::Clr => Ok(self.log_ratios(counts)),
            Projection::Lsi { scale_factor, idf, .. } => {
                Ok(log_tfidf_by(counts.select_columns(&self.selected).view(), idf, *scale_factor))
            }
            Projection::Scaled { values: Values::Log, target_sum, .. } => {
                check_target_sum(*target_sum)?;
                let mut x = self.to_total(counts, *target_sum);
                log1p(&mut x);
                Ok(x)
            }
            Projection::Identity | Projection::Scaled { .. } => Ok(counts.select_columns(&self.selected)),
        }
    }

    fn to_total(&self, counts: CsrView<'_, f32>, target_sum: f64) -> CsrMatrix<f32> {
        let totals = row_totals(counts, Some(&self.kept));
        let mut few = counts.select_columns(&self.selected);
        SizeFactors::to_total(totals, target_sum).apply(&mut few);
        few
    }

    fn log_ratios(&self, counts: CsrView<'_, f32>) -> CsrMatrix<f32> {
        let mut all = counts.select_columns(&self.kept);
        clr(&mut all);
        let of_kept = kept_of(&self.selected, &self.kept);
        if of_kept.iter().all(|s| *s) { all } else { all.view().select_columns(&of_kept) }
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
