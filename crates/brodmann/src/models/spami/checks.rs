//! Features as the network takes them.

use ndarray::{ArrayView2, CowArray, Ix2};
use rayon::prelude::*;

use super::error::SpamiError;
use super::graph::SpamiGraph;
use crate::nn::Mat;

/// Every modality has the spots of the graph, at least one feature, and finite numbers only.
pub(super) fn check_features(
    modalities: &[ArrayView2<'_, f32>],
    graph: &SpamiGraph,
) -> Result<(), SpamiError> {
    for (modality, x) in modalities.iter().enumerate() {
        if x.nrows() == 0 {
            return Err(SpamiError::NoObservations { modality });
        }
        if x.ncols() == 0 {
            return Err(SpamiError::NoFeatures { modality });
        }
        if x.nrows() != graph.n_obs() {
            return Err(SpamiError::SpotMismatch {
                what: format!("modality {modality}"),
                found: x.nrows(),
                expected: graph.n_obs(),
            });
        }
        let bad = (0..x.nrows())
            .into_par_iter()
            .find_map_first(|i| x.row(i).iter().position(|v| !v.is_finite()).map(|j| (i, j)));
        if let Some((row, column)) = bad {
            return Err(SpamiError::NonFiniteFeature { modality, row, column, value: x[[row, column]] });
        }
    }
    Ok(())
}

/// Row-major; copied only where the caller's layout differs.
pub(super) fn standard<'a>(modalities: &'a [ArrayView2<'_, f32>]) -> Vec<CowArray<'a, f32, Ix2>> {
    modalities.iter().map(|x| x.as_standard_layout()).collect()
}

/// As the engine takes them.
pub(super) fn matrices<'a>(features: &'a [CowArray<'_, f32, Ix2>]) -> Vec<Mat<'a, f32>> {
    let slice = |x: &'a CowArray<'_, f32, Ix2>| x.as_slice().expect("standard layout was just made");
    features.iter().map(|x| Mat::new(slice(x), x.nrows(), x.ncols())).collect()
}
