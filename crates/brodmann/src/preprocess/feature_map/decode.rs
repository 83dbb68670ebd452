//! From features, reconstructed by a network, back to the columns they were made of.

use brodmann_kernels::matmul::matmul_into_serial;
use brodmann_kernels::{Interrupted, Monitor, OptionError};
use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis, Slice};
use rayon::prelude::*;

use super::{FeatureMap, FeatureScale, Projection, SpotState};
use crate::preprocess::PreprocessError;

/// Rows decoded together; fixed.
const CHUNK: usize = 2048;

impl FeatureMap {
    /// From the network's reconstruction of the features back to the selected columns.
    ///
    /// RNA: `max(0, (R Vᵀ + μ) · sd + mean)`, the scale of `log1p` of normalised counts. Proteins: CLR values.
    /// Peaks: `max(0, Σ_t s_t u_t V_tᵀ)`, the scale of log TF-IDF, with the rows un-standardised and the first
    /// component, which the network does not see, as it was measured. Scaled columns: un-scaled, cut as they were.
    ///
    /// # Inputs
    /// `reconstruction`: `(n_obs, n_features)`. `spots`: of the same spots, from [`FeatureMap::encode`].
    /// # Returns
    /// `(n_obs, n_selected)`, 0 or more. Columns that are not selected were never seen and have no
    /// denoised value.
    /// # Errors
    /// `ShapeMismatch` when the reconstruction or the spots are of other data; `InvalidOption` for features scaled
    /// slice by slice; `Interrupted`.
    /// # Cost
    /// O(n_obs · n_selected · n_features).
    pub fn decode(
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
        if matches!(&self.projection, Projection::Scaled { scale: FeatureScale::PerSlice, .. }) {
            let expected = "one scale for all spots, since features scaled slice by slice do not lead back";
            return Err(OptionError::new("scale", FeatureScale::PerSlice.name(), expected).into());
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
            Projection::Scaled { scale: FeatureScale::Fixed(sd), .. } => {
                Decoder::Unscaled(sd.iter().map(|sd| *sd as f32).collect())
            }
            Projection::Clr | Projection::Identity | Projection::Scaled { .. } => Decoder::Same,
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
}

/// From features to columns, with everything that does not depend on the spot folded in.
enum Decoder<'a> {
    Same,
    Unscaled(Vec<f32>),
    Linear { loadings: Array2<f32>, offset: Vec<f32> },
    Lsi { loadings: Array2<f32>, spots: &'a SpotState },
}

impl Decoder<'_> {
    fn decode(&self, rows: ArrayView2<'_, f32>, first: usize, out: &mut ArrayViewMut2<'_, f32>) {
        match self {
            Self::Same => out.assign(&rows),
            Self::Unscaled(sd) => {
                out.assign(&rows);
                for mut row in out.rows_mut() {
                    row.iter_mut().zip(sd).for_each(|(v, s)| *v *= s);
                }
            }
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
