//! STAIG, and the baseline without a network, on a tissue that Python holds.

use std::path::PathBuf;

use brodmann::models::staig::{EdgeRule, Negatives, StaigOptions};
use brodmann::pipeline::Tissue;
use brodmann::pipeline::checkpoint::CheckpointRequest;
use brodmann::pipeline::request::FeatureRequest;
use brodmann::pipeline::staig::features::Values;
use brodmann::pipeline::staig::request::{BASELINE_NEIGHBORS, CLUSTER_NEIGHBORS};
use brodmann::pipeline::staig::{StaigMethod, StaigRequest, find_staig_domains_in};
use brodmann::preprocess::Modality;
use brodmann_kernels::Seed;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::clustering::{Clustering, named, unknown};
use crate::monitor::run;
use crate::tissue::{Parts, additions};

/// `edge_rule`: a name, or the one probability of all edges.
#[derive(FromPyObject)]
enum Rule {
    Named(String),
    Fixed(f64),
}

/// The options of `bm.tl.staig` and `bm.tl.smoothed_pca`, checked for their types there.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Options {
    method: String,
    preset: String,
    spatial_key: String,
    library_key: Option<String>,
    epochs: Option<usize>,
    learning_rate: Option<f64>,
    weight_decay: Option<f64>,
    layers: Option<usize>,
    width: Option<usize>,
    tau: Option<f64>,
    n_neighbors: Option<usize>,
    negatives: Option<String>,
    feature_mask: Option<(f64, f64)>,
    edge_rule: Option<Rule>,
    image: Option<String>,
    image_classes: Option<usize>,
    resamples: Option<usize>,
    average_views: bool,
    released_denominator: bool,
    restarts: usize,
    cluster: Clustering,
    refine: Option<usize>,
    values: Option<String>,
    n_top_genes: Option<usize>,
    flavor: Option<String>,
    n_comps: Option<usize>,
    target_sum: Option<f64>,
    min_cells: Option<usize>,
    normalized: bool,
    umap: bool,
    save_model: Option<PathBuf>,
    load_model: Option<PathBuf>,
    checkpoint: Option<PathBuf>,
    checkpoint_every: usize,
    resume: bool,
    key_added: String,
}

impl Options {
    fn network(&self, method: StaigMethod) -> PyResult<StaigOptions> {
        let mut base = StaigOptions::preset(named(&self.preset)?);
        if method == StaigMethod::SmoothedPca {
            base.n_neighbors = BASELINE_NEIGHBORS;
        }
        Ok(StaigOptions {
            learning_rate: self.learning_rate.unwrap_or(base.learning_rate),
            weight_decay: self.weight_decay.unwrap_or(base.weight_decay),
            epochs: self.epochs.unwrap_or(base.epochs),
            n_neighbors: self.n_neighbors.unwrap_or(base.n_neighbors),
            layers: self.layers.unwrap_or(base.layers),
            width: self.width.unwrap_or(base.width),
            tau: self.tau.unwrap_or(base.tau),
            negatives: match self.negatives.as_deref() {
                None => base.negatives,
                Some("auto") => Negatives::Auto,
                Some("exact") => Negatives::Exact,
                Some("moments") => Negatives::Moments,
                Some(other) => return Err(unknown("negatives", other, "'auto', 'exact' or 'moments'")),
            },
            released_denominator: self.released_denominator,
            feature_mask: self.feature_mask.map_or(base.feature_mask, |(first, second)| [first, second]),
            edge_rule: match &self.edge_rule {
                None => base.edge_rule,
                Some(Rule::Fixed(p)) => EdgeRule::Fixed(*p),
                Some(Rule::Named(name)) if name == "expression" => EdgeRule::Expression,
                Some(Rule::Named(name)) if name == "image" => EdgeRule::Image,
                Some(Rule::Named(other)) => {
                    return Err(unknown("edge_rule", other, "'expression', 'image' or a probability"));
                }
            },
            resamples: self.resamples.unwrap_or(base.resamples),
            image_classes: self.image_classes.unwrap_or(base.image_classes),
            average_views: self.average_views,
        })
    }

    fn request(self) -> PyResult<StaigRequest> {
        let method = match self.method.as_str() {
            "smoothed_pca" => StaigMethod::SmoothedPca,
            _ => StaigMethod::Staig,
        };
        Ok(StaigRequest {
            method,
            options: self.network(method)?,
            cluster: self.cluster.method(CLUSTER_NEIGHBORS)?,
            preset: named(&self.preset)?,
            values: match self.values.as_deref() {
                None => None,
                Some("log") => Some(Values::Log),
                Some("counts") => Some(Values::Counts),
                Some(other) => return Err(unknown("values", other, "'log' or 'counts'")),
            },
            features: FeatureRequest {
                // The counts handed over are those of the layer asked for.
                layer: None,
                modality: None,
                n_top_genes: self.n_top_genes,
                flavor: self.flavor.as_deref().map(named).transpose()?,
                n_pcs: self.n_comps,
                target_sum: self.target_sum,
                min_cells: self.min_cells,
                normalized: self.normalized,
            },
            spatial_key: self.spatial_key,
            library_key: self.library_key,
            edge_rule_given: self.edge_rule.is_some(),
            image_classes_given: self.image_classes.is_some(),
            image: self.image.into_iter().collect(),
            restarts: self.restarts,
            refine: self.refine,
            umap: self.umap,
            save_model: self.save_model,
            load_model: self.load_model,
            checkpoint: self.checkpoint.map(|folder| CheckpointRequest {
                folder,
                every: self.checkpoint_every,
                resume: self.resume,
            }),
            truth: None,
            key_added: Some(self.key_added),
        })
    }
}

/// What is to be added to the whole and to each modality, and whether the number of domains was reached.
#[pyfunction]
#[pyo3(signature = (tissue, options, *, random_state))]
fn staig<'py>(
    py: Python<'py>,
    mut tissue: Parts<'py>,
    options: Options,
    random_state: u64,
) -> PyResult<(Bound<'py, PyDict>, Bound<'py, PyDict>, usize, bool)> {
    let request = options.request()?;
    tissue.keep_expression();
    // Of one matrix nothing depends on its kind but its name in messages; a guess is not worth a note.
    let kind = if tissue.is_mudata { None } else { tissue.kind().or(Some(Modality::Rna)) };
    let container = tissue.container(py)?;
    let (report, added) = run(py, move |monitor| {
        let tissue = Tissue::from_container(container, kind, monitor)?;
        find_staig_domains_in(&tissue, &request, Seed(random_state), monitor)
    })?;
    let (root, modalities) = additions(py, added)?;
    Ok((root, modalities, report.n_clusters, report.n_clusters_reached))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(staig, module)?)
}
