//! What a caller asks of the pipeline: options that name keys and layers, not arrays.

use indexmap::IndexMap;

use super::PipelineError;
use crate::cluster::Quality;
use crate::graph::SpatialKind;
use crate::preprocess::{HvgFlavor, Modality};

/// The name of the spatial layer in resolutions and weights.
pub const SPATIAL_LAYER: &str = "spatial";
/// A second name for the modality layer, where there is only one.
const LATENT_ALIAS: &str = "latent";

/// One value for all layers, some named otherwise.
#[derive(Clone, Debug, PartialEq)]
pub struct PerLayer<T> {
    /// For every layer not named.
    pub default: Option<T>,
    /// By layer name.
    pub named: IndexMap<String, T>,
}

impl<T> Default for PerLayer<T> {
    fn default() -> Self {
        Self { default: None, named: IndexMap::new() }
    }
}

impl<T: Copy> PerLayer<T> {
    /// The value of each of `layers`, `fallback(name)` where nothing was said.
    ///
    /// # Errors
    /// [`PipelineError::UnknownLayer`] when a name is none of `layers`.
    pub fn resolve(
        &self,
        layers: &[String],
        option: &'static str,
        fallback: impl Fn(&str) -> T,
    ) -> Result<Vec<T>, PipelineError> {
        let n_latent = layers.iter().filter(|l| *l != SPATIAL_LAYER).count();
        let is_alias = |name: &str| name == LATENT_ALIAS && n_latent == 1;
        for name in self.named.keys() {
            if !layers.contains(name) && !is_alias(name) {
                return Err(PipelineError::UnknownLayer {
                    option,
                    name: name.clone(),
                    layers: layers.to_vec(),
                });
            }
        }
        Ok(layers
            .iter()
            .map(|layer| {
                let alias = if layer == SPATIAL_LAYER { None } else { self.named.get(LATENT_ALIAS) };
                self.named
                    .get(layer)
                    .or(alias.filter(|_| n_latent == 1))
                    .copied()
                    .or(self.default)
                    .unwrap_or_else(|| fallback(layer))
            })
            .collect())
    }
}

/// Resolutions and weights beyond this overflow the quality, and mean nothing well before.
pub(crate) const LARGEST: f64 = 1e9;

/// Refuses resolutions that are no numbers above 0, or beyond all use.
///
/// # Errors
/// [`PipelineError::Option`].
pub(crate) fn check_resolutions(values: &[f64]) -> Result<(), PipelineError> {
    match values.iter().find(|v| !(**v > 0.0 && **v <= LARGEST)) {
        Some(v) => Err(PipelineError::Option {
            option: "--resolution",
            found: v.to_string(),
            expected: "a number above 0, at most 1e9,",
        }),
        None => Ok(()),
    }
}

/// Refuses no clusters, or as many as observations.
///
/// # Errors
/// [`PipelineError::ImpossibleClusterCount`].
pub(crate) fn check_n_clusters(n_clusters: usize, n_obs: usize) -> Result<(), PipelineError> {
    if n_clusters == 0 || n_clusters >= n_obs {
        return Err(PipelineError::ImpossibleClusterCount { n_clusters, n_obs });
    }
    Ok(())
}

/// Entries of `uns` that mean something else to scanpy, squidpy or a run of our own.
const RESERVED: &[&str] =
    &["spatial", "neighbors", "spatial_neighbors", "pca", "lsi", "hvg", "log1p", "umap"];

/// Refuses a result name that would replace a record of something else, or a column the run itself reads.
///
/// # Errors
/// [`PipelineError::Option`].
pub(crate) fn check_key_added(key: &str, columns_read: &[Option<&str>]) -> Result<(), PipelineError> {
    let expected = "a name of its own for the result";
    let refuse = |found: String| Err(PipelineError::Option { option: "--key-added", found, expected });
    if key.is_empty() || key.contains('/') {
        return refuse(format!("{key:?}"));
    }
    if RESERVED.contains(&key) {
        return refuse(format!("{key:?}, which uns keeps for something else,"));
    }
    if columns_read.contains(&Some(key)) {
        return refuse(format!("{key:?}, a column this run reads,"));
    }
    Ok(())
}

/// How counts become features. `None` leaves the modality's default.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FeatureRequest {
    /// What an AnnData measures; guessed from names when absent.
    pub modality: Option<Modality>,
    /// Layer that holds the counts instead of `X`.
    pub layer: Option<String>,
    /// Highly variable features to keep; 0 keeps all.
    pub n_top_genes: Option<usize>,
    /// How they are found.
    pub flavor: Option<HvgFlavor>,
    /// Components.
    pub n_pcs: Option<usize>,
    /// Total each spot is scaled to.
    pub target_sum: Option<f64>,
    /// Spots a feature must be seen in.
    pub min_cells: Option<usize>,
    /// The data are log-normalised already.
    pub normalized: bool,
}

