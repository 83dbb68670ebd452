//! What STAIG judges edges and negatives by: components of the expression, image features, classes of them.

use std::ops::Range;
use std::path::Path;

use brodmann_data::{DataError, read_npy};
use brodmann_kernels::{CsrMatrix, Monitor, Opt, OptionError, Seed, Slices};
use ndarray::{Array2, Axis, concatenate};

use super::request::{IMAGE_COMPONENTS, StaigRequest};
use crate::cluster::{KMeansOptions, kmeans};
use crate::models::staig::{
    EdgeDrop, EdgeRule, StaigOptions, expression_drop_probabilities, image_drop_probabilities,
};
use crate::pipeline::PipelineError;
use crate::pipeline::histology::features::{Picture, image_features, standardised};
use crate::pipeline::run::{Run, Stage};
use crate::pipeline::scene::Scene;
use crate::pipeline::tissue::Tissue;
use crate::preprocess::pca_sums::MAX_SUMMED_COLUMNS;
use crate::preprocess::{PcaOptions, PcaSums, PreprocessError, pca, pca_dense};

/// Principal components of the expression that edges are judged by.
pub(super) const EXPRESSION_COMPONENTS: usize = 64;
/// Starts of the k-means of image features.
const IMAGE_STARTS: usize = 10;

/// Principal components of the features; of several slices by the sums of each, which it can form wherever it lies.
pub(super) fn components(
    features: &CsrMatrix<f32>,
    slices: Option<&Slices>,
    run: &mut Run<'_>,
) -> Result<Array2<f64>, PipelineError> {
    let (seed, monitor) = (run.seed, run.monitor);
    monitor.stage("principal components", 0);
    let view = features.view();
    let several = slices.filter(|s| s.count() > 1 && view.n_cols() <= MAX_SUMMED_COLUMNS);
    run.timed(Stage::Preprocess, || {
        let Some(slices) = several else {
            let options = PcaOptions { n_components: EXPRESSION_COMPONENTS };
            return pca(view, None, &options, seed, monitor).map(|found| found.scores);
        };
        let mut total: Option<PcaSums> = None;
        for rows in slices.rows() {
            let rows: Vec<usize> = rows.iter().map(|&i| i as usize).collect();
            let own = PcaSums::of(view.select_rows(&rows).view(), monitor)?;
            match &mut total {
                None => total = Some(own),
                Some(total) => total.add(&own)?,
            }
        }
        let (n_obs, n_vars) = (view.n_rows(), view.n_cols());
        let total = total.ok_or(PreprocessError::Empty { n_obs, n_vars })?;
        total.components(EXPRESSION_COMPONENTS, seed, monitor)?.scores(view)
    })
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

/// Image features that somebody made, few enough to measure distances in.
pub(super) fn given_features(
    tissue: &Tissue,
    inputs: &[Range<usize>],
    image_key: &[String],
    monitor: &dyn Monitor,
) -> Result<Option<Array2<f64>>, PipelineError> {
    let is_npy = |name: &String| Path::new(name).extension().is_some_and(|e| e.eq_ignore_ascii_case("npy"));
    let refuse = |found: String, expected: &str| Err(OptionError::new("image_key", found, expected).into());
    let features = match image_key {
        [] => return Ok(None),
        [key] if !is_npy(key) => tissue.any_embedding(key).map_err(|error| match error {
            PipelineError::Data(DataError::MissingKey { container, key, place, existing, .. }) => {
                let named_by = Some(Opt("image_key"));
                let otherwise = vec!["name a .npy file with one row per spot".to_owned()];
                DataError::MissingKey { container, key, place, existing, named_by, otherwise }.into()
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
        _ => return refuse(image_key.join(","), "a single obsm key, or .npy files"),
    };
    if features.ncols() == 0 {
        return refuse(format!("{} without columns", image_key.join(",")), "at least one image feature");
    }
    if let Some(bad) = features.rows().into_iter().position(|row| !row.iter().all(|v| v.is_finite())) {
        return Err(PipelineError::Column {
            element: format!("{} in row {bad}", image_key.join(",")),
            found: "NaN or infinity".to_owned(),
            expected: "finite image features of every spot",
        });
    }
    if features.ncols() <= IMAGE_COMPONENTS {
        monitor.note(&format!("{} image features per spot", features.ncols()));
        return Ok(Some(features));
    }
    reduced(standardised(features), monitor).map(Some)
}

/// The principal components of many features.
fn reduced(features: Array2<f64>, monitor: &dyn Monitor) -> Result<Array2<f64>, PipelineError> {
    monitor.note(&format!(
        "{} image features per spot, standardised and reduced to {IMAGE_COMPONENTS} principal components",
        features.ncols()
    ));
    monitor.stage("image features", 0);
    pca_dense(features.view(), IMAGE_COMPONENTS)
        .map_err(|source| PipelineError::Preprocess { modality: "image features".to_owned(), source })
}

/// Features of the slides themselves, on one scale.
pub(super) fn seen(
    scene: &Scene<'_>,
    request: &StaigRequest,
    run: &mut Run<'_>,
) -> Result<Array2<f64>, PipelineError> {
    let place = (request.place.spatial_key.as_str(), scene.slices());
    let picture = Picture { slide: &request.slide, encoder: &request.encoder, networks: &request.networks };
    let made = image_features(scene.tissue, &picture, place, run)?;
    if made.comparable.ncols() > IMAGE_COMPONENTS {
        return reduced(made.comparable, run.monitor);
    }
    run.monitor.note(&format!("{} image features per spot", made.names.len()));
    Ok(made.comparable)
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
        let found = format!("{n_classes} for {} spots", image.nrows());
        return Err(OptionError::new("image_classes", found, "fewer classes than spots").into());
    }
    monitor.stage("image classes", 0);
    let options = KMeansOptions { n_clusters: n_classes, n_init: IMAGE_STARTS, ..KMeansOptions::default() };
    let found = kmeans(image.view(), &options, seed.derive("staig/image_classes", 0), monitor)?;
    monitor.note(&format!(
        "spots in {n_classes} image classes; those of one class are no negatives of each other"
    ));
    Ok(Some(found.labels))
}
