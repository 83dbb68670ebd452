//! What a caller asks of the pipeline: options that name keys and layers, not arrays.
//!
//! Requests are made of sections ([`super::said`]): the method's own options beside those that all methods share,
//! [`Place`], [`FeatureRequest`], [`GraphRequest`], [`Naming`] and
//! [`DomainOptions`](super::clustering::DomainOptions).

use std::path::PathBuf;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use brodmann_data::keys;
use brodmann_kernels::{Opt, OptionError};

use super::PipelineError;
use super::checkpoint::CheckpointRequest;
use super::clustering::Integration;
use super::said::Said;
use crate::cluster::{is_cluster_count, is_resolution};
use crate::graph::SpatialKind;
use crate::preprocess::{GeneSelection, HvgFlavor, Modality};

/// The name of the spatial layer in resolutions and weights.
pub const SPATIAL_LAYER: &str = "spatial";
/// A second name for the modality layer, where there is only one.
const LATENT_ALIAS: &str = "latent";
/// Epochs between checkpoints where nothing is said.
pub const CHECKPOINT_EVERY: usize = 50;
/// The name that stands for every layer not named otherwise, where values are written by name.
const EVERY: &str = "*";

/// One value for all layers, some named otherwise. In JSON: a value, or values by name (`"*"` for all others).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Written<T>", into = "Written<T>")]
#[serde(bound(serialize = "T: Clone + Serialize", deserialize = "T: Deserialize<'de>"))]
pub struct PerLayer<T> {
    /// For every layer not named.
    pub default: Option<T>,
    /// By layer name.
    pub named: IndexMap<String, T>,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written<T> {
    Nothing(()),
    All(T),
    ByName(IndexMap<String, T>),
}

impl<T> From<Written<T>> for PerLayer<T> {
    fn from(written: Written<T>) -> Self {
        match written {
            Written::Nothing(()) => Self::default(),
            Written::All(value) => Self { default: Some(value), named: IndexMap::new() },
            Written::ByName(mut named) => Self { default: named.shift_remove(EVERY), named },
        }
    }
}

impl<T: Clone> From<PerLayer<T>> for Written<T> {
    fn from(values: PerLayer<T>) -> Self {
        match (values.default, values.named) {
            (None, named) if named.is_empty() => Self::Nothing(()),
            (Some(value), named) if named.is_empty() => Self::All(value),
            (default, named) => {
                let every = default.map(|value| (EVERY.to_owned(), value));
                Self::ByName(every.into_iter().chain(named).collect())
            }
        }
    }
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
    /// [`PipelineError::UnknownLayer`] when a name is not among `layers`.
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
                    option: Opt(option),
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

/// One name, or several.
pub(crate) fn one_or_several<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a name, or several")]
    enum Names {
        One(String),
        Several(Vec<String>),
    }
    Ok(match Names::deserialize(from)? {
        Names::One(key) => vec![key],
        Names::Several(keys) => keys,
    })
}

/// Refuses resolutions that are no numbers above 0, or beyond all use.
///
/// # Errors
/// [`PipelineError::Option`].
pub(crate) fn check_resolutions(values: &[f64]) -> Result<(), PipelineError> {
    match values.iter().find(|v| !is_resolution(**v)) {
        Some(v) => Err(OptionError::new("resolution", v, "a number above 0, at most 1e9").into()),
        None => Ok(()),
    }
}

/// Refuses no clusters, or as many as observations.
///
/// # Errors
/// [`PipelineError::ImpossibleClusterCount`].
pub(crate) fn check_n_clusters(n_clusters: usize, n_obs: usize) -> Result<(), PipelineError> {
    if !is_cluster_count(n_clusters, n_obs) {
        return Err(PipelineError::ImpossibleClusterCount { n_clusters, n_obs });
    }
    Ok(())
}

/// Refuses as many neighbours as observations.
///
/// # Errors
/// [`PipelineError::Option`].
pub(crate) fn check_n_neighbors(
    option: &'static str,
    n_neighbors: usize,
    n_obs: usize,
) -> Result<(), PipelineError> {
    if n_neighbors < n_obs {
        return Ok(());
    }
    let found = format!("{n_neighbors} for {n_obs} spots");
    Err(OptionError::new(option, found, "fewer neighbours than spots").into())
}

/// Refuses a result name that would replace a record of something else, or a column the run itself reads.
///
/// # Errors
/// [`PipelineError::Option`].
pub(crate) fn check_key_added(key: &str, columns_read: &[Option<&str>]) -> Result<(), PipelineError> {
    let refuse =
        |found: String| Err(OptionError::new("key_added", found, "a name of its own for the result").into());
    // A file could not hold it, which would be noticed only at the end.
    if key.is_empty() || key.contains('/') || key == "." || key == ".." {
        return refuse(format!("{key:?}"));
    }
    if keys::RESERVED_UNS.contains(&key) {
        return refuse(format!("{key:?}, which uns keeps for something else"));
    }
    if columns_read.contains(&Some(key)) {
        return refuse(format!("{key:?}, a column that this run reads"));
    }
    Ok(())
}

/// Which observations of several modalities take part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SharedObs {
    /// Those that every modality has.
    Intersect,
}

