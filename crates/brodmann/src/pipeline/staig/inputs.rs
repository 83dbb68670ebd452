//! From a tissue to what the network takes: features, the spatial graph, image features, edge probabilities.

use std::ops::Range;
use std::path::Path;

use brodmann_data::{DataError, read_npy};
use brodmann_kernels::{CsrMatrix, CsrView, Monitor, Seed};
use ndarray::{Array2, ArrayView2, Axis, concatenate};

use super::features::{self, StaigFeatureMap};
use super::model_file::SavedModel;
use super::request::{BASELINE_COMPONENTS, IMAGE_COMPONENTS, StaigRequest};
use crate::cluster::{KMeansOptions, kmeans};
use crate::graph::spatial_knn;
use crate::models::staig::{
    EdgeDrop, EdgeRule, StaigOptions, expression_drop_probabilities, image_drop_probabilities,
};
use crate::pipeline::align::{align, places};
use crate::pipeline::features::{read_counts, with_hint};
use crate::pipeline::fingerprint::Fingerprint;
use crate::pipeline::tissue::{ModalityInfo, Tissue};
use crate::pipeline::{PipelineError, Seconds, timed};
use crate::preprocess::{Modality, PcaOptions, PreprocessError, ScaleOptions, pca, pca_dense, scale};

/// Principal components of the expression that edges are judged by.
pub(super) const EXPRESSION_COMPONENTS: usize = 64;
/// Starts of the k-means of image features.
const IMAGE_STARTS: usize = 10;
/// Genes that must vary in all slices, unless the panel has few.
const FEW_FEATURES: usize = 50;

/// The one modality whose expression is read.
pub(super) fn choose(tissue: &Tissue) -> Result<ModalityInfo, PipelineError> {
    let all = tissue.modalities();
    let rna = all.iter().find(|m| m.kind == Modality::Rna);
    match rna.or(all.first().filter(|_| all.len() == 1)) {
        Some(info) => Ok(info.clone()),
        None => Err(PipelineError::Option {
            option: "FILE",
            found: format!(
                "a tissue of {}",
                all.iter().map(|m| m.name.as_str()).collect::<Vec<_>>().join(", ")
            ),
            expected: "gene expression among its modalities (`brodmann spami` integrates others)",
        }),
    }
}

/// Features of a tissue.
pub(super) struct Features {
    /// `(n_obs, n_features)`.
    pub values: CsrMatrix<f32>,
    /// How they were made.
    pub map: StaigFeatureMap,
    /// Per variable of the file: whether it is a feature.
    pub selected: Vec<bool>,
    /// Names of the columns the map is on.
    pub names: Vec<String>,
    /// Of the counts.
    pub data_hash: String,
    /// Of several slices: principal components as one would take them of a single slice, `(n_obs, ≤ 30)`.
    pub before: Option<Array2<f64>>,
}