impl FeatureRequest {
    /// Whether anything was asked for, so that features already in the file are not enough.
    pub fn is_explicit(&self) -> bool {
        *self != Self { modality: self.modality, ..Self::default() }
    }
}

/// How graphs are built. `None` leaves the default.
#[derive(Clone, Debug, PartialEq)]
pub struct GraphRequest {
    /// Neighbours in latent space, the spot itself counted as in scanpy.
    pub n_neighbors: Option<usize>,
    /// Kind of spatial graph.
    pub spatial: Option<SpatialKind>,
    /// Neighbours in space.
    pub n_spatial: Option<usize>,
    /// Radius, or the longest Delaunay edge.
    pub radius: Option<f64>,
    /// `obsm` key of the coordinates.
    pub spatial_key: String,
    /// `obs` column that names the slice.
    pub library_key: Option<String>,
    /// `obsm` embedding to use instead of preprocessing the counts.
    pub use_rep: Option<String>,
}

impl Default for GraphRequest {
    fn default() -> Self {
        Self {
            n_neighbors: None,
            spatial: None,
            n_spatial: None,
            radius: None,
            spatial_key: brodmann_data::keys::SPATIAL.to_owned(),
            library_key: None,
            use_rep: None,
        }
    }
}

impl GraphRequest {
    /// Whether a latent graph in the file must give way.
    pub fn wants_new_latent(&self) -> bool {
        self.n_neighbors.is_some() || self.use_rep.is_some()
    }

    /// Whether a spatial graph in the file must give way.
    pub fn wants_new_spatial(&self) -> bool {
        self.spatial_key != brodmann_data::keys::SPATIAL
            || self.spatial.is_some()
            || self.n_spatial.is_some()
            || self.radius.is_some()
            || self.library_key.is_some()
    }
}

/// A run of Leiden or SpatialLeiden.
#[derive(Clone, Debug, PartialEq)]
pub struct DomainRequest {
    /// With the spatial layer (SpatialLeiden) or without (Leiden).
    pub spatial: bool,
    /// Features.
    pub features: FeatureRequest,
    /// Graphs.
    pub graphs: GraphRequest,
    /// Clusters wanted: the resolution is searched for.
    pub n_clusters: Option<usize>,
    /// Resolution per layer, 1 by default.
    pub resolution: PerLayer<f64>,
    /// Weight per layer, 1 by default.
    pub weight: PerLayer<f64>,
    /// Weight of the spatial layer, where `weight` does not name it.
    pub layer_ratio: Option<f64>,
    /// Directed or not, per layer; not by default.
    pub directed: PerLayer<bool>,
    /// Use the edge weights.
    pub use_weights: bool,
    /// Quality function.
    pub quality: Quality,
    /// Iterations; `None` to convergence.
    pub n_iterations: Option<u32>,
    /// `obs` column of the known domains.
    pub truth: Option<String>,
    /// `obs` column written.
    pub key_added: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layers() -> Vec<String> {
        vec!["rna".to_owned(), SPATIAL_LAYER.to_owned()]
    }

    #[test]
    fn named_values_come_before_the_default_and_the_default_before_the_fallback() {
        let mut per = PerLayer { default: Some(2.0), named: IndexMap::new() };
        per.named.insert("spatial".to_owned(), 3.0);
        assert_eq!(per.resolve(&layers(), "--x", |_| 1.0).expect("known"), vec![2.0, 3.0]);
        let none = PerLayer::default();
        assert_eq!(none.resolve(&layers(), "--x", |_| 1.0).expect("known"), vec![1.0, 1.0]);
    }

    #[test]
    fn a_single_modality_also_answers_to_latent() {
        let mut per = PerLayer::default();
        per.named.insert("latent".to_owned(), 4.0);
        assert_eq!(per.resolve(&layers(), "--x", |_| 1.0).expect("known"), vec![4.0, 1.0]);
        let three = vec!["rna".to_owned(), "adt".to_owned(), SPATIAL_LAYER.to_owned()];
        assert!(per.resolve(&three, "--x", |_| 1.0).is_err());
    }

    #[test]
    fn unknown_layers_are_refused_by_name() {
        let mut per = PerLayer::default();
        per.named.insert("protein".to_owned(), 1.0);
        let error = per.resolve(&layers(), "--layer-weight", |_| 1.0).expect_err("unknown").to_string();
        assert!(error.contains("protein") && error.contains("rna") && error.contains("--layer-weight"));
    }
}