/// Which spots take part, where they lie, and on which slice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Place {
    /// `obsm` key of the coordinates.
    pub spatial_key: String,
    /// `obs` columns that hold the coordinates instead.
    pub spatial_columns: Option<Vec<String>>,
    /// `obs` column that names the slice; no edge crosses slices.
    pub library_key: Option<String>,
    /// Spots with `obs["in_tissue"]` 0 take part.
    pub keep_off_tissue: bool,
    /// Of modalities with different observations: which take part; without it they are refused.
    pub obs: Option<SharedObs>,
}

impl Default for Place {
    fn default() -> Self {
        Self {
            spatial_key: keys::SPATIAL.to_owned(),
            spatial_columns: None,
            library_key: None,
            keep_off_tissue: false,
            obs: None,
        }
    }
}

/// What the result is called, and what it is compared with.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Naming {
    /// `obs` column of the known domains; `ground_truth` where it is there and nothing is said.
    pub truth: Option<String>,
    /// Name of the result; the method's when absent.
    pub key_added: Option<String>,
    /// In place, a column of that name is replaced whoever wrote it.
    pub force: bool,
}

/// Where a trained network is saved, read from, and saved on the way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelOptions {
    /// Where the trained network goes.
    pub save_model: Option<PathBuf>,
    /// A network trained before, applied instead of training.
    pub load_model: Option<PathBuf>,
    /// Folder of the checkpoints; made where it does not exist.
    pub checkpoint: Option<PathBuf>,
    /// Epochs between checkpoints.
    pub checkpoint_every: usize,
    /// Go on from the checkpoint there.
    pub resume: bool,
    /// Begin anew, in place of a checkpoint there.
    pub restart: bool,
}

impl Default for ModelOptions {
    fn default() -> Self {
        Self {
            save_model: None,
            load_model: None,
            checkpoint: None,
            checkpoint_every: CHECKPOINT_EVERY,
            resume: false,
            restart: false,
        }
    }
}

impl ModelOptions {
    /// Refuses what does not go together.
    ///
    /// # Errors
    /// [`PipelineError::Option`].
    pub(super) fn check(&self) -> Result<(), PipelineError> {
        if self.checkpoint_every == 0 {
            return Err(OptionError::new("checkpoint_every", 0, "at least 1").into());
        }
        if self.resume && self.checkpoint.is_none() {
            let expected = format!("{} with the folder of an earlier run", Opt("checkpoint"));
            return Err(OptionError::new("resume", "given alone", expected).into());
        }
        if self.restart && self.checkpoint.is_none() {
            let expected = format!("{} with the folder of an earlier run", Opt("checkpoint"));
            return Err(OptionError::new("restart", "given alone", expected).into());
        }
        if self.restart && self.resume {
            let expected = format!("it or {}, not both", Opt("resume"));
            return Err(OptionError::new("restart", format!("given with {}", Opt("resume")), expected).into());
        }
        Ok(())
    }

    /// Checkpoints, where they are wanted.
    pub(super) fn checkpoints(&self) -> Option<CheckpointRequest> {
        let folder = self.checkpoint.clone()?;
        let (every, resume, restart) = (self.checkpoint_every, self.resume, self.restart);
        Some(CheckpointRequest { folder, every, resume, restart })
    }

    /// Refuses options that a loaded model has decided: what was said of `decided` has no effect.
    ///
    /// # Errors
    /// [`PipelineError::DecidedByModel`].
    pub(super) fn refuse_decided(
        &self,
        said: &Said,
        decided: &[&Map<String, Json>],
    ) -> Result<(), PipelineError> {
        let Some(path) = &self.load_model else { return Ok(()) };
        let training =
            ["save_model", "checkpoint", "checkpoint_every", "resume", "restart", "preset", "restarts"];
        let is_decided =
            |name: &str| training.contains(&name) || decided.iter().any(|d| d.contains_key(name));
        let options = said.which(is_decided);
        if options.is_empty() {
            return Ok(());
        }
        Err(PipelineError::DecidedByModel { path: path.clone(), options })
    }
}

