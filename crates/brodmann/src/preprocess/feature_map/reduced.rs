//! Fitting the maps that lead to a few dense columns: principal components, log-ratios, latent semantic indexing.

use brodmann_kernels::{CsrView, Monitor, Seed, Slices};
use ndarray::{Array2, Axis, Slice};

use super::apart::{check_apart, fit_slices};
use super::{FeatureMap, Projection};
use crate::preprocess::slices_of;
use crate::preprocess::{
    LsiOptions, Modality, Normalization, PreprocessError, PreprocessOptions, check_counts,
    check_non_negative, preprocess_rows,
};

/// Panels of more proteins than this go through principal components.
pub const MAX_CLR_FEATURES: usize = 200;

pub(super) fn fit(
    counts: CsrView<'_, f32>,
    slices: Option<&Slices>,
    graph: Option<CsrView<'_, f64>>,
    options: &PreprocessOptions,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<FeatureMap, PreprocessError> {
    let kind = options.modality;
    let n_vars = counts.n_cols();
    let named = slices_of(counts.n_rows(), slices)?;
    if named.count() > 1 && check_apart(n_vars, options).is_ok() {
        return fit_slices(counts, &named, options, seed, monitor);
    }
    if let Some(projection) = direct(n_vars, options).filter(|_| counts.n_rows() > 0) {
        match projection {
            Projection::Clr => check_counts(counts)?,
            _ => check_non_negative(counts)?,
        }
        monitor.note(direct_in_words(&projection));
        let all = vec![true; n_vars];
        return Ok(FeatureMap { kind, kept: all.clone(), selected: all, projection });
    }
    let made = preprocess_rows(&counts, slices, graph, options, seed, monitor)?;
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

/// The map of a small panel of proteins whose values are the features themselves, if they are.
pub(super) fn direct(n_vars: usize, options: &PreprocessOptions) -> Option<Projection> {
    let few = options.modality == Modality::Adt && n_vars <= MAX_CLR_FEATURES && n_vars > 0;
    if !few || options.n_top_genes.is_some() || options.min_cells > 0 {
        return None;
    }
    match options.normalization {
        Normalization::Clr => Some(Projection::Clr),
        Normalization::None if !options.log1p => Some(Projection::Identity),
        _ => None,
    }
}

pub(super) fn direct_in_words(projection: &Projection) -> &'static str {
    match projection {
        Projection::Clr => "centred log-ratio (CLR) per spot; the values themselves are the features",
        _ => "values taken as they are; they themselves are the features",
    }
}