/// What the mixing of slices is compared with. Not the features of the network: scaled slice by slice without
/// centring, every gene's mean moves by its slice's deviation, and that alone parts slices that plain components mix.
fn unaligned(
    map: &StaigFeatureMap,
    counts: CsrView<'_, f32>,
    n_slices: usize,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<Option<Array2<f64>>, PreprocessError> {
    if n_slices < 2 {
        return Ok(None);
    }
    let values = map.normalised(counts)?;
    let scaling = scale(values.view(), &ScaleOptions::default())?;
    let options = PcaOptions { n_components: BASELINE_COMPONENTS };
    Ok(Some(pca(values.view(), Some(&scaling), &options, seed, monitor)?.scores))
}

/// Features made from the counts.
pub(super) fn prepare(
    tissue: &Tissue,
    info: &ModalityInfo,
    request: &StaigRequest,
    slices: Option<&[u32]>,
    n_slices: usize,
    seed: Seed,
    seconds: &mut Seconds,
    monitor: &dyn Monitor,
) -> Result<Features, PipelineError> {
    let counts = read_counts(tissue, info, &request.features, seconds, monitor)?;
    let (options, why) = request.feature_options(counts.n_cols(), n_slices);
    monitor.note(&format!(
        "{} genes, values taken as {} {why}; --values log or counts says otherwise",
        counts.n_cols(),
        options.values.name()
    ));
    monitor.stage("preprocessing", 0);
    let made = timed(&mut seconds.preprocess, || features::prepare(counts.view(), slices, &options, monitor))
        .map_err(|source| with_hint(source, tissue, info))?;
    let n_selected = made.map.n_features();
    let panel = counts.n_cols() / 2;
    if n_slices > 1 && n_selected < FEW_FEATURES.min(panel.max(1)) {
        let expected = FEW_FEATURES.min(panel.max(1));
        return Err(PipelineError::SharedVariable { n_selected, n_slices, expected });
    }
    let before =
        timed(&mut seconds.preprocess, || unaligned(&made.map, counts.view(), n_slices, seed, monitor))
            .map_err(|source| with_hint(source, tissue, info))?;
    Ok(Features {
        values: made.values,
        before,
        selected: made.map.selected.clone(),
        names: tissue.var_names(info).to_vec(),
        map: made.map,
        data_hash: Fingerprint::default().counts(counts.view()).hex(),
    })
}

/// Features as a saved model wants them, columns aligned by name.
pub(super) fn project(
    tissue: &Tissue,
    info: &ModalityInfo,
    saved: &SavedModel,
    request: &StaigRequest,
    slices: Option<&[u32]>,
    n_slices: usize,
    seed: Seed,
    seconds: &mut Seconds,
    monitor: &dyn Monitor,
) -> Result<Features, PipelineError> {
    let (map, names) = (&saved.map, &saved.names);
    let found = places(names, tissue.var_names(info));
    let missing: Vec<usize> = (0..names.len()).filter(|&k| found[k].is_none() && map.selected[k]).collect();
    if !missing.is_empty() {
        return Err(PipelineError::MissingFeatures {
            modality: info.name.clone(),
            n_missing: missing.len(),
            n_expected: map.n_features(),
            examples: missing.iter().take(5).map(|&k| names[k].clone()).collect(),
        });
    }
    let absent = found.iter().filter(|f| f.is_none()).count();
    if absent > 0 {
        monitor.note(&format!(
            "{absent} of the {} genes that only count in the totals are absent here; taken as 0",
            names.len()
        ));
    }
    let counts = read_counts(tissue, info, &request.features, seconds, monitor)?;
    monitor.stage("features as in the model", 0);
    let (values, before) = timed(&mut seconds.preprocess, || {
        let aligned = align(counts.view(), &found);
        let values = map.encode(aligned.view(), slices)?;
        Ok((values, unaligned(map, aligned.view(), n_slices, seed, monitor)?))
    })
    .map_err(|source| with_hint(source, tissue, info))?;
    let mut selected = vec![false; counts.n_cols()];
    for (k, place) in found.iter().enumerate().filter(|(k, _)| map.selected[*k]) {
        if let Some(j) = place {
            selected[*j] = true;
        }
        debug_assert!(map.selected[k], "only selected genes are marked");
    }
    Ok(Features {
        values,
        before,
        map: map.clone(),
        selected,
        names: names.clone(),
        data_hash: Fingerprint::default().counts(counts.view()).hex(),
    })
}

/// The spatial graph: k nearest, either way, slice by slice.
pub(super) fn graph(
    coordinates: ArrayView2<'_, f64>,
    n_neighbors: usize,
    slices: Option<&[u32]>,
    seconds: &mut Seconds,
    monitor: &dyn Monitor,
) -> Result<CsrMatrix<f64>, PipelineError> {
    monitor.stage("spatial neighbours", 0);
    let built = timed(&mut seconds.graph, || spatial_knn(coordinates, slices, n_neighbors, true))?;
    for note in &built.notes {
        monitor.note(&format!("spatial graph: {note}"));
    }
    Ok(built.connectivities)
}

/// Principal components of the features.
pub(super) fn components(
    features: &CsrMatrix<f32>,
    n_components: usize,
    seed: Seed,
    seconds: &mut Seconds,
    monitor: &dyn Monitor,
) -> Result<Array2<f64>, PipelineError> {
    monitor.stage("principal components", 0);
    let options = PcaOptions { n_components };
    timed(&mut seconds.preprocess, || pca(features.view(), None, &options, seed, monitor))
        .map(|found| found.scores)
        .map_err(|source| PipelineError::Preprocess { modality: "features".to_owned(), source })
}

/// How likely edges are dropped, by the rule of the options.
pub(super) fn edge_drop(
    graph: &CsrMatrix<f64>,
    options: &StaigOptions,
    expression: Option<&Array2<f64>>,
    image: Option<&Array2<f64>>,
) -> Result<EdgeDrop, PipelineError> {
    Ok(match (options.edge_rule, expression, image) {
        (EdgeRule::Fixed(p), _, _) => EdgeDrop::Fixed(p),
        (EdgeRule::Image, _, Some(image)) => {
            EdgeDrop::PerEdge(image_drop_probabilities(graph.view(), image.view())?)
        }
        (EdgeRule::Expression, Some(expression), _) if expression.ncols() > 0 => {
            EdgeDrop::PerEdge(expression_drop_probabilities(graph.view(), expression.view())?)
        }
        // Nothing to judge by: a tissue in which nothing varies.
        _ => EdgeDrop::default(),
    })
}

/// Image features of all spots, few enough to measure distances in.
pub(super) fn image_features(
    tissue: &Tissue,
    inputs: &[Range<usize>],
    request: &StaigRequest,
    monitor: &dyn Monitor,
) -> Result<Option<Array2<f64>>, PipelineError> {
    let is_npy = |name: &String| Path::new(name).extension().is_some_and(|e| e.eq_ignore_ascii_case("npy"));
    let refuse =
        |found: String, expected| Err(PipelineError::Option { option: "--image-key", found, expected });
    let features = match request.image.as_slice() {
        [] => return Ok(None),
        [key] if !is_npy(key) => tissue.any_embedding(key).map_err(|error| match error {
            PipelineError::Data(DataError::MissingKey { container, key, place, existing, .. }) => {
                let hint =
                    "name one of these with --image-key, or a .npy file with one row per spot".to_owned();
                DataError::MissingKey { container, key, place, existing, hint }.into()
            }
            other => other,
        })?,
        files if files.iter().all(is_npy) => {
            let rows =
                if files.len() == 1 { vec![tissue.n_obs()] } else { inputs.iter().map(Range::len).collect() };
            if rows.len() != files.len() {
                return refuse(
                    format!("{} files for {} inputs", files.len(), inputs.len()),
                    "one .npy, or one for each input, in the same order",
                );
            }
            let mut parts = Vec::with_capacity(files.len());
            for (file, n_obs) in files.iter().zip(rows) {
                let part = read_npy(Path::new(file))?;
                if part.nrows() != n_obs {
                    return Err(DataError::Shape {
                        element: file.clone(),
                        found: vec![part.nrows(), part.ncols()],
                        expected: format!("{n_obs} rows, one per spot in the order of the input"),
                    }
                    .into());
                }
                parts.push(part);
            }
            let views: Vec<_> = parts.iter().map(|p| p.view()).collect();
            let Ok(joined) = concatenate(Axis(0), &views) else {
                let widths: Vec<String> = parts.iter().map(|p| p.ncols().to_string()).collect();
                return refuse(format!("files of {} columns", widths.join(", ")), "as many columns in each");
            };
            joined
        }
        _ => return refuse(request.image.join(","), "a single obsm key, or .npy files"),
    };
    if features.ncols() == 0 {
        return refuse(format!("{} without columns", request.image.join(",")), "at least one image feature");
    }
    if let Some(bad) = features.rows().into_iter().position(|row| !row.iter().all(|v| v.is_finite())) {
        return Err(PipelineError::Column {
            element: format!("{} in row {bad}", request.image.join(",")),
            found: "NaN or infinity".to_owned(),
            expected: "finite image features of every spot",
        });
    }
    if features.ncols() <= IMAGE_COMPONENTS {
        monitor.note(&format!("{} image features per spot", features.ncols()));
        return Ok(Some(features));
    }
    monitor.note(&format!(
        "{} image features per spot, standardised and reduced to {IMAGE_COMPONENTS} principal components",
        features.ncols()
    ));
    monitor.stage("image features", 0);
    let reduced = pca_dense(standardised(features).view(), IMAGE_COMPONENTS)
        .map_err(|source| PipelineError::Preprocess { modality: "image features".to_owned(), source })?;
    Ok(Some(reduced))
}

/// Columns of mean 0 and variance 1; constant ones become 0.
fn standardised(mut features: Array2<f64>) -> Array2<f64> {
    let n = features.nrows().max(1) as f64;
    for mut column in features.columns_mut() {
        let mean = column.sum() / n;
        column.mapv_inplace(|v| v - mean);
        let sd = (column.iter().map(|v| v * v).sum::<f64>() / n).sqrt();
        column.mapv_inplace(|v| if sd > 0.0 { v / sd } else { 0.0 });
    }
    features
}

/// Spots that look alike: k-means of the image features.
pub(super) fn image_classes(
    image: Option<&Array2<f64>>,
    n_classes: usize,
    seed: Seed,
    monitor: &dyn Monitor,
) -> Result<Option<Vec<u32>>, PipelineError> {
    let Some(image) = image.filter(|_| n_classes > 0) else { return Ok(None) };
    if n_classes >= image.nrows() {
        return Err(PipelineError::Option {
            option: "--image-classes",
            found: format!("{n_classes} for {} spots", image.nrows()),
            expected: "fewer classes than spots",
        });
    }
    monitor.stage("image classes", 0);
    let options = KMeansOptions { n_clusters: n_classes, n_init: IMAGE_STARTS, ..KMeansOptions::default() };
    let found = kmeans(image.view(), &options, seed.derive("staig/image_classes", 0), monitor)?;
    monitor.note(&format!(
        "spots in {n_classes} image classes; those of one class are no negatives of each other"
    ));
    Ok(Some(found.labels))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn image_features_are_put_on_one_scale() {
        let x = ndarray::array![[1.0, 7.0, 100.0], [3.0, 7.0, 300.0]];
        assert_eq!(standardised(x), ndarray::array![[-1.0, 0.0, -1.0], [1.0, 0.0, 1.0]]);
    }
}