/// How counts become features. `None` leaves the modality's default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FeatureRequest {
    /// What an AnnData measures; guessed from names when absent.
    pub modality: Option<Modality>,
    /// Layer that holds the counts instead of `X`.
    pub layer: Option<String>,
    /// Highly variable features to keep; 0 keeps all.
    pub n_top_genes: Option<usize>,
    /// How genes are selected: by variability, in space, from modules, without redundancy.
    pub select: Option<GeneSelection>,
    /// How variability is measured.
    pub flavor: Option<HvgFlavor>,
    /// Components.
    pub n_pcs: Option<usize>,
    /// Total each spot is scaled to.
    pub target_sum: Option<f64>,
    /// Spots a feature must be seen in.
    pub min_cells: Option<usize>,
    /// The data are log-normalised already.
    pub normalized: bool,
    /// Spots with fewer counts are set aside.
    pub min_counts: Option<f64>,
    /// So are spots with fewer genes.
    pub min_genes: Option<usize>,
    /// So are spots with a larger percentage of mitochondrial counts.
    pub max_mt: Option<f64>,
    /// The counts of all genes, log-normalised, are written as a layer.
    pub keep_log_normalized: bool,
}

impl FeatureRequest {
    /// Whether spots are set aside by their counts.
    pub(super) fn sets_aside(&self) -> bool {
        self.min_counts.is_some() || self.min_genes.is_some() || self.max_mt.is_some()
    }

    /// Whether genes are selected on the spatial graph.
    pub(super) fn needs_graph(&self) -> bool {
        self.select.is_some_and(GeneSelection::needs_graph)
    }

    /// Refuses what does not go together.
    ///
    /// # Errors
    /// `keep_log_normalized` together with `normalized`.
    pub fn check(&self) -> Result<(), OptionError> {
        if !(self.keep_log_normalized && self.normalized) {
            return Ok(());
        }
        let found = format!("asked for together with {}", Opt("normalized"));
        let expected = "one of the two, since values that are normalised are logarithms already";
        Err(OptionError::new("keep_log_normalized", found, expected))
    }

    /// Whether anything was asked for, so that features already in the file are not enough.
    pub fn is_explicit(&self) -> bool {
        let Self { modality, keep_log_normalized, .. } = *self;
        *self != Self { modality, keep_log_normalized, ..Self::default() }
    }
}

/// How graphs are built. `None` leaves the default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GraphRequest {
    /// Neighbours in latent space, the spot itself counted as in scanpy.
    pub n_neighbors: Option<usize>,
    /// Kind of spatial graph.
    pub spatial: Option<SpatialKind>,
    /// Neighbours in space.
    pub n_spatial: Option<usize>,
    /// Radius, or the longest Delaunay edge.
    pub radius: Option<f64>,
    /// `obsm` embedding to use instead of preprocessing the counts.
    pub use_rep: Option<String>,
    /// What is done to the embedding of several slices before neighbours are sought in it.
    pub integrate: Option<Integration>,
}

impl GraphRequest {
    /// Whether a latent graph in the file must give way.
    pub fn wants_new_latent(&self) -> bool {
        self.n_neighbors.is_some() || self.use_rep.is_some() || self.integrate.is_some()
    }

    /// Whether a spatial graph in the file must give way.
    pub fn wants_new_spatial(&self, place: &Place) -> bool {
        place.spatial_key != keys::SPATIAL
            || self.spatial.is_some()
            || self.n_spatial.is_some()
            || self.radius.is_some()
            || place.library_key.is_some()
    }
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
        assert_eq!(per.resolve(&layers(), "x", |_| 1.0).expect("known"), vec![2.0, 3.0]);
        let none = PerLayer::default();
        assert_eq!(none.resolve(&layers(), "x", |_| 1.0).expect("known"), vec![1.0, 1.0]);
    }

    #[test]
    fn a_single_modality_also_answers_to_latent() {
        let mut per = PerLayer::default();
        per.named.insert("latent".to_owned(), 4.0);
        assert_eq!(per.resolve(&layers(), "x", |_| 1.0).expect("known"), vec![4.0, 1.0]);
        let three = vec!["rna".to_owned(), "adt".to_owned(), SPATIAL_LAYER.to_owned()];
        assert!(per.resolve(&three, "x", |_| 1.0).is_err());
    }

    #[test]
    fn values_by_layer_are_written_as_people_write_them() {
        let read = |text: &str| serde_json::from_str::<PerLayer<f64>>(text).expect("valid");
        assert_eq!(read("2.0").default, Some(2.0));
        assert_eq!(read(r#"{"rna": 0.5}"#).named["rna"], 0.5);
        let both = read(r#"{"*": 1.0, "spatial": 2.0}"#);
        assert_eq!((both.default, both.named["spatial"], both.named.len()), (Some(1.0), 2.0, 1));
        for text in ["2.0", r#"{"rna":0.5}"#, r#"{"*":1.0,"spatial":2.0}"#, "null"] {
            assert_eq!(serde_json::to_string(&read(text)).expect("written"), text);
        }
    }

    #[test]
    fn unknown_layers_are_refused_by_name() {
        let mut per = PerLayer::default();
        per.named.insert("protein".to_owned(), 1.0);
        let error = per.resolve(&layers(), "layer_weights", |_| 1.0).expect_err("unknown").to_string();
        assert!(error.contains("protein") && error.contains("rna") && error.contains("layer_weights"));
    }
}
